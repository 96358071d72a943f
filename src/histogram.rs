//! A histogram of fixed size for values of any magnitude: each octave is divided evenly, so that
//! every value is known to about 3 %, and recording one is a few instructions without allocation.

/// Buckets per octave, as a power of two: the relative width of a bucket is at most 2^-5, about 3
/// %.
const BITS: u32 = 5;
const PER_OCTAVE: usize = 1 << BITS;
/// Values below `PER_OCTAVE` have a bucket each; then come the octaves up to 2^64.
const BUCKETS: usize = PER_OCTAVE * (64 - BITS as usize + 1);

/// Counts of values by magnitude: see the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Histogram {
    /// An empty one. All its memory is allocated here, 15 KiB.
    pub fn new() -> Self {
        Histogram {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
            sum: 0,
            max: 0,
        }
    }

    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        self.buckets[bucket_of(value)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// How many values it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all values. It stays at the highest number once it reaches that.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many values are no more than this, to about 3 % of it.
    pub fn count_up_to(&self, value: u64) -> u64 {
        let (buckets, _) = self.buckets.split_at(bucket_of(value) + 1);
        buckets.iter().sum()
    }

    /// The largest value, exactly; 0 if there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that a part (0.0 to 1.0) of all values do not exceed, at most about 3 % too high;
    /// 0 if there is none.
    pub fn quantile(&self, part: f64) -> u64 {
        let rank = (part * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest_in(bucket).min(self.max);
            }
        }
        self.max
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::new()
    }
}

fn bucket_of(value: u64) -> usize {
    match value.checked_ilog2() {
        Some(octave) if octave >= BITS => {
            let shift = octave - BITS;
            // The leading bit is part of the octave's number, the five behind it are the bucket in
            // the octave.
            (shift as usize) * PER_OCTAVE + (value >> shift) as usize
        }
        _ => value as usize,
    }
}

fn highest_in(bucket: usize) -> u64 {
    match (bucket / PER_OCTAVE).checked_sub(1) {
        Some(shift) => {
            let leading = (bucket % PER_OCTAVE + PER_OCTAVE) as u64;
            (leading << shift) + ((1 << shift) - 1)
        }
        None => bucket as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_is_close_to_it() {
        let values = (0..64).flat_map(|bit| {
            let power = 1u64 << bit;
            [
                power - 1,
                power,
                power + 1,
                power + power / 3,
                power + (power - 1),
            ]
        });
        for value in values {
            let highest = highest_in(bucket_of(value));
            assert!(highest >= value, "{value} is over {highest}");
            assert!(
                highest - value <= value / 32,
                "{value} is far from {highest}"
            );
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert!((1..BUCKETS).all(|bucket| bucket_of(highest_in(bucket)) == bucket));
    }

    #[test]
    fn quantiles_are_right_to_the_width_of_a_bucket() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.max()), (0, 0));
        for value in 1..=10_000 {
            histogram.record(value);
        }
        for (part, exact) in [
            (0.0, 1),
            (0.5, 5_000),
            (0.99, 9_900),
            (0.999, 9_990),
            (1.0, 10_000),
        ] {
            let found = histogram.quantile(part);
            assert!(
                (exact..=exact + exact / 32).contains(&found),
                "{part}: {found}"
            );
        }
        assert_eq!((histogram.count(), histogram.max()), (10_000, 10_000));
    }
}
