//! The server inside an application: what a handle can ask for from another thread, what the application
//! hears, and a loop that it turns itself.

use crate::Running;
use crate::client::{Client, PATIENCE, Place};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use voiceapp_server::bans::Network;
use voiceapp_server::event::UserId;
use voiceapp_server::limits::{CHAT_BYTES_MAX, REQUESTS_WAITING_MAX};
use voiceapp_server::management::AnnounceError;
use voiceapp_server::protocol::{Packet, Participant};
use voiceapp_server::{Cause, Config, Ended, RequestError, Server, ServerEvent, metrics};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn bind() -> Server {
    let config = Config {
        management_port: 0,
        voice_relay_port: 0,
        ..Config::default()
    };
    Server::bind(&config).expect("the system has free ports")
}

fn place(server: &Server) -> Place {
    Place {
        ip: HERE,
        tcp_port: server.management_address().port(),
        udp_port: server.voice_relay_address().port(),
    }
}

/// A server whose events are heard.
fn start(capacity: usize) -> (Running, Receiver<ServerEvent>) {
    let mut server = bind();
    let events = server.events(capacity);
    (Running::run(server), events)
}

fn next(events: &Receiver<ServerEvent>) -> ServerEvent {
    events.recv_timeout(PATIENCE).expect("something happens")
}

/// What another asks, so that it is a thread's own question.
fn elsewhere<T: Send>(ask: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(ask).join().expect("it does not panic"))
}

fn mute(client: &mut Client) {
    client.send(&Packet::UserMuteState {
        user_id: UserId(0),
        is_muted: true,
    });
    client.expect_quiet();
}

#[test]
fn statistics_and_users_are_as_they_are_now() {
    let server = Running::start();
    let handle = server.handle.clone();
    let before = elsewhere(|| handle.statistics()).expect("it runs");
    assert_eq!((before.users, before.events_lost), (0, None));
    assert!(!metrics::render(&before).contains("events_lost"));
    assert_eq!(handle.users(), Ok(Vec::new()));

    let mut alice = Client::log_in(server.place(), "alice");
    alice.join();
    mute(&mut alice);
    let _bob = Client::log_in(server.place(), "bob");
    let users = elsewhere(|| handle.users()).expect("it runs");
    let [first, second] = &users[..] else {
        panic!("two are here: {users:?}");
    };
    assert_eq!(
        (first.id, &*first.name, first.address),
        (alice.id, "alice", HERE)
    );
    assert!(first.in_voice && first.is_muted);
    assert_eq!(&*second.name, "bob");
    assert!(!second.in_voice && !second.is_muted);
    let at = |time: Duration| time.as_millis() as u64;
    let started = before.started_at.duration_since(std::time::UNIX_EPOCH);
    assert!(at(started.expect("it is later")) <= first.logged_in_unix_ms);
    assert!(first.logged_in_unix_ms <= second.logged_in_unix_ms);
    let after = handle.statistics().expect("it runs");
    assert_eq!((after.users, after.users_in_voice, after.logins), (2, 1, 2));
    server.stop();
}

#[test]
fn who_is_disconnected_is_gone_and_the_others_are_told() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    let mut bob = Client::log_in(server.place(), "bob");
    bob.join();
    assert_eq!(elsewhere(|| server.handle.disconnect(bob.id)), Ok(true));
    bob.expect_end();
    alice.await_packet(Packet::UserLeftVoice { user_id: bob.id });
    alice.expect(Packet::UserLeftServer { user_id: bob.id });
    assert_eq!(server.handle.disconnect(bob.id), Ok(false), "who is gone");
    assert_eq!(
        server.handle.disconnect(UserId(99)),
        Ok(false),
        "who never was"
    );
    assert_eq!(server.handle.users().expect("it runs").len(), 1);
    // Nothing keeps them out.
    assert_eq!(Client::log_in(server.place(), "bob").id, UserId(3));
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedByApplication), 1);
}

