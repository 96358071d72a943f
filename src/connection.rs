//! One client's TCP stream, with the bytes that came in and those that are to go out.
//!
//! It moves bytes and cuts them into frames. Other modules decide what a frame means and when a
//! connection is closed.

pub(crate) mod delivery;
pub(crate) mod wire;

use crate::cause::Ended;
use crate::event::VoiceSecrets;
use crate::limits::{CLOSING_READS_MAX, IDLE_BUFFER_BYTES_MAX, INBOUND_BYTES_MAX};
use crate::protocol::{FrameBuffer, KeyId};
use crate::system;
use crate::tls::{READ_BYTES, Session};
use delivery::{Contact, Delivery};
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};
use wire::{Speech, TlsStep, TlsWire, Wire};

/// A stream of bytes both ways.
pub trait Stream: Read + Write {
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
    /// The first have come, and lie in the scratch. What they begin is to be [decided](Connection::begin).
    Begun { speech: Speech, len: usize },
    /// TLS has taken something in.
    Tls(TlsStep),
    /// There is nothing to read; readiness will be reported.
    WouldBlock,
    /// The client has closed its sending half.
    Ended,
}

/// A connection: see the [module](self).
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    wire: Wire,
    /// Sealed bytes that wait in the wire. Here, as whatever is queued for thousands asks for it.
    sealed: usize,
    /// What came in and was not handled yet. Empty before each read, except for a part of a frame.
    pub(crate) inbound: FrameBuffer,
    outbound: Vec<u8>,
    /// How much of `outbound` the kernel has taken, or TLS has sealed.
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
            wire: Wire::Undecided,
            sealed: 0,
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
        loop {
            let result = match &mut self.wire {
                Wire::Plain => {
                    let room = scratch.len().min(room(&self.inbound));
                    self.stream.read(&mut scratch[..room]).map(|len| {
                        self.inbound.extend(&scratch[..len]);
                        (len > 0).then_some(ReadOutcome::Received(len))
                    })
                }
                Wire::Undecided => self.stream.read(&mut scratch[..READ_BYTES]).map(|len| {
                    let speech = Speech::of(scratch[0]);
                    (len > 0).then_some(ReadOutcome::Begun { speech, len })
                }),
                Wire::Tls(tls) => tls
                    .read(&mut self.stream, &mut self.inbound, scratch)
                    .map(|step| step.map(ReadOutcome::Tls)),
            };
            self.note_sealed();
            return match result {
                Ok(outcome) => Ok(outcome.unwrap_or(ReadOutcome::Ended)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(ReadOutcome::WouldBlock),
                    io::ErrorKind::Interrupted => continue,
                    _ => Err(error),
                },
            };
        }
    }

    /// Its bytes are as they are, beginning with these.
    pub(crate) fn begin(&mut self, came: &[u8]) {
        self.wire = Wire::Plain;
        self.inbound.extend(came);
    }

    /// Its bytes are TLS, beginning with those at the start of the scratch.
    pub(crate) fn begin_tls(
        &mut self,
        session: Session,
        len: usize,
        scratch: &mut [u8],
    ) -> TlsStep {
        let mut tls = Box::new(TlsWire::new(session));
        let (came, plain) = scratch.split_at_mut(READ_BYTES);
        let step = tls.step(&came[..len], &mut self.inbound, plain);
        self.wire = Wire::Tls(tls);
        self.note_sealed();
        step
    }

    /// What both ends can seal voice with, which nobody else knows. Only TLS has it, after its handshake.
    pub(crate) fn voice_secrets(&self, key_id: KeyId) -> Option<VoiceSecrets> {
        match &self.wire {
            Wire::Undecided | Wire::Plain => None,
            Wire::Tls(tls) => tls.voice_secrets(key_id),
        }
    }

    /// Whether what comes next is, or may be, a step of a handshake.
    pub(crate) fn may_shake_hands(&self) -> bool {
        match &self.wire {
            Wire::Undecided => true,
            Wire::Plain => false,
            Wire::Tls(tls) => tls.is_handshaking(),
        }
    }

    /// Bytes that came in and were not handled yet.
    pub(crate) fn unhandled_bytes(&self) -> usize {
        match &self.wire {
            Wire::Tls(tls) => self.inbound.len() + tls.held(),
            Wire::Undecided | Wire::Plain => self.inbound.len(),
        }
    }

    /// Bytes that the kernel has not taken yet, as it will get them.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes_with(0)
    }

    /// The same if so many more were [queued](Self::queue).
    pub(crate) fn queued_bytes_with(&self, more: usize) -> usize {
        let queued = self.outbound.len() - self.flushed + more;
        match &self.wire {
            Wire::Tls(_) => self.sealed + wire::sealed_len(queued),
            Wire::Undecided | Wire::Plain => queued,
        }
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
        let result = self.offer();
        self.note_sealed();
        result?;
        if self.flushed == self.outbound.len() {
            self.outbound.clear();
            self.outbound.shrink_to(IDLE_BUFFER_BYTES_MAX);
            self.flushed = 0;
        }
        self.was_refused = self.is_blocked();
        Ok(())
    }

    fn offer(&mut self) -> io::Result<()> {
        while self.is_writable {
            let left = &self.outbound[self.flushed..];
            let bytes = match &mut self.wire {
                Wire::Tls(tls) => {
                    self.flushed += tls.seal(left);
                    tls.waiting()
                }
                Wire::Undecided | Wire::Plain => left,
            };
            if bytes.is_empty() {
                break;
            }
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    match &mut self.wire {
                        Wire::Tls(tls) => tls.took(len),
                        Wire::Undecided | Wire::Plain => self.flushed += len,
                    }
                    self.delivery.took(len);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.is_writable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Queues the word that nothing more will come, if there is one and all else is on its way.
    pub(crate) fn finish(&mut self) {
        if let Wire::Tls(tls) = &mut self.wire
            && self.flushed == self.outbound.len()
        {
            tls.finish();
        }
        self.note_sealed();
    }

    fn note_sealed(&mut self) {
        if let Wire::Tls(tls) = &self.wire {
            self.sealed = tls.waiting().len();
        }
    }
}

/// How much more may come in before some of it is handled.
fn room(inbound: &FrameBuffer) -> usize {
    INBOUND_BYTES_MAX - inbound.len()
}
