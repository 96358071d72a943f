//! One client's TCP stream, with the bytes that came in and those that are to go out.
//!
//! It moves bytes and cuts them into frames. Other modules decide what a frame means and when a
//! connection is closed.

pub(crate) mod delivery;

use crate::cause::Ended;
use crate::limits::{CLOSING_READS_MAX, IDLE_BUFFER_BYTES_MAX, INBOUND_BYTES_MAX};
use crate::protocol::FrameBuffer;
use crate::system;
use delivery::{Contact, Delivery};
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// A stream of bytes both ways.
pub(crate) trait Stream: Read + Write {
    /// How many bytes were sent and are not acknowledged by the client yet, where the system
    /// reports it.
    fn unacknowledged(&self) -> Option<usize>;

    /// When the client's machine was last heard, where the system reports it.
    fn contact(&self) -> Option<Contact>;

    /// Prepares to close, so that the client gets all that was written. Closing a socket with
    /// unread bytes resets the connection, and the client loses what it has not read yet (RFC 9293,
    /// section 3.6.1). So this first shuts down the sending half, and then reads what is there into
    /// `scratch` and discards it.
    fn finish(&mut self, scratch: &mut [u8]);

    /// The connection is about to be closed, with bytes in it that are not acknowledged. The system
    /// keeps them for this time, and discards them at once if it is zero.
    fn bequeath(&self, time: Duration);
}

impl Stream for TcpStream {
    fn unacknowledged(&self) -> Option<usize> {
        system::unacknowledged(self)
    }

    fn contact(&self) -> Option<Contact> {
        system::contact(self)
    }

    fn finish(&mut self, scratch: &mut [u8]) {
        // Errors mean that it is closed already.
        let _ = self.shutdown(Shutdown::Write);
        for _ in 0..CLOSING_READS_MAX {
            if !matches!(self.read(scratch), Ok(len) if len > 0) {
                break;
            }
        }
    }

    fn bequeath(&self, time: Duration) {
        let socket = SockRef::from(self);
        // Where this fails, the connection is broken already.
        let _ = match time {
            Duration::ZERO => socket.set_linger(Some(time)),
            #[cfg(target_os = "linux")]
            _ => socket.set_tcp_user_timeout(Some(time)),
            #[cfg(not(target_os = "linux"))]
            _ => Ok(()),
        };
    }
}

/// What an attempt to read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes were added to what came in.
    Received(usize),
    /// There is nothing to read; readiness will be reported.
    WouldBlock,
    /// The client has closed its sending half.
    Ended,
}

/// A connection: see the [module](self).
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    /// What came in and was not handled yet. Empty before each read, except for a part of a frame.
    pub(crate) inbound: FrameBuffer,
    outbound: Vec<u8>,
    /// How much of `outbound` the kernel has taken.
    flushed: usize,
    /// Whether the kernel may take more: false from a refusal until readiness is reported.
    pub(crate) is_writable: bool,
    /// Whether it waits among those to be read from, or to be flushed at once or later: see
    /// [`Connections`](crate::server::connections::Connections).
    pub(crate) is_in_inbox: bool,
    pub(crate) is_in_flush_queue: bool,
    pub(crate) is_held_back: bool,
    /// What became of the bytes that the kernel took.
    pub(crate) delivery: Delivery,
    /// When that is looked at next, if something waits.
    pub(crate) look_at: Option<Instant>,
    /// When it may have been silent for too long, where the system reports it.
    pub(crate) silent_at: Option<Instant>,
    /// Whether the kernel had no room when it was last offered something. A report of room counts
    /// only once the kernel takes something.
    pub(crate) was_refused: bool,
    /// Whether nothing that waits for it was taken between two looks.
    pub(crate) is_behind: bool,
    /// Whether it has not logged in and holds more than
    /// [`PENDING_BYTES`](crate::limits::PENDING_BYTES).
    pub(crate) is_large_pending: bool,
    /// Why it is about to be closed, if it is.
    pub(crate) ending: Option<Ended>,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(stream: S, now: Instant) -> Self {
        Connection {
            stream,
            inbound: FrameBuffer::new(),
            outbound: Vec::new(),
            flushed: 0,
            is_writable: true,
            is_in_inbox: false,
            is_in_flush_queue: false,
            is_held_back: false,
            delivery: Delivery::new(now),
            look_at: None,
            silent_at: None,
            was_refused: false,
            is_behind: false,
            is_large_pending: false,
            ending: None,
        }
    }

    /// Reads once, at most what the bound on unhandled bytes leaves room for. There must be no
    /// whole frame waiting, so that there is room.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<ReadOutcome> {
        let room = scratch.len().min(INBOUND_BYTES_MAX - self.inbound.len());
        loop {
            return match self.stream.read(&mut scratch[..room]) {
                Ok(0) => Ok(ReadOutcome::Ended),
                Ok(len) => {
                    self.inbound.extend(&scratch[..len]);
                    Ok(ReadOutcome::Received(len))
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(ReadOutcome::WouldBlock),
                    io::ErrorKind::Interrupted => continue,
                    _ => Err(error),
                },
            };
        }
    }

    /// Bytes that the kernel has not taken yet.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbound.len() - self.flushed
    }

    /// Whether something is queued and the kernel takes nothing.
    pub(crate) fn is_blocked(&self) -> bool {
        self.queued_bytes() > 0 && !self.is_writable
    }

    /// Whether something that was offered to the kernel is not known to have arrived.
    pub(crate) fn is_waiting(&self) -> bool {
        self.delivery.in_kernel() > 0 || self.was_refused
    }

    /// Bytes that wait in the server and in the kernel.
    pub(crate) fn outbound_bytes(&self) -> usize {
        self.queued_bytes() + self.delivery.in_kernel()
    }

    /// Adds to what is to go out. The caller keeps to the bound.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        if self.flushed > 0 {
            self.outbound.drain(..self.flushed);
            self.flushed = 0;
        }
        self.outbound.extend_from_slice(bytes);
    }

    /// Offers what is queued to the kernel, as long as it takes any.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.is_writable && self.flushed < self.outbound.len() {
            match self.stream.write(&self.outbound[self.flushed..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    self.flushed += len;
                    self.delivery.took(len);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.is_writable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        if self.queued_bytes() == 0 {
            self.outbound.clear();
            self.outbound.shrink_to(IDLE_BUFFER_BYTES_MAX);
            self.flushed = 0;
        }
        self.was_refused = self.is_blocked();
        Ok(())
    }
}
