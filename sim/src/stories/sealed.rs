//! Rule 15: whose voice is sealed has an address once that has echoed what it was asked.

use crate::story::{Story, at};
use crate::wire::{self, Payload};
use voiceapp_server::Limits;
use voiceapp_server::cause::Cause;

/// A story with somebody whose voice is sealed and comes from `at(1)`.
fn story(voice_from_anywhere: bool) -> Story {
    let mut story = Story::with(Limits {
        users: 10,
        voice_from_anywhere,
        ..Limits::default()
    });
    story.world.odds.encrypted = 100;
    let caps = Payload::new().u32(wire::EXTENDED | wire::CAP_SEALED);
    let alice = story.ask("alice", caps).expect("welcome");
    let serial = alice.connection.0;
    let client = story.world.clients.get_mut(&serial).expect("it is here");
    assert!(client.is_sealed());
    client.voice = at(1).remote;
    story.world.prove(serial, at(1), alice.token);
    story.world.settle_now();
    story
}

#[test]
fn rule_15g_an_address_is_proved_by_an_echo() {
    let story = story(true);
    assert_eq!(story.switchboard().relay().address_count(), 1);
    assert_eq!(story.counted(), []);
}

#[test]
fn rule_15l_sealed_voice_comes_from_where_its_connection_does() {
    let story = story(false);
    assert_eq!(story.switchboard().relay().address_count(), 0);
    assert_eq!(story.counted(), [(Cause::VoiceAuthElsewhere, 1)]);
}
