//! Events for the application around the server: logins, departures, voice, mute and chat.
//!
//! The switchboard records them once the application wants them, and keeps a bounded number until
//! they are fetched. Events that find no room are counted: the server never waits for its listener.

use crate::cause::Ended;
use crate::event::{Event, UserId};
use crate::management::{ManagementServer, Outbox, To};
use crate::protocol::{Frame, Packet};
use std::collections::VecDeque;
use std::net::IpAddr;

/// A user who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// Never given to another user while the server runs.
    pub id: UserId,
    /// As the others see it. Two users may have one name.
    pub name: String,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// Whether the user is in the voice channel.
    pub in_voice: bool,
    /// Whether the user is muted.
    pub is_muted: bool,
    /// When the login was, in milliseconds since the Unix epoch.
    pub logged_in_unix_ms: u64,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A user logged in.
    LoggedIn(UserInfo),
    /// A user has left, and left voice with that.
    Left {
        /// The user, as of then.
        user: UserInfo,
        /// Why the connection was closed.
        cause: Ended,
    },
    /// A user entered the voice channel.
    VoiceJoined(UserId),
    /// A user left the voice channel and is still logged in.
    VoiceLeft(UserId),
    /// A user's mute state changed, by the user or because joining and leaving voice unmute.
    MuteChanged {
        /// The user.
        id: UserId,
        /// Whether the user is muted from then on.
        is_muted: bool,
    },
    /// A user's chat message was passed on to everyone.
    Chat {
        /// The author.
        id: UserId,
        /// The message that everyone receives.
        message: String,
        /// Its time stamp, in milliseconds since the Unix epoch. No two messages have the same.
        timestamp_ms: u64,
    },
}

/// Events that nobody has fetched yet: see the [module](self).
#[derive(Default)]
pub(crate) struct News {
    /// How many wait at most; 0 if nobody wants any.
    capacity: usize,
    waiting: VecDeque<ServerEvent>,
    lost: u64,
}

impl News {
    /// Keeps at most so many from now on, and discards those that wait.
    pub(crate) fn observe(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.waiting.clear();
    }

    /// Whether somebody wants any.
    pub(crate) fn is_wanted(&self) -> bool {
        self.capacity > 0
    }

    pub(crate) fn take(&mut self) -> Option<ServerEvent> {
        self.waiting.pop_front()
    }

    /// How many found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn add(&mut self, event: ServerEvent) {
        match self.waiting.len() < self.capacity {
            true => self.waiting.push_back(event),
            false => self.lost += u64::from(self.is_wanted()),
        }
    }

    /// Records what management has told the relay, except for departures, because their causes are
    /// not in it.
    pub(crate) fn add_event(&mut self, event: Event, management: &ManagementServer) {
        if !self.is_wanted() {
            return;
        }
        let news = match event {
            Event::UserConnected { id, .. } => management.user(id).map(ServerEvent::LoggedIn),
            Event::VoiceJoined { id } => Some(ServerEvent::VoiceJoined(id)),
            Event::VoiceLeft { id } => Some(ServerEvent::VoiceLeft(id)),
            Event::MuteChanged { id, is_muted } => Some(ServerEvent::MuteChanged { id, is_muted }),
            Event::VoiceSealed { .. } | Event::UserDisconnected { .. } => None,
        };
        if let Some(news) = news {
            self.add(news);
        }
    }

    /// Records a user's message, if there is one for everyone. Announcements are left out: they
    /// begin with their author's joining.
    pub(crate) fn add_chat(&mut self, outbox: &Outbox) {
        if !self.is_wanted() {
            return;
        }
        let for_everyone = outbox.deliveries().filter(|(to, _)| *to == To::Everyone);
        for (_, frames) in for_everyone {
            let packet = Frame::first_of(frames).map(|frame| frame.parse());
            if let Ok(Ok(Packet::UserSentMessage {
                user_id: id,
                timestamp_ms,
                message,
            })) = packet
            {
                let message = message.into();
                self.add(ServerEvent::Chat {
                    id,
                    message,
                    timestamp_ms,
                });
            }
        }
    }
}
