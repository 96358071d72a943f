//! The voice socket: batches of datagrams in and out.
//!
//! Receive many into slots that were allocated at start, queue many, send once. There are two
//! bodies: `linux` makes few system calls of many datagrams, and keeps the server's own address of
//! every exchange; `plain` makes one portable call per datagram. This and the [system
//! calls](crate::system) are the only parts of the crate with `unsafe` code in them, and it decides
//! nothing: who hears whom is the relay's.

#[cfg(target_os = "linux")]
mod groups;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux;
mod plain;
#[cfg(test)]
mod tests;

use crate::cause::{Cause, Counters};
use crate::config::UdpSend;
use crate::event::Peer;
use crate::histogram::Histogram;
use crate::limits::{DATAGRAM_SLOT_BYTES, DATAGRAMS_PER_BATCH};
use crate::relay::VoiceAuthAnswer;
use mio::net::UdpSocket;
use std::io;
use std::time::SystemTime;

/// A datagram that waits in its slot.
#[derive(Clone, Copy)]
struct Received {
    len: usize,
    /// When it arrived at the machine, in nanoseconds since the Unix epoch, if that is known.
    arrived_ns: Option<u64>,
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
    Linux {
        inbound: Box<linux::Inbound>,
        outbound: Box<linux::Outbound>,
    },
}

