//! A world to tell stories in: the switchboard, a clock that moves when it is told to, and wires
//! that keep what was delivered until somebody listens.
//!
//! Whatever is delivered must be whole packets for a connection that is alive, and every response
//! must carry the number of the oldest request that waits for one: [`World::heard`] sees to it in
//! every story.

#![allow(dead_code, reason = "no test binary uses all of it")]

pub mod random;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::event::{ConnectionId, Now, UdpPath, UserId, VoiceToken};
use voiceapp_server::protocol::{
    Asked, Caps, Frame, FrameBuffer, Granted, Greeting, Packet, Participant, Reason, Refusal,
};
use voiceapp_server::relay::Verdict;
use voiceapp_server::switchboard::{Deliver, Switchboard};
use voiceapp_server::{BanList, HashKey, Limits};

/// What a client asks for that knows reasons and the newer packets.
pub const EXTENDED: Asked<'static> = Asked {
    caps: Caps::EXTENDED,
    password: None,
    name_proof: None,
    client: None,
};

pub struct World {
    pub switchboard: Switchboard,
    pub now: Now,
    wires: Wires,
    last_token: u64,
    last_address: u32,
    last_request: u64,
}

/// Someone who has logged in, as they know themselves from the LoginResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub connection: ConnectionId,
    pub id: u64,
    pub token: u64,
}

impl From<Person> for ConnectionId {
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

impl World {
    pub fn new(max_users: usize) -> Self {
        World::with(Limits {
            users: max_users,
            ..Limits::default()
        })
    }

    pub fn with(limits: Limits) -> Self {
        World {
            switchboard: Switchboard::new(limits, HashKey(1, 2)),
            now: Now {
                instant: Instant::now(),
                unix_ms: 1_000_000,
            },
            wires: Wires::default(),
            last_token: 0xbead_0000,
            last_address: 0x0a00_0000,
            last_request: 0,
        }
    }

    /// A world of at most a hundred, where these have logged in, as 1, 2, 3…, and nobody has heard
    /// anything since.
    pub fn of<const N: usize>(names: [&str; N]) -> (Self, [Person; N]) {
        let mut world = World::new(100);
        let people = names.map(|name| world.login(name));
        world.hush();
        (world, people)
    }

    pub fn wait(&mut self, duration: Duration) {
        self.now.instant += duration;
        self.now.unix_ms += duration.as_millis() as u64;
    }

    /// Accepts a connection from an address of its own.
    pub fn try_connect(&mut self) -> Result<ConnectionId, Cause> {
        self.last_address += 1;
        self.try_connect_from(Ipv4Addr::from(self.last_address).into())
    }

    /// Accepts a connection, which gets the lowest id that is free, and ends another if that is to go
    /// for it, as the loop does.
    pub fn try_connect_from(&mut self, address: IpAddr) -> Result<ConnectionId, Cause> {
        let wires = &mut self.wires.all;
        let index = wires.iter().position(|wire| !wire.is_connected);
        let index = index.unwrap_or_else(|| {
            wires.push(Wire::default());
            wires.len() - 1
        });
        let connection = ConnectionId(index as u32);
        self.last_token += 1;
        let token = VoiceToken(self.last_token);
        let (switchboard, wires) = (&mut self.switchboard, &mut self.wires);
        switchboard.handle_connect(self.now, connection, address, token, wires)?;
        self.wires.all[index] = Wire {
            token: self.last_token,
            is_connected: true,
            ..Wire::default()
        };
        self.end_marked();
        Ok(connection)
    }

    pub fn connect(&mut self) -> ConnectionId {
        self.try_connect().expect("there is room for a connection")
    }

    /// The token that the connection was accepted with.
    pub fn token_of(&mut self, connection: impl Into<ConnectionId>) -> u64 {
        self.wires.of(connection.into()).token
    }

    pub fn disconnect(&mut self, connection: impl Into<ConnectionId>, cause: Ended) {
        let connection = connection.into();
        self.wires.all[connection.0 as usize].is_connected = false;
        self.switchboard
            .handle_disconnect(self.now, connection, cause, &mut self.wires);
    }

    pub fn is_connected(&mut self, connection: impl Into<ConnectionId>) -> bool {
        self.wires.of(connection.into()).is_connected
    }

    /// Ends whatever connections have had their time to log in, and tells what was not told yet, as
    /// the loop does at its tick.
    pub fn tick(&mut self) {
        while self.switchboard.handle_tick(self.now, &mut self.wires) {
            self.end_marked();
        }
    }

