//! The whole server over real sockets on loopback: what only they can show.

#[cfg(all(target_os = "linux", feature = "cli"))]
mod addresses;
mod application;
#[cfg(feature = "cli")]
mod binary;
#[cfg(all(unix, feature = "cli", feature = "encryption"))]
mod certificates;
mod client;
mod faults;
mod floods;
#[cfg(all(unix, feature = "cli"))]
mod journal;
mod metrics;
#[cfg(all(unix, feature = "cli"))]
mod passwords;
#[cfg(feature = "encryption")]
mod secure;
#[cfg(target_os = "linux")]
mod slow_readers;
#[cfg(feature = "encryption")]
mod tls;

use client::{Client, Place, encoded};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener};
use std::thread::JoinHandle;
use voiceapp_server::config::UdpSend;
use voiceapp_server::event::{UserId, VoiceToken};
use voiceapp_server::protocol::Packet;
use voiceapp_server::{Cause, Config, Limits, Server, ServerHandle, Statistics};

/// A server on a thread of its own, on ports that the system chose.
struct Running {
    tcp_port: u16,
    udp_port: u16,
    handle: ServerHandle,
    thread: JoinHandle<Statistics>,
}

impl Running {
    fn start() -> Running {
        Running::start_with(Config::default())
    }

    fn start_with(config: Config) -> Running {
        let server = Server::bind(&Config {
            management_port: 0,
            voice_relay_port: 0,
            ..config
        })
        .expect("the system has free ports");
        Running::run(server)
    }

    fn run(server: Server) -> Running {
        Running {
            tcp_port: server.management_address().port(),
            udp_port: server.voice_relay_address().port(),
            handle: server.handle(),
            thread: std::thread::spawn(|| server.run().expect("it runs to its end")),
        }
    }

    fn place(&self) -> Place {
        self.place_at(Ipv4Addr::LOCALHOST.into())
    }

    fn place_at(&self, ip: IpAddr) -> Place {
        Place {
            ip,
            tcp_port: self.tcp_port,
            udp_port: self.udp_port,
        }
    }

