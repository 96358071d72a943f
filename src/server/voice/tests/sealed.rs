//! Sealed voice through the port: opened where it lies, kept waiting like other voice, and sealed for each who
//! hears it under seal. And who is kept out by what the relay does not know.

use super::*;
use crate::bans::BanList;
use crate::event::{UserId, VoiceSecrets};
use crate::management::ConnectionFacts;
use crate::protocol::sealing::{ClientOpener, Sealer};
use crate::protocol::{Asked, Caps, KeyId, Suite};

/// Somebody whose voice is sealed, and where they are.
struct Person {
    address: SocketAddr,
    token: VoiceToken,
    sealer: Sealer,
    opener: ClientOpener,
}

impl Person {
    fn seal(&mut self, packet: &Packet<'_>) -> Vec<u8> {
        let mut frame = Vec::new();
        packet.encode(&mut frame).expect("it fits");
        let mut datagram = vec![0; frame.len() + SEAL_OVERHEAD_BYTES];
        let sealed = self.sealer.seal(&frame, &mut datagram);
        sealed.expect("there is room");
        datagram
    }

    fn voice(&mut self, sequence: u32) -> Vec<u8> {
        self.seal(&Packet::VoiceData {
            user_id: UserId(0),
            sequence,
            timestamp: 0,
            data: &sequence.to_be_bytes(),
        })
    }

    fn ask(&mut self) -> Vec<u8> {
        let packet = Packet::VoiceAuthRequest {
            request_id: 3,
            voice_token: self.token,
        };
        self.seal(&packet)
    }

    fn open(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut copy = datagram.to_vec();
        let opened = self.opener.open(&mut copy).expect("it is for them");
        opened.inside.to_vec()
    }
}

impl Room {
    /// As [`Room::enter`], by a connection that has secrets, and with an address that is not proved yet.
    fn come_sealed(&mut self, ip: [u8; 4]) -> Person {
        self.users += 1;
        let (id, token) = (ConnectionId(self.users), VoiceToken(self.users.into()));
        let connected =
            self.switchboard
                .handle_connect(self.now, id, IpAddr::from(ip), token, &mut Nobody);
        connected.expect("there is room");
        let key_id = KeyId(0x7000_0000 + self.users);
        let suite = Suite::Aes128GcmSha256;
        let secrets = VoiceSecrets::of(key_id, suite, &[self.users as u8; 64]);
        let facts = ConnectionFacts {
            is_encrypted: true,
            secrets: Some(secrets),
        };
        self.switchboard.set_facts(id, facts);
        let caps = Caps::EXTENDED | Caps::SEALED;
        let asked = Asked {
            caps,
            ..Asked::default()
        };
        let login = Packet::LoginRequest {
            request_id: 1,
            username: "someone",
            asked: Some(asked),
        };
        self.request(self.users, &login);
        let join = Packet::JoinVoiceChannelRequest { request_id: 2 };
        self.request(self.users, &join);
        Person {
            address: SocketAddr::from((ip, 10_000 + self.users as u16)),
            token,
            sealer: Sealer::new(suite, key_id, secrets.to_server),
            opener: ClientOpener::new(suite, key_id, secrets.to_client),
        }
    }

    fn enter_sealed(&mut self, ip: [u8; 4]) -> Person {
        let mut person = self.come_sealed(ip);
        let question = person.ask();
        self.arrive(person.address, question);
        self.poll();
        let challenge = self.port.socket.last_answer.clone();
        let inside = person.open(&challenge);
        let Ok(Ok(Packet::PathChallenge { value })) =
            Frame::first_of(&inside).map(|frame| frame.parse())
        else {
            panic!("{inside:02x?} is no challenge");
        };
        let echo = person.seal(&Packet::PathResponse { value });
        self.arrive(person.address, echo);
        self.poll();
        let answer = self.port.socket.last_answer.clone();
        assert_eq!(person.open(&answer)[11], 1, "the address is theirs");
        person
    }

    fn sealed(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.port.socket.sealed)
    }
}

