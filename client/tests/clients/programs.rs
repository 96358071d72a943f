//! The terminal client itself, with a server and in real time. How soon anything comes is up to the machine,
//! and so is what a listener can make of it. So these tests expect what is true at any speed: that each datagram is
//! counted, that files are whole, and that the tone is in them. How it sounds is for `story` and `live`, which have
//! a time of their own.

use crate::measure::has_tone;
use crate::proxy::Proxy;
use crate::{PATIENCE, Running, TempFile};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
#[cfg(unix)]
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use voiceapp_protocol::Packet;
use voiceapp_testkit::clean;

pub const FREQUENCY: f64 = 1_000.0;
pub const AMPLITUDE: f64 = 0.25;

/// The terminal client, which knows no server.
pub fn voiceapp() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_voiceapp")))
}

/// A running client whose lines are read by a thread.
pub struct Client {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    /// If it is sound, and its lines are on standard error.
    sound: Option<ChildStdout>,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Client {
    /// A client that tells its events as JSON.
    pub fn start(server: &Running, name: &str, options: &[&str]) -> Client {
        Client::start_at(&server.invitation(), server.udp_port, name, options)
    }

    /// One who speaks in clear with what listens on this port.
    pub fn start_plain(tcp_port: u16, udp_port: u16, name: &str, options: &[&str]) -> Client {
        let options = [&["--plain"], options].concat();
        Client::start_at(&format!("127.0.0.1:{tcp_port}"), udp_port, name, &options)
    }

    pub fn start_at(server: &str, udp_port: u16, name: &str, options: &[&str]) -> Client {
        let mut command = voiceapp();
        command
            .args(["--server", server])
            .args(["--voice-port", &udp_port.to_string()])
            .args(["--json", "--name", name])
            .args(options);
        Client::spawn(command, options.contains(&"--listen"))
    }

    pub fn spawn(mut command: Command, is_output_sound: bool) -> Client {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if is_output_sound {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().expect("it can be started");
        let (sender, lines) = channel();
        let mut sound = child.stdout.take();
        let text: Box<dyn Read + Send> = match child.stderr.take() {
            Some(stderr) => Box::new(stderr),
            None => Box::new(sound.take().expect("it is piped")),
        };
        thread::spawn(move || {
            for line in BufReader::new(text).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Client {
            stdin: child.stdin.take(),
            sound,
            child,
            lines,
            said: Vec::new(),
        }
    }

    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// The next line, from here on, that fits.
    pub fn await_line(&mut self, what: &str, mut fits: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(wait);
            let line = line.unwrap_or_else(|error| panic!("no {what}: {error}; {:#?}", self.said));
            self.said.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    }

    /// The next event of this name, and of this person if that matters.
    pub fn await_event(&mut self, event: &str, name: Option<&str>) -> Value {
        let is_it = |line: &str| {
            let value: Value = serde_json::from_str(line).expect("each line is JSON");
            assert!(value["time_ms"].is_u64(), "{line}");
            value["event"] == event && name.is_none_or(|name| value["name"] == name)
        };
        let line = self.await_line(event, is_it);
        serde_json::from_str(&line).expect("it was before")
    }

    /// Waits until it hears and can be heard.
    pub fn await_voice(&mut self) {
        let (mut is_proven, mut is_in) = (false, false);
        self.await_line("voice", |line| {
            is_proven |= line.contains(r#""event":"voice_ready""#);
            is_in |= line.contains(r#""event":"you_joined_voice""#);
            is_proven && is_in
        });
    }

    /// What it has heard of this one, once that is so many datagrams and all of it was played.
    pub fn heard(&mut self, name: &str, at_least: usize) -> Value {
        self.heard_if(name, at_least, |heard| {
            heard["playout"]["is_playing"] == false
        })
    }

    /// The same for one that plays nothing.
    pub fn received(&mut self, name: &str, at_least: usize) -> Value {
        self.heard_if(name, at_least, |_| true)
    }

    fn heard_if(&mut self, name: &str, at_least: usize, fits: fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.tell("/stats");
            let line = self.await_line("statistics", |line| {
                let value: Value = serde_json::from_str(line).expect("each line is JSON");
                value["event"] == "nothing_heard"
                    || value["event"] == "heard" && value["name"] == name
            });
            let heard: Value = serde_json::from_str(&line).expect("it was before");
            let is_all = heard["datagrams"].as_u64() >= Some(at_least as u64);
            if is_all && fits(&heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "it does not hear more: {heard}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end.
    pub fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        drop(self.sound.take());
        await_end(&mut self.child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn await_end(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("it is a child of ours") {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

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

#[test]
fn exit_codes_mean_something() {
    let server = Running::start();
    let here = server.invitation();
    let pin = "0".repeat(64);
    // A port that is taken, and nobody listens on.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are descriptors");
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    silent.bind(&any.into()).expect("there are free ports");
    let nowhere = silent.local_addr().expect("it is bound").as_socket();
    let nowhere = nowhere.expect("it is IPv4").to_string();
    let long_name = "n".repeat(33);
    let voice = server.udp_port.to_string();
    let table: [(&[&str], i32, &str); 18] = [
        (&["--help"], 0, ""),
        (&["--nonsense"], 2, "--nonsense"),
        (&["--name", "a", "--server", "host:0"], 2, "not a port"),
        (&["--plain", "--server", &here], 2, "--plain goes neither"),
        (&["--plain", "--pin", &pin], 2, "--plain goes neither"),
        (&["--pin", &pin, &here], 2, "two different keys"),
        (&["--pin", &pin[1..]], 2, "is no fingerprint"),
        (&["--server", "host", &here], 2, "there is a server already"),
        (&["--name", "a", "--listen", "file"], 2, "--listen"),
        (&["--name", "a", "--record", "-"], 2, "--record"),
        (&["--name", "a", "--reconnect", "86401"], 2, "86400"),
        (&["--name", "a", "--server", &nowhere], 3, "cannot connect"),
        (&["--name", "a", "--server", "fe80::1"], 3, "fe80::1%eth0"),
        (&["--name", "", "--server", &here], 2, "--name is empty"),
        (&["--name", &long_name, "--server", &here], 4, "refused"),
        (&["--name", "a", "--server", &here], 0, ""),
        (
            &["--name", "a", "--server", &here, "--speak", "/nowhere.wav"],
            1,
            "cannot read /nowhere.wav",
        ),
        (
            &[
                "--name",
                "a",
                "--server",
                &here,
                "--record",
                "/nowhere/x.wav",
            ],
            1,
            "cannot write /nowhere/x.wav",
        ),
    ];
    for (options, code, words) in table {
        let output = voiceapp()
            .args(options)
            .args(["--voice-port", &voice])
            .stdin(Stdio::null())
            .output()
            .expect("it can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options:?}: {complaint}");
        assert!(complaint.contains(words), "{options:?}: {complaint}");
        assert_eq!(complaint.is_empty(), code == 0, "{options:?}: {complaint}");
    }
}

/// What is printed finds a reader who has gone, or a disk that is full.
#[cfg(target_os = "linux")]
pub fn assert_help_is_printed_or_told(name: &str, mut program: Command) {
    let (reader, writer) = std::io::pipe().expect("there are descriptors");
    drop(reader);
    let output = program.arg("--help").stdout(writer).output();
    let output = output.expect("it can be started");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());

    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = program.stdout(full.expect("Linux has it")).output();
    let output = output.expect("it can be started");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    let words = format!("{name}: cannot write to standard output: ");
    assert!(complaint.starts_with(&words), "{complaint}");
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_printed_is_told_by_the_exit_code() {
    assert_help_is_printed_or_told("voiceapp", voiceapp());
}

#[cfg(unix)]
#[test]
fn input_that_cannot_be_read_is_no_end_of_input() {
    let server = Running::start();
    for options in [&[][..], &["--speak", "-"]] {
        let output = voiceapp()
            .args(["--name", "a", "--server", &server.invitation()])
            .args(["--voice-port", &server.udp_port.to_string()])
            .args(options)
            .stdin(fs::File::open("/").expect("it is there"))
            .output()
            .expect("it can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(
            complaint.contains("cannot read standard input"),
            "{complaint}"
        );
    }
}

#[test]
fn who_has_no_name_is_found_one_and_variables_are_taken_as_they_are_meant() {
    let server = Running::start();
    let started_with = |variables: &[(&str, &str)]| {
        voiceapp()
            .args(["--json", "--server", &server.invitation()])
            .args(["--voice-port", &server.udp_port.to_string()])
            .env_remove("USER")
            .env_remove("LOGNAME")
            .env_remove("USERNAME")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("it can be started")
    };
    let name = |variables| {
        let output = started_with(variables).stdout;
        let first = output.split(|it| *it == b'\n').next();
        let login: Value = serde_json::from_slice(first.expect("there is a line")).expect("JSON");
        assert_eq!(login["event"], "logged_in");
        login["name"].as_str().expect("it is text").to_owned()
    };
    assert!(!name(&[]).is_empty());
    assert_eq!(name(&[("USER", " "), ("LOGNAME", " ann\r")]), "ann");
    assert_eq!(name(&[("USER", " \r"), ("USERNAME", "alice\r")]), "alice");
    let output = started_with(&[("USER", "'ann'")]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("USER has quotes"), "{complaint}");
}

#[test]
fn what_is_piped_in_before_it_leaves_is_said() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let mut ann = Client::start(&server, "ann", &[]);
    for line in ["one", " /who", "//two", "/quit", "three"] {
        ann.tell(line);
    }
    for said in ["one", "/two"] {
        let message = bob.await_event("chat", Some("ann"));
        assert_eq!(message["message"], said);
    }
    bob.await_event("left_server", Some("ann"));
    assert!(ann.end().success());
}

#[test]
fn voice_that_is_refused_ends_who_came_for_it() {
    let server = Running::start();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 0.1);
    let voice = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let port = voice.local_addr().expect("it is bound").port();
    let path = file.0.to_str().expect("it is plain");
    let mut client = Client::start_plain(server.tcp_port, port, "ann", &["--speak", path]);
    drop(client.stdin.take());
    voice
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    let mut question = [0; 64];
    let (_, from) = voice.recv_from(&mut question).expect("it is asked");
    let mut answer = Vec::new();
    let refusal = Packet::VoiceAuthResponse {
        request_id: 1,
        success: false,
    };
    refusal.encode(&mut answer).expect("it fits");
    voice.send_to(&answer, from).expect("there is room");
    client.await_event("voice_refused", None);
    assert_eq!(await_end(&mut client.child).code(), Some(3));
}
