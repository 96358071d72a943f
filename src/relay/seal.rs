//! What the relay keeps for a user whose voice is sealed: the keys of both directions, the address of the
//! newest datagram, and a count of forged ones.

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

/// A datagram of 43 bytes: a VoiceAuthResponse or a PathChallenge under its user's seal. It is no
/// longer than the datagram that it answers, unless that proved the address.
pub type SealedAnswer = [u8; 43];

/// See the [module](self).
pub(super) struct Seal {
    key_id: KeyId,
    keys: Keys,
    /// The address of the newest datagram. Voice is accepted from there, proved or not.
    pub(super) heard_from: Option<SocketAddr>,
    /// The request id of the last VoiceAuthRequest. The answer follows when its address is proved.
    pub(super) request_id: u64,
    challenges: Spent,
    forged: Forged,
}

/// Datagrams with a user's key id that are not authentic, from addresses that the user has not proved.
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
    /// A fresh seal, if this build can seal.
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

    /// Opens a datagram in place. From addresses that are not proved, it tries only
    /// [`WRONG_TAGS_PER_SECOND`] that are not authentic.
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

    /// Fills a datagram with a frame under this seal, and with zeros up to its end. If it returns false,
    /// nothing must be sent.
    pub(super) fn seal(&mut self, frame: &[u8], datagram: &mut [u8]) -> bool {
        self.keys.seal(frame, datagram)
    }

    /// Seals an answer.
    pub(super) fn answer(&mut self, frame: &[u8]) -> Option<SealedAnswer> {
        let mut answer = [0; 43];
        self.seal(frame, &mut answer).then_some(answer)
    }

    /// Whether one more challenge may go to this user's addresses. If so, it counts.
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