#[test]
fn a_ban_ends_who_is_here_and_lasts_until_it_is_lifted() {
    let server = Running::start();
    let handle = &server.handle;
    let mut alice = Client::log_in(server.place(), "alice");
    assert_eq!(elsewhere(|| handle.ban(HERE)), Ok(true));
    alice.expect_end();
    assert_eq!(handle.ban(HERE), Ok(false), "it is banned already");
    Client::connect(server.place()).expect_end();

    // A network beside the address: each is lifted by itself.
    let all: Network = "127.0.0.0/8".parse().expect("it is a network");
    assert_eq!(handle.ban(all), Ok(true));
    assert_eq!(handle.unban(HERE), Ok(true));
    Client::connect(server.place()).expect_end();
    assert_eq!(handle.unban(all), Ok(true));
    assert_eq!(handle.unban(all), Ok(false));
    let mut again = Client::log_in(server.place(), "alice");
    again.expect_quiet();
    let statistics = server.stop();
    assert_eq!(statistics.counters.get(Cause::ClosedBanned), 1);
    assert_eq!(statistics.counters.get(Cause::RefusedBanned), 2);
}

/// Neither of the two lists takes the place of the other.
#[cfg(target_os = "linux")]
#[test]
fn the_application_s_bans_and_the_file_s_are_beside_each_other() {
    let (of_the_file, of_the_application) = ([127, 0, 0, 2].into(), [127, 0, 0, 3].into());
    let name = format!("voiceapp-server-application-bans-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, "127.0.0.4").expect("the folder is writable");
    let server = Running::start_with(Config {
        ban_file: Some(path.clone()),
        ..Config::default()
    });
    let place = server.place();
    assert_eq!(server.handle.ban(of_the_application), Ok(true));
    let mut guest = Client::connect_from(place, of_the_file).logged_in("guest");
    std::fs::write(&path, "127.0.0.2").expect("the folder is writable");
    server.handle.reload();
    guest.expect_end();
    for banned in [of_the_file, of_the_application] {
        Client::connect_from(place, banned).expect_end();
    }
    assert_eq!(server.handle.unban(of_the_application), Ok(true));
    assert_eq!(
        server.handle.unban(of_the_file),
        Ok(false),
        "the file's stay"
    );
    Client::connect_from(place, of_the_file).expect_end();
    Client::connect_from(place, of_the_application)
        .logged_in("back")
        .expect_quiet();
    server.stop();
    std::fs::remove_file(&path).expect("it is there");
}

/// Rule 12c.
#[test]
fn an_announcement_is_a_message_of_somebody_who_comes_for_it_and_goes() {
    let (server, events) = start(100);
    let mut alice = Client::log_in(server.place(), "alice");
    let stranger = Client::connect(server.place());
    let said = "the server restarts at noon";
    assert_eq!(elsewhere(|| server.handle.announce(" Host ", said)), Ok(()));
    alice.expect(Packet::UserJoinedServer {
        participant: Participant {
            user_id: UserId(0),
            username: "Host",
            in_voice: false,
            is_muted: false,
        },
    });
    let first = alice.next(|packet| match packet {
        Packet::UserSentMessage {
            user_id: UserId(0),
            timestamp_ms,
            message,
        } => (timestamp_ms, message.to_owned()),
        other => panic!("not the message: {other:?}"),
    });
    assert_eq!(first.1, said);
    alice.expect(Packet::UserLeftServer { user_id: UserId(0) });
    // Two at the same moment have two time stamps.
    assert_eq!(server.handle.announce("Host", "now"), Ok(()));
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    alice.next(|packet| match packet {
        Packet::UserSentMessage { timestamp_ms, .. } => assert!(timestamp_ms > first.0),
        other => panic!("not the message: {other:?}"),
    });
    alice.expect(Packet::UserLeftServer { user_id: UserId(0) });

    let long = "x".repeat(CHAT_BYTES_MAX + 1);
    for (author, message, error) in [
        ("Host", "", AnnounceError::Empty),
        ("Host", &*long, AnnounceError::TooLong),
    ] {
        let answer = server.handle.announce(author, message);
        assert_eq!(answer, Err(RequestError::Announce(error)));
    }
    let bad = server.handle.announce("\u{200b}", "hello");
    assert!(matches!(
        bad,
        Err(RequestError::Announce(AnnounceError::BadAuthor(_)))
    ));
    alice.expect_quiet();
    // A stranger hears nothing, and nobody is on the list but the one who is here.
    drop(stranger);
    assert_eq!(server.handle.users().expect("it runs").len(), 1);
    // The application knows what it has said itself.
    assert!(matches!(next(&events), ServerEvent::LoggedIn(_)));
    assert!(events.try_recv().is_err());
    assert_eq!(server.stop().chat_messages, 0, "no user has said anything");
}

#[test]
fn the_application_hears_what_happens_in_its_order() {
    let (server, events) = start(100);
    let mut alice = Client::log_in(server.place(), "alice");
    let id = alice.id;
    let ServerEvent::LoggedIn(user) = next(&events) else {
        panic!("a login comes first");
    };
    assert_eq!((user.id, &*user.name, user.address), (id, "alice", HERE));
    alice.join();
    assert_eq!(next(&events), ServerEvent::VoiceJoined(id));
    mute(&mut alice);
    let is_muted = true;
    assert_eq!(next(&events), ServerEvent::MuteChanged { id, is_muted });
    let request_id = alice.request_id();
    alice.send(&Packet::LeaveVoiceChannelRequest { request_id });
    let is_muted = false;
    assert_eq!(next(&events), ServerEvent::MuteChanged { id, is_muted });
    assert_eq!(next(&events), ServerEvent::VoiceLeft(id));
    for message in ["", "hello"] {
        let request_id = alice.request_id();
        alice.send(&Packet::ChatMessageRequest {
            request_id,
            message,
        });
    }
    // The empty one was refused.
    match next(&events) {
        ServerEvent::Chat {
            id: by,
            message,
            timestamp_ms,
        } => {
            assert_eq!((by, &*message), (id, "hello"));
            alice.await_packet(Packet::UserSentMessage {
                user_id: id,
                timestamp_ms,
                message: "hello",
            });
        }
        other => panic!("not the message: {other:?}"),
    }
    alice.join();
    assert_eq!(next(&events), ServerEvent::VoiceJoined(id));
    // Somebody who never logs in is no news.
    drop(Client::connect(server.place()));
    drop(alice);
    let ServerEvent::Left { user, cause } = next(&events) else {
        panic!("a departure ends voice with it");
    };
    assert_eq!((user.id, &*user.name, user.in_voice), (id, "alice", true));
    assert_eq!(cause, Ended::ByPeer);
    let bob = Client::log_in(server.place(), "bob");
    assert!(matches!(next(&events), ServerEvent::LoggedIn(_)));
    assert_eq!(server.handle.disconnect(bob.id), Ok(true));
    match next(&events) {
        ServerEvent::Left { cause, .. } => assert_eq!(cause, Ended::ByApplication),
        other => panic!("not bob's end: {other:?}"),
    }
    assert_eq!(
        server.handle.statistics().expect("it runs").events_lost,
        Some(0)
    );
    server.stop();
    let end = events.recv_timeout(PATIENCE);
    assert_eq!(end, Err(RecvTimeoutError::Disconnected));
}

#[test]
fn events_that_nobody_reads_are_counted_and_keep_nobody_waiting() {
    let (server, events) = start(2);
    let mut alice = Client::log_in(server.place(), "alice");
    for _ in 0..5 {
        alice.join();
        let request_id = alice.request_id();
        alice.send(&Packet::LeaveVoiceChannelRequest { request_id });
        alice.expect(Packet::LeaveVoiceChannelResponse {
            request_id,
            success: true,
            reason: None,
        });
    }
    let statistics = server.handle.statistics().expect("it runs");
    // One login and ten changes, of which two found room.
    assert_eq!(statistics.events_lost, Some(9));
    let page = statistics.to_string();
    let line = page.lines().find(|line| line.contains("events lost"));
    assert!(line.is_some_and(|line| line.ends_with(" 9")), "{page}");
    let told = "voiceapp_application_events_lost_total 9\n";
    assert!(metrics::render(&statistics).contains(told));
    // The oldest are there, and where there is room again, it is used.
    assert!(matches!(next(&events), ServerEvent::LoggedIn(_)));
    assert_eq!(next(&events), ServerEvent::VoiceJoined(alice.id));
    alice.join();
    assert_eq!(next(&events), ServerEvent::VoiceJoined(alice.id));
    // Whoever hears no more loses nothing.
    drop(events);
    alice.expect_quiet();
    drop(alice);
    let _bob = Client::log_in(server.place(), "bob");
    assert_eq!(server.stop().events_lost, Some(9));
}

#[test]
fn more_threads_than_there_is_room_for_are_all_answered() {
    let server = Running::start();
    let mut alice = Client::log_in(server.place(), "alice");
    thread::scope(|scope| {
        for _ in 0..REQUESTS_WAITING_MAX + 20 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(server.handle.users().expect("it runs").len(), 1);
                }
            });
        }
        // And nobody else has to wait for that.
        alice.expect_quiet();
    });
    server.stop();
}

