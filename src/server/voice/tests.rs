//! The port in virtual time: floods, stops, and people who go while their voice waits.

use super::*;
use crate::cause::Ended;
use crate::event::{ConnectionId, VoiceToken};
use crate::hash::HashKey;
use crate::protocol::{Frame, Packet, SEAL_OVERHEAD_BYTES, VOICE_HEADER_BYTES, VoiceDatagram};
use crate::switchboard::Deliver;
use crate::udp::Received;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

#[cfg(feature = "encryption")]
mod sealed;

const PORT: u16 = 9_002;

/// A kernel's buffer, and what was sent.
#[derive(Default)]
struct Wire {
    /// What went to whom under seal.
    sealed: Vec<(SocketAddr, Vec<u8>)>,
    waiting: VecDeque<(SocketAddr, Vec<u8>, u64)>,
    may_have_more: bool,
    /// Who spoke, with the sequence number, for each datagram that was sent on.
    sent: Vec<(u64, u32)>,
    answers: usize,
    last_answers: [usize; 2],
    last_answer: Vec<u8>,
}

impl Wire {
    fn seal(&mut self, frames: &[Queued<'_>], seals: &mut dyn Seals) {
        for frame in frames {
            for place in (0..seals.paths().len()).filter(|&it| it != frame.sealed_sender) {
                let mut datagram = vec![0; frame.frame.len() + SEAL_OVERHEAD_BYTES];
                assert!(seals.seal(place, frame.frame, &mut datagram));
                self.sealed.push((seals.paths()[place].remote, datagram));
            }
        }
    }
}

impl DatagramSocket for Wire {
    fn receive(&mut self, slots: &mut Slots) {
        slots.begin();
        while slots.fresh().len() < DATAGRAMS_PER_BATCH {
            let Some((remote, bytes, arrived_ns)) = self.waiting.pop_front() else {
                break;
            };
            slots.free_bytes(0).expect("there is room")[..bytes.len()].copy_from_slice(&bytes);
            slots.fill(Received {
                len: bytes.len(),
                arrived_ns: Some(arrived_ns),
                path: UdpPath {
                    remote,
                    local: None,
                },
            });
        }
        self.may_have_more = slots.fresh().len() == DATAGRAMS_PER_BATCH;
    }

    fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    fn send(&mut self, frames: &[Queued<'_>], _listeners: &[UdpPath], seals: &mut dyn Seals) {
        self.seal(frames, seals);
        for frame in frames {
            let voice = VoiceDatagram::check(frame.frame).expect("it is voice");
            self.sent.push((voice.user_id().0, voice.sequence()));
        }
    }

    fn answer(&mut self, datagram: &[u8], _to: &UdpPath) {
        self.answers += 1;
        self.last_answers = [self.last_answers[1], datagram.len()];
        self.last_answer = datagram.to_vec();
    }

    fn may_be_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback()
    }
}

struct Nobody;

impl Deliver for Nobody {
    fn deliver(&mut self, _to: ConnectionId, _frames: &[u8]) {}

    fn end(&mut self, connection: ConnectionId, cause: Ended) {
        panic!("{connection} is ended: {cause:?}");
    }
}

/// A port, a switchboard, and the time.
struct Room {
    port: VoicePort<Wire>,
    switchboard: Switchboard,
    now: Now,
    users: u32,
}

impl Room {
    fn new(limits: Limits) -> Self {
        let now = Now {
            instant: Instant::now(),
            unix_ms: 1_000_000,
        };
        Room {
            port: VoicePort::new(now, Wire::default(), PORT, limits),
            switchboard: Switchboard::new(limits, HashKey(1, 2)),
            now,
            users: 0,
        }
    }

