//! The oracle's part of what everyone may be made to read, by the users of one source and by all.

use super::Model;
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::limits::BROADCAST_OVERHEAD_BYTES;

/// What was read at the expense of somebody: the time in which it would be at the permitted rate, so far
/// as that is still to come.
pub struct Broadcasts {
    /// What a byte costs, and the most that there may be.
    byte: Duration,
    most: Duration,
    owed: Duration,
    at: Duration,
}

impl Broadcasts {
    pub fn of_source(limits: &Limits) -> Self {
        let rate = limits.broadcast_bandwidth_per_address;
        Broadcasts::new(rate, u64::from(rate) * 8)
    }

    pub fn of_all(limits: &Limits) -> Self {
        let rate = limits.broadcast_bandwidth;
        Broadcasts::new(rate, u64::from(rate) * 3 / 2)
    }

    /// The share of all that nobody can take from a source.
    pub fn of_share(limits: &Limits) -> Self {
        Broadcasts::new(limits.broadcast_bandwidth.div_ceil(64), 0)
    }

    fn new(rate: u32, burst: u64) -> Self {
        // Two of the longest messages may come at once, whatever the rate.
        let burst = burst.max(2 * (21 + 4_096 + BROADCAST_OVERHEAD_BYTES as u64));
        let byte = match rate {
            0 => Duration::ZERO,
            rate => Duration::from_nanos(1_000_000_000 / u64::from(rate)),
        };
        Broadcasts {
            byte,
            most: byte * u32::try_from(burst).expect("rates are small here"),
            owed: Duration::ZERO,
            at: Duration::ZERO,
        }
    }

    fn owe(&mut self, at: Duration, bytes: usize) -> Duration {
        self.owed = self.owed.saturating_sub(at - self.at);
        self.at = at;
        self.owed + self.byte * bytes as u32
    }

    /// How much of the most it would be with so many more bytes, in millionths.
    fn part(&mut self, at: Duration, bytes: usize) -> u128 {
        let owed = self.owe(at, bytes);
        match self.most {
            Duration::ZERO => 0,
            most => owed.as_nanos() * 1_000_000 / most.as_nanos(),
        }
    }
}

/// What so many frames cost, of so many bytes each.
fn cost(bytes: usize, frames: usize) -> usize {
    frames * (bytes + BROADCAST_OVERHEAD_BYTES)
}

impl Model {
    /// Whether everyone may be made to read this: as long as what the source has spent of its own, and
    /// all of theirs, are not more than one whole. Or, for who has spent little, as long as a quarter of
    /// what it has spent of its share, and all of theirs, are not more than five quarters.
    pub fn may_broadcast(
        &mut self,
        at: Duration,
        from: ConnectionId,
        bytes: usize,
        frames: usize,
    ) -> bool {
        let (ip, cost) = (self.connection(from).ip, cost(bytes, frames));
        let own = self.source(ip).broadcasts.part(at, cost);
        let share = self.source(ip).share.part(at, cost);
        let all = self.broadcasts.part(at, cost);
        let whole = 1_000_000;
        own + all <= whole || own <= whole / 8 && all + share / 4 <= whole * 5 / 4
    }

    pub fn broadcast(&mut self, at: Duration, from: ConnectionId, bytes: usize, frames: usize) {
        let (ip, cost) = (self.connection(from).ip, cost(bytes, frames));
        let owed = self.source(ip).broadcasts.owe(at, cost);
        self.source(ip).broadcasts.owed = owed;
        let share = &mut self.source(ip).share;
        let owed = share.owe(at, cost);
        if owed <= share.most {
            share.owed = owed;
        }
        self.broadcasts.owed = self.broadcasts.owe(at, cost);
    }
}
