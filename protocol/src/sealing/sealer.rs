//! What one end sends: each datagram gets the next counter, and no counter comes twice (rule 15c).

use super::epoch::EpochKey;
use super::{COUNTER_LIMIT, epoch_of};
use crate::sealed::{SEAL_OVERHEAD_BYTES, SEALED_HEADER_BYTES, SealedDatagram};
use crate::secrets::{KeyId, Secret, Suite};
use core::fmt;

/// Why a frame was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The buffer has no room for the frame and what sealing adds, or is longer than any datagram.
    Length,
    /// All counters are used up.
    Exhausted,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SealError::Length => "the buffer has not the length of a sealed datagram",
            SealError::Exhausted => "the key has sealed as many datagrams as it may",
        })
    }
}

impl core::error::Error for SealError {}

/// One direction's seal.
pub struct Sealer {
    suite: Suite,
    secret: Secret,
    key_id: KeyId,
    epoch: u32,
    key: EpochKey,
    /// The next counter. Whatever becomes of a datagram, its counter is spent.
    next: u64,
}

impl Sealer {
    /// A seal that has sealed nothing.
    pub fn new(suite: Suite, key_id: KeyId, secret: Secret) -> Self {
        Sealer {
            suite,
            secret,
            key_id,
            epoch: 0,
            key: EpochKey::derive(suite, &secret, 0),
            next: 0,
        }
    }

    /// One whose first counter is this or the next that it has, whichever is higher: what passes over
    /// some is as safe as what sends them.
    #[must_use]
    pub fn starting_at(mut self, counter: u64) -> Self {
        self.next = self.next.max(counter);
        self
    }

    /// Fills all of `datagram`: with the envelope, the frame, and zeros behind the frame as far as there
    /// is room, and seals it.
    ///
    /// # Errors
    ///
    /// [`SealError`]; nothing must be sent then.
    pub fn seal(&mut self, frame: &[u8], datagram: &mut [u8]) -> Result<(), SealError> {
        if datagram.len() < frame.len() + SEAL_OVERHEAD_BYTES {
            return Err(SealError::Length);
        }
        let end = SEALED_HEADER_BYTES + frame.len();
        datagram[SEALED_HEADER_BYTES..end].copy_from_slice(frame);
        datagram[end..].fill(0);
        self.seal_in_place(datagram)
    }

    /// The same with what lies in its place already: behind the header, and before room for the tag.
    ///
    /// # Errors
    ///
    /// [`SealError`]; nothing must be sent then.
    pub fn seal_in_place(&mut self, datagram: &mut [u8]) -> Result<(), SealError> {
        let counter = self.next;
        let epoch = epoch_of(counter).ok_or(SealError::Exhausted)?;
        let view = SealedDatagram::init(datagram, self.key_id, counter);
        let mut view = view.map_err(|_| SealError::Length)?;
        self.next = counter + 1;
        if epoch != self.epoch {
            assert!(epoch > self.epoch, "counters rise");
            self.key = EpochKey::derive(self.suite, &self.secret, epoch);
            self.epoch = epoch;
        }
        let header = view.header();
        let tag = self.key.seal(counter, &header, view.inside_mut());
        view.tag_mut().copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// How many more it can seal.
    pub fn left(&self) -> u64 {
        COUNTER_LIMIT.saturating_sub(self.next)
    }
}
