//! The relay: which address belongs to which user, who is in the voice channel, and so who hears
//! whom.
//!
//! A pure state machine, with rules 9 to 11 and 15 of the protocol. It takes events and datagrams and
//! answers each datagram with a [`Verdict`]. It owns no socket, reads no clock, draws no random
//! number, and knows nothing of management. A datagram meets one hash look-up and allocates
//! nothing. The recipients are a dense list that only membership changes touch.

mod answers;
pub(crate) mod backlog;
mod proof;
mod room;
mod seal;
mod sealed;
mod tables;
#[cfg(test)]
mod tests;
mod voice;

pub(crate) use proof::Claim;
pub use room::Recipients;
pub(crate) use room::{Place, Room, SealedListeners};
pub use seal::SealedAnswer;
pub(crate) use tables::{AddressKey, UserKey};
pub(crate) use voice::Speaker;

use crate::cause::{Counters, VoiceDropped};
use crate::event::{Event, Now, UdpPath};
use crate::hash::HashKey;
use crate::limits::{DATAGRAM_SLOT_BYTES, Limits};
use crate::protocol::{Frame, id};
use answers::FalseAnswers;
use std::net::IpAddr;
use std::ops::Range;
use tables::Tables;
use voice::VoiceLimit;

/// A VoiceAuthResponse, ready to send: 12 bytes, where the request has 19.
pub type VoiceAuthAnswer = [u8; 12];

/// What to do about a datagram.
///
/// It borrows the relay's list of listeners for `'r` and the datagram for `'d`, so that many frames
/// can be on their way out while the relay examines the next datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'r, 'd> {
    /// Send this frame to each recipient.
    Relay {
        /// The frame, the sender's id written into it, without what followed it in the datagram.
        frame: &'d [u8],
        /// The recipients.
        recipients: Recipients<'r>,
        /// What is also to be sent back to where the datagram came from: its user has not proved that
        /// address.
        challenge: Option<SealedAnswer>,
    },
    /// Send this back to the datagram's source, from the address that it was sent to.
    Answer(VoiceAuthAnswer),
    /// The same, and then an empty datagram: the request came from an existing client whose login
    /// was refused. This ends its UDP half, which would otherwise take half of the voice of its
    /// next attempt.
    AnswerAndEnd(VoiceAuthAnswer),
    /// Send this back, as the first.
    AnswerSealed(SealedAnswer),
    /// Send nothing. The cause has been counted.
    Drop(VoiceDropped),
}

/// What the relay finds a datagram to be. Nothing is decided yet, and it borrows nothing.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Voice to be relayed, at this place in the datagram. It has been spent from its rates, and the sender's
    /// id is written into it.
    Voice {
        frame: Range<usize>,
        speaker: Speaker,
        place: Place,
        /// For voice from an address that its user has not proved: to be [challenged](VoiceRelayServer::challenge),
        /// unless that address may not be heard.
        claim: Option<Claim>,
    },
    /// A VoiceAuthRequest or PathResponse, to be [decided](VoiceRelayServer::decide) or
    /// [refused](VoiceRelayServer::refuse).
    Claim(Claim),
    /// Nothing to do. The cause has been counted.
    Drop(VoiceDropped),
}

/// The voice relay's state: see the [module](self).
pub struct VoiceRelayServer {
    tables: Tables,
    frame_bytes_max: usize,
    voice_from_anywhere: bool,
    user_limit: VoiceLimit,
    address_limit: VoiceLimit,
    false_answers: FalseAnswers,
    /// Makes the values of PathChallenges.
    key: HashKey,
    counters: Counters,
}

impl VoiceRelayServer {
    /// A relay within these limits. All its memory is allocated here.
    pub fn new(limits: Limits, key: HashKey) -> Self {
        let largest = limits.voice_frame_bytes();
        VoiceRelayServer {
            tables: Tables::new(limits.users, key),
            frame_bytes_max: largest,
            voice_from_anywhere: limits.voice_from_anywhere,
            user_limit: VoiceLimit::new(limits.voice_rate, limits.voice_bandwidth, largest),
            address_limit: VoiceLimit::new(
                limits.voice_rate_per_address,
                limits.voice_bandwidth_per_address,
                largest,
            ),
            false_answers: FalseAnswers::new(key),
            key,
            counters: Counters::new(),
        }
    }

