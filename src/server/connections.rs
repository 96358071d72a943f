//! Every connection, and the queues of those that need something: to be read from, to be flushed,
//! to be closed.
//!
//! The poll reports readiness once, on the edge, so what a budget left behind is remembered here. A
//! key in a queue may outlive its connection. Then it finds either nothing or a newer connection,
//! to which a look does no harm, and which is closed only if it was itself marked so.

use crate::cause::Ended;
use crate::connection::delivery::Patience;
use crate::connection::{Connection, Stream};
use crate::event::ConnectionId;
use crate::limits::{
    HELD_BACK_MIN, KERNEL_BYTES_UNSEEN, LARGE_PENDING_MAX, LOOKS_PER_STALL, Limits, PENDING_BYTES,
    outbound_bytes_max,
};
use crate::switchboard::Deliver;
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

mod outbound;
#[cfg(test)]
mod tests;
mod watch;

#[cfg(feature = "simulation")]
pub(in crate::server) mod recount;

/// The table of connections: see the [module](self).
pub(crate) struct Connections<S> {
    slab: Slab<Connection<S>>,
    /// Those that may have something to read, or whole frames that were left for later.
    pub(super) inbox: VecDeque<ConnectionId>,
    /// Those that have bytes queued which the kernel may take now.
    flush_queue: VecDeque<ConnectionId>,
    /// Those that have only broadcasts queued, with when they are to go out.
    held_back: VecDeque<(Instant, ConnectionId)>,
    /// Those that are to be closed.
    ending: VecDeque<ConnectionId>,
    /// Those for which something waits, by when they are looked at next, and those that may have
    /// been silent for too long: see [`watch`].
    waiting: VecDeque<(Instant, ConnectionId)>,
    silent: BTreeSet<(Instant, ConnectionId)>,
    patience: Patience,
    /// Bytes queued for one connection, at most.
    outbound_bytes_max: usize,
    /// Bytes that wait for all of them together, in the server and in the kernel: at most, and now.
    outbound_total_max: usize,
    outbound_total: usize,
    outbound_total_at_most: usize,
    /// Connections that have not logged in and hold more than they should.
    large_pending: usize,
    /// What was copied to recipients since the last reading, in bytes and their overhead.
    pub(super) copying_cost: usize,
    /// When this turn began.
    pub(super) now: Instant,
    /// The least that has waited for all since the last reading, for the simulator.
    #[cfg(feature = "simulation")]
    outbound_least: usize,
    /// Which connections were to be closed and why, for the simulator.
    #[cfg(feature = "simulation")]
    pub(super) marks: Vec<recount::Mark>,
}

impl<S: Stream> Connections<S> {
    pub(super) fn new(now: Instant, limits: Limits) -> Self {
        Connections {
            slab: Slab::new(),
            inbox: VecDeque::new(),
            flush_queue: VecDeque::new(),
            held_back: VecDeque::new(),
            ending: VecDeque::new(),
            waiting: VecDeque::new(),
            silent: BTreeSet::new(),
            patience: Patience {
                stall: limits.stall_timeout,
                look: limits.stall_timeout / LOOKS_PER_STALL,
                silence: limits.silence(),
            },
            outbound_bytes_max: outbound_bytes_max(limits.users),
            outbound_total_max: limits.outbound_bytes,
            outbound_total: 0,
            outbound_total_at_most: 0,
            large_pending: 0,
            copying_cost: 0,
            now,
            #[cfg(feature = "simulation")]
            outbound_least: 0,
            #[cfg(feature = "simulation")]
            marks: Vec::new(),
        }
    }

    /// The id that the next connection will have.
    pub(super) fn next_id(&self) -> ConnectionId {
        id(self.slab.vacant_key())
    }

    /// Adds a connection, under [`next_id`](Self::next_id). Bytes may have come with it.
    pub(super) fn insert(&mut self, stream: S) -> &mut Connection<S> {
        let id = id(self.slab.insert(Connection::new(stream, self.now)));
        self.watch_silence(id);
        self.want_read(id);
        &mut self.slab[id.index()]
    }

