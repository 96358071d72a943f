use super::*;
use std::time::Duration;

/// Plays arrivals, written as `millisecond:sequence`, and gives a letter for each step: the last
/// digit of the datagram that was played, `c` for a concealed one, `f` for one that fades, `m` and
/// both digits for a merged pair, and a dot for silence.
fn played(arrivals: &[(u64, u32)], steps: u64) -> (String, JitterBuffer) {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let mut arrivals = arrivals.iter().peekable();
    let mut letters = String::new();
    let digit = |data: &[u8]| char::from(b'0' + data[0] % 10);
    for step in 0..steps {
        let now_ms = step * 20;
        while let Some((ms, sequence)) = arrivals.next_if(|(ms, _)| *ms <= now_ms) {
            let timestamp = sequence.wrapping_mul(960);
            let data = [(*sequence % 10) as u8];
            let at = start + Duration::from_millis(*ms);
            buffer.push(at, *sequence, timestamp, &data);
        }
        match buffer.step(start + Duration::from_millis(now_ms)) {
            Step::Silence => letters.push('.'),
            Step::Play(data) => letters.push(digit(&data)),
            Step::Conceal => letters.push('c'),
            Step::FadeOut => letters.push('f'),
            Step::Merge(first, second) => {
                letters.extend(['m', digit(&first), digit(&second)]);
            }
        }
    }
    (letters, buffer)
}

/// One that was spoken every 20 ms, from `first` on, with what `delay_ms` says for each; None is
/// lost.
fn spoken(first: u32, count: u32, delay_ms: impl Fn(u32) -> Option<u64>) -> Vec<(u64, u32)> {
    let arrival = |place: u32| Some((u64::from(place) * 20 + delay_ms(place)?, place));
    let mut arrivals: Vec<_> = (0..count).filter_map(arrival).collect();
    arrivals.sort();
    let numbered = arrivals.into_iter();
    numbered
        .map(|(ms, place)| (ms, first.wrapping_add(place)))
        .collect()
}

#[test]
fn what_is_played_and_when() {
    type Delay = fn(u32) -> Option<u64>;
    let table: [(&str, u32, u32, Delay, &str); 11] = [
        ("in order", 0, 5, |_| Some(7), "...01234cf..."),
        (
            "round the circle",
            u32::MAX - 1,
            5,
            |_| Some(0),
            "..45012cf....",
        ),
        (
            "one is lost",
            0,
            5,
            |it| (it != 2).then_some(0),
            "..01c34cf....",
        ),
        (
            "two are lost",
            0,
            6,
            |it| (it != 2 && it != 3).then_some(0),
            "..01cc45cf...",
        ),
        (
            "the first is lost",
            0,
            4,
            |it| (it != 0).then_some(0),
            "...123cf.....",
        ),
        (
            "the last is lost",
            0,
            4,
            |it| (it != 3).then_some(0),
            "..012cf......",
        ),
        (
            "two change places",
            0,
            5,
            |it| Some(if it == 1 { 30 } else { 0 }),
            "..01234cf....",
        ),
        (
            "the first two change places",
            0,
            4,
            |it| Some(if it == 0 { 30 } else { 0 }),
            "...0123cf....",
        ),
        (
            "one is late",
            0,
            5,
            |it| Some(if it == 2 { 70 } else { 0 }),
            "..01c3c4cf...",
        ),
        (
            "a gust",
            0,
            5,
            |it| Some(if it >= 2 { 100 } else { 0 }),
            "..01cf..234cf",
        ),
        (
            "one is lost when depth could be taken",
            0,
            12,
            |it| (it != 8).then_some(0),
            "..01234567c901cf...",
        ),
    ];
    for (what, first, count, delay_ms, expected) in table {
        let arrivals = spoken(first, count, delay_ms);
        let (letters, buffer) = played(&arrivals, expected.len() as u64);
        assert_eq!(letters, expected, "{what}");
        let counts = buffer.counts();
        let late = u64::from(what == "one is late");
        assert_eq!((counts.late, counts.dropped), (late, 0), "{what}");
        assert_eq!(counts.played + late, arrivals.len() as u64, "{what}");
        let concealed = letters.matches(['c', 'f']).count() as u64;
        assert_eq!(counts.concealed, concealed, "{what}");
    }
}

