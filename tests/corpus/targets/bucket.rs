//! A rate limit as a leaky bucket: what the server keeps as one moment, this keeps as a level that
//! falls with time. The two must permit exactly the same.

use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
pub struct Limit {
    /// What one unit adds, in nanoseconds, and how much the bucket holds.
    unit: u128,
    capacity: u128,
}

#[derive(Clone, Copy, Default)]
pub struct Bucket {
    level: u128,
    at: Option<Instant>,
}

impl Limit {
    pub fn new(interval: Duration, burst: u32) -> Self {
        let unit = interval.as_nanos();
        Limit {
            unit,
            capacity: unit * u128::from(burst),
        }
    }

    /// So many a second, or without limit if that is 0.
    pub fn per_second(units: u32, burst: u32) -> Self {
        let interval = 1_000_000_000u64.checked_div(units.into());
        Limit::new(Duration::from_nanos(interval.unwrap_or(0)), burst)
    }
}

impl Bucket {
    pub fn permits(&mut self, limit: Limit, now: Instant, units: usize) -> bool {
        if let Some(at) = self.at {
            self.level = self.level.saturating_sub((now - at).as_nanos());
        }
        self.at = Some(now);
        self.level + limit.unit * units as u128 <= limit.capacity
    }

    /// Takes what was permitted just now.
    pub fn spend(&mut self, limit: Limit, units: usize) {
        self.level += limit.unit * units as u128;
    }

    pub fn try_spend(&mut self, limit: Limit, now: Instant, units: usize) -> bool {
        let is_permitted = self.permits(limit, now, units);
        if is_permitted {
            self.spend(limit, units);
        }
        is_permitted
    }
}
