//! The relay: which address belongs to which user, who is in the voice channel, and so who hears
//! whom.
//!
//! A pure state machine, with rules 9 to 11 of the protocol. It takes events and datagrams and
//! answers each datagram with a [`Verdict`]. It owns no socket, reads no clock, draws no random
//! number, and knows nothing of management. A datagram meets one hash look-up and allocates
//! nothing. The recipients are a dense list that only membership changes touch.

mod answers;
pub(crate) mod backlog;
mod proof;
mod tables;
#[cfg(test)]
mod tests;
mod voice;

pub(crate) use proof::Claim;
pub(crate) use tables::{AddressKey, ListenerIndex, UserKey};
pub(crate) use voice::Speaker;

use crate::cause::{Counters, VoiceDropped};
use crate::event::{Event, Now, UdpPath};
use crate::hash::HashKey;
use crate::limits::{DATAGRAM_SLOT_BYTES, Limits};
use crate::protocol::{Frame, id};
use answers::FalseAnswers;
use std::net::IpAddr;
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
    },
    /// Send this back to the datagram's source, from the address that it was sent to.
    Answer(VoiceAuthAnswer),
    /// The same, and then an empty datagram: the request came from an existing client whose login
    /// was refused. This ends its UDP half, which would otherwise take half of the voice of its
    /// next attempt.
    AnswerAndEnd(VoiceAuthAnswer),
    /// Send nothing. The cause has been counted.
    Drop(VoiceDropped),
}

/// What the relay finds a datagram to be. Nothing is decided yet, and it borrows nothing.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Voice to be relayed. It has been spent from its rates, and the sender's id is written into it.
    Voice {
        frame_len: usize,
        speaker: Speaker,
        listener: ListenerIndex,
    },
    /// A VoiceAuthRequest, to be [decided](VoiceRelayServer::decide) or
    /// [refused](VoiceRelayServer::refuse).
    Claim(Claim),
    /// Nothing to do. The cause has been counted.
    Drop(VoiceDropped),
}

/// Everyone in the voice channel with a proven address, except for the speaker.
/// Rule 10a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipients<'a> {
    listeners: &'a [UdpPath],
    sender: ListenerIndex,
}

impl<'a> Recipients<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.listeners.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sender's place in the list of [listeners](VoiceRelayServer::listeners).
    pub(crate) fn sender(&self) -> ListenerIndex {
        self.sender
    }

    /// Each of them once, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &'a UdpPath> + use<'a> {
        let (before, from_sender) = self.listeners.split_at(self.sender.index());
        before.iter().chain(&from_sender[1..])
    }
}

/// The voice relay's state: see the [module](self).
pub struct VoiceRelayServer {
    tables: Tables,
    frame_bytes_max: usize,
    voice_from_anywhere: bool,
    user_limit: VoiceLimit,
    address_limit: VoiceLimit,
    false_answers: FalseAnswers,
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
            counters: Counters::new(),
        }
    }

    /// Handles what happened in management. Events about unknown users change nothing.
    pub fn handle_event(&mut self, event: Event) {
        let tables = &mut self.tables;
        match event {
            Event::UserConnected { id, token, source } => tables.connect(id, token, source),
            Event::VoiceJoined { id } => tables.set_in_voice(id, true),
            Event::VoiceLeft { id } => tables.set_in_voice(id, false),
            Event::MuteChanged { id, is_muted } => tables.set_muted(id, is_muted),
            Event::UserDisconnected { id } => tables.disconnect(id),
        }
    }

    /// Decides about one datagram. It writes to a VoiceData frame's user id alone.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Now,
        path: UdpPath,
        datagram: &'d mut [u8],
    ) -> Verdict<'_, 'd> {
        match self.examine(now, path, datagram, false) {
            Finding::Voice {
                frame_len,
                listener,
                ..
            } => self.relay(&datagram[..frame_len], listener),
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
    pub(crate) fn relay<'d>(&self, frame: &'d [u8], sender: ListenerIndex) -> Verdict<'_, 'd> {
        let listeners = &self.tables.listeners;
        let recipients = Recipients { listeners, sender };
        Verdict::Relay { frame, recipients }
    }

    /// The recipients of a datagram that was to be relayed and had to wait.
    ///
    /// # Errors
    ///
    /// Why it is not relayed any more; it has been counted.
    pub(crate) fn recipients(&mut self, speaker: Speaker) -> Result<Recipients<'_>, VoiceDropped> {
        let sender = self.place_of(speaker);
        let sender = sender.inspect_err(|&cause| self.counters.count(cause))?;
        let listeners = &self.tables.listeners;
        Ok(Recipients { listeners, sender })
    }

    /// Everyone who receives voice, senders included. Only events and VoiceAuthRequests change it.
    pub(crate) fn listeners(&self) -> &[UdpPath] {
        &self.tables.listeners
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
        self.tables.listeners.len()
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
