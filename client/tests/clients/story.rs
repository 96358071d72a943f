//! One client speaks and two listen, in virtual time: what they hear of a tone over a perfect network, and over
//! one that loses, delays and reorders.

use crate::TempFile;
use crate::measure::{Tone, decibels};
use crate::programs::{AMPLITUDE, FREQUENCY};
use crate::proxy::{BadNetwork, Fate};
use crate::world::{World, speech};
use voiceapp_client::FRAME_SAMPLES;
use voiceapp_client::event::Heard;
use voiceapp_client::jitter::Counts;
use voiceapp_client::speech::Source;
use voiceapp_client::wav::{Recording, WavFile};

/// What a listener has of it in the end.
struct Outcome {
    sound: Vec<f32>,
    heard: Heard,
    fate: Fate,
}

/// One speaks a tone of so many seconds, and leaves. The others record over a network with this seed,
/// or a perfect one, until a second after.
fn told(seconds: f64, seeds: [Option<u64>; 2]) -> [Outcome; 2] {
    let mut world = World::new();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, seconds);
    let source = WavFile::open(&file.0).expect("it was written");
    let speaker = world.enter("speaker", speech(), None);
    let listeners = seeds.map(|seed| world.enter("listener", speech(), seed.map(BadNetwork::new)));
    world.speak(speaker, Source::Wav(Box::new(source)));
    while world.people[speaker].speech.is_speaking() {
        world.step();
    }
    let now = world.now;
    world.people[speaker].session.leave(now);
    world.steps(50);
    listeners.map(|place| {
        let person = &mut world.people[place];
        Outcome {
            sound: recorded(&person.sound),
            heard: person.heard(),
            fate: person.network.take().map(|it| it.fate).unwrap_or_default(),
        }
    })
}

/// The sound as it is read from a recording of it.
fn recorded(sound: &[f32]) -> Vec<f32> {
    let file = TempFile::new();
    let mut recording = Recording::create(&file.0).expect("it is a folder for that");
    for frame in sound.chunks_exact(FRAME_SAMPLES) {
        let frame = frame.try_into().expect("it has that length");
        recording.write(frame).expect("there is room");
    }
    recording.finish().expect("there is room");
    let samples = file.samples();
    assert_eq!(samples.len(), sound.len());
    samples
}

/// After the tone the frames that end it have nothing that could be heard, and after them, and what a limiter
/// and a codec hold back, there is nothing at all.
fn assert_nothing_after(sound: &[f32], tone: &Tone) {
    let after = &sound[tone.end + FRAME_SAMPLES..];
    assert!(after.len() > 40 * FRAME_SAMPLES);
    let loudest = after.iter().fold(0.0f32, |peak, it| peak.max(it.abs()));
    assert!(loudest < 0.002, "{loudest}");
    assert!(after[6 * FRAME_SAMPLES..].iter().all(|it| *it == 0.0));
}

#[test]
fn a_tone_is_recorded_as_it_was_spoken() {
    for outcome in told(2.5, [None, None]) {
        let tone = Tone::find(&outcome.sound, AMPLITUDE);
        assert!((tone.frequency - FREQUENCY).abs() < 0.5, "{tone:?}");
        let level = decibels(tone.amplitude / AMPLITUDE);
        assert!(level.abs() < 1.0, "{level} dB");
        // All along, and not only on average.
        let windows = &tone.windows[4..tone.windows.len() - 4];
        assert!(
            windows
                .iter()
                .all(|it| decibels(it / AMPLITUDE).abs() < 1.0),
            "{windows:?}"
        );
        assert!((tone.seconds() - 2.5).abs() < 0.04, "{} s", tone.seconds());
        assert_nothing_after(&outcome.sound, &tone);

        let arrivals = outcome.heard.arrivals;
        let playout = outcome.heard.playout.expect("it was played");
        // Two more are the silence that ends it, and nothing was made up or dropped.
        assert_eq!((arrivals.datagrams, arrivals.lost), (127, 0));
        let expected = Counts {
            played: 127,
            ..Counts::default()
        };
        assert_eq!(playout.counts, expected);
        assert_eq!(playout.depth_ms, 40);
    }
}

#[test]
fn a_bad_network_leaves_a_tone_without_gaps_and_losses_that_are_counted() {
    let mut late = 0;
    for seed in [1, 2, 3] {
        for outcome in told(6.0, [Some(seed), Some(seed + 100)]) {
            let (arrivals, fate) = (outcome.heard.arrivals, &outcome.fate);
            let counts = outcome.heard.playout.expect("it was played").counts;
            assert!(fate.lost.len() > 3 && fate.overtaken() > 50);
            assert_eq!(arrivals.lost, fate.noticeable_losses());
            assert_eq!(arrivals.reordered, fate.overtaken());
            assert_eq!(arrivals.datagrams, fate.delivered.len() as u64);
            assert_eq!(counts.played + counts.late, arrivals.datagrams);
            // Each that was missing in its turn, and then some for depth and the end.
            let missing = arrivals.lost + counts.late;
            assert!(counts.concealed >= missing, "{counts:?}, {missing} missing");
            assert!(counts.concealed <= missing + counts.stretched, "{counts:?}");
            late += counts.late;

            let tone = Tone::find(&outcome.sound, AMPLITUDE);
            assert!(
                (tone.frequency - FREQUENCY).abs() < 2.0,
                "{}",
                tone.frequency
            );
            let level = decibels(tone.amplitude / AMPLITUDE);
            assert!(level.abs() < 1.0, "{level} dB");
            let windows = &tone.windows[4..tone.windows.len() - 4];
            // Without concealment, 5 of a hundred would be; three losses in a row are too much for it.
            let gaps = windows.iter().filter(|it| decibels(*it / AMPLITUDE) < -6.0);
            let gaps = gaps.count();
            assert!(
                gaps * 50 <= windows.len(),
                "{gaps} gaps in {}",
                windows.len()
            );
            // The last two are the silence that ends it.
            let frames = fate.span() + counts.stretched - counts.shortened - 2;
            let expected = 0.02 * frames as f64;
            assert!(
                (tone.seconds() - expected).abs() < 0.06,
                "{} s, {counts:?}, lost {:?}",
                tone.seconds(),
                fate.lost
            );
            assert_nothing_after(&outcome.sound, &tone);
        }
    }
    assert!(late < 6 * 3, "{late} late: it does not learn");
}
