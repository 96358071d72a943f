//! Encrypted connections, over real sockets.

use crate::client::{Client, encoded};
use crate::secure::{HERE, Secure, dial, expect_end, hello};
use crate::{Config, Running};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;
use voiceapp_server::config::TlsUse;
use voiceapp_server::event::UserId;
use voiceapp_server::protocol::{Asked, Caps, Packet, Reason, UserFlags};
use voiceapp_server::{Cause, Limits};

fn with(tls: TlsUse, limits: Limits) -> Running {
    Running::start_with(Config {
        tls,
        limits,
        ..Config::default()
    })
}

/// Rule 14a.
#[test]
fn encrypted_and_plain_users_are_in_one_room() {
    let server = Running::start();
    let place = server.place();
    let mut alice = Secure::log_in(place, "alice");
    let mut bob = Client::log_in(place, "bob");
    let statistics = server.handle.statistics().expect("it runs");
    assert_eq!((statistics.users, statistics.users_encrypted), (2, 1));
    alice.next(|packet| match packet {
        Packet::UserJoinedServer { participant: who } => assert_eq!(who.username, "bob"),
        other => panic!("not bob's coming: {other:?}"),
    });
    let long = "é".repeat(2_000);
    for said in ["hello", &long] {
        alice.chat(said);
        bob.next(|packet| match packet {
            Packet::UserSentMessage {
                user_id, message, ..
            } => {
                assert_eq!((user_id, message), (UserId(1), said));
            }
            other => panic!("not the message: {other:?}"),
        });
    }
    // An end in order, and one without a word.
    alice.tls.conn.send_close_notify();
    let _ = alice.tls.flush();
    bob.expect(Packet::UserLeftServer { user_id: UserId(1) });
    alice.end().expect("the server says goodbye as well");
    let carol = Secure::log_in(place, "carol");
    bob.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    carol
        .tls
        .sock
        .shutdown(Shutdown::Both)
        .expect("it is connected");
    bob.expect(Packet::UserLeftServer { user_id: UserId(3) });
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedByPeer), 2);
    assert_eq!(statistics.outbound_bytes, 0);
}

const EXTENDED: Asked<'static> = Asked {
    caps: Caps::EXTENDED,
    password: None,
    name_proof: None,
    client: None,
};

/// Rules 13h and 13i.
#[test]
fn who_asks_hears_who_is_encrypted_and_why_it_ends() {
    let server = Running::start();
    let place = server.place();
    let mut alice = Secure::connect(place).logged_in_asking("alice", Some(EXTENDED));
    let of_herself = Packet::UserFlags {
        user_id: UserId(1),
        flags: UserFlags::IS_ENCRYPTED,
    };
    alice.next(|packet| assert_eq!(packet, of_herself));
    let mut bob = Client::connect(place);
    bob.send(&Packet::LoginRequest {
        request_id: 1,
        username: "bob",
        asked: Some(EXTENDED),
    });
    let granted = |packet: Packet<'_>| match packet {
        Packet::LoginResponse { granted, .. } => {
            let granted = granted.expect("it asked");
            (granted.caps, granted.voice_port)
        }
        other => panic!("not an answer to the login: {other:?}"),
    };
    let expected = (Caps::EXTENDED, Some(place.udp_port));
    assert_eq!(bob.next(granted), expected);
    bob.next(|packet| assert_eq!(packet, of_herself));
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    server.stop();
    let ended = Packet::Ended {
        reason: Reason::Unstated,
        text: "the server stops",
    };
    alice.next(|packet| assert_eq!(packet, ended));
    alice.end().expect("nothing follows");
    bob.next(|packet| assert_eq!(packet, ended));
    bob.expect_end();
}

/// Rule 14c.
#[test]
fn a_server_for_encrypted_connections_alone_refuses_plain_logins_and_closes() {
    let server = with(TlsUse::Only, Limits::default());
    let place = server.place();
    let mut plain = Client::connect(place);
    plain.expect_quiet();
    let mut plain = plain.logged_in("alice");
    assert_eq!(plain.id, UserId(0));
    plain.expect_end();
    let mut secure = Secure::log_in(place, "alice");
    assert_eq!(secure.id, 1);
    secure.chat("hello");
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::LoginNotEncrypted), 1);
    assert_eq!(statistics.counters.get(Cause::ClosedLoginRefused), 1);
}

#[test]
fn without_tls_its_first_byte_is_that_of_an_unknown_frame() {
    let server = with(TlsUse::Off, Limits::default());
    let mut client = Client::connect(server.place());
    // As long as its second and third byte say.
    let mut frame = vec![0x16, 3, 1];
    frame.resize(3 + 0x301, 0);
    client.tcp.write_all(&frame).expect("it is sent");
    client.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::FrameUnknownId), 1);
}

/// Rule 14b.
#[test]
fn http_is_closed_in_clear_and_inside_tls() {
    let server = Running::start();
    let place = server.place();
    let mut plain = dial(place, HERE);
    plain
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("it is sent");
    expect_end(&mut plain);
    let mut browser = Secure::dial(place, HERE, &[b"h2", b"http/1.1"]);
    browser.end().expect("the server says goodbye");
    let mut secure = Secure::connect(place);
    secure
        .tls
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("it is sent");
    secure.end().expect("the server says goodbye");
    let mut other = Secure::dial(place, HERE, &[b"imap"]);
    let error = other.end().expect_err("there is no protocol in common");
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedHttp), 3);
    assert_eq!(statistics.counters.get(Cause::ClosedTlsHandshake), 1);
}

