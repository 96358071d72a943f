//! Management: who is logged in, what they are called, what they say, who is in voice and who is
//! muted.
//!
//! A pure state machine, with rules 1 to 8 of the protocol. It is told of connections, their frames
//! and the time, and answers with frames and events in an [`Outbox`]. It owns no socket, reads no
//! clock, draws no random number, and knows nothing of addresses or of the relay.

mod announce;
mod chat;
mod journal;
mod login;
mod outbox;
mod requests;
mod sources;
mod state;
#[cfg(test)]
mod tests;
mod user;
mod view;

pub use announce::AnnounceError;
pub use outbox::{Outbox, To};

use crate::cause::{Cause, ConnectionRefused, Counters, Ended, FrameIgnored};
use crate::event::{ConnectionId, Event, Now, Source, UserId, VoiceToken};
use crate::hash::HashKey;
use crate::limits::{
    BROADCAST_OVERHEAD_BYTES, CHAT_BURST, FRAME_HEADER_BYTES, Limits, STATE_BURST,
};
use crate::protocol::{Frame, Packet, PacketError, PacketInfo, Transport};
use crate::rate::RateLimit;
use journal::Journal;
use requests::response_to;
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
    /// Whether it is to be ended. Nothing that comes from it is handled any more.
    is_ended: bool,
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
    /// voice token if it logs in. If too many have not logged in now, the one that has had the most time
    /// for it ends, with [`Ended::CrowdedOut`].
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`], which has been counted. The connection was not taken note of: close it.
    pub fn handle_connect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        address: IpAddr,
        token: VoiceToken,
        outbox: &mut Outbox,
    ) -> Result<(), ConnectionRefused> {
        self.sources
            .connect(now.instant, Source::of(address))
            .inspect_err(|&refused| self.counters.count(refused))?;
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
            is_ended: false,
        });
        if let Some(oldest) = oldest.filter(|_| is_full) {
            self.end(oldest, Ended::CrowdedOut, outbox);
        }
        Ok(())
    }

    /// A whole frame arrived on a connection. What comes of it is added to `outbox`.
    /// Rules 8a, 8b and 8c.
    pub fn handle_frame(
        &mut self,
        now: Now,
        connection: ConnectionId,
        frame: Frame<'_>,
        outbox: &mut Outbox,
    ) {
        let session = self.session(connection).filter(|it| !it.is_ended);
        let Some(state) = session.map(|session| session.state) else {
            debug_assert!(
                false,
                "a frame from a connection that is unknown or to be ended"
            );
            return;
        };
        let packet = PacketInfo::of(frame.id);
        if packet.is_some_and(|packet| !packet.may_client_send(Transport::Tcp)) {
            return self.counters.count(FrameIgnored::UnexpectedId);
        }
        let packet = match frame.parse() {
            Ok(packet) => packet,
            Err(PacketError::UnknownId(_)) => {
                return self.counters.count(FrameIgnored::UnknownId);
            }
            Err(PacketError::Malformed) => {
                return self.end(connection, Ended::Malformed, outbox);
            }
        };
        match state {
            SessionState::Pending { .. } => self.handle_pending(now, connection, packet, outbox),
            SessionState::LoggedIn(id) => self.handle_user(now, id, packet, outbox),
        }
    }

    /// A connection ended, for whatever reason. If it was a user's, the others are told.
    /// Rule 7a.
    pub fn handle_disconnect(&mut self, now: Now, connection: ConnectionId, outbox: &mut Outbox) {
        let session = self.sessions.get_mut(connection.index());
        let Some(session) = session.and_then(Option::take) else {
            return;
        };
        let source = Source::of(session.address);
        let id = match session.state {
            SessionState::Pending { deadline, .. } => {
                self.pending.remove(&deadline);
                self.sources.disconnect(source, !session.is_ended);
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
    pub(crate) fn log_end(&mut self, now: Now, connection: ConnectionId, cause: Ended) {
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

    /// Ends one connection whose time to log in has run out, with [`Ended::LoginDeadline`], and
    /// tells the others of one user whose state changed faster than they could be told, if it is time
    /// to. Says whether there was either, and so may be another.
    /// Rule 3d.
    pub fn handle_tick(&mut self, now: Now, outbox: &mut Outbox) -> bool {
        let overdue = self.overdue(now);
        if let Some(connection) = overdue {
            self.end(connection, Ended::LoginDeadline, outbox);
        }
        let untold = self.untold.first().filter(|(at, _)| *at <= now.instant);
        let untold = untold.map(|&(_, id)| id);
        if let Some(id) = untold {
            self.tell_others(now, self.place(id), outbox);
        }
        overdue.is_some() || untold.is_some()
    }

    /// The connection that the next [tick](Self::handle_tick) ends because its time to log in has run
    /// out. Its login may have arrived, and only wait to be handled.
    pub fn overdue(&self, now: Now) -> Option<ConnectionId> {
        let (deadline, &connection) = self.pending.first_key_value()?;
        (deadline.0 <= now.instant).then_some(connection)
    }

    /// When to [tick](Self::handle_tick) next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let login = self.pending.first_key_value().map(|((at, _), _)| *at);
        let telling = self.untold.first().map(|&(at, _)| at);
        login.into_iter().chain(telling).min()
    }

    /// Ends the connections from these addresses.
    pub(crate) fn end_banned(&mut self, is_banned: impl Fn(IpAddr) -> bool, outbox: &mut Outbox) {
        for index in 0..self.sessions.len() {
            let session = self.sessions[index].as_ref();
            if session.is_some_and(|session| is_banned(session.address)) {
                self.end(ConnectionId(index as u32), Ended::Banned, outbox);
            }
        }
    }

    /// Has a connection ended. A stranger takes up none of their places from now on; a user is there
    /// for the others until the end has come.
    fn end(&mut self, connection: ConnectionId, cause: Ended, outbox: &mut Outbox) {
        let session = self.sessions.get_mut(connection.index());
        let Some(session) = session.and_then(Option::as_mut) else {
            return;
        };
        if std::mem::replace(&mut session.is_ended, true) {
            return;
        }
        if let SessionState::Pending { deadline, .. } = session.state {
            self.pending.remove(&deadline);
            self.sources.no_longer_pending(Source::of(session.address));
        }
        outbox.end(connection, cause);
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
}

/// What an event about a user's state, or about their going, makes everyone read.
const STATE_COST: u32 = (FRAME_HEADER_BYTES + 9 + BROADCAST_OVERHEAD_BYTES) as u32;

/// What the news of a newcomer makes everyone read.
fn joined_cost(username: &str) -> u32 {
    (FRAME_HEADER_BYTES + 12 + username.len() + BROADCAST_OVERHEAD_BYTES) as u32
}
