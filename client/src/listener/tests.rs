//! Everyone who speaks, in one mix: what is counted of each, who is remembered, and in a module of its own
//! that no beginning, end or change of sound clicks.

use super::*;
use crate::FRAME;
use crate::codec::{BITRATE, Cut, Encoder};
use std::f64::consts::TAU;
use std::time::Duration;

mod clicks;

/// Somebody who speaks a tone.
struct Speaking {
    id: UserId,
    frequency: f64,
    amplitude: f64,
    encoder: Encoder,
    sequence: u32,
}

impl Speaking {
    fn new(id: u64, frequency: f64, amplitude: f64) -> Self {
        Speaking {
            id: UserId(id),
            frequency,
            amplitude,
            encoder: Encoder::new(BITRATE),
            sequence: 0,
        }
    }

    /// Says the next 20 ms, which is encoded.
    fn next(&mut self) -> Vec<u8> {
        let first = self.sequence as usize * FRAME_SAMPLES;
        let sound = std::array::from_fn(|place| {
            let phase = (first + place) as f64 * self.frequency / 48_000.0;
            (self.amplitude * (TAU * phase).sin()) as f32
        });
        self.sequence += 1;
        self.encoder
            .next(Some((&sound, Cut::No)))
            .expect("it is said")
    }

    fn send(
        &self,
        listener: &mut Listener,
        at: Instant,
        sequence: u32,
        data: &[u8],
    ) -> Option<Event> {
        let voice = Voice {
            from: self.id,
            sequence,
            timestamp: sequence.wrapping_mul(960),
            data,
        };
        listener.hear(at, &voice, || Who::stranger(self.id))
    }
}

/// Plays so many frames while all of these speak, and as many in silence.
fn played(listener: &mut Listener, all: &mut [Speaking], frames: u32) -> Vec<f32> {
    let start = Instant::now();
    let mut sound = Vec::new();
    for frame in 0..2 * frames {
        let now = start + FRAME * frame;
        for speaking in all.iter_mut().filter(|_| frame < frames) {
            let data = speaking.next();
            speaking.send(listener, now, speaking.sequence - 1, &data);
        }
        sound.extend(listener.play(now).unwrap_or([0.0; FRAME_SAMPLES]));
    }
    sound
}

/// The amplitude of a tone in a sound that has a whole number of its periods.
fn amplitude(sound: &[f32], frequency: f64) -> f64 {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (place, sample) in sound.iter().enumerate() {
        let phase = TAU * frequency * place as f64 / 48_000.0;
        sine += f64::from(*sample) * phase.sin();
        cosine += f64::from(*sample) * phase.cos();
    }
    2.0 * sine.hypot(cosine) / sound.len() as f64
}

fn loudest_step(sound: &[f32]) -> f32 {
    let steps = sound.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    steps.fold(0.0, f32::max)
}

#[test]
fn everyone_is_mixed_and_nothing_is_clipped() {
    let table = [(0.3, 0.2, 0.3, 0.2), (0.9, 0.9, 0.5, 0.5)];
    for (first, second, least_first, least_second) in table {
        let mut listener = Listener::new(true);
        let mut all = [
            Speaking::new(1, 500.0, first),
            Speaking::new(2, 1_200.0, second),
        ];
        let sound = played(&mut listener, &mut all, 50);
        let middle = &sound[20 * FRAME_SAMPLES..45 * FRAME_SAMPLES];
        let found = [500.0, 1_200.0].map(|hz| amplitude(middle, hz));
        assert!(
            found[0] > 0.95 * least_first && found[1] > 0.95 * least_second,
            "{found:?}"
        );
        assert!(sound.iter().all(|it| it.abs() <= 1.0));
        assert!(sound[70 * FRAME_SAMPLES..].iter().all(|it| *it == 0.0));
    }
}

#[test]
fn duplicates_are_played_once() {
    let start = Instant::now();
    let mut listener = Listener::new(true);
    let speaking = Speaking::new(1, 500.0, 0.5);
    for frame in 0..10 {
        let now = start + FRAME * frame;
        let was_new = speaking.send(&mut listener, now, frame, b"voice").is_some();
        assert_eq!(was_new, frame == 0);
        speaking.send(&mut listener, now, frame / 2, b"voice");
        listener.play(now);
    }
    let heard = &listener.stats()[0];
    assert_eq!(heard.arrivals.duplicates, 10);
    let counts = heard.playout.expect("it plays").counts;
    assert_eq!((counts.late, counts.played), (0, 8));
}