    fn stop(self) -> Statistics {
        self.handle.stop();
        self.thread.join().expect("it does not panic")
    }
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Two people meet, chat, join voice, and one hears the other.
fn converse(first: Place, second: Place) {
    let mut alice = Client::log_in(first, "alice");
    let mut bob = Client::log_in(second, "bob");
    alice.next(|packet| match packet {
        Packet::UserJoinedServer { participant: who } => assert_eq!(who.username, "bob"),
        other => panic!("not bob's coming: {other:?}"),
    });

    let request_id = bob.request_id();
    bob.send(&Packet::ChatMessageRequest {
        request_id,
        message: "hello",
    });
    bob.expect(Packet::ChatMessageResponse {
        request_id,
        success: true,
        reason: None,
    });
    for listener in [&mut alice, &mut bob] {
        listener.next(|packet| match packet {
            Packet::UserSentMessage { message, .. } => assert_eq!(message, "hello"),
            other => panic!("not the message: {other:?}"),
        });
    }

    alice.prove();
    bob.prove();
    alice.join();
    bob.expect(Packet::UserJoinedVoice { user_id: alice.id });
    bob.join();
    alice.expect(Packet::UserJoinedVoice { user_id: bob.id });
    for sequence in 0..100 {
        alice.speak(sequence, &[sequence as u8; 200]);
        bob.expect_voice(alice.id, sequence, &[sequence as u8; 200]);
    }
    bob.speak(0, b"");
    alice.expect_voice(bob.id, 0, b"");
    bob.tcp.shutdown(Shutdown::Both).expect("it is connected");
    alice.expect(Packet::UserLeftVoice { user_id: bob.id });
    alice.expect(Packet::UserLeftServer { user_id: bob.id });
}

#[test]
fn two_people_hear_each_other_in_every_way_of_sending() {
    let ways: &[UdpSend] = if cfg!(target_os = "linux") {
        &[
            UdpSend::Auto,
            UdpSend::Coalesce,
            UdpSend::Batch,
            UdpSend::Plain,
        ]
    } else {
        &[UdpSend::Auto, UdpSend::Plain]
    };
    for &udp_send in ways {
        let server = Running::start_with(Config {
            udp_send,
            ..Config::default()
        });
        converse(server.place(), server.place());
        let statistics = server.stop();
        let is_timed = cfg!(target_os = "linux") && udp_send != UdpSend::Plain;
        assert_eq!(
            statistics.latency_ns.count(),
            if is_timed { 101 } else { 0 }
        );
        // Two proofs were answered, and a hundred and one datagrams relayed.
        assert_eq!(statistics.datagrams_sent, 103);
        assert_eq!(statistics.users_at_most, 2);
        assert!(statistics.batches.count() > 0 && statistics.turn_ns.count() > 0);
    }
}

#[test]
fn people_of_both_address_families_meet() {
    if !has_ipv6() {
        return;
    }
    for ipv6_comes_first in [false, true] {
        let server = Running::start();
        let (ipv4, ipv6) = (server.place(), server.place_at(Ipv6Addr::LOCALHOST.into()));
        if ipv6_comes_first {
            converse(ipv6, ipv4);
        } else {
            converse(ipv4, ipv6);
        }
        server.stop();
    }
}

#[test]
fn a_server_bound_to_one_address_is_at_that_address() {
    let ip = Ipv4Addr::LOCALHOST.into();
    let server = Running::start_with(Config {
        bind_address: Some(ip),
        ..Config::default()
    });
    converse(server.place(), server.place());
    server.stop();
}

/// On Linux, all of 127.0.0.0/8 is the machine itself. A client's UDP socket is connected, and so
/// deaf to any other address than the one it dialled.
#[cfg(target_os = "linux")]
#[test]
fn each_client_hears_from_the_address_it_dialled() {
    let server = Running::start();
    converse(
        server.place_at(Ipv4Addr::new(127, 0, 0, 2).into()),
        server.place_at(Ipv4Addr::new(127, 0, 0, 3).into()),
    );
    server.stop();
}

#[test]
fn a_client_that_moves_is_heard_and_hears_at_its_new_address() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    let mut bob = Client::log_in(server.place(), "bob");
    for client in [&mut alice, &mut bob] {
        client.prove();
        client.send(&Packet::JoinVoiceChannelRequest { request_id: 99 });
        client.await_packet(Packet::JoinVoiceChannelResponse {
            request_id: 99,
            success: true,
            reason: None,
        });
    }
    let old = std::mem::replace(&mut alice.udp, Client::connect(server.place()).udp);
    alice.prove();
    bob.speak(1, b"where are you?");
    alice.expect_voice(bob.id, 1, b"where are you?");
    // What comes from the old address is a stranger's now: only the second of these is heard.
    old.send(&encoded(&Packet::VoiceData {
        user_id: UserId(0),
        sequence: 1,
        timestamp: 0,
        data: b"still here",
    }))
    .expect("it is sent");
    alice.speak(2, b"here");
    bob.expect_voice(alice.id, 2, b"here");
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::VoiceUnknownSource), 1);
}

#[test]
fn a_dead_token_and_no_token_are_answered_false() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    let mut bob = Client::log_in(server.place(), "bob");
    alice.prove();
    alice.tcp.shutdown(Shutdown::Both).expect("it is connected");
    bob.await_packet(Packet::UserLeftServer { user_id: alice.id });
    for token in [alice.token, VoiceToken(0)] {
        let refused = encoded(&Packet::VoiceAuthResponse {
            request_id: 5,
            success: false,
        });
        assert_eq!(bob.authenticate(5, token), refused);
    }
    server.stop();
}

