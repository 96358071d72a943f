//! The relay under events, datagrams and time in any order: what comes of every datagram is what a
//! plain model says, and its counts are those of the model after every step.

use super::input::Input;
use super::rooms::{Rooms, outcome};
use super::traffic::{odd_datagram, place, proof, voice};
use super::{clock, server};
use voiceapp_server::event::{Event, Now, Source, UdpPath, UserId, VoiceToken};
use voiceapp_server::relay::VoiceRelayServer;

const USERS_MAX: usize = 6;
/// Steps of one run: more only cost time.
const STEPS_MAX: usize = 400;
/// Tokens are drawn from so few that some are given out twice, as chance could have it, and that dead
/// ones are tried.
const TOKENS: u8 = 8;

struct World {
    relay: VoiceRelayServer,
    rooms: Rooms,
    now: Now,
    /// Everyone the relay was ever told of: who is gone is still spoken of.
    ids: Vec<UserId>,
    next_id: u64,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut limits = server::limits(&mut input);
    limits.users = USERS_MAX;
    // Ids from 1, or such that each of their eight bytes has something in it.
    let next_id = if input.bool() {
        0x0102_0304_0506_0700
    } else {
        1
    };
    let mut world = World {
        relay: server::relay(limits),
        rooms: Rooms::new(limits),
        now: clock::start(),
        ids: Vec::new(),
        next_id,
    };
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.rooms.compare(&world.relay);
    }
    for id in std::mem::take(&mut world.ids) {
        world.event(Event::UserDisconnected { id });
    }
    world.rooms.compare(&world.relay);
    assert_eq!(world.relay.user_count(), 0);
    assert_eq!(world.relay.address_count(), 0);
    assert_eq!(world.relay.listener_count(), 0);
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(10) {
            0 => self.connect(input),
            1 => {
                let id = self.someone(input);
                self.event(Event::VoiceJoined { id });
            }
            2 => {
                let id = self.someone(input);
                self.event(Event::VoiceLeft { id });
            }
            3 => {
                let id = self.someone(input);
                let is_muted = input.bool();
                self.event(Event::MuteChanged { id, is_muted });
            }
            4 => {
                let id = self.someone(input);
                self.event(Event::UserDisconnected { id });
            }
            5 | 6 => {
                let (source, datagram) = (
                    place(input),
                    proof(input, |input| u64::from(input.below(TOKENS))),
                );
                self.datagrams(source, &datagram, input.times());
            }
            7 => {
                let (source, datagram) = (place(input), voice(input));
                self.datagrams(source, &datagram, input.times());
            }
            8 => {
                let (source, datagram) = (place(input), odd_datagram(input));
                self.datagrams(source, &datagram, 1);
            }
            _ => clock::advance(&mut self.now, clock::step(input)),
        }
    }

    fn event(&mut self, event: Event) {
        self.relay.handle_event(event);
        self.rooms.event(event);
    }

    fn connect(&mut self, input: &mut Input<'_>) {
        if self.relay.user_count() < USERS_MAX {
            let id = UserId(self.next_id);
            let token = VoiceToken(u64::from(1 + input.below(TOKENS - 1)));
            self.next_id += 1;
            self.ids.push(id);
            let source = Source::of([192, 0, 2, 1].into());
            self.event(Event::UserConnected { id, token, source });
        }
    }

    /// Someone who is here, who was, or who never will be.
    fn someone(&mut self, input: &mut Input<'_>) -> UserId {
        let place = input.u8();
        match place {
            255 => UserId(0),
            _ if self.ids.is_empty() => UserId(7),
            _ => self.ids[self.ids.len() - 1 - usize::from(place) % self.ids.len()],
        }
    }

    fn datagrams(&mut self, source: UdpPath, datagram: &[u8], times: u8) {
        for _ in 0..times {
            let (relay, now) = (&mut self.relay, self.now);
            self.rooms.check(now, source, datagram, |slot| {
                outcome(relay.handle_datagram(now, source, slot))
            });
        }
    }
}
