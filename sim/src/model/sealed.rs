//! The oracle's part of sealed voice, rule 15. It knows no cryptography: a datagram is authentic if it is one that the client
//! with that key has sealed, byte for byte, and what was in it is known from there.

use super::bucket::Bucket;
use super::door::network_of;
use super::voice::{Fate, Found};
use super::{Connection, Model};
use crate::wire::{self, Fields, Payload};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::{ConnectionId, UdpPath};
use voiceapp_server::limits::{CHALLENGE_BURST, WRONG_TAGS_PER_SECOND};

/// How many counters the server remembers, and how many an epoch has.
const WINDOW: u64 = 128;
const EPOCH: u64 = 1 << 23;

/// How long a question is the same, in milliseconds.
const PERIOD_MS: u64 = 10_000;

/// What the server knows of a user whose voice is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub key_id: u32,
    /// One more than the highest counter so far, and those below it that were seen.
    next: u64,
    seen: BTreeSet<u64>,
    heard_from: Option<SocketAddr>,
    request_id: u64,
    questions: Bucket,
    /// Forged ones from elsewhere in the second that began then.
    forged: Option<(Duration, u32)>,
}

/// What a sealed datagram asks for.
#[derive(Clone, Copy, Debug)]
pub struct SealedClaim {
    owner: ConnectionId,
    asked: Asked,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Address { request_id: u64, token: u64 },
    Echo(u64),
}

/// What was sealed by whom, and what addresses were asked.
#[derive(Default)]
pub struct Envelopes {
    /// By key and counter: the datagram, and what is in it.
    sealed: BTreeMap<(u32, u64), (Vec<u8>, Vec<u8>)>,
    /// By address, key and period.
    questions: BTreeMap<(SocketAddr, u32, u64), u64>,
    values: BTreeSet<u64>,
}

impl Envelopes {
    /// A client has sealed this.
    pub fn note(&mut self, key_id: u32, datagram: &[u8], inside: &[u8]) {
        let counter = counter_of(datagram);
        let (datagram, mut inside) = (datagram.to_vec(), inside.to_vec());
        inside.resize(datagram.len() - 31, 0);
        self.sealed.insert((key_id, counter), (datagram, inside));
    }

    /// Nobody looks at what was sealed with this key and a lower counter.
    pub fn forget(&mut self, key_id: u32, below: u64) {
        let old = self.sealed.range((key_id, 0)..(key_id, below));
        for place in old.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.sealed.remove(&place);
        }
    }

    /// An address was asked to echo this. It is asked the same for ten seconds, and no other is.
    pub fn asked(&mut self, unix_ms: u64, address: SocketAddr, key_id: u32, value: u64) {
        let place = (address, key_id, unix_ms / PERIOD_MS);
        match self.questions.get(&place) {
            Some(&known) => assert_eq!(known, value, "what {place:?} is asked"),
            None => assert!(self.values.insert(value), "{place:?} is asked as another"),
        }
        self.questions.insert(place, value);
    }

    fn is_echo(&self, unix_ms: u64, address: SocketAddr, key_id: u32, value: u64) -> bool {
        let period = unix_ms / PERIOD_MS;
        [Some(period), period.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|period| self.questions.get(&(address, key_id, period)) == Some(&value))
    }
}

fn counter_of(datagram: &[u8]) -> u64 {
    u64::from_be_bytes(datagram[7..15].try_into().expect("eight bytes"))
}

impl Seal {
    pub fn new(key_id: u32) -> Self {
        Seal {
            key_id,
            next: 0,
            seen: BTreeSet::new(),
            heard_from: None,
            request_id: 0,
            questions: Bucket::per_second(1, CHALLENGE_BURST),
            forged: None,
        }
    }

    /// Whether so many forged ones came from elsewhere that no more are looked at.
    fn is_tired(&self, at: Duration) -> bool {
        let second = Duration::from_secs(1);
        self.forged
            .is_some_and(|(since, count)| at < since + second && count >= WRONG_TAGS_PER_SECOND)
    }

