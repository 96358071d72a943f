//! Rules 9 to 11: who owns an address, who hears whom, and what is dropped.

use crate::common::random::Random;
use crate::common::{Outcome, World, at, encode, voice};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::event::{UdpPath, UserId, VoiceToken};
use voiceapp_server::limits::{DATAGRAM_SLOT_BYTES, VOICE_BURST, VOICE_DATA_BYTES_MAX};
use voiceapp_server::limits::{FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST};
use voiceapp_server::protocol::Packet;

const UNKNOWN_SOURCE: Result<Vec<UdpPath>, Cause> = Err(Cause::VoiceUnknownSource);
const NOT_IN_CHANNEL: Result<Vec<UdpPath>, Cause> = Err(Cause::VoiceNotInChannel);

#[test]
fn rule_9a_a_live_token_is_answered_true_in_12_bytes() {
    let (mut world, [alice]) = World::of(["alice"]);
    let mut question = b"\x03\0\x10\x01\x02\x03\x04\x05\x06\x07\x08".to_vec();
    question.extend_from_slice(&alice.token.to_be_bytes());
    assert_eq!(question.len(), 19);
    let answer = b"\x22\0\x09\x01\x02\x03\x04\x05\x06\x07\x08\x01";
    assert_eq!(answer.len(), 12);
    let answered = Outcome::Answered(answer.to_vec());
    assert_eq!(world.send_datagram(at(1), &question), answered);
    // Later fields may follow in the payload, and anything after the frame.
    question[2] = 18;
    question.extend_from_slice(b"later, and more");
    assert_eq!(world.send_datagram(at(1), &question), answered);
    assert_eq!(world.counted(), []);
}

#[test]
fn rule_9b_an_unknown_token_is_answered_false() {
    let (mut world, [alice]) = World::of(["alice"]);
    // A refused client asks with 0 and must not be left waiting.
    assert_eq!(world.prove(0, at(1)), Ok(false));
    assert_eq!(world.prove(alice.token + 1, at(1)), Ok(false));
    assert_eq!(world.counted(), [(Cause::VoiceAuthUnknownToken, 2)]);
    assert_eq!(world.speak(at(1)), UNKNOWN_SOURCE);
}

#[test]
fn rule_9b_a_refusal_leaves_the_owner_of_the_address_alone() {
    let (mut world, [alice]) = World::of(["alice"]);
    world.join_from(alice, at(1));
    assert_eq!(world.prove(0, at(1)), Ok(false));
    assert_eq!(world.speak(at(1)), Ok(vec![]));
}

#[test]
fn rule_9a_repeating_is_harmless() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    for _ in 0..100 {
        assert_eq!(world.prove(alice.token, at(1)), Ok(true));
        assert_eq!(world.speak(at(1)), Ok(vec![at(2)]));
        assert_eq!(world.speak(at(2)), Ok(vec![at(1)]));
    }
    assert_eq!(world.counted(), []);
}

#[test]
fn rule_9c_a_client_that_moves_takes_its_voice_along() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    assert_eq!(world.prove(alice.token, at(3)), Ok(true));
    assert_eq!(world.speak(at(2)), Ok(vec![at(3)]));
    assert_eq!(world.speak(at(3)), Ok(vec![at(2)]));
    assert_eq!(world.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(world.switchboard.relay().address_count(), 2);
}

#[test]
fn rule_9c_of_two_users_who_prove_one_address_the_newest_has_it() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    world.join_from(carol, at(3));
    assert_eq!(world.prove(bob.token, at(1)), Ok(true));
    // Alice has lost the address, and Bob the one he had.
    assert_eq!(world.speak(at(3)), Ok(vec![at(1)]));
    assert_eq!(world.speak(at(2)), UNKNOWN_SOURCE);
    let Outcome::Relayed { frame, to } = world.send_datagram(at(1), &voice(0, b"")) else {
        panic!("the address is Bob's, and he is in voice");
    };
    assert_eq!((frame, to), (voice(bob.id, b""), vec![at(3)]));
    // She gets one again by proving one.
    assert_eq!(world.prove(alice.token, at(2)), Ok(true));
    assert_eq!(world.speak(at(3)), Ok(vec![at(1), at(2)]));
}

#[test]
fn rule_9c_an_address_does_not_return_to_whom_it_was_taken_from() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(1));
    world.disconnect(bob, Ended::ByPeer);
    assert_eq!(world.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(world.switchboard.relay().listener_count(), 0);
    assert_eq!(world.prove(alice.token, at(1)), Ok(true));
    assert_eq!(world.speak(at(1)), Ok(vec![]));
}

