//! The load generator: what it says of a server that other people use too, or that does not let a
//! crowd in, and what it says of its plot.

#![cfg(target_os = "linux")]

use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use voiceapp_protocol::{FrameBuffer, Packet, UserId, VoiceToken};
use voiceapp_testkit::server::Config;
use voiceapp_testkit::server::config::TlsUse;
use voiceapp_testkit::{Limits, PATIENCE, Running, TempFile};

fn crowd(server: &Running, options: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crowd"))
        .args(["--server", &format!("127.0.0.1:{}", server.tcp_port)])
        .args(["--voice-port", &server.udp_port.to_string()])
        .args(options.split_whitespace())
        .output()
        .expect("it can be started")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Somebody in voice who is of no crowd.
struct Stranger {
    tcp: TcpStream,
    udp: UdpSocket,
    frames: FrameBuffer,
}

impl Stranger {
    fn join(server: &Running) -> Stranger {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, server.tcp_port)).expect("it listens");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        udp.connect((Ipv4Addr::LOCALHOST, server.udp_port))
            .expect("it is on this machine");
        tcp.set_read_timeout(Some(PATIENCE))
            .expect("it is not zero");
        udp.set_read_timeout(Some(PATIENCE))
            .expect("it is not zero");
        let frames = FrameBuffer::new();
        let mut stranger = Stranger { tcp, udp, frames };
        let username = "stranger";
        stranger.ask(&Packet::LoginRequest {
            request_id: 1,
            username,
            asked: None,
        });
        let voice_token = stranger.answer(|packet| match packet {
            Packet::LoginResponse { voice_token, .. } => Some(*voice_token),
            _ => None,
        });
        stranger.prove(voice_token);
        stranger.ask(&Packet::JoinVoiceChannelRequest { request_id: 3 });
        stranger.answer(|packet| {
            matches!(packet, Packet::JoinVoiceChannelResponse { .. }).then_some(())
        });
        stranger
    }

    fn ask(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes).expect("it is short");
        self.tcp.write_all(&bytes).expect("it is read");
    }

    fn answer<T>(&mut self, mut find: impl FnMut(&Packet<'_>) -> Option<T>) -> T {
        loop {
            while let Some(frame) = self.frames.next_frame() {
                if let Some(found) = find(&frame.parse().expect("it is whole")) {
                    return found;
                }
            }
            let mut bytes = [0; 4_096];
            let len = self.tcp.read(&mut bytes).expect("it answers in time");
            assert!(len > 0, "the server closed the connection");
            self.frames.extend(&bytes[..len]);
        }
    }

    fn prove(&mut self, voice_token: VoiceToken) {
        let mut bytes = Vec::new();
        let proof = Packet::VoiceAuthRequest {
            request_id: 2,
            voice_token,
        };
        proof.encode(&mut bytes).expect("it is short");
        self.udp.send(&bytes).expect("the kernel takes it");
        self.udp.recv(&mut [0; 64]).expect("it is answered in time");
    }

    /// Says something that no crowd could have said, and something that is as long.
    fn speak(&self, sequence: u32) {
        for data in [&[0xf8][..], &[0x5a; 240]] {
            let mut bytes = Vec::new();
            let voice = Packet::VoiceData {
                user_id: UserId(0),
                sequence,
                timestamp: sequence * 960,
                data,
            };
            voice.encode(&mut bytes).expect("it is short");
            self.udp.send(&bytes).expect("the kernel takes it");
        }
    }
}

