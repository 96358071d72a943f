//! Where the oracle sees the server: every input that the switchboard is given, by the loop and in its order, goes to the
//! model as well, and what comes of it is compared before the next, byte for byte. It has the voice socket's side of the
//! kernel beside it, as what that may send is what the model says.

use super::outputs::Outputs;
use super::sealed::SealedClaim;
use super::voice::{Fate, Found};
use super::{Ban, Model};
use crate::kernel::air::Air;
use crate::kernel::pipe::Buffer;
use crate::keys::{Ear, key_of};
use crate::wire;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use voiceapp_server::Limits;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::{ConnectionId, Now, UdpPath};
use voiceapp_server::relay::{SealedAnswer, Verdict};
use voiceapp_server::simulation::{Input, Watch};

/// The server's voice port, and an address of its machine.
pub const PORT: u16 = 9_002;
pub const OWN_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 255));

/// Voice that was received and has not had its turn.
pub struct WaitingVoice {
    /// As it is to be sent.
    pub frame: Vec<u8>,
    pub arrived_at: Instant,
    pub has_stamp: bool,
}

/// See the [module](self).
pub struct Tap {
    pub model: Model,
    pub air: Air,
    start: Instant,
    got: Outputs,
    /// The bans that are about to be put into force.
    pub next_bans: Vec<Ban>,
    /// The claim that was examined last.
    claim: (Now, UdpPath, Vec<u8>, Option<SealedClaim>),
    /// Whose voice was examined last, if it came from an address that is to be asked.
    asks: Option<(Now, UdpPath, ConnectionId, u64)>,
    /// What hears for those whose voice is sealed, by key.
    pub ears: BTreeMap<u32, Ear>,
    /// What was delivered to each connection and its client has not read, by token.
    pub unread: BTreeMap<u64, Buffer>,
    /// What waits of each user, the oldest first.
    pub voice: BTreeMap<u64, VecDeque<WaitingVoice>>,
    /// What is to be sent in answer to claims.
    pub answers: VecDeque<(Vec<u8>, UdpPath)>,
    pub inputs: u64,
}

/// The one that the server's side and the world's side have both.
#[derive(Clone)]
pub struct TapHandle(Arc<Mutex<Tap>>);

impl TapHandle {
    pub fn new(now: Now, limits: Limits, air: Air) -> Self {
        let (remote, local) = (SocketAddr::new(OWN_IP, PORT), None);
        TapHandle(Arc::new(Mutex::new(Tap {
            model: Model::new(limits),
            air,
            start: now.instant,
            got: Outputs::default(),
            next_bans: Vec::new(),
            claim: (now, UdpPath { remote, local }, Vec::new(), None),
            asks: None,
            ears: BTreeMap::new(),
            unread: BTreeMap::new(),
            voice: BTreeMap::new(),
            answers: VecDeque::new(),
            inputs: 0,
        })))
    }

    /// For a moment. It may have failed before, and be looked at after that.
    pub fn get(&self) -> MutexGuard<'_, Tap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap {
    fn at(&self, now: Now) -> Duration {
        now.instant - self.start
    }

    fn input(&mut self, input: Input<'_>) {
        self.inputs += 1;
        match input {
            Input::Connect {
                now,
                connection,
                address,
                token,
                refused,
            } => {
                let at = self.at(now);
                let expected = self.model.connect(at, connection, address, token.0);
                assert_eq!(refused, expected.err(), "from {address}");
                if refused.is_none() {
                    self.unread.insert(token.0, Buffer::default());
                }
            }
            Input::Frame {
                now,
                connection,
                id,
                payload,
            } => {
                let at = self.at(now);
                self.model.frame(at, now.unix_ms, connection, id, payload);
            }
            Input::Disconnect {
                now,
                connection,
                cause,
            } => self.model.disconnect(self.at(now), connection, cause),
            Input::Tick { now, was_due } => {
                let at = self.at(now);
                let overdue = self.model.overdue(at).first().copied();
                let was_told = self.model.tick(at);
                assert_eq!(was_due, was_told || overdue.is_some());
                if let Some(connection) = overdue {
                    self.model.end(connection, Cause::ClosedLoginDeadline);
                }
            }
            Input::Bans(_) => {
                let bans = std::mem::take(&mut self.next_bans);
                self.model.set_bans(bans);
            }
            Input::Datagram {
                now,
                path,
                datagram,
                is_late,
                dropped,
            } => self.datagram(now, path, datagram, is_late, dropped),
            Input::Claim(verdict) => self.claim(verdict),
            Input::Heard(heard) => self.heard(heard),
            Input::Turn { speaker, dropped } => {
                assert_eq!(dropped, self.model.turn(speaker), "a turn of {speaker}");
                let waits = self.voice.get(&speaker.0).is_some_and(|it| !it.is_empty());
                assert!(waits, "a turn of {speaker} for nothing");
            }
        }
    }

