//! The relay: which address is whose, who is in the voice channel, and so who hears whom.
//!
//! A pure state machine, with rules 9 to 11 of the protocol. It is told events and datagrams and
//! answers each datagram with a [`Verdict`]. It owns no socket, reads no clock, draws no random
//! number, and knows nothing of management. A datagram meets one hash look-up and allocates
//! nothing; who receives is a dense list that only membership changes touch.

mod answers;
pub(crate) mod backlog;
#[cfg(test)]
mod tests;

use crate::cause::{Cause, Counters};
use crate::event::{Event, Now, Peer, Source, UserId, VoiceToken};
use crate::hash::HashKey;
use crate::limits::{DATAGRAM_SLOT_BYTES, Limits, VOICE_BURST};
use crate::protocol::{Frame, Packet, VoiceDatagram, VoiceDatagramError, id, voice_auth_response};
use crate::rate::{RateLimit, Spent};
use answers::FalseAnswers;
use slab::Slab;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

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
    Drop(Cause),
}

/// Who speaks, by the places in the relay's tables. A place can be another's once this user has gone,
/// which the id tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) user: usize,
    /// That of the address that the user's connection comes from.
    pub(crate) address: usize,
    id: UserId,
}

impl Speaker {
    pub(crate) const NOBODY: Speaker = Speaker {
        user: 0,
        address: 0,
        id: UserId(0),
    };

    /// A speaker for tests of what does not ask the relay.
    #[cfg(test)]
    pub(crate) fn at(user: usize, address: usize, id: u64) -> Self {
        let id = UserId(id);
        Speaker { user, address, id }
    }
}

/// Everyone in the voice channel with a proven address, but for the one who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipients<'a> {
    listeners: &'a [Peer],
    sender: usize,
    speaker: Speaker,
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
    pub(crate) fn sender(&self) -> usize {
        self.sender
    }

    /// Who speaks, for [`VoiceRelayServer::recipients`].
    pub(crate) fn speaker(&self) -> Speaker {
        self.speaker
    }

    /// Each of them once, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &'a Peer> + use<'a> {
        let (before, from_sender) = self.listeners.split_at(self.sender);
        before.iter().chain(&from_sender[1..])
    }
}

/// What the relay knows of a user.
struct User {
    id: UserId,
    token: VoiceToken,
    /// Where the user's connection comes from: the place of that address.
    address: usize,
    /// The address that the user has proved, if any.
    peer: Option<Peer>,
    in_voice: bool,
    is_muted: bool,
    voice: VoiceSpent,
    /// The user's place in the list of listeners: there is one exactly if the user is in voice and
    /// has an address.
    listener: Option<usize>,
}

/// What the relay knows of an address that users' connections come from.
struct Address {
    source: Source,
    users: usize,
    /// Of all of them together.
    voice: VoiceSpent,
}

/// Voice sent, by the datagram and by the byte.
#[derive(Clone, Copy, Default)]
struct VoiceSpent {
    datagrams: Spent,
    bytes: Spent,
}

/// How much voice may be sent.
struct VoiceLimit {
    datagrams: RateLimit,
    bytes: RateLimit,
}

