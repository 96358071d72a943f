//! One login at a server, from the client's side: who is here, what was asked, and the proof of the
//! voice address. It is told what was received and when, and collects what is to be sent and what is
//! to be told; it owns no socket and has no clock.

use super::event::{Event, Listed, Who};
pub use super::proof::ProofState;
use super::proof::{Outcome, Proof};
use super::{FRAME, FRAME_SAMPLES};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};
use voiceapp_server::event::{UserId, VoiceToken};
use voiceapp_server::protocol::{Frame, FrameBuffer, Packet, Participant};

#[cfg(test)]
mod tests;

/// The existing clients end on a datagram over this size, so no server may send one.
const DATAGRAM_BYTES_MAX: usize = 4_096;
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Session {
    /// Where voice goes, as it is told to the user.
    voice_address: String,
    me: UserId,
    people: BTreeMap<UserId, Person>,
    inbound: FrameBuffer,
    pending: Vec<Pending>,
    last_request_id: u64,
    proof: Proof,
    /// Of the next voice datagram. It goes on from one speech to the next.
    sequence: u32,
    /// When the first frame of voice was due, and how many frames after it the next one is at least.
    voice_start: Option<Instant>,
    next_frame: u64,
    unreadable: u64,
    login_failure: Option<LoginFailure>,
    voice_is_closed: bool,
    outbound: Vec<u8>,
    datagrams: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

#[derive(Default)]
struct Person {
    name: String,
    in_voice: bool,
    is_muted: bool,
}

/// A request whose answer has not come; for a chat message, the message itself as everyone gets it.
struct Pending {
    request_id: u64,
    sent_at: Instant,
    is_chat: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    Refused,
    Unanswered,
}

impl Display for LoginFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoginFailure::Refused => {
                "the server refused the login: it is full, the name is not 1 to 32 bytes of text that \
                 can be seen, or too many log in from here"
            }
            LoginFailure::Unanswered => "the server did not answer the login",
        })
    }
}

/// A voice datagram from someone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice<'a> {
    pub from: UserId,
    pub sequence: u32,
    pub timestamp: u32,
    pub data: &'a [u8],
}

impl Session {
    /// A session that asks to log in under this name. A name that is too long for any packet is no
    /// name for a server either, and is cut off.
    pub fn new(now: Instant, username: &str, voice_address: String) -> Self {
        let mut session = Session {
            voice_address,
            me: UserId(0),
            people: BTreeMap::new(),
            inbound: FrameBuffer::new(),
            pending: Vec::new(),
            last_request_id: 0,
            proof: Proof::new(),
            sequence: 0,
            voice_start: None,
            next_frame: 0,
            unreadable: 0,
            login_failure: None,
            voice_is_closed: false,
            outbound: Vec::new(),
            datagrams: VecDeque::new(),
            events: VecDeque::new(),
        };
        session.request(now, |request_id| Packet::LoginRequest {
            request_id,
            username,
        });
        session
    }

    // What is to be sent and told.