    /// Handles what happened in management. Events about unknown users change nothing.
    pub fn handle_event(&mut self, event: Event) {
        let tables = &mut self.tables;
        match event {
            Event::UserConnected { id, token, source } => tables.connect(id, token, source),
            Event::VoiceSealed { id, secrets } => tables.seal(id, secrets),
            Event::VoiceJoined { id } => tables.set_in_voice(id, true),
            Event::VoiceLeft { id } => tables.set_in_voice(id, false),
            Event::MuteChanged { id, is_muted } => tables.set_muted(id, is_muted),
            Event::UserDisconnected { id } => tables.disconnect(id),
        }
    }

    /// Decides about one datagram. It writes only to a VoiceData frame's user id, and opens a sealed datagram
    /// in place.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Now,
        path: UdpPath,
        datagram: &'d mut [u8],
    ) -> Verdict<'_, 'd> {
        match self.examine(now, path, datagram, false) {
            Finding::Voice {
                frame,
                place,
                claim,
                ..
            } => {
                let challenge = claim.and_then(|claim| self.challenge(now, claim));
                self.relay(&datagram[frame], place, challenge)
            }
            Finding::Claim(claim) => self.decide(now, claim),
            Finding::Drop(cause) => Verdict::Drop(cause),
        }
    }

    /// Examines a datagram, which nothing else does. Voice that has waited for too long is dropped,
    /// and costs its sender nothing.
    /// Rules 11a and 11c.
    pub(crate) fn examine(
        &mut self,
        now: Now,
        path: UdpPath,
        datagram: &mut [u8],
        is_late: bool,
    ) -> Finding {
        let result = match datagram.first() {
            Some(&id::VOICE_DATA) if is_late => Err(VoiceDropped::TooLate),
            Some(&id::VOICE_DATA) => self.check_voice(now, path, datagram),
            Some(&id::SEALED) => self.open(now, path, datagram, is_late),
            Some(&id::VOICE_AUTH_REQUEST) => Ok(Finding::Claim(self.read_claim(path, datagram))),
            _ => Err(match Frame::first_of(datagram) {
                Ok(_) => VoiceDropped::UnknownId,
                Err(_) => not_whole(datagram.len()),
            }),
        };
        result.unwrap_or_else(|cause| {
            self.counters.count(cause);
            Finding::Drop(cause)
        })
    }

    /// The verdict on voice that is to be relayed, before any other datagram was examined.
    pub(crate) fn relay<'d>(
        &self,
        frame: &'d [u8],
        sender: Place,
        challenge: Option<SealedAnswer>,
    ) -> Verdict<'_, 'd> {
        Verdict::Relay {
            frame,
            recipients: self.all_but(sender),
            challenge,
        }
    }

    /// The recipients of a datagram that was to be relayed and had to wait.
    ///
    /// # Errors
    ///
    /// Why it is not relayed any more; it has been counted.
    pub(crate) fn recipients(&mut self, speaker: Speaker) -> Result<Recipients<'_>, VoiceDropped> {
        let sender = self.place_of(speaker);
        let sender = sender.inspect_err(|&cause| self.counters.count(cause))?;
        Ok(self.all_but(sender))
    }

    fn all_but(&self, sender: Place) -> Recipients<'_> {
        Recipients {
            plain: &self.tables.plain.paths,
            sealed: &self.tables.sealed.paths,
            sender,
        }
    }

    /// Everyone who receives voice, senders included. Only events and proofs change who that is.
    pub(crate) fn room(&mut self) -> Room<'_> {
        Room {
            plain: &self.tables.plain.paths,
            sealed: SealedListeners {
                listeners: &self.tables.sealed,
                users: &mut self.tables.users,
            },
        }
    }

    /// Takes the addresses of these machines away from their users, who can prove them again.
    pub fn forget_addresses(&mut self, is_meant: impl Fn(IpAddr) -> bool) {
        self.tables.forget_addresses(is_meant);
    }

    /// Users who are logged in, as far as the relay knows.
    pub fn user_count(&self) -> usize {
        self.tables.users.len()
    }

    /// Users who have proved an address.
    pub fn address_count(&self) -> usize {
        self.tables.by_address.len()
    }

    /// Users who receive voice.
    pub fn listener_count(&self) -> usize {
        self.tables.plain.paths.len() + self.tables.sealed.paths.len()
    }

    /// What has been dropped, by cause.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn drop_counted(&mut self, cause: VoiceDropped) -> Verdict<'static, 'static> {
        self.counters.count(cause);
        Verdict::Drop(cause)
    }
}

/// The cause of a datagram that is shorter than its frame: it is malformed, unless the slot has cut
/// it.
fn not_whole(datagram_len: usize) -> VoiceDropped {
    if datagram_len < DATAGRAM_SLOT_BYTES {
        VoiceDropped::Malformed
    } else {
        VoiceDropped::TooLong
    }
}
