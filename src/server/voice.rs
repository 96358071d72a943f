//! The voice port: receives what is there, asks the relay about it, and sends on what is to be
//! relayed in the order of the [backlog](crate::relay::backlog), within bounds.
//!
//! Reading comes first, because the kernel's buffer knows neither users nor ages: what waits there
//! makes everyone wait, and once it is full, what comes last is lost. What waits here is dropped by
//! share and age.

mod arrival;
#[cfg(test)]
mod tests;

use super::core::Voice;
use crate::cause::{Counters, VoiceDropped};
use crate::event::{Now, UdpPath};
use crate::limits::{
    DATAGRAMS_PER_BATCH, DATAGRAMS_PER_WORK_UNIT, DATAGRAMS_TOGETHER_MIN, DELIVERIES_PER_WORK_UNIT,
    Limits, RECEIVES_PER_POLL, VOICE_SLOTS, sent_per_poll_max, waiting_max,
};
use crate::relay::backlog::Backlog;
use crate::relay::{Claim, Finding, Place, SealedListeners, Verdict};
use crate::switchboard::Switchboard;
use crate::udp::{DatagramSocket, Queued, Seals, Slots};
use arrival::Arrivals;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The voice port.
pub(super) struct VoicePort<S> {
    pub(super) socket: S,
    port: u16,
    slots: Slots,
    backlog: Backlog,
    arrivals: Arrivals,
    /// When the datagram in each slot arrived.
    arrived_at: Box<[Instant]>,
    age_max: Duration,
    /// Whether the kernel may hold a datagram.
    is_readable: bool,
    /// What was dropped while it waited here.
    pub(super) counters: Counters,
}

impl<S: DatagramSocket> VoicePort<S> {
    /// Takes over a socket that is bound to this port.
    pub(super) fn new(now: Now, socket: S, port: u16, limits: Limits) -> Self {
        VoicePort {
            socket,
            port,
            slots: Slots::new(VOICE_SLOTS),
            backlog: Backlog::new(limits.users, VOICE_SLOTS),
            arrivals: Arrivals::new(now),
            arrived_at: vec![now.instant; VOICE_SLOTS].into(),
            age_max: limits.voice_age,
            is_readable: false,
            counters: Counters::new(),
        }
    }

    /// The kernel has reported datagrams.
    pub(super) fn note_readable(&mut self) {
        self.is_readable = true;
    }

    /// Datagrams that wait to be sent on.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Receives what is there, and puts what is to be relayed into the backlog. Returns how many
    /// datagrams came.
    fn receive(&mut self, now: Now, switchboard: &mut Switchboard) -> usize {
        let mut received = 0;
        for _ in 0..RECEIVES_PER_POLL {
            self.socket.receive(&mut self.slots);
            for place in 0..self.slots.fresh().len() {
                let slot = self.slots.fresh()[place];
                self.take_in(now, slot, switchboard);
            }
            received += self.slots.fresh().len();
            let most = waiting_max(switchboard.relay().listener_count());
            if self.backlog.len() > most {
                let before = self.backlog.len();
                self.backlog.shed(most / 2, |slot| self.slots.release(slot));
                let dropped = before - self.backlog.len();
                self.counters
                    .count_many(VoiceDropped::Overload, dropped as u64);
            }
            self.is_readable = self.socket.may_have_more();
            if !self.is_readable {
                self.arrivals.note_empty(now);
                break;
            }
        }
        received
    }

    /// Handles a datagram, or puts it in line for its turn.
    fn take_in(&mut self, now: Now, slot: usize, switchboard: &mut Switchboard) {
        let (received, bytes) = self.slots.datagram(slot);
        let path = received.path;
        self.arrived_at[slot] = self.arrivals.arrived_at(now, received.arrived_ns);
        let is_late = is_too_late(now, self.arrived_at[slot], self.age_max);
        match switchboard.examine(now, path, bytes, is_late) {
            Finding::Voice {
                frame,
                speaker,
                claim,
                ..
            } => {
                if self.hear(now, path, claim, switchboard) {
                    self.slots.narrow(slot, frame);
                    self.backlog.push(slot, speaker);
                    return;
                }
            }
            Finding::Claim(claim) => self.answer(now, path, claim, switchboard),
            Finding::Drop(_) => {}
        }
        self.slots.release(slot);
    }

