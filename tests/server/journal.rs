//! The log of the binary: who is who in it, what a flood leaves of it, and how it is told more.

use crate::binary::{BINARY, Started, command};
use crate::client::Client;
use std::io::Read;
use std::net::TcpStream;
use std::time::Instant;
use voiceapp_server::event::UserId;
use voiceapp_server::limits::JOURNAL_BURST;

/// The line of a log that this is in, without its time and level.
fn line<'a>(log: &'a str, what: &str) -> &'a str {
    let mut found = log.lines().filter(|line| line.contains(what));
    let line = found.next().unwrap_or_else(|| panic!("{what}: {log}"));
    assert_eq!(found.next(), None, "{log}");
    let (_, line) = line.split_once("[INFO] ").expect("it is at info");
    line
}

#[test]
fn who_comes_goes_and_is_refused_is_a_line_each() {
    let mut server = Started::new(&mut command(BINARY));
    let place = server.place;
    let hidden = "x\u{202e}\u{2028}\"y";
    let refused = Client::connect(place).logged_in(hidden);
    assert_eq!(refused.id, UserId(0));
    let long = "z".repeat(60_000);
    assert_eq!(Client::connect(place).logged_in(&long).id, UserId(0));
    // Many within a second.
    let names = ["alice", " bob ", "the \"troll\"", "dora", "emil", "fritz"];
    let users = names.map(|name| Client::log_in(place, name));
    drop(users);
    // What is no text ends a connection, which others see as well.
    let mut stranger = TcpStream::connect((place.ip, place.tcp_port)).expect("it listens");
    let login = [1, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0xff, 0xff];
    std::io::Write::write_all(&mut stranger, &login).expect("it is read");
    assert!(!matches!(stranger.read(&mut [0; 10]), Ok(len) if len > 0));

    let log = server.log_until("was closed: closed_malformed");
    for (what, expected) in [
        (
            "as \"alice\"",
            "user 1 logged in as \"alice\" from 127.0.0.1",
        ),
        ("as \"bob\"", "user 2 logged in as \"bob\" from 127.0.0.1"),
        (
            "as \"the",
            r#"user 3 logged in as "the \"troll\"" from 127.0.0.1"#,
        ),
        ("as \"dora\"", "user 4 logged in as \"dora\" from 127.0.0.1"),
        ("as \"emil\"", "user 5 logged in as \"emil\" from 127.0.0.1"),
        (
            "as \"fritz\"",
            "user 6 logged in as \"fritz\" from 127.0.0.1",
        ),
        (
            "U+202E",
            r#"a login as "x\u{202e}\u{2028}\"y" from 127.0.0.1 refused: login_bad_name (U+202E is not allowed in it)"#,
        ),
        (
            "closed_malformed",
            "a pending connection from 127.0.0.1 was closed: closed_malformed",
        ),
    ] {
        assert_eq!(line(&log, what), expected);
    }
    // How she left is up to the system, which may tell of what she has not read.
    let left = line(&log, "user 1 \"alice\" from 127.0.0.1 left: ");
    assert!(
        left.ends_with("closed_by_peer") || left.ends_with("closed_broken"),
        "{left}"
    );
    let long = line(&log, "as \"zzz");
    assert!(long.contains("(60000 bytes)") && long.len() < 250, "{long}");
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

/// Only a flood is cut, and the log says how much was.
#[test]
fn many_refusals_are_some_lines_and_a_count_of_the_others() {
    let start = Instant::now();
    let mut server = Started::new(
        command(BINARY)
            .env("VOICEAPP_MAX_CONNECTIONS_PER_ADDRESS", "1")
            .env("VOICEAPP_MAX_CONNECTION_RATE", "0")
            .env("VOICEAPP_MAX_LOGIN_RATE", "0"),
    );
    let place = server.place;
    let mut alice = Client::log_in(place, "alice");
    let cause = "refused_too_many_from_address";
    let (mut refused, mut lines, mut told) = (0, 0, 0);
    while told == 0 {
        let more = if refused == 0 {
            JOURNAL_BURST
        } else {
            JOURNAL_BURST / 10
        };
        for _ in 0..more {
            let mut stranger = TcpStream::connect((place.ip, place.tcp_port)).expect("it listens");
            assert!(!matches!(stranger.read(&mut [0]), Ok(len) if len > 0));
            refused += 1;
        }
        alice.expect_quiet();
        let log = server.log_until_now();
        lines += log.matches(&format!(" refused: {cause}")).count() as u64;
        // Of one kind alone, so that it is the only one that is named.
        if let Some((_, rest)) = log.split_once("left out of the log in 2s: ") {
            let (count, named) = rest.split_once(' ').expect("a number and a name");
            assert_eq!(named.lines().next(), Some(cause));
            told += count.parse::<u64>().expect("it is a number");
        }
    }
    // Who comes is told all the same.
    let burst = u64::from(JOURNAL_BURST);
    let most = burst + 10 * (start.elapsed().as_secs() + 1);
    assert!((burst..=most).contains(&lines), "{lines} lines");
    assert!(
        lines + told <= refused && told > 0,
        "{lines} and {told} of {refused}"
    );
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn sigusr2_has_more_told_and_then_less_again() {
    let mut server = Started::new(&mut command(BINARY));
    let place = server.place;
    let pass_by = || drop(TcpStream::connect((place.ip, place.tcp_port)).expect("it listens"));
    pass_by();
    // The server is done with it when a later one has been answered.
    Client::log_in(place, "bob").expect_quiet();
    server.signal("USR2");
    let log = server.log_until("log level DEBUG from now on");
    assert!(!log.contains("a pending connection"), "{log}");
    pass_by();
    server.log_until("a pending connection from 127.0.0.1 was closed: closed_by_peer");
    server.signal("USR2");
    server.log_until("log level INFO from now on");
    pass_by();
    // Alice comes after that.
    let _alice = Client::log_in(place, "alice");
    let log = server.log_until("logged in as \"alice\"");
    assert!(!log.contains("a pending connection"), "{log}");
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

/// Whoever may send signals may send many, and the log has room for others.
#[test]
fn signals_do_not_fill_the_log() {
    let start = Instant::now();
    let bans = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/bans");
    let mut server = Started::new(command(BINARY).env("VOICEAPP_BAN_FILE", bans));
    let mut alice = Client::log_in(server.place, "alice");
    for _ in 0..50 {
        server.signal("HUP");
        server.signal("USR1");
        server.signal("USR2");
        alice.expect_quiet();
    }
    // What was asked for last is done in the end.
    let mut log = server.log_until_now();
    server.signal("TERM");
    let (code, rest) = server.wait();
    log += &rest;
    let most = start.elapsed().as_secs() as usize + 2;
    for line in ["] statistics", "the ban file was read again", "log level "] {
        let count = log.matches(line).count();
        assert!((1..=most).contains(&count), "{line}: {count}, {log}");
    }
    assert_eq!(code, Some(0));
}
