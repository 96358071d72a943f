//! The oracle: what the server must do, told as plainly as the protocol tells it. Vectors, linear
//! scans, and one function for each rule; nothing here is taken from the server but the names of
//! its causes and its bounds.
//!
//! This file has most of the TCP side, rules 1 to 8. Who may come in is in [`door`], voice and mute states
//! are in [`state`], the UDP side is in [`voice`], and [`tap`] gives it the server's inputs and compares.

mod asking;
mod broadcasts;
mod bucket;
mod door;
mod login;
mod outputs;
mod sealed;
mod state;
mod tap;
mod voice;

pub use asking::Facts;
pub use door::{Ban, bits_of};
pub use tap::{OWN_IP, PORT, TapHandle, WaitingVoice};

use crate::wire::{self, Fields, Payload};
use broadcasts::Broadcasts;
use bucket::Bucket;
use door::Source;
use outputs::Outputs;
use sealed::{Envelopes, Seal};
use std::net::IpAddr;
use std::time::Duration;
use voice::Allowances;
use voiceapp_server::Limits;
use voiceapp_server::cause::{Cause, Counters};
use voiceapp_server::event::{ConnectionId, UdpPath};
use voiceapp_server::simulation::About;

/// Someone who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: u64,
    pub name: String,
    pub in_voice: bool,
    pub is_muted: bool,
    /// What the others have been told, and newcomers are.
    pub told_in_voice: bool,
    pub told_muted: bool,
    /// The others are to be told whether this user is muted even if they know.
    must_tell_mute: bool,
    /// When the others are told what they do not know, if there is something.
    pub owed_at: Option<Duration>,
    events: Bucket,
    /// The address that this user has proved, and the server's address that it was proved to.
    pub peer: Option<UdpPath>,
    chat: Bucket,
    voice_datagrams: Bucket,
    voice_bytes: Bucket,
    pub is_encrypted: bool,
    /// Where the voice is sealed.
    pub seal: Option<Seal>,
}

impl User {
    /// Appends this user's Participant.
    fn put(&self, payload: Payload) -> Payload {
        payload
            .u64(self.id)
            .string(self.name.as_bytes())
            .bool(self.told_in_voice)
            .bool(self.told_muted)
    }

    fn wire_len(&self) -> usize {
        8 + 2 + self.name.len() + 1 + 1
    }
}

pub struct Connection {
    pub id: ConnectionId,
    pub ip: IpAddr,
    pub token: u64,
    pub user: Option<User>,
    pub accepted: Duration,
    pub muted_before_login: bool,
    pub facts: Facts,
    /// The capabilities that it was granted, if it has asked.
    pub granted: Option<u32>,
    /// Whether the server wants it to end. A stranger has no place any more from then on.
    pub is_ended: bool,
}

impl Connection {
    pub fn is_pending(&self) -> bool {
        self.user.is_none() && !self.is_ended
    }
}

pub struct Model {
    pub limits: Limits,
    /// In the order in which they came.
    pub connections: Vec<Connection>,
    sources: Vec<Source>,
    pub about: About,
    bans: Vec<Ban>,
    last_user_id: u64,
    last_chat_ms: u64,
    pub users_at_most: usize,
    /// What the current input must bring about.
    sent: Outputs,
    pub counters: Counters,
    allowances: Allowances,
    pub envelopes: Envelopes,
    /// What everyone was made to read.
    broadcasts: Broadcasts,
    /// The frame that is handled was a login that is refused.
    is_refused: bool,
}

impl Model {
    pub fn new(limits: Limits) -> Self {
        Model {
            limits,
            connections: Vec::new(),
            sources: Vec::new(),
            about: About::default(),
            bans: Vec::new(),
            last_user_id: 0,
            last_chat_ms: 0,
            users_at_most: 0,
            sent: Outputs::default(),
            counters: Counters::new(),
            allowances: Allowances::default(),
            envelopes: Envelopes::default(),
            broadcasts: Broadcasts::of_all(&limits),
            is_refused: false,
        }
    }

