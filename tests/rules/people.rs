//! Rules 4 to 7: voice, chat, mute and leaving.

use crate::common::{World, at};
use std::time::Duration;
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::event::UserId;
use voiceapp_server::limits::{CHAT_BURST, CHAT_BYTES_MAX};
use voiceapp_server::protocol::Packet;

#[test]
fn rule_4a_join_and_leave_answer_true_and_tell_the_others() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.join(alice);
    assert_eq!(world.heard(alice), ["join true"]);
    assert_eq!(world.heard(bob), ["joined voice: 1"]);
    world.leave(alice);
    assert_eq!(world.heard(alice), ["leave true"]);
    assert_eq!(world.heard(bob), ["left voice: 1"]);
    assert_eq!(world.heard(carol), ["joined voice: 1", "left voice: 1"]);
    assert_eq!(world.counted(), []);
}

#[test]
fn rule_4c_join_repeated_answers_true_and_tells_nobody() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join(alice);
    world.mute(alice, true);
    world.hush();
    world.join(alice);
    assert_eq!(world.heard(alice), ["join true"]);
    assert!(world.heard(bob).is_empty());
    // It changes nothing, and so does not unmute either.
    assert_eq!(world.prove(alice.token, at(1)), Ok(true));
    assert_eq!(world.speak(at(1)), Err(Cause::VoiceMuted));
    let carol = world.login("carol");
    let list = "welcome 3: 1 alice (voice) (muted), 2 bob, 3 carol";
    assert_eq!(world.heard(carol)[0], list);
}

#[test]
fn rule_4c_leave_repeated_answers_true_and_tells_nobody() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.leave(alice);
    world.mute(alice, true);
    world.hush();
    world.leave(alice);
    assert_eq!(world.heard(alice), ["leave true"]);
    assert!(world.heard(bob).is_empty());
    let carol = world.login("carol");
    let list = "welcome 3: 1 alice (muted), 2 bob, 3 carol";
    assert_eq!(world.heard(carol)[0], list);
}

#[test]
fn rule_4a_joining_unmutes() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.mute(alice, true);
    world.hush();
    world.join_from(alice, at(1));
    assert_eq!(world.heard(bob), ["joined voice: 1"]);
    assert_eq!(world.speak(at(1)), Ok(vec![]));
    let carol = world.login("carol");
    let list = "welcome 3: 1 alice (voice), 2 bob, 3 carol";
    assert_eq!(world.heard(carol), [list, "joined voice: 1"]);
}

#[test]
fn rule_4b_leaving_unmutes() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join(alice);
    world.mute(alice, true);
    world.hush();
    world.leave(alice);
    assert_eq!(world.heard(bob), ["left voice: 1"]);
    let carol = world.login("carol");
    assert_eq!(world.heard(carol), ["welcome 3: 1 alice, 2 bob, 3 carol"]);
}

#[test]
fn rule_4a_a_mute_before_login_is_gone_once_in_voice() {
    let mut world = World::new(10);
    let stranger = world.connect();
    world.mute(stranger, true);
    let alice = world.log_in(stranger, "alice").unwrap();
    world.join_from(alice, at(1));
    assert_eq!(world.speak(at(1)), Ok(vec![]));
}

/// Rule 12a.
#[test]
fn rule_5a_chat_goes_to_everyone_and_the_sender_after_the_answer() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.now.unix_ms = 1_700_000_000_000;
    world.chat(alice, "grüß dich 🎤\n");
    let said = "1 said at 1700000000000: grüß dich 🎤\n";
    assert_eq!(world.heard(alice), ["chat true", said]);
    assert_eq!(world.heard(bob), [said]);
    assert_eq!(world.heard(carol), [said]);
}

#[test]
fn rule_5b_timestamps_rise_within_a_millisecond_and_when_the_clock_goes_back() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    for (unix_ms, expected) in [
        (5_000, 5_000),
        (5_000, 5_001),
        (5_000, 5_002),
        (5_002, 5_003),
        (1_000, 5_004),
        (5_010, 5_010),
        (0, 5_011),
        (6_000, 6_000),
    ] {
        world.now.unix_ms = unix_ms;
        let sender = [alice, bob][expected as usize % 2];
        world.chat(sender, "x");
        let said = format!("{} said at {expected}: x", sender.id);
        assert_eq!(*world.heard(alice).last().unwrap(), said);
        world.hush();
    }
}

#[test]
fn rule_5c_a_message_is_1_to_4096_bytes() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let longest = "x".repeat(CHAT_BYTES_MAX);
    world.chat(alice, &longest);
    let said = format!("1 said at 1000000: {longest}");
    assert_eq!(CHAT_BYTES_MAX, 4_096);
    assert_eq!(world.heard(alice), ["chat true", &said]);
    assert_eq!(world.heard(bob), [said]);

    world.chat(alice, "");
    world.chat(alice, &"x".repeat(4_097));
    // 4,097 bytes, but only 4,096 characters.
    world.chat(alice, &("x".repeat(4_095) + "é"));
    assert_eq!(
        world.heard(alice),
        ["chat false", "chat false", "chat false"]
    );
    assert!(world.heard(bob).is_empty());
    assert_eq!(
        world.counted(),
        [(Cause::ChatEmpty, 1), (Cause::ChatTooLong, 2)]
    );
}

