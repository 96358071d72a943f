//! Sound that begins, ends, jumps or changes its encoder has no click in it: no step between two samples that is
//! much greater than the steepest of the tone.

use super::*;

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
