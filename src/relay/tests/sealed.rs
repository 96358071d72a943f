//! Sealed voice in the relay, rule by rule: who is believed, what is sent where, and what is dropped.

use super::*;
use crate::cause::{Cause, VoiceAuthRefused};
use crate::limits::{CHALLENGE_BURST, WRONG_TAGS_PER_SECOND};
use crate::protocol::sealing::{ClientOpener, Sealer};
use crate::protocol::{KeyId, SEAL_OVERHEAD_BYTES, SealedDatagram, Suite, VoiceSecrets};
use std::time::Duration;

/// A client's half of the keys. In these tests the key id and the secrets come of the user's id.
pub(super) struct Client {
    pub(super) id: UserId,
    pub(super) sealer: Sealer,
    pub(super) opener: ClientOpener,
}

impl Client {
    pub(super) fn new(id: UserId) -> Self {
        let VoiceSecrets {
            key_id,
            suite,
            to_server,
            to_client,
        } = secrets_of(id);
        Client {
            id,
            sealer: Sealer::new(suite, key_id, to_server),
            opener: ClientOpener::new(suite, key_id, to_client),
        }
    }

    pub(super) fn seal(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; frame.len() + SEAL_OVERHEAD_BYTES + 2];
        let sealed = self.sealer.seal(frame, &mut datagram);
        sealed.expect("there is room");
        datagram
    }

    pub(super) fn ask(&mut self, request_id: u64) -> Vec<u8> {
        let voice_token = VoiceToken(self.id.0);
        self.seal(&encoded(&Packet::VoiceAuthRequest {
            request_id,
            voice_token,
        }))
    }

    pub(super) fn speak(&mut self, sequence: u32) -> Vec<u8> {
        self.seal(&spoken(UserId(0), sequence))
    }

    fn echo(&mut self, value: u64) -> Vec<u8> {
        self.seal(&encoded(&Packet::PathResponse { value }))
    }

    /// What is inside a datagram from the server, or None where it does not open.
    pub(super) fn open(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut copy = datagram.to_vec();
        let opened = self.opener.open(&mut copy).ok()?;
        Some(opened.inside.to_vec())
    }

    fn challenge_in(&mut self, datagram: &[u8]) -> u64 {
        let inside = self.open(datagram).expect("it is for this client");
        match Frame::first_of(&inside).map(|frame| frame.parse()) {
            Ok(Ok(Packet::PathChallenge { value })) => value,
            other => panic!("{other:?}"),
        }
    }

    fn answer_in(&mut self, datagram: &[u8]) -> (u64, bool) {
        let inside = self.open(datagram).expect("it is for this client");
        match Frame::first_of(&inside).map(|frame| frame.parse()) {
            Ok(Ok(Packet::VoiceAuthResponse {
                request_id,
                success,
            })) => (request_id, success),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn secrets_of(id: UserId) -> VoiceSecrets {
    let number = id.0 as u8;
    let suite = match number % 3 {
        0 => Suite::Aes128GcmSha256,
        1 => Suite::Aes256GcmSha384,
        _ => Suite::ChaCha20Poly1305Sha256,
    };
    let exported = std::array::from_fn(|place| place as u8 ^ number << 6 ^ number);
    VoiceSecrets::of(KeyId(0x5ea1_0000 + u32::from(number)), suite, &exported)
}

pub(super) fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).expect("it fits");
    bytes
}

pub(super) fn spoken(user_id: UserId, sequence: u32) -> Vec<u8> {
    encoded(&Packet::VoiceData {
        user_id,
        sequence,
        timestamp: 960,
        data: b"voice of somebody",
    })
}

struct Scene {
    relay: VoiceRelayServer,
    now: Now,
}

#[derive(Debug, PartialEq)]
enum Came {
    Heard(Vec<u8>, Vec<UdpPath>, Option<SealedAnswer>),
    Sealed(SealedAnswer),
    Plain(VoiceAuthAnswer),
    Dropped(VoiceDropped),
}

impl Scene {
    /// Alice's voice is sealed, bob's is plain, and both are in voice.
    fn new() -> (Self, Client) {
        Scene::within(Limits::UNLIMITED)
    }

