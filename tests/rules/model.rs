//! Rules 4, 6, 7, 9 and 10 in every order that a seeded dice finds, against a model so simple that
//! it can be seen to be right: a list of people, searched from end to end.

use crate::common::random::Random;
use crate::common::{Outcome, Person, World, at, voice};
use std::net::IpAddr;
use std::time::Duration;
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::event::UdpPath;

struct Modelled {
    person: Person,
    peer: Option<UdpPath>,
    in_voice: bool,
    is_muted: bool,
}

fn place(random: &mut Random) -> UdpPath {
    let server = random.below(2) as u8;
    UdpPath {
        local: Some(IpAddr::from([198, 51, 100, server])),
        ..at(1 + random.below(4) as u16)
    }
}

fn step(world: &mut World, people: &mut Vec<Modelled>, random: &mut Random) {
    // Time for every rate to recover, so that none has a part in this.
    world.wait(Duration::from_secs(10));
    if people.len() < 2 || (people.len() < 5 && random.below(8) == 0) {
        people.push(Modelled {
            person: world.login("someone"),
            peer: None,
            in_voice: false,
            is_muted: false,
        });
        return;
    }
    let who = random.below(people.len());
    let person = people[who].person;
    match random.below(12) {
        0 => {
            world.disconnect(person, Ended::ByPeer);
            people.remove(who);
            assert_eq!(world.prove(person.token, place(random)), Ok(false));
        }
        1 | 2 => {
            world.leave(person);
            people[who].is_muted &= !people[who].in_voice;
            people[who].in_voice = false;
        }
        3..=5 => {
            world.join(person);
            people[who].is_muted &= people[who].in_voice;
            people[who].in_voice = true;
        }
        6 | 7 => {
            people[who].is_muted = random.below(2) == 0;
            world.mute(person, people[who].is_muted);
        }
        _ => {
            let peer = place(random);
            assert_eq!(world.prove(person.token, peer), Ok(true));
            for other in people.iter_mut() {
                let had = other.peer.map(|had| had.remote);
                other.peer = other.peer.filter(|_| had != Some(peer.remote));
            }
            people[who].peer = Some(peer);
        }
    }
}

fn expected(people: &[Modelled], port: u16) -> Outcome {
    let is_here = |one: &&Modelled| one.peer.is_some_and(|peer| peer.remote.port() == port);
    let Some(sender) = people.iter().find(is_here) else {
        return Outcome::Dropped(Cause::VoiceUnknownSource);
    };
    if !sender.in_voice {
        return Outcome::Dropped(Cause::VoiceNotInChannel);
    }
    if sender.is_muted {
        return Outcome::Dropped(Cause::VoiceMuted);
    }
    let others = people.iter().filter(|one| one.person != sender.person);
    let mut to: Vec<_> = others
        .filter(|other| other.in_voice)
        .filter_map(|other| other.peer)
        .collect();
    to.sort_by_key(|peer| peer.remote);
    let frame = voice(sender.person.id, b"opus");
    Outcome::Relayed { frame, to }
}

#[test]
fn rules_4_to_10_the_relay_agrees_with_a_simple_model_in_many_orders() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut world = World::new(5);
        let mut people = Vec::new();
        for _ in 0..60 {
            step(&mut world, &mut people, &mut random);
            for port in 1..=5 {
                let outcome = world.send_datagram(at(port), &voice(0, b"opus"));
                assert_eq!(outcome, expected(&people, port), "seed {seed}");
            }
            let relay = world.switchboard.relay();
            let bound = people.iter().filter(|one| one.peer.is_some());
            assert_eq!(relay.address_count(), bound.clone().count());
            let listening = bound.filter(|one| one.in_voice).count();
            assert_eq!(relay.listener_count(), listening);
        }
        for one in people {
            world.disconnect(one.person, Ended::ByPeer);
        }
        let relay = world.switchboard.relay();
        assert_eq!(relay.user_count(), 0);
        assert_eq!(relay.address_count(), 0);
        assert_eq!(relay.listener_count(), 0);
    }
}
