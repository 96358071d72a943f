//! Every connection, and the queues of those that want something: to be read from, to be flushed,
//! to be ended.
//!
//! The poll reports readiness once, on the edge, so what a budget left behind is remembered here. A
//! key in a queue may outlive its connection; whoever takes it out finds either nothing or a newer
//! connection, to which a look does no harm, and which is ended only if it was itself marked so.

use crate::cause::Cause;
use crate::connection::delivery::Patience;
use crate::connection::{Connection, Stream};
use crate::event::ConnectionId;
use crate::limits::{
    COPY_OVERHEAD_BYTES, HELD_BACK_MIN, HOLD_BACK, KERNEL_BYTES_UNSEEN, LARGE_STRANGERS_MAX,
    LOOKS_PER_STALL, Limits, STRANGER_BYTES, outbound_bytes_max,
};
use crate::switchboard::Deliver;
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

mod watch;

#[cfg(test)]
#[path = "simulation/recount.rs"]
pub(in crate::server) mod recount;

/// The table of connections: see the [module](self).
pub(crate) struct Connections<S> {
    slab: Slab<Connection<S>>,
    /// Those that may have something to read, or whole frames that were left for later.
    pub(super) inbox: VecDeque<ConnectionId>,
    /// Those that have bytes queued which the kernel may take now.
    flush_queue: VecDeque<ConnectionId>,
    /// Those that have only been told what many are told, with when that is to go out.
    held_back: VecDeque<(Instant, ConnectionId)>,
    /// Those that are to be ended.
    ending: VecDeque<ConnectionId>,
    /// Those for which something waits, by when they are looked at next, and those that may have been
    /// silent for too long: see [`watch`].
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
    large_strangers: usize,
    /// What was copied to recipients since somebody last asked, in bytes and their overhead.
    pub(super) copying_cost: usize,
    /// When this turn began.
    pub(super) now: Instant,
    /// The least that has waited for all since somebody last asked, for the simulation.
    #[cfg(test)]
    outbound_least: usize,
    /// Who was to be ended and why, for the simulation.
    #[cfg(test)]
    pub(super) marks: Vec<recount::Mark>,
}

