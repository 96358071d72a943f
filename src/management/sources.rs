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
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    fn source(number: u32) -> Source {
        Source::of(IpAddr::V4(Ipv4Addr::from(number)))
    }

    fn sources(limits: Limits) -> Sources {
        Sources::new(limits, HashKey(1, 2))
    }

    #[test]
    fn connections_of_one_address_are_bounded_and_others_unharmed() {
        let mut sources = sources(Limits {
            connections_per_address: 3,
            pending_connections: 8,
            ..Limits::UNLIMITED
        });
        let now = Instant::now();
        assert_eq!(sources.connect(now, source(1)), Ok(()));
        assert_eq!(sources.connect(now, source(1)), Ok(()));
        let pending = Err(ConnectionRefused::TooManyPending);
        assert_eq!(sources.connect(now, source(1)), pending, "a quarter of 8");
        sources.no_longer_pending(source(1));
        assert_eq!(sources.connect(now, source(1)), Ok(()));
        sources.no_longer_pending(source(1));
        let too_many = Err(ConnectionRefused::TooManyFromAddress);
        assert_eq!(sources.connect(now, source(1)), too_many);
        assert_eq!(sources.connect(now, source(2)), Ok(()));
        sources.disconnect(source(1), false);
        assert_eq!(sources.connect(now, source(1)), Ok(()));
    }

    /// Bytes that an address is granted if it asks for so many at a time, as often as it likes.
    fn granted(sources: &mut Sources, now: Instant, source: Source, bytes: u32) -> u32 {
        let mut granted = 0;
        while sources.may_broadcast(now, source, bytes) {
            sources.broadcast(now, source, bytes);
            granted += bytes;
        }
        granted
    }

    #[test]
    fn an_address_makes_everyone_read_so_much_and_all_together_a_bit_more() {
        let mut sources = sources(Limits {
            broadcast_bandwidth_per_address: 16_384,
            broadcast_bandwidth: 131_072,
            ..Limits::UNLIMITED
        });
        let start = Instant::now();
        for number in 0..50 {
            assert_eq!(sources.connect(start, source(number)), Ok(()));
        }
        // Of its own 128 KiB, the part that this leaves of all's 192 KiB.
        let first = granted(&mut sources, start, source(0), 100);
        assert_eq!(first, 78_600);
        let (mut all, mut others) = (first, Vec::new());
        for number in 1..40 {
            others.push(granted(&mut sources, start, source(number), 100));
            all += others[others.len() - 1];
        }
        assert!(others.is_sorted_by(|one, next| one >= next), "{others:?}");
        // With the reserve for those who have said little.
        assert!(all < 196_608 * 5 / 4);
        // An address that has said little may still say something.
        assert!(sources.may_broadcast(start, source(45), 100) || all > 196_000);
        let second = start + Duration::from_secs(1);
        assert!(sources.may_broadcast(second, source(46), 4_096));
        let mut sum = 0;
        for tenth in 1..600 {
            let now = start + Duration::from_millis(tenth * 100);
            sum += (0..50)
                .map(|it| granted(&mut sources, now, source(it), 100))
                .sum::<u32>();
        }
        assert!((131_072 * 58..131_072 * 62).contains(&sum), "{sum}");
    }

    /// Eight addresses use all there is, second for second, and one asks for a short message in each.
    #[test]
    fn those_who_say_much_keep_no_one_quiet_who_says_little() {
        let mut sources = sources(Limits {
            broadcast_bandwidth_per_address: 16_384,
            broadcast_bandwidth: 65_536,
            ..Limits::UNLIMITED
        });
        let start = Instant::now();
        for number in 0..9 {
            assert_eq!(sources.connect(start, source(number)), Ok(()));
        }
        for tenth in 0..600 {
            let now = start + Duration::from_millis(tenth * 100);
            for number in 1..9 {
                granted(&mut sources, now, source(number), 4_096);
            }
            if tenth % 10 == 0 {
                assert!(sources.may_broadcast(now, source(0), 200), "at {tenth}");
                sources.broadcast(now, source(0), 200);
            }
        }
    }

    /// Sixteen addresses ask all the time for the shortest event there is, and others for longer ones.
    #[test]
    fn small_messages_of_many_keep_no_one_quiet_either() {
        let mut sources = sources(Limits {
            broadcast_bandwidth_per_address: 16_384,
            broadcast_bandwidth: 131_072,
            ..Limits::UNLIMITED
        });
        let start = Instant::now();
        for number in 0..30 {
            assert_eq!(sources.connect(start, source(number)), Ok(()));
        }
        let mut loud = 0;
        for ms in (0..60_000).step_by(10) {
            let now = start + Duration::from_millis(ms);
            for number in 10..26 {
                loud += u64::from(granted(&mut sources, now, source(number), 44));
            }
            let quiet = source(ms as u32 / 1_000 % 10);
            if ms % 1_000 == 0 {
                assert!(sources.may_broadcast(now, quiet, 1_200), "at {ms}");
                sources.broadcast(now, quiet, 1_200);
            }
        }
        // The reserve is no second budget.
        let all = loud + 60 * 1_200;
        assert!(all < 131_072 * 60 + 196_608 * 5 / 4, "{all}");
        assert!(all > 131_072 * 60, "{all}");
    }

    #[test]
    fn the_reserve_goes_past_no_addresss_own_budget() {
        let mut sources = sources(Limits {
            broadcast_bandwidth_per_address: 1,
            broadcast_bandwidth: 1_000_000,
            ..Limits::UNLIMITED
        });
        let now = Instant::now();
        assert_eq!(sources.connect(now, source(0)), Ok(()));
        let own = granted(&mut sources, now, source(0), 100);
        assert!(own <= 2 * BROADCAST_BYTES_MAX, "{own}");
    }

    #[test]
    fn who_comes_too_often_is_refused_for_a_while_however_often_it_asks() {
        let mut sources = sources(Limits {
            connection_rate: 30,
            ..Limits::default()
        });
        let start = Instant::now();
        let too_often = Err(ConnectionRefused::TooOften);
        for _ in 0..60 {
            assert_eq!(sources.connect(start, source(1)), Ok(()));
            sources.disconnect(source(1), true);
        }
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            assert_eq!(sources.connect(now, source(1)), too_often, "{second}");
            assert_eq!(sources.connect(now, source(second as u32 + 2)), Ok(()));
        }
        let later = start + REFUSAL_TIME;
        for _ in 0..30 {
            assert_eq!(sources.connect(later, source(1)), Ok(()));
            sources.disconnect(source(1), true);
        }
        assert_eq!(sources.connect(later, source(1)), too_often);
    }

    #[test]
    fn who_is_gone_is_remembered_within_a_bound_and_who_is_there_always() {
        let mut sources = sources(Limits {
            connection_rate: 1,
            ..Limits::default()
        });
        let now = Instant::now();
        assert_eq!(sources.connect(now, source(0)), Ok(()));
        let many = 2 * SOURCES_REMEMBERED_MAX as u32;
        for number in 1..=many {
            for _ in 0..3 {
                if sources.connect(now, source(number)).is_ok() {
                    sources.disconnect(source(number), true);
                }
            }
        }
        assert_eq!(sources.entries.len(), SOURCES_REMEMBERED_MAX + 1);
        assert_eq!(sources.idle.len(), SOURCES_REMEMBERED_MAX);
        let too_often = Err(ConnectionRefused::TooOften);
        assert_eq!(sources.connect(now, source(many)), too_often);
        sources.disconnect(source(0), true);
        assert_eq!(sources.entries.len(), SOURCES_REMEMBERED_MAX);
    }
}
