//! The oracle's part of who is in voice and who is muted, and of what the others know of it.

use super::{Model, User};
use crate::wire::{self, Payload};
use std::time::Duration;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::limits::BROADCAST_RETRY;

impl Model {
    /// Someone enters or leaves voice, unmuted either way, unless they have already.
    pub fn move_in_voice(
        &mut self,
        at: Duration,
        from: ConnectionId,
        request_id: u64,
        response: u8,
        into: bool,
    ) {
        if !self.answer(from, request_id, response, None) {
            return;
        }
        let user = self.user(from);
        if user.in_voice != into {
            user.in_voice = into;
            user.is_muted = false;
            user.must_tell_mute = false;
        }
        self.tell_what_is_new(at, from);
    }

    /// A stranger's state is kept for their login. A user's is told, new or not.
    pub fn mute(&mut self, at: Duration, from: ConnectionId, is_muted: bool) {
        let connection = self.connection(from);
        let Some(user) = &mut connection.user else {
            connection.muted_before_login = is_muted;
            return;
        };
        user.is_muted = is_muted;
        user.must_tell_mute = true;
        self.tell_what_is_new(at, from);
    }

    /// The others are told at once if the rate allows it, and are owed it otherwise.
    fn tell_what_is_new(&mut self, at: Duration, from: ConnectionId) {
        let news = news(self.user(from));
        let units = news.len() as u32;
        let may_tell = units == 0 || self.may_broadcast(at, from, 12, news.len());
        let is_in_rate = self.user(from).events.has(at, units);
        if is_in_rate && may_tell {
            self.broadcast(at, from, 12, news.len());
            let user = self.user(from);
            user.events.take(at, units);
            user.owed_at = None;
            user.told_in_voice = user.in_voice;
            user.told_muted = user.is_muted;
            user.must_tell_mute = false;
            for event in news {
                self.tell_others(from, &event);
            }
        } else {
            let user = self.user(from);
            let begins = user.owed_at.is_none();
            user.owed_at = Some(match is_in_rate {
                true => at + BROADCAST_RETRY,
                false => user.events.full_enough_at(at, units),
            });
            if begins {
                self.counters.count(Cause::StateToldLater);
            }
        }
    }

    /// What one user's others are owed is told, if it is time: the longest due first.
    pub fn tick(&mut self, at: Duration) -> bool {
        let users = self.connections.iter().filter_map(|c| {
            let user = c.user.as_ref()?;
            Some((user.owed_at?, user.id, c.id))
        });
        match users.min() {
            Some((owed_at, _, connection)) if owed_at <= at => {
                self.tell_what_is_new(at, connection);
                true
            }
            _ => false,
        }
    }
}

/// The events that bring the others up to date.
fn news(user: &User) -> Vec<Vec<u8>> {
    let who = Payload::new().u64(user.id);
    let mut news = Vec::new();
    let mut known_as_muted = user.told_muted;
    if user.told_in_voice != user.in_voice {
        news.push(who.frame(if user.in_voice {
            wire::USER_JOINED_VOICE
        } else {
            wire::USER_LEFT_VOICE
        }));
        // Both mean unmuted.
        known_as_muted = false;
    }
    if user.must_tell_mute || user.is_muted != known_as_muted {
        news.push(who.bool(user.is_muted).frame(wire::USER_MUTE_STATE));
    }
    news
}
