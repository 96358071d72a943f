//! What one client or one address may do to the others: rates of events, logins, words
//! and voice.

use crate::client::Request;
use crate::story::{Outcome, Person, Story, at, ip, voice};
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::Cause;
use voiceapp_server::limits::{CHAT_BYTES_MAX, STATE_BURST, VOICE_BURST};

#[test]
fn whoever_flaps_costs_the_others_a_rate_and_the_last_state_arrives() {
    let (mut story, [alice, bob]) = Story::of(["alice", "bob"]);
    let rate = Limits::default().state_rate;
    let mut told = 0;
    for _ in 0..1_000 {
        story.join(alice);
        story.leave(alice);
        story.wait(Duration::from_millis(10));
        told += story.heard(bob).len() as u32;
    }
    // Ten seconds and a burst of them.
    let permitted = STATE_BURST + 10 * rate;
    assert!((permitted - 2..=permitted).contains(&told), "{told}");
    story.join(alice);
    story.mute(alice, true);
    let answers = story.heard(alice);
    assert_eq!(answers.len(), 2_001, "every request is answered");
    story.wait(Duration::from_secs(5));
    let last = story.heard(bob);
    assert!(last.ends_with(&["joined voice: 1".into(), "muted: 1".into()]));
    assert_eq!(story.counted()[0].0, Cause::StateToldLater);
}

/// Alice, who has told all that she may at once, and Bob and Carol.
fn alice_has_flapped() -> (Story, [Person; 3]) {
    let (mut story, people) = Story::of(["alice", "bob", "carol"]);
    for _ in 0..STATE_BURST {
        story.mute(people[0], true);
    }
    assert_eq!(story.heard(people[1]).len(), STATE_BURST as usize);
    story.hush();
    (story, people)
}

#[test]
fn voice_obeys_at_once_what_the_others_are_told_later() {
    let (mut story, [alice, bob, carol]) = alice_has_flapped();
    story.join_from(bob, at(2));
    story.hush();
    story.join_from(alice, at(1));
    assert_eq!(story.heard(alice), ["join true"]);
    assert_eq!(story.speak(at(1)), Ok(vec![at(2)]), "she is heard already");
    assert_eq!(story.heard(carol), [] as [&str; 0]);
    story.wait(Duration::from_millis(400));
    assert_eq!(story.heard(carol), ["joined voice: 1"]);
    assert_eq!(story.switchboard().next_deadline(), None);
}

#[test]
fn a_newcomer_is_told_what_the_others_know_and_then_the_same_as_they() {
    let (mut story, [alice, bob, _]) = alice_has_flapped();
    story.join(alice);
    let dave = story.login("dave");
    let welcome = "welcome 4: 1 alice (muted), 2 bob, 3 carol, 4 dave";
    assert_eq!(story.heard(dave), [welcome, "muted: 1"]);
    story.hush();
    story.wait(Duration::from_secs(1));
    for person in [bob, dave] {
        assert_eq!(story.heard(person), ["joined voice: 1"]);
    }
}

#[test]
fn back_where_it_was_there_is_nothing_to_tell() {
    let (mut story, [alice, bob, _]) = alice_has_flapped();
    story.join(alice);
    story.leave(alice);
    story.mute(alice, true);
    story.wait(Duration::from_secs(5));
    assert_eq!(story.heard(bob), ["muted: 1"], "a mute is always told");
    story.join(alice);
    story.leave(alice);
    assert_eq!(story.heard(bob), ["joined voice: 1", "left voice: 1"]);
}

#[test]
fn who_leaves_before_the_others_were_told_of_voice_leaves_the_server_alone() {
    let (mut story, [alice, bob, _]) = alice_has_flapped();
    story.join(alice);
    story.disconnect(alice, Cause::ClosedByPeer);
    assert_eq!(story.heard(bob), ["left server: 1"]);
    assert_eq!(story.switchboard().next_deadline(), None);
    story.wait(Duration::from_secs(5));
    assert_eq!(story.heard(bob), [] as [&str; 0]);
}

#[test]
fn logins_of_one_address_are_limited_and_those_of_others_are_not() {
    let mut story = Story::with(Limits {
        login_rate: 2,
        ..Limits::default()
    });
    let (here, there) = (ip("192.0.2.7"), ip("192.0.2.8"));
    for number in 0..6 {
        let connection = story.try_connect_from(here).expect("there is room");
        let is_in = story.log_in(connection, "someone").is_some();
        assert_eq!(is_in, number < 4, "two minutes' worth at once");
    }
    let other = story.try_connect_from(there).expect("there is room");
    assert!(story.log_in(other, "someone").is_some());
    // The refused may try again, on a connection of its own.
    for (seconds, is_in) in [(5, false), (25, true)] {
        story.wait(Duration::from_secs(seconds));
        let again = story.try_connect_from(here).expect("there is room");
        assert_eq!(story.log_in(again, "someone").is_some(), is_in);
    }
    assert_eq!(
        story.counted(),
        [(Cause::LoginTooFast, 3), (Cause::ClosedLoginRefused, 3)]
    );
}

