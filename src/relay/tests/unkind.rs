//! Sealed and plain people in one room, on a network that loses, doubles, delays, damages and cuts datagrams
//! and delivers them from elsewhere, beside somebody who forges them. One seed decides everything.
//!
//! Whatever happens: what is heard was said, once, by the one it names; each listener alone can open what is
//! sent to them; no counter comes twice; and nothing but questions goes to somebody who has no part in it.

use super::sealed::{Client, encoded, secrets_of, spoken};
use super::*;
use crate::protocol::sealing::{COUNTER_LIMIT, EPOCH_BITS};
use crate::protocol::{SEAL_OVERHEAD_BYTES, VoiceDatagram};
use std::collections::BTreeSet;
use std::time::Duration;

#[path = "../../../tests/common/random.rs"]
mod random;

use random::Random;

/// Users up to this one have a seal, the others have not.
const SEALED: u64 = 4;
const USERS: u64 = 6;
/// Somebody who hands on what comes for them, and so can be where a client's datagrams go.
const ATTACKER: u16 = 666;
/// Somebody to whom the attacker would like to have voice sent.
const BYSTANDER: u16 = 777;

struct Person {
    id: UserId,
    /// None for one without a seal.
    client: Option<Client>,
    port: u16,
    /// Every port at which this user ever was.
    ports: BTreeSet<u16>,
    said: BTreeSet<u32>,
    in_voice: bool,
}

/// A datagram on its way to the server.
struct Flying {
    from: u16,
    bytes: Vec<u8>,
    /// Whether it is as it was sent, from where it was sent, and not old.
    is_honest: bool,
}

struct Unkind {
    relay: VoiceRelayServer,
    now: Now,
    random: Random,
    people: Vec<Person>,
    network: Vec<Flying>,
    /// Who was heard with which sequence number.
    heard: BTreeSet<(u64, u32)>,
    /// Key ids with the counters that the server has used.
    counters: BTreeSet<(u32, u64)>,
    delivered: usize,
    sequence: u32,
}

impl Unkind {
    fn new(seed: u64) -> Self {
        let mut relay = VoiceRelayServer::new(Limits::UNLIMITED, HashKey(seed, 2));
        let mut people = Vec::new();
        for number in 1..=USERS {
            let id = UserId(number);
            relay.handle_event(Event::UserConnected {
                id,
                token: VoiceToken(number),
                source: Source::of(at(0).remote.ip()),
            });
            if number <= SEALED {
                let secrets = secrets_of(id);
                relay.handle_event(Event::VoiceSealed { id, secrets });
            }
            relay.handle_event(Event::VoiceJoined { id });
            let port = 1_000 * number as u16;
            people.push(Person {
                id,
                client: (number <= SEALED).then(|| Client::new(id)),
                port,
                ports: BTreeSet::from([port]),
                said: BTreeSet::new(),
                in_voice: true,
            });
        }
        let now = Now {
            instant: Instant::now(),
            unix_ms: 1_000_000,
        };
        Unkind {
            relay,
            now,
            random: Random(seed),
            people,
            network: Vec::new(),
            heard: BTreeSet::new(),
            counters: BTreeSet::new(),
            delivered: 0,
            sequence: 0,
        }
    }

    fn send(&mut self, from: u16, bytes: Vec<u8>) {
        let is_honest = true;
        self.network.push(Flying {
            from,
            bytes,
            is_honest,
        });
    }

    /// Somebody does something.
    fn act(&mut self) {
        let number = self.random.below(self.people.len());
        let person = &mut self.people[number];
        match self.random.below(40) {
            0 => {
                person.port += 1;
                person.ports.insert(person.port);
            }
            1 => {
                person.in_voice = !person.in_voice;
                let id = person.id;
                self.relay.handle_event(match person.in_voice {
                    true => Event::VoiceJoined { id },
                    false => Event::VoiceLeft { id },
                });
            }
            2..8 => {
                let (from, id) = (person.port, person.id);
                let question = match &mut person.client {
                    Some(client) => client.ask(1),
                    None => encoded(&Packet::VoiceAuthRequest {
                        request_id: 1,
                        voice_token: VoiceToken(id.0),
                    }),
                };
                self.send(from, question);
            }
            8 if self.random.below(20) == 0 => {
                // It is the end of an epoch.
                if let Some(mut client) = person.client.take() {
                    let used = COUNTER_LIMIT - client.sealer.left();
                    let end = (used | ((1 << EPOCH_BITS) - 1)) - 2;
                    client.sealer = client.sealer.starting_at(end);
                    person.client = Some(client);
                }
            }
            9 | 10 => self.forge(),
            _ => {
                let sequence = self.sequence;
                self.sequence += 1;
                person.said.insert(sequence);
                let from = person.port;
                let datagram = match &mut person.client {
                    Some(client) => client.speak(sequence),
                    None => spoken(UserId(0), sequence),
                };
                self.send(from, datagram);
            }
        }
    }

