//! The client at a terminal, and a server that wants a password: it asks, and shows nothing of what is typed.

use crate::Running;
use crate::outages::{listener, pass_on};
use crate::programs::{Client, await_end, voiceapp};
use crate::terminal::Terminal;
use nix::sys::termios::{LocalFlags, tcgetattr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use voiceapp_testkit::server::Config;
use voiceapp_testkit::server::secret::Secret;

fn guarded() -> Running {
    Running::start_as(Config {
        password: Some(Secret::new("sesame").expect("it can be one")),
        ..Config::default()
    })
}

fn prompt(server: &Running) -> String {
    format!("Password for 127.0.0.1:{}: ", server.tcp_port)
}

fn bob(server: &Running) -> Client {
    let mut bob = Client::start(server, "bob", &["--password", "sesame"]);
    bob.await_event("logged_in", None);
    bob
}

fn ann_with(server: &Running, options: &[&str]) -> Command {
    let mut command = voiceapp();
    command
        .env("TERM", "xterm")
        .args(["--name", "ann", "--server", &server.invitation()])
        .args(options);
    command
}

#[test]
fn a_password_is_asked_for_and_what_is_typed_is_shown_and_said_nowhere() {
    let server = guarded();
    let mut bob = bob(&server);
    let mut ann = Terminal::start(&server, &[]);
    let shown = ann.await_shown(&prompt(&server));
    assert!(!shown.contains("wrong"), "{shown:?}");
    // Behind the first return it is typed too early, and may be a password as well.
    ann.type_in("open up\ropen up\r");
    let mut shown = ann.await_shown("wrong password");
    shown += &ann.await_shown(&prompt(&server));
    ann.type_in("sesamx\x7fe\r");
    shown += &ann.await_shown("voice is ready");
    // The line before this one is the first.
    ann.type_in("\x1b[A\x1b[Ahello\r");
    let message = bob.await_event("chat", Some("ann"));
    assert_eq!(message["message"], "hello");
    shown += &ann.await_shown("<ann> hello");
    assert!(
        !shown.contains("sesam") && !shown.contains("open"),
        "{shown:?}"
    );
    ann.type_in("/quit\r");
    assert!(await_end(&mut ann.child).success());
}

#[test]
fn the_third_wrong_password_is_the_last() {
    let server = guarded();
    let mut ann = Terminal::run(ann_with(&server, &["--password", "from an option"]));
    for _ in 0..3 {
        ann.await_shown("wrong password");
        ann.await_shown(&prompt(&server));
        ann.type_in("wrong\r");
    }
    ann.await_shown("voiceapp: the server refused the login: wrong password");
    assert_eq!(await_end(&mut ann.child).code(), Some(4));
    let after = tcgetattr(&ann.slave).expect("it is a terminal");
    assert!(after.local_flags.contains(LocalFlags::ECHO));
}

#[test]
fn no_answer_leaves_with_the_refusal_and_ctrl_c_leaves_at_once() {
    let server = guarded();
    for (keys, code) in [("\r", 4), ("\x04", 4), ("half\x03", 0)] {
        let mut ann = Terminal::start(&server, &[]);
        ann.await_shown(&prompt(&server));
        ann.type_in(keys);
        assert_eq!(await_end(&mut ann.child).code(), Some(code), "{keys:?}");
        if code == 4 {
            ann.await_shown(
                "voiceapp: the server refused the login: the server asks for a password",
            );
        }
    }
}

#[test]
fn without_encryption_a_warning_comes_first() {
    let server = guarded();
    for is_plain in [false, true] {
        let here = format!("127.0.0.1:{}", server.tcp_port);
        let mut command = ann_with(&server, &[]);
        if is_plain {
            command = voiceapp();
            command
                .env("TERM", "xterm")
                .args(["--name", "ann", "--plain", &here]);
        }
        let mut ann = Terminal::run(command);
        let shown = ann.await_shown(&prompt(&server));
        assert_eq!(shown.contains("is not encrypted"), is_plain, "{shown:?}");
        ann.type_in("sesame\r");
        ann.await_shown("logged in as ann");
    }
}

#[test]
fn a_program_and_a_terminal_that_cannot_hide_it_are_not_asked() {
    let server = guarded();
    let table = [("xterm", "--json"), ("dumb", "--plain")];
    for (terminal, option) in table {
        let mut command = voiceapp();
        command
            .env("TERM", terminal)
            .args(["--name", "ann", "--plain", option])
            .arg(format!("127.0.0.1:{}", server.tcp_port));
        let mut ann = Terminal::run(command);
        let shown = ann.await_shown("the server asks for a password");
        assert_eq!(await_end(&mut ann.child).code(), Some(4));
        assert!(!shown.contains("Password for"), "{shown:?}");
    }
}

#[test]
fn what_is_typed_before_the_question_is_not_said_to_everyone() {
    let server = guarded();
    let mut bob = bob(&server);
    // The server answers when the line has been typed.
    let (late, port) = listener();
    let mut command = voiceapp();
    command
        .env("TERM", "xterm")
        .args(["--name", "ann", "--server", &server.invitation_at(port)])
        .args(["--voice-port", &server.udp_port.to_string()]);
    let mut ann = Terminal::run(command);
    ann.await_shown("> ");
    ann.type_in("sesame\r/tone\r");
    ann.await_shown("> /tone");
    let _connections = pass_on(late, Arc::new(AtomicU16::new(server.tcp_port)));
    ann.await_shown("what you typed before the password was not sent");
    ann.type_in("sesame\r");
    ann.await_shown("voice is ready");
    ann.type_in("hello\r");
    let message = bob.await_event("chat", Some("ann"));
    assert_eq!(message["message"], "hello");
}
