//! The oracle's one notion of a rate.

use std::time::Duration;

/// A bucket that fills at a rate, as a stock of time: a unit costs the time in which one comes in.
/// Or a bottomless one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    unit: Duration,
    room: Duration,
    stock: Duration,
    filled: Duration,
}

impl Bucket {
    pub fn per_second(units: u32, burst: u32) -> Self {
        Bucket::new(1, units, burst)
    }

    /// With two minutes' worth in it.
    pub fn per_minute(units: u32) -> Self {
        Bucket::new(60, units, 2 * units)
    }

    fn new(seconds: u64, units: u32, burst: u32) -> Self {
        let unit = match units {
            0 => Duration::ZERO,
            units => Duration::from_nanos(seconds * 1_000_000_000 / u64::from(units)),
        };
        Bucket {
            unit,
            room: unit * burst,
            stock: unit * burst,
            filled: Duration::ZERO,
        }
    }

    fn fill(&mut self, at: Duration) {
        self.stock = self.room.min(self.stock + (at - self.filled));
        self.filled = at;
    }

    pub fn has(&mut self, at: Duration, units: u32) -> bool {
        self.fill(at);
        self.stock >= self.unit * units
    }

    /// Takes units out if there are so many.
    pub fn take(&mut self, at: Duration, units: u32) -> bool {
        let has = self.has(at, units);
        if has {
            self.stock -= self.unit * units;
        }
        has
    }

    /// When there will be so many, if none is taken before.
    pub fn full_enough_at(&mut self, at: Duration, units: u32) -> Duration {
        self.fill(at);
        at + (self.unit * units).saturating_sub(self.stock)
    }
}
