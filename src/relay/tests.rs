//! The relay's tables agree with each other whatever happens in whatever order. What follows for
//! voice, the stories in `sim/src/stories` tell.

use super::tables::Route;
use super::*;
use crate::event::{Source, UserId, VoiceToken};
use crate::protocol::{Packet, VOICE_HEADER_BYTES, VoiceDatagram, voice_auth_response};
use std::time::Instant;

#[cfg(feature = "encryption")]
mod sealed;
#[cfg(feature = "encryption")]
mod unkind;

const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);

fn relay_of<const N: usize>(ids: [UserId; N]) -> VoiceRelayServer {
    let mut relay = VoiceRelayServer::new(Limits::UNLIMITED, HashKey(1, 2));
    for id in ids {
        let token = VoiceToken(id.0);
        relay.handle_event(Event::UserConnected {
            id,
            token,
            source: Source::of([192, 0, 2, 1].into()),
        });
    }
    relay
}

fn at(port: u16) -> UdpPath {
    UdpPath {
        remote: ([192, 0, 2, 1], port).into(),
        local: None,
    }
}

/// In these tests a user's token is their id.
fn prove(relay: &mut VoiceRelayServer, id: UserId, peer: UdpPath) -> bool {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let mut question = Vec::new();
    let request = Packet::VoiceAuthRequest {
        request_id: 7,
        voice_token: VoiceToken(id.0),
    };
    request.encode(&mut question).unwrap();
    relay.handle_datagram(now, peer, &mut question) == Verdict::Answer(voice_auth_response(7, true))
}

/// Everything that is written down twice is the same in both places.
fn check(relay: &VoiceRelayServer) {
    let tables = &relay.tables;
    for (key, user) in &tables.users {
        let key = UserKey(key as u32);
        assert_eq!(tables.by_id.get(&user.id), Some(&key));
        assert_eq!(tables.by_token.get(&user.token), Some(&key));
        if let Some(route) = user.route {
            assert_eq!(tables.by_address.get(&route.remote()), Some(&key));
            assert_eq!(matches!(route, Route::Sealed(_)), user.seal.is_some());
        }
        if let Some(seal) = &user.seal {
            assert_eq!(tables.by_key.get(&seal.key_id()), Some(&key));
        }
        assert_eq!(
            user.listener.is_some(),
            user.in_voice && user.route.is_some()
        );
        if let Some(place) = user.listener {
            let (list, route) = match user.seal {
                None => (
                    &tables.plain,
                    Route::Plain(tables.plain.paths[place.index()]),
                ),
                Some(_) => (
                    &tables.sealed,
                    Route::Sealed(tables.sealed.paths[place.index()]),
                ),
            };
            assert_eq!(Some(route), user.route);
            assert_eq!(list.users[place.index()], key);
        }
    }
    let users = || tables.users.iter().map(|(_, user)| user);
    assert_eq!(tables.by_id.len(), tables.users.len());
    assert_eq!(tables.by_token.len(), tables.users.len());
    let bound = users().filter(|user| user.route.is_some()).count();
    assert_eq!(tables.by_address.len(), bound);
    let listening = users().filter(|user| user.listener.is_some()).count();
    let lists = [&tables.plain, &tables.sealed];
    let paths: usize = lists.iter().map(|list| list.paths.len()).sum();
    let keys: usize = lists.iter().map(|list| list.users.len()).sum();
    assert_eq!((paths, keys), (listening, listening));
    let sealed = users().filter(|user| user.seal.is_some()).count();
    assert_eq!(tables.by_key.len(), sealed);
}

