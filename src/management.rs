//! Management: logins, names, chat, and the voice and mute state of each user.
//!
//! A pure state machine, with rules 1 to 8 of the protocol. It takes connections, their frames and
//! the time, and answers with frames and events in an [`Outbox`]. It owns no socket, reads no
//! clock, draws no random number, and knows nothing of addresses or of the relay.

mod admission;
mod announce;
mod asking;
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
pub use asking::{About, ConnectionFacts};
pub use outbox::{Audience, Outbox, To};

use crate::access::Access;
use crate::cause::{Cause, ConnectionRefused, Counters, Ended, FrameIgnored};
use crate::event::{ConnectionId, Event, Now, Source, UserId, VoiceToken};
use crate::hash::HashKey;
use crate::limits::{
    BROADCAST_OVERHEAD_BYTES, CHAT_BURST, FRAME_HEADER_BYTES, Limits, STATE_BURST,
};
use crate::protocol::{Caps, Frame, KeyId, Packet, PacketError, PacketInfo, Transport, UserFlags};
use crate::rate::RateLimit;
use asking::farewell;
use journal::Journal;
use requests::response_to;
use sources::Sources;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Instant;
use user::User;

/// One connection, pending until it has logged in.
struct Session {
    address: IpAddr,
    token: VoiceToken,
    state: SessionState,
    facts: ConnectionFacts,
    /// What its client can do and is possible, once it has logged in and if it has asked; it stays (rule
    /// 13d).
    granted: Option<Caps>,
    /// Whether it is about to be closed. Nothing more that comes from it is handled.
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
    needs_encryption: bool,
    chat_limit: RateLimit,
    state_limit: RateLimit,
    sources: Sources,
    about: About,
    /// The names of the keys that connections have for their voice.
    key_ids: HashSet<KeyId, HashKey>,
    access: Access,
    /// How many have each name, folded, if names are to be unique.
    names_in_use: BTreeMap<String, usize>,
    /// By connection id.
    sessions: Vec<Option<Session>>,
    /// Connections that have not logged in, the one whose deadline is next first.
    pending: BTreeMap<Deadline, ConnectionId>,
    /// Everyone who is logged in, by rising id: a newcomer has the highest, and goes to the end.
    users: Vec<User>,
    /// Users whose state has not been announced yet, by when it will be.
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
            needs_encryption: false,
            chat_limit: RateLimit::per_second(limits.chat_rate, CHAT_BURST),
            state_limit: RateLimit::per_second(limits.state_rate, STATE_BURST),
            sources: Sources::new(limits, key),
            about: About::default(),
            key_ids: HashSet::with_hasher(key),
            access: Access::default(),
            names_in_use: BTreeMap::new(),
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
    /// voice token if it logs in. If this makes one pending connection too many, the oldest of them
    /// is closed with [`Ended::CrowdedOut`].
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`], which has been counted. The connection was not recorded: close it.
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
            facts: ConnectionFacts::default(),
            granted: None,
            is_ended: false,
        });
        if let Some(oldest) = oldest.filter(|_| is_full) {
            self.end(oldest, Ended::CrowdedOut, outbox);
        }
        Ok(())
    }

    /// Rule 14c: nobody logs in from now on whose connection is not [encrypted](ConnectionFacts::is_encrypted).
    pub fn require_encryption(&mut self) {
        self.needs_encryption = true;
    }

    /// A whole frame arrived on a connection. The answer and the events go to `outbox`.
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

    /// A connection was closed, for any reason. If it was a user's, the others are notified.
    /// Rule 7a.
    pub fn handle_disconnect(&mut self, now: Now, connection: ConnectionId, outbox: &mut Outbox) {
        let session = self.sessions.get_mut(connection.index());
        let Some(session) = session.and_then(Option::take) else {
            return;
        };
        self.forget_key_of(session.facts);
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
        self.leave_name(&user.name);
        // A departure is always announced, whatever it costs.
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

    /// Logs that a connection is about to be closed, its user and the cause.
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

    /// Logs that a connection was refused.
    pub(crate) fn log_refusal(&mut self, now: Now, address: IpAddr, cause: Cause) {
        self.journal.connection_refused(now.instant, address, cause);
    }

    /// Logs how many lines were left out, if that is due.
    pub(crate) fn log_left_out(&mut self, now: Now) {
        self.journal.tell(now.instant);
    }

    /// When that is due.
    pub(crate) fn log_deadline(&self) -> Option<Instant> {
        self.journal.next_deadline()
    }

    /// Closes one connection that has not logged in in time, with [`Ended::LoginDeadline`], and
    /// announces one user's state that was deferred, if these are due. Returns whether either was,
    /// so that another may be.
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

    /// The connection that the next [tick](Self::handle_tick) closes because it has not logged in
    /// in time. Its login may have arrived and wait to be handled.
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

    /// Closes the connections from these addresses.
    pub(crate) fn end_banned(&mut self, is_banned: impl Fn(IpAddr) -> bool, outbox: &mut Outbox) {
        for index in 0..self.sessions.len() {
            let session = self.sessions[index].as_ref();
            if session.is_some_and(|session| is_banned(session.address)) {
                self.end(ConnectionId(index as u32), Ended::Banned, outbox);
            }
        }
    }

    /// Marks a connection to be closed. A pending one counts no more as pending. A user stays on
    /// the list until the connection is closed.
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
        if session.is_extended() {
            outbox.send(To::One(connection), &farewell(cause));
        }
        outbox.end(connection, cause);
    }

    /// The source of a connection that has just sent a frame.
    fn source(&mut self, connection: ConnectionId) -> Source {
        let session = self.session(connection);
        Source::of(session.expect("it has just sent a frame").address)
    }

    fn session(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        self.sessions.get_mut(connection.index())?.as_mut()
    }

    /// The place of a logged-in user in the list.
    fn place(&self, id: UserId) -> usize {
        self.users
            .binary_search_by_key(&id, |user| user.id)
            .expect("a logged-in user is in the list")
    }
}

/// What an event about a user's state, or a departure, makes everyone read.
const STATE_COST: u32 = (FRAME_HEADER_BYTES + 9 + BROADCAST_OVERHEAD_BYTES) as u32;

/// What the news of a newcomer makes everyone read.
fn joined_cost(username: &str, flags: UserFlags) -> u32 {
    let joined = FRAME_HEADER_BYTES + 12 + username.len() + BROADCAST_OVERHEAD_BYTES;
    let of_flags = match flags {
        UserFlags::NONE => 0,
        _ => STATE_COST,
    };
    joined as u32 + of_flags
}