#[test]
fn depth_follows_the_network() {
    // Every 20 ms for 40 s: first an even network, then one that delays by up to 60 ms, and then
    // an even one again.
    let is_rough = |place: u32| (500..1_000).contains(&place);
    let delay_ms = |place: u32| {
        let rough = u64::from(place.wrapping_mul(0x9e37_79b1) >> 16) % 61;
        Some(if is_rough(place) { rough } else { 0 })
    };
    let depth_after = |count: u32| {
        let arrivals = spoken(0, count, delay_ms);
        let (_, buffer) = played(&arrivals, u64::from(count));
        buffer.depth_ms()
    };
    assert_eq!(depth_after(499), 40);
    let rough = depth_after(999);
    assert!((70..=100).contains(&rough), "{rough}");
    assert!(depth_after(2_000) <= 60);

    let (letters, buffer) = played(&spoken(0, 2_000, delay_ms), 2_050);
    let counts = buffer.counts();
    // While it learns, some may be late; of the 500 rough ones hardly any.
    assert!(counts.late <= 15, "{counts:?}");
    assert_eq!(counts.played + counts.late, 2_000);
    assert!(counts.stretched >= 2 && counts.shortened >= 1, "{counts:?}");
    assert_eq!(letters.matches('m').count() as u64, counts.shortened);
    // Nothing was concealed without a reason: it was late, or time was to be gained.
    assert!(
        counts.concealed <= counts.late + counts.stretched,
        "{counts:?}"
    );
}

#[test]
fn the_next_talk_starts_as_deep_as_the_last_one_ended() {
    let delay_ms = |place: u32| Some(u64::from(place % 4) * 25);
    let mut arrivals = spoken(0, 300, delay_ms);
    // It goes on for long enough that the depth could be given back.
    arrivals.extend((0..40).map(|it| (10_000 + u64::from(it) * 20, 300 + it)));
    let (letters, _) = played(&arrivals, 550);
    // 95 ms are wanted: the first of the new talk waits for five steps.
    assert_eq!(&letters[498..507], ".......01");
    let played: String = (0..40).map(|it| char::from(b'0' + it % 10)).collect();
    assert_eq!(&letters[505..], format!("{played}cf..."));
}

#[test]
fn a_hole_that_is_no_loss_is_not_filled() {
    let arrivals = [(0, 0), (20, 1), (40, 5_000), (60, 5_001)];
    let (letters, _) = played(&arrivals, 12);
    assert_eq!(letters, "..01..01cf..");
    // Ten are the most that are made up for.
    let (letters, _) = played(&[(0, 0), (20, 1), (40, 12), (60, 13)], 17);
    assert_eq!(letters, "..01cccccccccc23c");
    let (letters, _) = played(&[(0, 0), (20, 1), (40, 13), (60, 14)], 10);
    assert_eq!(letters, "..01..34cf");
}

#[test]
fn a_restart_forgets_what_waits() {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    buffer.push(start, 70, 0, &[7]);
    buffer.push(start, 71, 960, &[7]);
    let later = start + Duration::from_millis(40);
    assert_eq!(buffer.step(later), Step::Play(vec![7]));
    buffer.restart();
    let start = later;
    buffer.push(start, 3, 0, &[3]);
    let later = start + Duration::from_millis(40);
    assert_eq!(buffer.step(later), Step::Play(vec![3]));
    assert_eq!((buffer.counts().played, buffer.counts().dropped), (2, 1));
    assert_eq!(buffer.step(later + FRAME), Step::Conceal);
    assert_eq!(buffer.step(later + 2 * FRAME), Step::FadeOut);
}

#[test]
fn a_flood_does_not_fill_the_memory_and_a_wild_clock_does_not_stop_the_sound() {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let mut number = 1u32;
    for round in 0..100_000u32 {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let at = start + Duration::from_millis(u64::from(round / 10));
        // Within what counts as the same stream, and with any timestamp.
        buffer.push(at, round + number % 64, number, &[1]);
        assert!(buffer.waiting.len() <= WAITING_MAX);
        if round % 200 == 0 {
            buffer.step(at);
        }
    }
    let counts = buffer.counts();
    assert!(counts.played > 50 && counts.dropped > 20_000, "{counts:?}");
}