    /// A connection that is not about to be closed.
    pub(super) fn living(&mut self, id: ConnectionId) -> Option<&mut Connection<S>> {
        let connection = self.slab.get_mut(id.index());
        connection.filter(|connection| connection.ending.is_none())
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection<S>> {
        self.slab.get_mut(id.index())
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection<S>> {
        let connection = self.slab.try_remove(id.index())?;
        self.lower_total(connection.outbound_bytes());
        self.large_pending -= usize::from(connection.is_large_pending);
        if let Some(at) = connection.silent_at {
            self.silent.remove(&(at, id));
        }
        Some(connection)
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.slab.iter().map(|(key, _)| id(key)).collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection<S>> {
        self.slab.iter_mut().map(|(_, connection)| connection)
    }

    /// Puts a connection into the inbox, unless it is there already or about to be closed.
    pub(super) fn want_read(&mut self, id: ConnectionId) {
        if let Some(connection) = self.living(id)
            && !std::mem::replace(&mut connection.is_in_inbox, true)
        {
            self.inbox.push_back(id);
        }
    }

    /// Takes the next connection that may have something to read out of the inbox.
    pub(super) fn next_in_inbox(&mut self) -> Option<ConnectionId> {
        let id = self.inbox.pop_front()?;
        if let Some(connection) = self.slab.get_mut(id.index()) {
            connection.is_in_inbox = false;
        }
        Some(id)
    }

    /// Whether what comes next from a connection may be a step of a handshake.
    pub(super) fn may_shake_hands(&self, id: ConnectionId) -> bool {
        let connection = self.slab.get(id.index());
        connection.is_some_and(Connection::may_shake_hands)
    }

    /// The kernel takes more of a connection's bytes.
    pub(super) fn note_writable(&mut self, id: ConnectionId) {
        if let Some(connection) = self.slab.get_mut(id.index()) {
            connection.is_writable = true;
        }
        self.want_flush(id);
    }

    /// Puts a connection into the flush queue if there is something to flush and the kernel may
    /// take it.
    pub(super) fn want_flush(&mut self, id: ConnectionId) {
        if let Some(connection) = self.living(id)
            && connection.is_writable
            && connection.queued_bytes() > 0
            && !std::mem::replace(&mut connection.is_in_flush_queue, true)
        {
            self.flush_queue.push_back(id);
        }
    }

    /// Offers to the kernel what is queued for a connection, and returns how much it took.
    pub(super) fn flush(&mut self, id: ConnectionId) -> io::Result<usize> {
        let Some(connection) = self.slab.get_mut(id.index()) else {
            return Ok(0);
        };
        let before = connection.outbound_bytes();
        let in_kernel = connection.delivery.in_kernel();
        let was_empty = in_kernel == 0;
        let was_refused = connection.was_refused;
        let result = connection.flush();
        let taken = connection.delivery.in_kernel() - in_kernel;
        let grown = connection.outbound_bytes() - before;
        // The wait begins now, where nothing waited or the kernel had taken nothing.
        if was_empty && (taken > 0 || !was_refused) {
            connection.delivery.begin(self.now);
        }
        self.outbound_total += grown;
        self.outbound_total_at_most = self.outbound_total_at_most.max(self.outbound_total);
        if connection.delivery.in_kernel() > KERNEL_BYTES_UNSEEN {
            self.note_delivered(id);
        }
        self.want_look(id);
        result?;
        Ok(taken)
    }

    /// Says goodbye where the wire has a word for it, and offers the kernel what is queued once more.
    pub(super) fn finish(&mut self, id: ConnectionId) {
        let Some(connection) = self.slab.get_mut(id.index()) else {
            return;
        };
        let before = connection.queued_bytes();
        connection.finish();
        self.outbound_total += connection.queued_bytes() - before;
        // Where it has broken, there is nobody to hear it.
        let _ = self.flush(id);
    }

    /// So many bytes no longer wait.
    fn lower_total(&mut self, bytes: usize) {
        self.outbound_total -= bytes;
        #[cfg(feature = "simulation")]
        self.note_total();
    }

    /// Offers the kernel what is queued for all, and returns whether any is left. A connection that
    /// breaks now is not waited for.
    pub(super) fn flush_all(&mut self) -> bool {
        let mut is_waiting = false;
        for id in self.ids() {
            let is_whole = self.flush(id).is_ok();
            let left = self
                .slab
                .get(id.index())
                .map_or(0, Connection::queued_bytes);
            is_waiting |= is_whole && left > 0;
        }
        is_waiting
    }

    /// What the kernel has taken, it delivers after the close: nothing of it waits any more.
    pub(super) fn leave_to_kernel(&mut self) {
        let now = self.now;
        let delivered = self.slab.iter_mut();
        let delivered = delivered.map(|(_, it)| it.delivery.note(now, None)).sum();
        self.lower_total(delivered);
    }

    /// How long a client may take nothing.
    pub(super) fn stall_timeout(&self) -> Duration {
        self.patience.stall
    }

    /// Bytes that wait for all connections.
    pub(super) fn outbound_total(&self) -> usize {
        self.outbound_total
    }

    /// The most that ever were.
    pub(super) fn outbound_total_at_most(&self) -> usize {
        self.outbound_total_at_most
    }

    /// Notes how much a connection holds that was not handled yet. If it is pending and too many
    /// such hold much, it is closed.
    pub(super) fn note_inbound(&mut self, id: ConnectionId, is_pending: bool) {
        let Some(connection) = self.slab.get_mut(id.index()) else {
            return;
        };
        let is_large = is_pending && connection.unhandled_bytes() > PENDING_BYTES;
        let was_large = std::mem::replace(&mut connection.is_large_pending, is_large);
        self.large_pending += usize::from(is_large);
        self.large_pending -= usize::from(was_large);
        if is_large && !was_large && self.large_pending > LARGE_PENDING_MAX {
            self.end(id, Ended::CrowdedOut);
        }
    }

    /// Takes the next connection to flush out of its queue: answers first, then what was held back,
    /// once it is due or if few are held back.
    pub(super) fn next_to_flush(&mut self) -> Option<ConnectionId> {
        if let Some(id) = self.flush_queue.pop_front() {
            if let Some(connection) = self.slab.get_mut(id.index()) {
                connection.is_in_flush_queue = false;
            }
            return Some(id);
        }
        let &(due, id) = self.held_back.front()?;
        if due > self.now && self.held_back.len() > HELD_BACK_MIN {
            return None;
        }
        self.held_back.pop_front();
        if let Some(connection) = self.slab.get_mut(id.index()) {
            connection.is_held_back = false;
        }
        Some(id)
    }

    /// When what is held back is due.
    pub(super) fn next_flush(&self) -> Option<Instant> {
        self.held_back.front().map(|&(due, _)| due)
    }

    /// Takes the next connection to close out of its queue.
    pub(super) fn next_to_end(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.ending.pop_front() {
            // It may have been closed already, and its place may be another's now.
            let connection = self.slab.get(id.index());
            if connection.is_some_and(|connection| connection.ending.is_some()) {
                return Some(id);
            }
        }
        None
    }

    /// Whether any connection is marked to be closed.
    pub(super) fn is_somebody_ending(&self) -> bool {
        !self.ending.is_empty()
    }

    /// Whether there is work that no readiness will be reported for.
    pub(super) fn has_work(&self) -> bool {
        !(self.inbox.is_empty() && self.flush_queue.is_empty() && self.ending.is_empty())
    }
}

fn id(key: usize) -> ConnectionId {
    ConnectionId(u32::try_from(key).expect("the limits bound the number of connections"))
}
