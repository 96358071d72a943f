//! Clients that read slowly, later, or never, with so little room in the kernel's buffers that the
//! server has to keep what waits for them. On Linux, where a client can have it so.

use crate::client::Client;
use crate::faults::{connections_that_fit, start_within};
use crate::{Running, say_and_see_end};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use voiceapp_server::event::UserId;
use voiceapp_server::protocol::Packet;
use voiceapp_server::{Cause, Limits};

/// So many users that a LoginResponse about them has 60 KB.
const CROWD: usize = 1_380;

/// Many users with the longest names, who log in and never read.
fn gather(server: &Running, observer: &mut Client, count: usize) -> Vec<TcpStream> {
    let place = server.place();
    let (mut crowd, mut seen) = (Vec::new(), 0);
    for number in 0..count {
        let mut stream =
            TcpStream::connect((place.ip, place.tcp_port)).expect("the server listens");
        let login = crate::client::encoded(&Packet::LoginRequest {
            request_id: 1,
            username: &name(number),
            asked: None,
        });
        stream.write_all(&login).expect("it is sent");
        crowd.push(stream);
        // More at once might not fit into the kernel's queue.
        while crowd.len() - seen == 100 || (crowd.len() == count && seen < count) {
            observer.next(|packet| match packet {
                Packet::UserJoinedServer { participant: who } => assert_eq!(who.username.len(), 32),
                other => panic!("not another's coming: {other:?}"),
            });
            seen += 1;
        }
    }
    crowd
}

fn name(number: usize) -> String {
    format!("{number:032}")
}

/// A reader with little room that has asked to log in and read a little of the answer.
fn stop_in_the_middle(server: &Running, observer: &mut Client) -> (Client, Vec<u8>, UserId) {
    let mut reader = Client::connect_with_little_room(server.place());
    reader.send(&Packet::LoginRequest {
        request_id: 1,
        username: "reader",
        asked: None,
    });
    let mut start = vec![0; 1_000];
    reader.tcp.read_exact(&mut start).expect("it is answered");
    let id = observer.next(|packet| match packet {
        Packet::UserJoinedServer { participant: who } if who.username == "reader" => who.user_id,
        other => panic!("not the reader's coming: {other:?}"),
    });
    (reader, start, id)
}

fn limits(stall_timeout: u64) -> Limits {
    Limits {
        users: 2_000,
        stall_timeout: Duration::from_secs(stall_timeout),
        ..Limits::UNLIMITED
    }
}

#[test]
fn a_reader_that_stops_in_the_middle_of_its_login_is_ended() {
    let server = start_within(limits(1));
    let (_turn, count) = connections_that_fit(CROWD);
    if count < CROWD {
        return;
    }
    let mut alice = Client::log_in(server.place(), "alice");
    let _crowd = gather(&server, &mut alice, count);
    let (mut reader, start, user_id) = stop_in_the_middle(&server, &mut alice);
    alice.expect(Packet::UserLeftServer { user_id });
    alice.expect_quiet();
    let mut rest = Vec::new();
    // It may end in order or by a reset; either way it ends.
    let _ = reader.tcp.read_to_end(&mut rest);
    let frame_len = 3 + usize::from(u16::from_be_bytes([start[1], start[2]]));
    assert!(frame_len > 60_000 && start.len() + rest.len() < frame_len);
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedStalled), 1);
    assert_eq!(statistics.counters.get(Cause::ClosedTooSlow), 0);
    assert_eq!(statistics.users, count + 1);
}

/// Rule 12b.
#[test]
fn a_reader_that_stops_in_the_middle_of_its_login_and_goes_on_loses_nothing() {
    let server = start_within(limits(300));
    let (_turn, count) = connections_that_fit(CROWD);
    if count < CROWD {
        return;
    }
    let mut alice = Client::log_in(server.place(), "alice");
    let _crowd = gather(&server, &mut alice, count);
    let (mut reader, start, _) = stop_in_the_middle(&server, &mut alice);
    for number in 0..50 {
        alice.chat(&number.to_string());
    }
    reader.put_back(&start);
    reader.next(|packet| match packet {
        Packet::LoginResponse { participants, .. } => {
            let ids = participants.iter().map(|who| who.user_id.0);
            assert!(ids.eq(1..=count as u64 + 2));
            // They came at about the same time, and so in any order.
            let names: BTreeSet<String> =
                participants.iter().map(|who| who.username.into()).collect();
            let crowd = (0..count).map(name);
            let all = crowd.chain(["alice".into(), "reader".into()]);
            assert_eq!(names, all.collect());
        }
        other => panic!("not the answer to the login: {other:?}"),
    });
    for number in 0..50 {
        reader.next(|packet| match packet {
            Packet::UserSentMessage { message, .. } => assert_eq!(message, number.to_string()),
            other => panic!("not what alice said: {other:?}"),
        });
    }
    reader.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.users, count + 2);
}

/// What waits for a reader at the stop still goes to it, and the last figures say so.
#[test]
fn the_last_figures_know_what_a_stop_has_flushed() {
    const SAID: usize = 50;
    let server = start_within(Limits::UNLIMITED);
    let mut alice = Client::log_in(server.place(), "alice");
    let mut reader = Client::connect_with_little_room(server.place()).logged_in("reader");
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    let said = "z".repeat(4_096);
    for _ in 0..SAID {
        alice.chat(&said);
    }
    alice.expect_quiet();
    server.handle.stop();
    let mut heard = 0;
    while reader.is_answered() {
        reader
            .next(|packet| heard += usize::from(matches!(packet, Packet::UserSentMessage { .. })));
    }
    let statistics = server.stop();
    assert!(
        statistics.outbound_bytes_at_most > said.len(),
        "nothing waited"
    );
    // Whoever is too slow for a second of it does not hear all.
    assert!(
        statistics.outbound_bytes == 0 || heard < SAID,
        "{statistics}"
    );
}

