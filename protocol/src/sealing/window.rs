//! Which counters have been seen: a window behind the highest one. What is older than the window cannot
//! be told from a replay, and counts as one.

/// How many counters one word remembers.
const WORD_BITS: u64 = u64::BITS as u64;

/// What a window says of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Higher than all that were seen.
    Highest,
    /// Within the window, and not seen.
    Within,
    /// Seen.
    Seen,
    /// Behind the window.
    TooOld,
}

/// A window of 64 counters for each word.
#[derive(Clone, Debug)]
pub struct ReplayWindow<const WORDS: usize> {
    /// One more than the highest that was seen; 0 before the first.
    next: u64,
    /// A bit for each counter of the window, at its remainder.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    /// How many counters it remembers.
    pub const WIDTH: u64 = WORDS as u64 * WORD_BITS;

    /// One that has seen nothing.
    pub const fn new() -> Self {
        const { assert!(WORDS > 0, "a window has a width") };
        ReplayWindow {
            next: 0,
            seen: [0; WORDS],
        }
    }

    /// One more than the highest counter that was seen, or 0.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Where a counter is. Nothing changes.
    pub fn place(&self, counter: u64) -> Place {
        if counter >= self.next {
            return Place::Highest;
        }
        if self.next - counter > Self::WIDTH {
            return Place::TooOld;
        }
        let (word, bit) = Self::bit_of(counter);
        match self.seen[word] & bit {
            0 => Place::Within,
            _ => Place::Seen,
        }
    }

    /// Remembers a counter that is authentic. One that is behind the window changes nothing.
    pub fn note(&mut self, counter: u64) {
        match self.place(counter) {
            Place::Highest => self.advance(counter),
            Place::Within => {}
            Place::Seen | Place::TooOld => return,
        }
        let (word, bit) = Self::bit_of(counter);
        self.seen[word] |= bit;
    }

    /// Moves the window, so that this counter is the highest: those that were passed over have not been
    /// seen.
    fn advance(&mut self, counter: u64) {
        if counter - self.next >= Self::WIDTH {
            self.seen = [0; WORDS];
        } else {
            for passed in self.next..counter {
                let (word, bit) = Self::bit_of(passed);
                self.seen[word] &= !bit;
            }
            let (word, bit) = Self::bit_of(counter);
            self.seen[word] &= !bit;
        }
        self.next = counter + 1;
    }

    fn bit_of(counter: u64) -> (usize, u64) {
        let place = counter % Self::WIDTH;
        ((place / WORD_BITS) as usize, 1 << (place % WORD_BITS))
    }
}

impl<const WORDS: usize> Default for ReplayWindow<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}