#[test]
fn rule_9a_ports_and_hosts_make_different_addresses() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let mut elsewhere = at(1);
    elsewhere.remote.set_ip([192, 0, 2, 2].into());
    world.join_from(alice, at(1));
    world.join_from(bob, elsewhere);
    assert_eq!(world.speak(at(1)), Ok(vec![elsewhere]));
    assert_eq!(world.speak(at(2)), UNKNOWN_SOURCE);
}

#[test]
fn rule_7b_a_token_dies_with_its_session_and_frees_the_address() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    world.disconnect(alice, Ended::ByPeer);
    assert_eq!(world.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(world.speak(at(2)), Ok(vec![]));
    assert_eq!(world.prove(alice.token, at(1)), Ok(false));
    assert_eq!(world.prove(alice.token, at(2)), Ok(false));
    assert_eq!(world.speak(at(2)), Ok(vec![]));
}

/// How many of this many refusals at one moment are answered.
fn false_answers(world: &mut World, asked: u16, from: impl Fn(u16) -> UdpPath) -> u32 {
    let answered = (0..asked).filter(|&n| match world.prove(0, from(n)) {
        Ok(success) => !success,
        Err(cause) => {
            assert_eq!(cause, Cause::VoiceAuthUnanswered);
            false
        }
    });
    answered.count() as u32
}

#[test]
fn rule_9b_refusals_are_limited_per_host_whatever_the_port() {
    let mut world = World::new(10);
    assert_eq!(false_answers(&mut world, 100, at), FALSE_ANSWERS_BURST);
    let burst = u64::from(FALSE_ANSWERS_BURST);
    assert_eq!(
        world.counted(),
        [
            (Cause::VoiceAuthUnknownToken, burst),
            (Cause::VoiceAuthUnanswered, 100 - burst)
        ]
    );
    let neighbour = |port| UdpPath {
        remote: ([192, 0, 2, 77], port).into(),
        local: None,
    };
    assert_eq!(false_answers(&mut world, 1, neighbour), 1);
    // It comes back one by one, and after a while in full.
    world.wait(FALSE_ANSWER_INTERVAL);
    assert_eq!(false_answers(&mut world, 100, at), 1);
    world.wait(FALSE_ANSWER_INTERVAL * FALSE_ANSWERS_BURST);
    assert_eq!(false_answers(&mut world, 100, at), FALSE_ANSWERS_BURST);
}

#[test]
fn rule_9b_refusals_are_limited_per_64_bits_of_an_ipv6_address() {
    let mut world = World::new(10);
    let in_network = |network: u16| {
        move |host: u16| UdpPath {
            remote: (
                Ipv6Addr::new(0x2001, 0xdb8, 0, network, host, 0, host, host),
                host,
            )
                .into(),
            local: None,
        }
    };
    assert_eq!(
        false_answers(&mut world, 100, in_network(1)),
        FALSE_ANSWERS_BURST
    );
    assert_eq!(
        false_answers(&mut world, 100, in_network(2)),
        FALSE_ANSWERS_BURST
    );
    world.wait(FALSE_ANSWER_INTERVAL * 2);
    assert_eq!(false_answers(&mut world, 100, in_network(1)), 2);
}

#[test]
fn rule_9a_a_live_token_is_answered_whatever_its_source_has_asked() {
    let (mut world, [alice]) = World::of(["alice"]);
    false_answers(&mut world, 100, at);
    for _ in 0..100 {
        assert_eq!(world.prove(alice.token, at(1)), Ok(true));
    }
}

#[test]
fn rule_10a_voice_goes_to_everyone_in_voice_but_never_back() {
    let (mut world, people) = World::of(["alice", "bob", "carol", "dave"]);
    for (person, port) in people.into_iter().zip(1..) {
        assert_eq!(world.prove(person.token, at(port)), Ok(true));
    }
    let [alice, bob, carol, _dave] = people;
    assert_eq!(world.speak(at(1)), NOT_IN_CHANNEL);
    world.join(alice);
    assert_eq!(world.speak(at(1)), Ok(vec![]));
    world.join(bob);
    world.join(carol);
    assert_eq!(world.speak(at(1)), Ok(vec![at(2), at(3)]));
    assert_eq!(world.speak(at(2)), Ok(vec![at(1), at(3)]));
    assert_eq!(world.speak(at(3)), Ok(vec![at(1), at(2)]));
    assert_eq!(world.speak(at(4)), NOT_IN_CHANNEL);
    world.leave(alice);
    assert_eq!(world.speak(at(1)), NOT_IN_CHANNEL);
    assert_eq!(world.speak(at(2)), Ok(vec![at(3)]));
}

