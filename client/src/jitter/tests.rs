//! What a jitter buffer plays of what comes, step by step: by the vectors, and of networks that are rough, stall or
//! flood.

use super::*;
use std::fmt::Write as _;
use std::time::Duration;

/// One that comes, in milliseconds of arrival and of timestamp.
#[derive(Clone, Copy)]
struct Coming {
    ms: u64,
    sequence: u32,
    timestamp_ms: u32,
    is_first: bool,
}

impl Coming {
    fn new(ms: u64, sequence: u32) -> Self {
        Coming {
            ms,
            sequence,
            timestamp_ms: sequence.wrapping_mul(20),
            is_first: false,
        }
    }
}

/// Plays what comes, and gives the steps as `vectors.txt` writes them.
fn played(coming: &[Coming], steps: u64, is_quiet: impl Fn(u64) -> bool) -> (String, JitterBuffer) {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let mut coming = coming.iter().peekable();
    let mut letters = String::new();
    let digit = |it: &Datagram| char::from(b'0' + it.data[0]);
    for step in 0..steps {
        let now_ms = step * 20;
        while let Some(it) = coming.next_if(|it| it.ms <= now_ms) {
            let at = start + Duration::from_millis(it.ms);
            let data = [(it.sequence % 10) as u8];
            let timestamp = it.timestamp_ms.wrapping_mul(48);
            buffer.push(at, (it.sequence, timestamp), it.is_first, &data);
        }
        match buffer.step(start + Duration::from_millis(now_ms), is_quiet(step)) {
            Step::Silence => letters.push('.'),
            Step::Play(datagram) => letters.push(digit(&datagram)),
            Step::Conceal => letters.push('c'),
            Step::Merge(datagrams) => {
                let digits: String = datagrams.iter().map(digit).collect();
                let _ = write!(letters, "({digits})");
            }
        }
    }
    (letters, buffer)
}

fn numbers(text: &str) -> Vec<u64> {
    let numbers = text.split_whitespace();
    numbers.map(|it| it.parse().expect("a number")).collect()
}

/// The arrivals of a case, in the order in which they come.
fn arrivals(text: &str) -> Vec<Coming> {
    let mut coming = Vec::new();
    for item in text.split_whitespace() {
        let is_first = item.starts_with('!');
        let item = item.trim_start_matches('!');
        let (one, repeated) = item.split_once('*').unwrap_or((item, "1"));
        let (count, every_ms) = repeated.split_once('@').unwrap_or((repeated, "20"));
        let (ms, number) = one.split_once(':').expect("a colon");
        let (sequence, timestamp) = number.split_once('/').unwrap_or((number, ""));
        let number = |text: &str| text.parse::<u32>().expect("a number");
        let from = Coming::new(number(ms).into(), number(sequence));
        let timestamp_ms = match timestamp {
            "" => from.timestamp_ms,
            given => number(given),
        };
        for place in 0..number(count) {
            coming.push(Coming {
                ms: from.ms + u64::from(place * number(every_ms)),
                sequence: from.sequence.wrapping_add(place),
                timestamp_ms: timestamp_ms.wrapping_add(place * 20),
                is_first: is_first && place == 0,
            });
        }
    }
    coming.sort_by_key(|it| it.ms);
    coming
}

