use super::*;
use crate::FRAME;
use crate::codec::{BITRATE, Cut, Encoder};
use std::f64::consts::TAU;
use std::time::Duration;

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

/// What is heard of a tone of 487 Hz whose datagrams are delayed so many milliseconds. It is heard from
/// its middle on, and breaks off there as well.
fn heard_with_delays(frames: u32, delay_ms: impl Fn(u32) -> u64) -> (Vec<f32>, Playout) {
    let start = Instant::now();
    let mut listener = Listener::new(true);
    let mut speaking = Speaking::new(1, 487.0, 0.5);
    for _ in 0..10 {
        speaking.next();
    }
    let mut arrivals: Vec<_> = (0..frames)
        .map(|frame| {
            let data = speaking.next();
            let delay = Duration::from_millis(delay_ms(frame));
            (start + FRAME * frame + delay, frame, data)
        })
        .collect();
    arrivals.sort();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut sound = Vec::new();
    for step in 0..frames + 30 {
        let now = start + FRAME * step;
        while let Some((at, sequence, data)) = arrivals.next_if(|it| it.0 <= now) {
            speaking.send(&mut listener, at, sequence, &data);
        }
        sound.extend(listener.play(now).unwrap_or([0.0; FRAME_SAMPLES]));
    }
    (sound, listener.stats()[0].playout.expect("it plays"))
}

#[test]
fn nothing_that_is_done_to_sound_clicks() {
    type Delay = fn(u32) -> u64;
    let table: [(&str, u32, Delay); 5] = [
        ("a beginning and an end", 20, |_| 0),
        ("a pause", 30, |frame| if frame < 15 { 0 } else { 120 }),
        ("depth that is given back", 500, |frame| match frame {
            0..60 => u64::from(frame % 2) * 100,
            _ => 0,
        }),
        ("a long stall", 500, |frame| match frame {
            50..120 => u64::from(120 - frame) * 20,
            _ => 0,
        }),
        ("a short one", 600, |frame| match frame {
            300..307 => u64::from(307 - frame) * 20,
            _ => 0,
        }),
    ];
    let tone = 0.5 * (TAU * 487.0 / 48_000.0) as f32;
    for (what, frames, delay_ms) in table {
        let (sound, playout) = heard_with_delays(frames, delay_ms);
        let step = loudest_step(&sound);
        assert!(step < 1.5 * tone, "{what}: {step}, {playout:?}");
        let is_shortened = playout.counts.shortened > 0;
        assert_eq!(is_shortened, frames >= 500, "{what}: {playout:?}");
    }
}

/// What is heard of a loud tone, and then, this many frames after, of a soft one by another encoder, whose numbers
/// begin anew, or go on.
fn heard_of_two(frames_between: u32, begins_anew: bool) -> Vec<f32> {
    let start = Instant::now();
    let mut listener = Listener::new(true);
    // As other clients may have it, whose encoders do nothing for a decoder that knows another.
    let encoder = || {
        let builder =
            ropus::Encoder::builder(48_000, ropus::Channels::Mono, ropus::Application::Audio);
        let builder = builder.bitrate(ropus::Bitrate::Bits(BITRATE));
        builder.build().expect("Opus has this rate")
    };
    let (mut loud, mut soft) = (encoder(), encoder());
    let said = |encoder: &mut ropus::Encoder, amplitude: f64, frame: u32| {
        let sound: [f32; FRAME_SAMPLES] = std::array::from_fn(|place| {
            let phase = f64::from(frame * 960 + place as u32) * 487.0 / 48_000.0;
            (amplitude * (TAU * phase).sin()) as f32
        });
        let mut packet = [0; 1_275];
        let len = encoder
            .encode_float(&sound, &mut packet)
            .expect("it has room");
        packet[..len].to_vec()
    };
    let speaker = Speaking::new(1, 487.0, 0.0);
    let mut sound = Vec::new();
    for frame in 0..150 {
        let now = start + FRAME * frame;
        let soft_frame = frame.checked_sub(70 + frames_between);
        match soft_frame {
            None if frame < 70 => {
                let data = said(&mut loud, 0.9, frame);
                speaker.send(&mut listener, now, frame, &data);
            }
            Some(place) if place < 40 => {
                let data = said(&mut soft, 0.05, place);
                let sequence = if begins_anew { place } else { place + 70 };
                speaker.send(&mut listener, now, sequence, &data);
            }
            _ => {}
        }
        listener.handle_timeout(now);
        sound.extend(listener.play(now).unwrap_or([0.0; FRAME_SAMPLES]));
    }
    sound
}

