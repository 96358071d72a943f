//! The voice socket: batches of datagrams in and out.
//!
//! Receive many into slots that were allocated at start, queue many, send once. There are two bodies: `batched`
//! uses Linux' `recvmmsg` and `sendmmsg`, and keeps the server's own address of every exchange; `plain` is one portable call per
//! datagram. This is the only part of the crate with `unsafe` code in it, and it decides nothing: who hears whom is the relay's.

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod batched;
mod plain;
#[cfg(test)]
mod tests;

use crate::cause::{Cause, Counters};
use crate::config::UdpSend;
use crate::event::Peer;
use crate::limits::{DATAGRAM_SLOT_BYTES, DATAGRAMS_PER_BATCH};
use crate::relay::VoiceAuthAnswer;
use mio::net::UdpSocket;
use std::io;

/// A datagram that waits in its slot.
#[derive(Clone, Copy)]
struct Received {
    len: usize,
    source: Peer,
}

/// Where received datagrams lie until the next batch is received.
struct Slots {
    bytes: Box<[[u8; DATAGRAM_SLOT_BYTES]]>,
    received: Vec<Received>,
}

impl Slots {
    fn new() -> Self {
        Slots {
            bytes: vec![[0; DATAGRAM_SLOT_BYTES]; DATAGRAMS_PER_BATCH].into(),
            received: Vec::with_capacity(DATAGRAMS_PER_BATCH),
        }
    }
}

/// How datagrams are received and sent.
enum Body {
    Plain(plain::Plain),
    #[cfg(target_os = "linux")]
    Batched(Box<batched::Batched>),
}

/// The bound UDP socket with its buffers.
pub(crate) struct VoiceSocket {
    socket: UdpSocket,
    slots: Slots,
    body: Body,
    traffic: Traffic,
}

/// What went through the socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) datagrams_received: u64,
    pub(crate) datagrams_sent: u64,
    pub(crate) counters: Counters,
}

impl VoiceSocket {
    /// Takes over a bound, non-blocking socket.
    pub(crate) fn new(socket: std::net::UdpSocket, method: UdpSend) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let body = match method {
            UdpSend::Plain => Body::Plain(plain::Plain::new(local)),
            #[cfg(target_os = "linux")]
            UdpSend::Auto | UdpSend::Batch => Body::Batched(batched::Batched::new(&socket, local)?),
            #[cfg(not(target_os = "linux"))]
            UdpSend::Auto => Body::Plain(plain::Plain::new(local)),
            #[cfg(not(target_os = "linux"))]
            UdpSend::Batch => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(VoiceSocket {
            socket: UdpSocket::from_std(socket),
            slots: Slots::new(),
            body,
            traffic: Traffic::default(),
        })
    }

    /// The socket itself, to be registered with the poll.
    pub(crate) fn socket(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Receives what is there, at most a batch, and says how much that was. Less than a batch means that the
    /// kernel's buffer was emptied, and that readiness will be reported again.
    pub(crate) fn receive(&mut self) -> usize {
        self.slots.received.clear();
        let result = match &mut self.body {
            Body::Plain(_) => plain::receive(&self.socket, &mut self.slots),
            #[cfg(target_os = "linux")]
            Body::Batched(body) => body.receive(&self.socket, &mut self.slots),
        };
        if let Err(error) = result {
            if error.kind() != io::ErrorKind::WouldBlock {
                self.traffic.counters.count(Cause::ReceiveFailed);
            }
        }
        let received = self.slots.received.len();
        self.traffic.datagrams_received += received as u64;
        received
    }

    /// The datagrams of the batch with their sources, and the way out for what is made of them.
    pub(crate) fn batch(&mut self) -> (impl Iterator<Item = (Peer, &mut [u8])>, Outgoing<'_>) {
        let slots = self.slots.bytes.iter_mut();
        let datagrams = slots
            .zip(&self.slots.received)
            .map(|(slot, received)| (received.source, &mut slot[..received.len]));
        let outgoing = Outgoing {
            socket: &self.socket,
            body: &mut self.body,
            frames: FrameQueue::new(),
            traffic: &mut self.traffic,
        };
        (datagrams, outgoing)
    }
}

/// Frames that wait to be sent, each with its sender's place among the listeners.
struct FrameQueue<'a> {
    frames: [(&'a [u8], usize); DATAGRAMS_PER_BATCH],
    len: usize,
}

impl<'a> FrameQueue<'a> {
    fn new() -> Self {
        FrameQueue {
            frames: [(&[], 0); DATAGRAMS_PER_BATCH],
            len: 0,
        }
    }

    fn as_slice(&self) -> &[(&'a [u8], usize)] {
        &self.frames[..self.len]
    }
}

/// What one batch of datagrams gives to send.
pub(crate) struct Outgoing<'a> {
    socket: &'a UdpSocket,
    body: &'a mut Body,
    frames: FrameQueue<'a>,
    traffic: &'a mut Traffic,
}

impl<'a> Outgoing<'a> {
    /// Queues a frame for every listener but the one at `sender`. At most one per received datagram.
    pub(crate) fn queue(&mut self, frame: &'a [u8], sender: usize) {
        self.frames.frames[self.frames.len] = (frame, sender);
        self.frames.len += 1;
    }

    /// Sends what is queued to these listeners. Must be called before their list changes, and at the end.
    pub(crate) fn send(&mut self, listeners: &[Peer]) {
        let frames = self.frames.as_slice();
        match self.body {
            Body::Plain(body) => body.send(self.socket, frames, listeners, self.traffic),
            #[cfg(target_os = "linux")]
            Body::Batched(body) => body.send(self.socket, frames, listeners, self.traffic),
        }
        self.frames.len = 0;
    }

    /// Sends an answer to where a datagram came from, from the address it was sent to.
    pub(crate) fn answer(&mut self, answer: &VoiceAuthAnswer, to: Peer) {
        match self.body {
            Body::Plain(body) => body.send_one(self.socket, answer, &to, self.traffic),
            #[cfg(target_os = "linux")]
            Body::Batched(body) => body.send_one(self.socket, answer, &to, self.traffic),
        }
    }
}

impl Traffic {
    /// Counts a datagram that the kernel did not take.
    fn count_failure(&mut self, error: &io::Error) {
        let is_full = error.kind() == io::ErrorKind::WouldBlock || is_out_of_buffers(error);
        self.counters.count(if is_full {
            Cause::SendBufferFull
        } else {
            Cause::SendFailed
        });
    }
}

/// BSD-like systems say "no buffer space" where others say "would block".
fn is_out_of_buffers(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(libc::ENOBUFS);
    #[cfg(not(unix))]
    return false;
}
