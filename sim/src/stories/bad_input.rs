//! Rule 8: bad input costs its sender, and nobody else.

use crate::story::{Connection, Story};
use voiceapp_server::cause::Cause;
use voiceapp_server::protocol::id;

/// A stranger and a logged-in user: most of rule 8 is the same for both.
fn both() -> (Story, [Connection; 2]) {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    story.join(alice);
    story.join(bob);
    story.hush();
    let stranger = story.connect();
    (story, [stranger, bob.connection])
}

#[test]
fn rule_8a_a_frame_with_an_unknown_id_is_skipped() {
    for who in 0..2 {
        let (mut story, connections) = both();
        let sender = connections[who];
        let unknown: Vec<u8> = (0..=255).filter(|&id| !id::is_known(id)).collect();
        assert_eq!(unknown.len(), 256 - 24);
        for &id in &unknown {
            story.send_raw(sender, id, b"\xff whatever");
            story.send_raw(sender, id, b"");
        }
        story.ping(sender);
        assert_eq!(story.heard(sender), ["pong"]);
        let count = 2 * unknown.len() as u64;
        assert_eq!(story.counted(), [(Cause::FrameUnknownId, count)]);
    }
}

#[test]
fn rule_8b_a_known_id_that_no_client_may_send_is_ignored_whatever_it_holds() {
    let server_only = [0x03, 0x61]
        .into_iter()
        .chain(0x21..=0x26)
        .chain(0x41..=0x45)
        .chain(0x4b..=0x4c);
    for id in server_only {
        for who in 0..2 {
            let (mut story, connections) = both();
            let sender = connections[who];
            let fields: [&[u8]; 4] = [b"", b"\xff", &[0; 64], &[0xff; 64]];
            for payload in fields {
                story.send_raw(sender, id, payload);
            }
            story.ping(sender);
            assert_eq!(story.heard(sender), ["pong"], "{id:#04x}");
            assert!(story.heard(Connection(1)).is_empty());
            assert_eq!(story.counted(), [(Cause::FrameUnexpectedId, 4)]);
        }
    }
}

#[test]
fn rule_8c_a_payload_shorter_than_its_fields_ends_that_connection_and_no_other() {
    let short: [(u8, &[u8]); 9] = [
        (id::LOGIN_REQUEST, b""),
        (id::LOGIN_REQUEST, b"\0\0\0\0\0\0\0\x01\0\x06alice"),
        (id::LOGIN_REQUEST, b"\0\0\0\0\0\0\0\x01\0\x02\xc3\x28"),
        (id::JOIN_VOICE_CHANNEL_REQUEST, b"\0\0\0\0\0\0\0"),
        (id::LEAVE_VOICE_CHANNEL_REQUEST, b"\0\0\0\0\0\0\0"),
        (id::CHAT_MESSAGE_REQUEST, b"\0\0\0\0\0\0\0\x01\0"),
        (id::CHAT_MESSAGE_REQUEST, b"\0\0\0\0\0\0\0\x01\0\x01\x80"),
        (id::PING_REQUEST, b"\0\0\0\0\0\0\0"),
        (id::USER_MUTE_STATE, b"\0\0\0\0\0\0\0\x01"),
    ];
    let alice = Connection(1);
    for (id, payload) in short {
        let (mut story, [stranger, bob]) = both();
        story.send_raw(stranger, id, payload);
        assert!(!story.is_connected(stranger), "{id:#04x} {payload:?}");
        assert!(story.heard(alice).is_empty());
        assert_eq!(story.counted(), [(Cause::ClosedMalformed, 1)]);

        story.send_raw(bob, id, payload);
        assert!(!story.is_connected(bob), "{id:#04x} {payload:?}");
        assert_eq!(story.heard(alice), ["left voice: 2", "left server: 2"]);
        assert_eq!(story.counted(), [(Cause::ClosedMalformed, 2)]);
        story.ping(alice);
        assert_eq!(story.heard(alice), ["pong"]);
    }
}

#[test]
fn rule_8d_bytes_after_the_known_fields_are_ignored() {
    let (mut story, [stranger, bob]) = both();
    story.send_raw(stranger, id::USER_MUTE_STATE, b"\0\0\0\0\0\0\0\0\x02later");
    story.log_in(stranger, "carol").unwrap();
    assert_eq!(story.heard(bob), ["joined server: 3 carol (muted)"]);
    assert_eq!(story.counted(), []);
}