#[test]
fn rule_5c_a_refused_message_takes_no_timestamp() {
    let (mut world, [alice, _bob]) = World::of(["alice", "bob"]);
    world.now.unix_ms = 5_000;
    world.chat(alice, "");
    world.chat(alice, "x");
    let heard = world.heard(alice);
    assert_eq!(heard, ["chat false", "chat true", "1 said at 5000: x"]);
}

#[test]
fn rule_5c_a_message_over_the_senders_rate_is_answered_false_and_goes_to_nobody() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    for _ in 0..1_000 {
        world.chat(alice, "flood");
    }
    let heard = world.heard(alice);
    let refused = heard.iter().filter(|said| *said == "chat false").count();
    assert_eq!(refused, 1_000 - CHAT_BURST as usize);
    assert_eq!(world.heard(bob).len(), CHAT_BURST as usize);
    assert_eq!(world.counted(), [(Cause::ChatTooFast, refused as u64)]);
    // A quarter of a second later there is one message more, at four a second.
    world.wait(Duration::from_millis(250));
    world.chat(alice, "one");
    world.chat(alice, "two");
    assert_eq!(world.heard(bob).len(), 1);
    world.hush();
    // The rate is the sender's, and over when its time has come.
    world.chat(bob, "hello");
    assert_eq!(world.heard(bob)[0], "chat true");
    world.hush();
    world.wait(Duration::from_secs(60));
    world.chat(alice, "sorry");
    assert_eq!(world.heard(alice)[0], "chat true");
}

#[test]
fn rule_6a_the_others_are_told_and_the_sender_is_not() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.join(alice);
    world.hush();
    world.mute(alice, true);
    world.mute(alice, false);
    assert!(world.heard(alice).is_empty());
    assert_eq!(world.heard(bob), ["muted: 1", "unmuted: 1"]);
    assert_eq!(world.heard(carol), ["muted: 1", "unmuted: 1"]);
}

#[test]
fn rule_6a_the_user_id_in_a_clients_mute_state_is_ignored() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    world.hush();
    let of_bob = Packet::UserMuteState {
        user_id: UserId(bob.id),
        is_muted: true,
    };
    world.send(alice, &of_bob);
    assert_eq!(world.heard(bob), ["muted: 1"]);
    assert_eq!(world.heard(carol), ["muted: 1"]);
    assert!(world.heard(alice).is_empty());
    assert_eq!(world.speak(at(1)), Err(Cause::VoiceMuted));
    assert_eq!(world.speak(at(2)), Ok(vec![at(1)]));
}

#[test]
fn rule_6b_the_muted_still_hear() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    world.mute(alice, true);
    assert_eq!(world.speak(at(2)), Ok(vec![at(1)]));
    assert_eq!(world.speak(at(1)), Err(Cause::VoiceMuted));
    world.mute(alice, false);
    assert_eq!(world.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_6c_the_last_state_wins_however_many_there_were() {
    for last in [true, false] {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.join_from(alice, at(1));
        for number in 0..1_002 {
            world.mute(alice, last ^ (number % 2 == 0));
        }
        assert_eq!(world.speak(at(1)) == Err(Cause::VoiceMuted), last);
        world.wait(Duration::from_secs(1));
        world.tick();
        let told = if last { "muted: 1" } else { "unmuted: 1" };
        assert_eq!(world.heard(bob).last().unwrap(), told);
        let carol = world.login("carol");
        assert_eq!(
            world.heard(carol)[0].contains("alice (voice) (muted)"),
            last
        );
    }
}

#[test]
fn rule_7a_leaving_in_voice_is_told_as_both_and_in_order() {
    for cause in [
        Ended::ByPeer,
        Ended::Broken,
        Ended::TooSlow,
        Ended::ServerStopped,
    ] {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.join_from(bob, at(2));
        world.hush();
        world.disconnect(bob, cause);
        let told = ["left voice: 2", "left server: 2"];
        assert_eq!(world.heard(alice), told);
        assert_eq!(world.heard(carol), told);
        assert_eq!(world.counted(), [(cause.into(), 1)]);
        assert_eq!(world.prove(bob.token, at(2)), Ok(false));
        let dave = world.login("dave");
        assert_eq!(world.heard(dave), ["welcome 4: 1 alice, 3 carol, 4 dave"]);
    }
}

#[test]
fn rule_7a_leaving_out_of_voice_is_told_as_that() {
    let (mut world, [alice, bob, _carol]) = World::of(["alice", "bob", "carol"]);
    world.disconnect(alice, Ended::ByPeer);
    assert_eq!(world.heard(bob), ["left server: 1"]);
    assert_eq!(world.prove(alice.token, at(1)), Ok(false));
}

#[test]
fn rule_7a_leaving_voice_before_leaving_is_not_told_twice() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.join(alice);
    world.leave(alice);
    world.hush();
    world.disconnect(alice, Ended::ByPeer);
    // Whoever has gone cannot go again.
    world.disconnect(alice, Ended::ByPeer);
    assert_eq!(world.heard(bob), ["left server: 1"]);
}

#[test]
fn rule_7a_the_last_one_leaves_an_empty_server() {
    let (mut world, [alice]) = World::of(["alice"]);
    world.join_from(alice, at(1));
    world.disconnect(alice, Ended::ByPeer);
    let management = world.switchboard.management();
    assert_eq!(management.user_count(), 0);
    let relay = world.switchboard.relay();
    assert_eq!(relay.user_count(), 0);
    assert_eq!(relay.address_count(), 0);
    assert_eq!(relay.listener_count(), 0);
}
