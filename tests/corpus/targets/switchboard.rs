//! The whole server but its sockets, under streams, datagrams and clocks in any order: every answer
//! is the right one and comes at once, what is delivered is whole frames for those they are meant
//! for, everyone's picture of the others comes to be the truth, and in the end nothing is left.

use super::input::Input;
use super::people::{People, Reaction};
use super::rooms::{Rooms, outcome};
use super::traffic::{odd_datagram, place, proof, request, voice};
use super::view::{Person, View};
use super::{clock, server, wire};
use std::collections::BTreeMap;
use std::time::Duration;
use voiceapp_server::cause::Ended;
use voiceapp_server::event::{ConnectionId, Now, UdpPath};
use voiceapp_server::limits::INBOUND_BYTES_MAX;
use voiceapp_server::protocol::{Frame, FrameBuffer};
use voiceapp_server::switchboard::{Deliver, Switchboard};

const CONNECTIONS: u8 = 6;
/// Steps of one run: more only cost time.
const STEPS_MAX: usize = 300;
/// Longer than anything that is to be told may wait.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Wires {
    views: BTreeMap<u32, View>,
    /// Connections that are to end.
    ends: Vec<(u32, Ended)>,
}

impl Deliver for Wires {
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        let view = self.views.get_mut(&to.0);
        view.expect("only the living are told anything")
            .hear(frames);
    }

    fn end(&mut self, ConnectionId(connection): ConnectionId, cause: Ended) {
        self.ends.push((connection, cause));
    }
}

