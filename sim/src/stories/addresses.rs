//! What counts as one address, how often it may come, and who is kept out.

use crate::story::{Outcome, Story, at, ip, voice};
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::REFUSAL_TIME;

#[test]
fn an_ipv6_network_counts_as_one_address_and_mapped_addresses_as_ipv4() {
    let mut story = Story::with(Limits {
        connections_per_address: 2,
        ..Limits::default()
    });
    let full = Err(Cause::RefusedTooManyFromAddress);
    for (text, is_in) in [
        ("2001:db8:1:2::1", true),
        ("2001:db8:1:2:ffff::9", true),
        ("2001:db8:1:2::3", false),
        ("2001:db8:1:3::1", true),
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.1", false),
        ("::ffff:192.0.2.1", false),
        ("192.0.2.2", true),
    ] {
        let result = story.try_connect_from(ip(text));
        assert_eq!(result.is_ok(), is_in, "{text}");
        assert!(is_in || result == full);
    }
}

#[test]
fn an_address_that_comes_and_goes_is_refused_for_a_while() {
    let mut story = Story::with(Limits {
        connection_rate: 10,
        login_rate: 10,
        ..Limits::default()
    });
    let (here, there) = (ip("192.0.2.7"), ip("192.0.2.8"));
    for _ in 0..20 {
        let connection = story.try_connect_from(here).expect("it may come");
        story.disconnect(connection, Cause::ClosedByPeer);
    }
    let refused = Err(Cause::RefusedTooOften);
    assert_eq!(story.try_connect_from(here), refused);
    assert!(story.try_connect_from(there).is_ok());
    story.wait(REFUSAL_TIME - Duration::from_millis(1));
    assert_eq!(story.try_connect_from(here), refused);
    story.wait(Duration::from_millis(1));
    assert!(story.try_connect_from(here).is_ok());
}

#[test]
fn strangers_of_one_address_leave_room_for_others() {
    let mut story = Story::with(Limits {
        connections_per_address: 100,
        pending_connections: 40,
        ..Limits::default()
    });
    let (crowded, share) = (ip("192.0.2.7"), 10);
    let mut last = None;
    for _ in 0..share {
        last = Some(story.try_connect_from(crowded).expect("it has a share"));
    }
    let full = Err(Cause::RefusedTooManyPending);
    assert_eq!(story.try_connect_from(crowded), full);
    assert!(story.try_connect().is_ok());
    let last = last.expect("the share is not nothing");
    assert!(story.log_in(last, "alice").is_some());
    assert!(story.try_connect_from(crowded).is_ok());
    assert_eq!(story.try_connect_from(crowded), full);
}

#[test]
fn the_banned_are_refused_unanswered_and_unheard() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    let from = |text: &str| UdpPath {
        remote: (ip(text), 1_000).into(),
        local: None,
    };
    story.join_from(alice, from("198.51.100.1"));
    story.join_from(bob, at(2));
    story.ban(&["198.51.100.0/24", "10.0.0.1"]);
    // Her voice comes from a banned network, and her connection (the first, from 10.0.0.1) does too.
    assert!(!story.is_connected(alice) && story.is_connected(bob));
    let refused = Err(Cause::VoiceUnknownSource);
    assert_eq!(story.speak(from("198.51.100.1")), refused);
    assert_eq!(story.speak(at(2)), Ok(vec![]));
    let unanswered = Err(Cause::VoiceAuthBanned);
    assert_eq!(story.prove(alice.token, from("198.51.100.9")), unanswered);
    assert_eq!(story.prove(0, from("198.51.100.9")), unanswered);
    let refused = Err(Cause::RefusedBanned);
    assert_eq!(story.try_connect_from(ip("::ffff:10.0.0.1")), refused);
    assert!(story.try_connect().is_ok());

    story.ban(&[]);
    assert_eq!(story.prove(bob.token, from("198.51.100.9")), Ok(true));
    assert!(story.try_connect_from(ip("10.0.0.1")).is_ok());
}

#[test]
fn shorter_bounds_than_the_usual_are_kept() {
    let mut story = Story::with(Limits {
        chat_bytes: 5,
        voice_bytes: 10,
        ..Limits::default()
    });
    let (alice, bob) = (story.login("alice"), story.login("bob"));
    story.hush();
    story.chat(alice, "12345");
    story.chat(alice, "123456");
    assert_eq!(story.heard(bob), ["1 said at 1000000: 12345"]);
    story.join_from(alice, at(1));
    story.join_from(bob, at(2));
    let mut say = |len: usize| story.send_datagram(at(1), &voice(0, &vec![7; len]));
    assert!(matches!(say(10), Outcome::Relayed { .. }));
    assert_eq!(say(11), Outcome::Dropped(Cause::DatagramTooLong));
}

/// Rule 9e.
#[test]
fn voice_can_be_kept_to_the_address_of_the_connection() {
    let limits = Limits {
        voice_from_anywhere: false,
        ..Limits::default()
    };
    let mut story = Story::with(limits);
    let connection = story.try_connect_from(ip("2001:db8::1")).expect("room");
    let alice = story.log_in(connection, "alice").expect("it is accepted");
    let from = |text: &str| UdpPath {
        remote: (ip(text), 1_000).into(),
        local: None,
    };
    assert_eq!(story.prove(alice.token, from("2001:db8:0:1::1")), Ok(false));
    assert_eq!(story.prove(alice.token, from("192.0.2.1")), Ok(false));
    assert_eq!(story.switchboard().relay().address_count(), 0);
    assert_eq!(story.prove(alice.token, from("2001:db8::2")), Ok(true));
    assert_eq!(story.prove(alice.token, from("192.0.2.1")), Ok(false));
    assert_eq!(
        story.switchboard().relay().address_count(),
        1,
        "it keeps hers"
    );
    assert_eq!(story.counted(), [(Cause::VoiceAuthElsewhere, 3)]);
}
