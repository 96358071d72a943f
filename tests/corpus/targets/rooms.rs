//! The relay as a list of users that is searched from end to end: rules 9 to 11, rates included, so
//! that what is to come of each datagram is known exactly.

use super::bucket::{Bucket, Limit};
use super::wire;
use std::net::IpAddr;
use voiceapp_server::Limits;
use voiceapp_server::cause::{Cause, Counters};
use voiceapp_server::event::{Event, Now, Source, UdpPath, UserId, VoiceToken};
use voiceapp_server::limits::{
    DATAGRAM_SLOT_BYTES, FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST, VOICE_BURST,
    VOICE_FRAME_BYTES_MAX,
};
use voiceapp_server::relay::{Verdict, VoiceRelayServer};

/// What is to come of a datagram, or what came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Relayed { frame: Vec<u8>, to: Vec<UdpPath> },
    Answered(Vec<u8>),
    AnsweredAndEnded(Vec<u8>),
    Dropped(Cause),
}

struct User {
    id: UserId,
    source: Source,
    peer: Option<UdpPath>,
    in_voice: bool,
    is_muted: bool,
    datagrams: Bucket,
    bytes: Bucket,
}

pub struct Rooms {
    users: Vec<User>,
    /// Live tokens with whose they are. One that was given out twice is the later user's.
    tokens: Vec<(VoiceToken, UserId)>,
    /// Answers of false, by the source as the limit sees it.
    refusals: Vec<(IpAddr, Bucket)>,
    /// Of a user, and of an address.
    datagram_limits: [Limit; 2],
    byte_limits: [Limit; 2],
    /// What the users of each address have spent together.
    sources: Vec<(Source, Bucket, Bucket)>,
    counters: Counters,
}

impl Rooms {
    pub fn new(limits: Limits) -> Self {
        let burst = |rate: u32, largest: usize| (rate * VOICE_BURST).max(largest as u32);
        Rooms {
            users: Vec::new(),
            tokens: Vec::new(),
            refusals: Vec::new(),
            datagram_limits: [limits.voice_rate, limits.voice_rate_per_address]
                .map(|rate| Limit::per_second(rate, burst(rate, 1))),
            byte_limits: [limits.voice_bandwidth, limits.voice_bandwidth_per_address]
                .map(|rate| Limit::per_second(rate, burst(rate, VOICE_FRAME_BYTES_MAX))),
            sources: Vec::new(),
            counters: Counters::new(),
        }
    }

    pub fn event(&mut self, event: Event) {
        match event {
            Event::UserConnected { id, token, source } => {
                // What an address has sent outlives its users.
                if !self.sources.iter().any(|(other, ..)| *other == source) {
                    let unspent = (source, Bucket::default(), Bucket::default());
                    self.sources.push(unspent);
                }
                self.tokens.retain(|&(other, _)| other != token);
                self.tokens.push((token, id));
                self.users.push(User {
                    id,
                    source,
                    peer: None,
                    in_voice: false,
                    is_muted: false,
                    datagrams: Bucket::default(),
                    bytes: Bucket::default(),
                });
            }
            Event::VoiceJoined { id } => self.change(id, |user| user.in_voice = true),
            Event::VoiceLeft { id } => self.change(id, |user| user.in_voice = false),
            Event::MuteChanged { id, is_muted } => {
                self.change(id, |user| user.is_muted = is_muted);
            }
            Event::VoiceSealed { id, .. } => panic!("{id} has a seal"),
            Event::UserDisconnected { id } => {
                self.users.retain(|user| user.id != id);
                self.tokens.retain(|&(_, owner)| owner != id);
            }
        }
    }

    fn change(&mut self, id: UserId, change: impl FnOnce(&mut User)) {
        if let Some(user) = self.users.iter_mut().find(|user| user.id == id) {
            change(user);
        }
    }

    /// Gives the datagram to the server and sees that the right thing comes of it.
    pub fn check(
        &mut self,
        now: Now,
        source: UdpPath,
        datagram: &[u8],
        handle: impl FnOnce(&mut [u8]) -> Outcome,
    ) {
        let datagram = &datagram[..datagram.len().min(DATAGRAM_SLOT_BYTES)];
        let mut slot = datagram.to_vec();
        let outcome = handle(&mut slot);
        match &outcome {
            Outcome::Relayed { frame, to } => {
                assert!(to.iter().all(|to| to.remote != source.remote), "an echo");
                assert_eq!(frame[..3], datagram[..3]);
                assert_eq!(frame[11..], datagram[11..frame.len()]);
                assert_eq!(slot[..frame.len()], frame[..]);
                assert_eq!(slot[frame.len()..], datagram[frame.len()..]);
            }
            Outcome::Answered(answer) | Outcome::AnsweredAndEnded(answer) => {
                assert!(answer.len() <= datagram.len(), "it amplifies");
                assert_eq!(slot, datagram, "a question was written to");
            }
            Outcome::Dropped(_) => assert_eq!(slot, datagram, "a dropped one was written to"),
        }
        let expected = self.expect(now, source, datagram);
        assert_eq!(outcome, expected, "from {source:?}: {datagram:?}");
    }

    fn expect(&mut self, now: Now, source: UdpPath, datagram: &[u8]) -> Outcome {
        let result = match datagram.first() {
            Some(&wire::VOICE_DATA) => self.voice(now, source, datagram),
            Some(&wire::VOICE_AUTH_REQUEST) => self.proof(now, source, datagram),
            _ => Err(match wire::split(datagram) {
                // Nobody here has a seal.
                Some((0x62, payload)) if payload.len() < 28 => Cause::DatagramMalformed,
                Some((0x62, _)) => Cause::SealUnknownKey,
                Some(_) => Cause::DatagramUnknownId,
                None => wire::cut_off(datagram),
            }),
        };
        result.unwrap_or_else(|cause| {
            self.counters.count(cause);
            Outcome::Dropped(cause)
        })
    }

