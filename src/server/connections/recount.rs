//! What the table of connections keeps beside the connections themselves, counted again from them.
//! A child of [`connections`](super) because it looks at everything there.

use super::{Connections, id};
use crate::cause::{Cause, Ended};
use crate::connection::Connection;
use crate::connection::Stream;
use crate::event::ConnectionId;
use crate::limits::{HOLD_BACK_MAX, LARGE_PENDING_MAX, PENDING_BYTES};
use std::collections::BTreeSet;
use std::time::Instant;

/// A connection was marked to be ended, and how it was then.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in the connection")]
pub struct Mark {
    pub id: ConnectionId,
    pub cause: Cause,
    pub queued: usize,
    pub total: usize,
    pub is_writable: bool,
    pub is_behind: bool,
    /// Whether its reason was looked at already.
    pub is_checked: bool,
}

/// What a connection is like, for those who know more about it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in the connection")]
pub struct Look {
    pub queued: usize,
    pub is_writable: bool,
    pub in_kernel: usize,
    pub is_behind: bool,
    pub look_at: Option<Instant>,
    pub silent_at: Option<Instant>,
    pub is_ending: bool,
    pub is_held_back: bool,
    pub is_large: bool,
    pub unhandled: usize,
    pub has_frame: bool,
}

impl<S: Stream> Connections<S> {
    /// Records why a connection is closed, and its state at that moment.
    pub(super) fn note_mark(&mut self, id: ConnectionId, cause: Ended) {
        let Look {
            queued,
            is_writable,
            is_behind,
            ..
        } = self.look(id);
        self.marks.push(Mark {
            id,
            cause: cause.into(),
            queued,
            total: self.outbound_total,
            is_writable,
            is_behind,
            is_checked: false,
        });
    }

    pub(super) fn note_total(&mut self) {
        self.outbound_least = self.outbound_least.min(self.outbound_total);
    }

    pub(in crate::server) fn look(&self, id: ConnectionId) -> Look {
        let connection = &self.slab[id.index()];
        Look {
            queued: connection.queued_bytes(),
            is_writable: connection.is_writable,
            in_kernel: connection.delivery.in_kernel(),
            is_behind: connection.is_behind,
            look_at: connection.look_at,
            silent_at: connection.silent_at,
            is_ending: connection.ending.is_some(),
            is_held_back: connection.is_held_back,
            is_large: connection.is_large_pending,
            unhandled: connection.inbound.len(),
            has_frame: connection.inbound.has_frame(),
        }
    }

    pub(in crate::server) fn count(&self) -> usize {
        self.slab.len()
    }

    /// The least that has waited for all since this was last asked.
    pub(in crate::server) fn least_total(&mut self) -> usize {
        std::mem::replace(&mut self.outbound_least, self.outbound_total)
    }

    pub(in crate::server) fn bytes_max(&self) -> usize {
        self.outbound_bytes_max
    }

    /// Counts everything again, after a turn.
    pub(in crate::server) fn recount(&self) {
        let inbox: BTreeSet<_> = self.inbox.iter().copied().collect();
        let flush_queue: BTreeSet<_> = self.flush_queue.iter().copied().collect();
        let held_back: BTreeSet<_> = self.held_back.iter().map(|&(_, id)| id).collect();
        let ending: BTreeSet<_> = self.ending.iter().copied().collect();
        let (mut total, mut large, mut crowding) = (0, 0, 0);
        let waiting: BTreeSet<_> = self.waiting.iter().copied().collect();
        let mut silent = BTreeSet::new();
        for (key, connection) in &self.slab {
            let id = id(key);
            let queued = connection.queued_bytes();
            total += connection.outbound_bytes();
            large += usize::from(connection.is_large_pending);
            let is_ending = connection.ending.is_some();
            crowding += usize::from(connection.is_large_pending && !is_ending);
            silent.extend(connection.silent_at.map(|at| (at, id)));
            let look = connection.look_at.map(|at| (at, id));
            assert!(look.is_none_or(|look| waiting.contains(&look)), "{id}");
            assert!(queued <= self.outbound_bytes_max, "{id} has too much");
            // An entry may be left over from an earlier connection, but none may be missing.
            assert!(!connection.is_in_inbox || inbox.contains(&id), "{id}");
            let is_queued = flush_queue.contains(&id);
            assert!(!connection.is_in_flush_queue || is_queued, "{id}");
            let waits = held_back.contains(&id);
            assert!(!connection.is_held_back || waits, "{id}");
            assert!(!is_ending || ending.contains(&id), "{id}");
            // What is queued is on its way in one manner or another.
            let is_waiting = connection.is_in_flush_queue || connection.is_held_back;
            let is_stuck = !connection.is_writable && connection.look_at.is_some();
            assert!(
                queued == 0 || is_waiting || is_stuck || is_ending,
                "{id} has something that nobody will flush"
            );
            assert!(connection.inbound.len() <= crate::limits::INBOUND_BYTES_MAX);
        }
        assert_eq!(total, self.outbound_total, "the bytes that wait for all");
        assert_eq!(large, self.large_pending, "strangers with long frames");
        assert!(crowding <= LARGE_PENDING_MAX, "too many of those");
        assert_eq!(silent, self.silent, "those who may be silent");
        assert!(self.waiting.iter().is_sorted_by_key(|&(at, _)| at));
        // With so few there is always time for all who are to be looked at.
        if self.slab.len() <= 60 {
            assert!(self.next_look().is_none_or(|at| at > self.now));
        }
        let latest = self.now + HOLD_BACK_MAX;
        assert!(self.held_back.iter().all(|&(due, _)| due <= latest));
        assert!(self.held_back.iter().is_sorted_by_key(|&(due, _)| due));
    }

    /// Whether somebody waits whom nothing but the loop itself will come back to.
    pub(in crate::server) fn is_left_behind(&self) -> bool {
        let has_frame = |connection: &Connection<S>| connection.inbound.has_frame();
        let queues = [&self.inbox, &self.flush_queue, &self.ending];
        queues.iter().any(|queue| !queue.is_empty())
            || self.slab.iter().any(|(_, it)| has_frame(it))
    }

    /// Looks at what must be so when the loop goes to sleep.
    pub(in crate::server) fn recount_asleep(&self, due: Option<Instant>) {
        assert!(!self.has_work());
        assert!(self.inbox.is_empty() && self.flush_queue.is_empty() && self.ending.is_empty());
        let wakes_by = |at: Instant| due.is_some_and(|due| due <= at);
        assert!(self.held_back.iter().all(|&(at, _)| wakes_by(at)));
        for (key, connection) in &self.slab {
            let holds_much = connection.inbound.len() > PENDING_BYTES;
            assert!(!connection.is_large_pending || holds_much, "{key}");
            assert!(!connection.is_in_inbox && !connection.is_in_flush_queue);
        }
    }

    /// Looks at what must be so when everything has come to rest.
    pub(in crate::server) fn recount_at_rest(&self) {
        assert!(self.held_back.is_empty() && self.waiting.is_empty());
        assert_eq!(self.outbound_total, 0);
        assert_eq!(self.large_pending, 0);
    }
}
