//! Logging in: which logins are accepted, their answers, and what a pending connection may do.

use super::{ManagementServer, Outbox, Session, SessionState, To, User, joined_cost, response_to};
use crate::cause::{Ended, FrameIgnored, LoginRefused};
use crate::event::{ConnectionId, Event, Now, Source, UserId, VoiceToken};
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::name;
use crate::protocol::{LOGIN_RESPONSE_FIXED_BYTES, Packet, Participants};

impl ManagementServer {
    /// Before login only a login and a ping have an effect, and a mute state is kept for later.
    /// Rules 3a and 3b.
    pub(super) fn handle_pending(
        &mut self,
        now: Now,
        connection: ConnectionId,
        packet: Packet<'_>,
        outbox: &mut Outbox,
    ) {
        let to = To::One(connection);
        match packet {
            Packet::LoginRequest {
                request_id,
                username,
            } => match self.check_login(now, connection, username) {
                Ok(name) => self.log_in(now, connection, request_id, &name, outbox),
                Err(refused) => {
                    self.refuse_login(now, connection, request_id, username, refused, outbox);
                }
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
                    self.counters.count(FrameIgnored::BeforeLogin);
                    outbox.send(to, &response);
                }
            }
        }
    }

    /// The name of a user who may log in now.
    fn check_login(
        &mut self,
        now: Now,
        connection: ConnectionId,
        username: &str,
    ) -> Result<String, LoginRefused> {
        let source = self.source(connection);
        let session = self.session(connection);
        let is_encrypted = session.is_some_and(|session| session.is_encrypted);
        if self.needs_encryption && !is_encrypted {
            return Err(LoginRefused::NotEncrypted);
        }
        let name = name::accept(username).map_err(LoginRefused::BadName)?;
        let cost = joined_cost(&name);
        if self.users.len() >= self.limits.users {
            Err(LoginRefused::ServerFull)
        } else if !self.sources.may_log_in(now.instant, source) {
            Err(LoginRefused::TooFast)
        } else if !self.sources.may_broadcast(now.instant, source, cost) {
            Err(LoginRefused::BroadcastTooMuch)
        } else {
            Ok(name)
        }
    }

    /// Refuses a login, and closes the connection: existing clients open another one to try again,
    /// and would go on to use this one as well.
    /// Rule 1d.
    fn refuse_login(
        &mut self,
        now: Now,
        connection: ConnectionId,
        request_id: u64,
        username: &str,
        refused: LoginRefused,
        outbox: &mut Outbox,
    ) {
        self.counters.count(refused);
        let session = self.session(connection).expect("it has just sent a frame");
        let address = session.address;
        self.journal
            .login_refused(now.instant, username, address, refused);
        outbox.send(
            To::One(connection),
            &Packet::LoginResponse {
                request_id,
                id: UserId(0),
                voice_token: VoiceToken(0),
                participants: Participants::EMPTY,
            },
        );
        self.end(connection, Ended::LoginRefused, outbox);
    }

    /// Rules 1b and 1c.
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
            unreachable!("only a pending connection logs in");
        };
        self.pending.remove(&deadline);
        self.sources.no_longer_pending(Source::of(address));
        self.users
            .push(User::new(now, id, connection, username, is_muted));
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

    /// Sends a user the list of users and their states.
    /// Rules 1c, 2a and 2b.
    fn answer_login(&self, place: usize, request_id: u64, token: VoiceToken, outbox: &mut Outbox) {
        let user = &self.users[place];
        let to = To::One(user.connection);
        // The user itself is always in the response: an event would be about another person.
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
    /// Rule 1e.
    pub(super) fn repeat_login(
        &mut self,
        now: Now,
        place: usize,
        request_id: u64,
        outbox: &mut Outbox,
    ) {
        let connection = self.users[place].connection;
        let source = self.source(connection);
        if !self.sources.may_log_in(now.instant, source) {
            let (name, refused) = (self.users[place].name.clone(), LoginRefused::TooFast);
            return self.refuse_login(now, connection, request_id, &name, refused, outbox);
        }
        self.counters.count(FrameIgnored::LoginRepeated);
        let session = self.session(connection).expect("it has just sent a frame");
        let token = session.token;
        self.answer_login(place, request_id, token, outbox);
    }
}
