//! A histogram of durations with a fixed size and a known error: 128 steps for every doubling, so
//! that a value is known to within 0.4 %. Nothing is allocated after the start, whatever comes.
//!
//! Worker processes send theirs as one line of text, and the parent adds them up.

use std::fmt::Write;

/// Steps per doubling are two to the power of this.
const STEP_BITS: u32 = 7;
const STEPS: u64 = 1 << STEP_BITS;
/// Durations from here on (18 minutes, in nanoseconds) count as this one.
const LONGEST: u64 = (1 << 40) - 1;
const BUCKETS: usize = ((40 - STEP_BITS as usize) + 1) * STEPS as usize;

#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Histogram {
            buckets: vec![0; BUCKETS],
            count: 0,
            max: 0,
        }
    }

    pub fn record(&mut self, ns: u64) {
        self.buckets[bucket_of(ns)] += 1;
        self.count += 1;
        self.max = self.max.max(ns);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest duration, exactly; none if there was none at all.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The duration that this share of all durations does not exceed, `share` being 0 to 1.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            passed += count;
            if passed >= rank {
                return Some(middle_of(bucket).min(self.max));
            }
        }
        None
    }

    /// Every duration that occurred, with how many were not longer than it.
    pub fn steps(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut passed = 0;
        let occurred = self.buckets.iter().enumerate().filter(|(_, it)| **it > 0);
        occurred.map(move |(bucket, &count)| {
            passed += count;
            (middle_of(bucket).min(self.max), passed)
        })
    }

    pub fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The longest duration, and each bucket that isn't empty.
    pub fn to_words(&self) -> String {
        let mut words = self.max.to_string();
        for (bucket, &count) in self.buckets.iter().enumerate() {
            if count > 0 {
                let _ = write!(words, " {bucket}:{count}");
            }
        }
        words
    }

    /// The opposite of [`to_words`](Self::to_words).
    pub fn from_words<'w>(mut words: impl Iterator<Item = &'w str>) -> Option<Self> {
        let mut histogram = Histogram::new();
        histogram.max = words.next()?.parse().ok()?;
        for word in words {
            let (bucket, count) = word.split_once(':')?;
            let count: u64 = count.parse().ok()?;
            *histogram.buckets.get_mut(bucket.parse::<usize>().ok()?)? += count;
            histogram.count += count;
        }
        Some(histogram)
    }
}

/// Below 128 ns every nanosecond has its own bucket; above, the first bit says which doubling, and the next seven which
/// step in it.
fn bucket_of(ns: u64) -> usize {
    let ns = ns.min(LONGEST);
    if ns < STEPS {
        return ns as usize;
    }
    let shift = ns.ilog2() - STEP_BITS;
    let step = (ns >> shift) - STEPS;
    (u64::from(shift + 1) * STEPS + step) as usize
}

fn middle_of(bucket: usize) -> u64 {
    let (doubling, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if doubling == 0 {
        return step;
    }
    let shift = doubling - 1;
    ((STEPS + step) << shift) + ((1 << shift) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_within_its_error() {
        let mut ns = 1;
        while ns < LONGEST {
            let told = middle_of(bucket_of(ns));
            let error = told.abs_diff(ns) as f64 / ns as f64;
            assert!(error <= 0.004, "{ns} was told as {told}");
            ns += 1 + ns / 37;
        }
    }

    #[test]
    fn the_ends_of_the_scale_have_buckets() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(LONGEST), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(middle_of(bucket)), bucket);
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        assert_eq!(histogram.max(), None);
        for ns in 1..=100 {
            histogram.record(ns);
        }
        assert_eq!(histogram.quantile(0.0), Some(1));
        assert_eq!(histogram.quantile(0.5), Some(50));
        assert_eq!(histogram.quantile(0.99), Some(99));
        assert_eq!(histogram.quantile(0.999), Some(100));
        histogram.record(1_000_000);
        assert_eq!(histogram.max(), Some(1_000_000));
        assert_eq!(histogram.quantile(1.0), Some(1_000_000));
        assert_eq!(histogram.steps().last(), Some((1_000_000, 101)));
    }

    #[test]
    fn a_histogram_survives_its_line_and_adds_up() {
        let mut one = Histogram::new();
        let mut other = Histogram::new();
        for ns in [0, 127, 128, 5_000, 70_000_000] {
            one.record(ns);
            other.record(ns * 3);
        }
        let copy = Histogram::from_words(one.to_words().split(' ')).expect("it was just written");
        assert_eq!(copy, one);
        one.add(&other);
        assert_eq!(one.count(), 10);
        assert_eq!(one.max(), Some(210_000_000));
        assert!(Histogram::from_words("1 x:2".split(' ')).is_none());
        assert!(Histogram::from_words("1 99999999:2".split(' ')).is_none());
    }
}
