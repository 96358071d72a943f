//! What one client or one address may do to the others: rates of events and logins, connections per
//! address, bans.

use crate::common::{Outcome, Person, World, at, voice};
use std::net::IpAddr;
use std::time::Duration;
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::{CHAT_BYTES_MAX, REFUSAL_TIME, STATE_BURST, VOICE_BURST};
use voiceapp_server::{BanList, Limits};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn bans(text: &str) -> BanList {
    BanList::parse(text).expect("well-formed lines")
}

#[test]
fn whoever_flaps_costs_the_others_a_rate_and_the_last_state_arrives() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let rate = Limits::default().state_rate;
    let mut told = 0;
    for _ in 0..1_000 {
        world.join(alice);
        world.leave(alice);
        world.wait(Duration::from_millis(10));
        world.tick();
        told += world.heard(bob).len() as u32;
    }
    // Ten seconds and a burst of them.
    let permitted = STATE_BURST + 10 * rate;
    assert!((permitted - 2..=permitted).contains(&told), "{told}");
    world.join(alice);
    world.mute(alice, true);
    let answers = world.heard(alice);
    assert_eq!(answers.len(), 2_001, "every request is answered");
    while let Some(due) = world.switchboard.next_deadline() {
        world.now.instant = due;
        world.tick();
    }
    let last = world.heard(bob);
    assert_eq!(last, ["joined voice: 1", "muted: 1"]);
    assert_eq!(world.counted()[0].0, Cause::StateToldLater);
}

/// Alice, who has told all that she may at once, and Bob and Carol.
fn alice_has_flapped() -> (World, [Person; 3]) {
    let (mut world, people) = World::of(["alice", "bob", "carol"]);
    for _ in 0..STATE_BURST {
        world.mute(people[0], true);
    }
    assert_eq!(world.heard(people[1]).len(), STATE_BURST as usize);
    world.hush();
    (world, people)
}

#[test]
fn voice_obeys_at_once_what_the_others_are_told_later() {
    let (mut world, [alice, bob, carol]) = alice_has_flapped();
    world.join_from(bob, at(2));
    world.hush();
    world.join_from(alice, at(1));
    assert_eq!(world.heard(alice), ["join true"]);
    assert_eq!(world.speak(at(1)), Ok(vec![at(2)]), "she is heard already");
    assert_eq!(world.heard(carol), [] as [&str; 0]);
    world.wait(Duration::from_millis(400));
    world.tick();
    assert_eq!(world.heard(carol), ["joined voice: 1"]);
    assert_eq!(world.switchboard.next_deadline(), None);
}

#[test]
fn a_newcomer_is_told_what_the_others_know_and_then_the_same_as_they() {
    let (mut world, [alice, bob, _]) = alice_has_flapped();
    world.join(alice);
    let dave = world.login("dave");
    let welcome = "welcome 4: 1 alice (muted), 2 bob, 3 carol, 4 dave";
    assert_eq!(world.heard(dave), [welcome, "muted: 1"]);
    world.hush();
    world.wait(Duration::from_secs(1));
    world.tick();
    for person in [bob, dave] {
        assert_eq!(world.heard(person), ["joined voice: 1"]);
    }
}

#[test]
fn back_where_it_was_there_is_nothing_to_tell() {
    let (mut world, [alice, bob, _]) = alice_has_flapped();
    world.join(alice);
    world.leave(alice);
    world.mute(alice, true);
    world.wait(Duration::from_secs(5));
    world.tick();
    assert_eq!(world.heard(bob), ["muted: 1"], "a mute is always told");
    world.join(alice);
    world.leave(alice);
    assert_eq!(world.heard(bob), ["joined voice: 1", "left voice: 1"]);
}

#[test]
fn who_leaves_before_the_others_were_told_of_voice_leaves_the_server_alone() {
    let (mut world, [alice, bob, _]) = alice_has_flapped();
    world.join(alice);
    world.disconnect(alice, Ended::ByPeer);
    assert_eq!(world.heard(bob), ["left server: 1"]);
    assert_eq!(world.switchboard.next_deadline(), None);
    world.wait(Duration::from_secs(5));
    world.tick();
    assert_eq!(world.heard(bob), [] as [&str; 0]);
}

