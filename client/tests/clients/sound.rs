//! Voice through the terminal client and a server, in real time. How soon anything comes is up to the machine,
//! and so is what a listener can make of it. So these tests expect what is true at any speed: that each datagram is
//! counted, that files are whole, and that the tone is in them. How it sounds is for `story` and `live`, which have
//! a time of their own.

use crate::measure::has_tone;
use crate::programs::{AMPLITUDE, Client, FREQUENCY, await_end, number, voiceapp};
use crate::proxy::Proxy;
use crate::{Running, TempFile};
use serde_json::Value;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;

/// Has a client speak a file, and waits for its end.
fn speak(server: &Running, file: &TempFile) {
    let path = file.0.to_str().expect("it is plain");
    let speaker = Client::start(server, "speaker", &["--speak", path]);
    assert!(speaker.end().success());
}

/// What is true of so many datagrams of the tone at any speed, and of what was recorded of them. Ends the client.
fn assert_recorded(mut listener: Client, recording: &TempFile, datagrams: usize) -> Value {
    let stats = listener.heard("speaker", datagrams);
    assert_eq!(number(&stats["datagrams"]), datagrams as u64);
    let fates = ["played", "late", "dropped"].map(|it| number(&stats["playout"][it]));
    assert_eq!(fates.iter().sum::<u64>(), datagrams as u64, "{stats}");
    drop(listener.stdin.take());
    let recorded = listener.await_event("recorded", None);
    assert!(listener.end().success());
    let sound = recording.samples();
    let seconds = recorded["seconds"].as_f64().expect("it is a number");
    assert_eq!((seconds * 48_000.0).round() as usize, sound.len());
    assert!(has_tone(&sound, FREQUENCY, AMPLITUDE), "{stats}");
    stats
}

#[test]
fn two_record_what_one_speaks() {
    let server = Running::start();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 1.5);
    let recordings = [TempFile::new(), TempFile::new()];
    let listeners = [0, 1].map(|place: usize| {
        let path = recordings[place].0.to_str().expect("it is plain");
        let mut listener = Client::start(&server, "listener", &["--record", path]);
        listener.await_voice();
        listener
    });
    speak(&server, &file);
    for (listener, recording) in listeners.into_iter().zip(&recordings) {
        // Two more are the silence that ends it.
        let stats = assert_recorded(listener, recording, 77);
        assert_eq!(number(&stats["lost"]), 0);
    }
}

#[test]
fn losses_on_the_way_are_counted() {
    let server = Running::start();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 3.0);
    let recordings = [TempFile::new(), TempFile::new()];
    let listeners = [7, 8].map(|seed: u64| {
        let proxy = Proxy::start(server.udp_port, seed);
        let path = recordings[seed as usize - 7]
            .0
            .to_str()
            .expect("it is plain");
        let options = ["--record", path];
        let mut listener = Client::start_at(&server.invitation(), proxy.port, "listener", &options);
        listener.await_voice();
        (listener, proxy)
    });
    speak(&server, &file);
    for ((listener, proxy), recording) in listeners.into_iter().zip(&recordings) {
        let fate = proxy.fate_of(152);
        assert!(fate.lost.len() > 1);
        let stats = assert_recorded(listener, recording, fate.delivered.len());
        assert_eq!(number(&stats["lost"]), fate.noticeable_losses());
        assert_eq!(number(&stats["reordered"]), fate.overtaken());
    }
}

/// A tone as raw sound: 16 bits, little-endian.
pub fn raw_tone(seconds: f64) -> Vec<u8> {
    let sample = |place: u32| {
        let phase = f64::from(place) * FREQUENCY / 48_000.0 * std::f64::consts::TAU;
        ((AMPLITUDE * phase.sin() * 32_767.0) as i16).to_le_bytes()
    };
    (0..(seconds * 48_000.0) as u32).flat_map(sample).collect()
}

