//! Rules 1 to 3: logging in, the list, and what strangers may do.

use crate::common::{World, at};
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::event::ConnectionId;

const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn rule_1c_the_newcomer_gets_everyone_and_everyone_hears_of_the_newcomer() {
    let mut world = World::new(10);
    let alice = world.login("alice");
    assert_eq!(world.heard(alice), ["welcome 1: 1 alice"]);
    let bob = world.login("bob");
    assert_eq!(world.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
    assert_eq!(world.heard(alice), ["joined server: 2 bob"]);
    assert_eq!(world.counted(), []);
}

#[test]
fn rule_1b_the_token_is_alive_with_the_response() {
    let mut world = World::new(10);
    let stranger = world.connect();
    let token = world.token_of(stranger);
    assert_eq!(world.prove(token, at(1)), Ok(false));
    let alice = world.log_in(stranger, "alice").unwrap();
    assert_eq!(alice.token, token);
    assert_eq!(world.prove(token, at(1)), Ok(true));
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
        let mut world = World::new(1);
        let alice = world.login(name);
        assert_eq!(world.heard(alice), [format!("welcome 1: 1 {name}")]);
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
        let (mut world, [alice]) = World::of(["alice"]);
        let stranger = world.connect();
        assert_eq!(world.log_in(stranger, name), None, "{name:?}");
        assert_eq!(world.heard(stranger), ["login refused"]);
        assert!(world.heard(alice).is_empty());
        let refused = [(Cause::LoginBadName, 1), (Cause::ClosedLoginRefused, 1)];
        assert_eq!(world.counted(), refused);
    }
}

#[test]
fn rule_1a_names_are_trimmed_for_everyone() {
    let mut world = World::new(10);
    let alice = world.login(" alice\u{2003}");
    assert_eq!(world.heard(alice), ["welcome 1: 1 alice"]);
    let bob = world.login("Bob\u{a0}  B. ");
    assert_eq!(world.heard(bob), ["welcome 2: 1 alice, 2 Bob B."]);
    assert_eq!(world.heard(alice), ["joined server: 2 Bob B."]);
}

#[test]
fn rule_1d_a_refused_login_is_the_last_word_and_another_connection_may_try_again() {
    let (mut world, [alice]) = World::of(["alice"]);
    let stranger = world.connect();
    assert_eq!(world.log_in(stranger, ""), None);
    assert_eq!(world.heard(stranger), ["login refused"]);
    assert!(!world.is_connected(stranger));
    assert!(world.heard(alice).is_empty());
    let bob = world.login("bob");
    assert_eq!(world.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
    assert_eq!(
        world.counted(),
        [(Cause::LoginBadName, 1), (Cause::ClosedLoginRefused, 1)]
    );
}

#[test]
fn rule_1d_a_full_server_refuses_until_somebody_leaves() {
    let mut world = World::new(2);
    let alice = world.login("alice");
    world.login("bob");
    let carol = world.connect();
    assert_eq!(world.log_in(carol, "carol"), None);
    assert_eq!(world.heard(carol), ["login refused"]);
    assert_eq!(
        world.counted(),
        [(Cause::LoginServerFull, 1), (Cause::ClosedLoginRefused, 1)]
    );

    world.disconnect(alice, Ended::ByPeer);
    let carol = world.login("carol");
    assert_eq!(world.heard(carol), ["welcome 3: 2 bob, 3 carol"]);
}

#[test]
fn rule_1e_a_second_login_on_one_connection_is_answered_with_what_is() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.disconnect(carol, Ended::ByPeer);
    world.join(alice);
    world.mute(alice, true);
    world.join(bob);
    world.hush();
    for name in ["mallory", "alice", ""] {
        let again = world.log_in(alice, name).expect("it is logged in");
        assert_eq!((again.id, again.token), (alice.id, alice.token));
        assert_eq!(
            world.heard(alice),
            [
                "welcome 1: 1 alice (voice) (muted), 2 bob (voice)",
                "joined voice: 2"
            ]
        );
    }
    assert!(world.heard(bob).is_empty());
    assert_eq!(world.counted()[0], (Cause::LoginRepeated, 3));
    world.leave(alice);
    assert_eq!(world.prove(alice.token, at(1)), Ok(true));
    let dave = world.login("dave");
    assert_eq!(
        world.heard(dave),
        [
            "welcome 4: 1 alice, 2 bob (voice), 4 dave",
            "joined voice: 2"
        ]
    );
}

#[test]
fn rule_1a_two_users_may_have_one_name() {
    let mut world = World::new(10);
    let one = world.login("alice");
    let other = world.login("alice");
    assert_eq!(world.heard(other), ["welcome 2: 1 alice, 2 alice"]);
    assert_ne!(one.token, other.token);
    world.hush();
    world.join(one);
    assert_eq!(world.heard(other), ["joined voice: 1"]);
}

