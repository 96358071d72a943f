//! Someone who is logged in, and what they can do to their own state.

use super::{Outbox, To};
use crate::event::{ConnectionId, Event, UserId};
use crate::protocol::{Packet, Participant};
use crate::rate::Spent;
use log::debug;

/// Someone who is logged in.
pub(super) struct User {
    pub(super) id: UserId,
    pub(super) connection: ConnectionId,
    pub(super) name: Box<str>,
    pub(super) in_voice: bool,
    pub(super) is_muted: bool,
    /// Chat messages, against the rate.
    pub(super) chat: Spent,
}

impl User {
    /// As others see this user.
    pub(super) fn participant(&self) -> Participant<'_> {
        Participant {
            user_id: self.id,
            username: &self.name,
            in_voice: self.in_voice,
            is_muted: self.is_muted,
        }
    }

    /// Enters or leaves the voice channel, unmuted either way. Done already, it changes nothing and
    /// tells nobody.
    pub(super) fn set_in_voice(&mut self, in_voice: bool, outbox: &mut Outbox) {
        if self.in_voice == in_voice {
            return;
        }
        let id = self.id;
        self.in_voice = in_voice;
        if std::mem::take(&mut self.is_muted) {
            outbox.event(Event::MuteChanged {
                id,
                is_muted: false,
            });
        }
        let (announcement, event) = if in_voice {
            debug!("user {id} ({:?}) joined voice", self.name);
            (
                Packet::UserJoinedVoice { user_id: id },
                Event::VoiceJoined { id },
            )
        } else {
            debug!("user {id} ({:?}) left voice", self.name);
            (
                Packet::UserLeftVoice { user_id: id },
                Event::VoiceLeft { id },
            )
        };
        outbox.send(To::EveryoneBut(self.connection), &announcement);
        outbox.event(event);
    }

    /// The others are told even of a state that is not new: joining voice unmutes without a word,
    /// and a client that has missed this learns the truth here.
    pub(super) fn set_muted(&mut self, is_muted: bool, outbox: &mut Outbox) {
        let id = self.id;
        if std::mem::replace(&mut self.is_muted, is_muted) != is_muted {
            outbox.event(Event::MuteChanged { id, is_muted });
        }
        outbox.send(
            To::EveryoneBut(self.connection),
            &Packet::UserMuteState {
                user_id: id,
                is_muted,
            },
        );
    }
}
