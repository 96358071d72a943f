//! Limits per address: how many connections an address has, how often it connects and logs in, and
//! how much its users make everyone read. An address is what [`Source`] counts as one.

use crate::cause::ConnectionRefused;
use crate::event::Source;
use crate::hash::HashKey;
use crate::limits::{
    BROADCAST_BURST_HALF_SECONDS, BROADCAST_BURST_PER_ADDRESS, BROADCAST_BYTES_MAX,
    BROADCAST_QUIET_MILLIONTHS, BROADCAST_RESERVE_PART, BROADCAST_SHARES, Limits, REFUSAL_TIME,
    SOURCES_REMEMBERED_MAX,
};
use crate::log_throttle::LogThrottle;
use crate::rate::{RateLimit, Spent};
use log::warn;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// What is known of one address.
#[derive(Default)]
struct Entry {
    connections: usize,
    /// Those of them that have not logged in.
    pending: usize,
    came: Spent,
    logins: Spent,
    /// Wrong passwords and proofs.
    guesses: Spent,
    broadcasts: Spent,
    /// Its share of what any address may make everyone read, however much the others do.
    share: Spent,
    refused_until: Option<Instant>,
    /// Its place among those without a connection, if it has none.
    idle: Option<u64>,
}

/// The table of addresses. It holds those that have a connection, and of the others a bounded number:
/// those that had one, or tried to, most recently.
pub(super) struct Sources {
    /// 0 for no limit, as in the next.
    connections_max: usize,
    pending_max: usize,
    coming: RateLimit,
    logins: RateLimit,
    guesses: RateLimit,
    /// Bytes that everyone is made to read, by one address and by all.
    broadcasts: RateLimit,
    all_broadcasts: RateLimit,
    share: RateLimit,
    all_spent: Spent,
    entries: HashMap<Source, Entry, HashKey>,
    /// Those without a connection, the one that has been so the longest first.
    idle: BTreeMap<u64, Source>,
    last_idle: u64,
    log: LogThrottle,
}

impl Sources {
    pub(super) fn new(limits: Limits, key: HashKey) -> Self {
        let most = limits.users + limits.pending_connections + SOURCES_REMEMBERED_MAX;
        Sources {
            connections_max: limits.connections_per_address,
            pending_max: limits.pending_per_address(),
            coming: RateLimit::per_minute(limits.connection_rate),
            logins: RateLimit::per_minute(limits.login_rate),
            guesses: RateLimit::per_minute(limits.guess_rate),
            broadcasts: broadcast_limit(
                limits.broadcast_bandwidth_per_address,
                2 * BROADCAST_BURST_PER_ADDRESS,
            ),
            all_broadcasts: broadcast_limit(
                limits.broadcast_bandwidth,
                BROADCAST_BURST_HALF_SECONDS,
            ),
            share: broadcast_limit(limits.broadcast_bandwidth.div_ceil(BROADCAST_SHARES), 0),
            all_spent: Spent::default(),
            entries: HashMap::with_capacity_and_hasher(most, key),
            idle: BTreeMap::new(),
            last_idle: 0,
            log: LogThrottle::default(),
        }
    }