#[test]
fn rule_1b_ids_rise_and_are_never_used_again() {
    let (mut world, [alice, bob, _carol]) = World::of(["alice", "bob", "carol"]);
    world.disconnect(bob, Ended::ByPeer);
    let dave = world.login("dave");
    assert_eq!(dave.connection, bob.connection);
    assert_eq!(world.heard(dave), ["welcome 4: 1 alice, 3 carol, 4 dave"]);
    world.disconnect(dave, Ended::ByPeer);
    world.disconnect(alice, Ended::ByPeer);
    let erin = world.login("erin");
    assert_eq!(world.heard(erin), ["welcome 5: 3 carol, 5 erin"]);
}

/// A name that takes 44 bytes in a list.
fn long_name(number: usize) -> String {
    format!("{number:032}")
}

#[test]
fn rule_2a_a_list_longer_than_a_frame_arrives_whole() {
    let mut world = World::new(2_001);
    let people: Vec<_> = (1..=2_000)
        .map(|number| {
            let person = world.login(&long_name(number));
            if number % 500 == 0 {
                world.join(person);
                world.mute(person, true);
            }
            world.hush();
            person
        })
        .collect();
    let newcomer = world.login("newcomer");
    world.ping(newcomer);

    let mut heard = world.heard(newcomer);
    // Behind all that there is to tell, which is how a client can know that it is all.
    assert_eq!(heard.pop().unwrap(), "pong");
    let (response, events) = heard.split_first().unwrap();
    let listed = response.strip_prefix("welcome 2001: ").unwrap();
    let mut listed: Vec<_> = listed.split(", ").map(str::to_owned).collect();
    assert_eq!(listed.pop().unwrap(), "2001 newcomer");
    let (announced, states) = events.split_at(2_000 - listed.len());
    assert!(announced.len() > 500, "the list did fit after all");
    listed.extend(announced.iter().map(|event| {
        let person = event.strip_prefix("joined server: ");
        person.unwrap().to_owned()
    }));
    let expected: Vec<_> = (people.iter().zip(1..))
        .map(|(person, number)| {
            let flags = ["", " (voice) (muted)"][usize::from(number % 500 == 0)];
            format!("{} {}{flags}", person.id, long_name(number))
        })
        .collect();
    assert_eq!(listed, expected);
    let joined = [500, 1_000, 1_500, 2_000].map(|id| format!("joined voice: {id}"));
    let muted = [500, 1_000, 1_500, 2_000].map(|id| format!("muted: {id}"));
    assert_eq!(states, [joined, muted].concat());
}

#[test]
fn rule_2a_a_list_that_fills_the_frame_to_the_byte_is_not_split() {
    let mut world = World::new(2_000);
    for number in 0..1_488 {
        world.login(&long_name(number));
        world.hush();
    }
    // 65,535 - 26 = 1,488 × 44 + 37, and this name takes 37.
    let fitting = world.login(&"x".repeat(25));
    let heard = world.heard(fitting);
    assert_eq!(heard.len(), 1);
    assert!(heard[0].starts_with("welcome 1489: 1 "));
    world.disconnect(fitting, Ended::ByPeer);

    let over = world.login(&"x".repeat(26));
    let heard = world.heard(over);
    let last = format!("joined server: 1488 {}", long_name(1_487));
    assert_eq!(heard[1..], [last]);
    assert!(heard[0].ends_with(&format!(", 1490 {}", "x".repeat(26))));
}

