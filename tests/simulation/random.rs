//! What makes a run repeatable: the one source of chance, and a digest of everything that happened.
//!
//! Nothing in the simulation draws from anywhere else, so that a seed decides a run completely, and
//! two runs of one seed end in the same digest.

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and good for every seed, 0 included.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number under `bound`, which is not 0. The bias of the remainder does no harm here.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True this many times in a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
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
}

/// A running hash of every input and output: FNV-1a over words of 64 bits instead of bytes, because
/// an unoptimised build would spend its time on bytes.
pub struct Digest(u64);

impl Digest {
    pub fn new() -> Self {
        Digest(0xCBF2_9CE4_8422_2325)
    }

    pub fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01B3);
        // A product carries only upwards; this brings the high bits back into play.
        self.0 ^= self.0 >> 32;
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let words = bytes.chunks_exact(8);
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        for word in words {
            self.number(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        self.number(u64::from_le_bytes(last));
    }

    pub fn value(&self) -> u64 {
        self.0
    }
}
