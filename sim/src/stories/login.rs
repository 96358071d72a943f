//! Rules 1 to 3: logging in, the list, and what strangers may do.

use crate::story::{Story, at};
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::Cause;

const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn rule_1c_the_newcomer_gets_everyone_and_everyone_hears_of_the_newcomer() {
    let mut story = Story::new(10);
    let alice = story.login("alice");
    assert_eq!(story.heard(alice), ["welcome 1: 1 alice"]);
    let bob = story.login("bob");
    assert_eq!(story.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
    assert_eq!(story.heard(alice), ["joined server: 2 bob"]);
    assert_eq!(story.counted(), []);
}

#[test]
fn rule_1b_the_token_is_alive_with_the_response() {
    let mut story = Story::new(10);
    let stranger = story.connect();
    let token = story.token_of(stranger);
    assert_eq!(story.prove(token, at(1)), Ok(false));
    let alice = story.log_in(stranger, "alice").unwrap();
    assert_eq!(alice.token, token);
    assert_eq!(story.prove(token, at(1)), Ok(true));
}

#[test]
fn rule_1a_names_are_1_to_32_bytes_that_can_be_seen() {
    let exactly_32 = ["a".repeat(32), "é".repeat(16), "🎤".repeat(8)];
    let good = [
        "a",
        "Jürgen 🎤",
        "علی\u{200c}رضا",
        "ශ\u{dca}\u{200d}රී",
        "👩\u{200d}🚀",
    ];
    for name in good
        .into_iter()
        .chain(exactly_32.iter().map(String::as_str))
    {
        let mut story = Story::new(1);
        let alice = story.login(name);
        assert_eq!(story.heard(alice), [format!("welcome 1: 1 {name}")]);
    }

    let over_32 = ["a".repeat(33), "é".repeat(17), "🎤".repeat(8) + "a"];
    let bad = [
        "",
        "\0",
        "a\n",
        "\tb",
        "a\u{1f}",
        "\u{7f}",
        "a\u{85}b",
        "\u{9f}",
        " ",
        "\u{a0}",
        "alice\u{200b}",
        "\u{202e}alice",
        "a\u{e0041}",
        "\u{200d}",
        "x\u{300}\u{300}\u{300}\u{300}\u{300}",
    ];
    for name in bad.into_iter().chain(over_32.iter().map(String::as_str)) {
        let (mut story, [alice]) = Story::of(["alice"]);
        let stranger = story.connect();
        assert_eq!(story.log_in(stranger, name), None, "{name:?}");
        assert_eq!(story.heard(stranger), ["login refused"]);
        assert!(story.heard(alice).is_empty());
        let refused = [(Cause::LoginBadName, 1), (Cause::ClosedLoginRefused, 1)];
        assert_eq!(story.counted(), refused);
    }
}

#[test]
fn rule_1a_names_are_trimmed_for_everyone() {
    let mut story = Story::new(10);
    let alice = story.login(" alice\u{2003}");
    assert_eq!(story.heard(alice), ["welcome 1: 1 alice"]);
    let bob = story.login("Bob\u{a0}  B. ");
    assert_eq!(story.heard(bob), ["welcome 2: 1 alice, 2 Bob B."]);
    assert_eq!(story.heard(alice), ["joined server: 2 Bob B."]);
}

#[test]
fn rule_1d_a_refused_login_is_the_last_word_and_another_connection_may_try_again() {
    let (mut story, [alice]) = Story::of(["alice"]);
    let stranger = story.connect();
    assert_eq!(story.log_in(stranger, ""), None);
    assert_eq!(story.heard(stranger), ["login refused"]);
    assert!(!story.is_connected(stranger));
    assert!(story.heard(alice).is_empty());
    let bob = story.login("bob");
    assert_eq!(story.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
    assert_eq!(
        story.counted(),
        [(Cause::LoginBadName, 1), (Cause::ClosedLoginRefused, 1)]
    );
}

#[test]
fn rule_1d_a_full_server_refuses_until_somebody_leaves() {
    let mut story = Story::new(2);
    let alice = story.login("alice");
    story.login("bob");
    let carol = story.connect();
    assert_eq!(story.log_in(carol, "carol"), None);
    assert_eq!(story.heard(carol), ["login refused"]);
    assert_eq!(
        story.counted(),
        [(Cause::LoginServerFull, 1), (Cause::ClosedLoginRefused, 1)]
    );

    story.disconnect(alice, Cause::ClosedByPeer);
    let carol = story.login("carol");
    assert_eq!(story.heard(carol), ["welcome 3: 2 bob, 3 carol"]);
}

#[test]
fn rule_1e_a_second_login_on_one_connection_is_answered_with_what_is() {
    let (mut story, [alice, bob, carol]) = Story::of(["alice", "bob", "carol"]);
    story.disconnect(carol, Cause::ClosedByPeer);
    story.join(alice);
    story.mute(alice, true);
    story.join(bob);
    story.hush();
    for name in ["mallory", "alice", ""] {
        let again = story.log_in(alice, name).expect("it is logged in");
        assert_eq!((again.id, again.token), (alice.id, alice.token));
        assert_eq!(
            story.heard(alice),
            [
                "welcome 1: 1 alice (voice) (muted), 2 bob (voice)",
                "joined voice: 2"
            ]
        );
    }
    assert!(story.heard(bob).is_empty());
    assert_eq!(story.counted()[0], (Cause::LoginRepeated, 3));
    story.leave(alice);
    assert_eq!(story.prove(alice.token, at(1)), Ok(true));
    let dave = story.login("dave");
    assert_eq!(
        story.heard(dave),
        [
            "welcome 4: 1 alice, 2 bob (voice), 4 dave",
            "joined voice: 2"
        ]
    );
}

#[test]
fn rule_1a_two_users_may_have_one_name() {
    let mut story = Story::new(10);
    let one = story.login("alice");
    let other = story.login("alice");
    assert_eq!(story.heard(other), ["welcome 2: 1 alice, 2 alice"]);
    assert_ne!(one.token, other.token);
    story.hush();
    story.join(one);
    assert_eq!(story.heard(other), ["joined voice: 1"]);
}

#[test]
fn rule_1b_ids_rise_and_are_never_used_again() {
    let (mut story, [alice, bob, _carol]) = Story::of(["alice", "bob", "carol"]);
    story.disconnect(bob, Cause::ClosedByPeer);
    let dave = story.login("dave");
    assert_eq!(story.heard(dave), ["welcome 4: 1 alice, 3 carol, 4 dave"]);
    story.disconnect(dave, Cause::ClosedByPeer);
    story.disconnect(alice, Cause::ClosedByPeer);
    let erin = story.login("erin");
    assert_eq!(story.heard(erin), ["welcome 5: 3 carol, 5 erin"]);
}

#[test]
fn rule_2b_the_newcomer_learns_who_is_in_voice_and_who_is_muted() {
    let (mut story, [alice, bob, _carol]) = Story::of(["alice", "bob", "carol"]);
    story.join(alice);
    story.join(bob);
    story.mute(bob, true);
    let dave = story.login("dave");
    assert_eq!(
        story.heard(dave),
        [
            "welcome 4: 1 alice (voice), 2 bob (voice) (muted), 3 carol, 4 dave",
            "joined voice: 1",
            "joined voice: 2",
            "muted: 2",
        ]
    );
}

#[test]
fn rule_2b_someone_muted_out_of_voice_is_shown_as_that() {
    let (mut story, [alice]) = Story::of(["alice"]);
    story.mute(alice, true);
    let bob = story.login("bob");
    assert_eq!(
        story.heard(bob),
        ["welcome 2: 1 alice (muted), 2 bob", "muted: 1"]
    );
}

#[test]
fn rule_3a_before_login_a_ping_is_answered_and_requests_are_refused() {
    let (mut story, [alice]) = Story::of(["alice"]);
    let stranger = story.connect();
    story.ping(stranger);
    story.join(stranger);
    story.leave(stranger);
    story.chat(stranger, "hello");
    story.chat(stranger, "");
    assert_eq!(
        story.heard(stranger),
        [
            "pong",
            "join false",
            "leave false",
            "chat false",
            "chat false"
        ]
    );
    assert!(story.heard(alice).is_empty());
    assert_eq!(story.counted(), [(Cause::RequestBeforeLogin, 4)]);
    // The refused join has left nothing behind.
    let bob = story.log_in(stranger, "bob").unwrap();
    assert_eq!(story.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
}

#[test]
fn rule_3b_a_mute_before_login_is_kept_and_shows_at_login() {
    let (mut story, [alice]) = Story::of(["alice"]);
    let stranger = story.connect();
    story.mute(stranger, true);
    assert!(story.heard(alice).is_empty());
    let bob = story.log_in(stranger, "bob").unwrap();
    // Never an event about oneself: the list says it all.
    assert_eq!(story.heard(bob), ["welcome 2: 1 alice, 2 bob (muted)"]);
    assert_eq!(story.heard(alice), ["joined server: 2 bob (muted)"]);
}

#[test]
fn rule_3b_a_mute_before_login_that_was_taken_back_shows_nowhere() {
    let (mut story, [alice]) = Story::of(["alice"]);
    let stranger = story.connect();
    story.mute(stranger, true);
    story.mute(stranger, false);
    let bob = story.log_in(stranger, "bob").unwrap();
    assert_eq!(story.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
    assert_eq!(story.heard(alice), ["joined server: 2 bob"]);
}

#[test]
fn rule_3b_a_mute_is_kept_for_its_own_connection_only() {
    let (mut story, [_alice]) = Story::of(["alice"]);
    let muted = story.connect();
    story.mute(muted, true);
    story.disconnect(muted, Cause::ClosedByPeer);
    let next = story.connect();
    let bob = story.log_in(next, "bob").unwrap();
    assert_eq!(story.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
}

#[test]
fn rule_3c_strangers_receive_no_events() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    let stranger = story.connect();
    story.join(alice);
    story.mute(alice, true);
    story.chat(alice, "hello");
    story.leave(alice);
    story.login("carol");
    story.disconnect(bob, Cause::ClosedByPeer);
    assert!(story.heard(stranger).is_empty());
}

#[test]
fn rule_3c_strangers() {
    let (mut story, [alice]) = Story::of(["alice"]);
    let stranger = story.connect();
    story.mute(stranger, true);
    story.disconnect(stranger, Cause::ClosedByPeer);
    assert!(story.heard(alice).is_empty());
    assert_eq!(story.switchboard().management().pending_count(), 0);
}

/// Rule 3d.
#[test]
fn login_deadline_ends_a_stranger_at_ten_seconds_whatever_it_sent() {
    let (mut story, [alice]) = Story::of(["alice"]);
    let stranger = story.connect();
    for _ in 0..9 {
        story.wait(Duration::from_secs(1));
        story.ping(stranger);
        story.chat(stranger, "hello?");
    }
    story.wait(Duration::from_micros(999_999));
    assert!(story.is_connected(stranger));
    story.wait(Duration::from_micros(1));
    assert!(!story.is_connected(stranger));
    assert!(story.heard(alice).is_empty());
    assert!(story.counted().contains(&(Cause::ClosedLoginDeadline, 1)));
}

#[test]
fn login_deadline_is_over_for_whoever_logged_in_at_the_last_moment() {
    let mut story = Story::new(10);
    let stranger = story.connect();
    story.wait(LOGIN_TIMEOUT - Duration::from_millis(1));
    let alice = story.log_in(stranger, "alice").unwrap();
    assert_eq!(story.switchboard().next_deadline(), None);
    story.wait(Duration::from_secs(3_600));
    assert!(story.is_connected(alice));
    story.ping(alice);
    assert_eq!(story.heard(alice), ["welcome 1: 1 alice", "pong"]);
}

#[test]
fn login_deadlines_come_one_after_another_and_together() {
    let mut story = Story::new(10);
    let accepted = story.world.clock.get();
    let twins = [story.connect(), story.connect()];
    story.wait(Duration::from_secs(1));
    let later = story.connect();
    let first = accepted + LOGIN_TIMEOUT;
    assert_eq!(story.switchboard().next_deadline(), Some(first));
    story.wait(Duration::from_secs(9));
    assert_eq!(twins.map(|twin| story.is_connected(twin)), [false, false]);
    assert!(story.is_connected(later));
    let second = first + Duration::from_secs(1);
    assert_eq!(story.switchboard().next_deadline(), Some(second));
    assert_eq!(story.counted(), [(Cause::ClosedLoginDeadline, 2)]);
}

/// Rule 3d.
#[test]
fn the_oldest_stranger_makes_room_for_one_too_many() {
    let most = 40;
    let mut story = Story::with(Limits {
        pending_connections: most,
        ..Limits::default()
    });
    let first = story.connect();
    let second = story.connect();
    let alice = story.login("alice");
    for _ in 2..most {
        story.connect();
    }
    assert!(story.is_connected(first));
    story.connect();
    assert!(!story.is_connected(first) && story.is_connected(second));
    story.connect();
    assert!(!story.is_connected(second) && story.is_connected(alice));
    assert_eq!(story.switchboard().management().pending_count(), most);
    assert_eq!(story.counted(), [(Cause::ClosedCrowdedOut, 2)]);
    story.wait(LOGIN_TIMEOUT);
    assert_eq!(story.switchboard().management().pending_count(), 0);
}
