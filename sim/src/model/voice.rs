//! The oracle's UDP side, rules 9 to 11: what must become of one datagram, when it is received and, if that is
//! voice, when its turn comes.
//!
//! Only false answers leave the server a choice. Sources that meet in its table share an allowance,
//! and the model does not know who meets whom, so it knows two bounds: what the source itself has
//! left, and what would be left if everyone shared one place.

use super::door::network_of;
use super::{Connection, Model, User};
use crate::wire::{self, Fields, Payload};
use std::net::IpAddr;
use std::time::Duration;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::{ConnectionId, UdpPath, UserId};
use voiceapp_server::limits::{FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST};

/// What becomes of a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Answer(Vec<u8>),
    /// With an empty datagram behind it.
    AnswerAndEnd(Vec<u8>),
    Drop(Cause),
}

impl Model {
    /// Examines a datagram. Whose voice it is, if it is to have its turn; or none, for a claim.
    pub fn datagram(
        &mut self,
        at: Duration,
        from: UdpPath,
        datagram: &[u8],
        is_late: bool,
    ) -> Result<Option<u64>, Cause> {
        let result = match datagram.first() {
            Some(&wire::VOICE_DATA) if is_late => Err(Cause::VoiceTooLate),
            Some(&wire::VOICE_DATA) => self.voice(at, from, datagram).map(Some),
            // Whatever is in it.
            Some(&wire::VOICE_AUTH_REQUEST) => Ok(None),
            _ => Err(match wire::split(datagram) {
                // Nobody here has a seal.
                Some((wire::SEALED, payload)) => match payload.len() {
                    0..28 => Cause::DatagramMalformed,
                    _ => Cause::SealUnknownKey,
                },
                Some(_) => Cause::DatagramUnknownId,
                None => wire::cut_off(datagram),
            }),
        };
        result.inspect_err(|&cause| self.counters.count(cause))
    }

    fn voice(&mut self, at: Duration, from: UdpPath, datagram: &[u8]) -> Result<u64, Cause> {
        let frame = wire::voice_frame(datagram)?;
        if frame.len() - 19 > self.limits.voice_bytes {
            return Err(Cause::DatagramTooLong);
        }
        let proved = |peer: Option<UdpPath>| peer.is_some_and(|peer| peer.remote == from.remote);
        let mut users = self.connections.iter_mut();
        let is_speaker = |it: &&mut Connection| it.user.as_ref().is_some_and(|it| proved(it.peer));
        let connection = users.find(is_speaker).ok_or(Cause::VoiceUnknownSource)?;
        let (ip, from) = (connection.ip, connection.id);
        let speaker = connection.user.as_mut().expect("it is logged in");
        speaker.may_speak()?;
        let bytes = frame.len() as u32;
        if !speaker.voice_datagrams.has(at, 1) || !speaker.voice_bytes.has(at, bytes) {
            return Err(Cause::VoiceTooFast);
        }
        let source = self.source(ip);
        if !source.voice_datagrams.has(at, 1) || !source.voice_bytes.has(at, bytes) {
            return Err(Cause::VoiceTooFastFromAddress);
        }
        source.voice_datagrams.take(at, 1);
        source.voice_bytes.take(at, bytes);
        let speaker = self.user(from);
        speaker.voice_datagrams.take(at, 1);
        speaker.voice_bytes.take(at, bytes);
        Ok(speaker.id)
    }

    /// The turn of voice has come that was received before: why it is not sent, if it is not.
    pub fn turn(&mut self, UserId(speaker): UserId) -> Option<Cause> {
        let users = self.connections.iter().flat_map(|c| &c.user);
        let user = users.into_iter().find(|user| user.id == speaker);
        let user = user.ok_or(Cause::VoiceUnknownSource);
        let dropped = user.and_then(User::may_speak).err();
        if let Some(cause) = dropped {
            self.counters.count(cause);
        }
        dropped
    }

    /// Everyone who receives voice, with their ids.
    pub fn listeners(&self) -> Vec<(UdpPath, u64)> {
        let users = self.connections.iter().flat_map(|c| &c.user);
        let here = users.filter(|user| user.in_voice);
        let mut listeners: Vec<_> = here.filter_map(|it| Some((it.peer?, it.id))).collect();
        listeners.sort_by_key(|(peer, _)| peer.remote);
        listeners
    }