    /// Whether voice may be heard that came with this claim, if with any. Its address is asked whether it
    /// is the user's.
    fn hear(
        &mut self,
        now: Now,
        from: UdpPath,
        claim: Option<Claim>,
        switchboard: &mut Switchboard,
    ) -> bool {
        let (socket, port) = (&self.socket, self.port);
        let is_own = |from: SocketAddr| from.port() == port && socket.may_be_own(from.ip());
        let heard = switchboard.hear(now, claim, is_own);
        if let Ok(Some(challenge)) = heard {
            self.socket.answer(&challenge, &from);
        }
        heard.is_ok()
    }

    fn answer(&mut self, now: Now, to: UdpPath, claim: Claim, switchboard: &mut Switchboard) {
        let (socket, port) = (&self.socket, self.port);
        let is_own = |from: SocketAddr| from.port() == port && socket.may_be_own(from.ip());
        match switchboard.judge(now, claim, is_own) {
            Verdict::Answer(answer) => self.socket.answer(&answer, &to),
            Verdict::AnswerAndEnd(answer) => {
                self.socket.answer(&answer, &to);
                self.socket.answer(&[], &to);
            }
            Verdict::AnswerSealed(answer) => self.socket.answer(&answer, &to),
            Verdict::Drop(_) | Verdict::Relay { .. } => {}
        }
    }

    /// Sends on what is next in the backlog, as much as fits into a poll. Returns how many
    /// deliveries that was.
    fn relay(&mut self, now: Now, switchboard: &mut Switchboard) -> usize {
        let mut left = sent_per_poll_max(switchboard.relay().listener_count());
        let mut deliveries = 0;
        // The few that a last batch would have are cheaper with those that come next.
        while !self.backlog.is_empty() && left >= DATAGRAMS_TOGETHER_MIN {
            let most = left.min(DATAGRAMS_PER_BATCH);
            let (sent, to) = self.relay_batch(now, most, switchboard);
            left -= sent;
            deliveries += to;
        }
        deliveries
    }

    /// Sends on at most so many datagrams. Returns their number and that of their deliveries.
    fn relay_batch(
        &mut self,
        now: Now,
        most: usize,
        switchboard: &mut Switchboard,
    ) -> (usize, usize) {
        let mut taken = [0; DATAGRAMS_PER_BATCH];
        let mut senders = [Place::Nowhere; DATAGRAMS_PER_BATCH];
        let (mut count, mut deliveries) = (0, 0);
        while count < most {
            let Some((slot, speaker)) = self.backlog.pop() else {
                break;
            };
            if is_too_late(now, self.arrived_at[slot], self.age_max) {
                self.counters.count(VoiceDropped::TooLate);
            } else if let Ok(recipients) = switchboard.recipients(speaker) {
                (taken[count], senders[count]) = (slot, recipients.sender());
                count += 1;
                deliveries += recipients.len();
                continue;
            }
            self.slots.release(slot);
        }
        let mut frames = [Queued::NOTHING; DATAGRAMS_PER_BATCH];
        for place in 0..count {
            let (received, frame) = self.slots.look(taken[place]);
            frames[place] = Queued {
                frame,
                sender: senders[place].in_plain(),
                sealed_sender: senders[place].in_sealed(),
                arrived_ns: received.arrived_ns,
            };
        }
        if count > 0 {
            let mut room = switchboard.room();
            self.socket
                .send(&frames[..count], room.plain, &mut room.sealed);
        }
        for &slot in &taken[..count] {
            self.slots.release(slot);
        }
        (count, deliveries)
    }
}

impl Seals for SealedListeners<'_> {
    fn paths(&self) -> &[UdpPath] {
        SealedListeners::paths(self)
    }

    fn seal(&mut self, place: usize, frame: &[u8], datagram: &mut [u8]) -> bool {
        SealedListeners::seal(self, place, frame, datagram)
    }
}

/// Whether what arrived at that time has waited for too long.
fn is_too_late(now: Now, arrived_at: Instant, age_max: Duration) -> bool {
    now.instant.duration_since(arrived_at) > age_max
}

impl<S: DatagramSocket> Voice for VoicePort<S> {
    /// Datagrams that come during a turn are not reported, so that each poll asks the kernel.
    fn poll(&mut self, now: Now, switchboard: &mut Switchboard) -> usize {
        let received = self.receive(now, switchboard);
        let deliveries = self.relay(now, switchboard);
        received / DATAGRAMS_PER_WORK_UNIT + deliveries / DELIVERIES_PER_WORK_UNIT
    }

    fn is_ready(&self) -> bool {
        self.is_readable || !self.backlog.is_empty()
    }
}
