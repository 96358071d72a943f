//! Management: who is logged in, what they are called, what they say, who is in voice and who is
//! muted.
//!
//! A pure state machine, with rules 1 to 8 of the protocol. It is told of connections, their frames
//! and the time, and answers with frames and events in an [`Outbox`]. It owns no socket, reads no
//! clock, draws no random number, and knows nothing of addresses or of the relay.

mod journal;
mod outbox;
mod sources;
#[cfg(test)]
mod tests;
mod user;

pub use outbox::{Outbox, To};

use crate::cause::{Cause, Counters};
use crate::event::{ConnectionId, Event, Now, Source, UserId, VoiceToken};
use crate::hash::HashKey;
use crate::limits::{
    BROADCAST_OVERHEAD_BYTES, BROADCAST_RETRY, CHAT_BURST, FRAME_HEADER_BYTES, Limits,
    PAYLOAD_BYTES_MAX, STATE_BURST,
};
use crate::name;
use crate::protocol::Participants;
use crate::protocol::{
    Frame, LOGIN_RESPONSE_FIXED_BYTES, Packet, PacketError, PacketInfo, Transport,
};
use crate::rate::RateLimit;
use journal::Journal;
use sources::Sources;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;
use user::User;

/// One connection: a stranger until it has logged in.
struct Session {
    address: IpAddr,
    token: VoiceToken,
    state: SessionState,
}

#[derive(Clone, Copy)]
enum SessionState {
    Pending { deadline: Deadline, is_muted: bool },
    LoggedIn(UserId),
}

/// When a connection must have logged in. The serial number tells apart what was accepted at the
/// same instant.
type Deadline = (Instant, u64);

/// The management server's state: see the [module](self).
pub struct ManagementServer {
    limits: Limits,
    chat_limit: RateLimit,
    state_limit: RateLimit,
    sources: Sources,
    /// By connection id.
    sessions: Vec<Option<Session>>,
    /// Connections that have not logged in, the one whose deadline is next first.
    pending: BTreeMap<Deadline, ConnectionId>,
    /// Everyone who is logged in, by rising id: a newcomer has the highest, and goes to the end.
    users: Vec<User>,
    /// Users whose state the others have not been told yet, by when they will be.
    untold: BTreeSet<(Instant, UserId)>,
    last_serial: u64,
    last_user_id: u64,
    last_chat_ms: u64,
    users_at_most: usize,
    chat_messages: u64,
    journal: Journal,
    counters: Counters,
}

impl ManagementServer {
    /// A server within these limits.
    pub fn new(limits: Limits, key: HashKey) -> Self {
        ManagementServer {
            limits,
            chat_limit: RateLimit::per_second(limits.chat_rate, CHAT_BURST),
            state_limit: RateLimit::per_second(limits.state_rate, STATE_BURST),
            sources: Sources::new(limits, key),
            sessions: Vec::new(),
            pending: BTreeMap::new(),
            users: Vec::with_capacity(limits.users),
            untold: BTreeSet::new(),
            last_serial: 0,
            last_user_id: 0,
            last_chat_ms: 0,
            users_at_most: 0,
            chat_messages: 0,
            journal: Journal::default(),
            counters: Counters::new(),
        }
    }

