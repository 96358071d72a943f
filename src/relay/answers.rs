//! Bounds the answers of `success = false` to each source, in a table of fixed size.

use crate::event::Source;
use crate::hash::HashKey;
use crate::limits::{FALSE_ANSWER_INTERVAL, FALSE_ANSWER_SOURCES, FALSE_ANSWERS_BURST};
use crate::rate::{RateLimit, Spent};
use std::hash::BuildHasher;
use std::time::Instant;

/// A rate limit per source, or more exactly per place in the table.
pub(super) struct FalseAnswers {
    limit: RateLimit,
    spent: Box<[Spent]>,
    key: HashKey,
}

impl FalseAnswers {
    pub(super) fn new(key: HashKey) -> Self {
        FalseAnswers {
            limit: RateLimit::new(FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST),
            spent: vec![Spent::default(); FALSE_ANSWER_SOURCES].into(),
            key,
        }
    }

    /// Whether this source may get one more answer, which is then counted against it.
    /// Rule 9b.
    pub(super) fn allow(&mut self, now: Instant, source: Source) -> bool {
        let place = self.key.hash_one(source);
        let spent = &mut self.spent[place as usize % FALSE_ANSWER_SOURCES];
        self.limit.try_spend(spent, now, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(ip: impl Into<IpAddr>) -> Source {
        Source::of(ip.into())
    }

    #[test]
    fn a_burst_then_a_rate_and_other_sources_unharmed() {
        let mut limiter = FalseAnswers::new(HashKey(1, 2));
        let start = Instant::now();
        let (a, b) = (source([192, 0, 2, 1]), source([192, 0, 2, 2]));
        let burst = (0..100).filter(|_| limiter.allow(start, a)).count();
        assert_eq!(burst, FALSE_ANSWERS_BURST as usize);
        assert!(limiter.allow(start, b));
        for second in 1..5 {
            let now = start + second * FALSE_ANSWER_INTERVAL;
            assert!(limiter.allow(now, a));
            assert!(!limiter.allow(now, a));
        }
        let long_after = start + 1_000 * FALSE_ANSWER_INTERVAL;
        let burst = (0..100).filter(|_| limiter.allow(long_after, a)).count();
        assert_eq!(burst, FALSE_ANSWERS_BURST as usize);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_source() {
        let mut limiter = FalseAnswers::new(HashKey(1, 2));
        let now = Instant::now();
        let allowed = (0..100u128)
            .filter(|host| limiter.allow(now, source((0x2001_0db8u128 << 96 | host).to_be_bytes())))
            .count();
        assert_eq!(allowed, FALSE_ANSWERS_BURST as usize);
    }

    #[test]
    fn forged_sources_get_no_more_than_the_table_allows() {
        let mut limiter = FalseAnswers::new(HashKey(1, 2));
        let now = Instant::now();
        let allowed = (0..200_000u32)
            .filter(|&host| limiter.allow(now, source(host.to_be_bytes())))
            .count();
        assert!(allowed <= FALSE_ANSWER_SOURCES * FALSE_ANSWERS_BURST as usize);
    }
}
