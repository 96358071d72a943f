//! What the relay keeps of a user whose voice is sealed: the keys of both directions, where the newest
//! datagram came from, and how often something forged came in their name.

#[cfg(feature = "encryption")]
mod keys;
#[cfg(not(feature = "encryption"))]
#[path = "seal/no_keys.rs"]
mod keys;

use crate::cause::VoiceDropped;
use crate::limits::{CHALLENGE_BURST, CHALLENGE_INTERVAL, WRONG_TAGS_PER_SECOND};
use crate::protocol::{KeyId, VoiceSecrets};
use crate::rate::{RateLimit, Spent};
use keys::Keys;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A datagram of 43 bytes: a VoiceAuthResponse or a PathChallenge under its user's seal. No question that it
/// answers is shorter, but for one whose address is proved by it.
pub type SealedAnswer = [u8; 43];

/// See the [module](self).
pub(super) struct Seal {
    key_id: KeyId,
    keys: Keys,
    /// Where the newest datagram came from: voice is believed from there, proved or not.
    pub(super) heard_from: Option<SocketAddr>,
    /// The last VoiceAuthRequest, for the answer that comes when its address is proved.
    pub(super) request_id: u64,
    challenges: Spent,
    forged: Forged,
}

/// What came in a user's name from addresses that are not theirs, and is not authentic.
#[derive(Default)]
struct Forged {
    since: Option<Instant>,
    count: u32,
}

/// What a sealed datagram was found to be.
pub(super) struct Opened {
    /// Where in the datagram its frame and zeros are.
    pub(super) inside: Range<usize>,
    /// Whether it is the newest so far.
    pub(super) is_newest: bool,
}

impl Seal {
    /// A seal that nothing has been sealed with, where this build can seal at all.
    pub(super) fn of(secrets: VoiceSecrets) -> Option<Box<Self>> {
        Some(Box::new(Seal {
            key_id: secrets.key_id,
            keys: Keys::of(secrets)?,
            heard_from: None,
            request_id: 0,
            challenges: Spent::default(),
            forged: Forged::default(),
        }))
    }

    pub(super) fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Opens a datagram where it lies. From an address that is not proved, only so many that are not
    /// authentic are looked at.
    pub(super) fn open(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        is_proved: bool,
    ) -> Result<Opened, VoiceDropped> {
        if !is_proved && self.forged.are_too_many(now) {
            return Err(VoiceDropped::Unopened);
        }
        let result = self.keys.open(datagram);
        if !is_proved && matches!(result, Err(VoiceDropped::NotAuthentic)) {
            self.forged.add(now);
        }
        result
    }

    /// Fills a datagram with a frame under this seal, and zeros as far as there is room. Without success,
    /// nothing must be sent.
    pub(super) fn seal(&mut self, frame: &[u8], datagram: &mut [u8]) -> bool {
        self.keys.seal(frame, datagram)
    }

    /// Seals an answer.
    pub(super) fn answer(&mut self, frame: &[u8]) -> Option<SealedAnswer> {
        let mut answer = [0; 43];
        self.seal(frame, &mut answer).then_some(answer)
    }

    /// Whether one more of this user's addresses may be asked, which is then counted.
    pub(super) fn may_challenge(&mut self, now: Instant) -> bool {
        RateLimit::new(CHALLENGE_INTERVAL, CHALLENGE_BURST).try_spend(&mut self.challenges, now, 1)
    }
}

impl Forged {
    fn are_too_many(&self, now: Instant) -> bool {
        self.is_within_a_second(now) && self.count >= WRONG_TAGS_PER_SECOND
    }

    fn add(&mut self, now: Instant) {
        if !self.is_within_a_second(now) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
    }

    fn is_within_a_second(&self, now: Instant) -> bool {
        let since = self.since.map(|since| now.duration_since(since));
        since.is_some_and(|since| since < Duration::from_secs(1))
    }
}
