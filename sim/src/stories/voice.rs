//! Rules 10 and 11: who hears whom, and what is dropped.

use crate::story::{Outcome, Story, at, voice};
use std::net::IpAddr;
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::{DATAGRAM_SLOT_BYTES, VOICE_BURST, VOICE_DATA_BYTES_MAX};

const UNKNOWN_SOURCE: Result<Vec<UdpPath>, Cause> = Err(Cause::VoiceUnknownSource);
const NOT_IN_CHANNEL: Result<Vec<UdpPath>, Cause> = Err(Cause::VoiceNotInChannel);

#[test]
fn rule_10a_voice_goes_to_everyone_in_voice_but_never_back() {
    let (mut story, people) = Story::of(["alice", "bob", "carol", "dave"]);
    for (person, port) in people.into_iter().zip(1..) {
        assert_eq!(story.prove(person.token, at(port)), Ok(true));
    }
    let [alice, bob, carol, _dave] = people;
    assert_eq!(story.speak(at(1)), NOT_IN_CHANNEL);
    story.join(alice);
    assert_eq!(story.speak(at(1)), Ok(vec![]));
    story.join(bob);
    story.join(carol);
    assert_eq!(story.speak(at(1)), Ok(vec![at(2), at(3)]));
    assert_eq!(story.speak(at(2)), Ok(vec![at(1), at(3)]));
    assert_eq!(story.speak(at(3)), Ok(vec![at(1), at(2)]));
    assert_eq!(story.speak(at(4)), NOT_IN_CHANNEL);
    story.leave(alice);
    assert_eq!(story.speak(at(1)), NOT_IN_CHANNEL);
    assert_eq!(story.speak(at(2)), Ok(vec![at(3)]));
}

#[test]
fn rule_10b_only_the_user_id_is_overwritten() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    let longest = vec![0xa5; VOICE_DATA_BYTES_MAX];
    let usual: Vec<u8> = (0..240).collect();
    for data in [b"".as_slice(), b"\0", &usual, &longest] {
        // As it should be, and as someone would send it who claims to be another.
        for claimed in [0, alice.id, bob.id, u64::MAX] {
            let relayed = Outcome::Relayed {
                frame: voice(alice.id, data),
                to: vec![at(2)],
            };
            assert_eq!(story.send_datagram(at(1), &voice(claimed, data)), relayed);
            story.wait(Duration::from_millis(20));
        }
    }
}

#[test]
fn rule_10c_what_follows_the_frame_is_cut_off() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    let mut datagram = voice(0, b"opus");
    datagram.extend_from_slice(&voice(99, b"a second frame"));
    let relayed = Outcome::Relayed {
        frame: voice(alice.id, b"opus"),
        to: vec![at(2)],
    };
    assert_eq!(story.send_datagram(at(1), &datagram), relayed);
}

#[test]
fn rule_10d_joining_first_hears_from_the_moment_the_address_is_bound() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(bob, at(2));
    story.join(alice);
    assert_eq!(story.speak(at(2)), Ok(vec![]));
    assert_eq!(story.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(story.prove(alice.token, at(1)), Ok(true));
    assert_eq!(story.speak(at(2)), Ok(vec![at(1)]));
    assert_eq!(story.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_10d_leaving_and_joining_again_needs_no_new_proof() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    story.leave(alice);
    assert_eq!(story.speak(at(2)), Ok(vec![]));
    // While out of voice she moves, and keeps the address.
    assert_eq!(story.prove(alice.token, at(3)), Ok(true));
    assert_eq!(story.speak(at(2)), Ok(vec![]));
    story.join(alice);
    assert_eq!(story.speak(at(2)), Ok(vec![at(3)]));
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
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, to_server(1, 10));
    story.join_from(bob, to_server(2, 20));
    assert_eq!(story.speak(to_server(1, 10)), Ok(vec![to_server(2, 20)]));
    assert_eq!(story.speak(to_server(2, 20)), Ok(vec![to_server(1, 10)]));
    // The latest request decides, also from an address that is already theirs.
    assert_eq!(story.prove(alice.token, to_server(1, 30)), Ok(true));
    assert_eq!(story.speak(at(2)), Ok(vec![to_server(1, 30)]));
    // Voice sent to another of the server's addresses does not.
    assert_eq!(story.speak(to_server(1, 40)), Ok(vec![to_server(2, 20)]));
    assert_eq!(story.speak(at(2)), Ok(vec![to_server(1, 30)]));
    story.leave(alice);
    story.join(alice);
    assert_eq!(story.speak(at(2)), Ok(vec![to_server(1, 30)]));
}

#[test]
fn rule_11a_every_other_datagram_is_dropped_and_counted_by_cause() {
    let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    story.mute(bob, true);
    assert_eq!(story.prove(carol.token, at(3)), Ok(true));

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
        let before = story.switchboard().counters();
        let outcome = story.send_datagram(at(port), datagram);
        assert_eq!(outcome, Outcome::Dropped(cause), "{datagram:?}");
        let mut expected = before;
        expected.count(cause);
        assert_eq!(story.switchboard().counters(), expected);
    }
    assert_eq!(story.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_11a_any_frame_cut_by_the_slot_is_too_long() {
    let mut story = Story::new(10);
    let mut unknown = b"\x7f\x10\0".to_vec();
    unknown.resize(DATAGRAM_SLOT_BYTES, 0);
    assert_eq!(
        story.send_datagram(at(1), &unknown),
        Outcome::Dropped(Cause::DatagramTooLong)
    );
}

#[test]
fn rule_11b_a_sender_who_is_too_fast_is_dropped_and_nobody_else() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    let opus = voice(0, b"opus");
    let relayed = |story: &mut Story| story.relayed(&vec![(at(1), &opus[..]); 2_000]) as u32;
    let rate = Limits::default().voice_rate;
    assert_eq!(relayed(&mut story), VOICE_BURST * rate);
    story.wait(Duration::from_millis(500));
    assert_eq!(relayed(&mut story), rate / 2);
    assert_eq!(story.counted()[0].0, Cause::VoiceTooFast);
    assert_eq!(story.speak(at(2)), Ok(vec![at(1)]));
    story.wait(Duration::from_secs(60));
    assert_eq!(story.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_11b_bytes_have_a_rate_too() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    let long = voice(0, &[0; VOICE_DATA_BYTES_MAX]);
    let permitted = VOICE_BURST * Limits::default().voice_bandwidth / long.len() as u32;
    for number in 0..permitted + 100 {
        let outcome = story.send_datagram(at(1), &long);
        let is_relayed = matches!(outcome, Outcome::Relayed { .. });
        assert_eq!(is_relayed, number < permitted, "at {number}");
    }
}

/// 50 datagrams a second of at most 96 kbit/s on average, with a stall of a second and a half now
/// and then after which all that was held up arrives at once.
#[test]
fn rule_11b_a_usual_client_is_never_too_fast() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    for number in 0..5_000 {
        let frame = voice(number, &[0; 300]);
        let outcome = story.send_datagram(at(1), &frame);
        assert!(matches!(outcome, Outcome::Relayed { .. }), "at {number}");
        match number % 250 {
            0..75 => {}
            75 => story.wait(Duration::from_millis(75 * 20)),
            _ => story.wait(Duration::from_millis(20)),
        }
    }
}
