//! The voice socket and the relay's verdicts on what it receives.

use super::core::Voice;
use crate::config::Config;
use crate::event::Now;
use crate::limits::{BATCHES_PER_LOOK, DELIVERIES_PER_LOOK};
use crate::relay::Verdict;
use crate::switchboard::Switchboard;
use crate::udp::{Queued, VoiceSocket};
use std::io;
use std::net::UdpSocket;

/// The voice port.
pub(super) struct VoicePort {
    pub(super) socket: VoiceSocket,
    /// Whether a datagram may be waiting.
    pub(super) is_ready: bool,
}

impl VoicePort {
    /// Takes over a bound, non-blocking socket.
    pub(super) fn new(socket: UdpSocket, config: &Config) -> io::Result<Self> {
        Ok(VoicePort {
            socket: VoiceSocket::new(socket, config.udp_send, config.measure_latency)?,
            is_ready: false,
        })
    }
}

impl Voice for VoicePort {
    /// Nobody else tells of datagrams that come while a turn lasts, so that the kernel is asked each
    /// time.
    fn look(&mut self, now: Now, switchboard: &mut Switchboard) {
        let mut deliveries = 0;
        for _ in 0..BATCHES_PER_LOOK {
            self.socket.receive();
            let (datagrams, mut outgoing) = self.socket.batch();
            for datagram in datagrams {
                // What came before a new proof of address goes to those who listened then.
                let relay = switchboard.relay();
                if relay.is_new_proof(datagram.source, datagram.bytes) {
                    outgoing.send(relay.listeners());
                }
                let source = datagram.source;
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
                return;
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}
