//! When a datagram arrived, by the kernel's time stamp.
//!
//! The stamp is wall-clock time, and the wall clock can be set. So a stamp is believed only as far
//! as other facts agree with it: whatever is received came after the socket was last seen empty,
//! which the monotonic clock knows, and before now. Where the wall clock has been set since, the
//! stamp may be of the time before. Of all possible times the latest counts, so that no step of the
//! clock makes living voice look old.

use crate::event::Now;
use std::time::{Duration, Instant};

/// What it takes to know when a datagram arrived: see the [module](self).
pub(super) struct Arrivals {
    /// When the socket was last seen empty.
    empty_at: Now,
}

impl Arrivals {
    /// Nothing can have come before `now`.
    pub(super) fn new(now: Now) -> Self {
        Arrivals { empty_at: now }
    }

    /// The socket is empty.
    pub(super) fn note_empty(&mut self, now: Now) {
        self.empty_at = now;
    }

    /// When a datagram arrived that is received now: just now, without a stamp.
    pub(super) fn arrived_at(&self, now: Now, stamp_ns: Option<u64>) -> Instant {
        let Some(stamp_ms) = stamp_ns.map(|ns| ns / 1_000_000) else {
            return now.instant;
        };
        let since_empty = now.instant.duration_since(self.empty_at.instant);
        let by_this_clock = Duration::from_millis(now.unix_ms.saturating_sub(stamp_ms));
        // As the clock was when the socket was empty. That is the same, except for a step since.
        let by_that_clock = match stamp_ms.checked_sub(self.empty_at.unix_ms) {
            Some(after) => since_empty.saturating_sub(Duration::from_millis(after)),
            None => since_empty,
        };
        now.instant - since_empty.min(by_this_clock).min(by_that_clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The age in milliseconds that is computed for a datagram that arrives `arrived` after the
    /// socket was empty and is received `looked` after that, if the wall clock is set by `step`
    /// before or after it arrives.
    fn age(arrived: i64, looked: i64, step: i64, is_before: bool) -> i64 {
        let (start, wall) = (Instant::now(), 1_000_000_000);
        let at = |ms: i64, unix_ms: i64| Now {
            instant: start + Duration::from_millis(ms as u64),
            unix_ms: unix_ms as u64,
        };
        let mut arrivals = Arrivals::new(at(0, wall));
        arrivals.note_empty(at(10, wall + 10));
        let stamp = wall + 10 + arrived + if is_before { step } else { 0 };
        let now = at(10 + looked, wall + 10 + looked + step);
        let arrived_at = arrivals.arrived_at(now, Some(stamp as u64 * 1_000_000));
        now.instant.duration_since(arrived_at).as_millis() as i64
    }

    #[test]
    fn what_waits_ages_with_the_clock() {
        for (arrived, looked) in [(0, 0), (0, 700), (300, 700), (700, 700), (60_000, 300_000)] {
            assert_eq!(age(arrived, looked, 0, true), looked - arrived);
        }
    }

    #[test]
    fn no_step_of_the_clock_makes_anything_older() {
        for step in [
            -86_400_000,
            -3_600_000,
            -600,
            -1,
            1,
            600,
            3_600_000,
            86_400_000,
        ] {
            for (arrived, looked) in [(0, 20), (15, 20), (20, 20), (100, 3_000)] {
                for is_before in [false, true] {
                    let age = age(arrived, looked, step, is_before);
                    assert!((0..=looked - arrived).contains(&age), "{step} {is_before}");
                    // With the clock set back before it came, its age is exact.
                    if step < 0 && is_before {
                        assert_eq!(age, looked - arrived, "{step}");
                    }
                }
            }
        }
    }

    #[test]
    fn without_a_stamp_it_arrived_just_now() {
        let now = Now {
            instant: Instant::now(),
            unix_ms: 5,
        };
        let later = Now {
            instant: now.instant + Duration::from_secs(1),
            unix_ms: 1_005,
        };
        let arrivals = Arrivals::new(now);
        assert_eq!(arrivals.arrived_at(later, None), later.instant);
    }

    /// A datagram that arrives during a turn has a stamp after the turn's reading of the clock.
    #[test]
    fn what_comes_after_the_clock_was_read_is_new() {
        assert_eq!(age(30, 20, 0, true), 0);
    }
}