#[test]
fn a_reader_that_has_stopped_is_ended_long_before_its_bound() {
    let server = start_within(Limits {
        stall_timeout: Duration::from_secs(1),
        ..Limits::UNLIMITED
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let sleeper = Client::connect_with_little_room(server.place()).logged_in("sleeper");
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    // More than the kernel takes, and half of what may wait for one connection. On a slow machine,
    // the end may come meanwhile.
    let message = "z".repeat(4_096);
    let mut is_gone = false;
    for number in 0..40 {
        is_gone |= say_and_see_end(&mut alice, number, &message, sleeper.id);
    }
    if !is_gone {
        alice.await_packet(Packet::UserLeftServer {
            user_id: sleeper.id,
        });
    }
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedStalled), 1);
    assert_eq!(statistics.counters.get(Cause::ClosedTooSlow), 0);
    assert_eq!(statistics.users, 1);
}

/// Pings, and reads none of the answers, which are few enough for the kernel to take them all.
#[test]
fn a_reader_that_has_stopped_is_ended_while_the_kernel_still_takes_bytes_for_it() {
    const PINGS: usize = 1_000;
    let server = start_within(Limits {
        stall_timeout: Duration::from_secs(1),
        ..Limits::UNLIMITED
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let mut sleeper = Client::connect_with_little_room(server.place()).logged_in("sleeper");
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    for request_id in 0..PINGS as u64 {
        sleeper.send(&Packet::PingRequest { request_id });
    }
    alice.await_packet(Packet::UserLeftServer {
        user_id: sleeper.id,
    });
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedStalled), 1);
    // But for what the sleeper's machine took, and the server counts what the kernel holds.
    assert!(statistics.outbound_bytes_at_most > PINGS * 11 / 2);
    assert!(statistics.outbound_bytes < 1_000, "it counts no longer");
}

/// Something is always waiting while this one reads, for longer than the stall timeout. A machine that
/// keeps the reader itself waiting for a part of that shows nothing, and gets another try.
#[test]
fn a_reader_that_is_slow_but_steady_lives_on() {
    while !reads_slowly() {}
}

fn reads_slowly() -> bool {
    const STALL_TIMEOUT: Duration = Duration::from_secs(1);
    let server = start_within(Limits {
        // The more users there may be, the more may wait for one: a megabyte and a half.
        users: 16_000,
        stall_timeout: STALL_TIMEOUT,
        ..Limits::UNLIMITED
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let mut reader = Client::connect_with_little_room(server.place()).logged_in("reader");
    let message = "z".repeat(4_096);
    let (mut said, mut is_gone) = (0, false);
    let start = Instant::now();
    let (mut last, mut slowest) = (start, Duration::ZERO);
    while !is_gone && slowest < STALL_TIMEOUT / 2 && start.elapsed() < 2 * STALL_TIMEOUT {
        // The kernel comes to take more the more is read, but not as much as this.
        let more = if said == 0 { 250 } else { 1 };
        for _ in 0..more {
            said += 1;
            is_gone |= say_and_see_end(&mut alice, said, &message, reader.id);
        }
        is_gone |= !reader.is_answered();
        slowest = slowest.max(last.elapsed());
        last = Instant::now();
        if !is_gone {
            reader.next(|packet| match packet {
                Packet::UserSentMessage { message: heard, .. } => assert_eq!(heard, message),
                other => panic!("not what alice said: {other:?}"),
            });
            std::thread::sleep(STALL_TIMEOUT / 20);
        }
    }
    let was_steady = slowest < STALL_TIMEOUT / 2;
    assert!(
        !is_gone || !was_steady,
        "ended, though it read at least every {slowest:?}"
    );
    drop(reader);
    server.stop();
    was_steady
}

/// The kernel reports that it takes more only when a part of its buffer is free, and a slow reader may
/// take less than that in the stall timeout: what its machine acknowledges is what counts.
#[test]
fn a_steady_reader_is_not_taken_for_a_stalled_one_however_much_the_kernel_holds() {
    const STALL_TIMEOUT: Duration = Duration::from_secs(1);
    let server = start_within(Limits {
        stall_timeout: STALL_TIMEOUT,
        ..Limits::UNLIMITED
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let mut reader = Client::connect(server.place()).logged_in("reader");
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    let is_over = AtomicBool::new(false);
    let slowest = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut slowest, mut last) = (Duration::ZERO, Instant::now());
            let mut bytes = [0; 8_192];
            while !is_over.load(Ordering::Relaxed) && matches!(reader.tcp.read(&mut bytes), Ok(1..))
            {
                slowest = slowest.max(last.elapsed());
                last = Instant::now();
                std::thread::sleep(Duration::from_millis(20));
            }
            slowest
        });
        let said = "z".repeat(4_096);
        for number in 0..1_100 {
            let is_gone = say_and_see_end(&mut alice, number, &said, reader.id);
            if is_gone {
                break;
            }
            // First what the kernels hold at both ends fills up, and then a little waits in the server.
            if number > 1_050 {
                std::thread::sleep(STALL_TIMEOUT / 20);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        reading.join().expect("it does not panic")
    });
    let statistics = server.stop();
    let stalled = statistics.counters.get(Cause::ClosedStalled);
    assert!(
        stalled == 0 || slowest >= STALL_TIMEOUT,
        "ended, though it read at least every {slowest:?}"
    );
}
