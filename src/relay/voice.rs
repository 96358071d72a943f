//! Whether a voice datagram is relayed, and how much voice a user and an address may send.

use super::room::Place;
use super::tables::{AddressKey, User, UserKey};
use super::{Claim, Finding, VoiceRelayServer, not_whole};
use crate::cause::VoiceDropped;
use crate::event::{Now, UdpPath, UserId};
use crate::limits::VOICE_BURST;
use crate::protocol::{VoiceDatagram, VoiceDatagramError};
use crate::rate::{RateLimit, Spent};
use std::time::Instant;

/// A speaker, by the places in the relay's tables. A place may become another user's once this user
/// has left, which the id reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) user: UserKey,
    /// The address that the user's connection comes from.
    pub(crate) address: AddressKey,
    id: UserId,
}

impl Speaker {
    pub(crate) const NOBODY: Speaker = Speaker {
        user: UserKey(0),
        address: AddressKey(0),
        id: UserId(0),
    };

    /// Who it is, for the simulator.
    #[cfg(feature = "simulation")]
    pub(crate) fn id(self) -> UserId {
        self.id
    }

    /// A speaker for tests that do not ask the relay.
    #[cfg(test)]
    pub(crate) fn at(user: UserKey, address: AddressKey, id: u64) -> Self {
        let id = UserId(id);
        Speaker { user, address, id }
    }
}

/// Voice sent, by the datagram and by the byte.
#[derive(Clone, Copy, Default)]
pub(super) struct VoiceSpent {
    datagrams: Spent,
    bytes: Spent,
}

/// How much voice may be sent.
pub(super) struct VoiceLimit {
    datagrams: RateLimit,
    bytes: RateLimit,
}

impl VoiceLimit {
    /// So many datagrams and bytes a second, with a burst that lets the largest datagram through at any
    /// rate.
    pub(super) fn new(datagrams: u32, bytes: u32, largest: usize) -> Self {
        let limit = |per_second: u32, largest: u32| {
            let burst = per_second.saturating_mul(VOICE_BURST);
            RateLimit::per_second(per_second, burst.max(largest))
        };
        VoiceLimit {
            datagrams: limit(datagrams, 1),
            bytes: limit(bytes, largest as u32),
        }
    }

    fn permits(&self, spent: &VoiceSpent, now: Instant, bytes: u32) -> bool {
        self.datagrams.permits(spent.datagrams, now, 1)
            && self.bytes.permits(spent.bytes, now, bytes)
    }

    fn spend(&self, spent: &mut VoiceSpent, now: Instant, bytes: u32) {
        self.datagrams.spend(&mut spent.datagrams, now, 1);
        self.bytes.spend(&mut spent.bytes, now, bytes);
    }
}

impl VoiceRelayServer {
    /// Checks whether this voice datagram is to be relayed.
    /// Rules 10a, 10b, 10c and 11b.
    pub(super) fn check_voice(
        &mut self,
        now: Now,
        path: UdpPath,
        datagram: &mut [u8],
    ) -> Result<Finding, VoiceDropped> {
        let datagram_len = datagram.len();
        let voice = VoiceDatagram::check(datagram).map_err(|error| match error {
            VoiceDatagramError::Malformed => VoiceDropped::Malformed,
            VoiceDatagramError::Incomplete => not_whole(datagram_len),
            VoiceDatagramError::TooLong => VoiceDropped::TooLong,
        })?;
        if voice.frame().len() > self.frame_bytes_max {
            return Err(VoiceDropped::TooLong);
        }
        let key = self.tables.by_address.get(&path.remote);
        let key = *key.ok_or(VoiceDropped::UnknownSource)?;
        // Rule 15a.
        if self.tables.user(key).seal.is_some() {
            return Err(VoiceDropped::NotSealed);
        }
        self.admit(now, key, voice, 0, None)
    }

    /// The same for voice that was sealed and is now open, at this place in its datagram. A claim comes
    /// with voice from an address that its user has not proved.
    pub(super) fn check_opened_voice(
        &mut self,
        now: Now,
        user: UserKey,
        frame: &mut [u8],
        at: usize,
        claim: Option<Claim>,
    ) -> Result<Finding, VoiceDropped> {
        let voice = VoiceDatagram::check(frame).map_err(|error| match error {
            VoiceDatagramError::Malformed | VoiceDatagramError::Incomplete => {
                VoiceDropped::Malformed
            }
            VoiceDatagramError::TooLong => VoiceDropped::TooLong,
        })?;
        if voice.frame().len() > self.frame_bytes_max {
            return Err(VoiceDropped::TooLong);
        }
        self.admit(now, user, voice, at, claim)
    }

    /// Lets voice of this user in if they may speak, as much as they may.
    fn admit(
        &mut self,
        now: Now,
        key: UserKey,
        mut voice: VoiceDatagram<&mut [u8]>,
        at: usize,
        claim: Option<Claim>,
    ) -> Result<Finding, VoiceDropped> {
        let len = voice.frame().len();
        let tables = &mut self.tables;
        let user = &mut tables.users[key.index()];
        let place = user.place()?;
        let address = &mut tables.addresses[user.address.index()];
        let (now, bytes) = (now.instant, len as u32);
        if !self.user_limit.permits(&user.voice, now, bytes) {
            return Err(VoiceDropped::TooFast);
        }
        if !self.address_limit.permits(&address.voice, now, bytes) {
            return Err(VoiceDropped::TooFastFromAddress);
        }
        self.user_limit.spend(&mut user.voice, now, bytes);
        self.address_limit.spend(&mut address.voice, now, bytes);
        voice.set_user_id(user.id);
        let speaker = Speaker {
            user: key,
            address: user.address,
            id: user.id,
        };
        Ok(Finding::Voice {
            frame: at..at + len,
            speaker,
            place,
            claim,
        })
    }

    /// The place among the listeners of a speaker whose datagram had to wait.
    pub(crate) fn place_of(&self, speaker: Speaker) -> Result<Place, VoiceDropped> {
        let user = self.tables.users.get(speaker.user.index());
        let user = user.filter(|user| user.id == speaker.id);
        user.ok_or(VoiceDropped::UnknownSource)
            .and_then(User::place)
    }
}