#[test]
fn other_people_on_the_server_are_nobody_s_fault() {
    let server = Running::start();
    let stranger = Stranger::join(&server);
    let (call_off, is_called_off) = channel::<()>();
    let talk = thread::spawn(move || {
        for sequence in 0.. {
            stranger.speak(sequence);
            let wait = is_called_off.recv_timeout(Duration::from_millis(2));
            if wait != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let base = "--users 3 --speakers 2 --seconds 0.2";
    let tables = ["no", "yes"].map(|secure| {
        let secure = crowd(&server, &format!("{base} --secure {secure}"));
        (secure.status, said(&secure.stdout), said(&secure.stderr))
    });
    let json = crowd(&server, &format!("{base} --json"));
    drop(call_off);
    talk.join().expect("it does not panic");

    for (status, text, errors) in tables {
        assert!(status.success(), "{text}{errors}");
        assert!(
            text.contains("note: other people spoke: at least "),
            "{text}"
        );
        assert!(!text.contains("WRONG"), "{text}");
    }
    let report: Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    let figures = &report["runs"][0]["median"];
    assert!(figures["from_others"].as_f64() > Some(0.0), "{report}");
    // What is expected and delivered is the crowd's own.
    assert!(figures["delivered"].as_f64() <= figures["expected"].as_f64());
    assert_eq!(report["notes"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(0));
}

/// A report of all that these options ask for, with nothing wrong in it.
fn report(server: &Running, options: &str) -> Value {
    let output = crowd(server, &format!("{options} --json"));
    let (text, errors) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn a_secure_crowd_is_measured_beside_a_plain_one_and_heard_by_all_of_its_own() {
    let server = Running::start();
    let pid = std::process::id();
    let options = format!(
        "--users 4 --speakers 2 --seconds 0.2 --secure both --floor --rounds 2 --pid {pid}"
    );
    let report = report(&server, &options);
    let runs = report["runs"].as_array().expect("there are several");
    let names: Vec<_> = runs.iter().map(|run| run["name"].as_str()).collect();
    assert_eq!(names, [Some("server"), Some("sealed"), Some("floor")]);
    for run in runs {
        let figures = &run["median"];
        assert_eq!(figures["expected"].as_f64(), Some(60.0), "{report}");
        assert_eq!(figures["delivered"].as_f64(), Some(60.0), "{report}");
        assert_eq!(figures["from_others"].as_f64(), Some(0.0), "{report}");
    }
    assert!(runs[1]["ratio_to_plain"].is_object(), "{report}");
    assert!(runs[0]["ratio_to_plain"].is_null(), "{report}");
    assert!(report["memory_kib_per_user"].is_number(), "{report}");
}

#[test]
fn a_secure_crowd_needs_no_connection_in_clear() {
    let server = Running::start_as(Config {
        tls: TlsUse::Only,
        ..Config::default()
    });
    let base = "--users 3 --speakers 1 --seconds 0.1";
    let report = report(&server, &format!("{base} --secure yes --receivers ignore"));
    assert_eq!(report["runs"][0]["name"], "sealed");
    let delivered = &report["runs"][0]["median"]["delivered"];
    assert!(delivered.as_f64() > Some(0.0), "{report}");
    let plain = crowd(&server, base);
    assert_eq!(plain.status.code(), Some(1), "{}", said(&plain.stderr));
}

#[test]
fn a_storm_of_handshakes_is_compared_with_none() {
    let server = Running::start_with(Limits::UNLIMITED);
    let options = "--users 3 --speakers 1 --seconds 0.3 --secure yes --storm none,tls";
    let report = report(&server, options);
    let storm = &report["runs"][1];
    assert_eq!(storm["name"], "sealed + tls");
    let did = storm["rounds"][0]["storm_did"]
        .as_str()
        .expect("it is told");
    assert!(did.contains(" handshakes in "), "{did}");
    assert!(storm["ratio_to_no_storm"].is_object(), "{report}");
}

#[test]
fn a_login_that_is_refused_says_what_to_set() {
    for (limits, named) in [
        (
            Limits {
                users: 1,
                ..Limits::default()
            },
            ["--max-users", "--max-login-rate 0"],
        ),
        (
            Limits {
                connections_per_address: 1,
                ..Limits::default()
            },
            ["--max-connections-per-address 0", "--max-connection-rate 0"],
        ),
    ] {
        let server = Running::start_with(limits);
        let output = crowd(&server, "--users 3 --speakers 1 --seconds 0.1");
        let message = said(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        for part in named {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn a_plot_that_cannot_be_written_is_known_before_anything_else() {
    // Nobody listens there, which would be the next thing to fail.
    let output = Command::new(env!("CARGO_BIN_EXE_crowd"))
        .args(["--server", "127.0.0.1:1"])
        .args(["--plot", "/nowhere/to/be/found.svg"])
        .output()
        .expect("it can be started");
    let message = said(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("--plot") && message.contains("/nowhere/to/be/found.svg"));

    // And a run that fails leaves behind what was there.
    for before in [None, Some("a plot of yesterday")] {
        let file = TempFile::new();
        if let Some(text) = before {
            fs::write(&file.0, text).expect("the folder is writable");
        }
        let output = Command::new(env!("CARGO_BIN_EXE_crowd"))
            .args(["--server", "127.0.0.1:1", "--plot"])
            .arg(&file.0)
            .output()
            .expect("it can be started");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(fs::read_to_string(&file.0).ok().as_deref(), before);
    }
}

#[test]
fn a_plot_of_several_rounds_says_how_it_differs_from_the_table() {
    let server = Running::start();
    let file = TempFile::new();
    fs::write(&file.0, "x".repeat(1_000_000)).expect("the folder is writable");
    let path = file.0.to_str().expect("it is text");
    let base = format!("--users 2 --speakers 1 --seconds 0.1 --plot {path}");
    for (rounds, is_said) in [(1, false), (2, true)] {
        let output = crowd(&server, &format!("{base} --rounds {rounds}"));
        let text = said(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.contains("note: the plot is of all 2 rounds"), is_said);
        let plot = fs::read_to_string(path).expect("it was drawn");
        assert!(plot.starts_with("<svg") && plot.ends_with("</svg>\n"));
        assert_eq!(plot.contains("all 2 rounds together"), is_said);
    }
}