#[test]
fn a_handshake_that_is_never_finished_meets_the_deadline_of_logins() {
    let server = with(
        TlsUse::Also,
        Limits {
            login_timeout: Duration::from_secs(1),
            ..Limits::default()
        },
    );
    let mut silent = dial(server.place(), HERE);
    let mut part = dial(server.place(), HERE);
    part.write_all(&hello()[..50]).expect("it is sent");
    let mut unfinished = dial(server.place(), HERE);
    unfinished.write_all(&hello()).expect("it is sent");
    let mut idle = Secure::connect(server.place());
    idle.tls
        .conn
        .complete_io(&mut idle.tls.sock)
        .expect("it is a handshake");
    for tcp in [&mut silent, &mut part, &mut unfinished] {
        expect_end(tcp);
    }
    idle.end().expect("the server says goodbye");
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedLoginDeadline), 4);
}

/// One address begins handshakes and leaves them; those of others, and who is there already, go on.
#[cfg(target_os = "linux")]
#[test]
fn handshakes_that_one_address_leaves_are_bounded_and_harm_nobody_else() {
    let limits = Limits {
        handshakes: 40,
        ..Limits::default()
    };
    let server = with(TlsUse::Also, limits);
    let place = server.place();
    let mut alice = Secure::log_in(place, "alice");
    let hello = hello();
    let mut left = Vec::new();
    for number in 0..60 {
        let mut tcp = dial(place, [127, 0, 0, 2].into());
        tcp.write_all(&hello).expect("it is sent");
        left.push(tcp);
        if number % 10 == 0 {
            alice.chat("still here");
            let mut bob = Secure::log_in(place, "bob");
            bob.chat("and I can come");
        }
    }
    // The first ten have got their place and an answer, and the others an end.
    for tcp in &mut left[10..] {
        expect_end(tcp);
    }
    let mut bytes = [0; 1];
    for tcp in &mut left[..10] {
        assert_eq!(tcp.read(&mut bytes).expect("it was answered"), 1);
    }
    // Who goes makes room again.
    drop(left);
    while server.handle.statistics().expect("it runs").pending > 0 {
        std::thread::yield_now();
    }
    let mut again = Vec::new();
    for _ in 0..10 {
        let mut tcp = dial(place, [127, 0, 0, 2].into());
        tcp.write_all(&hello).expect("it is sent");
        assert_eq!(tcp.read(&mut bytes).expect("it was answered"), 1);
        again.push(tcp);
    }
    let counters = server.stop().counters;
    assert_eq!(counters.get(Cause::ClosedHandshakes), 50);
    assert_eq!(counters.get(Cause::ClosedTlsHandshake), 0);
}

/// Somebody in between changes a byte: that connection ends, and no other.
#[test]
fn a_byte_changed_on_its_way_ends_that_connection_alone() {
    let server = Running::start();
    let place = server.place();
    let mut alice = Secure::log_in(place, "alice");
    let mut bob = Secure::log_in(place, "bob");
    let request = encoded(&Packet::PingRequest { request_id: 7 });
    bob.tls
        .conn
        .writer()
        .write_all(&request)
        .expect("it is memory");
    let mut record = Vec::new();
    bob.tls.conn.write_tls(&mut record).expect("it is memory");
    let last = record.len() - 1;
    record[last] ^= 1;
    bob.tls.sock.write_all(&record).expect("it is sent");
    let error = bob.end().expect_err("the server sends an alert");
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    alice.chat("that was all");
    // One that is cut off in the middle of a record is only gone.
    let carol = Secure::log_in(place, "carol");
    (&carol.tls.sock)
        .write_all(&[0x17, 3, 3, 0, 100, 1])
        .expect("it is sent");
    drop(carol);
    while !alice.next(|packet| packet == Packet::UserLeftServer { user_id: UserId(3) }) {}
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedTlsBroken), 1);
    assert_eq!(statistics.users, 1);
}

/// Rule 14d.
#[test]
fn a_stop_says_goodbye_to_everyone() {
    let server = Running::start();
    let mut alice = Secure::log_in(server.place(), "alice");
    alice.chat("hello");
    let statistics = server.stop();
    alice.end().expect("the server says goodbye");
    assert_eq!(statistics.counters.get(Cause::ClosedServerStopped), 1);
    assert_eq!(statistics.outbound_bytes, 0);
}

/// What waits for a client that does not read has the bound that it has on a plain connection.
#[cfg(target_os = "linux")]
#[test]
fn an_encrypted_client_that_does_not_read_is_disconnected() {
    let server = with(TlsUse::Also, Limits::UNLIMITED);
    let place = server.place();
    let mut alice = Secure::log_in(place, "alice");
    let deaf = Secure::log_in(place, "bob");
    let text = "x".repeat(4_000);
    let is_gone = || {
        let statistics = server.handle.statistics().expect("it runs");
        statistics.counters.get(Cause::ClosedTooSlow) == 1
    };
    for _ in 0..10_000 {
        alice.chat(&text);
        if is_gone() {
            break;
        }
    }
    assert!(is_gone());
    drop(deaf);
    assert_eq!(server.stop().outbound_bytes, 0);
}
