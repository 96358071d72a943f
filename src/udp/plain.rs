//! The portable body: one call per datagram, with what every system has.
//!
//! It does not know which of the server's addresses a datagram was sent to, and cannot choose the
//! one that it answers from: a server with several must be bound to one of them.

use super::{Queued, Received, Seals, Slots, Traffic};
use crate::cause::UdpFailed;
use crate::event::{UdpPath, canonical};
use crate::limits::{DATAGRAM_SLOT_BYTES, DATAGRAMS_PER_BATCH};
use crate::protocol::SEAL_OVERHEAD_BYTES;
use mio::net::UdpSocket;
use std::io;
use std::net::SocketAddr;

/// The sending half: whether addresses must be written as IPv6 ones.
pub(super) struct Plain {
    pub(super) is_ipv6: bool,
}

/// Fills the slots with what is there, and says whether there may be more.
pub(super) fn receive(socket: &UdpSocket, slots: &mut Slots, traffic: &mut Traffic) -> bool {
    for _ in 0..DATAGRAMS_PER_BATCH {
        let Some(slot) = slots.free_bytes(0) else {
            break;
        };
        match socket.recv_from(slot) {
            Ok((len, remote)) => {
                // What was cut to its slot counts as much: nothing portable reports its length.
                traffic.bytes_received += len as u64;
                slots.fill(Received {
                    len,
                    arrived_ns: None,
                    path: UdpPath {
                        remote: canonical(remote),
                        local: None,
                    },
                });
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return false,
                io::ErrorKind::Interrupted => {}
                // Some systems report here what became of datagrams that were sent, or that one was
                // too long for its slot. The next call may succeed.
                _ => traffic.counters.count(UdpFailed::Receive),
            },
        }
    }
    true
}

impl Plain {
    pub(super) fn send(
        &self,
        socket: &UdpSocket,
        frames: &[Queued<'_>],
        listeners: &[UdpPath],
        traffic: &mut Traffic,
    ) {
        for frame in frames {
            for (place, listener) in listeners.iter().enumerate() {
                if place != frame.sender {
                    self.send_one(socket, frame.frame, listener, traffic);
                }
            }
        }
    }

    /// The same for those whose datagrams are sealed.
    pub(super) fn send_sealed(
        &self,
        socket: &UdpSocket,
        frames: &[Queued<'_>],
        seals: &mut dyn Seals,
        traffic: &mut Traffic,
    ) {
        let mut bytes = [0; DATAGRAM_SLOT_BYTES];
        for frame in frames {
            let datagram = &mut bytes[..frame.frame.len() + SEAL_OVERHEAD_BYTES];
            for place in (0..seals.paths().len()).filter(|&it| it != frame.sealed_sender) {
                if seals.seal(place, frame.frame, datagram) {
                    self.send_one(socket, datagram, &seals.paths()[place], traffic);
                } else {
                    traffic.counters.count(UdpFailed::Exhausted);
                }
            }
        }
    }

    pub(super) fn send_one(
        &self,
        socket: &UdpSocket,
        bytes: &[u8],
        to: &UdpPath,
        traffic: &mut Traffic,
    ) {
        let remote = match to.remote {
            SocketAddr::V4(v4) if self.is_ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            remote => remote,
        };
        loop {
            match socket.send_to(bytes, remote) {
                Ok(len) => traffic.count_sent(1, len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => traffic.count_failures(&error, 1),
            }
            return;
        }
    }
}
