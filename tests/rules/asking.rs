//! Asking: who asks for nothing gets what everyone always got, and who asks gets reasons, flags, and a last
//! word (rule 13).

use crate::common::{EXTENDED, World};
use voiceapp_server::Limits;
use voiceapp_server::bans::BanList;
use voiceapp_server::cause::Ended;
use voiceapp_server::event::VoiceSecrets;
use voiceapp_server::management::{About, ConnectionFacts};
use voiceapp_server::protocol::{Asked, Caps, KeyId, PAYLOAD_BYTES_MAX, Suite};

const ENCRYPTED: ConnectionFacts = ConnectionFacts {
    is_encrypted: true,
    secrets: None,
};

fn about(name: &str, welcome: &str) -> About {
    About {
        name: name.into(),
        welcome: welcome.into(),
        voice_port: Some(9002),
    }
}

#[test]
fn rule_13b_what_was_asked_for_and_is_possible_is_granted() {
    for (asked, granted) in [(0, 0), (1, 1), (6, 0), (0xffff_ffff, 1)] {
        let mut world = World::new(10);
        world.switchboard.set_about(about("home", "be kind"));
        let connection = world.connect();
        let asked = Asked {
            caps: Caps(asked),
            ..Asked::default()
        };
        assert!(
            world
                .log_in_asking(connection, "alice", Some(asked))
                .is_some()
        );
        assert_eq!(
            world.heard(connection),
            [format!(
                "welcome 1: 1 alice [{granted}] home: be kind voice on 9002"
            )]
        );
    }
}

#[test]
fn rule_13a_who_asks_for_nothing_gets_nothing_of_it() {
    let mut world = World::new(2);
    world.switchboard.set_about(about("home", "be kind"));
    let alice = world.login("alice");
    assert_eq!(world.heard(alice), ["welcome 1: 1 alice"]);
    // Nor from or about those who do.
    let bob = world.connect();
    world.switchboard.set_facts(bob, ENCRYPTED);
    assert!(world.log_in_asking(bob, "bob", Some(EXTENDED)).is_some());
    world.join(bob);
    world.chat(bob, "");
    world.join(alice);
    world.chat(alice, "");
    assert_eq!(
        world.heard(alice),
        [
            "joined server: 2 bob",
            "joined voice: 2",
            "join true",
            "chat false",
        ]
    );
    let stranger = world.connect();
    assert_eq!(world.log_in(stranger, "carol"), None);
    assert_eq!(world.heard(stranger), ["login refused"]);
    world.ban(BanList::parse("0.0.0.0/0").expect("it is a network"));
    assert!(world.heard(alice).is_empty());
    let heard = world.heard(bob);
    assert_eq!(heard.last().unwrap(), "ended: 4 your address was banned");
}

#[test]
fn rule_13b_capabilities_without_extended_bring_no_reasons_and_no_newer_packets() {
    let mut world = World::new(10);
    let alice = world.connect();
    let asked = Asked {
        caps: Caps::SEALED | Caps::STREAM_VOICE,
        ..Asked::default()
    };
    assert!(world.log_in_asking(alice, "alice", Some(asked)).is_some());
    world.chat(alice, "");
    let bob = world.connect();
    world.switchboard.set_facts(bob, ENCRYPTED);
    assert!(world.log_in(bob, "bob").is_some());
    world.ban(BanList::parse("0.0.0.0/0").expect("it is a network"));
    assert_eq!(
        world.heard(alice),
        [
            "welcome 1: 1 alice [0]",
            "chat false",
            "joined server: 2 bob"
        ]
    );
}