    /// Bans these and nobody else, and returns who is to end because of it and has.
    pub fn ban(&mut self, bans: BanList) -> Vec<ConnectionId> {
        self.switchboard.set_bans(bans, &mut self.wires);
        let ended = self.wires.ends.iter().map(|&(connection, cause)| {
            assert_eq!(cause, Ended::Banned);
            connection
        });
        let ended = ended.collect();
        self.end_marked();
        ended
    }

    /// Disconnects a user, as an application may.
    pub fn end_user(&mut self, person: Person) {
        let id = UserId(person.id);
        assert!(self.switchboard.end_user(id, &mut self.wires));
        self.end_marked();
    }

    /// How many are logged in.
    pub fn users(&self) -> usize {
        self.switchboard.management().user_count()
    }

    /// Ends who is to end, as the loop does.
    fn end_marked(&mut self) {
        for (connection, cause) in std::mem::take(&mut self.wires.ends) {
            assert!(self.is_connected(connection), "it has ended already");
            self.disconnect(connection, cause);
        }
    }

    /// Sends a frame as it is; ends the connection if the switchboard says so, as the loop does.
    pub fn send_raw(&mut self, from: impl Into<ConnectionId>, id: u8, payload: &[u8]) {
        let from = from.into();
        let frame = Frame { id, payload };
        self.switchboard
            .handle_frame(self.now, from, frame, &mut self.wires);
        self.end_marked();
    }

    pub fn send(&mut self, from: impl Into<ConnectionId>, packet: &Packet) {
        let wire = encode(packet);
        let frame = Frame::first_of(&wire).expect("an encoded packet is a frame");
        self.send_raw(from, frame.id, frame.payload);
    }

    fn request<'a>(
        &mut self,
        from: impl Into<ConnectionId>,
        packet: impl FnOnce(u64) -> Packet<'a>,
    ) {
        let from = from.into();
        self.last_request += 1;
        let waiting = &mut self.wires.of(from).unanswered;
        waiting.push_back(self.last_request);
        self.send(from, &packet(self.last_request));
    }

    /// Sends a LoginRequest that asks for nothing, and reads who they are now from the response.
    pub fn log_in(
        &mut self,
        connection: impl Into<ConnectionId>,
        username: &str,
    ) -> Option<Person> {
        self.log_in_asking(connection, username, None)
    }

    /// Sends a LoginRequest, and reads who they are now from the response.
    pub fn log_in_asking(
        &mut self,
        connection: impl Into<ConnectionId>,
        username: &str,
        asked: Option<Asked<'_>>,
    ) -> Option<Person> {
        let connection = connection.into();
        let answer_at = self.wires.of(connection).bytes.len();
        self.request(connection, |request_id| Packet::LoginRequest {
            request_id,
            username,
            asked,
        });
        let wire = self.wires.of(connection);
        let answer = Frame::first_of(&wire.bytes[answer_at..]).expect("a login is answered");
        let Ok(Packet::LoginResponse {
            id, voice_token, ..
        }) = answer.parse()
        else {
            panic!("a login is answered with a LoginResponse first");
        };
        (id.0 != 0).then(|| {
            assert_eq!(voice_token.0, wire.token);
            Person {
                connection,
                id: id.0,
                token: voice_token.0,
            }
        })
    }

    pub fn login(&mut self, username: &str) -> Person {
        let connection = self.connect();
        self.log_in(connection, username)
            .expect("the login is accepted")
    }

    /// The same with a client that knows reasons and the newer packets.
    pub fn login_extended(&mut self, username: &str) -> Person {
        let connection = self.connect();
        self.log_in_asking(connection, username, Some(EXTENDED))
            .expect("the login is accepted")
    }

    pub fn join(&mut self, from: impl Into<ConnectionId>) {
        self.request(from, |request_id| Packet::JoinVoiceChannelRequest {
            request_id,
        });
    }

    pub fn leave(&mut self, from: impl Into<ConnectionId>) {
        self.request(from, |request_id| Packet::LeaveVoiceChannelRequest {
            request_id,
        });
    }

    pub fn chat(&mut self, from: impl Into<ConnectionId>, message: &str) {
        self.request(from, |request_id| Packet::ChatMessageRequest {
            request_id,
            message,
        });
    }

    pub fn ping(&mut self, from: impl Into<ConnectionId>) {
        self.request(from, |request_id| Packet::PingRequest { request_id });
    }

    pub fn mute(&mut self, from: impl Into<ConnectionId>, is_muted: bool) {
        let user_id = UserId(0);
        self.send(from, &Packet::UserMuteState { user_id, is_muted });
    }