#[test]
fn logins_of_one_address_are_limited_and_those_of_others_are_not() {
    let mut world = World::with(Limits {
        login_rate: 2,
        ..Limits::default()
    });
    let (here, there) = (ip("192.0.2.7"), ip("192.0.2.8"));
    for number in 0..6 {
        let connection = world.try_connect_from(here).expect("there is room");
        let is_in = world.log_in(connection, "someone").is_some();
        assert_eq!(is_in, number < 4, "two minutes' worth at once");
    }
    let other = world.try_connect_from(there).expect("there is room");
    assert!(world.log_in(other, "someone").is_some());
    // The refused may try again, on a connection of its own.
    for (seconds, is_in) in [(5, false), (25, true)] {
        world.wait(Duration::from_secs(seconds));
        let again = world.try_connect_from(here).expect("there is room");
        assert_eq!(world.log_in(again, "someone").is_some(), is_in);
    }
    assert_eq!(
        world.counted(),
        [(Cause::LoginTooFast, 3), (Cause::ClosedLoginRefused, 3)]
    );
}

#[test]
fn a_name_that_is_refused_costs_no_login() {
    let mut world = World::with(Limits {
        login_rate: 1,
        ..Limits::default()
    });
    let here = ip("192.0.2.7");
    for _ in 0..10 {
        let connection = world.try_connect_from(here).expect("there is room");
        assert!(world.log_in(connection, "").is_none());
    }
    let connection = world.try_connect_from(here).expect("there is room");
    assert!(world.log_in(connection, "alice").is_some());
}

/// Its answer is long: a list of everyone.
#[test]
fn a_second_login_costs_a_login() {
    let mut world = World::with(Limits {
        login_rate: 2,
        ..Limits::default()
    });
    let alice = world.login("alice");
    for _ in 0..3 {
        assert!(world.log_in(alice, "alice").is_some());
    }
    world.hush();
    assert!(world.log_in(alice, "alice").is_none());
    assert_eq!(world.heard(alice), ["login refused"]);
    assert!(!world.is_connected(alice));
}

/// Ninety users of one address say as much as they may, with messages of the greatest length, and toggle
/// all there is: what that makes everyone else read is what the budgets are, and others can still speak.
#[test]
fn the_users_of_one_address_make_everyone_read_so_much_and_no_more() {
    let mut world = World::new(200);
    let bob = world.login("bob");
    let crowd: Vec<Person> = (0..90)
        .map(|_| {
            let connection = world.try_connect_from(ip("192.0.2.7")).expect("room");
            world.log_in(connection, "someone").expect("it is let in")
        })
        .collect();
    world.wait(Duration::from_secs(60));
    world.hush();
    let long = "x".repeat(CHAT_BYTES_MAX);
    let mut all = 0;
    for second in 0..10 {
        for person in &crowd {
            for _ in 0..30 {
                world.chat(*person, &long);
                world.join(*person);
                world.leave(*person);
            }
        }
        for tick in 0..100 {
            world.wait(Duration::from_millis(10));
            world.tick();
            if tick == 50 {
                world.chat(bob, "can you hear me?");
            }
        }
        all += world.heard_bytes(bob);
        let most = (8 + 1 + second) * 16_384;
        assert!(all < most, "{all} by second {second}");
    }
    assert!(all > 12 * 16_384, "the budget is for use: {all}");
    assert_eq!(
        world.refusals(bob),
        0,
        "bob was refused for what others said"
    );
}

/// A login costs 48 bytes with a name of one letter, and a state or a departure 44: of 8,298, two messages
/// of the greatest length.
#[test]
fn coming_joining_and_going_are_paid_for_by_the_address() {
    let limits = Limits {
        broadcast_bandwidth_per_address: 1,
        ..Limits::UNLIMITED
    };
    let come = |world: &mut World| {
        let connection = world.try_connect_from(ip("192.0.2.7")).expect("room");
        world.log_in(connection, "a")
    };
    let mut world = World::with(limits);
    let came = (0..1_000).map_while(|_| come(&mut world)).count();
    assert_eq!(came, 8_298 / 48);
    // The last one may go, though it is over the budget then.
    let mut world = World::with(limits);
    let gone = (0..1_000).map_while(|_| {
        let person = come(&mut world)?;
        world.join(person);
        world.disconnect(person, Ended::ByPeer);
        Some(())
    });
    assert_eq!(gone.count(), 8_298 / (48 + 3 * 44));
    let refused = (Cause::BroadcastTooMuch, 1);
    assert!(world.counted().contains(&refused));
}

/// Twenty addresses with ten users each, so that it is what all may do that ends it.
#[test]
fn all_together_make_everyone_read_so_much_and_no_more() {
    let mut world = World::new(300);
    let bob = world.login("bob");
    let crowd: Vec<Person> = (0..200)
        .map(|number| {
            let here = ip(&format!("192.0.2.{}", number % 20));
            let connection = world.try_connect_from(here).expect("there is room");
            world.log_in(connection, "someone").expect("it is let in")
        })
        .collect();
    world.wait(Duration::from_secs(60));
    world.hush();
    let long = "x".repeat(CHAT_BYTES_MAX);
    let mut all = 0;
    for second in 0..10 {
        for tenth in 0..10 {
            for person in &crowd {
                world.chat(*person, &long);
            }
            world.wait(Duration::from_millis(100));
            world.tick();
            if tenth == 9 {
                world.chat(bob, "can you hear me?");
            }
        }
        all += world.heard_bytes(bob);
        let most = 196_608 + (1 + second) * 131_072;
        assert!(all < most, "{all} by second {second}");
    }
    assert!(all > 10 * 131_072, "the budget is for use: {all}");
    assert_eq!(
        world.refusals(bob),
        0,
        "bob was refused for what others said"
    );
}