impl<S: Stream> Connections<S> {
    pub(super) fn new(limits: Limits) -> Self {
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
            large_strangers: 0,
            copying_cost: 0,
            now: Instant::now(),
            #[cfg(test)]
            outbound_least: 0,
            #[cfg(test)]
            marks: Vec::new(),
        }
    }

    /// The id that the next connection will have.
    pub(super) fn next_id(&self) -> ConnectionId {
        id(self.slab.vacant_key())
    }

    /// Takes a connection in, under [`next_id`](Self::next_id). Bytes may have come with it.
    pub(super) fn insert(&mut self, stream: S) {
        let id = id(self.slab.insert(Connection::new(stream, self.now)));
        self.watch_silence(id);
        self.want_read(id);
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection<S>> {
        self.slab.get_mut(id.index())
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection<S>> {
        let connection = self.slab.try_remove(id.index())?;
        self.lower_total(connection.outbound_bytes());
        self.large_strangers -= usize::from(connection.is_large_stranger);
        if let Some(at) = connection.silent_at {
            self.silent.remove(&(at, id));
        }
        Some(connection)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection<S>> {
        self.slab.iter_mut().map(|(_, connection)| connection)
    }

    /// Puts a connection into the inbox, unless it is there already or about to end.
    pub(super) fn want_read(&mut self, id: ConnectionId) {
        if let Some(connection) = self.slab.get_mut(id.index())
            && !connection.is_in_inbox
            && connection.ending.is_none()
        {
            connection.is_in_inbox = true;
            self.inbox.push_back(id);
        }
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
        if let Some(connection) = self.slab.get_mut(id.index()) {
            let can_flush = connection.is_writable && connection.queued_bytes() > 0;
            if can_flush && !connection.is_in_flush_queue && connection.ending.is_none() {
                connection.is_in_flush_queue = true;
                self.flush_queue.push_back(id);
            }
        }
    }

    /// Offers to the kernel what is queued for a connection, and returns how much it took.
    pub(super) fn flush(&mut self, id: ConnectionId) -> io::Result<usize> {
        let Some(connection) = self.slab.get_mut(id.index()) else {
            return Ok(0);
        };
        let before = connection.queued_bytes();
        let was_empty = connection.delivery.in_kernel() == 0;
        let was_refused = connection.was_refused;
        let result = connection.flush();
        let taken = before - connection.queued_bytes();
        // What waits from this moment on, where nothing did or the kernel had taken nothing.
        if was_empty && (taken > 0 || !was_refused) {
            connection.delivery.begin(self.now);
        }
        if connection.delivery.in_kernel() > KERNEL_BYTES_UNSEEN {
            self.note_delivered(id);
        }
        self.want_look(id);
        result?;
        Ok(taken)
    }

    /// So many bytes no longer wait.
    fn lower_total(&mut self, bytes: usize) {
        self.outbound_total -= bytes;
        #[cfg(test)]
        self.note_total();
    }

    /// Offers to the kernel what is queued for anyone, and says whether somebody's is left. A connection
    /// that breaks now is no longer waited for.
    pub(super) fn flush_all(&mut self) -> bool {
        let ids: Vec<_> = self.slab.iter().map(|(key, _)| id(key)).collect();
        let mut is_waiting = false;
        for id in ids {
            let is_whole = self.flush(id).is_ok();
            let left = self
                .slab
                .get(id.index())
                .map_or(0, Connection::queued_bytes);
            is_waiting |= is_whole && left > 0;
        }
        is_waiting
    }

    /// What the kernel has taken, it delivers after the end: nothing of it waits any more.
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

    /// Notes how much a connection holds that was not handled yet, and ends it if it has not logged
    /// in and too many such hold much.
    pub(super) fn note_inbound(&mut self, id: ConnectionId, is_stranger: bool) {
        let Some(connection) = self.slab.get_mut(id.index()) else {
            return;
        };
        let is_large = is_stranger && connection.inbound.len() > STRANGER_BYTES;
        let was_large = std::mem::replace(&mut connection.is_large_stranger, is_large);
        self.large_strangers += usize::from(is_large);
        self.large_strangers -= usize::from(was_large);
        if is_large && !was_large && self.large_strangers > LARGE_STRANGERS_MAX {
            self.end(id, Cause::ClosedCrowdedOut);
        }
    }

    /// Takes the next connection to be flushed out of its queue: answers first, then what was held
    /// back, once it is due or if it concerns few.
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

    /// Marks a connection to be ended. The first cause counts, and nothing more is read from it or
    /// queued for it.
    pub(super) fn end(&mut self, id: ConnectionId, cause: Cause) {
        if let Some(connection) = self.slab.get_mut(id.index())
            && connection.ending.is_none()
        {
            connection.ending = Some(cause);
            self.ending.push_back(id);
            #[cfg(test)]
            self.note_mark(id, cause);
        }
    }

    /// Takes the next connection that is to be ended out of its queue.
    pub(super) fn next_to_end(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.ending.pop_front() {
            // It may have been ended already, and its place may be another's now.
            let connection = self.slab.get(id.index());
            if connection.is_some_and(|connection| connection.ending.is_some()) {
                return Some(id);
            }
        }
        None
    }

    /// Whether there is work that no readiness will be reported for.
    pub(super) fn has_work(&self) -> bool {
        !(self.inbox.is_empty() && self.flush_queue.is_empty() && self.ending.is_empty())
    }
}

impl<S: Stream> Connections<S> {
    /// Queues bytes for a connection, or ends it if they are too many. Says whether they were
    /// queued.
    fn queue(&mut self, to: ConnectionId, frames: &[u8]) -> bool {
        let Some(connection) = self.slab.get(to.index()) else {
            return false;
        };
        if connection.ending.is_some() {
            return false;
        }
        // Whoever reads as fast as others talk must not be taken for slow because this turn has not come
        // to flushing yet, or nobody has looked since.
        if !self.has_room(to, frames.len()) {
            if self.flush(to).is_err() {
                self.end(to, Cause::ClosedBroken);
                return false;
            }
            self.note_delivered(to);
        }
        if !self.has_room(to, frames.len()) {
            self.end(to, Cause::ClosedTooSlow);
            return false;
        }
        if let Some(connection) = self.slab.get_mut(to.index()) {
            connection.queue(frames);
        }
        self.outbound_total += frames.len();
        self.outbound_total_at_most = self.outbound_total_at_most.max(self.outbound_total);
        self.copying_cost += frames.len() + COPY_OVERHEAD_BYTES;
        true
    }

    /// Whether so many bytes more may be queued for a connection: within its own bound, and within
    /// that of all together unless it takes what waits.
    fn has_room(&self, id: ConnectionId, bytes: usize) -> bool {
        let Some(connection) = self.slab.get(id.index()) else {
            return false;
        };
        let is_within = |queued: usize, max: usize| queued + bytes <= max;
        is_within(connection.queued_bytes(), self.outbound_bytes_max)
            && (connection.is_writable && !connection.is_behind
                || is_within(self.outbound_total, self.outbound_total_max))
    }
}

impl<S: Stream> Deliver for Connections<S> {
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        if self.queue(to, frames) {
            self.want_flush(to);
        }
    }

    fn announce(&mut self, to: ConnectionId, frames: &[u8]) {
        if !self.queue(to, frames) {
            return;
        }
        let due = self.now + HOLD_BACK;
        if let Some(connection) = self.slab.get_mut(to.index()) {
            let is_queued = connection.is_in_flush_queue || connection.is_held_back;
            if connection.is_writable && !is_queued {
                connection.is_held_back = true;
                self.held_back.push_back((due, to));
            }
        }
    }
}

fn id(key: usize) -> ConnectionId {
    ConnectionId(u32::try_from(key).expect("the limits bound the number of connections"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::TcpStream;
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream as StdStream};

    /// Nobody yet, and at most so many bytes queued for each.
    fn bounded(outbound_bytes_max: usize) -> Connections<TcpStream> {
        let mut connections = Connections::new(Limits::default());
        connections.outbound_bytes_max = outbound_bytes_max;
        connections
    }

    /// A connection, and its client's end.
    fn connect(connections: &mut Connections<TcpStream>) -> (ConnectionId, StdStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let address = listener.local_addr().expect("it is bound");
        let client = StdStream::connect(address).expect("it listens");
        let (stream, _) = listener.accept().expect("somebody has connected");
        stream.set_nonblocking(true).expect("it is connected");
        let id = connections.next_id();
        connections.insert(TcpStream::from_std(stream));
        (id, client)
    }

    #[test]
    fn an_end_meant_for_one_never_meets_the_next_in_its_place() {
        let mut connections = bounded(1_000);
        let (first, _client) = connect(&mut connections);
        connections.end(first, Cause::ClosedBroken);
        connections.remove(first);
        let (second, _client) = connect(&mut connections);
        assert_eq!(second, first, "the place is used again");
        assert_eq!(connections.next_to_end(), None);

        connections.end(second, Cause::ClosedTooSlow);
        connections.end(second, Cause::ClosedBroken);
        assert_eq!(connections.next_to_end(), Some(second));
        let ended = connections.remove(second).expect("it is there");
        assert_eq!(ended.ending, Some(Cause::ClosedTooSlow), "the first counts");
        assert_eq!(connections.next_to_end(), None);
    }

    #[test]
    fn who_reads_as_fast_as_others_talk_is_not_too_slow() {
        let mut connections = bounded(1_000);
        let (id, mut client) = connect(&mut connections);
        let mut heard = [0; 600];
        // Nobody has flushed yet, and the two together are over the bound.
        for byte in [1, 2, 3] {
            connections.deliver(id, &[byte; 600]);
            assert_eq!(connections.next_to_end(), None);
        }
        for byte in [1, 2] {
            client.read_exact(&mut heard).expect("it was sent");
            assert_eq!(heard, [byte; 600]);
        }
    }

    #[test]
    fn who_does_not_read_is_too_slow_when_the_bound_is_reached() {
        let mut connections = bounded(100_000);
        let (id, _client) = connect(&mut connections);
        let mut queued = 0;
        // The kernel's buffers fill up first.
        while connections.next_to_end().is_none() {
            assert!(queued < 64 * 1_024 * 1_024, "the queue has no end");
            connections.deliver(id, &[0; 10_000]);
            queued += 10_000;
            let connection = connections.get(id).expect("nobody has removed it");
            assert!(connection.queued_bytes() <= 100_000);
        }
        let ending = connections.get(id).and_then(|it| it.ending);
        assert_eq!(ending, Some(Cause::ClosedTooSlow));
    }

    #[test]
    fn what_the_end_flushes_is_accounted_for() {
        let mut connections = bounded(100_000);
        let all = [connect(&mut connections), connect(&mut connections)];
        for (id, _) in &all {
            connections.deliver(*id, &[1; 600]);
        }
        assert_eq!(connections.outbound_total(), 1_200);
        assert!(!connections.flush_all(), "the kernel has room for it");
        let waiting = |connections: &mut Connections<TcpStream>, id| {
            let connection = connections.get(id).expect("nobody has removed it");
            (connection.queued_bytes(), connection.outbound_bytes())
        };
        let [one, other] = [0, 1].map(|place| waiting(&mut connections, all[place].0));
        assert_eq!((one.0, other.0), (0, 0));
        assert_eq!(connections.outbound_total(), one.1 + other.1);
        // More than the kernel takes is left, and counted.
        let (id, mut client) = all.into_iter().next().expect("there are two");
        while !connections.flush_all() {
            connections.deliver(id, &[2; 50_000]);
        }
        let left = waiting(&mut connections, id);
        assert!(left.0 > 0, "{left:?}");
        assert_eq!(connections.outbound_total(), left.1 + other.1);
        let reader = std::thread::spawn(move || {
            let mut heard = vec![0; 64 * 1_024];
            while client.read(&mut heard).is_ok_and(|len| len > 0) {}
        });
        while connections.flush_all() {
            // What tells of room is the poll's part.
            connections.note_writable(id);
            std::thread::yield_now();
        }
        // Until its machine has said so, the kernel keeps what was sent.
        while connections.outbound_total() > other.1 {
            connections.note_delivered(id);
            std::thread::yield_now();
        }
        drop(connections);
        reader.join().expect("it reads to the end");
    }

    #[test]
    fn answers_go_before_what_many_are_told_and_few_do_not_wait() {
        let mut connections = bounded(100_000);
        let all: Vec<_> = (0..HELD_BACK_MIN + 2)
            .map(|_| connect(&mut connections))
            .collect();
        for (id, _) in &all {
            connections.announce(*id, b"news");
        }
        let (last, _) = all.last().expect("there are some");
        connections.deliver(*last, b"answer");
        assert_eq!(connections.next_to_flush(), Some(*last));
        assert_eq!(connections.next_to_flush(), None, "more than a few wait");
        connections.now += HOLD_BACK;
        let due = std::iter::from_fn(|| connections.next_to_flush());
        assert_eq!(due.count(), all.len(), "and all of them go when it is time");
        for (id, _) in &all[..HELD_BACK_MIN] {
            connections.flush(*id).expect("somebody is there");
            connections.announce(*id, b"news");
        }
        assert_eq!(
            connections.next_to_flush(),
            Some(all[0].0),
            "few do not wait"
        );
    }
}
