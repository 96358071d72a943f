//! The client at a terminal: a pseudo-terminal, whose other end is read and typed at here.

#[cfg(target_os = "linux")]
use crate::TempFile;
use crate::programs::{Client, await_end, voiceapp};
#[cfg(target_os = "linux")]
use crate::sound::raw_tone;
use crate::{PATIENCE, Running};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;
#[cfg(target_os = "linux")]
use voiceapp_testkit::clean;

pub struct Terminal {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
    /// Held open, so that it can be looked at when the client is gone.
    pub slave: OwnedFd,
    pub child: Child,
}

impl Terminal {
    pub fn start(server: &Running, variables: &[(&str, &str)]) -> Terminal {
        Terminal::start_at(server, server.udp_port, variables)
    }

    fn start_at(server: &Running, udp_port: u16, variables: &[(&str, &str)]) -> Terminal {
        let mut command = voiceapp();
        command
            .env("TERM", "xterm")
            .args(["--name", "ann"])
            .args(["--server", &server.invitation()])
            .args(["--voice-port", &udp_port.to_string()])
            .envs(variables.iter().copied());
        Terminal::run(command)
    }

    pub fn run(mut command: Command) -> Terminal {
        let pty = openpty(None, None).expect("there are pseudo-terminals");
        let end = || pty.slave.try_clone().expect("there are descriptors");
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("it can be started");
        let keyboard = File::from(pty.master);
        let mut reader = keyboard.try_clone().expect("there are descriptors");
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(len @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            keyboard,
            screen,
            shown: String::new(),
            slave: pty.slave,
            child,
        }
    }

    /// Waits until this is shown, and gives all that was up to it, once.
    pub fn await_shown(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                return self.shown.drain(..at + text.len()).collect();
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            let bytes = self.screen.recv_timeout(wait);
            let bytes = bytes.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Types all of this at once.
    pub fn type_in(&mut self, keys: impl AsRef<[u8]>) {
        self.keyboard.write_all(keys.as_ref()).expect("it is read");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_comes_in_does_not_break_the_line_that_is_typed() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let mut ann = Terminal::start(&server, &[]);
    bob.await_event("joined_server", Some("ann"));
    // Nothing else comes while it is typed, so that what is shown is in one piece.
    ann.await_shown("voice is ready");
    ann.await_shown("> ");
    let edited = tcgetattr(&ann.slave).expect("it is a terminal");
    ann.type_in("hexx");
    ann.await_shown("hexx");
    bob.tell("from bob");
    // It is cyan, and what was typed is shown again below it.
    ann.await_shown("\x1b[36m<bob> from bob\x1b[0m");
    ann.await_shown("hexx");
    // Two keys back, and on.
    ann.type_in("\x7f\x7fllo\r");
    let message = bob.await_event("chat", Some("ann"));
    assert_eq!(message["message"], "hello");
    // While a line is edited the terminal is not as it was, and after the end it is.
    ann.await_shown("<ann> hello");
    ann.await_shown("> ");
    ann.type_in("/quit\r");
    assert!(await_end(&mut ann.child).success());
    let after = tcgetattr(&ann.slave).expect("it is a terminal");
    let is_by_lines = |it: &Termios| it.local_flags.contains(LocalFlags::ICANON);
    assert!(!is_by_lines(&edited) && is_by_lines(&after));
}

#[test]
fn no_colour_is_shown_to_who_wants_none() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let mut ann = Terminal::start(&server, &[("NO_COLOR", "1")]);
    bob.await_event("joined_server", Some("ann"));
    ann.await_shown("> ");
    bob.tell("plain");
    let shown = ann.await_shown("<bob> plain");
    assert!(!shown.contains("\x1b[36m"), "{shown:?}");
    // The end of input at a terminal.
    ann.type_in("\x04");
    assert!(await_end(&mut ann.child).success());
}

/// Standard input is the microphone there, and the key is typed at the terminal that the client was
/// started from: `setsid` makes ours that.
#[cfg(target_os = "linux")]
#[test]
fn a_key_of_the_terminal_decides_when_the_microphone_is_heard() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.tell("/join");
    bob.await_event("you_joined_voice", None);
    // A minute of tone, which waits in its pipe.
    let file = TempFile::new();
    std::fs::write(&file.0, raw_tone(60.0)).expect("there is room");
    let pipe = "cat \"$1\" | \"$2\" --name ann --server \"$3\" --voice-port \"$4\" --speak - --push-to-talk";
    let mut command = clean(Command::new("setsid"));
    command
        .env("TERM", "xterm")
        .args(["--ctty", "--wait", "sh", "-c", pipe, "sh"])
        .args([file.0.as_os_str(), voiceapp().get_program()])
        .arg(server.invitation())
        .arg(server.udp_port.to_string());
    let mut ann = Terminal::run(command);
    ann.await_shown("speaking: standard input");
    ann.await_shown("> ");
    ann.type_in("not ");
    ann.await_shown("not ");
    // What is typed is as it was, and nothing is heard before the first key.
    ann.type_in("\x14");
    ann.await_shown("the others hear you");
    bob.await_event("speaking", Some("ann"));
    ann.type_in("\x14");
    ann.await_shown("the others do not hear you");
    bob.await_event("stopped_speaking", Some("ann"));
    ann.type_in("a word\r");
    assert_eq!(
        bob.await_event("chat", Some("ann"))["message"],
        "not a word"
    );
    ann.type_in("/talk\r");
    bob.await_event("speaking", Some("ann"));
    ann.type_in("/quit\r");
    bob.await_event("left_server", Some("ann"));
    assert!(await_end(&mut ann.child).success());
}

