//! The voice socket and the relay's verdicts on what it receives.

use super::core::Voice;
use crate::cause::{Cause, Counters};
use crate::config::Config;
use crate::event::Now;
use crate::limits::{
    BATCHES_PER_LOOK, DATAGRAMS_PER_WORK_UNIT, DELIVERIES_PER_LOOK, DELIVERIES_PER_WORK_UNIT,
};
use crate::relay::Verdict;
use crate::switchboard::Switchboard;
use crate::udp::{Queued, VoiceSocket};
use std::io;
use std::net::{IpAddr, UdpSocket};

/// The voice port.
pub(super) struct VoicePort {
    pub(super) socket: VoiceSocket,
    /// Whether a datagram may be waiting.
    pub(super) is_ready: bool,
    port: u16,
    /// What was dropped before anybody looked at it.
    pub(super) counters: Counters,
}

impl VoicePort {
    /// Takes over a bound, non-blocking socket.
    pub(super) fn new(socket: UdpSocket, config: &Config) -> io::Result<Self> {
        Ok(VoicePort {
            port: socket.local_addr()?.port(),
            counters: Counters::new(),
            socket: VoiceSocket::new(socket, config.udp_send, config.measure_latency)?,
            is_ready: false,
        })
    }
}

impl Voice for VoicePort {
    /// Nobody else tells of datagrams that come while a turn lasts, so that the kernel is asked each
    /// time.
    fn look(&mut self, now: Now, switchboard: &mut Switchboard) -> usize {
        let (mut received, mut deliveries) = (0, 0);
        for _ in 0..BATCHES_PER_LOOK {
            received += self.socket.receive();
            let (datagrams, mut outgoing) = self.socket.batch();
            for datagram in datagrams {
                // What came before a new proof of address goes to those who listened then.
                let (source, relay) = (datagram.source, switchboard.relay());
                if relay.is_new_proof(source, datagram.bytes) {
                    // Voice for the server's own port would come in again as that user's.
                    if source.remote.port() == self.port && is_of_this_machine(source.remote.ip()) {
                        self.counters.count(Cause::VoiceAuthOwnAddress);
                        continue;
                    }
                    outgoing.send(relay.listeners());
                }
                match switchboard.handle_datagram(now, source, datagram.bytes) {
                    Verdict::Relay { frame, recipients } => {
                        deliveries += recipients.len();
                        outgoing.queue(Queued {
                            frame,
                            sender: recipients.sender(),
                            arrived_ns: datagram.arrived_ns,
                        });
                    }
                    Verdict::Answer(answer) => outgoing.answer(&answer, &source),
                    Verdict::Drop(_) => {}
                }
            }
            outgoing.send(switchboard.relay().listeners());
            self.is_ready = self.socket.may_have_more();
            if !self.is_ready || deliveries >= DELIVERIES_PER_LOOK {
                break;
            }
        }
        received / DATAGRAMS_PER_WORK_UNIT + deliveries / DELIVERIES_PER_WORK_UNIT
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}

/// Whether this is an address of this machine, which can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}