/// Calls `visit` with every order of these.
fn permutations<T: Copy>(items: &mut [T], fixed: usize, visit: &mut impl FnMut(&[T])) {
    if fixed == items.len() {
        visit(items);
    }
    for next in fixed..items.len() {
        items.swap(fixed, next);
        permutations(items, fixed + 1, visit);
        items.swap(fixed, next);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Event(Event),
    Prove(UserId, u16),
}

#[test]
fn rule_9_and_10_the_tables_agree_in_every_order_of_events_and_proofs() {
    let mut steps = [
        Step::Event(Event::VoiceJoined { id: ALICE }),
        Step::Event(Event::VoiceJoined { id: BOB }),
        Step::Event(Event::VoiceLeft { id: ALICE }),
        Step::Event(Event::UserDisconnected { id: BOB }),
        Step::Prove(ALICE, 1),
        Step::Prove(BOB, 1),
        Step::Prove(ALICE, 2),
        Step::Prove(BOB, 3),
    ];
    let mut orders = 0;
    permutations(&mut steps, 0, &mut |steps| {
        let mut relay = relay_of([ALICE, BOB]);
        for &step in steps {
            match step {
                Step::Event(event) => relay.handle_event(event),
                Step::Prove(id, port) => {
                    let lives = relay.tables.by_id.contains_key(&id);
                    assert_eq!(prove(&mut relay, id, at(port)), lives);
                }
            }
            check(&relay);
        }
        relay.handle_event(Event::UserDisconnected { id: ALICE });
        check(&relay);
        assert!(relay.tables.users.is_empty() && relay.tables.by_address.is_empty());
        orders += 1;
    });
    assert_eq!(orders, 40_320);
}

/// A claim to this address with the user's token.
fn claim(relay: &mut VoiceRelayServer, now: Now, id: UserId, peer: UdpPath) -> Claim {
    let mut question = Vec::new();
    let request = Packet::VoiceAuthRequest {
        request_id: 7,
        voice_token: VoiceToken(id.0),
    };
    request.encode(&mut question).unwrap();
    match relay.examine(now, peer, &mut question, false) {
        Finding::Claim(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_claim_changes_nothing_until_it_is_decided_and_nothing_if_it_is_refused() {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let mut relay = relay_of([ALICE, BOB]);
    assert!(prove(&mut relay, BOB, at(1)));
    let (refused, unknown) = (claim(&mut relay, now, ALICE, at(1)), UserId(9));
    assert!(refused.is_new() && refused.remote() == at(1).remote);
    let cause = VoiceDropped::AuthOwnAddress;
    assert_eq!(relay.refuse(refused, cause), Verdict::Drop(cause));
    let bobs = relay.tables.by_address[&at(1).remote];
    assert_eq!(relay.tables.user(bobs).id, BOB, "it is still his");
    assert_eq!(
        relay.counters().occurred().collect::<Vec<_>>(),
        [(cause.into(), 1)]
    );

    assert!(!claim(&mut relay, now, BOB, at(1)).is_new(), "he has it");
    assert!(!claim(&mut relay, now, unknown, at(2)).is_new());
    let accepted = claim(&mut relay, now, ALICE, at(1));
    let answer = Verdict::Answer(voice_auth_response(7, true));
    assert_eq!(relay.decide(now, accepted), answer);
    assert_eq!(relay.address_count(), 1, "the newest proof wins");
    check(&relay);
}

#[test]
fn voice_that_is_late_costs_its_sender_nothing() {
    let mut relay = relay_of([ALICE, BOB]);
    for (id, peer) in [(ALICE, at(1)), (BOB, at(2))] {
        assert!(prove(&mut relay, id, peer));
        relay.handle_event(Event::VoiceJoined { id });
    }
    relay.user_limit = VoiceLimit::new(1, 0, 1_000);
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let mut datagram = [0; 20];
    (datagram[0], datagram[2]) = (id::VOICE_DATA, 17);
    for _ in 0..100 {
        let late = relay.examine(now, at(1), &mut datagram, true);
        assert!(matches!(late, Finding::Drop(VoiceDropped::TooLate)));
    }
    let young = relay.examine(now, at(1), &mut datagram, false);
    assert!(matches!(young, Finding::Voice { .. }), "{young:?}");
}

#[test]
fn events_about_whoever_is_unknown_or_gone_change_nothing() {
    let mut relay = relay_of([ALICE, BOB]);
    assert!(prove(&mut relay, ALICE, at(1)));
    relay.handle_event(Event::UserDisconnected { id: BOB });
    for id in [BOB, UserId(0), UserId(99)] {
        relay.handle_event(Event::VoiceJoined { id });
        relay.handle_event(Event::VoiceLeft { id });
        relay.handle_event(Event::MuteChanged { id, is_muted: true });
        relay.handle_event(Event::UserDisconnected { id });
        check(&relay);
    }
    assert_eq!(relay.user_count(), 1);
    assert_eq!((relay.address_count(), relay.listener_count()), (1, 0));
}

#[test]
fn should_two_users_have_drawn_one_token_it_is_the_laters() {
    let mut relay = relay_of([ALICE, BOB]);
    let carol = UserId(3);
    relay.handle_event(Event::UserConnected {
        id: carol,
        token: VoiceToken(ALICE.0),
        source: Source::of([192, 0, 2, 1].into()),
    });
    assert!(prove(&mut relay, ALICE, at(1)));
    relay.handle_event(Event::UserDisconnected { id: ALICE });
    assert_eq!(relay.address_count(), 1);
    assert!(prove(&mut relay, ALICE, at(2)));
    relay.handle_event(Event::UserDisconnected { id: carol });
    assert!(!prove(&mut relay, ALICE, at(3)));
    check(&relay);
}

#[test]
fn the_answer_is_a_voice_auth_response() {
    for success in [false, true] {
        let mut expected = Vec::new();
        let response = Packet::VoiceAuthResponse {
            request_id: u64::MAX - 1,
            success,
        };
        response.encode(&mut expected).unwrap();
        assert_eq!(
            voice_auth_response(u64::MAX - 1, success).as_slice(),
            expected
        );
    }
}

#[test]
fn what_is_refused_for_its_bytes_costs_no_datagram() {
    let limits = Limits {
        voice_rate: 1,
        voice_bandwidth: 250,
        ..Limits::UNLIMITED
    };
    let mut relay = VoiceRelayServer::new(limits, HashKey(1, 2));
    let (id, token) = (ALICE, VoiceToken(1));
    relay.handle_event(Event::UserConnected {
        id,
        token,
        source: Source::of([192, 0, 2, 1].into()),
    });
    relay.handle_event(Event::VoiceJoined { id });
    assert!(prove(&mut relay, ALICE, at(1)));
    let start = Instant::now();
    let mut say = |after_ms: u64, data_len: usize| {
        let now = Now {
            instant: start + std::time::Duration::from_millis(after_ms),
            unix_ms: 0,
        };
        let mut datagram = vec![0; VOICE_HEADER_BYTES + data_len];
        VoiceDatagram::init(&mut datagram[..]).expect("it has room");
        match relay.handle_datagram(now, at(1), &mut datagram) {
            Verdict::Relay { .. } => None,
            Verdict::Drop(cause) => Some(cause),
            _ => panic!("voice is not answered"),
        }
    };
    assert_eq!(say(0, 1_400), None, "the burst");
    for _ in 0..10 {
        assert_eq!(say(0, 1_400), Some(VoiceDropped::TooFast), "for its bytes");
    }
    for number in 2..=6 {
        assert_eq!(say(500, 1), None, "datagram {number} of six");
    }
    assert_eq!(say(500, 1), Some(VoiceDropped::TooFast), "for their number");
}

/// Voice that waits is nobody else's, even if another user has come to the speaker's place meanwhile.
#[test]
fn voice_that_waits_is_not_that_of_who_comes_to_its_speakers_place() {
    let mut relay = relay_of([ALICE, BOB]);
    let enter = |relay: &mut VoiceRelayServer, id, peer| {
        assert!(prove(relay, id, peer));
        relay.handle_event(Event::VoiceJoined { id });
    };
    enter(&mut relay, ALICE, at(1));
    enter(&mut relay, BOB, at(2));
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let mut datagram = [0; 20];
    (datagram[0], datagram[2]) = (id::VOICE_DATA, 17);
    let found = relay.examine(now, at(1), &mut datagram, false);
    let Finding::Voice { speaker, .. } = found else {
        panic!("it is voice: {found:?}");
    };
    assert!(relay.recipients(speaker).is_ok());
    relay.handle_event(Event::UserDisconnected { id: ALICE });
    let carol = UserId(3);
    relay.handle_event(Event::UserConnected {
        id: carol,
        token: VoiceToken(carol.0),
        source: Source::of([192, 0, 2, 1].into()),
    });
    enter(&mut relay, carol, at(1));
    let key = relay.tables.by_id[&carol];
    assert_eq!(key, speaker.user, "the place is used again");
    let later = relay.recipients(speaker).map(|_| ());
    assert_eq!(later, Err(VoiceDropped::UnknownSource));
}