    /// Judges a claim. `was_answered` is what the server did, which counts only where it has a choice.
    pub fn claim(
        &mut self,
        at: Duration,
        from: UdpPath,
        datagram: &[u8],
        is_own_address: bool,
        was_answered: bool,
    ) -> Fate {
        let fate = self.judge(at, from, datagram, is_own_address, was_answered);
        if let Fate::Drop(cause) = fate {
            self.counters.count(cause);
        }
        fate
    }

    fn judge(
        &mut self,
        at: Duration,
        from: UdpPath,
        datagram: &[u8],
        is_own_address: bool,
        was_answered: bool,
    ) -> Fate {
        let payload = wire::split(datagram).map(|(_, payload)| payload);
        let mut fields = Fields(payload.unwrap_or_default());
        let question = fields.u64().and_then(|id| Some((id, fields.u64()?)));
        let token = question.map(|(_, token)| token);
        let owner = self
            .connections
            .iter()
            .find(|c| c.user.is_some() && Some(c.token) == token);
        let is_permitted = owner.is_some_and(|owner| {
            self.limits.voice_from_anywhere || network_of(owner.ip) == network_of(from.remote.ip())
        });
        let has_it =
            owner.is_some_and(|it| it.user.as_ref().is_some_and(|it| it.peer == Some(from)));
        let owner = owner.map(|owner| owner.id);
        if is_own_address && is_permitted && !has_it {
            return Fate::Drop(Cause::VoiceAuthOwnAddress);
        }
        if self.is_banned(from.remote.ip()) {
            return Fate::Drop(Cause::VoiceAuthBanned);
        }
        let Some((request_id, token)) = question else {
            let cut = payload.is_none().then(|| wire::cut_off(datagram));
            return Fate::Drop(cut.unwrap_or(Cause::DatagramMalformed));
        };
        let answer = |success: bool| {
            let answer = Payload::new().u64(request_id).bool(success);
            answer.frame(wire::VOICE_AUTH_RESPONSE)
        };
        if let Some(owner) = owner.filter(|_| is_permitted) {
            self.bind(owner, from);
            return Fate::Answer(answer(true));
        }
        if !self.allowances.permit(at, from.remote.ip(), was_answered) {
            return Fate::Drop(Cause::VoiceAuthUnanswered);
        }
        self.counters.count(match owner {
            Some(_) => Cause::VoiceAuthElsewhere,
            None => Cause::VoiceAuthUnknownToken,
        });
        match token {
            0 => Fate::AnswerAndEnd(answer(false)),
            _ => Fate::Answer(answer(false)),
        }
    }

    /// The newest proof wins: this address is nobody else's any more.
    fn bind(&mut self, owner: ConnectionId, from: UdpPath) {
        for connection in &mut self.connections {
            let Some(user) = &mut connection.user else {
                continue;
            };
            if connection.id == owner {
                user.peer = Some(from);
            } else if user.peer.is_some_and(|peer| peer.remote == from.remote) {
                user.peer = None;
            }
        }
    }
}

impl User {
    fn may_speak(&self) -> Result<(), Cause> {
        match (self.in_voice && self.peer.is_some(), self.is_muted) {
            (false, _) => Err(Cause::VoiceNotInChannel),
            (true, true) => Err(Cause::VoiceMuted),
            (true, false) => Ok(()),
        }
    }
}

/// How many false answers have been given: for each source, and for all of them as one, the moment
/// at which they would be paid for at the permitted rate.
#[derive(Default)]
pub struct Allowances {
    of_sources: Vec<(u128, Duration)>,
    of_all: Duration,
}

impl Allowances {
    /// Whether there must be an answer: the server's choice, unless the bounds leave none.
    fn permit(&mut self, at: Duration, source: IpAddr, was_answered: bool) -> bool {
        let source = network_of(source);
        let known = self
            .of_sources
            .iter()
            .position(|(network, _)| *network == source);
        let place = known.unwrap_or_else(|| {
            self.of_sources.push((source, Duration::ZERO));
            self.of_sources.len() - 1
        });
        let paid_at = &mut self.of_sources[place].1;
        let must = has_left(at, self.of_all);
        let may = has_left(at, *paid_at);
        let answer = must || (may && was_answered);
        if answer {
            *paid_at = at.max(*paid_at) + FALSE_ANSWER_INTERVAL;
            self.of_all = at.max(self.of_all) + FALSE_ANSWER_INTERVAL;
        }
        answer
    }
}

/// Whether one more answer stays within the burst.
fn has_left(at: Duration, paid_at: Duration) -> bool {
    paid_at.saturating_sub(at) <= FALSE_ANSWER_INTERVAL * (FALSE_ANSWERS_BURST - 1)
}
