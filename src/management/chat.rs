//! Chat: which messages are passed on, and their time stamps.

use super::{ManagementServer, Outbox, To};
use crate::cause::ChatRefused;
use crate::event::{Now, UserId};
use crate::limits::{BROADCAST_OVERHEAD_BYTES, FRAME_HEADER_BYTES};
use crate::protocol::Packet;

impl ManagementServer {
    /// Checks whether a message is passed on. If it is, it has been spent from the budgets.
    /// Rule 5c.
    pub(super) fn check_chat(
        &mut self,
        now: Now,
        place: usize,
        message: &str,
    ) -> Result<(), ChatRefused> {
        let user = &self.users[place];
        let (at, connection, chat) = (now.instant, user.connection, user.chat);
        if message.is_empty() {
            return Err(ChatRefused::Empty);
        }
        if message.len() > self.limits.chat_bytes {
            return Err(ChatRefused::TooLong);
        }
        if !self.chat_limit.permits(chat, at, 1) {
            return Err(ChatRefused::TooFast);
        }
        let (source, cost) = (self.source(connection), chat_cost(message));
        if !self.sources.may_broadcast(at, source, cost) {
            return Err(ChatRefused::BroadcastTooMuch);
        }
        self.chat_limit.spend(&mut self.users[place].chat, at, 1);
        self.sources.broadcast(at, source, cost);
        Ok(())
    }

    /// Rule 5a.
    pub(super) fn say(&mut self, now: Now, id: UserId, message: &str, outbox: &mut Outbox) {
        self.chat_messages += 1;
        let timestamp_ms = self.next_chat_ms(now);
        outbox.send(
            To::Everyone,
            &Packet::UserSentMessage {
                user_id: id,
                timestamp_ms,
                message,
            },
        );
    }

    /// The time stamp of a message: each is later than the one before.
    /// Rule 5b.
    pub(super) fn next_chat_ms(&mut self, now: Now) -> u64 {
        self.last_chat_ms = now.unix_ms.max(self.last_chat_ms + 1);
        self.last_chat_ms
    }
}

/// What a message makes everyone read.
fn chat_cost(message: &str) -> u32 {
    (FRAME_HEADER_BYTES + 18 + message.len() + BROADCAST_OVERHEAD_BYTES) as u32
}
