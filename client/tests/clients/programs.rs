//! The terminal client as a program that a test starts: what it says is read by a thread, and a test waits for
//! what it must say. How soon that comes is up to the machine.

use crate::{PATIENCE, Running};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
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
    pub sound: Option<ChildStdout>,
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
