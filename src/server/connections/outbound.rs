//! What is queued for connections, within its bounds, and which are closed because it is too much.

use super::Connections;
use crate::cause::Ended;
use crate::connection::{Connection, Stream};
use crate::event::ConnectionId;
use crate::limits::{COPY_OVERHEAD_BYTES, HOLD_BACK, HOLD_BACK_MAX, HOLD_BACK_PER_CONNECTION};
use crate::switchboard::Deliver;

impl<S: Stream> Connections<S> {
    /// Queues bytes for a connection, or closes it if they are too many. Returns it if they were
    /// queued.
    /// Rule 12b.
    fn queue(&mut self, to: ConnectionId, frames: &[u8]) -> Option<&mut Connection<S>> {
        let (bytes, bounds) = (frames.len(), self.bounds());
        let connection = self.living(to)?;
        // A client that reads as fast as others talk must not count as slow because this turn has
        // not come to flushing yet, or nothing has been looked at since.
        if !bounds.have_room(connection, bytes) {
            self.make_room(to, bytes)?;
        }
        self.copying_cost += bytes + COPY_OVERHEAD_BYTES;
        let connection = self.slab.get_mut(to.index())?;
        let before = connection.queued_bytes();
        connection.queue(frames);
        self.outbound_total += connection.queued_bytes() - before;
        self.outbound_total_at_most = self.outbound_total_at_most.max(self.outbound_total);
        Some(connection)
    }

    /// Offers the kernel what is queued for a connection, and closes it if there is no room even
    /// so.
    fn make_room(&mut self, id: ConnectionId, bytes: usize) -> Option<()> {
        if self.flush(id).is_err() {
            self.end(id, Ended::Broken);
            return None;
        }
        self.note_delivered(id);
        let bounds = self.bounds();
        if !bounds.have_room(self.slab.get(id.index())?, bytes) {
            self.end(id, Ended::TooSlow);
            return None;
        }
        Some(())
    }

    /// A connection's wire has queued so many bytes by itself, which count like all others.
    pub(in crate::server) fn note_answered(&mut self, id: ConnectionId, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.outbound_total += bytes;
        self.outbound_total_at_most = self.outbound_total_at_most.max(self.outbound_total);
        self.want_flush(id);
        let bounds = self.bounds();
        let connection = self.slab.get(id.index());
        if connection.is_some_and(|connection| !bounds.have_room(connection, 0)) {
            self.make_room(id, 0);
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            own_max: self.outbound_bytes_max,
            total_left: self.outbound_total_max.checked_sub(self.outbound_total),
        }
    }
}

/// What one connection and all of them may have queued.
struct Bounds {
    own_max: usize,
    /// None where all together have more than they may.
    total_left: Option<usize>,
}

impl Bounds {
    /// Whether so many bytes more may be queued for a connection: within its own bound, and within
    /// that of all together unless it takes what waits.
    fn have_room<S: Stream>(&self, connection: &Connection<S>, bytes: usize) -> bool {
        connection.queued_bytes_with(bytes) <= self.own_max
            && (connection.is_writable && !connection.is_behind
                || self.total_left.is_some_and(|left| bytes <= left))
    }
}

impl<S: Stream> Deliver for Connections<S> {
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        if let Some(connection) = self.queue(to, frames)
            && connection.is_writable
            && connection.queued_bytes() > 0
            && !std::mem::replace(&mut connection.is_in_flush_queue, true)
        {
            self.flush_queue.push_back(to);
        }
    }

    fn announce(&mut self, to: ConnectionId, frames: &[u8]) {
        let hold_back = HOLD_BACK_PER_CONNECTION * self.slab.len() as u32;
        let due = self.now + hold_back.clamp(HOLD_BACK, HOLD_BACK_MAX);
        // In order, even if connections have closed since the last one came.
        let due = self
            .held_back
            .back()
            .map_or(due, |&(last, _)| due.max(last));
        if let Some(connection) = self.queue(to, frames)
            && connection.is_writable
            && !connection.is_in_flush_queue
            && !std::mem::replace(&mut connection.is_held_back, true)
        {
            self.held_back.push_back((due, to));
        }
    }

    /// Marks a connection to be closed. The first cause counts, and nothing more is read from it or
    /// queued for it.
    fn end(&mut self, id: ConnectionId, cause: Ended) {
        if let Some(connection) = self.living(id) {
            connection.ending = Some(cause);
            self.ending.push_back(id);
            #[cfg(feature = "simulation")]
            self.note_mark(id, cause);
        }
    }
}
