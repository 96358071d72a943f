//! Live sound in virtual time: a microphone that pauses, one that is open while nobody speaks, and a bot that
//! says what it hears.

use crate::TempFile;
use crate::measure::{Tone, decibels};
use crate::programs::{AMPLITUDE, FREQUENCY};
use crate::world::{World, speech};
use std::f64::consts::TAU;
use std::sync::mpsc::{SyncSender, sync_channel};
use voiceapp_client::codec::{BITRATE, Cut, Encoder};
use voiceapp_client::event::Event;
use voiceapp_client::gate::{Gate, THRESHOLD_DB};
use voiceapp_client::speech::{Source, Speech};
use voiceapp_client::wav::WavFile;
use voiceapp_client::{FRAME_SAMPLES, Sound};

/// Frames of a second.
const SECOND: usize = 50;

/// A microphone, which has ended when the sender is gone.
fn microphone() -> (SyncSender<Sound>, Source) {
    let (sender, sounds) = sync_channel(1_000);
    (sender, Source::live(sounds))
}

/// A frame of the tone. Its periods fit into frames.
fn tone() -> Sound {
    std::array::from_fn(|place| {
        let phase = place as f64 * FREQUENCY / 48_000.0;
        (AMPLITUDE * (TAU * phase).sin()) as f32
    })
}

/// How often somebody began to talk, and what was heard and lost of each talk.
fn talks(events: &[Event]) -> (usize, Vec<(u64, u64)>) {
    let begun = events
        .iter()
        .filter(|it| matches!(it, Event::Speaking { .. }));
    let ended = events.iter().filter_map(|it| match it {
        Event::StoppedSpeaking { heard, lost, .. } => Some((*heard, *lost)),
        _ => None,
    });
    (begun.count(), ended.collect())
}

#[test]
fn a_microphone_that_pauses_is_heard_whole_and_so_is_its_pause() {
    // As it is made, and as it comes out of a pipe that was full.
    for comes_at_once in [false, true] {
        let mut world = World::new();
        let hearer = world.enter("hearer", speech(), None);
        let speaker = world.enter("speaker", speech(), None);
        let (sender, source) = microphone();
        world.speak(speaker, source);
        for pause in [SECOND, 0] {
            for _ in 0..SECOND {
                sender.send(tone()).expect("it is listened to");
                if !comes_at_once {
                    world.step();
                }
            }
            if comes_at_once {
                world.steps(SECOND);
            }
            world.steps(pause);
        }
        drop(sender);
        world.steps(SECOND);
        let (speaker, hearer) = (&world.people[speaker], &world.people[hearer]);
        assert!(!speaker.speech.is_speaking());
        // The reserve of a microphone, and the silence that ends it.
        assert_eq!(speaker.spoken, 2 * SECOND as u64 + 3);
        let (begun, ended) = talks(&hearer.events);
        let heard: u64 = ended.iter().map(|(heard, _)| heard).sum();
        assert_eq!((begun, ended.len(), heard), (2, 2, speaker.spoken));
        assert!(ended.iter().all(|(_, lost)| *lost == 0), "{ended:?}");

        let tone = Tone::find(&hearer.sound, AMPLITUDE);
        let audible = tone.audible_seconds(AMPLITUDE);
        assert!((audible - 2.0).abs() < 0.05, "{audible} s");
        assert!((tone.seconds() - 3.0).abs() < 0.05, "{} s", tone.seconds());
        let level = |it: &f64| decibels(it / AMPLITUDE);
        let at_level = tone.windows.iter().filter(|it| level(it).abs() < 1.0);
        let at_level = at_level.count() as f64 * 0.005;
        assert!(at_level > 1.9, "{at_level} s");
        assert!(tone.windows.iter().all(|it| level(it) < 1.0));
    }
}

/// How many datagrams and bytes a microphone costs at which a second is silent, half a second is not, and a second
/// is silent again.
fn cost(gate: Gate, bitrate: u32) -> (u64, u64) {
    let mut world = World::new();
    let hearer = world.enter("hearer", speech(), None);
    let speaker = world.enter("speaker", Speech::new(bitrate, gate), None);
    let (sender, source) = microphone();
    world.speak(speaker, source);
    // As a program makes it that dithers.
    let silence: Sound = std::array::from_fn(|place| {
        let noise = (place as u32).wrapping_mul(0x9e37_79b1) >> 24;
        (f32::from(noise as u8 % 3) - 1.0) / 32_767.0
    });
    for frame in 0..5 * SECOND / 2 {
        let is_tone = (SECOND..3 * SECOND / 2).contains(&frame);
        let sound = if is_tone { tone() } else { silence };
        sender.send(sound).expect("it is listened to");
        world.step();
    }
    drop(sender);
    world.steps(SECOND);
    let spoken = world.people[speaker].spoken;
    let stats = world.people[hearer].listener.stats();
    let arrivals = stats.first().map(|it| it.arrivals).unwrap_or_default();
    assert_eq!((arrivals.datagrams, arrivals.lost), (spoken, 0));
    (spoken, arrivals.bytes)
}

#[test]
fn an_open_microphone_costs_nothing_while_nobody_speaks() {
    // Half a second of tone, as much after it, and the two that end it.
    let (datagrams, bytes) = cost(Gate::new(Some(THRESHOLD_DB), false), BITRATE);
    assert!((50..=53).contains(&datagrams), "{datagrams}");
    // Nothing is louder than the tone.
    assert_eq!(cost(Gate::new(Some(-10.0), false), BITRATE), (0, 0));
    // Without a gate all is sent: 2.5 s, the reserve, and the end, of which the silence takes 3 bytes each.
    let (datagrams, more) = cost(Gate::new(None, false), 32_000);
    assert_eq!(datagrams, 128);
    assert!(bytes > 5_000 && more < bytes, "{bytes}, {more}");
}

#[test]
fn what_is_heard_and_said_again_is_the_same_tone() {
    let mut world = World::new();
    let bot = world.enter("bot", speech(), None);
    let person = world.enter("person", speech(), None);
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 1.0);
    let source = WavFile::open(&file.0).expect("it was written");
    world.speak(person, Source::Wav(Box::new(source)));
    let mut encoder = Encoder::new(BITRATE);
    for _ in 0..3 * SECOND {
        world.step();
        let now = world.now;
        let bot = &mut world.people[bot];
        // From a second ago on.
        if let Some(from) = bot.sound.len().checked_sub((SECOND + 1) * FRAME_SAMPLES) {
            let sound = bot.sound[from..from + FRAME_SAMPLES].try_into();
            let sound: Sound = sound.expect("it has that length");
            let is_sound = sound.iter().any(|it| *it != 0.0);
            let said = encoder.next(is_sound.then_some((&sound, Cut::No)));
            if let Some(packet) = said {
                bot.session.speak(now, &packet);
            }
        }
    }
    let tone = Tone::find(&world.people[person].sound, AMPLITUDE);
    assert!((tone.frequency - FREQUENCY).abs() < 0.5, "{tone:?}");
    let level = decibels(tone.amplitude / AMPLITUDE);
    assert!(level.abs() < 1.5, "{level} dB");
    let audible = tone.audible_seconds(AMPLITUDE);
    assert!((audible - 1.0).abs() < 0.05, "{audible} s");
    // Heard for a second, and then said for a second: before, there was silence.
    assert!(tone.start > 48_000, "{}", tone.start);
}
