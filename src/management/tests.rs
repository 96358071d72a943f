//! What management hands to the relay, and how it fills its outbox. What people see of it, the
//! stories in `sim/src/stories` tell.

use super::*;
use std::net::Ipv4Addr;

const ALICE: ConnectionId = ConnectionId(0);
const BOB: ConnectionId = ConnectionId(1);
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ID: UserId = UserId(1);

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix_ms: 1,
    }
}

fn token(connection: ConnectionId) -> VoiceToken {
    VoiceToken(100 + u64::from(connection.0))
}

/// A connection that nobody is ended for.
fn connect(
    management: &mut ManagementServer,
    connection: ConnectionId,
) -> Result<(), ConnectionRefused> {
    let (token, mut outbox) = (token(connection), Outbox::new());
    let result = management.handle_connect(now(), connection, ADDRESS, token, &mut outbox);
    assert_eq!(outbox.ends(), []);
    result
}

/// Handles one packet, and returns the events and the recipients of what it led to.
fn handle(
    management: &mut ManagementServer,
    from: ConnectionId,
    packet: Packet,
) -> (Vec<Event>, Vec<To>) {
    let mut wire = Vec::new();
    packet.encode(&mut wire).unwrap();
    let frame = Frame::first_of(&wire).unwrap();
    let mut outbox = Outbox::new();
    management.handle_frame(now(), from, frame, &mut outbox);
    assert_eq!(outbox.ends(), []);
    let to = outbox.deliveries().map(|(to, _)| to).collect();
    (outbox.events().to_vec(), to)
}

fn log_in(management: &mut ManagementServer, connection: ConnectionId) -> (Vec<Event>, Vec<To>) {
    let login = Packet::LoginRequest {
        request_id: 1,
        username: "someone",
        asked: None,
    };
    handle(management, connection, login)
}

/// Alice, who is logged in, and Bob, who is not.
fn alice_and_a_stranger() -> ManagementServer {
    let mut management = ManagementServer::new(Limits::UNLIMITED, HashKey(1, 2));
    for connection in [ALICE, BOB] {
        assert_eq!(connect(&mut management, connection), Ok(()));
    }
    log_in(&mut management, ALICE);
    management
}

const JOIN: Packet = Packet::JoinVoiceChannelRequest { request_id: 1 };
const LEAVE: Packet = Packet::LeaveVoiceChannelRequest { request_id: 1 };

fn mute(is_muted: bool) -> Packet<'static> {
    let user_id = UserId(0);
    Packet::UserMuteState { user_id, is_muted }
}

fn mute_changed(is_muted: bool) -> Event {
    Event::MuteChanged { id: ID, is_muted }
}

#[test]
fn the_relay_is_told_of_every_change_and_of_nothing_else() {
    let joined = Event::VoiceJoined { id: ID };
    let left = Event::VoiceLeft { id: ID };
    let mut management = alice_and_a_stranger();
    let steps: [(Packet, &[Event]); 12] = [
        (LEAVE, &[]),
        (JOIN, &[joined]),
        (JOIN, &[]),
        (mute(true), &[mute_changed(true)]),
        (mute(true), &[]),
        // Unmuted first: voice never passes under a state that has ended.
        (LEAVE, &[mute_changed(false), left]),
        (mute(false), &[]),
        (mute(true), &[mute_changed(true)]),
        (LEAVE, &[]),
        (JOIN, &[mute_changed(false), joined]),
        (Packet::PingRequest { request_id: 1 }, &[]),
        (
            Packet::ChatMessageRequest {
                request_id: 1,
                message: "hello",
            },
            &[],
        ),
    ];
    for (packet, expected) in steps {
        let (events, _) = handle(&mut management, ALICE, packet);
        assert_eq!(events, expected, "{packet:?}");
    }
    assert_eq!(log_in(&mut management, ALICE).0, []);
    let mut outbox = Outbox::new();
    management.handle_disconnect(now(), ALICE, &mut outbox);
    assert_eq!(outbox.events(), [Event::UserDisconnected { id: ID }]);
}

#[test]
fn the_relay_hears_of_a_stranger_at_login_and_not_before() {
    let id = UserId(2);
    let connected = Event::UserConnected {
        id,
        token: token(BOB),
        source: Source::of(ADDRESS),
    };
    for is_muted in [false, true] {
        let mut management = alice_and_a_stranger();
        for packet in [JOIN, mute(!is_muted), mute(is_muted), LEAVE] {
            let (events, to) = handle(&mut management, BOB, packet);
            assert_eq!(events, []);
            assert!(to.iter().all(|to| *to == To::One(BOB)));
        }
        let (events, _) = log_in(&mut management, BOB);
        let muted = Event::MuteChanged { id, is_muted: true };
        assert_eq!(events, [connected, muted][..1 + usize::from(is_muted)]);
    }
    let mut management = alice_and_a_stranger();
    let mut outbox = Outbox::new();
    management.handle_disconnect(now(), BOB, &mut outbox);
    assert_eq!((outbox.events().len(), outbox.deliveries().count()), (0, 0));
}