#[test]
fn rule_13g_answers_have_reasons_for_those_who_asked() {
    let mut world = World::with(Limits {
        chat_rate: 1,
        chat_bytes: 5,
        ..Limits::default()
    });
    let stranger = world.connect();
    world.join(stranger);
    assert_eq!(
        world.heard(stranger),
        ["join false"],
        "it has not asked yet"
    );
    let alice = world.login_extended("alice");
    world.hush();
    world.join(alice);
    world.leave(alice);
    world.chat(alice, "");
    world.chat(alice, "longer");
    let heard = [
        "join true (0)",
        "leave true (0)",
        "chat false (11)",
        "chat false (11)",
    ];
    assert_eq!(world.heard(alice), heard);
    while world.heard(alice) != ["chat false (6)"] {
        world.chat(alice, "hi");
    }
}

#[test]
fn rule_13e_a_refused_login_says_why_and_nothing_else() {
    let limits = Limits {
        users: 1,
        login_rate: 2,
        connection_rate: 0,
        ..Limits::default()
    };
    let refusal = |world: &mut World, name: &str, from: [u8; 4]| {
        let connection = world.try_connect_from(from.into()).expect("there is room");
        assert_eq!(world.log_in_asking(connection, name, Some(EXTENDED)), None);
        assert!(!world.is_connected(connection));
        world.heard(connection).concat()
    };
    let mut world = World::with(limits);
    world.switchboard.set_about(about("home", "be kind"));
    let home = [192, 0, 2, 9];
    assert_eq!(
        refusal(&mut world, " ", home),
        "login refused [0] 1 the name is not allowed: it is empty"
    );
    for _ in 0..4 {
        let connection = world.try_connect_from(home.into()).expect("there is room");
        let someone = world.log_in(connection, "someone").expect("it is accepted");
        world.disconnect(someone, Ended::ByPeer);
    }
    assert_eq!(
        refusal(&mut world, "alice", home),
        "login refused [0] 6 too many log in from your address"
    );
    world.login("alice");
    assert_eq!(
        refusal(&mut world, "bob", [192, 0, 2, 10]),
        "login refused [0] 2 the server is full"
    );
}

#[test]
fn rule_13i_the_end_has_a_last_word_for_those_who_understand_it() {
    let (mut world, [old]) = World::of(["old"]);
    let [alice, bob] = ["alice", "bob"].map(|name| world.login_extended(name));
    world.hush();
    world.send_raw(alice, 0x05, b"\0");
    assert!(!world.is_connected(alice));
    assert_eq!(
        world.heard(alice),
        ["ended: 0 the server could not read what your client sent"]
    );
    world.end_user(bob);
    assert_eq!(
        world.heard(bob),
        ["left server: 2", "ended: 11 the server disconnected you"]
    );
    world.end_user(old);
    assert_eq!(world.heard(old), ["left server: 2", "left server: 3"]);
}

#[test]
fn rule_13h_an_encrypted_connection_shows_to_those_who_understand_it() {
    let mut world = World::new(10);
    let old = world.login("old");
    let plain = world.login_extended("plain");
    let sealed = world.connect();
    world.switchboard.set_facts(sealed, ENCRYPTED);
    world.hush();
    assert!(
        world
            .log_in_asking(sealed, "sealed", Some(EXTENDED))
            .is_some()
    );
    assert_eq!(world.heard(old), ["joined server: 3 sealed"]);
    assert_eq!(
        world.heard(plain),
        ["joined server: 3 sealed", "flags: 3 8"]
    );
    let welcome = "welcome 3: 1 old, 2 plain, 3 sealed [1]";
    assert_eq!(world.heard(sealed), [welcome, "flags: 3 8"]);
    // It is a fact of the connection, and no part of what may change later.
    world
        .switchboard
        .set_facts(sealed, ConnectionFacts::default());
    world.mute(old, true);
    let last = world.login_extended("last");
    let welcome = "welcome 4: 1 old (muted), 2 plain, 3 sealed, 4 last [1]";
    assert_eq!(world.heard(last), [welcome, "muted: 1", "flags: 3 8"]);
    // An old client may be on such a connection, too.
    let quiet = world.connect();
    world.switchboard.set_facts(quiet, ENCRYPTED);
    world.hush();
    assert!(world.log_in(quiet, "quiet").is_some());
    assert_eq!(world.heard(last), ["joined server: 5 quiet", "flags: 5 8"]);
    let heard = world.heard(quiet);
    assert!(!heard.iter().any(|it| it.starts_with("flags")), "{heard:?}");
}

