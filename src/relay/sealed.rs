//! Sealed datagrams: their user, their content, and the challenge for a new address.
//!
//! A user is heard from the address of their newest datagram. The server sends voice to an address only
//! after it has echoed a challenge. Only a machine that receives there can do so, and no voice can be
//! directed at a stranger. The server keeps no state for a challenge: a keyed hash makes its value.

use super::proof::{Asked, SealedQuestion};
use super::seal::{Opened, SealedAnswer};
use super::tables::{Route, UserKey};
use super::{Claim, Finding, Verdict, VoiceRelayServer, not_whole};
use crate::cause::{VoiceAuthRefused, VoiceDropped};
use crate::event::{Now, Source, UdpPath};
use crate::limits::CHALLENGE_PERIOD_MS;
use crate::protocol::{Frame, Packet, SealedDatagram, SealedDatagramError, id};
use crate::protocol::{KeyId, path_challenge, voice_auth_response};
use std::net::{IpAddr, SocketAddr};

impl VoiceRelayServer {
    /// Opens a sealed datagram, and finds what it is.
    /// Rules 15d and 15h.
    pub(super) fn open(
        &mut self,
        now: Now,
        path: UdpPath,
        datagram: &mut [u8],
        is_late: bool,
    ) -> Result<Finding, VoiceDropped> {
        let len = datagram.len();
        let view = SealedDatagram::check(&*datagram).map_err(|error| match error {
            SealedDatagramError::Incomplete => not_whole(len),
            SealedDatagramError::Malformed => VoiceDropped::Malformed,
            SealedDatagramError::TooLong => VoiceDropped::TooLong,
        })?;
        let key = self.tables.by_key.get(&view.key_id());
        let key = *key.ok_or(VoiceDropped::UnknownKey)?;
        let user = &mut self.tables.users[key.index()];
        let is_proved = user.has_proved(path.remote);
        let seal = user.seal.as_mut().ok_or(VoiceDropped::UnknownKey)?;
        let Opened { inside, is_newest } = seal.open(now.instant, datagram, is_proved)?;
        if is_newest {
            seal.heard_from = Some(path.remote);
        }
        let is_believed = is_proved || seal.heard_from == Some(path.remote);
        let is_believed = is_believed && self.may_bind(key, path);
        let frame = &mut datagram[inside.clone()];
        match frame.first() {
            Some(&id::VOICE_DATA) if is_late => Err(VoiceDropped::TooLate),
            Some(&id::VOICE_DATA) if !is_believed => Err(VoiceDropped::UnknownSource),
            Some(&id::VOICE_DATA) => {
                let claim = (!is_proved).then(|| self.sealed_claim(key, path, Asked::Nothing));
                self.check_opened_voice(now, key, frame, inside.start, claim)
            }
            Some(&id::VOICE_AUTH_REQUEST | &id::PATH_RESPONSE) => {
                let asked = match Frame::first_of(frame).map(|frame| frame.parse()) {
                    Ok(Ok(Packet::VoiceAuthRequest {
                        request_id,
                        voice_token,
                    })) => {
                        let is_token = self.tables.user(key).token == voice_token;
                        Asked::Address(request_id, is_token)
                    }
                    Ok(Ok(Packet::PathResponse { value })) => Asked::Echo(value),
                    _ => return Err(VoiceDropped::Malformed),
                };
                Ok(Finding::Claim(self.sealed_claim(key, path, asked)))
            }
            _ => Err(match Frame::first_of(frame) {
                Ok(_) => VoiceDropped::UnknownId,
                Err(_) => VoiceDropped::Malformed,
            }),
        }
    }

    fn sealed_claim(&self, user: UserKey, path: UdpPath, asked: Asked) -> Claim {
        let is_permitted = self.may_bind(user, path);
        let is_new = self.tables.user(user).route != Some(Route::Sealed(path));
        let question = SealedQuestion {
            user,
            asked,
            is_permitted,
            is_new,
        };
        Claim::sealed(path, question)
    }