#[test]
fn a_new_encoder_is_heard_by_a_new_decoder_from_its_first_frame_on() {
    // At once, soon, and after a pause; and after one without numbers that begin anew.
    for (frames_between, begins_anew) in [(0, true), (5, true), (30, true), (30, false)] {
        let sound = heard_of_two(frames_between, begins_anew);
        let peak = |frames: std::ops::Range<u32>| {
            let samples =
                frames.start as usize * FRAME_SAMPLES..frames.end as usize * FRAME_SAMPLES;
            sound[samples]
                .iter()
                .fold(0.0f32, |peak, it| peak.max(it.abs()))
        };
        let what = format!("{frames_between} between, {begins_anew}");
        // Two frames late, and then some milliseconds of the other.
        let from = 73 + frames_between;
        let soft = peak(from..from + 5);
        assert!(soft < 0.07, "{what}: {soft}");
        assert!(peak(from + 20..from + 30) > 0.045, "{what}");
        let step = loudest_step(&sound);
        let tone = 0.9 * (TAU * 487.0 / 48_000.0) as f32;
        assert!(step < 1.5 * tone, "{what}: {step}");
        // All of the loud one was played.
        assert!(peak(70..72) > 0.8, "{what}");
    }
}

#[test]
fn no_end_of_sound_clicks_whatever_ends_it() {
    type Sent = fn(u32) -> Option<u32>;
    let table: [(&str, Sent); 4] = [
        ("it stops", |frame| (frame < 30).then_some(frame)),
        ("much is missing", |frame| match frame {
            30..45 => None,
            _ => Some(frame),
        }),
        ("the numbers skip some", |frame| {
            Some(if frame < 30 { frame } else { frame + 200 })
        }),
        ("the session ends", |frame| (frame < 60).then_some(frame)),
    ];
    let tone = 0.5 * (TAU * 487.0 / 48_000.0) as f32;
    for (what, sent) in table {
        let start = Instant::now();
        let mut listener = Listener::new(true);
        let mut speaking = Speaking::new(1, 487.0, 0.5);
        let mut sound = Vec::new();
        for frame in 0..80 {
            let now = start + FRAME * frame;
            let data = speaking.next();
            if let Some(sequence) = sent(frame) {
                speaking.send(&mut listener, now, sequence, &data);
            }
            if frame == 60 {
                listener.forget();
            }
            sound.extend(listener.play(now).unwrap_or([0.0; FRAME_SAMPLES]));
        }
        let step = loudest_step(&sound);
        assert!(step < 1.5 * tone, "{what}: {step} of {tone}");
    }
}

#[test]
fn frames_of_another_length_end_without_a_click() {
    let start = Instant::now();
    let mut listener = Listener::new(true);
    let mut opus =
        ropus::Encoder::builder(48_000, ropus::Channels::Mono, ropus::Application::Audio)
            .build()
            .expect("Opus has this rate");
    let mut sound = Vec::new();
    // 7 frames of 5 ms, 7 times: the last does not fill 20 ms.
    let tone = |place: usize| 0.5 * (TAU * 487.0 * place as f64 / 48_000.0).sin() as f32;
    for step in 0..40u32 {
        let now = start + FRAME * step;
        for part in 4 * step..(4 * step + 4).min(49) {
            let first = part as usize * 240;
            let frame: Vec<f32> = (first..first + 240).map(tone).collect();
            let mut packet = [0; 1_275];
            let len = opus.encode_float(&frame, &mut packet).expect("it has room");
            let voice = Voice {
                from: UserId(1),
                sequence: part,
                timestamp: part * 240,
                data: &packet[..len],
            };
            listener.hear(now, &voice, || Who::stranger(UserId(1)));
        }
        sound.extend(listener.play(now).unwrap_or([0.0; FRAME_SAMPLES]));
    }
    let peak = sound.iter().fold(0.0f32, |peak, it| peak.max(it.abs()));
    assert!(peak > 0.4, "{peak}");
    let step = loudest_step(&sound);
    assert!(step < 1.5 * 0.5 * (TAU * 487.0 / 48_000.0) as f32, "{step}");
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
