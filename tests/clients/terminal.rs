//! The client at a terminal: a pseudo-terminal, whose other end is read and typed at here.

use crate::programs::{Client, await_end, program};
use crate::{PATIENCE, Running};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

struct Terminal {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
    /// Held open, so that it can be looked at when the client is gone.
    slave: OwnedFd,
    child: Child,
}

impl Terminal {
    fn start(server: &Running, variables: &[(&str, &str)]) -> Terminal {
        let pty = openpty(None, None).expect("there are pseudo-terminals");
        let end = || pty.slave.try_clone().expect("there are descriptors");
        let child = program("client")
            .args(["--name", "ann"])
            .args(["--server", &format!("127.0.0.1:{}", server.tcp_port)])
            .args(["--voice-port", &server.udp_port.to_string()])
            .env("TERM", "xterm")
            .envs(variables.iter().copied())
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
    fn await_shown(&mut self, text: &str) -> String {
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
    fn type_in(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("it is read");
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
