//! Rule 9: which address is whose, and what is answered.

use crate::story::{Outcome, Story, at, voice};
use std::net::Ipv6Addr;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::{FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST};

const UNKNOWN_SOURCE: Result<Vec<UdpPath>, Cause> = Err(Cause::VoiceUnknownSource);

#[test]
fn rule_9a_a_live_token_is_answered_true_in_12_bytes() {
    let (mut story, [alice]) = Story::of(["alice"]);
    let mut question = b"\x03\0\x10\x01\x02\x03\x04\x05\x06\x07\x08".to_vec();
    question.extend_from_slice(&alice.token.to_be_bytes());
    assert_eq!(question.len(), 19);
    let answer = b"\x22\0\x09\x01\x02\x03\x04\x05\x06\x07\x08\x01";
    assert_eq!(answer.len(), 12);
    let answered = Outcome::Answered(answer.to_vec());
    assert_eq!(story.send_datagram(at(1), &question), answered);
    // Later fields may follow in the payload, and anything after the frame.
    question[2] = 18;
    question.extend_from_slice(b"later, and more");
    assert_eq!(story.send_datagram(at(1), &question), answered);
    assert_eq!(story.counted(), []);
}

#[test]
fn rule_9b_an_unknown_token_is_answered_false() {
    let (mut story, [alice]) = Story::of(["alice"]);
    // A refused client asks with 0 and must not be left waiting.
    assert_eq!(story.prove(0, at(1)), Ok(false));
    assert_eq!(story.prove(alice.token + 1, at(1)), Ok(false));
    assert_eq!(story.counted(), [(Cause::VoiceAuthUnknownToken, 2)]);
    assert_eq!(story.speak(at(1)), UNKNOWN_SOURCE);
}

#[test]
fn rule_9b_a_refusal_leaves_the_owner_of_the_address_alone() {
    let (mut story, [alice]) = Story::of(["alice"]);
    story.join_from(alice, at(1));
    assert_eq!(story.prove(0, at(1)), Ok(false));
    assert_eq!(story.speak(at(1)), Ok(vec![]));
}

#[test]
fn rule_9a_repeating_is_harmless() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    for _ in 0..100 {
        assert_eq!(story.prove(alice.token, at(1)), Ok(true));
        assert_eq!(story.speak(at(1)), Ok(vec![at(2)]));
        assert_eq!(story.speak(at(2)), Ok(vec![at(1)]));
    }
    assert_eq!(story.counted(), []);
}

#[test]
fn rule_9c_a_client_that_moves_takes_its_voice_along() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    assert_eq!(story.prove(alice.token, at(3)), Ok(true));
    assert_eq!(story.speak(at(2)), Ok(vec![at(3)]));
    assert_eq!(story.speak(at(3)), Ok(vec![at(2)]));
    assert_eq!(story.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(story.switchboard().relay().address_count(), 2);
}

#[test]
fn rule_9c_of_two_users_who_prove_one_address_the_newest_has_it() {
    let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    story.join_from(carol, at(3));
    assert_eq!(story.prove(bob.token, at(1)), Ok(true));
    // Alice has lost the address, and Bob the one he had.
    assert_eq!(story.speak(at(3)), Ok(vec![at(1)]));
    assert_eq!(story.speak(at(2)), UNKNOWN_SOURCE);
    let Outcome::Relayed { frame, to } = story.send_datagram(at(1), &voice(0, b"")) else {
        panic!("the address is Bob's, and he is in voice");
    };
    assert_eq!((frame, to), (voice(bob.id, b""), vec![at(3)]));
    // She gets one again by proving one.
    assert_eq!(story.prove(alice.token, at(2)), Ok(true));
    assert_eq!(story.speak(at(3)), Ok(vec![at(1), at(2)]));
}

#[test]
fn rule_9c_an_address_does_not_return_to_whom_it_was_taken_from() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(1));
    story.disconnect(bob, Cause::ClosedByPeer);
    assert_eq!(story.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(story.switchboard().relay().listener_count(), 0);
    assert_eq!(story.prove(alice.token, at(1)), Ok(true));
    assert_eq!(story.speak(at(1)), Ok(vec![]));
}

#[test]
fn rule_9a_ports_and_hosts_make_different_addresses() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    let mut elsewhere = at(1);
    elsewhere.remote.set_ip([192, 0, 2, 2].into());
    story.join_from(alice, at(1));
    story.join_from(bob, elsewhere);
    assert_eq!(story.speak(at(1)), Ok(vec![elsewhere]));
    assert_eq!(story.speak(at(2)), UNKNOWN_SOURCE);
}

#[test]
fn rule_7b_a_token_dies_with_its_session_and_frees_the_address() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    story.disconnect(alice, Cause::ClosedByPeer);
    assert_eq!(story.speak(at(1)), UNKNOWN_SOURCE);
    assert_eq!(story.speak(at(2)), Ok(vec![]));
    assert_eq!(story.prove(alice.token, at(1)), Ok(false));
    assert_eq!(story.prove(alice.token, at(2)), Ok(false));
    assert_eq!(story.speak(at(2)), Ok(vec![]));
}

/// How many of this many refusals at one moment are answered.
fn false_answers(story: &mut Story, asked: u16, from: impl Fn(u16) -> UdpPath) -> u32 {
    let answered = (0..asked).filter(|&n| match story.prove(0, from(n)) {
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
    let mut story = Story::new(10);
    assert_eq!(false_answers(&mut story, 100, at), FALSE_ANSWERS_BURST);
    let burst = u64::from(FALSE_ANSWERS_BURST);
    assert_eq!(
        story.counted(),
        [
            (Cause::VoiceAuthUnknownToken, burst),
            (Cause::VoiceAuthUnanswered, 100 - burst)
        ]
    );
    let neighbour = |port| UdpPath {
        remote: ([192, 0, 2, 77], port).into(),
        local: None,
    };
    assert_eq!(false_answers(&mut story, 1, neighbour), 1);
    // It comes back one by one, and after a while in full.
    story.wait(FALSE_ANSWER_INTERVAL);
    assert_eq!(false_answers(&mut story, 100, at), 1);
    story.wait(FALSE_ANSWER_INTERVAL * FALSE_ANSWERS_BURST);
    assert_eq!(false_answers(&mut story, 100, at), FALSE_ANSWERS_BURST);
}

#[test]
fn rule_9b_refusals_are_limited_per_64_bits_of_an_ipv6_address() {
    let mut story = Story::new(10);
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
        false_answers(&mut story, 100, in_network(1)),
        FALSE_ANSWERS_BURST
    );
    assert_eq!(
        false_answers(&mut story, 100, in_network(2)),
        FALSE_ANSWERS_BURST
    );
    story.wait(FALSE_ANSWER_INTERVAL * 2);
    assert_eq!(false_answers(&mut story, 100, in_network(1)), 2);
}

#[test]
fn rule_9a_a_live_token_is_answered_whatever_its_source_has_asked() {
    let (mut story, [alice]) = Story::of(["alice"]);
    false_answers(&mut story, 100, at);
    for _ in 0..100 {
        assert_eq!(story.prove(alice.token, at(1)), Ok(true));
    }
}