#[test]
fn rule_2b_the_newcomer_learns_who_is_in_voice_and_who_is_muted() {
    let (mut world, [alice, bob, _carol]) = World::of(["alice", "bob", "carol"]);
    world.join(alice);
    world.join(bob);
    world.mute(bob, true);
    let dave = world.login("dave");
    assert_eq!(
        world.heard(dave),
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
    let (mut world, [alice]) = World::of(["alice"]);
    world.mute(alice, true);
    let bob = world.login("bob");
    assert_eq!(
        world.heard(bob),
        ["welcome 2: 1 alice (muted), 2 bob", "muted: 1"]
    );
}

#[test]
fn rule_3a_before_login_a_ping_is_answered_and_requests_are_refused() {
    let (mut world, [alice]) = World::of(["alice"]);
    let stranger = world.connect();
    world.ping(stranger);
    world.join(stranger);
    world.leave(stranger);
    world.chat(stranger, "hello");
    world.chat(stranger, "");
    assert_eq!(
        world.heard(stranger),
        [
            "pong",
            "join false",
            "leave false",
            "chat false",
            "chat false"
        ]
    );
    assert!(world.heard(alice).is_empty());
    assert_eq!(world.counted(), [(Cause::RequestBeforeLogin, 4)]);
    // The refused join has left nothing behind.
    let bob = world.log_in(stranger, "bob").unwrap();
    assert_eq!(world.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
}

#[test]
fn rule_3b_a_mute_before_login_is_kept_and_shows_at_login() {
    let (mut world, [alice]) = World::of(["alice"]);
    let stranger = world.connect();
    world.mute(stranger, true);
    assert!(world.heard(alice).is_empty());
    let bob = world.log_in(stranger, "bob").unwrap();
    // Never an event about oneself: the list says it all.
    assert_eq!(world.heard(bob), ["welcome 2: 1 alice, 2 bob (muted)"]);
    assert_eq!(world.heard(alice), ["joined server: 2 bob (muted)"]);
}

#[test]
fn rule_3b_a_mute_before_login_that_was_taken_back_shows_nowhere() {
    let (mut world, [alice]) = World::of(["alice"]);
    let stranger = world.connect();
    world.mute(stranger, true);
    world.mute(stranger, false);
    let bob = world.log_in(stranger, "bob").unwrap();
    assert_eq!(world.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
    assert_eq!(world.heard(alice), ["joined server: 2 bob"]);
}

#[test]
fn rule_3b_a_mute_is_kept_for_its_own_connection_only() {
    let (mut world, [_alice]) = World::of(["alice"]);
    let muted = world.connect();
    world.mute(muted, true);
    world.disconnect(muted, Ended::ByPeer);
    let next = world.connect();
    assert_eq!(next, muted);
    let bob = world.log_in(next, "bob").unwrap();
    assert_eq!(world.heard(bob), ["welcome 2: 1 alice, 2 bob"]);
}

#[test]
fn rule_3c_strangers_receive_no_events() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let stranger = world.connect();
    world.join(alice);
    world.mute(alice, true);
    world.chat(alice, "hello");
    world.leave(alice);
    world.login("carol");
    world.disconnect(bob, Ended::ByPeer);
    assert!(world.heard(stranger).is_empty());
}

#[test]
fn rule_3c_strangers() {
    let (mut world, [alice]) = World::of(["alice"]);
    let stranger = world.connect();
    world.mute(stranger, true);
    world.disconnect(stranger, Ended::ByPeer);
    assert!(world.heard(alice).is_empty());
    assert_eq!(world.switchboard.management().pending_count(), 0);
}

/// Rule 3d.
#[test]
fn login_deadline_ends_a_stranger_at_ten_seconds_whatever_it_sent() {
    let (mut world, [alice]) = World::of(["alice"]);
    let stranger = world.connect();
    for _ in 0..9 {
        world.wait(Duration::from_secs(1));
        world.ping(stranger);
        world.chat(stranger, "hello?");
    }
    world.wait(Duration::from_micros(999_999));
    world.tick();
    assert!(world.is_connected(stranger));
    world.wait(Duration::from_micros(1));
    world.tick();
    assert!(!world.is_connected(stranger));
    assert!(world.heard(alice).is_empty());
    assert!(world.counted().contains(&(Cause::ClosedLoginDeadline, 1)));
}

#[test]
fn login_deadline_is_over_for_whoever_logged_in_at_the_last_moment() {
    let mut world = World::new(10);
    let stranger = world.connect();
    world.wait(LOGIN_TIMEOUT - Duration::from_millis(1));
    let alice = world.log_in(stranger, "alice").unwrap();
    assert_eq!(world.switchboard.next_deadline(), None);
    world.wait(Duration::from_secs(3_600));
    world.tick();
    assert!(world.is_connected(alice));
    world.ping(alice);
    assert_eq!(world.heard(alice), ["welcome 1: 1 alice", "pong"]);
}

#[test]
fn login_deadlines_come_one_after_another_and_together() {
    let mut world = World::new(10);
    let accepted = world.now.instant;
    let twins = [world.connect(), world.connect()];
    world.wait(Duration::from_secs(1));
    let later = world.connect();
    let first = accepted + LOGIN_TIMEOUT;
    assert_eq!(world.switchboard.next_deadline(), Some(first));
    world.wait(Duration::from_secs(9));
    world.tick();
    assert_eq!(twins.map(|twin| world.is_connected(twin)), [false, false]);
    assert!(world.is_connected(later));
    let second = first + Duration::from_secs(1);
    assert_eq!(world.switchboard.next_deadline(), Some(second));
    assert_eq!(world.counted(), [(Cause::ClosedLoginDeadline, 2)]);
}

/// Rule 3d.
#[test]
fn the_oldest_stranger_makes_room_for_one_too_many() {
    let most = Limits::default().pending_connections;
    let mut world = World::new(10);
    let first = world.connect();
    let second = world.connect();
    let alice = world.connect();
    let alice = world.log_in(alice, "alice").unwrap();
    for _ in 2..most {
        world.connect();
    }
    assert!(world.is_connected(first));
    // A place that is free again, and the oldest's.
    assert_eq!(world.try_connect(), Ok(ConnectionId(most as u32 + 1)));
    assert!(!world.is_connected(first) && world.is_connected(second));
    assert_eq!(world.try_connect(), Ok(first), "its id is free now");
    assert!(!world.is_connected(second) && world.is_connected(alice));
    assert_eq!(world.switchboard.management().pending_count(), most);
    assert_eq!(world.counted(), [(Cause::ClosedCrowdedOut, 2)]);
    world.wait(LOGIN_TIMEOUT);
    world.tick();
    assert_eq!(world.switchboard.management().pending_count(), 0);
}
