//! What management reports about itself.

use super::{Audience, ManagementServer, SessionState, User};
use crate::cause::Counters;
use crate::event::ConnectionId;
use crate::protocol::UserFlags;
use std::net::IpAddr;

impl ManagementServer {
    /// Whether a connection has not logged in, and still may.
    pub fn is_pending(&self, connection: ConnectionId) -> bool {
        let session = self.sessions.get(connection.index());
        session.and_then(Option::as_ref).is_some_and(|session| {
            !session.is_ended && matches!(session.state, SessionState::Pending { .. })
        })
    }

    /// Where a connection comes from.
    pub fn address_of(&self, connection: ConnectionId) -> Option<IpAddr> {
        let session = self.sessions.get(connection.index())?.as_ref();
        session.map(|session| session.address)
    }

    /// The connections of everyone who is logged in, and what each understands.
    /// Rule 3c.
    pub fn listeners(&self) -> impl Iterator<Item = (ConnectionId, Audience)> + '_ {
        self.users.iter().map(|user| {
            let audience = match user.is_extended {
                true => Audience::Extended,
                false => Audience::Old,
            };
            (user.connection, audience)
        })
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

    /// How many users are in voice, as announced to the others.
    pub fn voice_count(&self) -> usize {
        let users = self.users.iter();
        users.filter(|user| user.participant().in_voice).count()
    }

    /// How many users are on encrypted connections.
    pub fn encrypted_count(&self) -> usize {
        let is_encrypted = |user: &&User| user.flags.contains(UserFlags::IS_ENCRYPTED);
        self.users.iter().filter(is_encrypted).count()
    }

    /// How many logins there were.
    pub fn logins(&self) -> u64 {
        self.last_user_id
    }

    /// How many chat messages were passed on.
    pub fn chat_messages(&self) -> u64 {
        self.chat_messages
    }

    /// How many connections were accepted and not refused.
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
}
