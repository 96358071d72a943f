//! The voice socket: batches of datagrams in and out.
//!
//! It receives many into [slots] that were allocated at start, and sends many at once. There are
//! two bodies: `linux` makes few system calls of many datagrams, and keeps the server's own address
//! of every exchange; `plain` makes one portable call per datagram. This and the [system
//! calls](crate::system) are the only parts of the crate with `unsafe` code in them. It decides
//! nothing: the relay decides who hears whom.

#[cfg(target_os = "linux")]
mod groups;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux;
mod plain;
mod slots;
#[cfg(test)]
mod tests;

pub use slots::{Received, Slots};

use crate::cause::{Counters, UdpFailed};
use crate::config::UdpSend;
use crate::event::UdpPath;
use crate::histogram::Histogram;
#[cfg(target_os = "linux")]
use crate::limits;
use mio::net::UdpSocket;
use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

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
    fn new(socket: &std::net::UdpSocket, way: UdpSend) -> io::Result<Self> {
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
            inbound: Box::new(linux::Inbound::new(socket, is_ipv6)?),
            outbound: Box::new(linux::Outbound::new(is_ipv6, coalesces)),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn new(socket: &std::net::UdpSocket, way: UdpSend) -> io::Result<Self> {
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        match way {
            UdpSend::Auto | UdpSend::Plain => Ok(Body::Plain(plain::Plain { is_ipv6 })),
            UdpSend::Batch | UdpSend::Coalesce => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A socket that voice comes from and goes to.
pub trait DatagramSocket {
    /// Receives what is there into the slots, at most a batch.
    fn receive(&mut self, slots: &mut Slots);

    /// Whether there may be more than was just received. If not, readiness will be reported again.
    fn may_have_more(&self) -> bool;

    /// Sends each frame to every listener but its sender: as it is, and sealed to those who have a seal.
    fn send(&mut self, frames: &[Queued<'_>], listeners: &[UdpPath], seals: &mut dyn Seals);

    /// Sends a datagram along a path, from the address that was reached.
    fn answer(&mut self, datagram: &[u8], to: &UdpPath);

    /// Whether this may be an address of this machine.
    fn may_be_own(&self, ip: IpAddr) -> bool;
}

/// Listeners whose datagrams are sealed, each by a seal of their own.
pub trait Seals {
    /// Where each of them is.
    fn paths(&self) -> &[UdpPath];

    /// Seals a frame for the one at this place into all of the datagram, which has room for the frame and
    /// what sealing adds, and zeros behind the frame. Without success, nothing may be sent of it.
    fn seal(&mut self, place: usize, frame: &[u8], datagram: &mut [u8]) -> bool;
}

/// The bound UDP socket with its buffers.
pub(crate) struct VoiceSocket {
    socket: UdpSocket,
    body: Body,
    may_have_more: bool,
    measures_latency: bool,
    traffic: Traffic,
}

/// What went through the socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) datagrams_received: u64,
    /// The bytes in them as they came, where the system reports it; otherwise what fits into a
    /// slot.
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

/// A frame that waits to be sent.
#[derive(Clone, Copy)]
pub struct Queued<'a> {
    /// Its bytes.
    pub frame: &'a [u8],
    /// The sender's place among the listeners, and among those whose datagrams are sealed.
    pub sender: usize,
    /// See `sender`.
    pub sealed_sender: usize,
    /// When it arrived.
    pub arrived_ns: Option<u64>,
}

impl Queued<'_> {
    /// The place of a sender in a list that does not have them.
    pub(crate) const NOWHERE: usize = usize::MAX;

    pub(crate) const NOTHING: Self = Queued {
        frame: &[],
        sender: Self::NOWHERE,
        sealed_sender: Self::NOWHERE,
        arrived_ns: None,
    };

    /// Whether both have one sender. All who are nowhere count as one.
    #[cfg(target_os = "linux")]
    fn has_sender_of(&self, other: &Self) -> bool {
        (self.sender, self.sealed_sender) == (other.sender, other.sealed_sender)
    }
}

impl VoiceSocket {
    /// Takes over a bound, non-blocking socket.
    pub(crate) fn new(
        socket: std::net::UdpSocket,
        way: UdpSend,
        measures_latency: bool,
    ) -> io::Result<Self> {
        Ok(VoiceSocket {
            body: Body::new(&socket, way)?,
            socket: UdpSocket::from_std(socket),
            may_have_more: false,
            measures_latency,
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
}

impl DatagramSocket for VoiceSocket {
    fn receive(&mut self, slots: &mut Slots) {
        let traffic = &mut self.traffic;
        slots.begin();
        self.may_have_more = match &mut self.body {
            Body::Plain(_) => plain::receive(&self.socket, slots, traffic),
            #[cfg(target_os = "linux")]
            Body::Linux { inbound, .. } => match inbound.receive(&self.socket, slots, traffic) {
                Ok(()) => slots.fresh().len() == limits::DATAGRAMS_PER_BATCH,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        traffic.counters.count(UdpFailed::Receive);
                    }
                    false
                }
            },
        };
        let received = slots.fresh().len();
        if received > 0 {
            traffic.datagrams_received += received as u64;
            traffic.batches.record(received as u64);
        }
    }

    fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    fn send(&mut self, frames: &[Queued<'_>], listeners: &[UdpPath], seals: &mut dyn Seals) {
        let traffic = &mut self.traffic;
        match &mut self.body {
            Body::Plain(body) => {
                body.send(&self.socket, frames, listeners, traffic);
                body.send_sealed(&self.socket, frames, seals, traffic);
            }
            #[cfg(target_os = "linux")]
            Body::Linux { outbound, .. } => {
                outbound.send(&self.socket, frames, listeners, seals, traffic);
            }
        }
        if self.measures_latency {
            traffic.record_latency(frames);
        }
    }

    fn answer(&mut self, datagram: &[u8], to: &UdpPath) {
        let traffic = &mut self.traffic;
        match &mut self.body {
            Body::Plain(body) => body.send_one(&self.socket, datagram, to, traffic),
            #[cfg(target_os = "linux")]
            Body::Linux { outbound, .. } => {
                outbound.send_one(&self.socket, datagram, to, traffic);
            }
        }
    }

    /// An address of another machine cannot be bound. Any other error, such as that there are no
    /// descriptors, proves nothing.
    fn may_be_own(&self, ip: IpAddr) -> bool {
        match std::net::UdpSocket::bind((ip, 0)) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
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
            UdpFailed::SendBufferFull
        } else {
            UdpFailed::Send
        };
        self.counters.count_many(cause, datagrams);
    }

    /// Records how long it took frames to get out, now that their last copies have been handed to
    /// the kernel. One reading of the clock serves all of them, so that it is an upper bound for
    /// all but the last.
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
