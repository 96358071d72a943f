//! How long to wait before reconnecting: hardly at first, and ever longer, with a random share, so
//! that a server that comes back does not meet all of its clients at once.

use std::time::Duration;

/// The first wait of a row doubles up to the second, in milliseconds.
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 30_000;

/// A row of waits.
#[derive(Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A row that has not begun.
    pub fn new() -> Self {
        Backoff::default()
    }

    /// The next wait of this row. `random` is any number.
    pub fn next(&mut self, random: u32) -> Duration {
        let most_ms = (BACKOFF_MS << self.failures.min(16)).min(BACKOFF_MAX_MS);
        self.failures += 1;
        // Half of it is certain, so that waits do grow.
        let share = f64::from(random) / f64::from(u32::MAX);
        Duration::from_millis(most_ms / 2).mul_f64(1.0 + share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ_by_chance() {
        let mut least = Backoff::new();
        let mut most = Backoff::new();
        let bounds_ms = [
            (500, 1_000),
            (1_000, 2_000),
            (2_000, 4_000),
            (4_000, 8_000),
            (8_000, 16_000),
            (15_000, 30_000),
            (15_000, 30_000),
        ];
        for (low_ms, high_ms) in bounds_ms {
            assert_eq!(least.next(0), Duration::from_millis(low_ms));
            assert_eq!(most.next(u32::MAX), Duration::from_millis(high_ms));
        }
        for _ in 0..100 {
            assert_eq!(most.next(u32::MAX), Duration::from_secs(30));
        }
    }
}