/// What existing clients do not look at must not happen to people: a pasted list, a bot that reads one
/// out, several sources in one client, frames of 5 ms, and what was held up for some seconds.
#[test]
fn no_person_and_no_usual_bot_meets_a_limit() {
    let mut world = World::new(100);
    let people: Vec<Person> = (0..30)
        .map(|_| {
            let connection = world.try_connect_from(ip("192.0.2.7")).expect("room");
            world.log_in(connection, "someone").expect("it is let in")
        })
        .collect();
    let (writer, bot) = (people[0], people[1]);
    for _ in 0..25 {
        world.chat(
            writer,
            "a line of the usual length, such as people write and paste",
        );
    }
    for _ in 0..36 {
        world.wait(Duration::from_millis(333));
        world.chat(writer, "and another");
        world.chat(bot, "as a bot would say");
    }
    for (place, person) in people.iter().enumerate() {
        world.join_from(*person, at(1 + place as u16));
    }
    let frame = voice(0, &[1; 240]);
    let short = voice(0, &[1; 70]);
    // 150 and 200 a second of two, and 50 of all others.
    for tick in 0..2_000 {
        world.wait(Duration::from_millis(5));
        for place in 0..30 {
            let (is_due, frame) = match place {
                0 => (tick % 4 != 0, &frame),
                1 => (true, &short),
                _ => (tick % 4 == 0, &frame),
            };
            if is_due {
                let outcome = world.send_datagram(at(1 + place), frame);
                assert!(matches!(outcome, Outcome::Relayed { .. }), "{outcome:?}");
            }
        }
    }
    // The network held up 6 s of everyone's voice.
    world.wait(Duration::from_secs(6));
    for place in 0..30 {
        for _ in 0..300 {
            let outcome = world.send_datagram(at(1 + place), &frame);
            assert!(matches!(outcome, Outcome::Relayed { .. }), "{outcome:?}");
        }
    }
    assert_eq!(world.counted(), []);
}

/// Rule 11b.
#[test]
fn voice_of_all_users_of_an_address_has_a_rate() {
    let mut world = World::with(Limits {
        voice_rate_per_address: 100,
        voice_bandwidth_per_address: 0,
        ..Limits::default()
    });
    let here = |world: &mut World| {
        let connection = world.try_connect_from(ip("2001:db8::7")).expect("room");
        world.log_in(connection, "someone").expect("it is let in")
    };
    let people: Vec<Person> = (0..10).map(|_| here(&mut world)).collect();
    let bob = world.login("bob");
    for (place, person) in people.iter().chain([&bob]).enumerate() {
        world.join_from(*person, at(1 + place as u16));
    }
    let relayed = |world: &mut World, times: usize| {
        let mut relayed = 0;
        for turn in 0..times {
            let frame = voice(0, b"opus");
            let outcome = world.send_datagram(at(1 + (turn % 10) as u16), &frame);
            relayed += u32::from(matches!(outcome, Outcome::Relayed { .. }));
        }
        relayed
    };
    assert_eq!(relayed(&mut world, 5_000), 100 * VOICE_BURST);
    assert_eq!(world.speak(at(11)).map(|to| to.len()), Ok(10));
    world.wait(Duration::from_secs(1));
    assert_eq!(
        relayed(&mut world, 5_000),
        102,
        "with the 20 ms of speaking"
    );
    let fast = (Cause::VoiceTooFastFromAddress, 10_000 - 600 - 102);
    assert_eq!(world.counted(), [fast]);
    // Nobody renews it by leaving and coming back.
    for person in people {
        world.disconnect(person, Ended::ByPeer);
    }
    let again = here(&mut world);
    world.join_from(again, at(1));
    let frame = voice(0, b"opus");
    for _ in 0..2 {
        let outcome = world.send_datagram(at(1), &frame);
        assert_eq!(outcome, Outcome::Dropped(Cause::VoiceTooFastFromAddress));
    }
    world.wait(Duration::from_secs(1));
    assert_eq!(world.speak(at(1)).map(|to| to.len()), Ok(1));
}

