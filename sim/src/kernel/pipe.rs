//! A TCP connection in a simulated kernel: bytes in both directions with bounded buffers, and the
//! edges that its poll would report.
//!
//! It is as unkind as a kernel may be: it takes and gives fewer bytes than it could, is interrupted,
//! says "not now" without a reason, and reports readiness only when it changes from no to yes.

use super::line::Line;
use crate::chance::Chance;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use voiceapp_server::event::ConnectionId;

/// The one time of the simulation.
pub type Clock = Rc<Cell<Instant>>;

/// How often, in a hundred, the kernel is unkind in each way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub blocks: usize,
    pub interrupts: usize,
    pub is_partial: usize,
    pub wakes_for_nothing: usize,
}

/// What happened to all of them together.
#[derive(Default)]
pub struct Ledger {
    /// The connections that the server has dropped, in order.
    pub drops: Vec<u64>,
}

/// Why a connection may be ended that takes nothing.
#[derive(Clone, Copy, Debug)]
pub struct AtEnd {
    pub unacknowledged: usize,
    /// Since when nothing is taken of what waits.
    pub stuck_since: Instant,
    /// Whether what waits is lost on the way.
    pub is_lost: bool,
}

/// Bytes under way in one direction.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub fn put(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets what is behind the first so many bytes.
    pub fn keep(&mut self, len: usize) {
        self.bytes.truncate(self.start + len);
    }

    pub fn take(&mut self, len: usize) -> &[u8] {
        let taken = self.start..self.start + len;
        self.start = taken.end;
        &self.bytes[taken]
    }
}

/// One connection, seen by both ends.
pub struct Pipe {
    pub serial: u64,
    /// The token that it was given.
    pub token: Option<u64>,
    /// What the server knows it as, once it has registered it.
    pub id: Option<ConnectionId>,
    pub faults: Faults,
    pub(super) chance: Chance,
    pub(super) clock: Clock,
    pub(super) ledger: Rc<RefCell<Ledger>>,
    pub to_server: Buffer,
    to_server_max: usize,
    /// What was written and not read: in the kernel's send buffer, or at the client's machine, which
    /// acknowledges as much as it has room for while its program reads nothing.
    pub to_client: Buffer,
    pub(super) to_client_max: usize,
    client_room: usize,
    sizes: [usize; 3],
    pub line: Line,
    /// Bytes that the kernel has taken, and that the client's machine has acknowledged.
    pub(super) written: u64,
    pub(super) acknowledged: u64,
    /// How many the server knows of, and since when; or since when something waits.
    pub(super) seen: u64,
    pub seen_at: Instant,
    /// How long the kernel is to keep what waits when the connection is closed.
    pub bequeathed: Option<Duration>,
    /// The client will send nothing more.
    pub is_finished: bool,
    /// Nobody is at the client's end any more: what is written breaks the connection.
    pub is_abandoned: bool,
    pub is_broken: bool,
    /// "Not now" was said although it could have been done.
    pub(super) is_read_blocked: bool,
    pub(super) is_write_blocked: bool,
    /// A write found too little room, so that more is to be reported.
    pub(super) wants_room: bool,
    pub edge_readable: bool,
    pub edge_writable: bool,
    // What the server was told, as far as it matters for what it may conclude.
    pub end_was_read: bool,
    pub error_was_told: bool,
    pub registration_failed: bool,
    /// It was closed for want of descriptors.
    pub was_refused: bool,
    /// A write was refused, and nobody has reported since that there is room.
    pub is_told_full: bool,
    /// Since when nothing is taken of what waits, or when some was taken last: by the client's machine,
    /// or by a kernel that does not tell.
    pub stuck_since: Instant,
    pub is_stuck: bool,
    /// How it was when the server closed it.
    pub at_end: Option<AtEnd>,
    pub is_dropped: bool,
    pub came_in_at: Instant,
}

impl Pipe {
    pub fn new(
        serial: u64,
        chance: Chance,
        faults: Faults,
        sizes: [usize; 3],
        line: Line,
        clock: &Clock,
        ledger: &Rc<RefCell<Ledger>>,
    ) -> Self {
        Pipe {
            serial,
            token: None,
            id: None,
            faults,
            chance,
            clock: clock.clone(),
            ledger: ledger.clone(),
            to_server: Buffer::default(),
            to_server_max: sizes[0],
            to_client: Buffer::default(),
            to_client_max: sizes[1],
            client_room: sizes[2],
            sizes,
            line,
            written: 0,
            acknowledged: 0,
            seen: 0,
            seen_at: clock.get(),
            bequeathed: None,
            is_finished: false,
            is_abandoned: false,
            is_broken: false,
            is_read_blocked: false,
            is_write_blocked: false,
            wants_room: false,
            edge_readable: false,
            edge_writable: false,
            end_was_read: false,
            error_was_told: false,
            registration_failed: false,
            was_refused: false,
            is_told_full: false,
            stuck_since: clock.get(),
            is_stuck: false,
            at_end: None,
            is_dropped: false,
            came_in_at: clock.get(),
        }
    }

    pub fn is_readable(&self) -> bool {
        let has_news = self.to_server.len() > 0 || self.is_finished || self.is_broken;
        has_news && !self.is_read_blocked
    }

    pub fn is_writable(&self) -> bool {
        let room = self.to_client_max - self.unacknowledged();
        self.is_broken || (room > self.to_client_max / 3 && !self.is_write_blocked)
    }

    /// Bytes that the kernel still has.
    pub fn unacknowledged(&self) -> usize {
        (self.written - self.acknowledged) as usize
    }

