//! The oracle's UDP side, rules 9 to 11: what must become of one datagram.
//!
//! Only false answers leave the server a choice. Sources that meet in its table share an allowance,
//! and the model does not know who meets whom, so it knows two bounds: what the source itself has
//! left, and what would be left if everyone shared one place.

use crate::model::{Connection, Model};
use crate::model_sources::network_of;
use crate::wire::{self, Fields, Payload};
use std::net::IpAddr;
use std::time::Duration;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::{DATAGRAM_SLOT_BYTES, FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST};

/// What becomes of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// This frame goes to these, sorted.
    Relay(Vec<u8>, Vec<UdpPath>),
    Answer(Vec<u8>),
    /// With an empty datagram behind it.
    AnswerAndEnd(Vec<u8>),
    Drop(Cause),
}

impl Model {
    /// Decides about one datagram. `fate` is what the server did, which is looked at only where it
    /// has a choice.
    pub fn datagram(&mut self, at: Duration, from: UdpPath, datagram: &[u8], fate: &Fate) -> Fate {
        let expected = match wire::split_frame(datagram) {
            // Whatever else is wrong with it.
            _ if self.is_banned_proof(from, datagram) => Fate::Drop(Cause::VoiceAuthBanned),
            Some((wire::VOICE_DATA, payload)) => self.voice(at, from, payload),
            Some((wire::VOICE_AUTH_REQUEST, payload)) => self.proof(at, from, payload, fate),
            // Nobody here has a seal.
            Some((wire::SEALED, payload)) => Fate::Drop(match payload.len() {
                0..28 => Cause::DatagramMalformed,
                _ => Cause::SealUnknownKey,
            }),
            Some(_) => Fate::Drop(Cause::DatagramUnknownId),
            None => Fate::Drop(cause_of_no_frame(datagram)),
        };
        if let Fate::Drop(cause) = expected {
            self.counters.count(cause);
        }
        expected
    }

    fn is_banned_proof(&self, from: UdpPath, datagram: &[u8]) -> bool {
        datagram.first() == Some(&wire::VOICE_AUTH_REQUEST) && self.is_banned(from.remote.ip())
    }

    fn voice(&mut self, at: Duration, from: UdpPath, payload: &[u8]) -> Fate {
        if payload.len() < 16 {
            return Fate::Drop(Cause::DatagramMalformed);
        }
        if payload.len() - 16 > self.limits.voice_bytes {
            return Fate::Drop(Cause::DatagramTooLong);
        }
        let proved = |peer: Option<UdpPath>| peer.is_some_and(|peer| peer.remote == from.remote);
        let mut users = self.connections.iter_mut();
        let is_speaker = |it: &&mut Connection| it.user.as_ref().is_some_and(|it| proved(it.peer));
        let Some(connection) = users.find(is_speaker) else {
            return Fate::Drop(Cause::VoiceUnknownSource);
        };
        let (ip, from) = (connection.ip, connection.id);
        let speaker = connection.user.as_mut().expect("it is logged in");
        if !speaker.in_voice {
            return Fate::Drop(Cause::VoiceNotInChannel);
        }
        if speaker.is_muted {
            return Fate::Drop(Cause::VoiceMuted);
        }
        let bytes = 3 + payload.len() as u32;
        if !speaker.voice_datagrams.has(at, 1) || !speaker.voice_bytes.has(at, bytes) {
            return Fate::Drop(Cause::VoiceTooFast);
        }
        let source = self.source(ip);
        if !source.voice_datagrams.has(at, 1) || !source.voice_bytes.has(at, bytes) {
            return Fate::Drop(Cause::VoiceTooFastFromAddress);
        }
        source.voice_datagrams.take(at, 1);
        source.voice_bytes.take(at, bytes);
        let speaker = self.user(from);
        speaker.voice_datagrams.take(at, 1);
        speaker.voice_bytes.take(at, bytes);
        let id = speaker.id;
        let frame = Payload::new().u64(id).bytes(&payload[8..]);
        let users = self.users();
        let others = users.iter().filter(|user| user.id != id);
        let mut recipients: Vec<UdpPath> = others
            .filter(|user| user.in_voice)
            .filter_map(|user| user.peer)
            .collect();
        sort(&mut recipients);
        Fate::Relay(frame.frame(wire::VOICE_DATA), recipients)
    }

    fn proof(&mut self, at: Duration, from: UdpPath, payload: &[u8], fate: &Fate) -> Fate {
        let mut fields = Fields(payload);
        let (Some(request_id), Some(token)) = (fields.u64(), fields.u64()) else {
            return Fate::Drop(Cause::DatagramMalformed);
        };
        let answer = |success: bool| {
            let answer = Payload::new().u64(request_id).bool(success);
            Fate::Answer(answer.frame(wire::VOICE_AUTH_RESPONSE))
        };
        if self.bind(token, from) {
            return answer(true);
        }
        let was_answered = !matches!(fate, Fate::Drop(_));
        if self.allowances.permit(at, from.remote.ip(), was_answered) {
            self.counters.count(Cause::VoiceAuthUnknownToken);
            match (token, answer(false)) {
                (0, Fate::Answer(bytes)) => Fate::AnswerAndEnd(bytes),
                (_, fate) => fate,
            }
        } else {
            Fate::Drop(Cause::VoiceAuthUnanswered)
        }
    }

    /// The newest proof wins: this address is nobody else's any more. False if nobody who is logged
    /// in has this token.
    fn bind(&mut self, token: u64, from: UdpPath) -> bool {
        let users = self.connections.iter().filter(|c| c.user.is_some());
        let Some(owner) = users.filter(|c| c.token == token).map(|c| c.id).next() else {
            return false;
        };
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
        true
    }
}

/// A frame that does not fit into the slot it is received in has not been cut by its sender.
fn cause_of_no_frame(datagram: &[u8]) -> Cause {
    if datagram.len() >= DATAGRAM_SLOT_BYTES {
        Cause::DatagramTooLong
    } else {
        Cause::DatagramMalformed
    }
}

pub fn sort(peers: &mut [UdpPath]) {
    peers.sort_by_key(|peer| (peer.remote, peer.local));
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