    /// One frame is handled.
    pub fn frame(
        &mut self,
        at: Duration,
        unix_ms: u64,
        from: ConnectionId,
        packet_id: u8,
        payload: &[u8],
    ) {
        if !wire::FROM_CLIENTS.contains(&packet_id) {
            let is_known = wire::is_known(packet_id);
            self.counters.count(if is_known {
                Cause::FrameUnexpectedId
            } else {
                Cause::FrameUnknownId
            });
            return;
        }
        assert!(!self.connection(from).is_ended, "it was to be ended");
        let is_whole = self.packet(at, unix_ms, from, packet_id, &mut Fields(payload));
        if std::mem::take(&mut self.is_refused) {
            self.end(from, Cause::ClosedLoginRefused);
        } else if is_whole.is_none() {
            self.end(from, Cause::ClosedMalformed);
        }
    }

    /// The server wants a connection to end.
    pub fn end(&mut self, id: ConnectionId, cause: Cause) {
        self.say_that_it_ends(id, cause);
        self.connection(id).is_ended = true;
        self.sent.ends.push((id, cause));
    }

    /// None if the payload is shorter than its fields or not UTF-8.
    fn packet(
        &mut self,
        at: Duration,
        unix_ms: u64,
        from: ConnectionId,
        packet_id: u8,
        fields: &mut Fields<'_>,
    ) -> Option<()> {
        let first = fields.u64()?;
        match packet_id {
            wire::LOGIN_REQUEST => {
                let name = fields.string()?;
                let asked = wire::asked(fields.0)?;
                self.login(at, from, first, name, asked);
            }
            wire::JOIN_REQUEST => self.move_in_voice(at, from, first, wire::JOIN_RESPONSE, true),
            wire::LEAVE_REQUEST => self.move_in_voice(at, from, first, wire::LEAVE_RESPONSE, false),
            wire::CHAT_REQUEST => self.chat(at, unix_ms, from, first, fields.string()?),
            wire::PING_REQUEST => {
                let pong = Payload::new().u64(first).frame(wire::PING_RESPONSE);
                self.sent.send(from, &pong);
            }
            wire::USER_MUTE_STATE => self.mute(at, from, fields.bool()?),
            _ => unreachable!("a client may not send it"),
        }
        Some(())
    }

    fn chat(
        &mut self,
        at: Duration,
        unix_ms: u64,
        from: ConnectionId,
        request_id: u64,
        message: &str,
    ) {
        let longest = self.limits.chat_bytes;
        let may_say = self.may_broadcast(at, from, 21 + message.len(), 1);
        let user = self.connection(from).user.as_mut();
        let refused = if message.is_empty() {
            Some(Cause::ChatEmpty)
        } else if message.len() > longest {
            Some(Cause::ChatTooLong)
        } else if user.is_some_and(|user| !user.chat.has(at, 1)) {
            Some(Cause::ChatTooFast)
        } else {
            (!may_say).then_some(Cause::BroadcastTooMuch)
        };
        // Not allowed, or too often.
        let reason = refused.map(|cause| match cause {
            Cause::ChatEmpty | Cause::ChatTooLong => 11,
            _ => 6,
        });
        if !self.answer(from, request_id, wire::CHAT_RESPONSE, reason) {
            return;
        }
        if let Some(cause) = refused {
            self.counters.count(cause);
            return;
        }
        self.user(from).chat.take(at, 1);
        self.broadcast(at, from, 21 + message.len(), 1);
        // The wall clock, unless it would not rise.
        self.last_chat_ms = if unix_ms > self.last_chat_ms {
            unix_ms
        } else {
            self.last_chat_ms + 1
        };
        let message = Payload::new()
            .u64(self.user(from).id)
            .u64(self.last_chat_ms)
            .string(message.as_bytes())
            .frame(wire::USER_SENT_MESSAGE);
        self.sent.send(from, &message);
        self.tell_others(from, &message);
    }