#[test]
fn pipes_make_a_telephone_that_stands_pauses() {
    let server = Running::start();
    let mut hearer = Client::start(&server, "hearer", &["--listen", "-"]);
    hearer.await_voice();
    let mut sound = hearer.sound.take().expect("it is sound");
    let heard = thread::spawn(move || {
        let mut bytes = Vec::new();
        sound.read_to_end(&mut bytes).expect("it is a pipe");
        bytes
    });
    let mut speaker = Client::start(&server, "speaker", &["--speak", "-", "--listen", "-"]);
    let mut microphone = speaker.stdin.take().expect("it is piped");
    // Nobody reads what the speaker hears: that must not stop what is said.
    for _ in 0..2 {
        microphone.write_all(&raw_tone(1.01)).expect("it reads");
        hearer.await_event("speaking", Some("speaker"));
        hearer.await_event("stopped_speaking", Some("speaker"));
    }
    drop(microphone);
    let ended = speaker.await_event("speech_ended", None);
    // Two seconds, the reserve of a microphone, and the silence that ends it; and what a machine that is slow makes
    // of it, as a microphone that comes late is taken for a slow one.
    let datagrams = number(&ended["datagrams"]);
    assert!((98..=112).contains(&datagrams), "{datagrams}");
    assert!(speaker.end().success());
    assert!(hearer.end().success());

    let bytes = heard.join().expect("it does not panic");
    let samples = bytes.chunks_exact(2);
    let samples: Vec<f32> = samples
        .map(|it| f32::from(i16::from_le_bytes([it[0], it[1]])) / 32_767.0)
        .collect();
    assert!(has_tone(&samples, FREQUENCY, AMPLITUDE));
}

#[test]
fn an_open_microphone_costs_nothing_while_nobody_speaks() {
    let server = Running::start();
    let recording = TempFile::new();
    let path = recording.0.to_str().expect("it is plain");
    let mut hearer = Client::start(&server, "hearer", &["--record", path]);
    hearer.await_voice();
    // As a program makes it that dithers.
    let silence = |seconds: f64| {
        let samples = 0..(seconds * 48_000.0) as u32;
        let noise = samples.map(|it| (it.wrapping_mul(0x9e37_79b1) >> 24) as i16 % 3 - 1);
        noise.flat_map(i16::to_le_bytes).collect::<Vec<u8>>()
    };
    let speak = |name: &str, options: &[&str]| {
        let options = [&["--speak", "-"], options].concat();
        let mut speaker = Client::start(&server, name, &options);
        let mut microphone = speaker.stdin.take().expect("it is piped");
        for sound in [silence(1.0), raw_tone(0.5), silence(1.0)] {
            microphone.write_all(&sound).expect("it reads");
        }
        drop(microphone);
        let ended = speaker.await_event("speech_ended", None);
        assert!(speaker.end().success());
        number(&ended["datagrams"])
    };
    // Half a second of tone, as much after it, and the two that end it. A slow machine makes some more or less.
    let datagrams = speak("ann", &[]);
    assert!((45..=60).contains(&datagrams), "{datagrams}");
    let stats = hearer.heard("ann", datagrams as usize);
    assert_eq!(number(&stats["lost"]), 0);
    let bytes = number(&stats["bytes"]);
    // Nothing is louder than the tone.
    assert_eq!(speak("bob", &["--voice-activation", "-10"]), 0);
    // Without it all is sent: 2.5 s, the reserve, and the end, of which the silence takes 3 bytes each.
    let datagrams = speak("carol", &["--voice-activation", "off", "--bitrate", "32"]);
    assert!((120..=136).contains(&datagrams), "{datagrams}");
    let more = number(&hearer.heard("carol", datagrams as usize)["bytes"]);
    assert!(bytes > 5_000 && more < bytes, "{bytes}, {more}");
}

#[test]
fn who_hangs_up_ends_the_client() {
    let server = Running::start();
    let mut hearer = Client::start(&server, "hearer", &["--listen", "-"]);
    hearer.await_voice();
    drop(hearer.sound.take());
    hearer.await_event("listener_lost", None);
    assert!(await_end(&mut hearer.child).success());
}

#[cfg(unix)]
#[test]
fn who_does_not_read_holds_up_nobody() {
    let server = Running::start();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 0.5);
    let recording = TempFile::new();
    let path = recording.0.to_str().expect("it is plain");
    let mut listener = Client::start(&server, "listener", &["--record", path]);
    listener.await_voice();
    let mut speaker = voiceapp()
        .args(["--name", "speaker"])
        .args(["--server", &server.invitation()])
        .args(["--voice-port", &server.udp_port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut stdin = speaker.stdin.take().expect("it is piped");
    // More than a pipe and the client itself hold for somebody who reads later.
    let flood = "/help\n".repeat(1_000);
    let script = format!("{flood}/join\n/play {}\n", file.0.display());
    stdin.write_all(script.as_bytes()).expect("it reads");
    let heard = listener.heard("speaker", 25);
    assert_eq!(number(&heard["lost"]), 0);
    assert!(speaker.try_wait().expect("it is ours").is_none());
    let id = nix::unistd::Pid::from_raw(speaker.id() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::SIGTERM).expect("it is there");
    assert!(await_end(&mut speaker).success());
    assert!(listener.end().success());
}
