//! What management sends, and to whom.

use crate::cause::Ended;
use crate::event::{ConnectionId, Event, UserId, VoiceToken};
use crate::protocol::{Granted, Packet, Participant, encode_login_response};

/// The recipients of a frame. "Everyone" is every user who is logged in once the input has been
/// handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// One connection, logged in or not.
    One(ConnectionId),
    /// Every logged-in connection.
    Everyone,
    /// Every logged-in connection except this one.
    EveryoneBut(ConnectionId),
    /// Every logged-in connection of this kind.
    Those(Audience),
    /// Every logged-in connection of this kind except this one.
    ThoseBut(Audience, ConnectionId),
}

/// What a client understands. A frame that both kinds understand goes to everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The packets that every client knows.
    Old,
    /// The packets of [`Caps::EXTENDED`](crate::protocol::Caps::EXTENDED) as well.
    Extended,
}

impl To {
    /// Whether this logged-in connection is meant.
    pub fn includes(self, connection: ConnectionId, audience: Audience) -> bool {
        match self {
            To::One(one) => connection == one,
            To::Everyone => true,
            To::EveryoneBut(except) => connection != except,
            To::Those(those) => audience == those,
            To::ThoseBut(those, except) => audience == those && connection != except,
        }
    }
}

/// What management sends: frames with their recipients, events for the relay, and connections to
/// close. Nothing leaves management in another way. It is filled while one input is handled and
/// emptied before the next, and keeps its memory. A broadcast is encoded once.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Each recipient with the end of its frames in `bytes`; they start where the ones before end.
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

    /// The events for the relay, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Connections to close once everything is delivered, and why. Close each, and then call
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
        granted: Option<Granted<'_>>,
    ) {
        let bytes = &mut self.bytes;
        encode_login_response(bytes, request_id, id, token, participants, granted)
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
