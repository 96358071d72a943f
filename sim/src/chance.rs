//! The one source of chance, which is a seed or the bytes of a fuzzer, and a digest of everything that happened. Nothing in
//! the simulator draws from anywhere else, so that a seed, or some bytes, decide a run completely.

/// Where decisions come from.
pub enum Chance {
    /// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and good for every seed, 0 included.
    Seed(u64),
    /// These, from the last to the first. When there are none left, everything is zero.
    Bytes(Vec<u8>),
}

impl Chance {
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Chance::Bytes(bytes.iter().rev().copied().collect())
    }

    /// Whether bytes are used up.
    pub fn is_over(&self) -> bool {
        matches!(self, Chance::Bytes(bytes) if bytes.is_empty())
    }

    pub fn next(&mut self) -> u64 {
        match self {
            Chance::Seed(seed) => {
                *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut mixed = *seed;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                mixed ^ (mixed >> 31)
            }
            Chance::Bytes(_) => self.number(8),
        }
    }

    fn number(&mut self, len: usize) -> u64 {
        let Chance::Bytes(bytes) = self else {
            return self.next();
        };
        (0..len).fold(0, |number, _| {
            number << 8 | u64::from(bytes.pop().unwrap_or(0))
        })
    }

    /// A number under `bound`, which is not 0. The bias of the remainder does no harm here.
    pub fn below(&mut self, bound: usize) -> usize {
        let len = match bound {
            1 => return 0,
            2..=256 => 1,
            257..=65_536 => 2,
            _ => 8,
        };
        (self.number(len) % bound as u64) as usize
    }

    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True this many times in a hundred, and never by bytes that are used up.
    pub fn percent(&mut self, chance: usize) -> bool {
        chance > 0 && self.below(100) >= 100 - chance
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number(1) as u8).collect()
    }

    /// A number such as clients put into fields: often an edge of its range.
    pub fn field(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => self.below(300) as u64,
            _ => self.next(),
        }
    }

    /// A place in `weights`, as often as its weight says. None if all are 0.
    pub fn weighted(&mut self, weights: &[usize]) -> Option<usize> {
        let total: usize = weights.iter().sum();
        if total == 0 {
            return None;
        }
        let mut point = self.below(total);
        weights.iter().position(|&weight| {
            let here = point < weight;
            point = point.wrapping_sub(weight);
            here
        })
    }

    /// Another source, decided by this.
    pub fn fork(&mut self) -> Self {
        Chance::Seed(self.next())
    }
}

/// A running hash of what happened: FNV-1a over words of 64 bits.
#[derive(Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    pub fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01B3);
        // A product carries only upwards; this brings the high bits back into play.
        self.0 ^= self.0 >> 32;
    }
}