    fn datagram(
        &mut self,
        now: Now,
        source: UdpPath,
        datagram: &[u8],
        is_late: bool,
        dropped: Option<Cause>,
    ) {
        let arrival = self.air.examined.pop_front().expect("it was received");
        let (arrived_at, has_stamp) = (arrival.at, arrival.has_stamp);
        let is_old = now.instant - arrived_at + Duration::from_millis(2) > self.air.voice_age;
        assert!(!is_late || is_old, "living voice is taken for old");
        let at = self.at(now);
        let expected = self.model.datagram(at, source, &arrival.bytes, is_late);
        let refused = expected.as_ref().err().copied();
        assert_eq!(dropped, refused, "from {source:?}: {datagram:?}");
        match expected {
            Ok(Found::Voice {
                speaker,
                mut frame,
                asks,
            }) => {
                self.asks = asks.map(|owner| (now, source, owner, speaker));
                frame[3..11].copy_from_slice(&speaker.to_be_bytes());
                let line = self.voice.entry(speaker).or_default();
                line.push_back(WaitingVoice {
                    frame,
                    arrived_at,
                    has_stamp,
                });
            }
            Ok(Found::Claim(sealed)) => self.claim = (now, source, arrival.bytes, sealed),
            // It was opened where it lies.
            Err(_) if datagram.first() == Some(&wire::SEALED) => {}
            Err(_) => assert_eq!(datagram, arrival.bytes, "a dropped one was written to"),
        }
    }

    fn claim(&mut self, verdict: &Verdict<'_, '_>) {
        let (now, from, datagram, sealed) = self.claim.clone();
        let is_own = from.remote == SocketAddr::new(OWN_IP, PORT);
        let at = (self.at(now), now.unix_ms);
        let fate = match *verdict {
            Verdict::Answer(answer) => Fate::Answer(answer.to_vec()),
            Verdict::AnswerAndEnd(answer) => Fate::AnswerAndEnd(answer.to_vec()),
            Verdict::Drop(cause) => Fate::Drop(cause.into()),
            Verdict::Relay { .. } => panic!("a claim is not relayed"),
            Verdict::AnswerSealed(answer) => self.unseal(now, from, answer),
        };
        let was_answered = !matches!(fate, Fate::Drop(_));
        let asked = (&datagram[..], sealed);
        let expected = self.model.claim(at, from, asked, is_own, was_answered);
        assert_eq!(fate, expected, "from {from:?}: {datagram:?}");
        match fate {
            Fate::Answer(answer) => self.answers.push_back((answer, from)),
            Fate::AnswerAndEnd(answer) => {
                self.answers.push_back((answer, from));
                self.answers.push_back((Vec::new(), from));
            }
            Fate::Sealed(..) | Fate::Question(_) => {
                let Verdict::AnswerSealed(answer) = verdict else {
                    unreachable!("it was sealed");
                };
                self.answers.push_back((answer.to_vec(), from));
            }
            Fate::Drop(_) => {}
        }
    }

    /// What a sealed answer to this path says, which only its user can read.
    fn unseal(&mut self, now: Now, to: UdpPath, mut answer: SealedAnswer) -> Fate {
        let key_id = key_of(&answer);
        let ear = self.ears.get_mut(&key_id).expect("somebody has the key");
        let inside = ear.hear(&mut answer);
        let value = inside.strip_prefix(&[wire::PATH_CHALLENGE, 0, 8]);
        let Some(value) = value else {
            return Fate::Sealed(key_id, inside);
        };
        let value: [u8; 8] = value[..8].try_into().expect("eight bytes");
        let (remote, value) = (to.remote, u64::from_be_bytes(value));
        let envelopes = &mut self.model.envelopes;
        envelopes.asked(now.unix_ms, remote, key_id, value);
        assert_eq!(inside[11..], [0], "zeros behind it");
        Fate::Question(key_id)
    }

    /// Voice came from an address that is not proved.
    fn heard(&mut self, heard: Result<Option<&SealedAnswer>, Cause>) {
        let (now, from, owner, speaker) = self.asks.take().expect("such voice has come");
        let is_own = from.remote == SocketAddr::new(OWN_IP, PORT);
        let expected = self.model.hear(self.at(now), from, owner, is_own);
        let is_asked = heard.map(|question| question.is_some());
        assert_eq!(is_asked, expected, "voice from {from:?}");
        match heard {
            Err(_) => drop(self.voice.entry(speaker).or_default().pop_back()),
            Ok(None) => {}
            Ok(Some(question)) => {
                let fate = self.unseal(now, from, *question);
                let key_id = self.model.connection(owner).sealed_with();
                assert_eq!(Some(fate), key_id.map(Fate::Question));
                self.answers.push_back((question.to_vec(), from));
                self.air.asked += 1;
            }
        }
    }

    fn handled(&mut self) {
        self.got.compare(&self.model.sent);
        for &to in &self.got.receivers {
            let token = self
                .model
                .token_of(to)
                .expect("nothing is sent to who has gone");
            let unread = self.unread.entry(token).or_default();
            unread.put(self.got.of(to));
        }
        self.got.clear();
        self.model.sent.clear();
    }

    fn polled(&mut self, result: Option<(usize, usize)>) {
        match result {
            None => self.air.begin_poll(),
            Some((work, waiting)) => {
                assert!(self.answers.is_empty(), "an answer was not sent");
                let listeners = [false, true].map(|it| self.model.listeners(it).len());
                self.air.end_poll(work, waiting, listeners.iter().sum());
            }
        }
    }
}

impl Watch for TapHandle {
    fn input(&mut self, input: Input<'_>) {
        self.get().input(input);
    }

    fn delivered(&mut self, to: ConnectionId, frames: &[u8]) {
        self.get().got.send(to, frames);
    }

    fn ended(&mut self, connection: ConnectionId, cause: Cause) {
        self.get().got.ends.push((connection, cause));
    }

    fn handled(&mut self) {
        self.get().handled();
    }

    fn polled(&mut self, result: Option<(usize, usize)>) {
        self.get().polled(result);
    }
}