    /// Bytes that have arrived at the client's machine and that its program has not read.
    pub fn arrived(&self) -> usize {
        self.to_client.len() - self.unacknowledged()
    }

    /// Whether the client's machine has no room for more.
    fn is_closed(&self) -> bool {
        self.arrived() >= self.client_room
    }

    /// How what waits for it is at this moment, or was when it was closed.
    pub fn at_end(&self) -> AtEnd {
        self.at_end.unwrap_or(AtEnd {
            unacknowledged: self.unacknowledged(),
            stuck_since: self.stuck_since,
            is_lost: self.is_lost(),
        })
    }

    /// Whether something is lost on the way that the client's machine would take.
    pub(super) fn is_lost(&self) -> bool {
        self.unacknowledged() > 0 && !self.is_closed() && !self.line.is_up()
    }

    /// Whether something waits at all, as far as the server can know.
    pub fn is_waiting(&self) -> bool {
        (self.line.tells && self.unacknowledged() > 0) || self.is_told_full
    }

    /// As much as there is room for arrives, and is acknowledged.
    fn arrive(&mut self) {
        if self.line.carries_to_client(self.clock.get()) {
            let read = self.written - self.to_client.len() as u64;
            let acknowledged = self.written.min(read + self.client_room as u64);
            if acknowledged > self.acknowledged {
                self.acknowledged = acknowledged;
                if self.line.tells {
                    self.stuck_since = self.clock.get();
                }
                self.line.heard(self.clock.get());
            }
        }
    }

    /// What has come about by time alone.
    pub fn catch_up(&mut self) {
        self.change(|_| {});
    }

    /// The line is cut.
    pub fn cut(&mut self) {
        let now = self.clock.get();
        self.line.cut(now);
    }

    /// The line is there again, and after a while what was lost is sent again.
    pub fn mend(&mut self) {
        let (now, has_lost) = (self.clock.get(), self.unacknowledged() > 0);
        self.line.mend(now, has_lost, &mut self.chance);
        self.catch_up();
    }

    /// Does something to it, and notes which edges come of that.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        let (was_readable, was_broken) = (self.is_readable(), self.is_broken);
        let result = change(self);
        self.arrive();
        self.edge_readable |= self.is_readable() && !was_readable;
        self.edge_writable |= self.is_broken && !was_broken;
        if self.wants_room && self.is_writable() {
            self.wants_room = false;
            self.edge_writable = true;
        }
        result
    }

    /// The poll is asked to report it from now on, and begins with how it is.
    pub fn register(&mut self, id: ConnectionId) {
        self.id = Some(id);
        self.came_in_at = self.clock.get();
        self.edge_readable = self.is_readable();
        self.edge_writable = self.is_writable();
    }

    /// Takes the edges that are to be reported: readable, and writable.
    pub fn take_edges(&mut self) -> Option<(bool, bool)> {
        self.catch_up();
        if self.id.is_none() || self.is_dropped {
            return None;
        }
        let edges = (self.edge_readable, self.edge_writable);
        if edges == (false, false) {
            return None;
        }
        self.edge_readable = false;
        self.edge_writable = false;
        self.is_told_full &= !edges.1;
        Some(edges)
    }

    /// What was refused without a reason is possible again.
    pub fn unblock(&mut self) {
        self.change(|pipe| {
            pipe.is_read_blocked = false;
            pipe.is_write_blocked = false;
        });
    }

    /// Gives the buffers of each direction room for everything, or as little as they had.
    pub fn widen(&mut self, are_wide: [bool; 2]) {
        self.change(|pipe| {
            let [to_server, to_client] = are_wide.map(|is_wide| if is_wide { 1 << 20 } else { 0 });
            pipe.to_server_max = pipe.sizes[0].max(to_server).max(pipe.to_server.len());
            pipe.to_client_max = pipe.sizes[1].max(to_client).max(pipe.to_client.len());
            pipe.client_room = pipe.sizes[2].max(to_client);
        });
    }

    /// The client writes, as far as there is room, and returns how much there was.
    pub fn write_from_client(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.to_server_max - self.to_server.len());
        if len > 0 {
            self.line.heard(self.clock.get());
        }
        self.change(|pipe| pipe.to_server.put(&bytes[..len]));
        if self.chance.percent(self.faults.wakes_for_nothing) {
            self.edge_readable = true;
            self.edge_writable |= self.chance.percent(50);
        }
        len
    }

    /// The client reads.
    pub fn read_by_client(&mut self, len: usize) -> Vec<u8> {
        self.change(|pipe| pipe.to_client.take(len).to_vec())
    }

    pub(super) fn fail(&mut self, kind: io::ErrorKind) -> io::Error {
        self.error_was_told = true;
        kind.into()
    }

    /// The kernel says no to a write.
    pub(super) fn refuse(&mut self) -> io::Error {
        self.wants_room = true;
        if !self.is_waiting() {
            self.seen_at = self.clock.get();
        }
        self.is_told_full = true;
        if !self.is_stuck {
            self.is_stuck = true;
            if self.unacknowledged() == 0 || !self.line.tells {
                self.stuck_since = self.clock.get();
            }
        }
        io::ErrorKind::WouldBlock.into()
    }

    /// How much of what is possible is done at once.
    pub(super) fn part_of(&mut self, len: usize) -> usize {
        if self.chance.percent(self.faults.is_partial) {
            match self.chance.below(2) {
                0 => 1,
                _ => self.chance.between(1, len),
            }
        } else {
            len
        }
    }
}
