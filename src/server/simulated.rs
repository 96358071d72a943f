//! The loop as the simulator (sim/) drives it: everything that a turn does, on whatever streams, listener and
//! voice socket it is given, with a look at what is private otherwise. Only with the feature `simulation`.

pub use super::accept::Listener;
pub use super::connections::recount::{Look, Mark};
pub use crate::connection::Stream;
pub use crate::connection::delivery::Contact;
pub use crate::management::{About, ConnectionFacts};
pub use crate::switchboard::watch::{Input, Watch};
pub use crate::udp::{DatagramSocket, Queued, Received, Seals, Slots};

use super::core::{Core, Voice};
use super::voice::VoicePort;
use crate::bans::BanList;
use crate::cause::Counters;
use crate::event::{ConnectionId, Now};
use crate::hash::HashKey;
use crate::limits::{self, Limits};
use crate::switchboard::Switchboard;
use std::time::{Duration, Instant};

/// Bounds that are the server's own.
#[allow(missing_docs, reason = "as where they are from")]
pub mod bounds {
    use super::limits;

    pub const DATAGRAMS_PER_BATCH: usize = limits::DATAGRAMS_PER_BATCH;
    pub const DATAGRAMS_PER_WORK_UNIT: usize = limits::DATAGRAMS_PER_WORK_UNIT;
    pub const DATAGRAMS_TOGETHER_MIN: usize = limits::DATAGRAMS_TOGETHER_MIN;
    pub const DELIVERIES_PER_WORK_UNIT: usize = limits::DELIVERIES_PER_WORK_UNIT;
    pub const LARGE_PENDING_MAX: usize = limits::LARGE_PENDING_MAX;
    pub const LOOKS_PER_STALL: u32 = limits::LOOKS_PER_STALL;
    pub const RECEIVES_PER_POLL: usize = limits::RECEIVES_PER_POLL;
    pub const PENDING_BYTES: usize = limits::PENDING_BYTES;

    pub fn sent_per_poll_max(listeners: usize) -> usize {
        limits::sent_per_poll_max(listeners)
    }

    pub fn waiting_max(listeners: usize) -> usize {
        limits::waiting_max(listeners)
    }

    pub fn silence(limits: &super::Limits) -> super::Duration {
        limits.silence()
    }

    pub fn keepalive(limits: &super::Limits) -> super::Duration {
        limits.keepalive()
    }
}

/// The voice port, with every poll of it seen.
struct Watched<S>(VoicePort<S>);

impl<S: DatagramSocket> Voice for Watched<S> {
    fn poll(&mut self, now: Now, switchboard: &mut Switchboard) -> usize {
        switchboard.watched_poll(None);
        let work = self.0.poll(now, switchboard);
        switchboard.watched_poll(Some((work, self.0.waiting())));
        work
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

/// The middle of the loop: see the [module](self).
pub struct Loop<L: Listener, S: DatagramSocket>(Core<L, Watched<S>>);

#[allow(missing_docs, reason = "as where they are from")]
impl<L: Listener, S: DatagramSocket> Loop<L, S> {
    /// With a voice socket that is bound to this port.
    pub fn new(
        now: Now,
        limits: Limits,
        key: HashKey,
        listener: L,
        (socket, port): (S, u16),
        watch: Box<dyn Watch>,
    ) -> Self {
        let voice = Watched(VoicePort::new(now, socket, port, limits));
        let mut core = Core::new(now, limits, key, listener, voice);
        core.switchboard.set_watch(watch);
        Loop(core)
    }

    pub fn turn(&mut self, now: Now) {
        self.0.turn(now);
    }

    pub fn timeout(&self, from: Instant) -> Option<Duration> {
        self.0.timeout(from)
    }

    pub fn set_bans(&mut self, bans: BanList) {
        self.0.set_bans(bans);
    }

    /// What the server says of itself.
    pub fn set_about(&mut self, about: About) {
        self.0.switchboard.set_about(about);
    }

    /// What a handshake would have shown of a connection that has not logged in.
    pub fn set_facts(&mut self, id: ConnectionId, facts: ConnectionFacts) {
        self.0.switchboard.set_facts(id, facts);
    }

    pub fn note_readiness(&mut self, id: ConnectionId, is_readable: bool, is_writable: bool) {
        if is_writable {
            self.0.connections.note_writable(id);
        }
        if is_readable {
            self.0.connections.want_read(id);
        }
    }

    pub fn note_somebody_waits(&mut self) {
        self.0.door.is_ready = true;
    }

    pub fn note_voice(&mut self) {
        self.0.voice.0.note_readable();
    }

    pub fn paused_until(&self) -> Option<Instant> {
        self.0.door.paused_until()
    }

    pub fn voice_is_ready(&self) -> bool {
        self.0.voice.is_ready()
    }

    pub fn voice_waiting(&self) -> usize {
        self.0.voice.0.waiting()
    }

    pub fn switchboard(&self) -> &Switchboard {
        &self.0.switchboard
    }

    /// Everything that was counted.
    pub fn counters(&self) -> Counters {
        let mut all = self.0.switchboard.counters();
        all.add(&self.0.counters);
        all.add(&self.0.voice.0.counters);
        all
    }

    pub fn connection_count(&self) -> usize {
        self.0.connections.count()
    }

    pub fn look(&self, id: ConnectionId) -> Look {
        self.0.connections.look(id)
    }

    /// Who was to be ended and why, since this was emptied last.
    pub fn marks(&mut self) -> &mut Vec<Mark> {
        &mut self.0.connections.marks
    }

    pub fn least_total(&mut self) -> usize {
        self.0.connections.least_total()
    }

    pub fn bytes_max(&self) -> usize {
        self.0.connections.bytes_max()
    }

    pub fn recount(&self) {
        self.0.connections.recount();
    }

    pub fn recount_asleep(&self, due: Option<Instant>) {
        self.0.connections.recount_asleep(due);
    }

    pub fn recount_at_rest(&self) {
        self.0.connections.recount_at_rest();
    }

    pub fn is_left_behind(&self) -> bool {
        self.0.connections.is_left_behind()
    }
}
