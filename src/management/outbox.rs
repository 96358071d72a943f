//! What management has to say, and to whom.

use crate::cause::Ended;
use crate::event::{ConnectionId, Event, UserId, VoiceToken};
use crate::protocol::{Packet, Participant, encode_login_response};

/// Who gets a frame. "Everyone" is whoever is logged in once the input has been handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// One connection, logged in or not.
    One(ConnectionId),
    /// Every logged-in connection.
    Everyone,
    /// Every logged-in connection except this one.
    EveryoneBut(ConnectionId),
}

/// What management has to say: frames with their recipients, events for the relay, and connections that
/// are to end. There is no other way out of it. It is filled while one input is handled and emptied before the next, and keeps its memory. A broadcast is
/// encoded once.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Each recipient with the end of what is theirs in `bytes`; it starts where the one before
    /// ends.
    deliveries: Vec<(To, usize)>,
    events: Vec<Event>,
    ends: Vec<(ConnectionId, Ended)>,
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Self {
        Outbox::default()
    }

    /// What is to be delivered, in order: to whom, and one or more whole frames.
    pub fn deliveries(&self) -> impl Iterator<Item = (To, &[u8])> {
        let mut start = 0;
        self.deliveries.iter().map(move |&(to, end)| {
            let frames = &self.bytes[start..end];
            start = end;
            (to, frames)
        })
    }

    /// What the relay is to be told, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Connections that are to be ended once everything is delivered, and why: close each, and say so with
    /// [`handle_disconnect`](super::ManagementServer::handle_disconnect).
    pub fn ends(&self) -> &[(ConnectionId, Ended)] {
        &self.ends
    }

    /// Forgets everything, for the next input.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.deliveries.clear();
        self.events.clear();
        self.ends.clear();
    }

    pub(super) fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(super) fn end(&mut self, connection: ConnectionId, cause: Ended) {
        self.ends.push((connection, cause));
    }

    pub(super) fn send(&mut self, to: To, packet: &Packet<'_>) {
        packet
            .encode(&mut self.bytes)
            .expect("every packet that management makes is within the limits");
        self.close_delivery(to);
    }

    pub(super) fn send_login_response<'p>(
        &mut self,
        to: To,
        request_id: u64,
        id: UserId,
        token: VoiceToken,
        participants: impl Iterator<Item = Participant<'p>>,
    ) {
        encode_login_response(&mut self.bytes, request_id, id, token, participants)
            .expect("management lists no more participants than fit");
        self.close_delivery(to);
    }

    /// Addresses what was just encoded: one delivery with what went to the same recipients before
    /// it.
    fn close_delivery(&mut self, to: To) {
        let end = self.bytes.len();
        match self.deliveries.last_mut() {
            Some((last_to, last_end)) if *last_to == to => *last_end = end,
            _ => self.deliveries.push((to, end)),
        }
    }
}