#[test]
fn rule_13d_a_second_login_is_answered_as_the_first_whatever_it_asks_for() {
    let (mut world, [old]) = World::of(["old"]);
    let alice = world.login_extended("alice");
    world.hush();
    world.log_in(alice, "other");
    assert_eq!(world.heard(alice), ["welcome 2: 1 old, 2 alice [1]"]);
    world.log_in_asking(old, "other", Some(EXTENDED));
    assert_eq!(world.heard(old), ["welcome 1: 1 old, 2 alice"]);
}

#[test]
fn rule_13f_a_full_list_leaves_room_for_the_fields() {
    let limits = Limits {
        users: 4_000,
        ..Limits::UNLIMITED
    };
    let mut world = World::with(limits);
    let name = |number: usize| format!("{number:>030}");
    for number in 0..2_000 {
        world.login(&name(number));
        world.hush();
    }
    let listed = |world: &mut World, asked| {
        let connection = world.connect();
        world.log_in_asking(connection, "newcomer", asked);
        let heard = world.heard(connection);
        assert_eq!(
            heard.len(),
            1 + 2_000 + world.users() - 2_000 - heard[0].matches(", ").count() - 1
        );
        (heard[0].matches(", ").count() + 1, heard[0].clone())
    };
    let (old, _) = listed(&mut world, None);
    assert_eq!(old, 1 + (PAYLOAD_BYTES_MAX - 26 - 20) / 42);
    let welcome = "w".repeat(1_000);
    world.switchboard.set_about(about("home", &welcome));
    let (extended, answer) = listed(&mut world, Some(EXTENDED));
    assert!(answer.ends_with(&format!("[1] home: {welcome} voice on 9002")));
    assert!(extended < old && extended > old - 30, "{extended} of {old}");
}

fn with_secrets(key_id: KeyId) -> ConnectionFacts {
    let suite = Suite::Aes256GcmSha384;
    ConnectionFacts {
        secrets: Some(VoiceSecrets::of(key_id, suite, &[7; 64])),
        ..ENCRYPTED
    }
}

/// Rule 15a.
#[test]
fn rule_13b_a_seal_is_granted_to_who_asks_and_has_secrets_and_no_name_is_given_twice() {
    let mut world = World::new(10);
    let sealed = Asked {
        caps: Caps::EXTENDED | Caps::SEALED,
        ..Asked::default()
    };
    let key_id = KeyId(0x0102_0304);
    for (asked, facts, granted) in [
        (sealed, with_secrets(key_id), "[3] key 01020304"),
        (EXTENDED, with_secrets(key_id), "[1]"),
        (sealed, ENCRYPTED, "[1]"),
    ] {
        let connection = world.connect();
        world.switchboard.set_facts(connection, facts);
        let is_named = facts.secrets.is_some();
        assert_eq!(world.switchboard.management().is_free(key_id), !is_named);
        assert!(
            world
                .log_in_asking(connection, "alice", Some(asked))
                .is_some()
        );
        let heard = world.heard(connection);
        assert!(heard[0].ends_with(granted), "{heard:?}");
        world.disconnect(connection, Ended::ByPeer);
        assert!(world.switchboard.management().is_free(key_id));
    }
    // Other facts have another name, or none.
    let connection = world.connect();
    world
        .switchboard
        .set_facts(connection, with_secrets(key_id));
    world
        .switchboard
        .set_facts(connection, with_secrets(KeyId(5)));
    let management = world.switchboard.management();
    assert!(management.is_free(key_id) && !management.is_free(KeyId(5)));
}