/// What bob reads of ann, in their order.
fn assert_said(bob: &mut Client, messages: &[&str]) {
    for said in messages {
        let message = bob.await_event("chat", Some("ann"));
        assert_eq!(message["message"], *said);
    }
}

#[test]
fn lines_that_are_pasted_at_once_are_all_said_even_before_the_login() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    for waits in [false, true] {
        let mut ann = Terminal::start(&server, &[]);
        if waits {
            ann.await_shown("voice is ready");
        }
        // Whoever leaves does so after what was typed before.
        ann.type_in("one\rtwo\r  /who\rthree\r/quit\rfour\r");
        assert!(await_end(&mut ann.child).success());
        assert_said(&mut bob, &["one", "two", "three"]);
    }
}

#[test]
fn what_is_no_utf_8_is_said_as_that() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let mut ann = Terminal::start(&server, &[]);
    ann.type_in(b"caf\xe9 au lait\rtwo\r");
    assert_said(&mut bob, &["caf\u{fffd} au lait", "two"]);
}

#[test]
fn ctrl_c_clears_the_line_and_then_leaves() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let mut ann = Terminal::start(&server, &[]);
    ann.type_in("half a li\x03whole\r");
    assert_said(&mut bob, &["whole"]);
    // It stands there once: as it was told.
    let shown = ann.await_shown("<ann> whole");
    assert_eq!(shown.matches("> whole").count(), 1, "{shown:?}");
    ann.type_in("\x03");
    assert!(await_end(&mut ann.child).success());
}

#[test]
fn a_terminal_that_can_do_nothing_is_left_alone() {
    let server = Running::start();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    for terminal in ["", "dumb"] {
        let mut ann = Terminal::start(&server, &[("TERM", terminal)]);
        ann.type_in("hello\n");
        assert_said(&mut bob, &["hello"]);
        ann.type_in("/quit\n");
        assert!(await_end(&mut ann.child).success());
        let shown = ann.await_shown("<ann> hello");
        assert!(!shown.contains('\x1b'), "{shown:?}");
    }
}

#[test]
fn who_types_is_answered_while_voice_is_not_ready() {
    let server = Running::start();
    let swallows = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let port = swallows.local_addr().expect("it is bound").port();
    let mut ann = Terminal::start_at(&server, port, &[]);
    ann.type_in("/join\r/tone 1\rhello\r");
    ann.await_shown("a tone waits for voice to be ready");
    ann.await_shown("<ann> hello");
    ann.await_shown("does not answer over UDP. ");
    ann.await_shown("no voice: ");
}

#[test]
fn who_types_without_a_connection_has_the_line_back_and_can_leave() {
    let server = Running::start();
    let mut ann = Terminal::start(&server, &[]);
    ann.await_shown("voice is ready");
    drop(server);
    ann.await_shown("connecting again");
    ann.type_in("lost\r");
    ann.await_shown("for this: lost");
    ann.type_in("/quit\r");
    assert!(await_end(&mut ann.child).success());
}