    fn note_forged(&mut self, at: Duration) {
        let second = Duration::from_secs(1);
        let (since, count) = self
            .forged
            .filter(|(since, _)| at < *since + second)
            .unwrap_or((at, 0));
        self.forged = Some((since, count + 1));
    }

    /// Why a datagram with this counter is not looked at, if it is not.
    fn check(&self, counter: u64) -> Result<(), Cause> {
        if counter < self.next {
            if self.next - counter > WINDOW {
                return Err(Cause::SealOutOfReach);
            }
            if self.seen.contains(&counter) {
                return Err(Cause::SealReplayed);
            }
        }
        let current = self.next.saturating_sub(1) / EPOCH;
        match counter / EPOCH <= current + 1 {
            true => Ok(()),
            false => Err(Cause::SealOutOfReach),
        }
    }

    /// An authentic datagram with this counter has come. Says whether it is the newest.
    fn note(&mut self, counter: u64) -> bool {
        self.seen.insert(counter);
        let is_newest = counter >= self.next;
        if is_newest {
            self.next = counter + 1;
            let oldest = self.next.saturating_sub(WINDOW);
            self.seen = self.seen.split_off(&oldest);
        }
        is_newest
    }
}

impl Model {
    /// Examines a sealed datagram.
    pub fn open(
        &mut self,
        at: Duration,
        from: UdpPath,
        datagram: &[u8],
        is_late: bool,
    ) -> Result<Found, Cause> {
        let (_, payload) = wire::split(datagram).ok_or(wire::cut_off(datagram))?;
        if payload.len() < 28 {
            return Err(Cause::DatagramMalformed);
        }
        let key_id = u32::from_be_bytes(payload[..4].try_into().expect("four bytes"));
        let counter = counter_of(datagram);
        let sealed = self.envelopes.sealed.get(&(key_id, counter));
        let sealed = sealed.filter(|(whole, _)| *whole == datagram[..3 + payload.len()]);
        let inside = sealed.map(|(_, inside)| inside.clone());
        let is_anywhere = self.limits.voice_from_anywhere;
        let has_key = |c: &&mut Connection| {
            let user = c.user.as_ref();
            let seal = user.and_then(|user| user.seal.as_ref());
            seal.is_some_and(|seal| seal.key_id == key_id)
        };
        let owner = self.connections.iter_mut().find(has_key);
        let owner = owner.ok_or(Cause::SealUnknownKey)?;
        let is_permitted = is_anywhere || network_of(owner.ip) == network_of(from.remote.ip());
        let id = owner.id;
        let user = owner.user.as_mut().expect("it is logged in");
        let is_proved = user.peer.is_some_and(|peer| peer.remote == from.remote);
        let seal = user.seal.as_mut().expect("it has that key");
        if !is_proved && seal.is_tired(at) {
            return Err(Cause::SealUnopened);
        }
        seal.check(counter)?;
        let Some(inside) = inside else {
            if !is_proved {
                seal.note_forged(at);
            }
            return Err(Cause::SealNotAuthentic);
        };
        if seal.note(counter) {
            seal.heard_from = Some(from.remote);
            let below = seal.next.saturating_sub(WINDOW);
            self.envelopes.forget(key_id, below);
        }
        let is_heard = (is_proved || seal.heard_from == Some(from.remote)) && is_permitted;
        match inside.first() {
            Some(&wire::VOICE_DATA) if is_late => Err(Cause::VoiceTooLate),
            Some(&wire::VOICE_DATA) if !is_heard => Err(Cause::VoiceUnknownSource),
            Some(&wire::VOICE_DATA) => {
                let frame = wire::voice_frame(&inside)?;
                let speaker = self.admit(at, id, frame)?;
                Ok(Found::Voice {
                    speaker,
                    frame: frame.to_vec(),
                    asks: (!is_proved).then_some(id),
                })
            }
            Some(&(wire::VOICE_AUTH_REQUEST | wire::PATH_RESPONSE)) => {
                let asked = asked(&inside).ok_or(Cause::DatagramMalformed)?;
                Ok(Found::Claim(Some(SealedClaim { owner: id, asked })))
            }
            _ => Err(match wire::split(&inside) {
                Some(_) => Cause::DatagramUnknownId,
                None => Cause::DatagramMalformed,
            }),
        }
    }

