//! A TCP connection in a simulated kernel: bytes in both directions with bounded buffers, and the
//! edges that its poll would report.
//!
//! It is as unkind as a kernel may be: it takes and gives fewer bytes than it could, is interrupted,
//! says "not now" without a reason, and reports readiness only when it changes from no to yes.

use super::random::Random;
use crate::connection::Stream;
use crate::event::ConnectionId;
use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Instant;

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
    /// Bytes that the kernel has taken.
    pub written: usize,
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

    pub fn take(&mut self, len: usize) -> &[u8] {
        let taken = self.start..self.start + len;
        self.start = taken.end;
        &self.bytes[taken]
    }
}

/// One connection, seen by both ends.
pub struct Pipe {
    pub serial: u64,
    /// What the server knows it as, once it has registered it.
    pub id: Option<ConnectionId>,
    pub faults: Faults,
    random: Random,
    clock: Clock,
    ledger: Rc<RefCell<Ledger>>,
    pub to_server: Buffer,
    to_server_max: usize,
    pub to_client: Buffer,
    to_client_max: usize,
    sizes: [usize; 2],
    /// The client will send nothing more.
    pub is_finished: bool,
    /// Nobody is at the client's end any more: what is written breaks the connection.
    pub is_abandoned: bool,
    pub is_broken: bool,
    /// "Not now" was said although it could have been done.
    is_read_blocked: bool,
    is_write_blocked: bool,
    /// A write found too little room, so that more is to be reported.
    wants_room: bool,
    pub edge_readable: bool,
    pub edge_writable: bool,
    // What the server was told, as far as it matters for what it may conclude.
    pub end_was_read: bool,
    pub error_was_told: bool,
    pub registration_failed: bool,
    /// A write was refused, and nobody has reported since that there is room.
    pub is_told_full: bool,
    /// Since when the server gets nothing rid, or when it last got something rid.
    pub stuck_since: Instant,
    pub is_stuck: bool,
    /// Whether a budget put off a further attempt since then.
    pub was_put_off: bool,
    pub is_dropped: bool,
    pub came_in_at: Instant,
}

impl Pipe {
    pub fn new(
        serial: u64,
        seed: u64,
        faults: Faults,
        sizes: [usize; 2],
        clock: &Clock,
        ledger: &Rc<RefCell<Ledger>>,
    ) -> Self {
        Pipe {
            serial,
            id: None,
            faults,
            random: Random::new(seed),
            clock: clock.clone(),
            ledger: ledger.clone(),
            to_server: Buffer::default(),
            to_server_max: sizes[0],
            to_client: Buffer::default(),
            to_client_max: sizes[1],
            sizes,
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
            is_told_full: false,
            stuck_since: clock.get(),
            is_stuck: false,
            was_put_off: false,
            is_dropped: false,
            came_in_at: clock.get(),
        }
    }

    pub fn is_readable(&self) -> bool {
        let has_news = self.to_server.len() > 0 || self.is_finished || self.is_broken;
        has_news && !self.is_read_blocked
    }

    pub fn is_writable(&self) -> bool {
        let room = self.to_client_max - self.to_client.len();
        self.is_broken || (room > self.to_client_max / 3 && !self.is_write_blocked)
    }

    /// Does something to it, and notes which edges come of that.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        let (was_readable, was_broken) = (self.is_readable(), self.is_broken);
        let result = change(self);
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

    /// Gives each of the two buffers room for everything, or as little as it had.
    pub fn widen(&mut self, are_wide: [bool; 2]) {
        self.change(|pipe| {
            let [to_server, to_client] = are_wide.map(|is_wide| if is_wide { 1 << 20 } else { 0 });
            pipe.to_server_max = pipe.sizes[0].max(to_server).max(pipe.to_server.len());
            pipe.to_client_max = pipe.sizes[1].max(to_client).max(pipe.to_client.len());
        });
    }

    /// The client writes, as far as there is room, and returns how much there was.
    pub fn write_from_client(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.to_server_max - self.to_server.len());
        self.change(|pipe| pipe.to_server.put(&bytes[..len]));
        if self.random.percent(self.faults.wakes_for_nothing) {
            self.edge_readable = true;
            self.edge_writable |= self.random.percent(50);
        }
        len
    }

    /// The client reads.
    pub fn read_by_client(&mut self, len: usize) -> Vec<u8> {
        self.change(|pipe| pipe.to_client.take(len).to_vec())
    }

    fn fail(&mut self, kind: io::ErrorKind) -> io::Error {
        self.error_was_told = true;
        kind.into()
    }

    /// The kernel says no to a write.
    fn refuse(&mut self) -> io::Error {
        self.wants_room = true;
        self.is_told_full = true;
        if !self.is_stuck {
            self.is_stuck = true;
            self.stuck_since = self.clock.get();
            self.was_put_off = false;
        }
        io::ErrorKind::WouldBlock.into()
    }

    /// How much of what is possible is done at once.
    fn part_of(&mut self, len: usize) -> usize {
        if self.random.percent(self.faults.is_partial) {
            match self.random.below(2) {
                0 => 1,
                _ => self.random.between(1, len),
            }
        } else {
            len
        }
    }
}

/// The server's end of a [`Pipe`].
pub struct FakeStream(pub Rc<RefCell<Pipe>>);

impl Read for FakeStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        assert!(!into.is_empty(), "a read of nothing looks like an end");
        if pipe.random.percent(pipe.faults.interrupts) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if pipe.is_broken && (pipe.to_server.len() == 0 || pipe.random.percent(50)) {
            return Err(pipe.fail(io::ErrorKind::ConnectionReset));
        }
        if !pipe.is_readable() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if pipe.random.percent(pipe.faults.blocks) {
            pipe.is_read_blocked = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if pipe.to_server.len() == 0 {
            pipe.end_was_read = true;
            return Ok(0);
        }
        let len = pipe.part_of(pipe.to_server.len().min(into.len()));
        into[..len].copy_from_slice(pipe.to_server.take(len));
        Ok(len)
    }
}

impl Stream for FakeStream {
    /// This kernel does not tell.
    fn unacknowledged(&self) -> Option<usize> {
        None
    }

    fn finish(&mut self, _scratch: &mut [u8]) {
        let pipe = &mut *self.0.borrow_mut();
        let len = pipe.to_server.len();
        pipe.to_server.take(len);
    }
}

impl Write for FakeStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        if pipe.random.percent(pipe.faults.interrupts) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if pipe.is_broken {
            return Err(pipe.fail(io::ErrorKind::BrokenPipe));
        }
        if pipe.random.percent(pipe.faults.blocks) {
            pipe.is_write_blocked = true;
        }
        let room = pipe.to_client_max - pipe.to_client.len();
        if room == 0 || pipe.is_write_blocked {
            return Err(pipe.refuse());
        }
        let len = pipe.part_of(room.min(bytes.len()));
        pipe.wants_room |= len == room && len < bytes.len();
        pipe.ledger.borrow_mut().written += len;
        pipe.is_stuck = false;
        pipe.is_told_full = false;
        pipe.was_put_off = false;
        pipe.stuck_since = pipe.clock.get();
        if pipe.is_abandoned {
            pipe.change(|pipe| pipe.is_broken = true);
        } else {
            pipe.to_client.put(&bytes[..len]);
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        let pipe = &mut *self.0.borrow_mut();
        pipe.is_dropped = true;
        // Bytes that nobody has read reset the connection, and what waits for the client is lost.
        if pipe.to_server.len() > 0 {
            pipe.to_client = Buffer::default();
        }
        pipe.ledger.borrow_mut().drops.push(pipe.serial);
    }
}