/// What the existing clients need: the answer arrives although there was more to read, the connection
/// ends, the UDP half is ended by an empty datagram, and another connection gets in.
#[test]
fn who_was_refused_is_sent_away_whole_and_can_try_again() {
    let server = Running::start();
    let mut refused = Client::connect(server.place());
    let mut stream = encoded(&Packet::LoginRequest {
        request_id: 1,
        username: "a\nb",
        asked: None,
    });
    for request_id in 2..5_000 {
        stream.extend(encoded(&Packet::PingRequest { request_id }));
    }
    refused.tcp.write_all(&stream).expect("it is sent");
    refused.next(|packet| {
        let is_refusal =
            matches!(packet, Packet::LoginResponse { request_id: 1, id, .. } if id.0 == 0);
        assert!(is_refusal, "{packet:?}");
    });
    refused.expect_end();
    let answer = encoded(&Packet::VoiceAuthResponse {
        request_id: 5,
        success: false,
    });
    assert_eq!(refused.authenticate(5, VoiceToken(0)), answer);
    assert_eq!(refused.udp.recv(&mut [0; 100]).expect("one more comes"), 0);
    let mut again = Client::log_in(server.place(), "alice");
    assert_ne!(again.id, UserId(0));
    again.prove();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::LoginBadName), 1);
    assert_eq!(statistics.counters.get(Cause::ClosedLoginRefused), 1);
}

#[test]
fn a_stream_cut_into_bytes_and_one_glued_together_are_the_same() {
    let server = Running::start();
    let mut alice = Client::connect(server.place());
    let mut stream = encoded(&Packet::LoginRequest {
        request_id: 1,
        username: "alice",
        asked: None,
    });
    for request_id in 2..12 {
        stream.extend(encoded(&Packet::PingRequest { request_id }));
    }
    for byte in &stream {
        alice.tcp.write_all(&[*byte]).expect("it is sent");
    }
    alice.next(|packet| {
        assert!(matches!(
            packet,
            Packet::LoginResponse { request_id: 1, .. }
        ))
    });
    for request_id in 2..12 {
        alice.expect(Packet::PingResponse { request_id });
    }

    let mut thousand = Vec::new();
    for request_id in 0..1_000 {
        thousand.extend(encoded(&Packet::PingRequest { request_id }));
    }
    alice.tcp.write_all(&thousand).expect("it is sent");
    for request_id in 0..1_000 {
        alice.expect(Packet::PingResponse { request_id });
    }
    server.stop();
}

#[test]
fn the_longest_frame_is_skipped_and_what_follows_is_answered() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    let mut frame = vec![0x7F, 0xFF, 0xFF];
    frame.resize(3 + 65_535, 0);
    for _ in 0..20 {
        alice.tcp.write_all(&frame).expect("it is sent");
    }
    alice.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::FrameUnknownId), 20);
}

#[test]
fn a_malformed_frame_ends_its_connection_and_no_other() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    let mut mallory = Client::log_in(server.place(), "mallory");
    mallory.send(&Packet::PingRequest { request_id: 7 });
    let truncated_ping = [0x06, 0, 1, 0];
    mallory.tcp.write_all(&truncated_ping).expect("it is sent");
    mallory.expect(Packet::PingResponse { request_id: 7 });
    mallory.expect_end();
    alice.await_packet(Packet::UserLeftServer {
        user_id: mallory.id,
    });
    alice.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedMalformed), 1);
}

#[test]
fn a_client_that_has_said_its_last_word_is_still_answered() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    alice.send(&Packet::PingRequest { request_id: 7 });
    alice
        .tcp
        .shutdown(Shutdown::Write)
        .expect("it is connected");
    alice.expect(Packet::PingResponse { request_id: 7 });
    alice.expect_end();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedByPeer), 1);
}

#[test]
fn a_reader_that_never_reads_is_ended_and_the_others_lose_nothing() {
    let server = Running::start_with(Config {
        limits: Limits {
            users: 10,
            ..Limits::UNLIMITED
        },
        ..Config::default()
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let mut bob = Client::log_in(server.place(), "bob");
    let sleeper = Client::log_in(server.place(), "sleeper");
    let bobs_count = std::thread::spawn(move || {
        let mut heard = 0;
        let mut is_last = false;
        while !is_last {
            bob.next(|packet| {
                if let Packet::UserSentMessage { message, .. } = packet {
                    heard += 1;
                    is_last = message == "the end";
                }
            });
        }
        heard
    });

    let message = "z".repeat(4_096);
    let mut said = 0;
    let mut is_ended = false;
    while !is_ended {
        // The kernel's buffers come first, and then the server's bound; 64 MiB is more than the two
        // can be.
        assert!(said < 16_384, "the sleeper's queue has no end");
        said += 1;
        is_ended = say_and_see_end(&mut alice, said, &message, sleeper.id);
    }
    say_and_see_end(&mut alice, said + 1, "the end", sleeper.id);
    assert_eq!(bobs_count.join().expect("bob is patient"), said + 1);
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedTooSlow), 1);
}