    /// Whether voice is heard that came from an address that is not proved, and whether that is asked.
    pub fn hear(
        &mut self,
        at: Duration,
        from: UdpPath,
        owner: ConnectionId,
        is_own_address: bool,
    ) -> Result<bool, Cause> {
        let refused = if is_own_address {
            Some(Cause::VoiceAuthOwnAddress)
        } else {
            let is_banned = self.is_banned(from.remote.ip());
            is_banned.then_some(Cause::VoiceAuthBanned)
        };
        if let Some(cause) = refused {
            self.counters.count(cause);
            return Err(cause);
        }
        Ok(self.seal(owner).questions.take(at, 1))
    }

    /// The key of a user whose voice is sealed.
    pub fn key_of(&self, user_id: u64) -> u32 {
        let users = self.connections.iter().flat_map(|c| &c.user);
        let mut seals = users.filter(|user| user.id == user_id);
        let seal = seals.next().and_then(|user| user.seal.as_ref());
        seal.expect("its voice is sealed").key_id
    }

    fn seal(&mut self, owner: ConnectionId) -> &mut Seal {
        let seal = self.user(owner).seal.as_mut();
        seal.expect("its voice is sealed")
    }

    /// Judges a sealed claim.
    pub fn judge_sealed(
        &mut self,
        (at, unix_ms): (Duration, u64),
        from: UdpPath,
        SealedClaim { owner, asked }: SealedClaim,
        is_own_address: bool,
        was_answered: bool,
    ) -> Fate {
        let (ip, token) = (self.connection(owner).ip, self.connection(owner).token);
        let is_permitted =
            self.limits.voice_from_anywhere || network_of(ip) == network_of(from.remote.ip());
        let peer = self.user(owner).peer;
        if is_own_address && is_permitted && peer != Some(from) {
            return Fate::Drop(Cause::VoiceAuthOwnAddress);
        }
        if self.is_banned(from.remote.ip()) {
            return Fate::Drop(Cause::VoiceAuthBanned);
        }
        let key_id = self.seal(owner).key_id;
        let answer = |request_id: u64, success: bool| {
            let answer = Payload::new().u64(request_id).bool(success);
            Fate::Sealed(key_id, answer.frame(wire::VOICE_AUTH_RESPONSE))
        };
        match asked {
            Asked::Address {
                request_id,
                token: asked,
            } if asked == token && is_permitted => {
                self.seal(owner).request_id = request_id;
                if peer.is_some_and(|peer| peer.remote == from.remote) {
                    self.bind(owner, from);
                    answer(request_id, true)
                } else if self.seal(owner).questions.take(at, 1) {
                    Fate::Question(key_id)
                } else {
                    Fate::Drop(Cause::SealPathUnchallenged)
                }
            }
            Asked::Address {
                request_id,
                token: asked,
            } => {
                if !self.allowances.permit(at, from.remote.ip(), was_answered) {
                    return Fate::Drop(Cause::VoiceAuthUnanswered);
                }
                self.counters.count(match asked == token {
                    true => Cause::VoiceAuthElsewhere,
                    false => Cause::VoiceAuthUnknownToken,
                });
                answer(request_id, false)
            }
            Asked::Echo(value) => {
                let is_echo = self.envelopes.is_echo(unix_ms, from.remote, key_id, value);
                if !is_permitted || !is_echo {
                    return Fate::Drop(Cause::SealPathWrong);
                }
                self.bind(owner, from);
                answer(self.seal(owner).request_id, true)
            }
        }
    }
}

/// What this frame asks for, with zeros behind it.
fn asked(inside: &[u8]) -> Option<Asked> {
    let (id, payload) = wire::split(inside)?;
    let mut fields = Fields(payload);
    let first = fields.u64()?;
    match id {
        wire::PATH_RESPONSE => Some(Asked::Echo(first)),
        _ => Some(Asked::Address {
            request_id: first,
            token: fields.u64()?,
        }),
    }
}