    fn within(limits: Limits) -> (Self, Client) {
        let mut relay = VoiceRelayServer::new(limits, HashKey(1, 2));
        for id in [ALICE, BOB] {
            relay.handle_event(Event::UserConnected {
                id,
                token: VoiceToken(id.0),
                source: Source::of(at(0).remote.ip()),
            });
            relay.handle_event(Event::VoiceJoined { id });
        }
        let secrets = secrets_of(ALICE);
        relay.handle_event(Event::VoiceSealed { id: ALICE, secrets });
        assert!(prove(&mut relay, BOB, at(99)));
        let now = Now {
            instant: Instant::now(),
            unix_ms: 100_000_000,
        };
        (Scene { relay, now }, Client::new(ALICE))
    }

    fn pass(&mut self, ms: u64) {
        self.now.instant += Duration::from_millis(ms);
        self.now.unix_ms += ms;
    }

    fn arrive(&mut self, from: UdpPath, datagram: &[u8]) -> Came {
        let mut slot = datagram.to_vec();
        match self.relay.handle_datagram(self.now, from, &mut slot) {
            Verdict::Relay {
                frame,
                recipients,
                challenge,
            } => Came::Heard(
                frame.to_vec(),
                recipients.iter().copied().collect(),
                challenge,
            ),
            Verdict::AnswerSealed(answer) => Came::Sealed(answer),
            Verdict::Answer(answer) | Verdict::AnswerAndEnd(answer) => Came::Plain(answer),
            Verdict::Drop(cause) => Came::Dropped(cause),
        }
    }

    fn dropped(&mut self, from: UdpPath, datagram: &[u8]) -> VoiceDropped {
        match self.arrive(from, datagram) {
            Came::Dropped(cause) => cause,
            other => panic!("{other:?}"),
        }
    }

