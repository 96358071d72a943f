//! What one end receives: each datagram is opened at most once, and only if it is authentic.

use super::epoch::EpochKey;
use super::epoch_of;
use super::window::{Place, ReplayWindow};
use crate::sealed::{SealedDatagram, SealedDatagramError};
use crate::secrets::{KeyId, Secret, Suite};
use core::fmt;

/// Why a sealed datagram is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is not a sealed datagram.
    Datagram(SealedDatagramError),
    /// It names another key.
    OtherKey,
    /// It was opened before.
    Replayed,
    /// It is so old that it may have been opened before, or its epoch is neither the present one nor one
    /// beside it.
    OutOfReach,
    /// It is not authentic: forged, damaged, or sealed with something else.
    NotAuthentic,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Datagram(error) => error.fmt(f),
            OpenError::OtherKey => f.write_str("it names another key"),
            OpenError::Replayed => f.write_str("it was opened before"),
            OpenError::OutOfReach => f.write_str("its counter is far from those that come"),
            OpenError::NotAuthentic => f.write_str("it is not authentic"),
        }
    }
}

impl core::error::Error for OpenError {}

/// What was sealed.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'d> {
    /// One frame, and zeros behind it. It lies where it lay, behind the envelope's header.
    pub inside: &'d mut [u8],
    /// Whether no later one was opened before it.
    pub is_newest: bool,
}

/// One direction's keys and replay window, of 64 counters for each word.
pub struct Opener<const WORDS: usize> {
    suite: Suite,
    secret: Secret,
    key_id: KeyId,
    /// The epoch of the newest datagram.
    epoch: u32,
    current: EpochKey,
    /// That of the epoch before, while a datagram of it may be in the window.
    before: Option<EpochKey>,
    /// That of the next epoch, once something claimed to be of it.
    next: Option<EpochKey>,
    window: ReplayWindow<WORDS>,
}

impl<const WORDS: usize> Opener<WORDS> {
    /// One that has opened nothing.
    pub fn new(suite: Suite, key_id: KeyId, secret: Secret) -> Self {
        Opener {
            suite,
            secret,
            key_id,
            epoch: 0,
            current: EpochKey::derive(suite, &secret, 0),
            before: None,
            next: None,
            window: ReplayWindow::new(),
        }
    }

    /// Opens a datagram where it lies.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Of several, the first in its list; the last leaves bytes that mean nothing.
    pub fn open<'d>(&mut self, datagram: &'d mut [u8]) -> Result<Opened<'d>, OpenError> {
        let view = SealedDatagram::check(datagram).map_err(OpenError::Datagram)?;
        if view.key_id() != self.key_id {
            return Err(OpenError::OtherKey);
        }
        let counter = view.counter();
        let is_newest = match self.window.place(counter) {
            Place::Highest => true,
            Place::Within => false,
            Place::Seen => return Err(OpenError::Replayed),
            Place::TooOld => return Err(OpenError::OutOfReach),
        };
        let epoch = epoch_of(counter).ok_or(OpenError::OutOfReach)?;
        let key = self.key_of(epoch).ok_or(OpenError::OutOfReach)?;
        let header = view.header();
        let inside = key
            .open(counter, &header, view.into_inside_and_tag())
            .ok_or(OpenError::NotAuthentic)?;
        self.window.note(counter);
        if epoch > self.epoch {
            self.adopt(epoch);
        }
        Ok(Opened { inside, is_newest })
    }

    /// The key of an epoch that is accepted. That of the next one is derived once, whatever claims to be
    /// of it.
    fn key_of(&mut self, epoch: u32) -> Option<&EpochKey> {
        if epoch == self.epoch {
            Some(&self.current)
        } else if Some(epoch) == self.epoch.checked_sub(1) {
            self.before.as_ref()
        } else if Some(epoch) == self.epoch.checked_add(1) {
            let (suite, secret) = (self.suite, &self.secret);
            Some(
                self.next
                    .get_or_insert_with(|| EpochKey::derive(suite, secret, epoch)),
            )
        } else {
            None
        }
    }

    /// The next epoch has come.
    fn adopt(&mut self, epoch: u32) {
        if let Some(next) = self.next.take() {
            self.before = Some(core::mem::replace(&mut self.current, next));
            self.epoch = epoch;
        }
    }
}