    /// Somebody logs in from here, joins voice, and has an address. Returns where they speak from, and
    /// their id is the number of those who came.
    fn enter(&mut self, ip: [u8; 4]) -> SocketAddr {
        self.users += 1;
        let (id, token) = (ConnectionId(self.users), VoiceToken(self.users.into()));
        let ip = IpAddr::from(ip);
        self.switchboard
            .handle_connect(self.now, id, ip, token, &mut Nobody)
            .expect("there is room");
        self.request(
            self.users,
            &Packet::LoginRequest {
                request_id: 1,
                username: "someone",
                asked: None,
            },
        );
        self.request(
            self.users,
            &Packet::JoinVoiceChannelRequest { request_id: 2 },
        );
        let address = SocketAddr::from((ip, 10_000 + self.users as u16));
        self.prove(address, token);
        self.poll();
        address
    }

    fn request(&mut self, user: u32, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes).expect("it fits");
        let frame = Frame::first_of(&bytes).expect("it is whole");
        self.switchboard
            .handle_frame(self.now, ConnectionId(user), frame, &mut Nobody);
    }

    fn prove(&mut self, from: SocketAddr, voice_token: VoiceToken) {
        let mut bytes = Vec::new();
        let packet = Packet::VoiceAuthRequest {
            request_id: 3,
            voice_token,
        };
        packet.encode(&mut bytes).expect("it fits");
        self.arrive(from, bytes);
    }

    fn speak(&mut self, from: SocketAddr, sequence: u32) {
        let mut bytes = vec![0; VOICE_HEADER_BYTES + 1];
        let mut voice = VoiceDatagram::init(&mut bytes[..]).expect("it has room");
        voice.set_sequence(sequence);
        self.arrive(from, bytes);
    }

    fn arrive(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        let stamp = self.now.unix_ms * 1_000_000;
        self.port.socket.waiting.push_back((from, bytes, stamp));
    }

    fn pass(&mut self, ms: u64) {
        self.now.instant += Duration::from_millis(ms);
        self.now.unix_ms += ms;
    }

    fn poll(&mut self) {
        self.port.poll(self.now, &mut self.switchboard);
    }

    fn heard(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.port.socket.sent)
    }

    fn dropped(&self, cause: VoiceDropped) -> u64 {
        self.port.counters.get(cause) + self.switchboard.counters().get(cause)
    }
}

fn unlimited(users: usize) -> Limits {
    Limits {
        users,
        pending_connections: 4 * users,
        ..Limits::UNLIMITED
    }
}

/// A look sends 32 datagrams to 250 listeners, and meanwhile 100 come from one address: who is alone at
/// another loses nothing and never waits for more than a look.
#[test]
fn a_flood_from_one_address_costs_no_other_anything() {
    let mut room = Room::new(unlimited(251));
    let alone = room.enter([192, 0, 2, 1]);
    let many: Vec<_> = (0..250).map(|_| room.enter([192, 0, 2, 2])).collect();
    room.heard();
    let mut spoken = Vec::new();
    for turn in 0..1_000 {
        for place in 0..100 {
            room.speak(many[(turn * 100 + place) % many.len()], 0);
        }
        if turn % 4 == 0 {
            room.speak(alone, turn as u32);
            spoken.push((1, turn as u32));
        }
        room.poll();
        let heard = room.heard();
        let own = heard.iter().filter(|(user, _)| *user == 1).count();
        assert_eq!(own, usize::from(turn % 4 == 0), "it waited");
        assert_eq!(heard.len(), 32);
        room.pass(3);
    }
    let waiting = room.port.waiting() as u64;
    let dropped = room.dropped(VoiceDropped::Overload);
    assert_eq!(dropped + waiting, 1_000 * (100 - 32) + 250);
}

