//! The server's end of a [`Pipe`], with everything that a kernel may do to who reads and writes there.

use super::pipe::{Buffer, Pipe};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;
use voiceapp_server::simulation::{Contact, Stream};

/// The server's end of a [`Pipe`].
pub struct FakeStream(pub Rc<RefCell<Pipe>>);

impl Read for FakeStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        assert!(!into.is_empty(), "a read of nothing looks like an end");
        if pipe.chance.percent(pipe.faults.interrupts) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if pipe.is_broken && (pipe.to_server.len() == 0 || pipe.chance.percent(50)) {
            return Err(pipe.fail(io::ErrorKind::ConnectionReset));
        }
        if !pipe.is_readable() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if pipe.chance.percent(pipe.faults.blocks) {
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
    fn unacknowledged(&self) -> Option<usize> {
        let pipe = &mut *self.0.borrow_mut();
        pipe.catch_up();
        let known = match pipe.line.tells {
            true => pipe.acknowledged,
            false => pipe.written,
        };
        if known > pipe.seen {
            pipe.seen = known;
            pipe.seen_at = pipe.clock.get();
        }
        pipe.line.tells.then(|| pipe.unacknowledged())
    }

    fn contact(&self) -> Option<Contact> {
        let pipe = &mut *self.0.borrow_mut();
        pipe.catch_up();
        pipe.line.contact(pipe.clock.get(), pipe.is_lost())
    }

    fn bequeath(&self, time: Duration) {
        self.0.borrow_mut().bequeathed = Some(time);
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
        if pipe.chance.percent(pipe.faults.interrupts) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if pipe.is_broken {
            return Err(pipe.fail(io::ErrorKind::BrokenPipe));
        }
        if pipe.chance.percent(pipe.faults.blocks) {
            pipe.is_write_blocked = true;
        }
        let room = pipe.to_client_max - pipe.unacknowledged();
        if room == 0 || pipe.is_write_blocked {
            return Err(pipe.refuse());
        }
        let len = pipe.part_of(room.min(bytes.len()));
        pipe.wants_room |= len == room && len < bytes.len();
        if !pipe.is_waiting() {
            pipe.seen_at = pipe.clock.get();
        }
        if pipe.unacknowledged() == 0 || !pipe.line.tells {
            pipe.stuck_since = pipe.clock.get();
        }
        pipe.is_stuck = false;
        pipe.is_told_full = false;
        if pipe.is_abandoned {
            pipe.change(|pipe| pipe.is_broken = true);
        } else {
            pipe.written += len as u64;
            pipe.change(|pipe| pipe.to_client.put(&bytes[..len]));
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
        pipe.at_end = Some(pipe.at_end());
        if pipe.bequeathed == Some(Duration::ZERO) {
            let arrived = pipe.arrived();
            pipe.to_client.keep(arrived);
            pipe.written = pipe.acknowledged;
        }
        pipe.is_dropped = true;
        // Bytes that nobody has read reset the connection, and what waits for the client is lost.
        if pipe.to_server.len() > 0 {
            pipe.to_client = Buffer::default();
            pipe.acknowledged = pipe.written;
        }
        pipe.ledger.borrow_mut().drops.push(pipe.serial);
    }
}