    /// What was delivered to this connection since it was last asked, in words: see [`describe`].
    pub fn heard(&mut self, connection: impl Into<ConnectionId>) -> Vec<String> {
        let wire = self.wires.of(connection.into());
        let mut buffer = FrameBuffer::new();
        buffer.extend(&std::mem::take(&mut wire.bytes));
        let mut heard = Vec::new();
        while let Some(frame) = buffer.next_frame() {
            let packet = frame.parse().expect("the server sends packets only");
            if let Some(request_id) = answered(&packet) {
                assert_eq!(wire.unanswered.pop_front(), Some(request_id), "{packet:?}");
            }
            heard.push(describe(&packet));
        }
        assert!(buffer.is_empty(), "the server sends whole frames only");
        assert!(wire.unanswered.is_empty(), "a request was not answered");
        heard
    }

    /// How many bytes were delivered to this connection since it was last asked. Refusals among them are
    /// remembered.
    pub fn heard_bytes(&mut self, connection: impl Into<ConnectionId>) -> usize {
        let connection = connection.into();
        let bytes = self.wires.of(connection).bytes.len();
        let refused = self.heard(connection);
        let refused = refused.iter().filter(|it| it.ends_with(" false")).count();
        self.wires.of(connection).refused += refused;
        bytes
    }

    /// How many requests of a connection were refused, as far as its [bytes](Self::heard_bytes) were
    /// asked for.
    pub fn refusals(&mut self, connection: impl Into<ConnectionId>) -> usize {
        self.wires.of(connection.into()).refused
    }

    /// Forgets whatever was delivered to anyone.
    pub fn hush(&mut self) {
        for wire in &mut self.wires.all {
            wire.bytes.clear();
            wire.unanswered.clear();
        }
    }

    pub fn send_datagram(&mut self, source: UdpPath, datagram: &[u8]) -> Outcome {
        let mut slot = datagram.to_vec();
        match self
            .switchboard
            .handle_datagram(self.now, source, &mut slot)
        {
            Verdict::Relay {
                frame, recipients, ..
            } => {
                let mut to: Vec<UdpPath> = recipients.iter().copied().collect();
                assert_eq!(to.len(), recipients.len());
                assert_eq!(to.is_empty(), recipients.is_empty());
                to.sort_by_key(|peer| peer.remote);
                let frame = frame.to_vec();
                Outcome::Relayed { frame, to }
            }
            Verdict::Answer(answer) => Outcome::Answered(answer.to_vec()),
            Verdict::AnswerSealed(answer) => Outcome::Answered(answer.to_vec()),
            Verdict::AnswerAndEnd(answer) => Outcome::AnsweredAndEnded(answer.to_vec()),
            Verdict::Drop(cause) => Outcome::Dropped(cause.into()),
        }
    }

    /// Sends a VoiceAuthRequest, and reads from the answer whether it was accepted.
    pub fn prove(&mut self, token: u64, source: UdpPath) -> Result<bool, Cause> {
        self.last_request += 1;
        let request_id = self.last_request;
        let voice_token = VoiceToken(token);
        let request = encode(&Packet::VoiceAuthRequest {
            request_id,
            voice_token,
        });
        match self.send_datagram(source, &request) {
            Outcome::Answered(answer) | Outcome::AnsweredAndEnded(answer) => {
                let success = answer[11] != 0;
                let response = Packet::VoiceAuthResponse {
                    request_id,
                    success,
                };
                assert_eq!(answer, encode(&response));
                Ok(success)
            }
            Outcome::Dropped(cause) => Err(cause),
            relayed => panic!("{relayed:?} in answer to a VoiceAuthRequest"),
        }
    }

    /// Proves the address to be this person's, and joins voice.
    pub fn join_from(&mut self, person: Person, source: UdpPath) {
        assert_eq!(self.prove(person.token, source), Ok(true));
        self.join(person);
    }

    /// Sends 20 ms of voice, which takes 20 ms, and reads who gets it.
    pub fn speak(&mut self, source: UdpPath) -> Result<Vec<UdpPath>, Cause> {
        self.wait(Duration::from_millis(20));
        match self.send_datagram(source, &voice(0, b"opus")) {
            Outcome::Relayed { to, .. } => Ok(to),
            Outcome::Dropped(cause) => Err(cause),
            answered => panic!("{answered:?} in answer to voice"),
        }
    }

    pub fn counted(&self) -> Vec<(Cause, u64)> {
        self.switchboard.counters().occurred().collect()
    }
}

#[derive(Default)]
struct Wires {
    /// By connection. One that has ended can be read until the next has its id.
    all: Vec<Wire>,
    /// Connections that are to end.
    ends: Vec<(ConnectionId, Ended)>,
}

