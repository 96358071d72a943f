//! What is allowed to one address, and who is kept out, with clients at several addresses: on Linux,
//! where all of 127.0.0.0/8 is the machine itself.

use crate::binary::{BINARY, Started, command, run, text};
use crate::client::{Client, PATIENCE, Place, encoded};
use crate::faults::start_within;
use crate::{Config, Running};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use voiceapp_server::event::UserId;
use voiceapp_server::protocol::Packet;
use voiceapp_server::{Cause, Limits, Statistics};

const BAD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const GOOD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// A ban file that is gone in the end.
struct BanFile(PathBuf);

impl BanFile {
    fn new(test: &str, text: &str) -> BanFile {
        let name = format!("{test}-{}", std::process::id());
        let file = BanFile(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        file.write(text);
        file
    }

    /// Replaces it as a whole: a server that reads it meanwhile sees the old one or the new one.
    fn write(&self, text: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, text).expect("the directory is there");
        std::fs::rename(&new, &self.0).expect("the directory is there");
    }

    fn config(&self) -> Config {
        Config {
            ban_file: Some(self.0.clone()),
            limits: Limits::UNLIMITED,
            ..Config::default()
        }
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("cargo was started with UTF-8")
    }
}

impl Drop for BanFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Tries until it succeeds, for what nothing tells of.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not yet: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a connection from this address is taken in, rather than closed.
fn is_welcome(place: Place, from: IpAddr) -> bool {
    let mut client = Client::connect_from(place, from);
    // If it is closed already, this may be refused.
    let ping = encoded(&Packet::PingRequest { request_id: 1 });
    let _ = client.tcp.write_all(&ping);
    client.is_answered()
}

#[test]
fn a_ban_keeps_out_and_ends_who_is_there_until_it_is_lifted() {
    let file = BanFile::new("bans", "127.0.0.2 # from the start\n");
    let server = Running::start_with(file.config());
    let place = server.place();
    let mut alice = Client::log_in(place, "alice");
    alice.enter_voice();
    // Not even with a token that is alive.
    let mut banned = Client::connect_from(place, BAD);
    banned.expect_end();
    banned.token = alice.token;
    banned.ask_for_proof();
    alice.prove();
    assert!(!banned.has_datagram(), "the banned are not answered");

    file.write("");
    server.handle.reload();
    until("the ban is lifted", || is_welcome(place, BAD));
    let mut bob = Client::connect_from(place, BAD).logged_in("bob");
    bob.expect(Packet::UserJoinedVoice { user_id: alice.id });
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    bob.enter_voice();
    alice.expect(Packet::UserJoinedVoice { user_id: bob.id });
    let stranger = Client::connect_from(place, BAD);
    let mut carol = Client::connect_from(place, GOOD).logged_in("carol");
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));

    file.write("127.0.0.0/31\n127.0.0.2/32\n");
    server.handle.reload();
    // Alice is banned by the first line, and carol is told of it.
    for mut ended in [alice, bob, stranger] {
        ended.expect_end();
        let user_id = ended.id;
        if user_id != UserId(0) {
            carol.await_packet(Packet::UserLeftVoice { user_id });
            carol.expect(Packet::UserLeftServer { user_id });
        }
    }
    assert!(!is_welcome(place, BAD) && !is_welcome(place, Ipv4Addr::LOCALHOST.into()));
    assert!(is_welcome(place, GOOD));
    carol.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::VoiceAuthBanned), 1);
    assert_eq!(statistics.counters.get(Cause::ClosedBanned), 3);
    assert!(statistics.counters.get(Cause::RefusedBanned) >= 3);
    assert_eq!(statistics.users, 1);
}

#[test]
fn the_binary_reads_its_bans_again_at_sighup_and_keeps_them_if_they_are_bad() {
    let file = BanFile::new("sighup", "127.0.0.2\n");
    let mut server = Started::new(
        command(BINARY)
            .env("VOICEAPP_BAN_FILE", file.path())
            .env("VOICEAPP_LOG_LEVEL", "info"),
    );
    let place = server.place;
    assert!(!is_welcome(place, BAD) && is_welcome(place, GOOD));
    file.write("127.0.0.3\n127.0.0.300\n");
    server.signal("HUP");
    let log = server.log_until("the bans stay as they are");
    assert!(log.contains("line 2: \"127.0.0.300\""), "{log}");
    assert!(
        !log.contains("to read again"),
        "nothing else is configured, and needs no line"
    );
    assert!(!is_welcome(place, BAD) && is_welcome(place, GOOD));
    file.write("127.0.0.3\n");
    server.signal("HUP");
    server.log_until("the ban file was read again");
    assert!(is_welcome(place, BAD) && !is_welcome(place, GOOD));
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn a_bad_line_in_the_ban_file_at_start_is_named_and_exit_code_1() {
    let file = BanFile::new("bad", "127.0.0.2\n\nnobody\n");
    let ports = ["--management-port", "0", "--voice-relay-port", "0"];
    let output = run(&[&ports[..], &["--ban-file", file.path()]].concat());
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("line 3: \"nobody\""), "{message}");
    assert!(message.contains(file.path()), "{message}");
}