    /// Somebody who has no key, or only an own one, sends what looks like another's.
    fn forge(&mut self) {
        let victim = 1 + self.random.below(SEALED as usize) as u64;
        let mut own = Client::new(UserId(50 + victim));
        let mut bytes = own.speak(1_000_000 + self.sequence);
        bytes[3..7].copy_from_slice(&secrets_of(UserId(victim)).key_id.context());
        let counter = self.random.next() % 200;
        bytes[7..15].copy_from_slice(&counter.to_be_bytes());
        let ports = [ATTACKER, self.people[victim as usize - 1].port];
        let from = ports[self.random.below(2)];
        self.network.push(Flying {
            from,
            bytes,
            is_honest: false,
        });
    }

    /// The network delivers something, or loses, doubles or damages it.
    fn deliver(&mut self) {
        let place = self.random.below(self.network.len());
        let kept = self.random.below(6) == 0;
        let Flying {
            mut from,
            mut bytes,
            mut is_honest,
        } = match kept {
            true => Flying {
                bytes: self.network[place].bytes.clone(),
                ..self.network[place]
            },
            false => self.network.remove(place),
        };
        if kept {
            self.network[place].is_honest = false;
        }
        match self.random.below(12) {
            0 => return,
            // Without a seal, who damages a datagram or lies about its source is believed.
            _ if bytes[0] != id::SEALED => {}
            1 => {
                let bit = self.random.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                is_honest = false;
            }
            2 => {
                bytes.truncate(self.random.below(bytes.len()));
                is_honest = false;
            }
            3 => {
                from = [ATTACKER, BYSTANDER][self.random.below(2)];
                is_honest = false;
            }
            _ => {}
        }
        self.arrive(from, bytes, is_honest);
    }

    fn arrive(&mut self, from: u16, mut bytes: Vec<u8>, is_honest: bool) {
        let finding = self.relay.examine(self.now, at(from), &mut bytes, false);
        let (frame, speaker, claim) = match finding {
            Finding::Voice {
                frame,
                speaker,
                claim,
                ..
            } => (bytes[frame].to_vec(), speaker, claim),
            Finding::Claim(claim) => {
                match self.relay.decide(self.now, claim) {
                    Verdict::AnswerSealed(answer) => self.answer(from, &answer),
                    Verdict::Answer(_) | Verdict::Drop(_) => {}
                    other => panic!("{other:?}"),
                }
                return check(&self.relay);
            }
            Finding::Drop(cause) => {
                let is_forged = cause == VoiceDropped::NotAuthentic;
                assert!(!is_honest || !is_forged, "it was as it was sent");
                return;
            }
        };
        if let Some(challenge) = claim.and_then(|claim| self.relay.challenge(self.now, claim)) {
            self.answer(from, &challenge);
        }
        let said = VoiceDatagram::check(&frame[..]).expect("it is voice");
        let (who, sequence) = (said.user_id(), said.sequence());
        assert_eq!(frame, spoken(who, sequence), "as it was said");
        let person = &self.people[who.0 as usize - 1];
        assert!(person.said.contains(&sequence), "by {who}");
        assert!(person.in_voice);
        let is_first = self.heard.insert((who.0, sequence));
        assert!(is_first || person.client.is_none(), "{who} is heard twice");
        self.fan_out(who, speaker, &frame);
    }

