//! Logging in: which logins are accepted, their answers, and what a pending connection may do.

use super::admission::Admitted;
use super::asking::refusal;
use super::{
    Audience, ManagementServer, Outbox, Session, SessionState, To, User, joined_cost, response_to,
};
use crate::cause::{Ended, FrameIgnored, LoginRefused};
use crate::event::{ConnectionId, Event, Now, Source, UserId, VoiceToken};
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::protocol::{LOGIN_RESPONSE_FIXED_BYTES, Packet, Participants, Reason, UserFlags};

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
                asked,
            } => {
                let credentials = self.access.credentials(username, asked.as_ref());
                match self.check_login(now, connection, credentials) {
                    Ok(admitted) => {
                        let session = self.session(connection).expect("it has just sent a frame");
                        session.granted = asked.map(|asked| session.possible(asked.caps));
                        self.log_in(now, connection, request_id, &admitted, outbox);
                    }
                    Err(refused) => {
                        let login = (request_id, credentials.shown, asked.is_some());
                        self.refuse_login(now, connection, login, refused, outbox);
                    }
                }
            }
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
                if let Some(response) = response_to(&other, Err(Reason::NotAllowed), false) {
                    self.counters.count(FrameIgnored::BeforeLogin);
                    outbox.send(to, &response);
                }
            }
        }
    }

    /// Refuses a login, and closes the connection: existing clients open another one to try again,
    /// and would go on to use this one as well. A login is its request id, its
    /// name, and whether it asks for anything.
    /// Rule 1d.
    fn refuse_login(
        &mut self,
        now: Now,
        connection: ConnectionId,
        (request_id, username, has_asked): (u64, &str, bool),
        refused: LoginRefused,
        outbox: &mut Outbox,
    ) {
        self.counters.count(refused);
        let session = self.session(connection).expect("it has just sent a frame");
        let address = session.address;
        self.journal
            .login_refused(now.instant, username, address, refused);
        let text = refused.said();
        outbox.send(
            To::One(connection),
            &Packet::LoginResponse {
                request_id,
                id: UserId(0),
                voice_token: VoiceToken(0),
                participants: Participants::EMPTY,
                granted: has_asked.then(|| refusal(refused.reason(), &text)),
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
        admitted: &Admitted,
        outbox: &mut Outbox,
    ) {
        let Admitted { name, label, flags } = admitted;
        let flags = *flags;
        self.last_user_id += 1;
        let id = UserId(self.last_user_id);
        let session = self.session(connection).expect("it has just sent a frame");
        let (token, address) = (session.token, session.address);
        let is_extended = session.is_extended();
        let secrets = session.granted_secrets();
        let state = std::mem::replace(&mut session.state, SessionState::LoggedIn(id));
        let SessionState::Pending { deadline, is_muted } = state else {
            unreachable!("only a pending connection logs in");
        };
        self.pending.remove(&deadline);
        self.sources.no_longer_pending(Source::of(address));
        let mut user = User::new(now, id, connection, name, is_muted);
        (user.is_extended, user.flags) = (is_extended, flags);
        self.users.push(user);
        self.users_at_most = self.users_at_most.max(self.users.len());
        self.take_name(name);
        self.journal
            .logged_in(now.instant, id, name, address, label);
        let source = Source::of(address);
        self.sources
            .broadcast(now.instant, source, joined_cost(name, flags));
        outbox.event(Event::UserConnected { id, token, source });
        if let Some(secrets) = secrets {
            outbox.event(Event::VoiceSealed { id, secrets });
        }
        if is_muted {
            outbox.event(Event::MuteChanged { id, is_muted });
        }
        let place = self.users.len() - 1;
        self.answer_login(place, request_id, token, outbox);
        let participant = self.users[place].participant();
        let joined = Packet::UserJoinedServer { participant };
        if flags == UserFlags::NONE {
            outbox.send(To::EveryoneBut(connection), &joined);
            return;
        }
        // Thousands may hear of it, and each gets all of it in one piece.
        outbox.send(To::ThoseBut(Audience::Old, connection), &joined);
        let to = To::ThoseBut(Audience::Extended, connection);
        outbox.send(to, &joined);
        outbox.send(to, &Packet::UserFlags { user_id: id, flags });
    }

    /// Sends a user the list of users and their states.
    /// Rules 1c, 2a and 2b.
    fn answer_login(&self, place: usize, request_id: u64, token: VoiceToken, outbox: &mut Outbox) {
        let user = &self.users[place];
        let to = To::One(user.connection);
        // The user itself is always in the response: an event would be about another person.
        let own = user.own_participant();
        let session = self.sessions[user.connection.index()].as_ref();
        let caps = session.and_then(|session| session.granted);
        let secrets = session.and_then(Session::granted_secrets);
        let key_id = secrets.map(|secrets| secrets.key_id);
        let granted = caps.map(|caps| self.about.grant(caps, key_id));
        // Rule 13f.
        let fields_len = granted.map_or(0, |granted| granted.wire_len());
        let mut room = PAYLOAD_BYTES_MAX - LOGIN_RESPONSE_FIXED_BYTES - own.wire_len() - fields_len;
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
        outbox.send_login_response(to, request_id, user.id, token, participants, granted);
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
        // It has no other way to learn its own (rule 13h).
        let with_flags = self.users.iter().filter(|it| it.flags != UserFlags::NONE);
        for &User { id, flags, .. } in with_flags.filter(|_| user.is_extended) {
            outbox.send(to, &Packet::UserFlags { user_id: id, flags });
        }
    }

    /// Answers a second login on one connection with the result of the first, within the rate of logins: the
    /// answer is long.
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
            let session = self.session(connection).expect("it has just sent a frame");
            let login = (request_id, &*name, session.granted.is_some());
            return self.refuse_login(now, connection, login, refused, outbox);
        }
        self.counters.count(FrameIgnored::LoginRepeated);
        let session = self.session(connection).expect("it has just sent a frame");
        let token = session.token;
        self.answer_login(place, request_id, token, outbox);
    }
}