#[test]
fn an_ipv6_network_counts_as_one_address_and_mapped_addresses_as_ipv4() {
    let mut world = World::with(Limits {
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
        let result = world.try_connect_from(ip(text));
        assert_eq!(result.is_ok(), is_in, "{text}");
        assert!(is_in || result == full);
    }
}

#[test]
fn an_address_that_comes_and_goes_is_refused_for_a_while() {
    let mut world = World::with(Limits {
        connection_rate: 10,
        login_rate: 10,
        ..Limits::default()
    });
    let (here, there) = (ip("192.0.2.7"), ip("192.0.2.8"));
    for _ in 0..20 {
        let connection = world.try_connect_from(here).expect("it may come");
        world.disconnect(connection, Ended::ByPeer);
    }
    let refused = Err(Cause::RefusedTooOften);
    assert_eq!(world.try_connect_from(here), refused);
    assert!(world.try_connect_from(there).is_ok());
    world.wait(REFUSAL_TIME - Duration::from_millis(1));
    assert_eq!(world.try_connect_from(here), refused);
    world.wait(Duration::from_millis(1));
    assert!(world.try_connect_from(here).is_ok());
}

#[test]
fn strangers_of_one_address_leave_room_for_others() {
    let mut world = World::with(Limits {
        connections_per_address: 100,
        pending_connections: 40,
        ..Limits::default()
    });
    let (crowded, share) = (ip("192.0.2.7"), 10);
    let mut last = None;
    for _ in 0..share {
        last = Some(world.try_connect_from(crowded).expect("it has a share"));
    }
    let full = Err(Cause::RefusedTooManyPending);
    assert_eq!(world.try_connect_from(crowded), full);
    assert!(world.try_connect().is_ok());
    let last = last.expect("the share is not nothing");
    assert!(world.log_in(last, "alice").is_some());
    assert!(world.try_connect_from(crowded).is_ok());
    assert_eq!(world.try_connect_from(crowded), full);
}

#[test]
fn the_banned_are_refused_unanswered_and_unheard() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let from = |text: &str| UdpPath {
        remote: (ip(text), 1_000).into(),
        local: None,
    };
    world.join_from(alice, from("198.51.100.1"));
    world.join_from(bob, at(2));
    let ended = world.ban(bans("198.51.100.0/24\n10.0.0.1"));
    // Her voice comes from a banned network, and her connection (the first, from 10.0.0.1) does too.
    assert_eq!(ended, [alice.connection]);
    let refused = Err(Cause::VoiceUnknownSource);
    assert_eq!(world.speak(from("198.51.100.1")), refused);
    assert_eq!(world.speak(at(2)), Ok(vec![]));
    let unanswered = Err(Cause::VoiceAuthBanned);
    assert_eq!(world.prove(alice.token, from("198.51.100.9")), unanswered);
    assert_eq!(world.prove(0, from("198.51.100.9")), unanswered);
    let refused = Err(Cause::RefusedBanned);
    assert_eq!(world.try_connect_from(ip("::ffff:10.0.0.1")), refused);
    assert!(world.try_connect().is_ok());

    assert_eq!(world.ban(BanList::default()), []);
    assert_eq!(world.prove(bob.token, from("198.51.100.9")), Ok(true));
    assert!(world.try_connect_from(ip("10.0.0.1")).is_ok());
}

#[test]
fn shorter_bounds_than_the_usual_are_kept() {
    let mut world = World::with(Limits {
        chat_bytes: 5,
        voice_bytes: 10,
        ..Limits::default()
    });
    let (alice, bob) = (world.login("alice"), world.login("bob"));
    world.hush();
    world.chat(alice, "12345");
    world.chat(alice, "123456");
    assert_eq!(world.heard(bob), ["1 said at 1000000: 12345"]);
    world.join_from(alice, at(1));
    world.join_from(bob, at(2));
    let mut say = |len: usize| world.send_datagram(at(1), &voice(0, &vec![7; len]));
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
    let mut world = World::with(limits);
    let connection = world.try_connect_from(ip("2001:db8::1")).expect("room");
    let alice = world.log_in(connection, "alice").expect("it is accepted");
    let from = |text: &str| UdpPath {
        remote: (ip(text), 1_000).into(),
        local: None,
    };
    assert_eq!(world.prove(alice.token, from("2001:db8:0:1::1")), Ok(false));
    assert_eq!(world.prove(alice.token, from("192.0.2.1")), Ok(false));
    assert_eq!(world.switchboard.relay().address_count(), 0);
    assert_eq!(world.prove(alice.token, from("2001:db8::2")), Ok(true));
    assert_eq!(world.prove(alice.token, from("192.0.2.1")), Ok(false));
    assert_eq!(
        world.switchboard.relay().address_count(),
        1,
        "it keeps hers"
    );
    assert_eq!(world.counted(), [(Cause::VoiceAuthElsewhere, 3)]);
}