/// Says something, awaits the answer, and tells whether this user has left meanwhile.
fn say_and_see_end(client: &mut Client, request_id: u64, message: &str, user: UserId) -> bool {
    client.send(&Packet::ChatMessageRequest {
        request_id,
        message,
    });
    let (mut is_answered, mut has_left) = (false, false);
    while !is_answered {
        client.next(|packet| match packet {
            Packet::ChatMessageResponse { success, .. } => {
                assert!(success);
                is_answered = true;
            }
            Packet::UserLeftServer { user_id } => has_left |= user_id == user,
            _ => {}
        });
    }
    has_left
}

/// This one takes as long as the deadline; the machines in between are tested with virtual time.
#[test]
fn a_stranger_is_sent_away_and_a_user_is_not() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    let mut stranger = Client::connect(server.place());
    stranger.expect_quiet();
    stranger.expect_end();
    alice.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedLoginDeadline), 1);
}

#[test]
fn a_stop_delivers_what_was_said_before_it() {
    let server = Running::start_with(Config {
        limits: Limits::UNLIMITED,
        ..Config::default()
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let mut bob = Client::log_in(server.place(), "bob");
    let message = "z".repeat(4_096);
    for request_id in 0..50 {
        alice.send(&Packet::ChatMessageRequest {
            request_id,
            message: &message,
        });
    }
    let mut answers = 0;
    while answers < 50 {
        alice.next(|packet| answers += u32::from(packet.id() == 0x25));
    }
    let statistics = server.stop();
    let mut heard = 0;
    while heard < 50 {
        bob.next(|packet| heard += u32::from(packet.id() == 0x45));
    }
    bob.expect_end();
    alice.expect_end();
    assert_eq!(statistics.counters.get(Cause::ClosedServerStopped), 2);
}

#[test]
fn stopping_twice_or_after_the_end_does_nothing() {
    let server = Running::start();
    let stop = server.handle.clone();
    stop.stop();
    stop.stop();
    server.stop();
    stop.stop();
}

#[test]
fn a_server_stopped_before_it_runs_ends_at_once() {
    let config = Config {
        management_port: 0,
        voice_relay_port: 0,
        ..Config::default()
    };
    let server = Server::bind(&config).expect("the system has free ports");
    server.handle().stop();
    let statistics = server.run().expect("it runs to its end");
    assert_eq!(statistics.datagrams_received, 0);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let server = Running::start();
    for (management_port, voice_relay_port) in [(server.tcp_port, 0), (0, server.udp_port)] {
        let config = Config {
            management_port,
            voice_relay_port,
            ..Config::default()
        };
        let error = Server::bind(&config).err().expect("the port is taken");
        let port = management_port.max(voice_relay_port).to_string();
        assert!(error.to_string().contains(&port), "{error}");
    }
    server.stop();
}

#[test]
fn connections_that_are_reset_leave_nothing_behind() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    for _ in 0..50 {
        let bob = Client::log_in(server.place(), "bob");
        alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
        // Unread bytes at the moment of closing make it a reset.
        let mut probe = [0];
        alice.send(&Packet::UserMuteState {
            user_id: UserId(0),
            is_muted: true,
        });
        bob.tcp.peek(&mut probe).expect("the mute state arrives");
        let user_id = bob.id;
        drop(bob);
        alice.expect(Packet::UserLeftServer { user_id });
    }
    alice.expect_quiet();
    let mut rest = [0];
    alice.tcp.set_nonblocking(true).expect("it is connected");
    assert!(alice.tcp.read(&mut rest).is_err(), "nothing else was told");
    server.stop();
}
