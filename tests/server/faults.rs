//! Connections that misbehave: thousands that say nothing, some that say it too slowly, and resets at
//! every moment. Those who behave do not notice.

use crate::client::{Client, encoded};
use crate::{Running, converse};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use voiceapp_server::protocol::Packet;
use voiceapp_server::{Cause, Config, Limits};

/// Tests that need thousands of descriptors take turns, so that they need them once.
static MANY_DESCRIPTORS: Mutex<()> = Mutex::new(());

/// Descriptors that are left to the tests beside those.
const RESERVED_DESCRIPTORS: usize = 1_000;

/// Waits for this test's turn, and says how many of so many connections fit into this process, which
/// holds both ends of each. The server has raised the limit as far as it may.
pub fn connections_that_fit(wanted: usize) -> (MutexGuard<'static, ()>, usize) {
    let turn = MANY_DESCRIPTORS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    // Where there is no such file, there is most likely no such limit.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|it| it.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    let room = soft
        .unwrap_or(usize::MAX)
        .saturating_sub(RESERVED_DESCRIPTORS)
        / 2;
    if room < wanted {
        eprintln!("only {room} of {wanted} connections fit into the limit on descriptors");
    }
    (turn, room.min(wanted))
}

/// A server that these limits are set for.
pub fn start_within(limits: Limits) -> Running {
    Running::start_with(Config {
        limits,
        ..Config::default()
    })
}

/// Connects without a word.
fn connect_silently(server: &Running) -> TcpStream {
    let place = server.place();
    TcpStream::connect((place.ip, place.tcp_port)).expect("the server listens")
}

#[test]
fn thousands_who_say_nothing_do_not_disturb_those_who_talk() {
    let server = start_within(Limits {
        pending_connections: 2_500,
        login_timeout: Duration::from_secs(300),
        ..Limits::UNLIMITED
    });
    let (_turn, count) = connections_that_fit(2_000);
    let mut alice = Client::log_in(server.place(), "alice");
    let mut silent = Vec::new();
    for number in 1..=count {
        silent.push(connect_silently(&server));
        // More at once might not fit into the kernel's queue.
        if number % 100 == 0 {
            alice.expect_quiet();
        }
    }
    // They are accepted in the order of their coming, so that all of them are there.
    converse(server.place(), server.place());
    for user in ["alice", "bob"] {
        alice.next(|packet| match packet {
            Packet::UserJoinedServer { participant: who } => assert_eq!(who.username, user),
            other => panic!("not the coming of {user}: {other:?}"),
        });
    }
    let statistics = server.stop();
    let counters = statistics.counters;
    assert!(counters.get(Cause::ClosedServerStopped) > count as u64);
    for cause in [Cause::ClosedCrowdedOut, Cause::ClosedLoginDeadline] {
        assert_eq!(counters.get(cause), 0, "{}", cause.name());
    }
}

/// Whether the server has ended a non-blocking connection on which it never says anything.
fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(0) => true,
        Ok(_) => panic!("there was nothing to answer"),
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

#[test]
fn those_who_send_a_byte_a_second_are_ended_in_time_and_disturb_nobody() {
    let server = start_within(Limits {
        login_timeout: Duration::from_secs(2),
        ..Limits::UNLIMITED
    });
    let mut alice = Client::log_in(server.place(), "alice");
    let login = encoded(&Packet::LoginRequest {
        request_id: 1,
        username: "someone who takes a long time",
        asked: None,
    });
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect_silently(&server)).collect();
    for stream in &slow {
        stream.set_nonblocking(true).expect("it is connected");
    }
    // Whoever gets to send it all has logged in, which alice is told.
    for byte in login {
        for stream in &mut slow {
            // One that was ended since refuses it.
            let _ = stream.write(&[byte]);
        }
        let next = Instant::now() + Duration::from_secs(1);
        while Instant::now() < next && !slow.is_empty() {
            alice.expect_quiet();
            slow.retain_mut(|stream| !has_ended(stream));
            std::thread::sleep(Duration::from_millis(10));
        }
        if slow.is_empty() {
            break;
        }
    }
    assert!(slow.is_empty(), "{} are still there", slow.len());
    alice.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedLoginDeadline), 200);
    assert_eq!(statistics.users_at_most, 1);
}

/// What a client does before it is gone without a word.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Connected,
    InTheMiddleOfALogin,
    LoggedIn,
    InTheMiddleOfAFrame,
    InVoice,
    BehindALongQueue,
}

#[cfg(target_os = "linux")]
const MOMENTS: [Moment; 6] = [
    Moment::Connected,
    Moment::InTheMiddleOfALogin,
    Moment::LoggedIn,
    Moment::InTheMiddleOfAFrame,
    Moment::InVoice,
    Moment::BehindALongQueue,
];

/// On Linux, because others may hold all of the queue in the kernel, and the queue is the point.
#[cfg(target_os = "linux")]
#[test]
fn a_reset_at_any_moment_leaves_no_ghost() {
    const ROUNDS: u64 = 10;
    let server = start_within(Limits {
        stall_timeout: Duration::from_secs(300),
        ..Limits::UNLIMITED
    });
    let mut alice = Client::log_in(server.place(), "alice");
    for moment in (0..ROUNDS).flat_map(|_| MOMENTS) {
        reset_at(moment, &server, &mut alice);
        // Whatever alice is told more than once or not at all shows here.
        alice.expect_quiet();
    }
    let bob = Client::log_in(server.place(), "bob");
    let statistics = server.stop();
    assert_eq!(statistics.users, 2, "alice and {}", bob.id);
    assert_eq!(statistics.users_at_most, 2);
    let ended = |cause| statistics.counters.get(cause);
    assert_eq!(ended(Cause::ClosedServerStopped), 2);
    let resets = ROUNDS * MOMENTS.len() as u64;
    assert_eq!(ended(Cause::ClosedBroken), resets);
}

/// A client goes as far as this and is reset, and alice is told what she has to be.
#[cfg(target_os = "linux")]
fn reset_at(moment: Moment, server: &Running, alice: &mut Client) {
    let mut bob = Client::connect_with_little_room(server.place());
    let login = encoded(&Packet::LoginRequest {
        request_id: 1,
        username: "bob",
        asked: None,
    });
    match moment {
        Moment::Connected => return bob.reset(),
        Moment::InTheMiddleOfALogin => {
            bob.tcp.write_all(&login[..7]).expect("it is sent");
            return bob.reset();
        }
        _ => {}
    }
    bob = bob.logged_in("bob");
    alice.next(|packet| {
        assert!(
            matches!(packet, Packet::UserJoinedServer { .. }),
            "{packet:?}"
        )
    });
    match moment {
        Moment::InTheMiddleOfAFrame => bob.tcp.write_all(&login[..7]).expect("it is sent"),
        Moment::InVoice | Moment::BehindALongQueue => {
            bob.prove();
            bob.join();
            alice.expect(Packet::UserJoinedVoice { user_id: bob.id });
        }
        _ => {}
    }
    if moment == Moment::BehindALongQueue {
        for _ in 0..40 {
            alice.chat(&"z".repeat(4_096));
        }
    }
    let user_id = bob.id;
    bob.reset();
    if matches!(moment, Moment::InVoice | Moment::BehindALongQueue) {
        alice.expect(Packet::UserLeftVoice { user_id });
    }
    alice.expect(Packet::UserLeftServer { user_id });
}