#[test]
fn who_starts_again_is_heard_again() {
    let start = Instant::now();
    let mut listener = Listener::new(true);
    let speaking = Speaking::new(1, 500.0, 0.5);
    for (frame, sequence) in (0..).zip((5_000..5_010).chain(0..10)) {
        let now = start + FRAME * frame;
        speaking.send(&mut listener, now, sequence, b"voice");
        listener.play(now);
    }
    let heard = &listener.stats()[0];
    assert_eq!(heard.arrivals.restarts, 1);
    let counts = heard.playout.expect("it plays").counts;
    // Those that waited when it began anew were played first, and two are waiting now.
    assert_eq!((counts.played, counts.dropped, counts.late), (18, 0, 0));
}

#[test]
fn news_of_people_say_where_a_gap_is_no_loss() {
    let who = || Who::stranger(UserId(1));
    let mute = |is_muted| Event::Muted {
        who: who(),
        is_muted,
    };
    let table = [
        (Event::JoinedVoice { who: who() }, 0),
        (mute(false), 0),
        (Event::YouJoinedVoice { already: false }, 0),
        // Nothing has been left out yet, or nothing has changed.
        (Event::LeftVoice { who: who() }, 9),
        (Event::LeftServer { who: who() }, 9),
        (mute(true), 9),
        (Event::YouJoinedVoice { already: true }, 9),
    ];
    for (event, lost) in table {
        let now = Instant::now();
        let mut listener = Listener::new(false);
        let speaking = Speaking::new(1, 500.0, 0.5);
        speaking.send(&mut listener, now, 0, b"voice");
        listener.handle_event(&event);
        speaking.send(&mut listener, now, 10, b"voice");
        assert_eq!(listener.stats()[0].arrivals.lost, lost, "{event:?}");
    }
}

#[test]
fn who_is_named_after_the_first_word_has_that_name() {
    let now = Instant::now();
    let mut listener = Listener::new(true);
    let speaking = Speaking::new(1, 500.0, 0.5);
    speaking.send(&mut listener, now, 0, b"voice");
    let who = Who {
        name: "ann".to_owned(),
        ..Who::stranger(speaking.id)
    };
    listener.handle_event(&Event::JoinedServer { who: who.clone() });
    assert_eq!(listener.stats()[0].who, who);
}

#[test]
fn who_has_left_is_played_to_the_end_and_forgotten_for_others() {
    let mut now = Instant::now();
    let mut listener = Listener::new(true);
    let count = KNOWN_MAX as u64 + 10;
    for id in 1..=count {
        let speaking = Speaking::new(id, 500.0, 0.5);
        speaking.send(&mut listener, now, 0, b"voice");
        let who = Who::stranger(speaking.id);
        listener.handle_event(&Event::LeftServer { who });
        for _ in 0..30 {
            listener.handle_timeout(now);
            listener.play(now);
            now += FRAME;
        }
        let heard = listener.stats().into_iter();
        let heard = heard.last().expect("it is remembered");
        let playout = heard.playout.expect("it was played");
        assert_eq!(heard.who.user_id, id);
        assert_eq!((playout.is_playing, playout.counts.played), (false, 1));
        assert!(listener.speakers[&UserId(id)].player.is_none());
    }
    assert_eq!(listener.speakers.len(), 10);
    assert_eq!(listener.unheard(), 0);
}

#[test]
fn strangers_without_end_cost_no_more_than_some_and_are_counted() {
    let start = Instant::now();
    let mut listener = Listener::new(true);
    let decoders = |listener: &Listener| {
        let players = listener
            .speakers
            .values()
            .filter_map(|it| it.player.as_ref());
        players.filter(|it| it.decoder.is_some()).count()
    };
    let mut now = start;
    for frame in 0..100 {
        now = start + FRAME * frame;
        for place in 0..100 {
            let speaking = Speaking::new(u64::from(1 + 100 * frame + place), 500.0, 0.5);
            speaking.send(&mut listener, now, 0, b"voice");
        }
        listener.handle_timeout(now);
        listener.play(now);
        assert!(listener.speakers.len() <= 200);
        assert!(decoders(&listener) <= 64);
    }
    let heard: u64 = listener
        .stats()
        .iter()
        .map(|it| it.arrivals.datagrams)
        .sum();
    assert!(listener.unheard() + heard <= 10_000 && listener.unheard() > 9_000);
    // Once they are silent, any speaker is heard.
    for frame in 100..150 {
        now = start + FRAME * frame;
        listener.handle_timeout(now);
        listener.play(now);
    }
    assert_eq!(decoders(&listener), 0, "nobody is played");
    let unheard = listener.unheard();
    let speaking = Speaking::new(1_000_000, 500.0, 0.5);
    assert!(speaking.send(&mut listener, now, 0, b"voice").is_some());
    assert_eq!(listener.unheard(), unheard);
}