    /// Takes the bytes for TCP.
    pub fn take_outbound(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbound)
    }

    /// Takes the next datagram for UDP.
    pub fn next_datagram(&mut self) -> Option<Vec<u8>> {
        self.datagrams.pop_front()
    }

    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When something is due if nothing is received.
    pub fn wake_at(&self) -> Option<Instant> {
        let answers = self.pending.iter().map(|it| it.sent_at + ANSWER_TIMEOUT);
        answers.chain(self.proof.wake_at()).min()
    }

    // What there is to know.

    pub fn is_logged_in(&self) -> bool {
        self.me != UserId(0)
    }

    /// Why there will be no login, if that is so.
    pub fn login_failure(&self) -> Option<LoginFailure> {
        self.login_failure
    }

    pub fn is_waiting_for_answers(&self) -> bool {
        !self.pending.is_empty()
    }

    pub fn proof_state(&self) -> ProofState {
        self.proof.state()
    }

    /// Whether the last proof that was asked for is through, or given up. What was spoken before it
    /// has then been handled as well, as far as the network keeps an order.
    pub fn is_proof_settled(&self) -> bool {
        self.proof.is_settled()
    }

    pub fn is_in_voice(&self) -> bool {
        self.people.get(&self.me).is_some_and(|it| it.in_voice)
    }

    pub fn is_muted(&self) -> bool {
        self.people.get(&self.me).is_some_and(|it| it.is_muted)
    }

    /// Datagrams that no client of the protocol can read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    pub fn who(&self, id: UserId) -> Who {
        let Some(person) = self.people.get(&id) else {
            return Who::stranger(id);
        };
        let mut others = self.people.iter().filter(|(other, _)| **other != id);
        Who {
            user_id: id.0,
            name: person.name.clone(),
            has_namesake: others.any(|(_, it)| it.name == person.name),
        }
    }

    /// Whether someone who is here has the same name as oneself, as the server keeps them.
    pub fn is_namesake(&self, id: UserId) -> bool {
        let own = self.people.get(&self.me);
        own.is_some_and(|own| self.people.get(&id).is_some_and(|it| it.name == own.name))
    }

    pub fn people(&self) -> Vec<Listed> {
        let mut namesakes = HashMap::<&str, usize>::new();
        for person in self.people.values() {
            *namesakes.entry(&person.name).or_default() += 1;
        }
        let listed = |(id, person): (&UserId, &Person)| Listed {
            who: Who {
                user_id: id.0,
                name: person.name.clone(),
                has_namesake: namesakes[person.name.as_str()] > 1,
            },
            is_you: *id == self.me,
            in_voice: person.in_voice,
            is_muted: person.is_muted,
        };
        self.people.iter().map(listed).collect()
    }

    // What the user does.

    pub fn join(&mut self, now: Instant) {
        if self.proof.state() == ProofState::Failed {
            self.prove(now);
        }
        self.request(now, |request_id| Packet::JoinVoiceChannelRequest {
            request_id,
        });
    }

    pub fn leave(&mut self, now: Instant) {
        self.request(now, |request_id| Packet::LeaveVoiceChannelRequest {
            request_id,
        });
    }

    pub fn ping(&mut self, now: Instant) {
        self.request(now, |request_id| Packet::PingRequest { request_id });
    }

    pub fn chat(&mut self, now: Instant, message: &str) {
        self.request(now, |request_id| Packet::ChatMessageRequest {
            request_id,
            message,
        });
    }

    /// Mutes or unmutes. The server doesn't answer this.
    pub fn mute(&mut self, is_muted: bool) {
        self.send(&Packet::UserMuteState {
            user_id: self.me,
            is_muted,
        });
        self.people.entry(self.me).or_default().is_muted = is_muted;
        self.events.push_back(Event::YouMuted { is_muted });
    }

    /// Says a frame of voice that was due at this time. The sequence number goes on by one with each that
    /// is said, and the timestamp with the clock, so that listeners know a pause from a loss.
    pub fn speak(&mut self, due_at: Instant, data: &[u8]) {
        let start = *self.voice_start.get_or_insert(due_at);
        let since_us = due_at.saturating_duration_since(start).as_micros();
        let frames = (since_us + FRAME.as_micros() / 2) / FRAME.as_micros();
        let frame = self.next_frame.max(frames as u64);
        self.send_datagram(&Packet::VoiceData {
            user_id: UserId(0),
            sequence: self.sequence,
            timestamp: (frame as u32).wrapping_mul(FRAME_SAMPLES as u32),
            data,
        });
        self.sequence = self.sequence.wrapping_add(1);
        self.next_frame = frame + 1;
    }

    fn request<'p>(&mut self, now: Instant, packet: impl FnOnce(u64) -> Packet<'p>) {
        self.last_request_id += 1;
        let packet = packet(self.last_request_id);
        if self.send(&packet) {
            self.pending.push(Pending {
                request_id: self.last_request_id,
                sent_at: now,
                is_chat: matches!(packet, Packet::ChatMessageRequest { .. }),
            });
        }
    }

    /// Tells whether the packet can be sent at all: one over the size of any can't.
    fn send(&mut self, packet: &Packet<'_>) -> bool {
        match packet.encode(&mut self.outbound) {
            Ok(()) => true,
            Err(error) => {
                self.refuse(format!("not sent: {error}"));
                if !self.is_logged_in() {
                    self.login_failure = Some(LoginFailure::Refused);
                }
                false
            }
        }
    }

    fn send_datagram(&mut self, packet: &Packet<'_>) {
        let mut datagram = Vec::new();
        if packet.encode(&mut datagram).is_ok() {
            self.datagrams.push_back(datagram);
        }
    }

    fn refuse(&mut self, reason: String) {
        self.events.push_back(Event::Refused { reason });
    }

    // What is due.

    pub fn handle_timeout(&mut self, now: Instant) {
        let before = self.pending.len();
        self.pending.retain(|it| now < it.sent_at + ANSWER_TIMEOUT);
        if self.pending.len() < before {
            let waited_s = ANSWER_TIMEOUT.as_secs();
            self.events.push_back(Event::Unanswered { waited_s });
            if !self.is_logged_in() {
                self.login_failure = Some(LoginFailure::Unanswered);
            }
        }
        match self.proof.handle_timeout(now) {
            Some(Ok(request)) => self.send_datagram(&request),
            Some(Err(outcome)) => self.handle_proof_outcome(outcome),
            None => {}
        }
    }

    /// Begins a fresh proof of our address.
    pub fn prove(&mut self, now: Instant) {
        let request = self.proof.begin(now);
        self.send_datagram(&request);
    }

    fn handle_proof_outcome(&mut self, outcome: Outcome) {
        let address = self.voice_address.clone();
        self.events.push_back(match outcome {
            Outcome::Proven => Event::VoiceReady { address },
            Outcome::Refused => Event::VoiceRefused,
            Outcome::GivenUp => Event::VoiceUnanswered { address },
        });
    }

    // What the server says over UDP.

    /// Takes a datagram, and gives the voice in it if it is that.
    pub fn handle_datagram<'d>(&mut self, at: Instant, datagram: &'d [u8]) -> Option<Voice<'d>> {
        let packet = match Frame::first_of(datagram) {
            Ok(frame) if datagram.len() <= DATAGRAM_BYTES_MAX => frame.parse().ok(),
            _ => None,
        };
        match packet {
            Some(Packet::VoiceData {
                user_id,
                sequence,
                timestamp,
                data,
            }) => Some(Voice {
                from: user_id,
                sequence,
                timestamp,
                data,
            }),
            Some(Packet::VoiceAuthResponse {
                request_id,
                success,
            }) => {
                self.voice_is_closed = false;
                let outcome = self.proof.handle_answer(at, request_id, success);
                if let Some(outcome) = outcome {
                    self.handle_proof_outcome(outcome);
                }
                None
            }
            _ => {
                self.unreadable += 1;
                if self.unreadable == 1 {
                    let bytes = datagram.len();
                    self.events.push_back(Event::UnreadableDatagram { bytes });
                }
                None
            }
        }
    }

    /// The network has said that nobody takes our datagrams. That may pass: proofs go on.
    pub fn handle_voice_closed(&mut self) {
        if !std::mem::replace(&mut self.voice_is_closed, true) {
            let address = self.voice_address.clone();
            self.events.push_back(Event::VoiceClosed { address });
        }
    }

    // What the server says over TCP.

    pub fn handle_bytes(&mut self, at: Instant, bytes: &[u8]) {
        // Out of its place, so that what is in it can be handled while it is borrowed.
        let mut inbound = std::mem::take(&mut self.inbound);
        inbound.extend(bytes);
        while let Some(frame) = inbound.next_frame() {
            self.handle_frame(at, frame);
        }
        self.inbound = inbound;
    }

    fn handle_frame(&mut self, at: Instant, frame: Frame<'_>) {
        let packet = match frame.parse() {
            Ok(packet) => packet,
            Err(error) => {
                let reason = error.to_string();
                self.events.push_back(Event::Skipped { reason });
                return;
            }
        };
        match packet {
            Packet::LoginResponse {
                id,
                voice_token,
                participants,
                request_id,
            } => {
                self.settle(request_id);
                if id == UserId(0) {
                    self.login_failure = Some(LoginFailure::Refused);
                } else {
                    self.handle_login(at, id, voice_token, participants.iter());
                }
            }
            Packet::JoinVoiceChannelResponse {
                request_id,
                success,
            } => {
                self.settle(request_id);
                self.handle_voice_changed(success, true);
            }
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
            } => {
                self.settle(request_id);
                self.handle_voice_changed(success, false);
            }
            // After a yes, the message itself settles it.
            Packet::ChatMessageResponse { success: true, .. } => {}
            Packet::ChatMessageResponse { request_id, .. } => {
                self.settle(request_id);
                self.events.push_back(Event::ChatRefused);
            }
            Packet::PingResponse { request_id } => {
                if let Some(sent_at) = self.settle(request_id) {
                    let round_trip_ms = at.duration_since(sent_at).as_secs_f64() * 1e3;
                    self.events.push_back(Event::Pong { round_trip_ms });
                }
            }
            Packet::UserSentMessage {
                user_id,
                timestamp_ms,
                message,
            } => {
                if user_id == self.me {
                    let own = self.pending.iter().position(|it| it.is_chat);
                    own.map(|place| self.pending.remove(place));
                }
                self.events.push_back(Event::Chat {
                    who: self.who(user_id),
                    timestamp_ms,
                    message: message.to_owned(),
                });
            }
            _ => self.handle_presence(packet),
        }
    }

    /// Takes note of an answer. If it is one that is waited for, tells when the question was sent.
    fn settle(&mut self, request_id: u64) -> Option<Instant> {
        let mut pending = self.pending.iter();
        let place = pending.position(|it| it.request_id == request_id)?;
        Some(self.pending.remove(place).sent_at)
    }

    fn handle_login<'p>(
        &mut self,
        at: Instant,
        id: UserId,
        token: VoiceToken,
        participants: impl Iterator<Item = Participant<'p>>,
    ) {
        self.me = id;
        self.people = participants
            .map(|it| (it.user_id, Person::new(&it)))
            .collect();
        self.proof.set_token(token);
        self.events.push_back(Event::LoggedIn {
            who: self.who(id),
            users: self.people.len(),
        });
        self.prove(at);
    }

    fn handle_voice_changed(&mut self, success: bool, in_voice: bool) {
        if !success {
            let wanted = in_voice;
            self.events.push_back(Event::VoiceChangeRefused { wanted });
            return;
        }
        let me = self.people.entry(self.me).or_default();
        let already = me.in_voice == in_voice;
        if !already {
            (me.in_voice, me.is_muted) = (in_voice, false);
        }
        self.events.push_back(if in_voice {
            Event::YouJoinedVoice { already }
        } else {
            Event::YouLeftVoice { already }
        });
    }

    /// Events about people. An event that changes nothing is no news: a newcomer is told again what
    /// the list has said.
    fn handle_presence(&mut self, packet: Packet<'_>) {
        let event = match packet {
            Packet::UserJoinedServer {
                participant: newcomer,
            } => {
                let person = Person::new(&newcomer);
                self.people.insert(newcomer.user_id, person);
                Event::JoinedServer {
                    who: self.who(newcomer.user_id),
                }
            }
            Packet::UserLeftServer { user_id } => {
                let who = self.who(user_id);
                self.people.remove(&user_id);
                Event::LeftServer { who }
            }
            Packet::UserJoinedVoice { user_id } => {
                let person = self.people.entry(user_id).or_default();
                if std::mem::replace(&mut person.in_voice, true) {
                    return;
                }
                person.is_muted = false;
                Event::JoinedVoice {
                    who: self.who(user_id),
                }
            }
            Packet::UserLeftVoice { user_id } => {
                let person = self.people.entry(user_id).or_default();
                (person.in_voice, person.is_muted) = (false, false);
                Event::LeftVoice {
                    who: self.who(user_id),
                }
            }
            Packet::UserMuteState { user_id, is_muted } => {
                let person = self.people.entry(user_id).or_default();
                if std::mem::replace(&mut person.is_muted, is_muted) == is_muted {
                    return;
                }
                Event::Muted {
                    who: self.who(user_id),
                    is_muted,
                }
            }
            _ => Event::Skipped {
                reason: format!("{:#04x} is for servers to read", packet.id()),
            },
        };
        self.events.push_back(event);
    }
}

impl Person {
    fn new(participant: &Participant<'_>) -> Self {
        Person {
            name: participant.username.to_owned(),
            in_voice: participant.in_voice,
            is_muted: participant.is_muted,
        }
    }
}