    fn voice(&mut self, now: Now, source: UdpPath, datagram: &[u8]) -> Result<Outcome, Cause> {
        let frame = wire::voice_frame(datagram)?;
        let has_address = |user: &&mut User| user.peer.is_some_and(|it| it.remote == source.remote);
        let sender = self.users.iter_mut().find(has_address);
        let sender = sender.ok_or(Cause::VoiceUnknownSource)?;
        if !sender.in_voice {
            return Err(Cause::VoiceNotInChannel);
        }
        if sender.is_muted {
            return Err(Cause::VoiceMuted);
        }
        let source = sender.source;
        let address = self.sources.iter_mut().find(|(it, ..)| *it == source);
        let (_, datagrams, bytes) = address.expect("it has a user");
        let mut spenders = [
            (&mut sender.datagrams, &mut sender.bytes),
            (datagrams, bytes),
        ];
        let limits = || self.datagram_limits.into_iter().zip(self.byte_limits);
        let causes = [Cause::VoiceTooFast, Cause::VoiceTooFastFromAddress];
        for ((spender, limit), cause) in spenders.iter_mut().zip(limits()).zip(causes) {
            if !spender.0.permits(limit.0, now.instant, 1)
                || !spender.1.permits(limit.1, now.instant, frame.len())
            {
                return Err(cause);
            }
        }
        for (spender, limit) in spenders.iter_mut().zip(limits()) {
            spender.0.spend(limit.0, 1);
            spender.1.spend(limit.1, frame.len());
        }
        let id = sender.id;
        let others = self
            .users
            .iter()
            .filter(|user| user.id != id && user.in_voice);
        let mut to: Vec<UdpPath> = others.filter_map(|user| user.peer).collect();
        to.sort_by_key(|peer| peer.remote);
        let frame = [&frame[..3], &id.0.to_be_bytes(), &frame[11..]].concat();
        Ok(Outcome::Relayed { frame, to })
    }

    fn proof(&mut self, now: Now, source: UdpPath, datagram: &[u8]) -> Result<Outcome, Cause> {
        let (_, payload) = wire::split(datagram).ok_or(wire::cut_off(datagram))?;
        let fields = payload.get(..16).ok_or(Cause::DatagramMalformed)?;
        let (request_id, token) = fields.split_at(8);
        let token = VoiceToken(u64::from_be_bytes(
            token.try_into().expect("it has 8 bytes"),
        ));
        let owner = self.tokens.iter().find(|(live, _)| *live == token);
        let is_live = owner.is_some();
        if let Some(&(_, owner)) = owner {
            for user in &mut self.users {
                if user.id == owner {
                    user.peer = Some(source);
                } else if user.peer.is_some_and(|had| had.remote == source.remote) {
                    user.peer = None;
                }
            }
        } else if self.may_refuse(now, source.remote.ip()) {
            self.counters.count(Cause::VoiceAuthUnknownToken);
        } else {
            return Err(Cause::VoiceAuthUnanswered);
        }
        let payload = [request_id, &[u8::from(is_live)]].concat();
        let answer = wire::frame(wire::VOICE_AUTH_RESPONSE, &payload);
        Ok(match token {
            VoiceToken(0) => Outcome::AnsweredAndEnded(answer),
            _ => Outcome::Answered(answer),
        })
    }

    fn may_refuse(&mut self, now: Now, source: IpAddr) -> bool {
        let limit = Limit::new(FALSE_ANSWER_INTERVAL, FALSE_ANSWERS_BURST);
        let network = match source {
            IpAddr::V4(_) => source,
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        };
        let known = self
            .refusals
            .iter()
            .position(|(other, _)| *other == network);
        let place = known.unwrap_or_else(|| {
            self.refusals.push((network, Bucket::default()));
            self.refusals.len() - 1
        });
        self.refusals[place].1.try_spend(limit, now.instant, 1)
    }

    /// Sees that the server counts as many users, addresses, listeners and refusals.
    pub fn compare(&self, relay: &VoiceRelayServer) {
        let bound = self.users.iter().filter(|user| user.peer.is_some());
        assert_eq!(relay.user_count(), self.users.len());
        assert_eq!(relay.address_count(), bound.clone().count());
        let listeners = bound.filter(|user| user.in_voice).count();
        assert_eq!(relay.listener_count(), listeners);
        assert_eq!(relay.counters(), &self.counters);
    }
}

/// A verdict without what it borrows.
pub fn outcome(verdict: Verdict<'_, '_>) -> Outcome {
    match verdict {
        Verdict::Relay {
            frame,
            recipients,
            challenge: None,
        } => {
            let mut to: Vec<UdpPath> = recipients.iter().copied().collect();
            assert_eq!(to.len(), recipients.len());
            assert_eq!(to.is_empty(), recipients.is_empty());
            to.sort_by_key(|peer| peer.remote);
            let frame = frame.to_vec();
            Outcome::Relayed { frame, to }
        }
        Verdict::Answer(answer) => Outcome::Answered(answer.to_vec()),
        Verdict::AnswerAndEnd(answer) => Outcome::AnsweredAndEnded(answer.to_vec()),
        Verdict::Drop(cause) => Outcome::Dropped(cause.into()),
        sealed => panic!("nobody here has a seal: {sealed:?}"),
    }
}