#[test]
fn a_name_that_is_refused_costs_no_login() {
    let mut story = Story::with(Limits {
        login_rate: 1,
        ..Limits::default()
    });
    let here = ip("192.0.2.7");
    for _ in 0..10 {
        let connection = story.try_connect_from(here).expect("there is room");
        assert!(story.log_in(connection, "").is_none());
    }
    let connection = story.try_connect_from(here).expect("there is room");
    assert!(story.log_in(connection, "alice").is_some());
}

/// Its answer is long: a list of everyone.
#[test]
fn a_second_login_costs_a_login() {
    let mut story = Story::with(Limits {
        login_rate: 2,
        ..Limits::default()
    });
    let alice = story.login("alice");
    for _ in 0..3 {
        assert!(story.log_in(alice, "alice").is_some());
    }
    story.hush();
    assert!(story.log_in(alice, "alice").is_none());
    assert_eq!(story.heard(alice), ["login refused"]);
    assert!(!story.is_connected(alice));
}

/// What a crowd says that says as much as it may, with messages of the greatest length, and toggles all there is: what that
/// makes Bob read in ten seconds stays below `most` of each, and he can still speak.
fn shout(mut story: Story, bob: Person, crowd: &[Person], most: impl Fn(usize) -> usize) -> usize {
    story.wait(Duration::from_secs(60));
    story.hush();
    let long = "x".repeat(CHAT_BYTES_MAX);
    let mut all = 0;
    for second in 0..10 {
        for tenth in 0..10 {
            for person in crowd {
                let said = Request::Chat(long.clone());
                story.all_at_once(*person, vec![said, Request::Join, Request::Leave]);
            }
            story.wait(Duration::from_millis(100));
            if tenth == 5 {
                story.chat(bob, "can you hear me?");
                let refused = |word: &String| word == "chat false";
                let is_heard = !story.heard(bob).iter().any(refused);
                assert!(is_heard, "bob was refused for what others said");
            }
        }
        all += story.heard_bytes(bob);
        assert!(all < most(second), "{all} by second {second}");
    }
    all
}

/// Twenty users of one address.
#[test]
fn the_users_of_one_address_make_everyone_read_so_much_and_no_more() {
    let mut story = Story::new(200);
    let bob = story.login("bob");
    let one = |_| story.login_from(ip("192.0.2.7"), "someone");
    let crowd: Vec<Person> = (0..20).map(one).collect();
    let all = shout(story, bob, &crowd, |second| (8 + 1 + second) * 16_384);
    assert!(all > 12 * 16_384, "the budget is for use: {all}");
}

/// A login costs 48 bytes with a name of one letter, and a state or a departure 44: of 8,298, two messages
/// of the greatest length.
#[test]
fn coming_joining_and_going_are_paid_for_by_the_address() {
    let limits = Limits {
        broadcast_bandwidth_per_address: 1,
        ..Limits::UNLIMITED
    };
    let come = |story: &mut Story| {
        let connection = story.try_connect_from(ip("192.0.2.7")).expect("room");
        story.log_in(connection, "a")
    };
    let mut story = Story::with(limits);
    let came = (0..1_000).map_while(|_| come(&mut story)).count();
    assert_eq!(came, 8_298 / 48);
    // The last one may go, though it is over the budget then.
    let mut story = Story::with(limits);
    let gone = (0..1_000).map_while(|_| {
        let person = come(&mut story)?;
        story.join(person);
        story.disconnect(person, Cause::ClosedByPeer);
        Some(())
    });
    assert_eq!(gone.count(), 8_298 / (48 + 3 * 44));
    let refused = (Cause::BroadcastTooMuch, 1);
    assert!(story.counted().contains(&refused));
}

/// Twenty addresses with two users each, so that it is what all may do that ends it.
#[test]
fn all_together_make_everyone_read_so_much_and_no_more() {
    let mut story = Story::new(300);
    let bob = story.login("bob");
    let one = |number| story.login_from(ip(&format!("192.0.2.{}", number % 20)), "someone");
    let crowd: Vec<Person> = (0..40).map(one).collect();
    let most = |second| 196_608 + (1 + second) * 131_072;
    let all = shout(story, bob, &crowd, most);
    assert!(all > 10 * 131_072, "the budget is for use: {all}");
}