    /// A connection comes from here. It is recorded, unless it is refused.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        source: Source,
    ) -> Result<(), ConnectionRefused> {
        let entry = self.entries.entry(source).or_default();
        let reaches = |count: usize, max: usize| max > 0 && count >= max;
        let result = if entry.refused_until.is_some_and(|until| now < until) {
            Err(ConnectionRefused::TooOften)
        } else if !self.coming.try_spend(&mut entry.came, now, 1) {
            entry.refused_until = Some(now + REFUSAL_TIME);
            if let Some(left_out) = self.log.pass(now) {
                warn!("{source} connects too often, refused for {REFUSAL_TIME:?}{left_out}");
            }
            Err(ConnectionRefused::TooOften)
        } else if reaches(entry.connections, self.connections_max) {
            Err(ConnectionRefused::TooManyFromAddress)
        } else if reaches(entry.pending, self.pending_max) {
            Err(ConnectionRefused::TooManyPending)
        } else {
            entry.connections += 1;
            entry.pending += 1;
            Ok(())
        };
        self.update_idle(source);
        result
    }

    /// Whether a login from here is within the rate.
    pub(super) fn may_log_in(&mut self, now: Instant, source: Source) -> bool {
        let entry = self.entry(source);
        let mut logins = entry.logins;
        let may = self.logins.try_spend(&mut logins, now, 1);
        self.entry(source).logins = logins;
        may
    }

    /// Whether a password or a proof from here is compared at all.
    pub(super) fn may_guess(&mut self, now: Instant, source: Source) -> bool {
        let spent = self.entry(source).guesses;
        self.guesses.permits(spent, now, 1)
    }

    /// A password or a proof from here was wrong.
    pub(super) fn guessed_wrong(&mut self, now: Instant, source: Source) {
        let mut spent = self.entry(source).guesses;
        self.guesses.spend(&mut spent, now, 1);
        self.entry(source).guesses = spent;
    }

    /// Whether everyone may be made to read so many bytes from here.
    ///
    /// The more is spent by all, the less of its own budget may an address have spent. So addresses
    /// that make others read much cannot silence those that do not. That is not enough where many
    /// addresses fill the total with small messages, for which there is room before there is for a
    /// longer one. So addresses that have spent little have a reserve, which goes by a small share
    /// of the total in the same way.
    pub(super) fn may_broadcast(&mut self, now: Instant, source: Source, bytes: u32) -> bool {
        let Entry {
            broadcasts: spent,
            share,
            ..
        } = *self.entry(source);
        let own = self.broadcasts.part_spent(spent, now, bytes);
        let all = self.all_broadcasts.part_spent(self.all_spent, now, bytes);
        let share = self.share.part_spent(share, now, bytes);
        let has_reserve = own <= BROADCAST_QUIET_MILLIONTHS
            && all.saturating_add(share / BROADCAST_RESERVE_PART)
                <= 1_000_000 + 1_000_000 / BROADCAST_RESERVE_PART;
        own.saturating_add(all) <= 1_000_000 || has_reserve
    }

    /// Everyone is made to read so many bytes from here.
    pub(super) fn broadcast(&mut self, now: Instant, source: Source, bytes: u32) {
        let entry = self.entries.get_mut(&source);
        let entry = entry.expect("an address that has a connection is in the table");
        self.broadcasts.spend(&mut entry.broadcasts, now, bytes);
        // What exceeds the share leaves no debt: an address that has been loud may speak again soon
        // after.
        self.share.try_spend(&mut entry.share, now, bytes);
        self.all_broadcasts.spend(&mut self.all_spent, now, bytes);
    }

    /// A connection from here has logged in, or never will.
    pub(super) fn no_longer_pending(&mut self, source: Source) {
        self.entry(source).pending -= 1;
    }

    /// A connection from here was closed.
    pub(super) fn disconnect(&mut self, source: Source, was_pending: bool) {
        let entry = self.entry(source);
        entry.connections -= 1;
        entry.pending -= usize::from(was_pending);
        self.update_idle(source);
    }

    fn entry(&mut self, source: Source) -> &mut Entry {
        let entry = self.entries.get_mut(&source);
        entry.expect("an address that has a connection is in the table")
    }

    /// Updates the order of addresses without a connection for this one, and forgets the oldest of
    /// them if they are too many.
    fn update_idle(&mut self, source: Source) {
        let entry = self.entry(source);
        let is_idle = entry.connections == 0;
        if let Some(place) = entry.idle.take() {
            self.idle.remove(&place);
        }
        if !is_idle {
            return;
        }
        self.last_idle += 1;
        let place = self.last_idle;
        self.entry(source).idle = Some(place);
        self.idle.insert(place, source);
        if self.idle.len() > SOURCES_REMEMBERED_MAX
            && let Some((_, forgotten)) = self.idle.pop_first()
        {
            self.entries.remove(&forgotten);
        }
    }
}

/// So many bytes a second, and as much at once as comes in so many half seconds, or a single
/// message of the greatest length in any case.
fn broadcast_limit(per_second: u32, half_seconds: u32) -> RateLimit {
    let burst = u64::from(per_second) * u64::from(half_seconds) / 2;
    let burst = u32::try_from(burst).unwrap_or(u32::MAX);
    RateLimit::per_second(per_second, burst.max(2 * BROADCAST_BYTES_MAX))
}

#[cfg(test)]
mod tests;
