//! Rule 13: who asks is granted what is possible, and told why; who does not is told nothing of it.

use crate::story::Story;
use crate::wire::{self, Payload};

fn caps(caps: u32) -> Payload {
    Payload::new().u32(caps)
}

#[test]
fn rule_13a_of_a_ban_only_those_hear_who_have_asked() {
    let mut story = Story::new(100);
    let old = story.login("old");
    let new = story.ask("new", caps(wire::EXTENDED)).expect("welcome");
    story.hush();
    story.ban(&["10.0.0.0/8"]);
    assert_eq!(story.heard(old), [""; 0]);
    assert_eq!(story.heard(new), ["ended (4): your address was banned"]);
}

#[test]
fn rule_13b_what_needs_encryption_is_not_granted_without_it() {
    let mut story = Story::new(100);
    for (asked, granted) in [(u32::MAX, wire::EXTENDED), (wire::CAP_SEALED, 0), (0, 0)] {
        let person = story.ask("new", caps(asked)).expect("welcome");
        let client = &story.world.clients[&person.connection.0];
        assert_eq!(client.picture.granted, Some(granted));
    }
}

#[test]
fn rule_13c_unknown_fields_are_skipped_and_broken_ones_end_the_connection() {
    let mut story = Story::new(100);
    let password = Payload::new().string(b"secret").frame(1);
    let later = caps(1).bytes(&wire::frame(200, b"?")).bytes(&password);
    // Of one tag the first counts, so that nobody looks at the second.
    let twice = later.clone().bytes(&wire::frame(1, b"?"));
    assert!(story.ask("later", later).is_ok() && story.ask("twice", twice).is_ok());
    let cut_off = caps(1).bytes(&password[..password.len() - 1]);
    let not_text = caps(1).bytes(&wire::frame(2, b"\0\x01\xff"));
    for broken in [cut_off, not_text] {
        let refused = story.ask("broken", broken).expect_err("it is malformed");
        assert!(!story.is_connected(refused));
    }
    // Three bytes are no capabilities.
    let short = Payload::new().bytes(&[0, 0, 1]);
    let old = story.ask("old", short).expect("welcome");
    let client = &story.world.clients[&old.connection.0];
    assert_eq!(client.picture.granted, None);
}