/// What existing clients do not look at must not happen to people: a pasted list, a bot that reads one
/// out, several sources in one client, frames of 5 ms, and what was held up for some seconds.
#[test]
fn no_person_and_no_usual_bot_meets_a_limit() {
    let mut story = Story::new(100);
    let people: Vec<Person> = (0..30)
        .map(|_| {
            let connection = story.try_connect_from(ip("192.0.2.7")).expect("room");
            story.log_in(connection, "someone").expect("it is let in")
        })
        .collect();
    let (writer, bot) = (people[0], people[1]);
    for _ in 0..25 {
        story.chat(
            writer,
            "a line of the usual length, such as people write and paste",
        );
    }
    for _ in 0..36 {
        story.wait(Duration::from_millis(333));
        story.chat(writer, "and another");
        story.chat(bot, "as a bot would say");
    }
    for (place, person) in people.iter().enumerate() {
        story.join_from(*person, at(1 + place as u16));
    }
    let frame = voice(0, &[1; 240]);
    let short = voice(0, &[1; 70]);
    // 150 and 200 a second of two, and 50 of all others.
    for tick in 0..1_000 {
        story.wait(Duration::from_millis(5));
        let due = (0..30).filter_map(|place| match place {
            0 if tick % 4 == 0 => None,
            1 => Some((at(2), &short[..])),
            2.. if tick % 4 != 0 => None,
            _ => Some((at(1 + place), &frame[..])),
        });
        let due: Vec<_> = due.collect();
        assert_eq!(story.relayed(&due), due.len());
    }
    // The network held up 6 s of everyone's voice.
    story.wait(Duration::from_secs(6));
    for place in 0..30 {
        let held_up = vec![(at(1 + place), &frame[..]); 300];
        assert_eq!(story.relayed(&held_up), 300);
    }
    assert_eq!(story.counted(), []);
}

/// Rule 11b.
#[test]
fn voice_of_all_users_of_an_address_has_a_rate() {
    let mut story = Story::with(Limits {
        voice_rate_per_address: 100,
        voice_bandwidth_per_address: 0,
        ..Limits::default()
    });
    let here = |story: &mut Story| {
        let connection = story.try_connect_from(ip("2001:db8::7")).expect("room");
        story.log_in(connection, "someone").expect("it is let in")
    };
    let people: Vec<Person> = (0..10).map(|_| here(&mut story)).collect();
    let bob = story.login("bob");
    for (place, person) in people.iter().chain([&bob]).enumerate() {
        story.join_from(*person, at(1 + place as u16));
    }
    let relayed = |story: &mut Story, times: usize| {
        let frame = voice(0, b"opus");
        let turns = (0..times).map(|turn| (at(1 + (turn % 10) as u16), &frame[..]));
        story.relayed(&turns.collect::<Vec<_>>()) as u32
    };
    assert_eq!(relayed(&mut story, 5_000), 100 * VOICE_BURST);
    assert_eq!(story.speak(at(11)).map(|to| to.len()), Ok(10));
    story.wait(Duration::from_secs(1));
    assert_eq!(
        relayed(&mut story, 5_000),
        102,
        "with the 20 ms of speaking"
    );
    let fast = (Cause::VoiceTooFastFromAddress, 10_000 - 600 - 102);
    assert_eq!(story.counted(), [fast]);
    // Nobody renews it by leaving and coming back.
    for person in people {
        story.disconnect(person, Cause::ClosedByPeer);
    }
    let again = here(&mut story);
    story.join_from(again, at(1));
    let frame = voice(0, b"opus");
    for _ in 0..2 {
        let outcome = story.send_datagram(at(1), &frame);
        assert_eq!(outcome, Outcome::Dropped(Cause::VoiceTooFastFromAddress));
    }
    story.wait(Duration::from_secs(1));
    assert_eq!(story.speak(at(1)).map(|to| to.len()), Ok(1));
}

/// Sixty people who all say forty things at once are more than can go out: the oldest of those who have most are dropped,
/// and after half a second all that still waits.
#[test]
fn what_cannot_go_out_is_dropped_by_share_and_by_age() {
    let mut story = Story::with(Limits {
        users: 60,
        ..Limits::UNLIMITED
    });
    for place in 0..60 {
        let person = story.login("someone");
        story.join_from(person, at(1 + place));
    }
    let now = story.world.clock.get();
    for number in 0..40 {
        for place in 0..60 {
            let frame = voice(0, &[number; 100]);
            story.world.tap.get().air.send(now, at(1 + place), &frame);
        }
    }
    for _ in 0..9 {
        let events = story.world.poll().unwrap_or_default();
        story.world.turn(&events);
    }
    assert_eq!(story.counted()[0].0, Cause::VoiceOverload);
    let sent = story.world.tap.get().air.sent;
    assert!(
        story.world.core.voice_waiting() > 100 && sent > 1_000,
        "{sent}"
    );
    story.world.clock.set(now + Duration::from_millis(600));
    story.world.settle_now();
    let late = story.world.core.counters().get(Cause::VoiceTooLate);
    // The kernel does not tell of all when they came.
    let after = story.world.tap.get().air.sent;
    assert!(late > 500 && after - sent < late / 4, "{late} {after}");
    assert_eq!(story.speak(at(1)).map(|to| to.len()), Ok(59));
}