#[test]
fn rule_15b_plain_and_sealed_people_hear_each_other_in_order() {
    let mut room = Room::new(unlimited(3));
    let plain = room.enter([192, 0, 2, 1]);
    let mut sealed = [(); 2].map(|()| room.enter_sealed([192, 0, 2, 2]));
    room.heard();
    for sequence in 0..50 {
        room.speak(plain, sequence);
        for person in &mut sealed {
            let voice = person.voice(sequence);
            room.arrive(person.address, voice);
        }
        if sequence % 7 == 0 {
            room.poll();
        }
    }
    while room.port.is_ready() || !room.port.socket.waiting.is_empty() {
        room.poll();
    }
    // The one with plain voice gets what all of them say.
    let heard = room.heard();
    for user in 1..=3 {
        let of_user = heard.iter().filter(|(id, _)| *id == user);
        assert!(of_user.map(|(_, sequence)| *sequence).eq(0..50), "{user}");
    }
    let mut all = vec![Vec::new(); 2];
    for (to, datagram) in room.sealed() {
        let place = sealed.iter().position(|it| it.address == to);
        let place = place.expect("one of them is there");
        let inside = sealed[place].open(&datagram);
        let voice = VoiceDatagram::check(&inside[..]).expect("it is voice");
        all[place].push((voice.user_id().0, voice.sequence()));
    }
    for (place, all) in all.iter().enumerate() {
        for user in 1..=3 {
            let of_user = all.iter().filter(|(id, _)| *id == user);
            let expected = if user == place as u64 + 2 { 0 } else { 50 };
            let sequences: Vec<u32> = of_user.map(|(_, sequence)| *sequence).collect();
            assert!(sequences.iter().copied().eq(0..expected), "{sequences:?}");
        }
    }
    assert_eq!(room.switchboard.counters().occurred().count(), 0);
}

#[test]
fn rule_15l_the_banned_are_neither_heard_nor_challenged() {
    let mut room = Room::new(unlimited(2));
    room.enter([192, 0, 2, 1]);
    let mut person = room.enter_sealed([192, 0, 2, 2]);
    let bans = BanList::parse("198.51.100.0/24").expect("it is a network");
    room.switchboard.set_bans(bans, &mut Nobody);
    let answers = room.port.socket.answers;
    room.heard();
    let banned = SocketAddr::from(([198, 51, 100, 7], 1));
    for datagram in [person.voice(1), person.ask()] {
        room.arrive(banned, datagram);
        room.poll();
    }
    assert_eq!(room.port.socket.answers, answers);
    assert!(room.heard().is_empty());
    assert_eq!(room.dropped(VoiceDropped::AuthBanned), 2);
    let voice = person.voice(2);
    room.arrive(person.address, voice);
    room.poll();
    assert_eq!(room.heard(), [(2, 2)]);
    // Elsewhere is not banned: heard at once, and asked.
    let voice = person.voice(3);
    room.arrive(([203, 0, 113, 7], 1).into(), voice);
    room.poll();
    assert_eq!(room.heard(), [(2, 3)]);
    assert_eq!(room.port.socket.answers, answers + 1);
}

#[test]
fn the_servers_own_port_is_no_sealed_address_either() {
    let mut room = Room::new(unlimited(2));
    room.enter([192, 0, 2, 1]);
    let mut person = room.come_sealed([192, 0, 2, 2]);
    room.heard();
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let answers = room.port.socket.answers;
    for datagram in [person.ask(), person.voice(1)] {
        room.arrive(own, datagram);
        room.poll();
    }
    assert_eq!(room.port.socket.answers, answers);
    assert!(room.heard().is_empty());
    assert_eq!(room.dropped(VoiceDropped::AuthOwnAddress), 2);
}

#[test]
fn rule_15a_sealed_voice_that_waits_gets_too_old_like_any_other() {
    let mut room = Room::new(Limits {
        voice_age: Duration::from_millis(500),
        ..unlimited(2)
    });
    room.enter([192, 0, 2, 1]);
    let mut person = room.enter_sealed([192, 0, 2, 2]);
    room.heard();
    let voice = person.voice(1);
    room.arrive(person.address, voice);
    let question = person.ask();
    room.arrive(person.address, question);
    let answers = room.port.socket.answers;
    room.pass(501);
    room.poll();
    assert!(room.heard().is_empty());
    assert_eq!(room.dropped(VoiceDropped::TooLate), 1);
    assert_eq!(
        room.port.socket.answers,
        answers + 1,
        "a proof is never late"
    );
}