#[test]
fn an_address_has_so_many_connections_and_the_others_theirs() {
    let server = start_within(Limits {
        connections_per_address: 3,
        ..Limits::UNLIMITED
    });
    let place = server.place();
    let mut users: Vec<Client> = (0..3)
        .map(|_| Client::connect_from(place, BAD).logged_in("bad"))
        .collect();
    for _ in 0..5 {
        assert!(!is_welcome(place, BAD));
    }
    assert!(is_welcome(place, GOOD));
    drop(users.pop());
    until("a place is free", || is_welcome(place, BAD));
    let statistics = server.stop();
    assert!(refused(&statistics, Cause::RefusedTooManyFromAddress) >= 5);
    assert_eq!(refused(&statistics, Cause::RefusedTooManyPending), 0);
}

#[test]
fn an_address_has_its_share_of_those_who_have_not_logged_in() {
    let server = start_within(Limits {
        connections_per_address: 100,
        pending_connections: 8,
        login_timeout: Duration::from_secs(300),
        ..Limits::UNLIMITED
    });
    let place = server.place();
    let first = Client::connect_from(place, BAD);
    let _second = Client::connect_from(place, BAD);
    for _ in 0..5 {
        assert!(!is_welcome(place, BAD));
    }
    assert!(is_welcome(place, GOOD));
    let mut alice = first.logged_in("alice");
    assert!(is_welcome(place, BAD));
    alice.expect_quiet();
    let statistics = server.stop();
    assert_eq!(refused(&statistics, Cause::RefusedTooManyPending), 5);
    assert_eq!(refused(&statistics, Cause::RefusedTooManyFromAddress), 0);
    assert_eq!(refused(&statistics, Cause::ClosedCrowdedOut), 0);
}

#[test]
fn an_address_that_comes_too_often_is_refused_and_its_users_stay() {
    let server = start_within(Limits {
        connection_rate: 1,
        ..Limits::UNLIMITED
    });
    let place = server.place();
    let mut alice = Client::connect_from(place, BAD).logged_in("alice");
    assert!(is_welcome(place, BAD), "two minutes' worth at once");
    for _ in 0..5 {
        assert!(!is_welcome(place, BAD));
    }
    assert!(is_welcome(place, GOOD) && is_welcome(place, GOOD));
    alice.expect_quiet();
    let statistics = server.stop();
    assert_eq!(refused(&statistics, Cause::RefusedTooOften), 5);
}

#[test]
fn logins_of_an_address_over_the_rate_are_answered_with_id_0() {
    let server = start_within(Limits {
        login_rate: 1,
        ..Limits::UNLIMITED
    });
    let place = server.place();
    let logged_in = |from| Client::connect_from(place, from).logged_in("someone");
    let _users = [logged_in(BAD), logged_in(BAD)];
    let refusals = [logged_in(BAD), logged_in(BAD), logged_in(BAD)];
    for mut client in refusals {
        assert_eq!((client.id, client.token.0), (UserId(0), 0));
        client.expect_end();
    }
    assert_ne!(logged_in(GOOD).id, UserId(0));
    let statistics = server.stop();
    assert_eq!(refused(&statistics, Cause::LoginTooFast), 3);
    assert_eq!(statistics.users_at_most, 3);
}

fn refused(statistics: &Statistics, cause: Cause) -> u64 {
    statistics.counters.get(cause)
}

/// Whoever forges sources could make the server speak to itself, and voice go in circles.
#[test]
fn nobody_is_bound_to_the_servers_own_port_on_this_machine() {
    let server = Running::start_with(Config {
        bind_address: Some(Ipv4Addr::LOCALHOST.into()),
        ..Config::default()
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let own_port = std::net::UdpSocket::bind((BAD, server.udp_port)).expect("it is free there");
    let proof = encoded(&Packet::VoiceAuthRequest {
        request_id: 1,
        voice_token: alice.token,
    });
    let voice = (Ipv4Addr::LOCALHOST, server.udp_port);
    own_port.send_to(&proof, voice).expect("it is sent");
    // Hers comes after that one, and is answered.
    alice.prove();
    own_port.set_nonblocking(true).expect("it is a socket");
    assert!(own_port.recv(&mut [0; 100]).is_err(), "it was answered");
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::VoiceAuthOwnAddress), 1);
}

/// A pipe is never ready, and the reading of it must not hold up the next.
#[test]
fn a_ban_file_that_is_no_file_is_an_error() {
    let pipe = BanFile::new("pipe", "");
    std::fs::remove_file(&pipe.0).expect("it is there");
    let made = Command::new("mkfifo").arg(&pipe.0).status();
    assert!(made.expect("the system has it").success());
    let error = pipe.config().read_bans().expect_err("it is a pipe");
    assert!(error.to_string().contains("it is not a file"), "{error}");
}
