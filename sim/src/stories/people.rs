//! Rules 4 to 7: voice, chat, mute and leaving.

use crate::story::{Story, at};
use std::time::Duration;
use voiceapp_server::cause::Cause;
use voiceapp_server::limits::{CHAT_BURST, CHAT_BYTES_MAX};

#[test]
fn rule_4a_join_and_leave_answer_true_and_tell_the_others() {
    let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
    story.join(alice);
    assert_eq!(story.heard(alice), ["join true"]);
    assert_eq!(story.heard(bob), ["joined voice: 1"]);
    story.leave(alice);
    assert_eq!(story.heard(alice), ["leave true"]);
    assert_eq!(story.heard(bob), ["left voice: 1"]);
    assert_eq!(story.heard(carol), ["joined voice: 1", "left voice: 1"]);
    assert_eq!(story.counted(), []);
}

#[test]
fn rule_4c_join_repeated_answers_true_and_tells_nobody() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join(alice);
    story.mute(alice, true);
    story.hush();
    story.join(alice);
    assert_eq!(story.heard(alice), ["join true"]);
    assert!(story.heard(bob).is_empty());
    // It changes nothing, and so does not unmute either.
    assert_eq!(story.prove(alice.token, at(1)), Ok(true));
    assert_eq!(story.speak(at(1)), Err(Cause::VoiceMuted));
    let carol = story.login("carol");
    let list = "welcome 3: 1 alice (voice) (muted), 2 bob, 3 carol";
    assert_eq!(story.heard(carol)[0], list);
}

#[test]
fn rule_4c_leave_repeated_answers_true_and_tells_nobody() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.leave(alice);
    story.mute(alice, true);
    story.hush();
    story.leave(alice);
    assert_eq!(story.heard(alice), ["leave true"]);
    assert!(story.heard(bob).is_empty());
    let carol = story.login("carol");
    let list = "welcome 3: 1 alice (muted), 2 bob, 3 carol";
    assert_eq!(story.heard(carol)[0], list);
}

#[test]
fn rule_4a_joining_unmutes() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.mute(alice, true);
    story.hush();
    story.join_from(alice, at(1));
    assert_eq!(story.heard(bob), ["joined voice: 1"]);
    assert_eq!(story.speak(at(1)), Ok(vec![]));
    let carol = story.login("carol");
    let list = "welcome 3: 1 alice (voice), 2 bob, 3 carol";
    assert_eq!(story.heard(carol), [list, "joined voice: 1"]);
}

#[test]
fn rule_4b_leaving_unmutes() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join(alice);
    story.mute(alice, true);
    story.hush();
    story.leave(alice);
    assert_eq!(story.heard(bob), ["left voice: 1"]);
    let carol = story.login("carol");
    assert_eq!(story.heard(carol), ["welcome 3: 1 alice, 2 bob, 3 carol"]);
}

#[test]
fn rule_4a_a_mute_before_login_is_gone_once_in_voice() {
    let mut story = Story::new(10);
    let stranger = story.connect();
    story.mute(stranger, true);
    let alice = story.log_in(stranger, "alice").unwrap();
    story.join_from(alice, at(1));
    assert_eq!(story.speak(at(1)), Ok(vec![]));
}

/// Rule 12a.
#[test]
fn rule_5a_chat_goes_to_everyone_and_the_sender_after_the_answer() {
    let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
    story.set_unix_ms(1_700_000_000_000);
    story.chat(alice, "grüß dich 🎤\n");
    let said = "1 said at 1700000000000: grüß dich 🎤\n";
    assert_eq!(story.heard(alice), ["chat true", said]);
    assert_eq!(story.heard(bob), [said]);
    assert_eq!(story.heard(carol), [said]);
}

#[test]
fn rule_5b_timestamps_rise_within_a_millisecond_and_when_the_clock_goes_back() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
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
        story.set_unix_ms(unix_ms);
        let sender = [alice, bob][expected as usize % 2];
        story.chat(sender, "x");
        let said = format!("{} said at {expected}: x", sender.id);
        assert_eq!(*story.heard(alice).last().unwrap(), said);
        story.hush();
    }
}

#[test]
fn rule_5c_a_message_is_1_to_4096_bytes() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    let longest = "x".repeat(CHAT_BYTES_MAX);
    story.chat(alice, &longest);
    let said = format!("1 said at 1000000: {longest}");
    assert_eq!(CHAT_BYTES_MAX, 4_096);
    assert_eq!(story.heard(alice), ["chat true", &said]);
    assert_eq!(story.heard(bob), [said]);

    story.chat(alice, "");
    story.chat(alice, &"x".repeat(4_097));
    // 4,097 bytes, but only 4,096 characters.
    story.chat(alice, &("x".repeat(4_095) + "é"));
    assert_eq!(
        story.heard(alice),
        ["chat false", "chat false", "chat false"]
    );
    assert!(story.heard(bob).is_empty());
    assert_eq!(
        story.counted(),
        [(Cause::ChatEmpty, 1), (Cause::ChatTooLong, 2)]
    );
}

#[test]
fn rule_5c_a_refused_message_takes_no_timestamp() {
    let (mut story, [alice, _bob]) = Story::of(["alice", "bob"]);
    story.set_unix_ms(5_000);
    story.chat(alice, "");
    story.chat(alice, "x");
    let heard = story.heard(alice);
    assert_eq!(heard, ["chat false", "chat true", "1 said at 5000: x"]);
}