/// Twenty people of one address, of whom one sends as much as all others together.
#[test]
fn who_sends_twice_as_much_as_others_takes_nothing_from_them() {
    let mut room = Room::new(unlimited(1_000));
    let people: Vec<_> = (0..1_000).map(|_| room.enter([192, 0, 2, 2])).collect();
    room.heard();
    // A look sends 16 to 999 listeners, and there are 17 shares.
    let mut heard = [0; 12];
    for turn in 0..500 {
        for (place, person) in people[..11].iter().enumerate() {
            for _ in 0..if place == 0 { 20 } else { 1 } {
                room.speak(*person, turn);
            }
        }
        room.poll();
        for (user, _) in room.heard() {
            heard[user as usize] += 1;
        }
        room.pass(10);
    }
    assert_eq!(heard[2..], [500; 10], "they speak once a turn");
    assert!(heard[1] >= 500 * 6);
    assert!(room.dropped(VoiceDropped::Overload) > 500 * 13);
}

/// Among 1,000 listeners 65 may wait, and a look sends 16.
#[test]
fn with_one_more_than_may_wait_half_of_that_stays() {
    for (spoken, kept) in [(65, 65), (66, 32)] {
        let mut room = Room::new(unlimited(1_000));
        let people: Vec<_> = (0..1_000).map(|_| room.enter([192, 0, 2, 2])).collect();
        room.heard();
        for person in &people[..spoken] {
            room.speak(*person, 0);
        }
        room.poll();
        assert_eq!(room.heard().len(), 16);
        assert_eq!(room.port.waiting(), kept - 16);
        let dropped = room.dropped(VoiceDropped::Overload);
        assert_eq!(dropped as usize, spoken - kept);
    }
}

#[test]
fn a_burst_that_can_go_out_soon_is_no_overload() {
    let mut room = Room::new(unlimited(100));
    let people: Vec<_> = (0..100).map(|_| room.enter([192, 0, 2, 2])).collect();
    room.heard();
    for sequence in 0..300 {
        room.speak(people[7], sequence);
    }
    for person in &people {
        room.speak(*person, 0);
    }
    while room.port.is_ready() || !room.port.socket.waiting.is_empty() {
        room.poll();
    }
    assert_eq!(room.heard().len(), 400);
    assert_eq!(room.dropped(VoiceDropped::Overload), 0);
}

#[test]
fn after_a_stop_only_what_is_young_is_heard() {
    let mut room = Room::new(Limits {
        voice_age: Duration::from_millis(500),
        ..unlimited(2)
    });
    let speaker = room.enter([192, 0, 2, 1]);
    room.enter([192, 0, 2, 2]);
    for sequence in 0..3_000 {
        room.speak(speaker, sequence);
        room.pass(20);
    }
    while !room.port.socket.waiting.is_empty() {
        room.poll();
    }
    let young: Vec<_> = (2_975..3_000).map(|sequence| (1, sequence)).collect();
    assert_eq!(room.heard(), young);
    assert_eq!(room.dropped(VoiceDropped::TooLate), 2_975);
    // A proof does not get too old.
    room.prove(speaker, VoiceToken(1));
    let answers = room.port.socket.answers;
    room.pass(60_000);
    room.poll();
    assert_eq!(room.port.socket.answers, answers + 1);
}

/// With many listeners a turn sends little, and what waits ages: at the end of its wait it counts again.
#[test]
fn what_gets_too_old_while_it_waits_is_dropped() {
    let mut room = Room::new(Limits {
        voice_age: Duration::from_millis(100),
        ..unlimited(1_000)
    });
    let people: Vec<_> = (0..1_000).map(|_| room.enter([192, 0, 2, 2])).collect();
    room.heard();
    for person in &people[..40] {
        room.speak(*person, 0);
    }
    room.poll();
    room.pass(100);
    room.poll();
    let heard = room.heard().len();
    room.pass(1);
    room.poll();
    assert!(room.heard().is_empty());
    assert_eq!(room.dropped(VoiceDropped::TooLate), 40 - heard as u64);
    assert_eq!(room.port.waiting(), 0);
}