impl VoiceLimit {
    /// So many datagrams and bytes a second, with a burst that lets the largest datagram through at any
    /// rate.
    fn new(datagrams: u32, bytes: u32, largest: usize) -> Self {
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

/// The voice relay's state: see the [module](self).
pub struct VoiceRelayServer {
    users: Slab<User>,
    by_id: HashMap<UserId, usize, HashKey>,
    by_token: HashMap<VoiceToken, usize, HashKey>,
    by_address: HashMap<SocketAddr, usize, HashKey>,
    addresses: Slab<Address>,
    by_source: HashMap<Source, usize, HashKey>,
    /// Who receives voice, without gaps. `listener_users` tells whose place each is.
    listeners: Vec<Peer>,
    listener_users: Vec<usize>,
    frame_bytes_max: usize,
    voice_from_anywhere: bool,
    user_limit: VoiceLimit,
    address_limit: VoiceLimit,
    false_answers: FalseAnswers,
    counters: Counters,
}

impl VoiceRelayServer {
    /// A relay within these limits. Its tables are allocated here, with room to spare: a hash table
    /// that is at most half full reorders itself in place, and so never allocates while addresses
    /// come and go.
    pub fn new(limits: Limits, key: HashKey) -> Self {
        let max_users = limits.users;
        let table_size = 2 * max_users;
        let largest = limits.voice_frame_bytes();
        VoiceRelayServer {
            users: Slab::with_capacity(max_users),
            by_id: HashMap::with_capacity_and_hasher(table_size, key),
            by_token: HashMap::with_capacity_and_hasher(table_size, key),
            by_address: HashMap::with_capacity_and_hasher(table_size, key),
            addresses: Slab::with_capacity(max_users),
            by_source: HashMap::with_capacity_and_hasher(table_size, key),
            listeners: Vec::with_capacity(max_users),
            listener_users: Vec::with_capacity(max_users),
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
        match event {
            Event::UserConnected { id, token, source } => self.connect(id, token, source),
            Event::VoiceJoined { id } => self.set_in_voice(id, true),
            Event::VoiceLeft { id } => self.set_in_voice(id, false),
            Event::MuteChanged { id, is_muted } => {
                if let Some(&user) = self.by_id.get(&id) {
                    self.users[user].is_muted = is_muted;
                }
            }
            Event::UserDisconnected { id } => self.disconnect(id),
        }
    }

    /// Decides about one datagram. Only a VoiceData frame's user id is written to.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Now,
        source: Peer,
        datagram: &'d mut [u8],
    ) -> Verdict<'_, 'd> {
        match datagram.first() {
            Some(&id::VOICE_DATA) => match self.check_voice(now, source, datagram) {
                Ok((frame_len, speaker, sender)) => Verdict::Relay {
                    frame: &datagram[..frame_len],
                    recipients: Recipients {
                        listeners: &self.listeners,
                        sender,
                        speaker,
                    },
                },
                Err(cause) => self.drop_counted(cause),
            },
            Some(&id::VOICE_AUTH_REQUEST) => self.handle_voice_auth(now, source, datagram),
            _ => self.drop_counted(match Frame::first_of(datagram) {
                Ok(_) => Cause::DatagramUnknownId,
                Err(_) => not_whole(datagram.len()),
            }),
        }
    }

    /// Who hears a speaker whose datagram was to be relayed, if it had to wait.
    ///
    /// # Errors
    ///
    /// Why it is not relayed any more; it has been counted.
    pub(crate) fn recipients(&mut self, speaker: Speaker) -> Result<Recipients<'_>, Cause> {
        let user = self.users.get(speaker.user);
        let user = user.filter(|user| user.id == speaker.id);
        let sender = match user.ok_or(Cause::VoiceUnknownSource).and_then(place) {
            Ok(sender) => sender,
            Err(cause) => {
                self.counters.count(cause);
                return Err(cause);
            }
        };
        Ok(Recipients {
            listeners: &self.listeners,
            sender,
            speaker,
        })
    }

    /// Everyone who receives voice, senders included. Only events and VoiceAuthRequests change it.
    pub(crate) fn listeners(&self) -> &[Peer] {
        &self.listeners
    }

    /// Whether this datagram would give a user an address that they do not have, and so may change the
    /// [listeners](Self::listeners). Junk and repeated proofs do not.
    pub(crate) fn is_new_proof(&self, source: Peer, datagram: &[u8]) -> bool {
        if datagram.first() != Some(&id::VOICE_AUTH_REQUEST) {
            return false;
        }
        let Ok(Ok(Packet::VoiceAuthRequest { voice_token, .. })) =
            Frame::first_of(datagram).map(|frame| frame.parse())
        else {
            return false;
        };
        let user = self.by_token.get(&voice_token);
        user.is_some_and(|&user| {
            self.users[user].peer != Some(source) && self.may_bind(user, source)
        })
    }

    /// Whether a user's address may be this one.
    fn may_bind(&self, user: usize, peer: Peer) -> bool {
        self.voice_from_anywhere
            || Source::of(peer.remote.ip()) == self.addresses[self.users[user].address].source
    }

    /// Takes the addresses of these machines from whoever has proved one. They can be proved again.
    pub fn forget_addresses(&mut self, is_meant: impl Fn(IpAddr) -> bool) {
        for user in 0..self.users.capacity() {
            let peer = self.users.get(user).and_then(|user| user.peer);
            if peer.is_some_and(|peer| is_meant(peer.remote.ip())) {
                self.unbind(user);
            }
        }
    }

    /// Users that the relay has been told of and who have not gone.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Users who have proved an address.
    pub fn address_count(&self) -> usize {
        self.by_address.len()
    }

    /// Users who receive voice.
    pub fn listener_count(&self) -> usize {
        self.listeners.len()
    }

    /// What has been dropped, by cause.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether this voice datagram is to be relayed: its frame's length, who speaks, and the place
    /// among the listeners.
    fn check_voice(
        &mut self,
        now: Now,
        source: Peer,
        datagram: &mut [u8],
    ) -> Result<(usize, Speaker, usize), Cause> {
        let datagram_len = datagram.len();
        let mut voice = VoiceDatagram::check(datagram).map_err(|error| match error {
            VoiceDatagramError::Malformed => Cause::DatagramMalformed,
            VoiceDatagramError::Incomplete => not_whole(datagram_len),
            VoiceDatagramError::TooLong => Cause::DatagramTooLong,
        })?;
        let len = voice.frame().len();
        if len > self.frame_bytes_max {
            return Err(Cause::DatagramTooLong);
        }
        let place_of = self.by_address.get(&source.remote);
        let place_of = *place_of.ok_or(Cause::VoiceUnknownSource)?;
        let user = &mut self.users[place_of];
        let sender = place(user)?;
        let address = &mut self.addresses[user.address];
        let (now, bytes) = (now.instant, len as u32);
        if !self.user_limit.permits(&user.voice, now, bytes) {
            return Err(Cause::VoiceTooFast);
        }
        if !self.address_limit.permits(&address.voice, now, bytes) {
            return Err(Cause::VoiceTooFastFromAddress);
        }
        self.user_limit.spend(&mut user.voice, now, bytes);
        self.address_limit.spend(&mut address.voice, now, bytes);
        voice.set_user_id(user.id);
        let speaker = Speaker {
            user: place_of,
            address: user.address,
            id: user.id,
        };
        Ok((len, speaker, sender))
    }

    fn handle_voice_auth(
        &mut self,
        now: Now,
        source: Peer,
        datagram: &[u8],
    ) -> Verdict<'static, 'static> {
        let packet = Frame::first_of(datagram).map(|frame| frame.parse());
        let Ok(Ok(Packet::VoiceAuthRequest {
            request_id,
            voice_token,
        })) = packet
        else {
            return self.drop_counted(
                if packet.is_err() && datagram.len() >= DATAGRAM_SLOT_BYTES {
                    Cause::DatagramTooLong
                } else {
                    Cause::DatagramMalformed
                },
            );
        };
        let user = self.by_token.get(&voice_token).copied();
        if let Some(user) = user.filter(|&user| self.may_bind(user, source)) {
            self.bind(user, source);
            return Verdict::Answer(voice_auth_response(request_id, true));
        }
        if !self
            .false_answers
            .allow(now.instant, Source::of(source.remote.ip()))
        {
            return self.drop_counted(Cause::VoiceAuthUnanswered);
        }
        self.counters.count(match user {
            Some(_) => Cause::VoiceAuthElsewhere,
            None => Cause::VoiceAuthUnknownToken,
        });
        match voice_token {
            VoiceToken(0) => Verdict::AnswerAndEnd(voice_auth_response(request_id, false)),
            _ => Verdict::Answer(voice_auth_response(request_id, false)),
        }
    }

    fn drop_counted(&mut self, cause: Cause) -> Verdict<'static, 'static> {
        self.counters.count(cause);
        Verdict::Drop(cause)
    }

    fn connect(&mut self, id: UserId, token: VoiceToken, source: Source) {
        debug_assert_ne!(token.0, 0, "a live token is not 0");
        debug_assert!(self.users.len() < self.users.capacity());
        debug_assert!(!self.by_id.contains_key(&id), "ids are never reused");
        let address = match self.by_source.get(&source) {
            Some(&address) => address,
            None => {
                let (users, voice) = (0, VoiceSpent::default());
                let new = Address {
                    source,
                    users,
                    voice,
                };
                let address = self.addresses.insert(new);
                self.by_source.insert(source, address);
                address
            }
        };
        self.addresses[address].users += 1;
        let user = self.users.insert(User {
            id,
            token,
            address,
            peer: None,
            in_voice: false,
            is_muted: false,
            voice: VoiceSpent::default(),
            listener: None,
        });
        self.by_id.insert(id, user);
        self.by_token.insert(token, user);
    }

    fn disconnect(&mut self, id: UserId) {
        let Some(user) = self.by_id.remove(&id) else {
            return;
        };
        self.unbind(user);
        let User { token, address, .. } = self.users.remove(user);
        self.addresses[address].users -= 1;
        if self.addresses[address].users == 0 {
            let source = self.addresses.remove(address).source;
            self.by_source.remove(&source);
        }
        // Should two live users ever have drawn one token, it is the later one's.
        if self.by_token.get(&token) == Some(&user) {
            self.by_token.remove(&token);
        }
    }

    fn set_in_voice(&mut self, id: UserId, in_voice: bool) {
        let Some(&user) = self.by_id.get(&id) else {
            return;
        };
        self.users[user].in_voice = in_voice;
        self.update_listener(user);
    }

    /// The newest proof wins: whoever had this address loses it, and the user loses the address
    /// they had.
    fn bind(&mut self, user: usize, peer: Peer) {
        if self.users[user].peer == Some(peer) {
            return;
        }
        if let Some(&owner) = self.by_address.get(&peer.remote) {
            self.unbind(owner);
        }
        self.unbind(user);
        self.by_address.insert(peer.remote, user);
        self.users[user].peer = Some(peer);
        self.update_listener(user);
    }

    fn unbind(&mut self, user: usize) {
        if let Some(peer) = self.users[user].peer.take() {
            self.by_address.remove(&peer.remote);
            self.update_listener(user);
        }
    }

    /// Makes the list of listeners agree with what is known of this user.
    fn update_listener(&mut self, user: usize) {
        let User {
            peer,
            in_voice,
            listener,
            ..
        } = self.users[user];
        match (listener, peer.filter(|_| in_voice)) {
            (None, Some(peer)) => {
                self.users[user].listener = Some(self.listeners.len());
                self.listeners.push(peer);
                self.listener_users.push(user);
            }
            (Some(place), None) => {
                self.users[user].listener = None;
                self.listeners.swap_remove(place);
                self.listener_users.swap_remove(place);
                if let Some(&moved) = self.listener_users.get(place) {
                    self.users[moved].listener = Some(place);
                }
            }
            // A listener with another address was none for a moment: see `bind`.
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

/// What a datagram is that ends before its frame does: a lie, unless it was the slot that ended it.
fn not_whole(datagram_len: usize) -> Cause {
    if datagram_len < DATAGRAM_SLOT_BYTES {
        Cause::DatagramMalformed
    } else {
        Cause::DatagramTooLong
    }
}

/// The place among the listeners of someone who may speak.
fn place(user: &User) -> Result<usize, Cause> {
    let place = user.listener.ok_or(Cause::VoiceNotInChannel)?;
    match user.is_muted {
        true => Err(Cause::VoiceMuted),
        false => Ok(place),
    }
}