    /// Sends voice on as the voice port does.
    fn fan_out(&mut self, who: UserId, speaker: Speaker, frame: &[u8]) {
        let place = self
            .relay
            .recipients(speaker)
            .expect("they may speak")
            .sender();
        let mut sent = Vec::new();
        let Room { plain, mut sealed } = self.relay.room();
        for (number, path) in plain.iter().enumerate() {
            if number != place.in_plain() {
                sent.push((path.remote.port(), frame.to_vec()));
            }
        }
        for number in 0..sealed.paths().len() {
            if number != place.in_sealed() {
                let mut datagram = vec![0; frame.len() + SEAL_OVERHEAD_BYTES + 9];
                assert!(sealed.seal(number, frame, &mut datagram));
                sent.push((sealed.paths()[number].remote.port(), datagram));
            }
        }
        for (port, datagram) in sent {
            assert_ne!(port, BYSTANDER, "voice for a bystander");
            if port == ATTACKER {
                continue;
            }
            let is_there = |it: &&mut Person| it.ports.contains(&port);
            let listener = self.people.iter_mut().find(is_there);
            let listener = listener.expect("voice for an address where nobody was");
            assert_ne!(listener.id, who, "somebody hears themselves");
            assert!(listener.in_voice);
            self.delivered += 1;
            if listener.client.is_some() {
                self.open(port, &datagram, &[frame, &[0; 9]].concat());
            }
        }
    }

    /// Sees that what the server sealed for a port opens there, and for nobody else.
    fn open(&mut self, port: u16, datagram: &[u8], inside: &[u8]) {
        let key_id = u32::from_be_bytes(datagram[3..7].try_into().expect("four"));
        let counter = u64::from_be_bytes(datagram[7..15].try_into().expect("eight"));
        assert!(self.counters.insert((key_id, counter)), "a counter twice");
        for person in &mut self.people {
            let (is_here, client) = (person.ports.contains(&port), &mut person.client);
            if let Some(client) = client {
                let opened = client.open(datagram);
                assert_eq!(opened.as_deref(), is_here.then_some(inside));
            }
        }
    }

    /// An answer for a port. The client there opens it, and echoes a challenge.
    fn answer(&mut self, port: u16, answer: &[u8]) {
        let counter = u64::from_be_bytes(answer[7..15].try_into().expect("eight"));
        let key_id = u32::from_be_bytes(answer[3..7].try_into().expect("four"));
        assert!(self.counters.insert((key_id, counter)), "a counter twice");
        // The attacker hands on what comes, if that should help.
        let to = match port {
            BYSTANDER => return,
            ATTACKER => self.people[self.random.below(SEALED as usize)].port,
            port => port,
        };
        let Some(person) = self.people.iter_mut().find(|it| it.port == to) else {
            return;
        };
        let Some(client) = &mut person.client else {
            panic!("a sealed answer for somebody without a seal");
        };
        let Some(inside) = client.open(answer) else {
            assert_eq!(port, ATTACKER, "it is not theirs");
            return;
        };
        let packet = Frame::first_of(&inside).map(|frame| frame.parse());
        if let Ok(Ok(Packet::PathChallenge { value })) = packet {
            let echo = client.seal(&encoded(&Packet::PathResponse { value }));
            self.send(to, echo);
        }
    }
}

#[test]
fn rule_15b_on_an_unkind_network_nobody_hears_what_is_not_theirs() {
    let (mut heard, mut delivered, mut counters) = (0, 0, Counters::new());
    for seed in 0..12 {
        let mut world = Unkind::new(seed);
        for _ in 0..4_000 {
            world.act();
            while world.network.len() > 1 + world.random.below(60) {
                world.deliver();
            }
            let ms = world.random.below(40) as u64;
            world.now.instant += Duration::from_millis(ms);
            world.now.unix_ms += ms;
        }
        heard += world.heard.len();
        delivered += world.delivered;
        counters.add(world.relay.counters());
    }
    assert!(heard > 10_000 && delivered > 25_000, "{heard}, {delivered}");
    for cause in [
        VoiceDropped::NotAuthentic,
        VoiceDropped::Replayed,
        VoiceDropped::OutOfReach,
        VoiceDropped::UnknownSource,
        VoiceDropped::UnknownKey,
        VoiceDropped::PathWrong,
        VoiceDropped::PathUnchallenged,
        VoiceDropped::Malformed,
    ] {
        assert!(counters.get(cause) > 0, "{cause} never happened");
    }
}
