//! What was sent to which connection while one input was handled, and which are to end. The server and
//! the model each fill one, and the two must hold the same bytes in the same order for every connection.

use voiceapp_server::cause::Ended;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::switchboard::Deliver;

#[derive(Default)]
pub struct Outputs {
    /// By connection id; kept, and only emptied, between inputs.
    queues: Vec<Vec<u8>>,
    /// The connections whose queue is not empty, in the order in which they first got something.
    pub receivers: Vec<ConnectionId>,
    pub ends: Vec<(ConnectionId, Ended)>,
}

impl Outputs {
    pub fn send(&mut self, to: ConnectionId, frames: &[u8]) {
        let index = to.0 as usize;
        if self.queues.len() <= index {
            self.queues.resize_with(index + 1, Vec::new);
        }
        if self.queues[index].is_empty() && !frames.is_empty() {
            self.receivers.push(to);
        }
        self.queues[index].extend_from_slice(frames);
    }

    pub fn of(&self, connection: ConnectionId) -> &[u8] {
        self.queues
            .get(connection.0 as usize)
            .map_or(&[], Vec::as_slice)
    }

    pub fn clear(&mut self) {
        for connection in self.receivers.drain(..) {
            self.queues[connection.0 as usize].clear();
        }
        self.ends.clear();
    }

    /// A connection that got something else here than there. Who got anything at all is in the
    /// longer list.
    pub fn difference(&self, other: &Outputs) -> Option<ConnectionId> {
        let longer = if self.receivers.len() > other.receivers.len() {
            &self.receivers
        } else {
            &other.receivers
        };
        let mut differ = longer.iter().filter(|&&to| self.of(to) != other.of(to));
        differ.next().copied()
    }
}

impl Deliver for Outputs {
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        self.send(to, frames);
    }

    fn end(&mut self, connection: ConnectionId, cause: Ended) {
        self.ends.push((connection, cause));
    }
}