#[test]
fn who_leaves_is_not_heard_even_if_their_voice_waits() {
    let mut room = Room::new(unlimited(1_000));
    let people: Vec<_> = (0..1_000).map(|_| room.enter([192, 0, 2, 2])).collect();
    room.heard();
    for person in &people[..40] {
        room.speak(*person, 0);
    }
    room.poll();
    let heard = room.heard();
    for user in 1..=1_000 {
        match user % 3 {
            0 => room.request(user, &Packet::LeaveVoiceChannelRequest { request_id: 9 }),
            1 => room.switchboard.handle_disconnect(
                room.now,
                ConnectionId(user),
                Ended::ByPeer,
                &mut Nobody,
            ),
            _ => {}
        }
    }
    while room.port.is_ready() {
        room.poll();
    }
    let later = room.heard();
    assert!(!later.is_empty() && later.iter().all(|(user, _)| user % 3 == 2));
    let not_heard = room.dropped(VoiceDropped::NotInChannel);
    let gone = room.dropped(VoiceDropped::UnknownSource);
    assert_eq!(heard.len() + later.len() + (not_heard + gone) as usize, 40);
    assert!(not_heard > 0 && gone > 0);
}

/// After the refusal of token 0, and of no other, an empty datagram follows.
/// Rule 9d.
#[test]
fn a_refused_login_ends_its_half_of_voice() {
    let mut room = Room::new(unlimited(2));
    let speaker = room.enter([192, 0, 2, 1]);
    assert_eq!(room.port.socket.last_answers, [0, 12]);
    room.prove(speaker, VoiceToken(77));
    room.poll();
    assert_eq!(room.port.socket.last_answers, [12, 12]);
    room.prove(speaker, VoiceToken(0));
    room.poll();
    assert_eq!(room.port.socket.last_answers, [12, 0]);
    assert_eq!(room.port.socket.answers, 4);
}

/// A look reads four batches, and what it read and sent is work. It is wanted again while there may be
/// more.
#[test]
fn a_look_says_what_it_did_and_whether_there_is_more() {
    let mut room = Room::new(unlimited(1_000));
    let junk = ([192, 0, 2, 9], 1).into();
    for _ in 0..256 + 63 {
        room.arrive(junk, vec![0x99]);
    }
    let look = |room: &mut Room| room.port.poll(room.now, &mut room.switchboard);
    assert_eq!(look(&mut room), 256 / 64);
    assert!(room.port.is_ready());
    assert_eq!(look(&mut room), 0);
    assert!(!room.port.is_ready());
    let people: Vec<_> = (0..257).map(|_| room.enter([192, 0, 2, 2])).collect();
    room.heard();
    for person in &people[..3] {
        room.speak(*person, 0);
    }
    assert_eq!(look(&mut room), 3 * 256 / 128);
}

#[test]
fn the_servers_own_port_is_nobodys_address() {
    let mut room = Room::new(unlimited(2));
    room.enter([192, 0, 2, 1]);
    let answers = room.port.socket.answers;
    for (ip, is_own) in [(Ipv4Addr::LOCALHOST, true), ([192, 0, 2, 7].into(), false)] {
        room.prove((ip, PORT).into(), VoiceToken(1));
        room.poll();
        let counted = room.dropped(VoiceDropped::AuthOwnAddress);
        assert_eq!(counted, 1);
        let more = room.port.socket.answers - answers;
        assert_eq!(more, usize::from(!is_own));
    }
    // Another program of this machine is welcome, and what is no proof has another cause.
    room.prove((Ipv4Addr::LOCALHOST, PORT + 1).into(), VoiceToken(1));
    room.speak((Ipv4Addr::LOCALHOST, PORT).into(), 0);
    room.poll();
    assert_eq!(room.port.socket.answers - answers, 2);
    assert_eq!(room.dropped(VoiceDropped::AuthOwnAddress), 1);
    assert_eq!(room.dropped(VoiceDropped::UnknownSource), 1);
}
