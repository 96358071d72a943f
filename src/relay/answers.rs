//! How many answers of `success = false` a source gets, in a table of fixed size.

use super::HashKey;
use crate::limits::{FALSE_ANSWER_INTERVAL, FALSE_ANSWER_SOURCES, FALSE_ANSWERS_BURST};
use crate::rate::{RateLimit, Spent};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Instant;

/// A rate limit per source, or rather per place in the table.
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
    pub(super) fn allow(&mut self, now: Instant, source: IpAddr) -> bool {
        // A whole IPv6 /64 is one source, because whoever has one address of it has them all.
        let place = match source {
            IpAddr::V4(v4) => self.key.hash_one(v4),
            IpAddr::V6(v6) => self.key.hash_one(v6.to_bits() >> 64),
        };
        let spent = &mut self.spent[place as usize % FALSE_ANSWER_SOURCES];
        self.limit.try_spend(spent, now, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_rate_and_other_sources_unharmed() {
        let mut limiter = FalseAnswers::new(HashKey(1, 2));
        let start = Instant::now();
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
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
            .filter(|host| limiter.allow(now, IpAddr::V6((0x2001_0db8u128 << 96 | host).into())))
            .count();
        assert_eq!(allowed, FALSE_ANSWERS_BURST as usize);
    }

    #[test]
    fn forged_sources_get_no_more_than_the_table_allows() {
        let mut limiter = FalseAnswers::new(HashKey(1, 2));
        let now = Instant::now();
        let allowed = (0..200_000u32)
            .filter(|&host| limiter.allow(now, IpAddr::V4(host.into())))
            .count();
        assert!(allowed <= FALSE_ANSWER_SOURCES * FALSE_ANSWERS_BURST as usize);
    }
}