#[test]
fn a_broadcast_is_encoded_once_after_the_answer() {
    let mut management = alice_and_a_stranger();
    let one = To::One(ALICE);
    let (_, to) = handle(&mut management, ALICE, JOIN);
    assert_eq!(to, [one, To::EveryoneBut(ALICE)]);
    let chat = Packet::ChatMessageRequest {
        request_id: 1,
        message: "hello",
    };
    let (_, to) = handle(&mut management, ALICE, chat);
    assert_eq!(to, [one, To::Everyone]);
    // The list and the states that follow it are one delivery.
    let (_, to) = log_in(&mut management, BOB);
    assert_eq!(to, [To::One(BOB), To::EveryoneBut(BOB)]);
    let mut outbox = Outbox::new();
    management.handle_disconnect(now(), ALICE, &mut outbox);
    let to: Vec<_> = outbox.deliveries().map(|(to, _)| to).collect();
    assert_eq!(to, [To::Everyone]);
    assert!(management.listeners().eq([(BOB, Audience::Old)]));
}

#[test]
fn an_outbox_gives_each_recipient_their_own_and_can_be_used_again() {
    let mut outbox = Outbox::new();
    let ping = |request_id| Packet::PingResponse { request_id };
    for _ in 0..2 {
        outbox.send(To::One(ALICE), &ping(1));
        outbox.send(To::One(ALICE), &ping(2));
        outbox.send(To::One(BOB), &ping(3));
        outbox.event(Event::VoiceLeft { id: ID });
        let deliveries: Vec<_> = outbox
            .deliveries()
            .map(|(to, frames)| (to, frames.len(), frames[10]))
            .collect();
        assert_eq!(deliveries, [(To::One(ALICE), 22, 1), (To::One(BOB), 11, 3)]);
        assert_eq!(outbox.events().len(), 1);
        outbox.clear();
        assert_eq!((outbox.events().len(), outbox.deliveries().count()), (0, 0));
    }
}

#[test]
fn a_refused_connection_is_not_taken_note_of() {
    let limits = Limits {
        connections_per_address: 1,
        ..Limits::UNLIMITED
    };
    let mut management = ManagementServer::new(limits, HashKey(1, 2));
    assert_eq!(connect(&mut management, ALICE), Ok(()));
    let result = connect(&mut management, BOB);
    assert_eq!(result, Err(ConnectionRefused::TooManyFromAddress));
    assert_eq!(management.pending_count(), 1);
    management.handle_disconnect(now(), BOB, &mut Outbox::new());
    assert_eq!(management.pending_count(), 1);
    management.handle_disconnect(now(), ALICE, &mut Outbox::new());
    assert_eq!(connect(&mut management, BOB), Ok(()));
}

#[test]
fn the_tables_are_empty_when_all_have_left() {
    let mut management = alice_and_a_stranger();
    for connection in [ALICE, BOB, BOB] {
        management.handle_disconnect(now(), connection, &mut Outbox::new());
    }
    assert!(management.users.is_empty() && management.pending.is_empty());
    assert!(management.sessions.iter().all(Option::is_none));
    assert_eq!(management.next_deadline(), None);
}

/// Has something done, and returns what ends because of it.
fn ends(act: impl FnOnce(&mut Outbox)) -> Vec<(ConnectionId, Ended)> {
    let mut outbox = Outbox::new();
    act(&mut outbox);
    outbox.ends().to_vec()
}

#[test]
fn every_end_that_management_decides_leaves_in_the_outbox_and_once() {
    let limits = Limits {
        pending_connections: 1,
        login_rate: 1,
        ..Limits::UNLIMITED
    };
    let [carol, dave] = [ConnectionId(2), ConnectionId(3)];
    let mut management = ManagementServer::new(limits, HashKey(1, 2));
    assert_eq!(connect(&mut management, ALICE), Ok(()));
    let came = ends(|outbox| {
        let result = management.handle_connect(now(), BOB, ADDRESS, token(BOB), outbox);
        assert_eq!(result, Ok(()));
    });
    assert_eq!(came, [(ALICE, Ended::CrowdedOut)]);
    assert_eq!(management.pending_count(), 1, "its place is free at once");

    let (id, payload) = (crate::protocol::id::LOGIN_REQUEST, &[0; 3]);
    let frame = Frame { id, payload };
    let malformed = ends(|outbox| management.handle_frame(now(), BOB, frame, outbox));
    assert_eq!(malformed, [(BOB, Ended::Malformed)]);
    let banned = ends(|outbox| management.end_banned(|_| true, outbox));
    assert_eq!(banned, [], "both are to end already");

    assert_eq!(connect(&mut management, carol), Ok(()));
    let payload = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    let frame = Frame {
        id,
        payload: &payload,
    };
    let refused = ends(|outbox| management.handle_frame(now(), carol, frame, outbox));
    assert_eq!(refused, [(carol, Ended::LoginRefused)]);

    assert_eq!(connect(&mut management, dave), Ok(()));
    let mut late = now();
    late.instant += limits.login_timeout + std::time::Duration::from_secs(1);
    assert_eq!(management.overdue(late), Some(dave));
    let overdue = ends(|outbox| assert!(management.handle_tick(late, outbox)));
    assert_eq!(overdue, [(dave, Ended::LoginDeadline)]);
    assert_eq!(management.overdue(late), None);

    for connection in [ALICE, BOB, carol, dave] {
        let after = ends(|outbox| management.handle_disconnect(late, connection, outbox));
        assert_eq!(after, []);
    }
    assert_eq!(
        (management.pending_count(), management.next_deadline()),
        (0, None)
    );
}