    /// A connection was accepted from this address. `token`, random and not 0, becomes its user's
    /// voice token if it logs in. Returns the connection to be ended, with
    /// [`Cause::ClosedCrowdedOut`], if too many have not logged in now: the one that has had the
    /// most time for it.
    ///
    /// # Errors
    ///
    /// One of the causes named `Refused…`: end the connection. It was not taken note of, and has been
    /// counted.
    pub fn handle_connect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        address: IpAddr,
        token: VoiceToken,
    ) -> Result<Option<ConnectionId>, Cause> {
        if let Err(cause) = self.sources.connect(now.instant, Source::of(address)) {
            self.counters.count(cause);
            return Err(cause);
        }
        let oldest = self.pending.first_key_value().map(|(_, &oldest)| oldest);
        let is_full = self.pending.len() >= self.limits.pending_connections;
        self.last_serial += 1;
        let deadline = (now.instant + self.limits.login_timeout, self.last_serial);
        self.pending.insert(deadline, connection);
        let index = connection.index();
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        debug_assert!(self.sessions[index].is_none(), "the id is in use");
        self.sessions[index] = Some(Session {
            address,
            token,
            state: SessionState::Pending {
                deadline,
                is_muted: false,
            },
        });
        Ok(oldest.filter(|_| is_full))
    }

    /// A whole frame arrived on a connection. Answers and events are added to `outbox`.
    ///
    /// # Errors
    ///
    /// [`Cause::ClosedMalformed`] and [`Cause::ClosedLoginRefused`]: end the connection, once its answers
    /// are on their way, and say so with [`handle_disconnect`](Self::handle_disconnect).
    pub fn handle_frame(
        &mut self,
        now: Now,
        connection: ConnectionId,
        frame: Frame<'_>,
        outbox: &mut Outbox,
    ) -> Result<(), Cause> {
        let Some(state) = self.session(connection).map(|session| session.state) else {
            debug_assert!(false, "a frame from an unknown connection");
            return Ok(());
        };
        let packet = PacketInfo::of(frame.id);
        if packet.is_some_and(|packet| !packet.may_client_send(Transport::Tcp)) {
            self.counters.count(Cause::FrameUnexpectedId);
            return Ok(());
        }
        let packet = match frame.parse() {
            Ok(packet) => packet,
            Err(PacketError::UnknownId(_)) => {
                self.counters.count(Cause::FrameUnknownId);
                return Ok(());
            }
            Err(PacketError::Malformed) => return Err(Cause::ClosedMalformed),
        };
        match state {
            SessionState::Pending { .. } => self.handle_stranger(now, connection, packet, outbox),
            SessionState::LoggedIn(id) => self.handle_user(now, id, packet, outbox),
        }
    }

    /// A connection ended, for whatever reason. If it was a user's, the others are told.
    pub fn handle_disconnect(&mut self, now: Now, connection: ConnectionId, outbox: &mut Outbox) {
        let session = self.sessions.get_mut(connection.index());
        let Some(session) = session.and_then(Option::take) else {
            return;
        };
        let source = Source::of(session.address);
        let id = match session.state {
            SessionState::Pending { deadline, .. } => {
                self.pending.remove(&deadline);
                self.sources.disconnect(source, true);
                return;
            }
            SessionState::LoggedIn(id) => id,
        };
        let user = self.users.remove(self.place(id));
        // Whoever has come may go, whatever it costs.
        let events = 1 + u32::from(user.participant().in_voice);
        self.sources
            .broadcast(now.instant, source, events * STATE_COST);
        self.sources.disconnect(source, false);
        if let Some(at) = user.telling_at {
            self.untold.remove(&(at, id));
        }
        if user.participant().in_voice {
            outbox.send(To::Everyone, &Packet::UserLeftVoice { user_id: id });
        }
        outbox.send(To::Everyone, &Packet::UserLeftServer { user_id: id });
        outbox.event(Event::UserDisconnected { id });
    }

    /// Writes to the log that a connection is about to end, for this cause, and whose it is.
    pub(crate) fn log_end(&mut self, now: Now, connection: ConnectionId, cause: Cause) {
        let session = self.sessions.get(connection.index());
        let Some(session) = session.and_then(Option::as_ref) else {
            return;
        };
        let user = match session.state {
            SessionState::Pending { .. } => None,
            SessionState::LoggedIn(id) => Some((id, &*self.users[self.place(id)].name)),
        };
        self.journal
            .ended(now.instant, user, session.address, cause);
    }

    /// Writes to the log that a connection was not taken in.
    pub(crate) fn log_refusal(&mut self, now: Now, address: IpAddr, cause: Cause) {
        self.journal.connection_refused(now.instant, address, cause);
    }

    /// Writes to the log how many lines were left out of it, if it is time to.
    pub(crate) fn log_left_out(&mut self, now: Now) {
        self.journal.tell(now.instant);
    }

    /// When to do that.
    pub(crate) fn log_deadline(&self) -> Option<Instant> {
        self.journal.next_deadline()
    }

    /// Tells the others of one user whose state changed faster than they could be told, if it is
    /// time to. Says whether there was one, and so may be another.
    pub fn handle_tick(&mut self, now: Now, outbox: &mut Outbox) -> bool {
        match self.untold.first() {
            Some(&(at, id)) if at <= now.instant => {
                let place = self.place(id);
                self.tell_others(now, place, outbox);
                true
            }
            _ => false,
        }
    }

    /// A connection whose time to log in has run out, if there is one. End it, and say so with
    /// [`handle_disconnect`](Self::handle_disconnect); it is named again until then.
    pub fn expired(&self, now: Now) -> Option<ConnectionId> {
        let (deadline, &connection) = self.pending.first_key_value()?;
        (deadline.0 <= now.instant).then_some(connection)
    }

    /// When to ask for [`expired`](Self::expired) connections and to [tick](Self::handle_tick) next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let login = self.pending.first_key_value().map(|((at, _), _)| *at);
        let telling = self.untold.first().map(|&(at, _)| at);
        login.into_iter().chain(telling).min()
    }

    /// The connections from these addresses.
    pub fn connections_from(
        &self,
        is_meant: impl Fn(IpAddr) -> bool,
    ) -> impl Iterator<Item = ConnectionId> {
        let sessions = self.sessions.iter().enumerate();
        sessions.filter_map(move |(index, session)| {
            let address = session.as_ref()?.address;
            is_meant(address).then_some(ConnectionId(index as u32))
        })
    }

    /// Whether a connection has not logged in.
    pub fn is_pending(&self, connection: ConnectionId) -> bool {
        let session = self.sessions.get(connection.index());
        session
            .and_then(Option::as_ref)
            .is_some_and(|session| matches!(session.state, SessionState::Pending { .. }))
    }

    /// The connections of everyone who is logged in.
    pub fn user_connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.users.iter().map(|user| user.connection)
    }

    /// How many users may be logged in at a time.
    pub fn max_users(&self) -> usize {
        self.limits.users
    }

    /// How many users are logged in.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// The most users that were ever logged in at the same time.
    pub fn users_at_most(&self) -> usize {
        self.users_at_most
    }

    /// How many users are in voice, as the others are told.
    pub fn voice_count(&self) -> usize {
        let users = self.users.iter();
        users.filter(|user| user.participant().in_voice).count()
    }

    /// How often someone has logged in.
    pub fn logins(&self) -> u64 {
        self.last_user_id
    }

    /// How many chat messages were passed on.
    pub fn chat_messages(&self) -> u64 {
        self.chat_messages
    }

    /// How many connections were taken note of.
    pub fn connections(&self) -> u64 {
        self.last_serial
    }

    /// How many connections have not logged in.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// What has been refused or ignored, by cause.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Where a connection comes from that has just sent a frame.
    fn source(&mut self, connection: ConnectionId) -> Source {
        let session = self.session(connection);
        Source::of(session.expect("it has just sent a frame").address)
    }

    fn session(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        self.sessions.get_mut(connection.index())?.as_mut()
    }

    /// Where a logged-in user stands in the list.
    fn place(&self, id: UserId) -> usize {
        self.users
            .binary_search_by_key(&id, |user| user.id)
            .expect("whoever is logged in is in the list")
    }

    /// Before login only a login and a ping do anything, and a mute state is kept for later.
    fn handle_stranger(
        &mut self,
        now: Now,
        connection: ConnectionId,
        packet: Packet<'_>,
        outbox: &mut Outbox,
    ) -> Result<(), Cause> {
        let to = To::One(connection);
        match packet {
            Packet::LoginRequest {
                request_id,
                username,
            } => match self.check_login(now, connection, username) {
                Ok(name) => self.log_in(now, connection, request_id, &name, outbox),
                Err(cause) => return self.refuse_login(to, request_id, cause, outbox),
            },
            Packet::PingRequest { request_id } => {
                outbox.send(to, &Packet::PingResponse { request_id });
            }
            Packet::UserMuteState {
                is_muted: muted, ..
            } => {
                if let Some(Session {
                    state: SessionState::Pending { is_muted, .. },
                    ..
                }) = self.session(connection)
                {
                    *is_muted = muted;
                }
            }
            other => {
                if let Some(response) = response_to(&other, false) {
                    self.counters.count(Cause::RequestBeforeLogin);
                    outbox.send(to, &response);
                }
            }
        }
        Ok(())
    }

    /// The name that someone will have who may log in now.
    fn check_login(
        &mut self,
        now: Now,
        connection: ConnectionId,
        username: &str,
    ) -> Result<String, Cause> {
        let session = self.session(connection).expect("it has just sent a frame");
        let address = session.address;
        let source = Source::of(address);
        let (cause, why) = match name::accept(username) {
            Err(error) => (Cause::LoginBadName, format!(" ({error})")),
            Ok(name) => {
                let cost = joined_cost(&name);
                let cause = if self.users.len() >= self.limits.users {
                    Cause::LoginServerFull
                } else if !self.sources.may_log_in(now.instant, source) {
                    Cause::LoginTooFast
                } else if !self.sources.may_broadcast(now.instant, source, cost) {
                    Cause::BroadcastTooMuch
                } else {
                    return Ok(name);
                };
                (cause, String::new())
            }
        };
        self.journal
            .login_refused(now.instant, username, address, cause, &why);
        Err(cause)
    }

    /// Refuses a login, and ends the connection: existing clients open another one to try again, and
    /// would go on to use this one as well.
    fn refuse_login(
        &mut self,
        to: To,
        request_id: u64,
        cause: Cause,
        outbox: &mut Outbox,
    ) -> Result<(), Cause> {
        self.counters.count(cause);
        outbox.send(
            to,
            &Packet::LoginResponse {
                request_id,
                id: UserId(0),
                voice_token: VoiceToken(0),
                participants: Participants::EMPTY,
            },
        );
        Err(Cause::ClosedLoginRefused)
    }

    fn log_in(
        &mut self,
        now: Now,
        connection: ConnectionId,
        request_id: u64,
        username: &str,
        outbox: &mut Outbox,
    ) {
        self.last_user_id += 1;
        let id = UserId(self.last_user_id);
        let session = self.session(connection).expect("it has just sent a frame");
        let (token, address) = (session.token, session.address);
        let state = std::mem::replace(&mut session.state, SessionState::LoggedIn(id));
        let SessionState::Pending { deadline, is_muted } = state else {
            unreachable!("only a stranger logs in");
        };
        self.pending.remove(&deadline);
        self.sources.logged_in(Source::of(address));
        self.users
            .push(User::new(id, connection, username, is_muted));
        self.users_at_most = self.users_at_most.max(self.users.len());
        self.journal.logged_in(now.instant, id, username, address);
        let source = Source::of(address);
        self.sources
            .broadcast(now.instant, source, joined_cost(username));
        outbox.event(Event::UserConnected { id, token, source });
        if is_muted {
            outbox.event(Event::MuteChanged { id, is_muted });
        }
        let place = self.users.len() - 1;
        self.answer_login(place, request_id, token, outbox);
        let newcomer = self.users[place].participant();
        outbox.send(
            To::EveryoneBut(connection),
            &Packet::UserJoinedServer {
                participant: newcomer,
            },
        );
    }

    /// Tells a user who is there.
    fn answer_login(&self, place: usize, request_id: u64, token: VoiceToken, outbox: &mut Outbox) {
        let user = &self.users[place];
        let to = To::One(user.connection);
        // The user is always in the response itself: an event would be about another person.
        let own = user.own_participant();
        let mut room = PAYLOAD_BYTES_MAX - LOGIN_RESPONSE_FIXED_BYTES - own.wire_len();
        let others = || self.users.iter().filter(|other| other.id != user.id);
        let in_response = others()
            .take_while(|user| {
                let len = user.participant().wire_len();
                let fits = len <= room;
                room = room.saturating_sub(len);
                fits
            })
            .count();
        let before = in_response.min(place);
        let listed = || others().take(in_response).map(User::participant);
        let participants = listed().take(before).chain([own]);
        let participants = participants.chain(listed().skip(before));
        outbox.send_login_response(to, request_id, user.id, token, participants);
        for user in others().skip(in_response) {
            outbox.send(
                to,
                &Packet::UserJoinedServer {
                    participant: user.participant(),
                },
            );
        }
        for user in others().filter(|user| user.participant().in_voice) {
            outbox.send(to, &Packet::UserJoinedVoice { user_id: user.id });
        }
        for user in others().filter(|user| user.participant().is_muted) {
            outbox.send(
                to,
                &Packet::UserMuteState {
                    user_id: user.id,
                    is_muted: true,
                },
            );
        }
    }

    /// A second login on one connection is answered with what the first has given, within the rate of
    /// logins: the answer is long.
    fn repeat_login(
        &mut self,
        now: Now,
        place: usize,
        request_id: u64,
        outbox: &mut Outbox,
    ) -> Result<(), Cause> {
        let connection = self.users[place].connection;
        let source = self.source(connection);
        if !self.sources.may_log_in(now.instant, source) {
            let (to, cause) = (To::One(connection), Cause::LoginTooFast);
            let address = self.sessions[connection.index()].as_ref();
            let address = address.expect("it has just sent a frame").address;
            let name = &self.users[place].name;
            self.journal
                .login_refused(now.instant, name, address, cause, "");
            return self.refuse_login(to, request_id, cause, outbox);
        }
        self.counters.count(Cause::LoginRepeated);
        let session = self.session(connection).expect("it has just sent a frame");
        let token = session.token;
        self.answer_login(place, request_id, token, outbox);
        Ok(())
    }

    fn handle_user(
        &mut self,
        now: Now,
        id: UserId,
        packet: Packet<'_>,
        outbox: &mut Outbox,
    ) -> Result<(), Cause> {
        let place = self.place(id);
        let user = &mut self.users[place];
        let to = To::One(user.connection);
        match packet {
            Packet::LoginRequest { request_id, .. } => {
                return self.repeat_login(now, place, request_id, outbox);
            }
            Packet::JoinVoiceChannelRequest { .. } => {
                outbox.send(to, &response_to(&packet, true).expect("it is a request"));
                user.set_in_voice(true, outbox);
                self.tell_others(now, place, outbox);
            }
            Packet::LeaveVoiceChannelRequest { .. } => {
                outbox.send(to, &response_to(&packet, true).expect("it is a request"));
                user.set_in_voice(false, outbox);
                self.tell_others(now, place, outbox);
            }
            Packet::ChatMessageRequest { message, .. } => {
                let error = self.chat_error(now, place, message);
                let success = error.is_none();
                outbox.send(to, &response_to(&packet, success).expect("it is a request"));
                match error {
                    Some(cause) => self.counters.count(cause),
                    None => self.say(now, id, message, outbox),
                }
            }
            Packet::PingRequest { request_id } => {
                outbox.send(to, &Packet::PingResponse { request_id });
            }
            Packet::UserMuteState { is_muted, .. } => {
                user.set_muted(is_muted, outbox);
                self.tell_others(now, place, outbox);
            }
            _ => {}
        }
        Ok(())
    }

    /// Why a message is not passed on. If it is, it has been paid for.
    fn chat_error(&mut self, now: Now, place: usize, message: &str) -> Option<Cause> {
        let user = &self.users[place];
        let (at, connection, chat) = (now.instant, user.connection, user.chat);
        if message.is_empty() {
            return Some(Cause::ChatEmpty);
        }
        if message.len() > self.limits.chat_bytes {
            return Some(Cause::ChatTooLong);
        }
        if !self.chat_limit.permits(chat, at, 1) {
            return Some(Cause::ChatTooFast);
        }
        let (source, cost) = (self.source(connection), chat_cost(message));
        if !self.sources.may_broadcast(at, source, cost) {
            return Some(Cause::BroadcastTooMuch);
        }
        self.chat_limit.spend(&mut self.users[place].chat, at, 1);
        self.sources.broadcast(at, source, cost);
        None
    }

    /// Tells the others what they do not know of a user, or as soon as the rate allows it and they may be
    /// made to read it.
    fn tell_others(&mut self, now: Now, place: usize, outbox: &mut Outbox) {
        let (limit, at) = (self.state_limit, now.instant);
        let source = self.source(self.users[place].connection);
        let (id, spent) = (self.users[place].id, self.users[place].events);
        let events = self.users[place].untold();
        let cost = events * STATE_COST;
        let telling_at = if !limit.permits(spent, at, events) {
            // When the rest can be told depends on how much it is by now.
            Some(limit.permitted_at(spent, at, events))
        } else if events > 0 && !self.sources.may_broadcast(at, source, cost) {
            Some(at + BROADCAST_RETRY)
        } else {
            self.sources.broadcast(at, source, cost);
            limit.spend(&mut self.users[place].events, at, events);
            self.users[place].tell(outbox);
            None
        };
        let old = std::mem::replace(&mut self.users[place].telling_at, telling_at);
        if let Some(old) = old {
            self.untold.remove(&(old, id));
        }
        if let Some(at) = telling_at {
            self.untold.insert((at, id));
            self.counters
                .count_many(Cause::StateToldLater, u64::from(old.is_none()));
        }
    }

    fn say(&mut self, now: Now, id: UserId, message: &str, outbox: &mut Outbox) {
        self.chat_messages += 1;
        self.last_chat_ms = now.unix_ms.max(self.last_chat_ms + 1);
        outbox.send(
            To::Everyone,
            &Packet::UserSentMessage {
                user_id: id,
                timestamp_ms: self.last_chat_ms,
                message,
            },
        );
    }
}

/// The answer to a request that is answered by yes or no.
fn response_to(request: &Packet<'_>, success: bool) -> Option<Packet<'static>> {
    match *request {
        Packet::JoinVoiceChannelRequest { request_id } => Some(Packet::JoinVoiceChannelResponse {
            request_id,
            success,
        }),
        Packet::LeaveVoiceChannelRequest { request_id } => {
            Some(Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
            })
        }
        Packet::ChatMessageRequest { request_id, .. } => Some(Packet::ChatMessageResponse {
            request_id,
            success,
        }),
        _ => None,
    }
}

/// What an event about a user's state, or about their going, makes everyone read.
const STATE_COST: u32 = (FRAME_HEADER_BYTES + 9 + BROADCAST_OVERHEAD_BYTES) as u32;

/// What the news of a newcomer makes everyone read.
fn joined_cost(username: &str) -> u32 {
    (FRAME_HEADER_BYTES + 12 + username.len() + BROADCAST_OVERHEAD_BYTES) as u32
}

/// What a message makes everyone read.
fn chat_cost(message: &str) -> u32 {
    (FRAME_HEADER_BYTES + 18 + message.len() + BROADCAST_OVERHEAD_BYTES) as u32
}
