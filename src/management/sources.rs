//! Who comes from where: how many connections an address has, how often it comes, and how often it
//! logs in. An address is what [`Source`] counts as one.

use crate::cause::Cause;
use crate::event::Source;
use crate::hash::HashKey;
use crate::limits::{Limits, REFUSAL_TIME, SOURCES_REMEMBERED_MAX};
use crate::rate::{RateLimit, Spent};
use crate::throttle::Throttle;
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
    entries: HashMap<Source, Entry, HashKey>,
    /// Those without a connection, the one that has been so the longest first.
    idle: BTreeMap<u64, Source>,
    last_idle: u64,
    log: Throttle,
}

impl Sources {
    pub(super) fn new(limits: Limits, key: HashKey) -> Self {
        let most = limits.users + limits.pending_connections + SOURCES_REMEMBERED_MAX;
        Sources {
            connections_max: limits.connections_per_address,
            pending_max: limits.pending_per_address(),
            coming: RateLimit::per_minute(limits.connection_rate),
            logins: RateLimit::per_minute(limits.login_rate),
            entries: HashMap::with_capacity_and_hasher(most, key),
            idle: BTreeMap::new(),
            last_idle: 0,
            log: Throttle::default(),
        }
    }

    /// A connection comes from here. It is taken note of, unless it is to be refused.
    pub(super) fn connect(&mut self, now: Instant, source: Source) -> Result<(), Cause> {
        let entry = self.entries.entry(source).or_default();
        let reaches = |count: usize, max: usize| max > 0 && count >= max;
        let result = if entry.refused_until.is_some_and(|until| now < until) {
            Err(Cause::RefusedTooOften)
        } else if !self.coming.try_spend(&mut entry.came, now, 1) {
            entry.refused_until = Some(now + REFUSAL_TIME);
            if let Some(left_out) = self.log.pass(now) {
                warn!("{source} connects too often, refused for {REFUSAL_TIME:?}{left_out}");
            }
            Err(Cause::RefusedTooOften)
        } else if reaches(entry.connections, self.connections_max) {
            Err(Cause::RefusedTooManyFromAddress)
        } else if reaches(entry.pending, self.pending_max) {
            Err(Cause::RefusedTooManyPending)
        } else {
            entry.connections += 1;
            entry.pending += 1;
            Ok(())
        };
        self.update_idle(source);
        result
    }

    /// Someone from here wants to log in. Says whether that is within the rate.
    pub(super) fn may_log_in(&mut self, now: Instant, source: Source) -> bool {
        let entry = self.entry(source);
        let mut logins = entry.logins;
        let may = self.logins.try_spend(&mut logins, now, 1);
        self.entry(source).logins = logins;
        may
    }

    /// A connection from here has logged in.
    pub(super) fn logged_in(&mut self, source: Source) {
        self.entry(source).pending -= 1;
    }

    /// A connection from here has ended.
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

    /// Makes the order of those without a connection agree with what is known of this one, and
    /// forgets who has been there for the longest if they are too many.
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
        if self.idle.len() > SOURCES_REMEMBERED_MAX {
            if let Some((_, forgotten)) = self.idle.pop_first() {
                self.entries.remove(&forgotten);
            }
        }
    }
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
        let pending = Err(Cause::RefusedTooManyPending);
        assert_eq!(sources.connect(now, source(1)), pending, "a quarter of 8");
        sources.logged_in(source(1));
        assert_eq!(sources.connect(now, source(1)), Ok(()));
        sources.logged_in(source(1));
        let too_many = Err(Cause::RefusedTooManyFromAddress);
        assert_eq!(sources.connect(now, source(1)), too_many);
        assert_eq!(sources.connect(now, source(2)), Ok(()));
        sources.disconnect(source(1), false);
        assert_eq!(sources.connect(now, source(1)), Ok(()));
    }

    #[test]
    fn who_comes_too_often_is_refused_for_a_while_however_often_it_asks() {
        let mut sources = sources(Limits {
            connection_rate: 30,
            ..Limits::default()
        });
        let start = Instant::now();
        let too_often = Err(Cause::RefusedTooOften);
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
        let too_often = Err(Cause::RefusedTooOften);
        assert_eq!(sources.connect(now, source(many)), too_often);
        sources.disconnect(source(0), true);
        assert_eq!(sources.entries.len(), SOURCES_REMEMBERED_MAX);
    }
}
