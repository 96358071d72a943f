//! What was sent to which connection while one input was handled, and which are to end. The server and the model each
//! fill one, and the two must hold the same bytes in the same order for every connection.

use voiceapp_server::cause::Cause;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::protocol::Frame;

#[derive(Default)]
pub struct Outputs {
    /// By connection id; kept, and only emptied, between inputs.
    queues: Vec<Vec<u8>>,
    /// The connections whose queue is not empty, in the order in which they first got something.
    pub receivers: Vec<ConnectionId>,
    pub ends: Vec<(ConnectionId, Cause)>,
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
        let queue = self.queues.get(connection.0 as usize);
        queue.map_or(&[], Vec::as_slice)
    }

    pub fn clear(&mut self) {
        for connection in self.receivers.drain(..) {
            self.queues[connection.0 as usize].clear();
        }
        self.ends.clear();
    }

    /// Whether these are the ones that there must be.
    pub fn compare(&self, expected: &Outputs) {
        // Who got anything at all is in the longer list.
        let longer = match self.receivers.len() > expected.receivers.len() {
            true => &self.receivers,
            false => &expected.receivers,
        };
        for &to in longer {
            if self.of(to) != expected.of(to) {
                let (sent, expected) = (self.packets(to), expected.packets(to));
                panic!("connection {to} was sent\n  {sent}\nand must be sent\n  {expected}");
            }
        }
        assert_eq!(self.ends, expected.ends, "who is to end");
    }

    /// What was sent to a connection, for people to read.
    fn packets(&self, connection: ConnectionId) -> String {
        let mut bytes = self.of(connection);
        let mut lines = Vec::new();
        while let Ok(frame) = Frame::first_of(bytes) {
            let line = format!("{:?}", frame.parse());
            lines.push(line.chars().take(400).collect::<String>());
            bytes = &bytes[frame.wire_len()..];
        }
        lines.join("\n  ")
    }
}
