//! Rate limits by the generic cell rate algorithm (ITU-T I.371, annex A): one moment per spender
//! says all that a bucket of tokens would, and nothing has to be refilled.

use crate::limits::ADDRESS_BURST_MINUTES;
use std::time::{Duration, Instant};

/// A permitted rate and burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    /// What one unit costs in time, or nothing where there is no limit.
    interval: Duration,
    /// How far ahead of the rate a spender may be.
    tolerance: Duration,
}

/// What one spender has spent: the moment at which all of it would be paid for at the permitted
/// rate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent(Option<Instant>);

impl RateLimit {
    /// One unit per `interval`, and `burst` units at once.
    pub(crate) fn new(interval: Duration, burst: u32) -> Self {
        RateLimit {
            interval,
            tolerance: interval * burst,
        }
    }

    /// So many units a second, or without limit if that is 0, and `burst` units at once.
    pub(crate) fn per_second(units: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(units);
        RateLimit::new(interval.unwrap_or_default(), burst)
    }

    /// So many units a minute, or without limit if that is 0, and two minutes' worth at once.
    pub(crate) fn per_minute(units: u32) -> Self {
        let interval = Duration::from_secs(60).checked_div(units);
        let burst = units.saturating_mul(ADDRESS_BURST_MINUTES);
        RateLimit::new(interval.unwrap_or_default(), burst)
    }

    /// Whether `units` more may be spent now, without spending them.
    pub(crate) fn permits(&self, spent: Spent, now: Instant, units: u32) -> bool {
        self.after(spent, now, units).duration_since(now) <= self.tolerance
    }

    /// Spends `units`.
    pub(crate) fn spend(&self, spent: &mut Spent, now: Instant, units: u32) {
        spent.0 = Some(self.after(*spent, now, units));
    }

    /// Spends `units` if that is permitted, and returns whether it was.
    pub(crate) fn try_spend(&self, spent: &mut Spent, now: Instant, units: u32) -> bool {
        let is_permitted = self.permits(*spent, now, units);
        if is_permitted {
            self.spend(spent, now, units);
        }
        is_permitted
    }

    /// When `units` more may be spent, at most a whole burst, if nothing else is spent before.
    pub(crate) fn permitted_at(&self, spent: Spent, now: Instant, units: u32) -> Instant {
        let over = self.after(spent, now, units).duration_since(now);
        now + over.saturating_sub(self.tolerance)
    }

    /// How much of the burst would be spent with `units` more, in millionths: over a million is over
    /// the limit. Without a limit, nothing ever is.
    pub(crate) fn part_spent(&self, spent: Spent, now: Instant, units: u32) -> u64 {
        let owed = self.after(spent, now, units).duration_since(now).as_nanos();
        let part = (owed * 1_000_000).checked_div(self.tolerance.as_nanos());
        part.map_or(0, |part| u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// When everything would be paid for, with `units` more.
    fn after(&self, Spent(paid_at): Spent, now: Instant, units: u32) -> Instant {
        paid_at.map_or(now, |at| at.max(now)) + self.interval * units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(limit: RateLimit, spent: &mut Spent, now: Instant, attempts: u32) -> u32 {
        (0..attempts)
            .filter(|_| limit.try_spend(spent, now, 1))
            .count() as u32
    }

    #[test]
    fn a_burst_then_the_rate_then_a_burst_after_a_pause() {
        let limit = RateLimit::per_second(2, 10);
        let (start, mut spent) = (Instant::now(), Spent::default());
        assert_eq!(granted(limit, &mut spent, start, 100), 10);
        for tick in 1..20 {
            let now = start + tick * Duration::from_millis(500);
            assert_eq!(granted(limit, &mut spent, now, 100), 1, "at {tick}");
        }
        let later = start + Duration::from_secs(60);
        assert_eq!(granted(limit, &mut spent, later, 100), 10);
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let limit = RateLimit::per_second(1, 1);
        let (start, mut spent) = (Instant::now(), Spent::default());
        assert_eq!(granted(limit, &mut spent, start, 1_000), 1);
        let next = start + Duration::from_secs(1);
        assert_eq!(granted(limit, &mut spent, next, 1_000), 1);
    }

    #[test]
    fn many_units_are_spent_together_or_not_at_all() {
        let limit = RateLimit::per_second(1_000, 2_000);
        let (now, mut spent) = (Instant::now(), Spent::default());
        assert!(limit.try_spend(&mut spent, now, 1_500));
        assert!(!limit.try_spend(&mut spent, now, 501));
        assert!(limit.try_spend(&mut spent, now, 500));
        assert!(!limit.try_spend(&mut spent, now, 1));
    }

    #[test]
    fn it_is_known_when_more_is_permitted() {
        let limit = RateLimit::per_second(2, 10);
        let (now, mut spent) = (Instant::now(), Spent::default());
        assert_eq!(limit.permitted_at(spent, now, 10), now);
        assert!(limit.try_spend(&mut spent, now, 9));
        assert_eq!(limit.permitted_at(spent, now, 1), now);
        let later = limit.permitted_at(spent, now, 3);
        assert_eq!(later, now + Duration::from_secs(1));
        assert!(!limit.permits(spent, later - Duration::from_nanos(1), 3));
        assert!(limit.permits(spent, later, 3));
    }

    #[test]
    fn the_part_that_is_spent_is_known() {
        let limit = RateLimit::per_second(1_000, 2_000);
        let (now, mut spent) = (Instant::now(), Spent::default());
        assert_eq!(limit.part_spent(spent, now, 0), 0);
        assert_eq!(limit.part_spent(spent, now, 500), 250_000);
        limit.spend(&mut spent, now, 3_000);
        assert_eq!(limit.part_spent(spent, now, 0), 1_500_000);
        let later = now + Duration::from_secs(2);
        assert_eq!(limit.part_spent(spent, later, 500), 750_000);
        let unlimited = RateLimit::per_second(0, 5);
        assert_eq!(unlimited.part_spent(spent, later, 500), 0);
    }

    #[test]
    fn a_minute_counts_from_two_at_once() {
        let limit = RateLimit::per_minute(60);
        let (now, mut spent) = (Instant::now(), Spent::default());
        assert_eq!(granted(limit, &mut spent, now, 1_000), 120);
        let later = now + Duration::from_secs(3);
        assert_eq!(granted(limit, &mut spent, later, 1_000), 3);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let limit = RateLimit::per_second(0, 1);
        let (now, mut spent) = (Instant::now(), Spent::default());
        assert_eq!(granted(limit, &mut spent, now, 1_000), 1_000);
        assert!(limit.try_spend(&mut spent, now, u32::MAX));
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_grants_nothing_extra() {
        let limit = RateLimit::per_second(1, 3);
        let (start, mut spent) = (Instant::now() + Duration::from_secs(10), Spent::default());
        assert_eq!(granted(limit, &mut spent, start, 10), 3);
        let earlier = start - Duration::from_secs(5);
        assert_eq!(granted(limit, &mut spent, earlier, 10), 0);
    }
}
