//! The relay: which address is whose, who is in the voice channel, and so who hears whom.
//!
//! A pure state machine, with rules 9 to 11 of the protocol. It is told events and datagrams and
//! answers each datagram with a [`Verdict`]. It owns no socket, reads no clock, draws no random
//! number, and knows nothing of management. A datagram meets one hash look-up and allocates
//! nothing; who receives is a dense list that only membership changes touch.

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

/// A VoiceAuthResponse, ready to send: 12 bytes, where the question has 19.
pub type VoiceAuthAnswer = [u8; 12];

/// What is to be done about a datagram.
///
/// It borrows the relay's list of listeners for `'r` and the datagram for `'d`, so that many frames
/// can be on their way out while the relay looks at the next datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'r, 'd> {
    /// Send this frame to each of these.
    Relay {
        /// The frame, the sender's id written into it, without what followed it in the datagram.
        frame: &'d [u8],
        /// Who gets it.
        recipients: Recipients<'r>,
    },
    /// Send this back to where the datagram came from, from the address it was sent to.
    Answer(VoiceAuthAnswer),
    /// The same, and then an empty datagram: the question was that of an existing client whose login
    /// was refused, and this ends its UDP half, which would else take half of the voice of its next try.
    AnswerAndEnd(VoiceAuthAnswer),
    /// Nothing. The cause has been counted.
    Drop(VoiceDropped),
}

/// What the relay finds a datagram to be, before whoever knows more has a say. It borrows nothing.
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

/// Everyone in the voice channel with a proven address, but for the one who speaks.
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

    /// Whether nobody listens.
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
    /// A relay within these limits. All that it will ever need is allocated here.
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

    /// Takes note of what happened in management. Events about users that the relay was not told
    /// of, or was told have gone, change nothing.
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

    /// Decides about one datagram. Only a VoiceData frame's user id is written to.
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

    /// Looks at a datagram, the only one who does. Voice that has waited for too long is dropped, and
    /// costs its sender nothing.
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

    /// The verdict on voice that was found to be relayed, before anything else was examined.
    pub(crate) fn relay<'d>(&self, frame: &'d [u8], sender: ListenerIndex) -> Verdict<'_, 'd> {
        let listeners = &self.tables.listeners;
        let recipients = Recipients { listeners, sender };
        Verdict::Relay { frame, recipients }
    }

    /// Who hears a speaker whose datagram was to be relayed, if it had to wait.
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

    /// Takes the addresses of these machines from whoever has proved one. They can be proved again.
    pub fn forget_addresses(&mut self, is_meant: impl Fn(IpAddr) -> bool) {
        self.tables.forget_addresses(is_meant);
    }

    /// Users that the relay has been told of and who have not gone.
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

/// What a datagram is that ends before its frame does: a lie, unless it was the slot that ended it.
fn not_whole(datagram_len: usize) -> VoiceDropped {
    if datagram_len < DATAGRAM_SLOT_BYTES {
        VoiceDropped::Malformed
    } else {
        VoiceDropped::TooLong
    }
}