#[test]
fn the_steps_are_those_of_the_vectors() {
    let text = include_str!("vectors.txt");
    let (mut cases, mut wrong) = (0, String::new());
    for case in text.split("\n\n").skip(1) {
        let (name, rest) = case.trim().split_once('\n').expect("a name and lines");
        let mut lines = BTreeMap::<&str, String>::new();
        let mut key = "";
        for line in rest.lines() {
            let (first, more) = line.trim().split_once("  ").unwrap_or(("", line));
            if !first.is_empty() {
                key = first;
            }
            *lines.entry(key).or_default() += &format!(" {more}");
        }
        let repeated = lines["steps"].split_whitespace().map(|steps| {
            let (steps, count) = steps.split_once('*').unwrap_or((steps, "1"));
            steps.repeat(count.parse().expect("a count"))
        });
        let expected: String = repeated.collect();
        let quiet = lines.get("quiet").map_or(0..0, |range| {
            let (from, to) = range.trim().split_once('-').expect("from-to");
            from.parse().expect("a step")..to.parse().expect("a step")
        });
        // What is in brackets is one step.
        let (mut steps, mut depth) = (0, 0);
        for letter in expected.chars() {
            match letter {
                '(' => depth = 1,
                ')' => (steps, depth) = (steps + 1, 0),
                _ => steps += 1 - depth,
            }
        }
        let coming = arrivals(&lines["arrivals"]);
        let (letters, buffer) = played(&coming, steps, |step| quiet.contains(&step));
        let it = buffer.counts();
        let counts = [
            it.played,
            it.late,
            it.concealed,
            it.stretched,
            it.shortened,
            it.dropped,
        ];
        if letters != expected || counts != *numbers(&lines["counts"]) {
            let _ = writeln!(wrong, "{name}: {letters} {counts:?} is not {expected}");
        }
        cases += 1;
    }
    assert!(wrong.is_empty() && cases > 10, "{cases} cases\n{wrong}");
}

/// One that was spoken every 20 ms, with what `delay_ms` says for each; None is lost.
fn spoken(count: u32, delay_ms: impl Fn(u32) -> Option<u64>) -> Vec<Coming> {
    let coming = |place: u32| Some(Coming::new(u64::from(place) * 20 + delay_ms(place)?, place));
    let mut all: Vec<_> = (0..count).filter_map(coming).collect();
    all.sort_by_key(|it| it.ms);
    all
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
        let (_, buffer) = played(&spoken(count, delay_ms), u64::from(count), |_| false);
        buffer.depth_ms()
    };
    assert_eq!(depth_after(499), 40);
    let rough = depth_after(999);
    assert!((70..=100).contains(&rough), "{rough}");
    assert!(depth_after(2_000) <= 60);

    let (letters, buffer) = played(&spoken(2_000, delay_ms), 2_050, |_| false);
    let counts = buffer.counts();
    // While it learns, some may be late; of the 500 rough ones hardly any.
    assert!(counts.late <= 15, "{counts:?}");
    assert_eq!(counts.played + counts.late, 2_000);
    assert!(counts.stretched >= 2 && counts.shortened >= 1, "{counts:?}");
    assert_eq!(letters.matches('(').count() as u64, counts.shortened);
    // Nothing was concealed without a reason: it was late, or time was to be gained.
    assert!(
        counts.concealed <= counts.late + counts.stretched,
        "{counts:?}"
    );
}

#[test]
fn the_next_talk_starts_as_deep_as_the_last_one_ended() {
    let mut coming = spoken(300, |place| Some(u64::from(place % 4) * 25));
    // It goes on for long enough that the depth could be given back.
    coming.extend((0..40).map(|it| Coming::new(10_000 + u64::from(it) * 20, 300 + it)));
    let (letters, _) = played(&coming, 550, |_| false);
    // 95 ms are wanted: the first of the new talk waits for five steps.
    assert_eq!(&letters[498..507], ".......01");
    let played: String = (0..40).map(|it| char::from(b'0' + it % 10)).collect();
    assert_eq!(&letters[505..], format!("{played}c...."));
}