impl Body {
    #[cfg(target_os = "linux")]
    fn new(socket: &std::net::UdpSocket, way: UdpSend, wants_time: bool) -> io::Result<Self> {
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        let coalesces = match way {
            UdpSend::Plain => return Ok(Body::Plain(plain::Plain { is_ipv6 })),
            UdpSend::Batch => false,
            UdpSend::Auto => linux::knows_segments(socket).is_ok(),
            UdpSend::Coalesce => {
                linux::knows_segments(socket)?;
                true
            }
        };
        Ok(Body::Linux {
            inbound: Box::new(linux::Inbound::new(socket, is_ipv6, wants_time)?),
            outbound: Box::new(linux::Outbound::new(is_ipv6, coalesces)),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn new(socket: &std::net::UdpSocket, way: UdpSend, _wants_time: bool) -> io::Result<Self> {
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        match way {
            UdpSend::Auto | UdpSend::Plain => Ok(Body::Plain(plain::Plain { is_ipv6 })),
            UdpSend::Batch | UdpSend::Coalesce => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// The bound UDP socket with its buffers.
pub(crate) struct VoiceSocket {
    socket: UdpSocket,
    slots: Slots,
    body: Body,
    may_have_more: bool,
    traffic: Traffic,
}

/// What went through the socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) datagrams_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) datagrams_sent: u64,
    pub(crate) bytes_sent: u64,
    /// Datagrams that the kernel dropped because the socket's receive buffer was full.
    pub(crate) kernel_drops: u64,
    /// Datagrams per receive call, of those that brought any.
    pub(crate) batches: Histogram,
    /// Nanoseconds from a voice datagram's arrival to when its last copy was handed to the kernel.
    pub(crate) latency_ns: Histogram,
    pub(crate) counters: Counters,
}

/// A received datagram.
pub(crate) struct Datagram<'a> {
    pub(crate) source: Peer,
    pub(crate) arrived_ns: Option<u64>,
    pub(crate) bytes: &'a mut [u8],
}

/// A frame that waits to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Queued<'a> {
    pub(crate) frame: &'a [u8],
    /// The sender's place among the listeners.
    pub(crate) sender: usize,
    /// When it arrived.
    pub(crate) arrived_ns: Option<u64>,
}

impl VoiceSocket {
    /// Takes over a bound, non-blocking socket.
    pub(crate) fn new(
        socket: std::net::UdpSocket,
        way: UdpSend,
        wants_time: bool,
    ) -> io::Result<Self> {
        Ok(VoiceSocket {
            body: Body::new(&socket, way, wants_time)?,
            socket: UdpSocket::from_std(socket),
            slots: Slots::new(),
            may_have_more: false,
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

    /// Receives what is there, at most a batch, and says how much that was.
    pub(crate) fn receive(&mut self) -> usize {
        self.slots.received.clear();
        let (slots, traffic) = (&mut self.slots, &mut self.traffic);
        self.may_have_more = match &mut self.body {
            Body::Plain(_) => plain::receive(&self.socket, slots, traffic),
            #[cfg(target_os = "linux")]
            Body::Linux { inbound, .. } => match inbound.receive(&self.socket, slots, traffic) {
                Ok(()) => slots.received.len() == DATAGRAMS_PER_BATCH,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        traffic.counters.count(Cause::ReceiveFailed);
                    }
                    false
                }
            },
        };
        let received = self.slots.received.len();
        if received > 0 {
            self.traffic.datagrams_received += received as u64;
            let bytes: usize = self.slots.received.iter().map(|it| it.len).sum();
            self.traffic.bytes_received += bytes as u64;
            self.traffic.batches.record(received as u64);
        }
        received
    }

    /// Whether the kernel's buffer may hold more than was just received. If not, readiness will be
    /// reported again.
    pub(crate) fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// The datagrams of the batch, and the way out for what is made of them.
    pub(crate) fn batch(&mut self) -> (impl Iterator<Item = Datagram<'_>>, Outgoing<'_>) {
        let slots = self.slots.bytes.iter_mut().zip(&self.slots.received);
        let datagrams = slots.map(|(slot, received)| Datagram {
            source: received.source,
            arrived_ns: received.arrived_ns,
            bytes: &mut slot[..received.len],
        });
        let nothing = Queued {
            frame: &[],
            sender: 0,
            arrived_ns: None,
        };
        let outgoing = Outgoing {
            socket: &self.socket,
            body: &mut self.body,
            frames: [nothing; DATAGRAMS_PER_BATCH],
            queued: 0,
            traffic: &mut self.traffic,
        };
        (datagrams, outgoing)
    }
}

/// What one batch of datagrams gives to send.
pub(crate) struct Outgoing<'a> {
    socket: &'a UdpSocket,
    body: &'a mut Body,
    frames: [Queued<'a>; DATAGRAMS_PER_BATCH],
    queued: usize,
    traffic: &'a mut Traffic,
}

impl<'a> Outgoing<'a> {
    /// Queues a frame for every listener but its sender. At most one per received datagram.
    pub(crate) fn queue(&mut self, frame: Queued<'a>) {
        self.frames[self.queued] = frame;
        self.queued += 1;
    }

    /// Sends what is queued to these listeners. Must be called before their list changes, and at
    /// the end.
    pub(crate) fn send(&mut self, listeners: &[Peer]) {
        let frames = &self.frames[..std::mem::take(&mut self.queued)];
        if frames.is_empty() {
            return;
        }
        match self.body {
            Body::Plain(body) => body.send(self.socket, frames, listeners, self.traffic),
            #[cfg(target_os = "linux")]
            Body::Linux { outbound, .. } => {
                outbound.send(self.socket, frames, listeners, self.traffic);
            }
        }
        self.traffic.record_latency(frames);
    }

    /// Sends an answer to where a datagram came from, from the address it was sent to.
    pub(crate) fn answer(&mut self, answer: &VoiceAuthAnswer, to: &Peer) {
        match self.body {
            Body::Plain(body) => body.send_one(self.socket, answer, to, self.traffic),
            #[cfg(target_os = "linux")]
            Body::Linux { outbound, .. } => {
                outbound.send_one(self.socket, answer, to, self.traffic);
            }
        }
    }
}

impl Traffic {
    /// Counts datagrams that the kernel took.
    fn count_sent(&mut self, datagrams: usize, bytes: usize) {
        self.datagrams_sent += datagrams as u64;
        self.bytes_sent += bytes as u64;
    }

    /// Counts datagrams that the kernel did not take.
    fn count_failures(&mut self, error: &io::Error, datagrams: u64) {
        let is_full = error.kind() == io::ErrorKind::WouldBlock || is_out_of_buffers(error);
        let cause = if is_full {
            Cause::SendBufferFull
        } else {
            Cause::SendFailed
        };
        self.counters.count_many(cause, datagrams);
    }

    /// Notes how long it took frames to get out, now that their last copies have been handed to the
    /// kernel. One reading of the clock serves all of them, so that it is an upper bound for all
    /// but the last.
    fn record_latency(&mut self, frames: &[Queued<'_>]) {
        if frames.iter().all(|frame| frame.arrived_ns.is_none()) {
            return;
        }
        // The kernel's time stamps are wall-clock time.
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ns = since_epoch.map_or(0, |since| since.as_nanos() as u64);
        for arrived_ns in frames.iter().filter_map(|frame| frame.arrived_ns) {
            self.latency_ns.record(now_ns.saturating_sub(arrived_ns));
        }
    }
}

/// BSD-like systems say "no buffer space" where others say "would block".
#[cfg(unix)]
fn is_out_of_buffers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(not(unix))]
fn is_out_of_buffers(_error: &io::Error) -> bool {
    false
}