#[test]
fn rule_5c_a_message_over_the_senders_rate_is_answered_false_and_goes_to_nobody() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    for _ in 0..1_000 {
        story.chat(alice, "flood");
    }
    let heard = story.heard(alice);
    let refused = heard.iter().filter(|said| *said == "chat false").count();
    assert_eq!(refused, 1_000 - CHAT_BURST as usize);
    assert_eq!(story.heard(bob).len(), CHAT_BURST as usize);
    assert_eq!(story.counted(), [(Cause::ChatTooFast, refused as u64)]);
    // A quarter of a second later there is one message more, at four a second.
    story.wait(Duration::from_millis(250));
    story.chat(alice, "one");
    story.chat(alice, "two");
    assert_eq!(story.heard(bob).len(), 1);
    story.hush();
    // The rate is the sender's, and over when its time has come.
    story.chat(bob, "hello");
    assert_eq!(story.heard(bob)[0], "chat true");
    story.hush();
    story.wait(Duration::from_secs(60));
    story.chat(alice, "sorry");
    assert_eq!(story.heard(alice)[0], "chat true");
}

#[test]
fn rule_6a_the_others_are_told_and_the_sender_is_not() {
    let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
    story.join(alice);
    story.hush();
    story.mute(alice, true);
    story.mute(alice, false);
    assert!(story.heard(alice).is_empty());
    assert_eq!(story.heard(bob), ["muted: 1", "unmuted: 1"]);
    assert_eq!(story.heard(carol), ["muted: 1", "unmuted: 1"]);
}

#[test]
fn rule_6a_the_user_id_in_a_clients_mute_state_is_ignored() {
    let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    story.hush();
    story.mute_as(alice, bob.id, true);
    assert_eq!(story.heard(bob), ["muted: 1"]);
    assert_eq!(story.heard(carol), ["muted: 1"]);
    assert!(story.heard(alice).is_empty());
    assert_eq!(story.speak(at(1)), Err(Cause::VoiceMuted));
    assert_eq!(story.speak(at(2)), Ok(vec![at(1)]));
}

#[test]
fn rule_6b_the_muted_still_hear() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    story.mute(alice, true);
    assert_eq!(story.speak(at(2)), Ok(vec![at(1)]));
    assert_eq!(story.speak(at(1)), Err(Cause::VoiceMuted));
    story.mute(alice, false);
    assert_eq!(story.speak(at(1)), Ok(vec![at(2)]));
}

#[test]
fn rule_6c_the_last_state_wins_however_many_there_were() {
    for last in [true, false] {
        let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
        story.join_from(alice, at(1));
        for number in 0..1_002 {
            story.mute(alice, last ^ (number % 2 == 0));
        }
        assert_eq!(story.speak(at(1)) == Err(Cause::VoiceMuted), last);
        story.wait(Duration::from_secs(1));
        let told = if last { "muted: 1" } else { "unmuted: 1" };
        assert_eq!(story.heard(bob).last().unwrap(), told);
        let carol = story.login("carol");
        assert_eq!(
            story.heard(carol)[0].contains("alice (voice) (muted)"),
            last
        );
    }
}

#[test]
fn rule_7a_leaving_in_voice_is_told_as_both_and_in_order() {
    for cause in [Cause::ClosedByPeer, Cause::ClosedBroken] {
        let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
        story.join_from(bob, at(2));
        story.hush();
        story.disconnect(bob, cause);
        let told = ["left voice: 2", "left server: 2"];
        assert_eq!(story.heard(alice), told);
        assert_eq!(story.heard(carol), told);
        assert_eq!(story.counted(), [(cause, 1)]);
        assert_eq!(story.prove(bob.token, at(2)), Ok(false));
        let dave = story.login("dave");
        assert_eq!(story.heard(dave), ["welcome 4: 1 alice, 3 carol, 4 dave"]);
    }
}

#[test]
fn rule_7a_leaving_out_of_voice_is_told_as_that() {
    let (mut story, [alice, bob, _carol]) = Story::of(["alice", "bob", "carol"]);
    story.disconnect(alice, Cause::ClosedByPeer);
    assert_eq!(story.heard(bob), ["left server: 1"]);
    assert_eq!(story.prove(alice.token, at(1)), Ok(false));
}

#[test]
fn rule_7a_leaving_voice_before_leaving_is_not_told_twice() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join(alice);
    story.leave(alice);
    story.hush();
    story.disconnect(alice, Cause::ClosedByPeer);
    assert_eq!(story.heard(bob), ["left server: 1"]);
}

#[test]
fn rule_7a_the_last_one_leaves_an_empty_server() {
    let (mut story, [alice]) = Story::of(["alice"]);
    story.join_from(alice, at(1));
    story.disconnect(alice, Cause::ClosedByPeer);
    let management = story.switchboard().management();
    assert_eq!(management.user_count(), 0);
    let relay = story.switchboard().relay();
    assert_eq!(relay.user_count(), 0);
    assert_eq!(relay.address_count(), 0);
    assert_eq!(relay.listener_count(), 0);
}