    /// Decides a sealed claim to which the switchboard does not object.
    /// Rules 15f, 15g and 15j.
    pub(super) fn decide_sealed(
        &mut self,
        now: Now,
        path: UdpPath,
        question: SealedQuestion,
    ) -> Verdict<'static, 'static> {
        let user = question.user;
        match question.asked {
            Asked::Address(request_id, true) if question.is_permitted => {
                if let Some(seal) = &mut self.tables.users[user.index()].seal {
                    seal.request_id = request_id;
                }
                if self.tables.user(user).has_proved(path.remote) {
                    self.tables.bind(user, Route::Sealed(path));
                    return self.answer(user, &voice_auth_response(request_id, true));
                }
                match self.challenge_of(now, user, path) {
                    Some(challenge) => Verdict::AnswerSealed(challenge),
                    None => self.drop_counted(VoiceDropped::PathUnchallenged),
                }
            }
            Asked::Address(request_id, is_token) => {
                let source = Source::of(path.remote.ip());
                if !self.false_answers.allow(now.instant, source) {
                    return self.drop_counted(VoiceDropped::AuthUnanswered);
                }
                self.counters.count(match is_token {
                    true => VoiceAuthRefused::Elsewhere,
                    false => VoiceAuthRefused::UnknownToken,
                });
                self.answer(user, &voice_auth_response(request_id, false))
            }
            Asked::Echo(value) => {
                if !question.is_permitted || !self.is_echo(now, user, path, value) {
                    return self.drop_counted(VoiceDropped::PathWrong);
                }
                self.tables.bind(user, Route::Sealed(path));
                let seal = self.tables.user(user).seal.as_ref();
                let request_id = seal.map_or(0, |seal| seal.request_id);
                self.answer(user, &voice_auth_response(request_id, true))
            }
            // Only voice asks for nothing, and it is not decided here.
            Asked::Nothing => self.drop_counted(VoiceDropped::UnknownSource),
        }
    }

    /// The challenge for the address that voice came from, if its user may have that address and one more
    /// challenge is within the rate.
    pub(crate) fn challenge(&mut self, now: Now, claim: Claim) -> Option<SealedAnswer> {
        let user = claim.wants_challenge()?;
        self.challenge_of(now, user, claim.path())
    }

    /// Rule 15i.
    fn challenge_of(&mut self, now: Now, user: UserKey, path: UdpPath) -> Option<SealedAnswer> {
        let (key, period) = (self.key, now.unix_ms / CHALLENGE_PERIOD_MS);
        let seal = self.tables.users[user.index()].seal.as_mut()?;
        if !seal.may_challenge(now.instant) {
            return None;
        }
        let value = key.tag(&place_and_time(path.remote, seal.key_id(), period));
        seal.answer(&path_challenge(value))
    }

    /// Whether this is the value of this address's challenge, in this period or the last.
    fn is_echo(&self, now: Now, user: UserKey, path: UdpPath, value: u64) -> bool {
        let Some(seal) = &self.tables.user(user).seal else {
            return false;
        };
        let period = now.unix_ms / CHALLENGE_PERIOD_MS;
        [Some(period), period.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|period| {
                let asked = place_and_time(path.remote, seal.key_id(), period);
                self.key.tag(&asked) == value
            })
    }

    fn answer(&mut self, user: UserKey, frame: &[u8]) -> Verdict<'static, 'static> {
        let seal = self.tables.users[user.index()].seal.as_mut();
        match seal.and_then(|seal| seal.answer(frame)) {
            Some(answer) => Verdict::AnswerSealed(answer),
            None => self.drop_counted(VoiceDropped::AuthUnanswered),
        }
    }
}

/// The input for the value of a challenge. Each kind of address has a form of its own.
fn place_and_time(remote: SocketAddr, key_id: KeyId, period: u64) -> [u8; 35] {
    let mut bytes = [0; 35];
    let (kind, ip) = match remote.ip() {
        IpAddr::V4(v4) => (4, v4.to_ipv6_mapped().octets()),
        IpAddr::V6(v6) => (6, v6.octets()),
    };
    let scope_id = match remote {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    };
    bytes[0] = kind;
    bytes[1..17].copy_from_slice(&ip);
    bytes[17..19].copy_from_slice(&remote.port().to_be_bytes());
    bytes[19..23].copy_from_slice(&scope_id.to_be_bytes());
    bytes[23..27].copy_from_slice(&key_id.context());
    bytes[27..].copy_from_slice(&period.to_be_bytes());
    bytes
}