struct World {
    switchboard: Switchboard,
    now: Now,
    wires: Wires,
    inbound: BTreeMap<u32, FrameBuffer>,
    people: People,
    rooms: Rooms,
    last_token: u64,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut limits = server::limits(&mut input);
    limits.users = usize::from(1 + input.below(5));
    let mut world = World {
        switchboard: server::switchboard(limits),
        now: clock::start(),
        wires: Wires::default(),
        inbound: BTreeMap::new(),
        people: People::new(limits),
        rooms: Rooms::new(limits),
        last_token: 0xbead_0000_0000_0000,
    };
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.check();
    }
    world.settle();
    while let Some((&connection, _)) = world.people.members.last_key_value() {
        world.disconnect(connection, Ended::ByPeer);
        world.settle();
    }
    assert_eq!(world.switchboard.next_deadline(), None);
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        let action = input.below(12);
        let who = u32::from(input.below(CONNECTIONS));
        if action < 8 && !self.people.members.contains_key(&who) {
            self.connect(who);
        }
        match action {
            0..=4 => {
                let bytes = request(input);
                for _ in 0..input.times() {
                    self.receive(who, &bytes, input);
                }
            }
            5 => {
                let bytes = wire::frame(input.u8(), input.bytes());
                self.receive(who, &bytes, input);
            }
            6 => {
                let bytes = input.bytes();
                self.receive(who, bytes, input);
            }
            7 => {
                let causes = [Ended::ByPeer, Ended::Broken, Ended::TooSlow];
                self.disconnect(who, causes[usize::from(input.below(3))]);
            }
            8 => {
                let given = self.last_token;
                let source = place(input);
                let datagram = proof(input, |input| match input.u8() {
                    255 => 0,
                    age => given.wrapping_sub((age % 16).into()),
                });
                self.datagrams(source, &datagram, input.times());
            }
            9 => {
                let (source, datagram) = (place(input), voice(input));
                self.datagrams(source, &datagram, input.times());
            }
            10 => {
                let (source, datagram) = (place(input), odd_datagram(input));
                self.datagrams(source, &datagram, 1);
            }
            _ => match input.below(4) {
                0 => clock::set_wall(&mut self.now, input),
                1 => self.settle(),
                // The loop may be late: whoever's time is over may still be heard before it looks.
                2 => clock::advance(&mut self.now, clock::step(input)),
                _ => {
                    clock::advance(&mut self.now, clock::step(input));
                    self.turn();
                }
            },
        }
    }

    fn connect(&mut self, connection: u32) {
        self.last_token += 1;
        let token = self.last_token;
        let id = ConnectionId(connection);
        let (switchboard, wires) = (&mut self.switchboard, &mut self.wires);
        if server::connect(switchboard, self.now, id, token, wires).is_ok() {
            assert_eq!(wires.ends, [], "there is room for all of them");
            self.people.connected(self.now, connection, token);
            self.wires.views.insert(connection, View::default());
            self.inbound.insert(connection, FrameBuffer::new());
        }
    }

    fn disconnect(&mut self, connection: u32, cause: Ended) {
        self.wires.views.remove(&connection);
        self.inbound.remove(&connection);
        let event = self.people.disconnected(connection, cause);
        event.into_iter().for_each(|event| self.rooms.event(event));
        let id = ConnectionId(connection);
        self.switchboard
            .handle_disconnect(self.now, id, cause, &mut self.wires);
    }

    /// These bytes arrive in two pieces, cut anywhere.
    fn receive(&mut self, from: u32, bytes: &[u8], input: &mut Input<'_>) {
        let cut = usize::from(input.u8()) % (bytes.len() + 1);
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let Some(mut buffer) = self.inbound.remove(&from) else {
                return;
            };
            buffer.extend(piece);
            while let Some(frame) = buffer.next_frame() {
                if let Some(cause) = self.frame(from, frame) {
                    self.disconnect(from, cause);
                    return;
                }
            }
            assert!(buffer.len() < INBOUND_BYTES_MAX, "more than a part");
            self.inbound.insert(from, buffer);
        }
    }

    fn frame(&mut self, from: u32, frame: Frame<'_>) -> Option<Ended> {
        let Reaction {
            ends,
            answer,
            said,
            events,
        } = self.people.handle(self.now, from, frame);
        events.into_iter().for_each(|event| self.rooms.event(event));
        for (connection, view) in &mut self.wires.views {
            view.answers.extend(answer.filter(|_| *connection == from));
            let member = &self.people.members[connection];
            view.messages
                .extend(said.clone().filter(|_| member.id.is_some()));
        }
        let id = ConnectionId(from);
        let wires = &mut self.wires;
        self.switchboard.handle_frame(self.now, id, frame, wires);
        let ended = ends.map(|cause| (from, cause));
        assert!(wires.ends.drain(..).eq(ended));
        if let Some((wire::LOGIN_RESPONSE, _, true)) = answer {
            // A second login finds them as they are.
            let (view, member) = (&self.wires.views[&from], &self.people.members[&from]);
            assert_eq!(view.login.map(|(id, _)| id), member.id);
            assert_eq!(view.login.map(|(_, token)| token), Some(member.token));
            assert_eq!(view.own, member.person);
        }
        ends
    }

    fn datagrams(&mut self, source: UdpPath, datagram: &[u8], times: u8) {
        for _ in 0..times {
            let (switchboard, now) = (&mut self.switchboard, self.now);
            self.rooms.check(now, source, datagram, |slot| {
                outcome(switchboard.handle_datagram(now, source, slot))
            });
        }
    }

    /// What the loop does every turn: it ends those who have not logged in in time, and lets be told
    /// what is due.
    fn turn(&mut self) {
        while server::tick(&mut self.switchboard, self.now, &mut self.wires) {
            for (connection, cause) in std::mem::take(&mut self.wires.ends) {
                assert_eq!(cause, Ended::LoginDeadline);
                let deadline = self.people.members[&connection].deadline;
                assert!(deadline <= self.now.instant, "ended too early");
                assert_eq!(Some(deadline), self.people.deadlines().min());
                self.disconnect(connection, cause);
            }
        }
        let due = |deadline| deadline <= self.now.instant;
        assert!(!self.people.deadlines().any(due), "not ended in time");
    }

    /// Time passes until all that waits has been told. From then on everyone knows the truth.
    fn settle(&mut self) {
        clock::advance(&mut self.now, SETTLED_AFTER);
        self.turn();
        self.check();
        for view in self.wires.views.values() {
            let Some((own, _)) = view.login else {
                continue;
            };
            let others = self.people.users().filter(|&(id, _)| id != own);
            let truth: BTreeMap<u64, Person> =
                others.map(|(id, person)| (id, person.clone())).collect();
            assert_eq!(view.others, truth, "as {own} sees it");
            let in_voice = truth.iter().filter(|(_, person)| person.in_voice);
            assert!(view.audible.iter().eq(in_voice.map(|(id, _)| id)));
        }
    }

    /// What holds after every step.
    fn check(&self) {
        self.wires.views.values().for_each(View::check_answered);
        self.rooms.compare(self.switchboard.relay());
        let management = self.switchboard.management();
        let (users, members) = (self.people.users().count(), self.people.members.len());
        assert_eq!(management.user_count(), users);
        assert_eq!(management.pending_count(), members - users);
        let next = self.switchboard.next_deadline();
        if let Some(deadline) = self.people.deadlines().min() {
            assert!(
                next.is_some_and(|next| next <= deadline),
                "it would oversleep"
            );
        }
        let counters = self.switchboard.counters();
        for (cause, count) in self.people.counters.occurred() {
            assert_eq!(counters.get(cause), count, "{cause:?}");
        }
    }
}