#[test]
fn rule_10b_only_the_user_id_is_overwritten() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    let longest = vec![0xa5; VOICE_DATA_BYTES_MAX];
    let usual: Vec<u8> = (0..240).collect();
    for data in [b"".as_slice(), b"\0", &usual, &longest] {
        // As it should be, and as someone would send it who claims to be another.
        for claimed in [0, alice.id, bob.id, u64::MAX] {
            let relayed = Outcome::Relayed {
                frame: voice(alice.id, data),
                to: vec![at(2)],
            };
            assert_eq!(world.send_datagram(at(1), &voice(claimed, data)), relayed);
            world.wait(Duration::from_millis(20));
        }
    }
}

#[test]
fn rule_10c_what_follows_the_frame_is_cut_off() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    let mut datagram = voice(0, b"opus");
    datagram.extend_from_slice(&voice(99, b"a second frame"));
    let relayed = Outcome::Relayed {
        frame: voice(alice.id, b"opus"),
        to: vec![at(2)],
    };
    assert_eq!(world.send_datagram(at(1), &datagram), relayed);
}

#[test]
fn rule_10d_joining_first_hears_from_the_moment_the_address_is_bound() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(bob, at(2));
    world.join(alice);
    assert_eq!(world.speak(at(2)), Ok(vec![]));
    assert_eq!(world.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(world.prove(alice.token, at(1)), Ok(true));
    assert_eq!(world.speak(at(2)), Ok(vec![at(1)]));
    assert_eq!(world.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_10d_leaving_and_joining_again_needs_no_new_proof() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    world.leave(alice);
    assert_eq!(world.speak(at(2)), Ok(vec![]));
    // While out of voice she moves, and keeps the address.
    assert_eq!(world.prove(alice.token, at(3)), Ok(true));
    assert_eq!(world.speak(at(2)), Ok(vec![]));
    world.join(alice);
    assert_eq!(world.speak(at(2)), Ok(vec![at(3)]));
}

/// `at(port)`, having spoken to this of the server's addresses.
fn to_server(port: u16, last: u8) -> UdpPath {
    UdpPath {
        local: Some(IpAddr::from([198, 51, 100, last])),
        ..at(port)
    }
}

#[test]
fn rule_10e_voice_comes_from_the_servers_address_that_was_asked() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, to_server(1, 10));
    world.join_from(bob, to_server(2, 20));
    assert_eq!(world.speak(to_server(1, 10)), Ok(vec![to_server(2, 20)]));
    assert_eq!(world.speak(to_server(2, 20)), Ok(vec![to_server(1, 10)]));
    // The latest request decides, also from an address that is already theirs.
    assert_eq!(world.prove(alice.token, to_server(1, 30)), Ok(true));
    assert_eq!(world.speak(at(2)), Ok(vec![to_server(1, 30)]));
    // Voice sent to another of the server's addresses does not.
    assert_eq!(world.speak(to_server(1, 40)), Ok(vec![to_server(2, 20)]));
    assert_eq!(world.speak(at(2)), Ok(vec![to_server(1, 30)]));
    world.leave(alice);
    world.join(alice);
    assert_eq!(world.speak(at(2)), Ok(vec![to_server(1, 30)]));
}