#[test]
fn whoever_asks_a_server_that_has_ended_is_told_so() {
    let server = Running::start();
    let handle = server.handle.clone();
    server.stop();
    let stopped = RequestError::ServerStopped;
    assert_eq!(handle.statistics().err(), Some(stopped.clone()));
    assert_eq!(handle.users(), Err(stopped.clone()));
    assert_eq!(handle.disconnect(UserId(1)), Err(stopped.clone()));
    assert_eq!(handle.ban(HERE), Err(stopped.clone()));
    assert_eq!(handle.unban(HERE), Err(stopped.clone()));
    assert_eq!(handle.announce("Host", "hello"), Err(stopped.clone()));

    // One that never ran, and ends while they wait: those who found room, and those who found none.
    let server = bind();
    let handle = server.handle();
    thread::scope(|scope| {
        let asking: Vec<_> = (0..REQUESTS_WAITING_MAX + 5)
            .map(|_| scope.spawn(|| handle.users()))
            .collect();
        drop(server);
        for asked in asking {
            assert_eq!(
                asked.join().expect("it does not panic"),
                Err(stopped.clone())
            );
        }
    });
}

#[test]
fn an_application_can_turn_the_loop_itself() {
    let mut server = bind();
    let (handle, place) = (server.handle(), place(&server));
    // Nothing to do, and the time is up.
    let turned = server.turn(Some(Duration::ZERO)).expect("it can wait");
    assert!(turned.is_continue() && server.users().is_empty());
    let events = server.events(10);
    let talking = thread::spawn(move || {
        let mut alice = Client::log_in(place, "alice");
        alice.enter_voice();
        let mut bob = Client::log_in(place, "bob");
        bob.expect(Packet::UserJoinedVoice { user_id: alice.id });
        bob.enter_voice();
        alice.speak(7, b"tone");
        bob.expect_voice(alice.id, 7, b"tone");
        alice.expect_end();
        bob.await_packet(Packet::UserLeftServer { user_id: alice.id });
        handle.stop();
        bob
    });
    let mut heard = Vec::new();
    let mut is_over = false;
    let wait = Some(Duration::from_millis(50));
    while server.turn(wait).expect("it can wait").is_continue() {
        if talking.is_finished() {
            break;
        }
        heard.extend(events.try_iter());
        // Between two turns the server is the application's.
        if server.statistics().datagrams_sent == 3 && !is_over {
            is_over = server.disconnect(UserId(1));
            assert!(is_over);
        }
    }
    let _bob = talking.join().expect("all of it has come");
    let turned = server.turn(None).expect("it can wait");
    assert!(turned.is_break(), "it is over");
    let statistics = server.finish();
    assert_eq!((statistics.logins, statistics.users_in_voice), (2, 1));
    heard.extend(events.try_iter());
    assert!(heard.contains(&ServerEvent::VoiceJoined(UserId(2))));
    assert_eq!(heard.len(), 5, "{heard:?}");
}