#[derive(Default)]
struct Wire {
    is_connected: bool,
    /// Whether it is to end: nothing more is delivered to it.
    is_ending: bool,
    bytes: Vec<u8>,
    /// Requests that wait for their response, the oldest first.
    unanswered: VecDeque<u64>,
    refused: usize,
    token: u64,
}

impl Wires {
    fn of(&mut self, connection: ConnectionId) -> &mut Wire {
        let wire = self.all.get_mut(connection.0 as usize);
        wire.expect("there was such a connection")
    }
}

impl Deliver for Wires {
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        let wire = self.of(to);
        assert!(wire.is_connected, "something for who has gone");
        if wire.is_ending {
            return;
        }
        wire.bytes.extend_from_slice(frames);
    }

    fn end(&mut self, connection: ConnectionId, cause: Ended) {
        self.of(connection).is_ending = true;
        self.ends.push((connection, cause));
    }
}

pub fn encode(packet: &Packet) -> Vec<u8> {
    let mut wire = Vec::new();
    packet.encode(&mut wire).expect("the packet fits");
    wire
}

/// A VoiceData datagram.
pub fn voice(user_id: u64, data: &[u8]) -> Vec<u8> {
    encode(&Packet::VoiceData {
        user_id: UserId(user_id),
        sequence: 0x0102_0304,
        timestamp: 0x0506_0708,
        data,
    })
}

fn answered(packet: &Packet) -> Option<u64> {
    match *packet {
        Packet::LoginResponse { request_id, .. }
        | Packet::JoinVoiceChannelResponse { request_id, .. }
        | Packet::LeaveVoiceChannelResponse { request_id, .. }
        | Packet::ChatMessageResponse { request_id, .. }
        | Packet::PingResponse { request_id } => Some(request_id),
        _ => None,
    }
}

/// What a client learns from a packet on TCP.
fn describe(packet: &Packet) -> String {
    match packet {
        Packet::LoginResponse {
            id,
            voice_token,
            participants,
            granted,
            ..
        } => {
            assert_eq!(id.0 == 0, voice_token.0 == 0);
            let people: Vec<_> = participants.iter().map(person).collect();
            let granted = granted.map(granted_in_words).unwrap_or_default();
            if id.0 == 0 && people.is_empty() {
                format!("login refused{granted}")
            } else {
                format!("welcome {id}: {}{granted}", people.join(", "))
            }
        }
        Packet::JoinVoiceChannelResponse {
            success, reason, ..
        } => format!("join {success}{}", in_brackets(*reason)),
        Packet::LeaveVoiceChannelResponse {
            success, reason, ..
        } => format!("leave {success}{}", in_brackets(*reason)),
        Packet::ChatMessageResponse {
            success, reason, ..
        } => format!("chat {success}{}", in_brackets(*reason)),
        Packet::PingResponse { .. } => "pong".into(),
        Packet::UserJoinedServer { participant } => {
            format!("joined server: {}", person(*participant))
        }
        Packet::UserJoinedVoice { user_id } => format!("joined voice: {user_id}"),
        Packet::UserLeftVoice { user_id } => format!("left voice: {user_id}"),
        Packet::UserLeftServer { user_id } => format!("left server: {user_id}"),
        Packet::UserSentMessage {
            user_id,
            timestamp_ms,
            message,
        } => format!("{user_id} said at {timestamp_ms}: {message}"),
        Packet::UserMuteState { user_id, is_muted } => {
            let state = if *is_muted { "muted" } else { "unmuted" };
            format!("{state}: {user_id}")
        }
        Packet::UserFlags { user_id, flags } => format!("flags: {user_id} {}", flags.0),
        Packet::Ended { reason, text } => format!("ended: {} {text}", reason.number()),
        other => panic!("a server does not send {other:?} on TCP"),
    }
}

/// Nothing, for a client that has not asked.
fn in_brackets(reason: Option<Reason>) -> String {
    reason.map_or(String::new(), |it| format!(" ({})", it.number()))
}

fn granted_in_words(granted: Granted) -> String {
    let mut words = format!(" [{}]", granted.caps.0);
    if let Some(Refusal { reason, text }) = granted.refusal {
        words += &format!(" {} {text}", reason.number());
    }
    if let Some(Greeting { name, welcome }) = granted.server {
        words += &format!(" {name}: {welcome}");
    }
    if let Some(port) = granted.voice_port {
        words += &format!(" voice on {port}");
    }
    if let Some(key_id) = granted.key_id {
        words += &format!(" key {key_id}");
    }
    words
}

fn person(participant: Participant) -> String {
    let voice = if participant.in_voice { " (voice)" } else { "" };
    let muted = if participant.is_muted { " (muted)" } else { "" };
    format!(
        "{} {}{voice}{muted}",
        participant.user_id, participant.username
    )
}