#[test]
fn rule_11a_every_other_datagram_is_dropped_and_counted_by_cause() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    world.mute(bob, true);
    assert_eq!(world.prove(carol.token, at(3)), Ok(true));

    let opus = voice(0, b"opus");
    let too_long = voice(0, &[0; VOICE_DATA_BYTES_MAX + 1]);
    let mut cut_by_the_slot = voice(0, &[0; 4_000]);
    cut_by_the_slot.truncate(DATAGRAM_SLOT_BYTES);
    let mut auth_cut_by_the_slot = b"\x03\xff\xff".to_vec();
    auth_cut_by_the_slot.resize(DATAGRAM_SLOT_BYTES, 0);
    let mut without_fields = opus[..18].to_vec();
    without_fields[2] = 15;
    let cases: [(u16, &[u8], Cause); 22] = [
        (9, &opus, Cause::VoiceUnknownSource),
        (3, &opus, Cause::VoiceNotInChannel),
        (2, &opus, Cause::VoiceMuted),
        (1, b"", Cause::DatagramMalformed),
        (1, b"\x61", Cause::DatagramMalformed),
        (1, b"\x61\0", Cause::DatagramMalformed),
        (1, b"\x61\0\0", Cause::DatagramMalformed),
        (1, &without_fields, Cause::DatagramMalformed),
        (1, &opus[..opus.len() - 1], Cause::DatagramMalformed),
        (1, b"\x03\0\x10", Cause::DatagramMalformed),
        (1, b"\x03\0\0", Cause::DatagramMalformed),
        (1, b"\x03\0\x0f123456781234567", Cause::DatagramMalformed),
        (1, b"\x7f\0\x05abc", Cause::DatagramMalformed),
        (1, b"\x7f", Cause::DatagramMalformed),
        (1, b"\0\0\0", Cause::DatagramUnknownId),
        (1, b"\x7f\0\x03abc", Cause::DatagramUnknownId),
        (1, b"\xff\0\0trailing", Cause::DatagramUnknownId),
        // Packets that have no business on UDP, or not in this direction.
        (1, b"\x06\0\x08\0\0\0\0\0\0\0\0", Cause::DatagramUnknownId),
        (
            1,
            b"\x22\0\x09\0\0\0\0\0\0\0\0\x01",
            Cause::DatagramUnknownId,
        ),
        (1, &too_long, Cause::DatagramTooLong),
        (1, &cut_by_the_slot, Cause::DatagramTooLong),
        (1, &auth_cut_by_the_slot, Cause::DatagramTooLong),
    ];
    for (port, datagram, cause) in cases {
        let before = world.switchboard.counters();
        let outcome = world.send_datagram(at(port), datagram);
        assert_eq!(outcome, Outcome::Dropped(cause), "{datagram:?}");
        let mut expected = before;
        expected.count(cause);
        assert_eq!(world.switchboard.counters(), expected);
    }
    assert_eq!(world.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_11a_any_frame_cut_by_the_slot_is_too_long() {
    let mut world = World::new(10);
    let mut unknown = b"\x7f\x10\0".to_vec();
    unknown.resize(DATAGRAM_SLOT_BYTES, 0);
    assert_eq!(
        world.send_datagram(at(1), &unknown),
        Outcome::Dropped(Cause::DatagramTooLong)
    );
}

#[test]
fn rule_11b_a_sender_who_is_too_fast_is_dropped_and_nobody_else() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    let opus = voice(0, b"opus");
    let relayed = |world: &mut World| {
        let send = |_: &_| matches!(world.send_datagram(at(1), &opus), Outcome::Relayed { .. });
        (0..2_000).filter(send).count() as u32
    };
    let rate = Limits::default().voice_rate;
    assert_eq!(relayed(&mut world), VOICE_BURST * rate);
    world.wait(Duration::from_millis(500));
    assert_eq!(relayed(&mut world), rate / 2);
    assert_eq!(world.counted()[0].0, Cause::VoiceTooFast);
    assert_eq!(world.speak(at(2)), Ok(vec![at(1)]));
    world.wait(Duration::from_secs(60));
    assert_eq!(world.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_11b_bytes_have_a_rate_too() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    let long = voice(0, &[0; VOICE_DATA_BYTES_MAX]);
    let permitted = VOICE_BURST * Limits::default().voice_bandwidth / long.len() as u32;
    for number in 0..permitted + 100 {
        let outcome = world.send_datagram(at(1), &long);
        let is_relayed = matches!(outcome, Outcome::Relayed { .. });
        assert_eq!(is_relayed, number < permitted, "at {number}");
    }
}

/// 50 datagrams a second of at most 96 kbit/s on average, with a stall of a second and a half now
/// and then after which all that was held up arrives at once.
#[test]
fn rule_11b_a_usual_client_is_never_too_fast() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    for number in 0..5_000 {
        let frame = voice(number, &[0; 300]);
        let outcome = world.send_datagram(at(1), &frame);
        assert!(matches!(outcome, Outcome::Relayed { .. }), "at {number}");
        match number % 250 {
            0..75 => {}
            75 => world.wait(Duration::from_millis(75 * 20)),
            _ => world.wait(Duration::from_millis(20)),
        }
    }
}

#[test]
fn rule_11a_no_datagram_makes_the_relay_panic_or_send_what_a_client_cannot_read() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    let auth = encode(&Packet::VoiceAuthRequest {
        request_id: 7,
        voice_token: VoiceToken(bob.token),
    });
    let seeds = [voice(0, b"opus"), voice(5, &[1; 240]), auth];
    let mut random = Random(1);
    for _ in 0..50_000 {
        let mut datagram = seeds[random.below(3)].clone();
        for _ in 0..random.below(4) {
            let place = random.below(datagram.len());
            datagram[place] = random.next() as u8;
        }
        datagram.truncate(random.below(2 * datagram.len()));
        world.wait(Duration::from_millis(20));
        match world.send_datagram(at(1), &datagram) {
            Outcome::Relayed { frame, .. } => {
                let sender = UserId(u64::from_be_bytes(frame[3..11].try_into().unwrap()));
                let payload_len = u16::from_be_bytes([frame[1], frame[2]]);
                assert_eq!(frame.len(), 3 + usize::from(payload_len));
                assert!(frame[0] == 0x61 && payload_len >= 16);
                assert!([alice.id, bob.id].contains(&sender.0));
                assert_eq!(frame[11..], datagram[11..frame.len()]);
            }
            Outcome::Answered(answer) | Outcome::AnsweredAndEnded(answer) => {
                assert_eq!(answer[..3], [0x22, 0, 9])
            }
            Outcome::Dropped(_) => {}
        }
    }
}
