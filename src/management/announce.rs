//! What an operator asks of management: the list of users, a disconnection, an announcement.

use super::{ManagementServer, Outbox, SessionState, To, User};
use crate::cause::Ended;
use crate::event::{ConnectionId, Now, UserId};
use crate::limits::CHAT_BYTES_MAX;
use crate::name::{self, NameError};
use crate::news::UserInfo;
use crate::protocol::{Packet, Participant};
use std::fmt;

/// The id of an announcement's author. No user ever has it.
const NOBODY: UserId = UserId(0);

/// Why an announcement is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnnounceError {
    /// Its author's name is not one that a user may have.
    BadAuthor(NameError),
    /// It has no text.
    Empty,
    /// Its text is over [`CHAT_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for AnnounceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnnounceError::BadAuthor(error) => write!(f, "the author's name: {error}"),
            AnnounceError::Empty => f.write_str("an announcement needs text"),
            AnnounceError::TooLong => {
                write!(f, "an announcement has at most {CHAT_BYTES_MAX} bytes")
            }
        }
    }
}

impl std::error::Error for AnnounceError {}

impl ManagementServer {
    /// Everyone who is logged in, by rising id.
    pub fn users(&self) -> impl Iterator<Item = UserInfo> {
        self.users.iter().map(|user| self.info(user))
    }

    /// One of them.
    pub fn user(&self, id: UserId) -> Option<UserInfo> {
        self.find(id).map(|user| self.info(user))
    }

    /// The user of a connection, if it has logged in.
    pub fn user_of(&self, connection: ConnectionId) -> Option<UserInfo> {
        match self.sessions.get(connection.index())?.as_ref()?.state {
            SessionState::LoggedIn(id) => self.user(id),
            SessionState::Pending { .. } => None,
        }
    }

    /// Disconnects a user, with [`Ended::ByApplication`], and returns whether there is such a user.
    pub fn end_user(&mut self, id: UserId, outbox: &mut Outbox) -> bool {
        let connection = self.find(id).map(|user| user.connection);
        if let Some(connection) = connection {
            self.end(connection, Ended::ByApplication, outbox);
        }
        connection.is_some()
    }

    /// Sends everyone a chat message under a name that is on nobody's list.
    /// Rule 12c.
    ///
    /// Existing clients drop a message whose author is not on their list. So its author joins for
    /// the message and leaves after it, with id 0, which no user has. They show the message with
    /// the name.
    ///
    /// # Errors
    ///
    /// [`AnnounceError`], and nothing is sent.
    pub fn announce(
        &mut self,
        now: Now,
        author: &str,
        message: &str,
        outbox: &mut Outbox,
    ) -> Result<(), AnnounceError> {
        let author = name::accept(author).map_err(AnnounceError::BadAuthor)?;
        if message.is_empty() {
            return Err(AnnounceError::Empty);
        }
        if message.len() > CHAT_BYTES_MAX {
            return Err(AnnounceError::TooLong);
        }
        let participant = Participant {
            user_id: NOBODY,
            username: &author,
            in_voice: false,
            is_muted: false,
        };
        let timestamp_ms = self.next_chat_ms(now);
        for packet in [
            Packet::UserJoinedServer { participant },
            Packet::UserSentMessage {
                user_id: NOBODY,
                timestamp_ms,
                message,
            },
            Packet::UserLeftServer { user_id: NOBODY },
        ] {
            outbox.send(To::Everyone, &packet);
        }
        Ok(())
    }

    fn find(&self, id: UserId) -> Option<&User> {
        let place = self.users.binary_search_by_key(&id, |user| user.id).ok()?;
        Some(&self.users[place])
    }

    fn info(&self, user: &User) -> UserInfo {
        let session = self.sessions[user.connection.index()].as_ref();
        let participant = user.own_participant();
        UserInfo {
            id: user.id,
            name: participant.username.into(),
            address: session.expect("a user has a connection").address,
            in_voice: participant.in_voice,
            is_muted: participant.is_muted,
            logged_in_unix_ms: user.logged_in_unix_ms,
        }
    }
}