    pub fn disconnect(&mut self, at: Duration, id: ConnectionId, cause: Cause) {
        self.counters.count(cause);
        if let Some(user) = &self.connection(id).user {
            let events = 1 + usize::from(user.told_in_voice);
            self.broadcast(at, id, 12, events);
        }
        let place = self.connections.iter().position(|c| c.id == id);
        let gone = self.connections.remove(place.expect("it is connected"));
        if let Some(key_id) = gone.facts.key_id {
            self.envelopes.forget(key_id, u64::MAX);
        }
        let Some(user) = gone.user else { return };
        let who = Payload::new().u64(user.id);
        if user.told_in_voice {
            self.tell_others(id, &who.frame(wire::USER_LEFT_VOICE));
        }
        self.tell_others(id, &who.frame(wire::USER_LEFT_SERVER));
    }

    /// Everyone whose time to log in is over, the first of them first.
    pub fn overdue(&self, at: Duration) -> Vec<ConnectionId> {
        let strangers = self.connections.iter().filter(|c| c.is_pending());
        strangers
            .filter(|c| at >= c.accepted + self.limits.login_timeout)
            .map(|c| c.id)
            .collect()
    }

    pub fn next_deadline(&self) -> Option<Duration> {
        let strangers = self.connections.iter().filter(|c| c.is_pending());
        let logins = strangers.map(|c| c.accepted + self.limits.login_timeout);
        let users = self.connections.iter().flat_map(|c| &c.user);
        logins.chain(users.flat_map(|user| user.owed_at)).min()
    }

    pub fn pending_count(&self) -> usize {
        self.connections.iter().filter(|c| c.is_pending()).count()
    }

    /// Everyone who is logged in, by rising id.
    pub fn users(&self) -> Vec<&User> {
        let mut users: Vec<&User> = self.connections.iter().flat_map(|c| &c.user).collect();
        users.sort_by_key(|user| user.id);
        users
    }

    pub fn count_users(&self, which: impl Fn(&User) -> bool) -> usize {
        let users = self.connections.iter().flat_map(|c| &c.user);
        users.filter(|&user| which(user)).count()
    }

    /// Answers a request, with false for a reason or if it came before the login. True if the request is to take
    /// its course.
    pub fn answer(
        &mut self,
        to: ConnectionId,
        request_id: u64,
        response: u8,
        refused: Option<u8>,
    ) -> bool {
        let is_logged_in = self.connection(to).user.is_some();
        if !is_logged_in {
            self.counters.count(Cause::RequestBeforeLogin);
        }
        let is_yes = refused.is_none() && is_logged_in;
        let mut answer = Payload::new().u64(request_id).bool(is_yes);
        if self.connection(to).is_extended() {
            answer = answer.bytes(&[refused.unwrap_or(0)]);
        }
        self.sent.send(to, &answer.frame(response));
        is_logged_in
    }

    pub fn tell_others(&mut self, except: ConnectionId, frame: &[u8]) {
        for connection in &self.connections {
            if connection.user.is_some() && connection.id != except {
                self.sent.send(connection.id, frame);
            }
        }
    }

    /// The same to those of them who know the newer packets.
    fn tell_extended_others(&mut self, except: ConnectionId, frame: &[u8]) {
        for connection in &self.connections {
            let is_meant = connection.user.is_some() && connection.is_extended();
            if is_meant && connection.id != except {
                self.sent.send(connection.id, frame);
            }
        }
    }

    /// The token of a connection.
    pub fn token_of(&self, id: ConnectionId) -> Option<u64> {
        let connection = self.connections.iter().find(|c| c.id == id)?;
        Some(connection.token)
    }

    pub fn connection(&mut self, id: ConnectionId) -> &mut Connection {
        let mut connections = self.connections.iter_mut();
        connections.find(|c| c.id == id).expect("it is connected")
    }

    pub fn user(&mut self, id: ConnectionId) -> &mut User {
        let user = self.connection(id).user.as_mut();
        user.expect("it is logged in")
    }
}