    fn sealed(&mut self, from: UdpPath, datagram: &[u8]) -> SealedAnswer {
        match self.arrive(from, datagram) {
            Came::Sealed(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Alice proves this address.
    fn prove(&mut self, alice: &mut Client, from: UdpPath) {
        let challenge = self.sealed(from, &alice.ask(70));
        let value = alice.challenge_in(&challenge);
        let answer = self.sealed(from, &alice.echo(value));
        assert_eq!(alice.answer_in(&answer), (70, true));
        assert_eq!(self.alices_path(), Some(from));
    }

    fn alices_path(&self) -> Option<UdpPath> {
        check(&self.relay);
        self.relay.tables.sealed.paths.first().copied()
    }
}

/// Rules 15f and 15g.
#[test]
fn rule_15f_and_15g_an_address_is_the_users_once_it_has_echoed_a_challenge() {
    let (mut scene, mut alice) = Scene::new();
    let question = alice.ask(7);
    let challenge = scene.sealed(at(1), &question);
    assert!(challenge.len() <= question.len());
    assert_eq!(scene.alices_path(), None, "to ask is no proof");
    let value = alice.challenge_in(&challenge);
    let answer = scene.sealed(at(1), &alice.echo(value));
    assert_eq!(alice.answer_in(&answer), (7, true));
    assert_eq!(scene.alices_path(), Some(at(1)));
    // From there, asking again is answered at once.
    let answer = scene.sealed(at(1), &alice.ask(8));
    assert_eq!(alice.answer_in(&answer), (8, true));
    // The echo again, in the same ten seconds, changes nothing.
    let answer = scene.sealed(at(1), &alice.echo(value));
    assert_eq!(alice.answer_in(&answer), (8, true));
    assert_eq!(scene.relay.counters().occurred().count(), 0);
}

#[test]
fn rule_15g_a_value_is_for_its_address_its_user_and_a_while() {
    let (mut scene, mut alice) = Scene::new();
    assert_eq!(scene.now.unix_ms % 10_000, 0, "a period begins");
    let challenge = scene.sealed(at(1), &alice.ask(7));
    let value = alice.challenge_in(&challenge);
    let wrong = VoiceDropped::PathWrong;
    for wrong_value in [0, value ^ 1, value.swap_bytes()] {
        assert_eq!(scene.dropped(at(1), &alice.echo(wrong_value)), wrong);
    }
    let elsewhere = UdpPath {
        remote: ([192, 0, 2, 2], 1).into(),
        local: None,
    };
    for address in [at(2), elsewhere] {
        assert_eq!(scene.dropped(address, &alice.echo(value)), wrong);
    }
    // Carol, who is sealed as well, cannot use it.
    let carol_id = UserId(3);
    scene.relay.handle_event(Event::UserConnected {
        id: carol_id,
        token: VoiceToken(3),
        source: Source::of(at(0).remote.ip()),
    });
    let secrets = secrets_of(carol_id);
    scene.relay.handle_event(Event::VoiceSealed {
        id: carol_id,
        secrets,
    });
    let mut carol = Client::new(carol_id);
    assert_eq!(scene.dropped(at(1), &carol.echo(value)), wrong);
    scene.pass(19_999);
    let answer = scene.sealed(at(1), &alice.echo(value));
    assert!(alice.answer_in(&answer).1);
    scene.relay.forget_addresses(|_| true);
    scene.pass(1);
    assert_eq!(scene.dropped(at(1), &alice.echo(value)), wrong);
    assert_eq!(scene.alices_path(), None);
}

#[test]
fn rule_15a_without_the_seal_nothing_of_hers_counts() {
    let (mut scene, mut alice) = Scene::new();
    let mut question = encoded(&Packet::VoiceAuthRequest {
        request_id: 5,
        voice_token: VoiceToken(ALICE.0),
    });
    let refused = Came::Plain(voice_auth_response(5, false));
    assert_eq!(scene.arrive(at(1), &question), refused);
    let counters = scene.relay.counters();
    assert_eq!(counters.get(VoiceAuthRefused::NotSealed), 1);
    scene.prove(&mut alice, at(1));
    assert_eq!(scene.arrive(at(1), &question), refused);
    let plain = spoken(UserId(0), 1);
    assert_eq!(scene.dropped(at(1), &plain), VoiceDropped::NotSealed);
    assert_eq!(scene.alices_path(), Some(at(1)));
    // Inside a seal nothing is for the server but these three.
    question[0] = id::VOICE_AUTH_RESPONSE;
    for (frame, cause) in [
        (question, VoiceDropped::UnknownId),
        (b"\x05\0\0".to_vec(), VoiceDropped::UnknownId),
        (b"".to_vec(), VoiceDropped::Malformed),
        (b"\x61\0".to_vec(), VoiceDropped::Malformed),
        (b"\x03\0\x01\0".to_vec(), VoiceDropped::Malformed),
        (
            b"\x64\0\x07\0\0\0\0\0\0\0".to_vec(),
            VoiceDropped::Malformed,
        ),
        (
            b"\x61\xff\xff and so on, and on".to_vec(),
            VoiceDropped::Malformed,
        ),
    ] {
        let frame_text = format!("{frame:02x?}");
        let datagram = alice.seal(&frame);
        assert_eq!(scene.dropped(at(1), &datagram), cause, "{frame_text}");
    }
}

#[test]
fn rule_15h_her_voice_is_heard_from_a_new_address_at_once_and_what_she_hears_waits_for_the_echo() {
    let (mut scene, mut alice) = Scene::new();
    // Even before any proof.
    let heard = scene.arrive(at(1), &alice.speak(1));
    let Came::Heard(frame, to, Some(challenge)) = heard else {
        panic!("{heard:?}");
    };
    assert_eq!((frame, to), (spoken(ALICE, 1), vec![at(99)]));
    assert_eq!(scene.alices_path(), None);
    let value = alice.challenge_in(&challenge);
    let answer = scene.sealed(at(1), &alice.echo(value));
    assert_eq!(alice.answer_in(&answer), (0, true), "nobody asked");
    assert!(matches!(
        scene.arrive(at(1), &alice.speak(2)),
        Came::Heard(_, _, None)
    ));

    // Her address changes on the way.
    let before = alice.speak(3);
    let late = alice.speak(4);
    let moved = scene.arrive(at(2), &alice.speak(5));
    let Came::Heard(_, _, Some(challenge)) = moved else {
        panic!("{moved:?}");
    };
    assert_eq!(scene.alices_path(), Some(at(1)));
    let listeners = match scene.arrive(at(99), &spoken(UserId(0), 1)) {
        Came::Heard(_, to, _) => to,
        other => panic!("{other:?}"),
    };
    assert_eq!(listeners, [at(1)], "she hears at the old one");
    // What is late still counts, from the old and from the new one.
    assert!(matches!(
        scene.arrive(at(1), &before),
        Came::Heard(_, _, None)
    ));
    assert!(matches!(scene.arrive(at(2), &late), Came::Heard(..)));
    let value = alice.challenge_in(&challenge);
    scene.sealed(at(2), &alice.echo(value));
    assert_eq!(scene.alices_path(), Some(at(2)));
}

#[test]
fn rule_15h_what_somebody_held_back_is_not_believed_from_elsewhere() {
    let (mut scene, mut alice) = Scene::new();
    scene.prove(&mut alice, at(1));
    let held_back = alice.speak(1);
    assert!(matches!(
        scene.arrive(at(1), &alice.speak(2)),
        Came::Heard(..)
    ));
    assert_eq!(
        scene.dropped(at(66), &held_back),
        VoiceDropped::UnknownSource
    );
    // Nor what they were the first to deliver: it is heard, and nothing is sent to them but a question.
    let stolen = alice.speak(3);
    assert!(matches!(
        scene.arrive(at(66), &stolen),
        Came::Heard(_, _, Some(_))
    ));
    assert_eq!(scene.dropped(at(1), &stolen), VoiceDropped::Replayed);
    assert_eq!(scene.alices_path(), Some(at(1)));
    assert!(matches!(
        scene.arrive(at(1), &alice.speak(4)),
        Came::Heard(_, _, None)
    ));
}

/// Rules 15d and 15e.
#[test]
fn rule_15d_and_15e_once_each_and_of_the_last_128() {
    let (mut scene, mut alice) = Scene::new();
    scene.prove(&mut alice, at(1));
    let all: Vec<_> = (0..=128).map(|number| alice.speak(number)).collect();
    assert!(matches!(scene.arrive(at(1), &all[128]), Came::Heard(..)));
    assert_eq!(scene.dropped(at(1), &all[0]), VoiceDropped::OutOfReach);
    for datagram in &all[1..128] {
        assert!(matches!(scene.arrive(at(1), datagram), Came::Heard(..)));
        assert_eq!(scene.dropped(at(1), datagram), VoiceDropped::Replayed);
    }
    // Far ahead is an epoch that is not accepted.
    let mut ahead = Client::new(ALICE);
    ahead.sealer = ahead.sealer.starting_at(2 << 23);
    assert_eq!(
        scene.dropped(at(1), &ahead.speak(1)),
        VoiceDropped::OutOfReach
    );
    let counters = scene.relay.counters();
    assert_eq!(counters.get(Cause::SealReplayed), 127);
    assert_eq!(counters.get(Cause::SealOutOfReach), 2);
}

#[test]
fn rule_15d_an_epoch_follows_another() {
    let (mut scene, mut alice) = Scene::new();
    scene.prove(&mut alice, at(1));
    for epoch in 1..4 {
        alice.sealer = alice.sealer.starting_at((epoch << 23) - 2);
        let late = alice.speak(1);
        for _ in 0..3 {
            assert!(matches!(
                scene.arrive(at(1), &alice.speak(2)),
                Came::Heard(..)
            ));
        }
        assert!(
            matches!(scene.arrive(at(1), &late), Came::Heard(..)),
            "{epoch}"
        );
    }
}

#[test]
fn forged_ones_are_opened_only_so_often_and_cost_a_proved_address_nothing() {
    let (mut scene, mut alice) = Scene::new();
    let mut unknown = alice.speak(1);
    unknown[3..7].copy_from_slice(b"????");
    for _ in 0..2 * WRONG_TAGS_PER_SECOND {
        assert_eq!(scene.dropped(at(66), &unknown), VoiceDropped::UnknownKey);
    }
    scene.prove(&mut alice, at(1));
    let mut forged = alice.speak(2);
    forged[20] ^= 1;
    for number in 0..10 * WRONG_TAGS_PER_SECOND {
        let expected = match number < WRONG_TAGS_PER_SECOND {
            true => VoiceDropped::NotAuthentic,
            false => VoiceDropped::Unopened,
        };
        assert_eq!(scene.dropped(at(number as u16 + 200), &forged), expected);
    }
    // What comes from her own address is opened, forged or not.
    assert_eq!(scene.dropped(at(1), &forged), VoiceDropped::NotAuthentic);
    assert!(matches!(
        scene.arrive(at(1), &alice.speak(3)),
        Came::Heard(..)
    ));
    let from_elsewhere = alice.speak(4);
    assert_eq!(
        scene.dropped(at(2), &from_elsewhere),
        VoiceDropped::Unopened
    );
    scene.pass(1_000);
    assert!(matches!(
        scene.arrive(at(2), &from_elsewhere),
        Came::Heard(..)
    ));
}

#[test]
fn rule_15i_challenges_are_few_and_do_not_keep_voice_from_being_heard() {
    let (mut scene, mut alice) = Scene::new();
    for number in 0..3 * CHALLENGE_BURST {
        let heard = scene.arrive(at(1 + number as u16), &alice.speak(number));
        let Came::Heard(_, _, challenge) = heard else {
            panic!("{heard:?}");
        };
        assert_eq!(challenge.is_some(), number < CHALLENGE_BURST);
    }
    let unchallenged = VoiceDropped::PathUnchallenged;
    assert_eq!(scene.dropped(at(1), &alice.ask(1)), unchallenged);
    scene.pass(1_000);
    scene.sealed(at(1), &alice.ask(1));
    assert_eq!(scene.dropped(at(1), &alice.ask(1)), unchallenged);
}

#[test]
fn rule_15j_another_token_under_her_seal_is_answered_false() {
    let (mut scene, mut alice) = Scene::new();
    for (token, cause) in [(0, 1), (BOB.0, 2), (77, 3)] {
        let question = alice.seal(&encoded(&Packet::VoiceAuthRequest {
            request_id: 4,
            voice_token: VoiceToken(token),
        }));
        let answer = scene.sealed(at(1), &question);
        assert_eq!(alice.answer_in(&answer), (4, false));
        let counted = scene.relay.counters().get(VoiceAuthRefused::UnknownToken);
        assert_eq!(counted, cause);
    }
    assert_eq!(scene.relay.address_count(), 1, "bob's");
}

#[test]
fn rule_15k_a_plain_proof_takes_no_sealed_address_and_a_sealed_one_takes_any() {
    let (mut scene, mut alice) = Scene::new();
    scene.prove(&mut alice, at(1));
    assert!(!prove(&mut scene.relay, BOB, at(1)));
    let counters = scene.relay.counters();
    assert_eq!(counters.get(VoiceAuthRefused::Taken), 1);
    assert_eq!(scene.alices_path(), Some(at(1)));
    assert_eq!(scene.relay.address_count(), 2, "bob keeps his");
    scene.pass(10_000);
    scene.prove(&mut alice, at(99));
    assert_eq!(scene.relay.address_count(), 1, "it was bob's");
    assert!(prove(&mut scene.relay, BOB, at(1)), "she has left it");
    check(&scene.relay);
}

#[test]
fn rule_15l_without_voice_from_anywhere_she_is_heard_from_her_connections_address_alone() {
    let limits = Limits {
        voice_from_anywhere: false,
        ..Limits::UNLIMITED
    };
    let (mut scene, mut alice) = Scene::within(limits);
    let elsewhere = UdpPath {
        remote: ([198, 51, 100, 1], 1).into(),
        local: None,
    };
    let cause = VoiceDropped::UnknownSource;
    assert_eq!(scene.dropped(elsewhere, &alice.speak(1)), cause);
    let answer = scene.sealed(elsewhere, &alice.ask(3));
    assert_eq!(alice.answer_in(&answer), (3, false));
    scene.prove(&mut alice, at(1));
}

#[test]
fn mute_leave_rates_and_age_hold_for_sealed_voice() {
    let limits = Limits {
        voice_rate: 1,
        ..Limits::UNLIMITED
    };
    let (mut scene, mut alice) = Scene::within(limits);
    let (id, mut sequence) = (ALICE, 0);
    let mut say = |scene: &mut Scene| {
        sequence += 1;
        scene.arrive(at(1), &alice.speak(sequence))
    };
    let dropped = Came::Dropped;
    scene
        .relay
        .handle_event(Event::MuteChanged { id, is_muted: true });
    assert_eq!(say(&mut scene), dropped(VoiceDropped::Muted));
    scene.relay.handle_event(Event::MuteChanged {
        id,
        is_muted: false,
    });
    scene.relay.handle_event(Event::VoiceLeft { id });
    assert_eq!(say(&mut scene), dropped(VoiceDropped::NotInChannel));
    scene.relay.handle_event(Event::VoiceJoined { id });
    for _ in 0..6 {
        assert!(matches!(say(&mut scene), Came::Heard(..)));
    }
    assert_eq!(say(&mut scene), dropped(VoiceDropped::TooFast));
    let late = scene
        .relay
        .examine(scene.now, at(1), &mut alice.speak(99), true);
    assert!(matches!(late, Finding::Drop(VoiceDropped::TooLate)));
    let late_proof = scene
        .relay
        .examine(scene.now, at(1), &mut alice.ask(1), true);
    assert!(matches!(late_proof, Finding::Claim(_)));
    scene.relay.handle_event(Event::UserDisconnected { id });
    assert_eq!(
        scene.dropped(at(1), &alice.speak(100)),
        VoiceDropped::UnknownKey
    );
    assert!(scene.relay.tables.by_key.is_empty());
}

#[test]
fn whole_datagrams_alone_are_opened_and_zeros_and_what_follows_do_not_matter() {
    let (mut scene, mut alice) = Scene::new();
    let datagram = alice.speak(1);
    for len in 1..datagram.len() {
        assert_eq!(
            scene.dropped(at(1), &datagram[..len]),
            VoiceDropped::Malformed
        );
    }
    let mut over_the_slot = vec![0; 2_048];
    over_the_slot[..3].copy_from_slice(b"\x62\x08\x00");
    assert_eq!(scene.dropped(at(1), &over_the_slot), VoiceDropped::TooLong);
    let followed = [&datagram[..], b"what follows"].concat();
    let Came::Heard(frame, ..) = scene.arrive(at(1), &followed) else {
        panic!("it is whole");
    };
    assert_eq!(frame, spoken(ALICE, 1));
    let mut too_long = vec![0; 1_420];
    too_long[..3].copy_from_slice(b"\x61\x05\x89");
    assert_eq!(
        scene.dropped(at(1), &alice.seal(&too_long)),
        VoiceDropped::TooLong
    );
}

#[test]
fn the_tables_agree_in_every_order_of_events_and_sealed_proofs() {
    let mut steps = [0, 2, 3, 4, 5, 6];
    permutations(&mut steps, 0, &mut |steps| {
        let (mut scene, mut alice) = Scene::new();
        let (id, secrets) = (ALICE, secrets_of(ALICE));
        for step in steps {
            let lives = scene.relay.tables.by_id.contains_key(&ALICE);
            match step {
                0 => scene.relay.handle_event(Event::VoiceLeft { id }),
                2 => scene.relay.handle_event(Event::UserDisconnected { id }),
                3 => scene.relay.handle_event(Event::VoiceSealed { id, secrets }),
                4 => drop(prove(&mut scene.relay, BOB, at(1))),
                _ => {
                    let from = at(1 + step % 2);
                    // Her keys may have begun anew.
                    alice.opener = Client::new(ALICE).opener;
                    if let Came::Sealed(answer) = scene.arrive(from, &alice.ask(1)) {
                        assert!(lives);
                        let value = alice.challenge_in(&answer);
                        scene.sealed(from, &alice.echo(value));
                    }
                }
            }
            check(&scene.relay);
        }
    });
}

#[test]
fn rule_15c_a_counter_of_the_server_is_never_there_twice() {
    let (mut scene, mut alice) = Scene::new();
    scene.prove(&mut alice, at(1));
    let mut counters = Vec::new();
    for number in 0..50 {
        let mut note = |datagram: &[u8]| {
            let view = SealedDatagram::check(datagram).expect("it is sealed");
            counters.push(view.counter());
        };
        note(&scene.sealed(at(1), &alice.ask(number)));
        let mut datagram = [0; 100];
        for _ in 0..2 {
            assert!(scene.relay.room().sealed.seal(0, b"frame", &mut datagram));
            note(&datagram);
        }
        scene.pass(10_000);
    }
    // Two were spent on her proof.
    assert!(counters.iter().copied().eq(2..152), "{counters:?}");
}