/// So many users, with names of 32 bytes, which take 44 bytes in a list. Every five hundredth is in voice and muted.
fn crowd(count: usize) -> ManagementServer {
    let limits = Limits {
        users: 3_000,
        pending_connections: 3_000,
        ..Limits::UNLIMITED
    };
    let mut management = ManagementServer::new(limits, HashKey(1, 2));
    for number in 1..=count as u32 {
        let connection = ConnectionId(number);
        connect(&mut management, connection).expect("there is room");
        log_in_as(&mut management, connection, &format!("{number:032}"));
        if number % 500 == 0 {
            let (request_id, user_id, is_muted) = (2, UserId(0), true);
            let join = Packet::JoinVoiceChannelRequest { request_id };
            handle(&mut management, connection, join);
            let mute = Packet::UserMuteState { user_id, is_muted };
            handle(&mut management, connection, mute);
        }
    }
    management
}

/// What a newcomer with this name is told: how many people its list has, who is in it last, and which frames follow.
fn log_in_as(management: &mut ManagementServer, from: ConnectionId, name: &str) -> Told {
    let mut wire = Vec::new();
    let login = Packet::LoginRequest {
        request_id: 1,
        username: name,
        asked: None,
    };
    login.encode(&mut wire).expect("it fits");
    let mut outbox = Outbox::new();
    let frame = Frame::first_of(&wire).expect("it is a frame");
    management.handle_frame(now(), from, frame, &mut outbox);
    let mine = outbox.deliveries().filter(|(to, _)| *to == To::One(from));
    let frames: Vec<u8> = mine.flat_map(|(_, frames)| frames.to_vec()).collect();
    let (mut rest, mut told) = (&frames[..], Told::default());
    while let Ok(frame) = Frame::first_of(rest) {
        rest = &rest[frame.wire_len()..];
        match frame.parse().expect("it is a packet") {
            Packet::LoginResponse { participants, .. } => {
                told.listed = participants.iter().map(|it| it.user_id.0).collect();
            }
            Packet::UserJoinedServer { participant } => told.announced.push(participant.user_id.0),
            Packet::UserJoinedVoice { user_id } => told.in_voice.push(user_id.0),
            Packet::UserMuteState { user_id, .. } => told.muted.push(user_id.0),
            other => panic!("{other:?}"),
        }
    }
    told
}

#[derive(Default)]
struct Told {
    listed: Vec<u64>,
    announced: Vec<u64>,
    in_voice: Vec<u64>,
    muted: Vec<u64>,
}

#[test]
fn rule_2a_a_list_longer_than_a_frame_arrives_whole() {
    let mut management = crowd(2_000);
    let newcomer = ConnectionId(0);
    connect(&mut management, newcomer).expect("there is room");
    let told = log_in_as(&mut management, newcomer, "newcomer");
    assert!(told.announced.len() > 500, "the list did fit after all");
    let (own, others) = told.listed.split_last().expect("the newcomer is in it");
    assert_eq!(*own, 2_001);
    let all = others.iter().chain(&told.announced);
    assert!(all.copied().eq(1..=2_000));
    assert_eq!(told.in_voice, [500, 1_000, 1_500, 2_000]);
    assert_eq!(told.muted, told.in_voice);
}

#[test]
fn rule_2a_a_list_that_fills_the_frame_to_the_byte_is_not_split() {
    // 65,535 - 26 = 1,488 × 44 + 37, and a name of 25 bytes takes 37.
    for (len, announced) in [(25, 0), (26, 1)] {
        let mut management = crowd(1_488);
        let newcomer = ConnectionId(0);
        connect(&mut management, newcomer).expect("there is room");
        let told = log_in_as(&mut management, newcomer, &"x".repeat(len));
        assert_eq!(told.announced.len(), announced, "{len}");
        assert_eq!(told.listed.len(), 1_489 - announced);
        assert_eq!(told.listed.last(), Some(&1_489));
    }
}
