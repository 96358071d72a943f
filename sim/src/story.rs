//! Stories: the same world with nothing that goes wrong, told in a few words. Each sentence happens at once and completely, with
//! the oracle looking on; what somebody heard can be asked for in words.

use crate::client::Request;
use crate::client::picture::Sent as Written;
use crate::kernel::air::Sent;
use crate::model::{Ban, bits_of};
use crate::odds::Odds;
use crate::wire::{self, Payload};
use crate::world::World;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::{Cause, Counters};
use voiceapp_server::event::UdpPath;
use voiceapp_server::switchboard::Switchboard;

pub struct Story {
    pub world: World,
    last_address: u32,
    last_request: u64,
}

/// A connection, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection(pub u64);

/// Someone who has logged in, as they know themselves from the LoginResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub connection: Connection,
    pub id: u64,
    pub token: u64,
}

impl From<Person> for Connection {
    fn from(person: Person) -> Self {
        person.connection
    }
}

/// What came of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Relayed { frame: Vec<u8>, to: Vec<UdpPath> },
    Answered(Vec<u8>),
    AnsweredAndEnded(Vec<u8>),
    Dropped(Cause),
}

/// The address with this port, for as many clients as a story needs.
pub fn at(port: u16) -> UdpPath {
    UdpPath {
        remote: ([192, 0, 2, 1], port).into(),
        local: None,
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

impl Story {
    pub fn new(max_users: usize) -> Self {
        Story::with(Limits {
            users: max_users,
            ..Limits::default()
        })
    }

    pub fn with(limits: Limits) -> Self {
        let mut world = World::new(crate::chance::Chance::Seed(0), Odds::none(limits));
        let mut tap = world.tap.get();
        tap.air.records = true;
        drop(tap);
        world.set_unix_ms(1_000_000);
        Story {
            world,
            last_address: 0x0a00_0000,
            last_request: 0,
        }
    }

    /// A world of at most a hundred, where these have logged in, as 1, 2, 3…, and nobody has heard anything
    /// since.
    pub fn of<const N: usize>(names: [&str; N]) -> (Self, [Person; N]) {
        let mut story = Story::new(100);
        let people = names.map(|name| story.login(name));
        story.hush();
        (story, people)
    }

    pub fn switchboard(&self) -> &Switchboard {
        self.world.core.switchboard()
    }

    /// Time passes, and whatever is due in it happens.
    pub fn wait(&mut self, duration: Duration) {
        self.world.pass(duration);
    }

    /// Somebody sets the wall clock.
    pub fn set_unix_ms(&mut self, unix_ms: u64) {
        self.world.set_unix_ms(unix_ms);
    }

    /// Connects from an address of its own.
    pub fn try_connect(&mut self) -> Result<Connection, Cause> {
        self.last_address += 1;
        self.try_connect_from(Ipv4Addr::from(self.last_address).into())
    }

    pub fn try_connect_from(&mut self, address: IpAddr) -> Result<Connection, Cause> {
        let before = self.world.core.counters();
        let serial = self.world.connect(address);
        let client = self.world.clients.get_mut(&serial).expect("it is here");
        client.picture.keeps_words = true;
        self.world.settle_now();
        match self.world.clients.contains_key(&serial) {
            true => Ok(Connection(serial)),
            false => Err(self.difference(&before).expect("it is counted")),
        }
    }

    /// What was counted since.
    fn difference(&self, before: &Counters) -> Option<Cause> {
        let after = self.world.core.counters();
        let mut counted = after
            .occurred()
            .filter(|&(it, count)| count > before.get(it));
        counted.next().map(|(cause, _)| cause)
    }

    pub fn connect(&mut self) -> Connection {
        self.try_connect().expect("there is room for a connection")
    }

    /// The token that the connection was accepted with.
    pub fn token_of(&mut self, connection: impl Into<Connection>) -> u64 {
        let client = &self.world.clients[&connection.into().0];
        let token = client.pipe.borrow().token;
        token.expect("it was taken in")
    }

    /// Somebody goes: in order, or by a connection that breaks.
    pub fn disconnect(&mut self, connection: impl Into<Connection>, cause: Cause) {
        let serial = connection.into().0;
        let client = self.world.clients.get_mut(&serial).expect("it is here");
        match cause {
            Cause::ClosedByPeer => client.wants_to_finish = true,
            Cause::ClosedBroken => client.vanish(true),
            other => panic!("{other:?} is nothing that a client does"),
        }
        self.world.settle_now();
    }

    pub fn is_connected(&self, connection: impl Into<Connection>) -> bool {
        self.world.clients.contains_key(&connection.into().0)
    }

    /// Bans these addresses or networks and nobody else.
    pub fn ban(&mut self, entries: &[&str]) {
        let ban = |entry: &&str| {
            let (first, len) = entry.split_once('/').unwrap_or((entry, ""));
            let bits = bits_of(ip(first));
            let shorter = if first.contains('.') { 96 } else { 0 };
            let len = len.parse::<u32>().map_or(128, |len| len + shorter);
            Ban { bits, len }
        };
        let bans = entries.iter().map(ban).collect();
        self.world.set_bans(bans, &entries.join("\n"));
        self.world.settle_now();
    }

    fn write(&mut self, from: impl Into<Connection>, frame: &[u8]) {
        let client = self.world.clients.get_mut(&from.into().0);
        client.expect("it is here").write_odd(frame);
        self.world.settle_now();
    }

    /// Sends a frame as it is, and says whether that ended the connection.
    pub fn send_raw(&mut self, from: impl Into<Connection>, id: u8, payload: &[u8]) {
        let from = from.into();
        if let Some(client) = self.world.clients.get_mut(&from.0) {
            client.has_written_malformed = true;
            if let (wire::USER_MUTE_STATE, Some(byte)) = (id, payload.get(8)) {
                client.picture.wrote(Written::Mute(*byte != 0));
            }
        }
        self.write(from, &wire::frame(id, payload));
    }

    fn request(&mut self, from: impl Into<Connection>, request: Request) {
        self.last_request += 1;
        let client = self.world.clients.get_mut(&from.into().0);
        client
            .expect("it is here")
            .request(self.last_request, request, &[]);
    }

    /// Sends a LoginRequest, and reads who they are now from the response.
    pub fn log_in(&mut self, connection: impl Into<Connection>, name: &str) -> Option<Person> {
        let connection = connection.into();
        self.request(connection, Request::LogIn(name.to_owned()));
        self.world.settle_now();
        let client = self.world.clients.get(&connection.0)?;
        let picture = &client.picture;
        Some(Person {
            connection,
            id: picture.id?,
            token: picture.token,
        })
    }

    /// Logs in with this behind the name: capabilities, and fields.
    pub fn ask(&mut self, name: &str, behind: Payload) -> Result<Person, Connection> {
        let connection = self.connect();
        let client = self.world.clients.get_mut(&connection.0);
        let client = client.expect("it is here");
        client.has_written_malformed = true;
        client.picture.asked = wire::asked(&behind.0).unwrap_or_default();
        self.last_request += 1;
        let request = Request::LogIn(name.to_owned());
        client.request(self.last_request, request, &behind.0);
        self.world.settle_now();
        let client = self.world.clients.get(&connection.0).ok_or(connection)?;
        let picture = &client.picture;
        Ok(Person {
            connection,
            id: picture.id.ok_or(connection)?,
            token: picture.token,
        })
    }

    pub fn login(&mut self, name: &str) -> Person {
        let connection = self.connect();
        self.log_in(connection, name)
            .expect("the login is accepted")
    }

    pub fn login_from(&mut self, address: IpAddr, name: &str) -> Person {
        let connection = self.try_connect_from(address).expect("there is room");
        self.log_in(connection, name)
            .expect("the login is accepted")
    }

    pub fn join(&mut self, from: impl Into<Connection>) {
        self.request(from, Request::Join);
        self.world.settle_now();
    }

    pub fn leave(&mut self, from: impl Into<Connection>) {
        self.request(from, Request::Leave);
        self.world.settle_now();
    }

    pub fn chat(&mut self, from: impl Into<Connection>, message: &str) {
        self.request(from, Request::Chat(message.to_owned()));
        self.world.settle_now();
    }

    pub fn ping(&mut self, from: impl Into<Connection>) {
        self.request(from, Request::Ping);
        self.world.settle_now();
    }

    pub fn mute(&mut self, from: impl Into<Connection>, is_muted: bool) {
        self.mute_as(from, 0, is_muted);
    }

    /// Mutes with this user's id in the packet.
    pub fn mute_as(&mut self, from: impl Into<Connection>, id: u64, is_muted: bool) {
        let client = self.world.clients.get_mut(&from.into().0);
        let as_byte = u8::from(is_muted);
        client.expect("it is here").mute(id, is_muted, as_byte);
        self.world.settle_now();
    }

    /// Several requests in one piece, and then what comes of them.
    pub fn all_at_once(&mut self, from: impl Into<Connection>, requests: Vec<Request>) {
        let from = from.into();
        for request in requests {
            self.request(from, request);
        }
        self.world.settle_now();
    }

    /// What this client was told since it was last asked, in words.
    pub fn heard(&mut self, connection: impl Into<Connection>) -> Vec<String> {
        let serial = connection.into().0;
        let world = &mut self.world;
        let client = world
            .clients
            .get_mut(&serial)
            .or(world.gone.get_mut(&serial));
        let picture = &mut client.expect("there was such a client").picture;
        assert!(!picture.has_part_of_a_frame(), "whole frames only");
        std::mem::take(&mut picture.words)
    }

    /// How many bytes this client was sent since it was last asked.
    pub fn heard_bytes(&mut self, connection: impl Into<Connection>) -> usize {
        let client = self.world.clients.get_mut(&connection.into().0);
        let picture = &mut client.expect("it is here").picture;
        std::mem::take(&mut picture.bytes_received)
    }

    /// Forgets whatever anyone was told.
    pub fn hush(&mut self) {
        for client in self.world.clients.values_mut() {
            client.picture.words.clear();
            client.picture.bytes_received = 0;
        }
    }

    pub fn send_datagram(&mut self, from: UdpPath, datagram: &[u8]) -> Outcome {
        let before = self.world.core.counters();
        self.world.tap.get().air.record.clear();
        let now = self.world.clock.get();
        self.world.tap.get().air.send(now, from, datagram);
        self.world.settle_now();
        let record = std::mem::take(&mut self.world.tap.get().air.record);
        match &record[..] {
            [Sent::Voice { frame, to }] => Outcome::Relayed {
                frame: frame.clone(),
                to: to.clone(),
            },
            [Sent::Answer { datagram, to }] if *to == from => Outcome::Answered(datagram.clone()),
            [
                Sent::Answer { datagram, to },
                Sent::Answer {
                    datagram: end,
                    to: also,
                },
            ] if *to == from && *also == from && end.is_empty() => {
                Outcome::AnsweredAndEnded(datagram.clone())
            }
            [] => Outcome::Dropped(self.difference(&before).expect("it is counted")),
            other => panic!("{other:?} came of one datagram"),
        }
    }

    /// Sends a VoiceAuthRequest, and reads from the answer whether it was accepted.
    pub fn prove(&mut self, token: u64, from: UdpPath) -> Result<bool, Cause> {
        self.last_request += 1;
        let question = Payload::new().u64(self.last_request).u64(token);
        match self.send_datagram(from, &question.frame(wire::VOICE_AUTH_REQUEST)) {
            Outcome::Answered(answer) | Outcome::AnsweredAndEnded(answer) => {
                let success = answer[11] != 0;
                let expected = Payload::new().u64(self.last_request).bool(success);
                assert_eq!(answer, expected.frame(wire::VOICE_AUTH_RESPONSE));
                Ok(success)
            }
            Outcome::Dropped(cause) => Err(cause),
            relayed => panic!("{relayed:?} in answer to a VoiceAuthRequest"),
        }
    }

    /// Proves the address to be this person's, and joins voice.
    pub fn join_from(&mut self, person: Person, from: UdpPath) {
        assert_eq!(self.prove(person.token, from), Ok(true));
        self.join(person);
    }

    /// Sends 20 ms of voice, which takes 20 ms, and reads who gets it.
    pub fn speak(&mut self, from: UdpPath) -> Result<Vec<UdpPath>, Cause> {
        self.wait(Duration::from_millis(20));
        match self.send_datagram(from, &voice(0, b"opus")) {
            Outcome::Relayed { to, .. } => Ok(to),
            Outcome::Dropped(cause) => Err(cause),
            answered => panic!("{answered:?} in answer to voice"),
        }
    }

    /// Sends all these at once, and says how many were relayed.
    pub fn relayed(&mut self, datagrams: &[(UdpPath, &[u8])]) -> usize {
        let before = self.world.tap.get().air.sent;
        let now = self.world.clock.get();
        // As many as are read and sent together.
        for some in datagrams.chunks(64) {
            for (from, datagram) in some {
                self.world.tap.get().air.send(now, *from, datagram);
            }
            self.world.settle_now();
        }
        (self.world.tap.get().air.sent - before) as usize
    }

    pub fn counted(&self) -> Vec<(Cause, u64)> {
        self.world.core.counters().occurred().collect()
    }
}

/// A VoiceData datagram.
pub fn voice(user_id: u64, data: &[u8]) -> Vec<u8> {
    let fields = Payload::new()
        .u64(user_id)
        .u32(0x0102_0304)
        .u32(0x0506_0708);
    fields.bytes(data).frame(wire::VOICE_DATA)
}
