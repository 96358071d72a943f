//! A logged-in user: the state, and how much of it the others know.

use super::{Outbox, To};
use crate::event::{ConnectionId, Event, Now, UserId};
use crate::protocol::{Packet, Participant, UserFlags};
use crate::rate::Spent;
use std::time::Instant;

/// A logged-in user.
pub(super) struct User {
    pub(super) id: UserId,
    pub(super) connection: ConnectionId,
    pub(super) name: Box<str>,
    state: State,
    /// The state that the others know. It is the true one, except while the user changes it faster
    /// than the rate of events allows. Newcomers receive the same state as everyone.
    told: State,
    /// Whether to announce the mute state even if the others know it.
    must_tell_mute: bool,
    /// Events about the state, against the rate.
    pub(super) events: Spent,
    /// When the rest is announced.
    pub(super) telling_at: Option<Instant>,
    /// Chat messages, against the rate.
    pub(super) chat: Spent,
    pub(super) logged_in_unix_ms: u64,
    /// Whether its client knows reasons and the newer packets.
    pub(super) is_extended: bool,
    /// What others should know of it.
    pub(super) flags: UserFlags,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    in_voice: bool,
    is_muted: bool,
}

impl User {
    pub(super) fn new(
        now: Now,
        id: UserId,
        connection: ConnectionId,
        name: &str,
        is_muted: bool,
    ) -> Self {
        let state = State {
            in_voice: false,
            is_muted,
        };
        User {
            id,
            connection,
            name: name.into(),
            state,
            told: state,
            must_tell_mute: false,
            events: Spent::default(),
            telling_at: None,
            chat: Spent::default(),
            logged_in_unix_ms: now.unix_ms,
            is_extended: false,
            flags: UserFlags::NONE,
        }
    }

    /// As others see this user.
    pub(super) fn participant(&self) -> Participant<'_> {
        Participant {
            user_id: self.id,
            username: &self.name,
            in_voice: self.told.in_voice,
            is_muted: self.told.is_muted,
        }
    }

    /// As this user should see itself.
    pub(super) fn own_participant(&self) -> Participant<'_> {
        Participant {
            in_voice: self.state.in_voice,
            is_muted: self.state.is_muted,
            ..self.participant()
        }
    }

    /// Enters or leaves the voice channel, unmuted either way. It changes nothing if the user is
    /// there already. The relay learns of it at once.
    /// Rules 4a, 4b and 4c.
    pub(super) fn set_in_voice(&mut self, in_voice: bool, outbox: &mut Outbox) {
        if self.state.in_voice == in_voice {
            return;
        }
        let id = self.id;
        self.must_tell_mute = false;
        if self.state.is_muted {
            outbox.event(Event::MuteChanged {
                id,
                is_muted: false,
            });
        }
        self.state = State {
            in_voice,
            is_muted: false,
        };
        outbox.event(match in_voice {
            true => Event::VoiceJoined { id },
            false => Event::VoiceLeft { id },
        });
    }

    /// Mutes or unmutes. Even a state that is not new is announced: joining voice unmutes silently,
    /// and a client that has missed this learns the truth this way. The relay learns of it at once.
    /// Rule 6a.
    pub(super) fn set_muted(&mut self, is_muted: bool, outbox: &mut Outbox) {
        let id = self.id;
        self.must_tell_mute = true;
        if std::mem::replace(&mut self.state.is_muted, is_muted) != is_muted {
            outbox.event(Event::MuteChanged { id, is_muted });
        }
    }

    /// How many events bring the others up to date: two at most.
    pub(super) fn untold(&self) -> u32 {
        let news = self.news();
        u32::from(news.in_voice) + u32::from(news.is_muted)
    }

    /// Announces what the others do not know.
    pub(super) fn tell(&mut self, outbox: &mut Outbox) {
        let (user_id, news) = (self.id, self.news());
        let to = To::EveryoneBut(self.connection);
        if news.in_voice {
            let packet = match self.state.in_voice {
                true => Packet::UserJoinedVoice { user_id },
                false => Packet::UserLeftVoice { user_id },
            };
            outbox.send(to, &packet);
        }
        if news.is_muted {
            let is_muted = self.state.is_muted;
            outbox.send(to, &Packet::UserMuteState { user_id, is_muted });
        }
        self.told = self.state;
        self.must_tell_mute = false;
    }

    /// Which parts of the state to announce. Entering and leaving mean unmuted.
    fn news(&self) -> State {
        let in_voice = self.told.in_voice != self.state.in_voice;
        let known_as_muted = self.told.is_muted && !in_voice;
        State {
            in_voice,
            is_muted: self.must_tell_mute || known_as_muted != self.state.is_muted,
        }
    }
}