/// What is played of a speech of 20 s through a network that stands still from 5 s on, for so long: the depth at
/// each step that plays something.
fn depths_after_stall(stall_ms: u64, is_quiet: impl Fn(u64) -> bool) -> Vec<(u64, u32)> {
    let start = Instant::now();
    let held_until = 5_000 + stall_ms;
    let coming = spoken(1_000, |place| {
        let said_ms = u64::from(place) * 20;
        let is_held = (5_000..held_until).contains(&said_ms);
        Some(if is_held { held_until - said_ms } else { 0 })
    });
    let mut coming = coming.iter().peekable();
    let mut buffer = JitterBuffer::new();
    let mut depths = Vec::new();
    for step in 0..1_000 {
        let now = start + Duration::from_millis(step * 20);
        while let Some(it) = coming.next_if(|it| it.ms <= step * 20) {
            let at = start + Duration::from_millis(it.ms);
            buffer.push(at, (it.sequence, it.sequence * 960), false, &[1]);
        }
        if matches!(
            buffer.step(now, is_quiet(step)),
            Step::Play(_) | Step::Merge(_)
        ) {
            depths.push((step * 20, buffer.depth_ms()));
        }
    }
    depths
}

#[test]
fn what_a_network_held_up_for_long_is_not_played_late() {
    for stall_ms in [180, 400, 700, 1_500, 4_000] {
        let depths = depths_after_stall(stall_ms, |_| false);
        let after = |ms: u64| {
            let late = depths.iter().filter(|(at, _)| *at >= 5_000 + stall_ms + ms);
            late.map(|(_, depth)| *depth).max().expect("it goes on")
        };
        // No longer a stall than the greatest depth teaches a depth, for as long as it is remembered.
        let learnt = if stall_ms > 500 { 0 } else { stall_ms as u32 };
        assert!(after(300) <= 60 + learnt, "{stall_ms}: {}", after(300));
        assert!(after(6_000) <= 60, "{stall_ms}: {}", after(6_000));
    }
}

#[test]
fn what_is_far_too_deep_is_cut_where_it_is_quiet() {
    // A stall of 0.4 s teaches a depth, and once that is forgotten, 5 s later, it is far too much.
    let depth_at = |depths: &[(u64, u32)], ms: u64| {
        let at = depths.iter().find(|(at, _)| *at >= ms);
        at.expect("it goes on").1
    };
    let loud = depths_after_stall(400, |_| false);
    let mut cuts = loud.windows(2).filter(|it| it[1].1 + 60 < it[0].1);
    let cut_at = cuts.next_back().expect("it is cut")[1].0;
    assert!((10_200..10_800).contains(&cut_at), "{cut_at}");
    let quiet = depths_after_stall(400, |step| step == cut_at / 20 - 6);
    let depths = [&quiet, &loud].map(|it| depth_at(it, cut_at - 100));
    assert!(depths[0] + 80 <= depths[1], "{depths:?}");
}

#[test]
fn each_talk_and_each_stream_is_a_run_of_its_own() {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let mut runs = Vec::new();
    let mut step = |buffer: &mut JitterBuffer, ms: u64| {
        if let Step::Play(it) = buffer.step(start + Duration::from_millis(ms), false) {
            runs.push((it.run, it.data[0]));
        }
    };
    let at = |ms| start + Duration::from_millis(ms);
    buffer.push(at(0), (70, 7_000), false, &[70]);
    buffer.push(at(20), (71, 7_960), false, &[71]);
    step(&mut buffer, 40);
    // It is early, and its second overtakes its first.
    buffer.push(at(50), (1, 960), true, &[1]);
    buffer.push(at(51), (0, 0), false, &[0]);
    for ms in [60, 80, 100, 120, 140] {
        step(&mut buffer, ms);
    }
    for ms in (160..500).step_by(20) {
        step(&mut buffer, ms);
    }
    buffer.push(at(600), (2, 1_920), false, &[2]);
    for ms in (600..800).step_by(20) {
        step(&mut buffer, ms);
    }
    assert_eq!(runs, [(1, 70), (1, 71), (2, 1), (3, 2)]);
    assert_eq!(buffer.counts().late, 1, "the other's turn was over");
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
        buffer.push(at, (round + number % 64, number), false, &[1]);
        assert!(buffer.waiting.len() <= WAITING_MAX);
        if round % 200 == 0 {
            buffer.step(at, false);
        }
    }
    let counts = buffer.counts();
    assert!(counts.played > 50 && counts.dropped > 10_000, "{counts:?}");
}
