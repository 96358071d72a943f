//! The oracle's UDP side, rules 9 to 11: what must become of one datagram, when it is received and, if that is
//! voice, when its turn comes.
//!
//! Only false answers leave the server a choice. Sources that meet in its table share an allowance,
//! and the model does not know who meets whom, so it knows two bounds: what the source itself has
//! left, and what would be left if everyone shared one place.

use super::door::network_of;
use super::sealed::SealedClaim;
use super::{Connection, Model, User};
use crate::wire::{self, Fields, Payload};
use std::net::IpAddr;
use std::time::Duration;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::{ConnectionId, UdpPath, UserId};
use voiceapp_server::limits::{FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST};

/// What a datagram was found to be.
#[derive(Debug)]
pub enum Found {
    /// Voice that is to have its turn, as its speaker has sent it. It may come from an address that its user has not
    /// proved, and that is to be asked.
    Voice {
        speaker: u64,
        frame: Vec<u8>,
        asks: Option<ConnectionId>,
    },
    Claim(Option<SealedClaim>),
}

/// What becomes of a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Answer(Vec<u8>),
    /// With an empty datagram behind it.
    AnswerAndEnd(Vec<u8>),
    /// Under the seal of this key.
    Sealed(u32, Vec<u8>),
    /// The address is asked, under the same.
    Question(u32),
    Drop(Cause),
}

impl Model {
    /// Examines a datagram, as it came.
    pub fn datagram(
        &mut self,
        at: Duration,
        from: UdpPath,
        datagram: &[u8],
        is_late: bool,
    ) -> Result<Found, Cause> {
        let result = match datagram.first() {
            Some(&wire::VOICE_DATA) if is_late => Err(Cause::VoiceTooLate),
            Some(&wire::VOICE_DATA) => self.voice(at, from, datagram),
            // Whatever is in it.
            Some(&wire::VOICE_AUTH_REQUEST) => Ok(Found::Claim(None)),
            Some(&wire::SEALED) => self.open(at, from, datagram, is_late),
            _ => Err(match wire::split(datagram) {
                Some(_) => Cause::DatagramUnknownId,
                None => wire::cut_off(datagram),
            }),
        };
        result.inspect_err(|&cause| self.counters.count(cause))
    }

    fn voice(&mut self, at: Duration, from: UdpPath, datagram: &[u8]) -> Result<Found, Cause> {
        let frame = wire::voice_frame(datagram)?;
        if frame.len() - 19 > self.limits.voice_bytes {
            return Err(Cause::DatagramTooLong);
        }
        let proved = |peer: Option<UdpPath>| peer.is_some_and(|peer| peer.remote == from.remote);
        let mut users = self.connections.iter_mut();
        let is_speaker = |it: &&mut Connection| it.user.as_ref().is_some_and(|it| proved(it.peer));
        let connection = users.find(is_speaker).ok_or(Cause::VoiceUnknownSource)?;
        let is_sealed = |user: &User| user.seal.is_some();
        if connection.user.as_ref().is_some_and(is_sealed) {
            return Err(Cause::VoiceNotSealed);
        }
        let id = connection.id;
        Ok(Found::Voice {
            speaker: self.admit(at, id, frame)?,
            frame: frame.to_vec(),
            asks: None,
        })
    }

    /// Whose voice it is, if they may speak and it is not too much.
    pub fn admit(&mut self, at: Duration, from: ConnectionId, frame: &[u8]) -> Result<u64, Cause> {
        if frame.len() - 19 > self.limits.voice_bytes {
            return Err(Cause::DatagramTooLong);
        }
        let connection = self.connection(from);
        let ip = connection.ip;
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

    /// Everyone who receives voice, sealed or plain, with their ids.
    pub fn listeners(&self, is_sealed: bool) -> Vec<(UdpPath, u64)> {
        let users = self.connections.iter().flat_map(|c| &c.user);
        let here = users.filter(|user| user.in_voice && user.seal.is_some() == is_sealed);
        let mut listeners: Vec<_> = here.filter_map(|it| Some((it.peer?, it.id))).collect();
        listeners.sort_by_key(|(peer, _)| peer.remote);
        listeners
    }

    /// Judges a claim. `was_answered` is what the server did, which counts only where it has a choice.
    pub fn claim(
        &mut self,
        (at, unix_ms): (Duration, u64),
        from: UdpPath,
        (datagram, sealed): (&[u8], Option<SealedClaim>),
        is_own_address: bool,
        was_answered: bool,
    ) -> Fate {
        let fate = match sealed {
            Some(claim) => {
                self.judge_sealed((at, unix_ms), from, claim, is_own_address, was_answered)
            }
            None => self.judge(at, from, datagram, is_own_address, was_answered),
        };
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
        let is_near = |owner: &Connection| {
            self.limits.voice_from_anywhere || network_of(owner.ip) == network_of(from.remote.ip())
        };
        // Its owner is one whose voice is sealed, and so does not lose it to anyone without a seal.
        let is_taken = self.connections.iter().any(|it| {
            let user = it.user.as_ref().filter(|user| user.seal.is_some());
            let peer = user.and_then(|user| user.peer);
            peer.is_some_and(|peer| peer.remote == from.remote)
        });
        let refusal = match owner {
            None => Some(Cause::VoiceAuthUnknownToken),
            Some(it) if it.user.as_ref().is_some_and(|it| it.seal.is_some()) => {
                Some(Cause::VoiceAuthNotSealed)
            }
            Some(it) if !is_near(it) => Some(Cause::VoiceAuthElsewhere),
            Some(_) => is_taken.then_some(Cause::VoiceAuthTaken),
        };
        let is_permitted = refusal.is_none();
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
        self.counters.count(refusal.expect("it is not permitted"));
        match token {
            0 => Fate::AnswerAndEnd(answer(false)),
            _ => Fate::Answer(answer(false)),
        }
    }

    /// The newest proof wins: this address is nobody else's any more.
    pub fn bind(&mut self, owner: ConnectionId, from: UdpPath) {
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
        // Sealed voice says by itself whose it is.
        let is_known = self.peer.is_some() || self.seal.is_some();
        match (self.in_voice && is_known, self.is_muted) {
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
    pub fn permit(&mut self, at: Duration, source: IpAddr, was_answered: bool) -> bool {
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
