//! One login at a server, from the client's side: the people, the requests, and the proof of the
//! voice address.
//!
//! It takes what was received and when, and collects what to send and which events to show. It owns
//! no socket and has no clock.

use super::event::{Event, Listed, Who};
pub use super::proof::ProofState;
use super::proof::{Outcome, Proof};
use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};
use voiceapp_protocol::{Caps, FrameBuffer, Packet, UserId};

mod inbound;
mod liveness;
mod login;
mod people;
mod requests;
mod seal;
#[cfg(test)]
mod tests;
mod voice;

use liveness::Liveness;
pub use login::{Login, LoginFailure, Said};
use people::People;
pub use seal::Exporter;
use seal::Seal;
pub use voice::Voice;

/// How long an answer over TCP may take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// One login, from the request to the end.
pub struct Session {
    /// Where voice goes, as shown to the user.
    voice_address: String,
    me: UserId,
    people: People,
    /// Whether an event has said that there are more people than are remembered.
    has_too_many: bool,
    inbound: FrameBuffer,
    pending: Vec<Pending>,
    last_request_id: u64,
    proof: Proof,
    /// We join voice as soon as our address is proven: a user in voice without that looks present
    /// to all, and hears and says nothing.
    join_waits: bool,
    liveness: Liveness,
    /// Of the next voice datagram. It goes on from one speech to the next.
    sequence: u32,
    /// When the first frame of voice was due, and how many frames after it the next one is at least.
    voice_start: Option<Instant>,
    next_frame: u64,
    unreadable: u64,
    /// Where the secrets of a seal come from, if the connection has any.
    exporter: Option<Exporter>,
    seal: Option<Seal>,
    unopened: u64,
    /// What the server granted of what was asked for.
    granted: Caps,
    voice_port: Option<u16>,
    login_failure: Option<LoginFailure>,
    farewell: Option<Said>,
    loss: Option<Loss>,
    voice_is_closed: bool,
    outbound: Vec<u8>,
    datagrams: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// A request without an answer yet; for a chat message, the message itself as everyone receives it.
struct Pending {
    request_id: u64,
    sent_at: Instant,
    message: Option<String>,
}

/// Why a session is over, although its connection may look open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The server no longer knows the token that it gave us and accepted before.
    Ended,
    /// Nothing came over TCP for too long.
    Silent,
}

impl Display for Loss {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Ended => "the server has closed the session",
            Loss::Silent => "the server no longer answers",
        })
    }
}

impl Session {
    /// A session that logs in with this, or under this name. A login that is too long for any packet is
    /// refused at once.
    pub fn new(now: Instant, login: impl Into<Login>, voice_address: String) -> Self {
        Session::over(now, login, voice_address, None)
    }

    /// The same over an encrypted connection, which both ends can ask for secrets: voice is sealed with them if
    /// the server can.
    pub fn over(
        now: Instant,
        login: impl Into<Login>,
        voice_address: String,
        exporter: Option<Exporter>,
    ) -> Self {
        let mut session = Session {
            voice_address,
            me: UserId(0),
            people: People::default(),
            has_too_many: false,
            inbound: FrameBuffer::new(),
            pending: Vec::new(),
            last_request_id: 0,
            proof: Proof::new(),
            join_waits: false,
            liveness: Liveness::new(now),
            sequence: 0,
            voice_start: None,
            next_frame: 0,
            unreadable: 0,
            exporter: None,
            seal: None,
            unopened: 0,
            granted: Caps::NONE,
            voice_port: None,
            login_failure: None,
            farewell: None,
            loss: None,
            voice_is_closed: false,
            outbound: Vec::new(),
            datagrams: VecDeque::new(),
            events: VecDeque::new(),
        };
        let mut login = login.into();
        if exporter.is_some() {
            login.caps = login.caps.map(|caps| caps | Caps::SEALED);
        }
        session.exporter = exporter;
        session.request(now, |request_id| login.request(request_id));
        session
    }

    // What to send and to show.

    /// Takes the bytes for TCP.
    pub fn take_outbound(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbound)
    }

    /// Takes the next datagram for UDP.
    pub fn next_datagram(&mut self) -> Option<Vec<u8>> {
        self.datagrams.pop_front()
    }

    /// Takes the next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When the next timer is due.
    pub fn wake_at(&self) -> Option<Instant> {
        let answers = self.pending.iter().map(|it| it.sent_at + ANSWER_TIMEOUT);
        let liveness = self.is_logged_in().then(|| self.liveness.wake_at());
        answers.chain(self.proof.wake_at()).chain(liveness).min()
    }

    // The state.

    /// Whether the server has accepted the login.
    pub fn is_logged_in(&self) -> bool {
        self.me != UserId(0)
    }

    /// What the server granted of what was asked for.
    pub fn granted(&self) -> Caps {
        self.granted
    }

    /// The UDP port that voice goes to, if the server has said it.
    pub fn voice_port(&self) -> Option<u16> {
        self.voice_port
    }

    /// Voice goes here from now on.
    pub fn set_voice_address(&mut self, voice_address: String) {
        self.voice_address = voice_address;
    }

    /// Why the login failed, if it did.
    pub fn login_failure(&self) -> Option<&LoginFailure> {
        self.login_failure.as_ref()
    }

    /// Why the server closes the connection, if it has said so.
    pub fn farewell(&self) -> Option<&Said> {
        self.farewell.as_ref()
    }

    /// Why this session is over, if it is.
    pub fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// Whether a request has no answer yet.
    pub fn is_waiting_for_answers(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether we join voice as soon as the proof succeeds.
    pub fn is_about_to_join(&self) -> bool {
        self.join_waits && self.proof.state() == ProofState::Asking
    }

    /// The messages that have not come back.
    pub fn unanswered_messages(&self) -> impl Iterator<Item = &str> {
        self.pending.iter().filter_map(|it| it.message.as_deref())
    }

    /// How far the proof of our voice address has come.
    pub fn proof_state(&self) -> ProofState {
        self.proof.state()
    }

    /// Whether the last proof that was asked for has succeeded or was given up. What was spoken
    /// before it has then been handled as well, as far as the network keeps an order.
    pub fn is_proof_settled(&self) -> bool {
        self.proof.is_settled()
    }

    /// Whether the server has us in voice.
    pub fn is_in_voice(&self) -> bool {
        self.people.get(self.me).is_some_and(|it| it.in_voice)
    }

    /// Whether we are muted.
    pub fn is_muted(&self) -> bool {
        self.people.get(self.me).is_some_and(|it| it.is_muted)
    }

    /// Datagrams that no client of the protocol can read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// A user, as far as the server has named it.
    pub fn who(&self, id: UserId) -> Who {
        self.people.who(id)
    }

    /// Whether another user here has our name, as the server writes it.
    pub fn is_namesake(&self, id: UserId) -> bool {
        let own = self.people.get(self.me).map(|it| it.name());
        own.is_some() && own == self.people.get(id).map(|it| it.name())
    }

    /// Everyone who is here, by rising id.
    pub fn people(&self) -> Vec<Listed> {
        self.people.list(self.me)
    }

    // Timers.

    /// Does what is due. Call it at [`wake_at`](Self::wake_at) or at any time.
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
        let (request, outcome) = self.proof.handle_timeout(now);
        if let Some(request) = request {
            self.send_datagram(&request);
        }
        if let Some(outcome) = outcome {
            self.handle_proof_outcome(now, outcome);
        }
        if self.is_logged_in() {
            if self.liveness.is_over(now) {
                self.loss.get_or_insert(Loss::Silent);
            }
            if self.liveness.is_due(now) {
                self.probe(now);
            }
        }
    }

    /// Our datagrams take another way from now on, and the connection may have been on the old one.
    pub fn handle_route_change(&mut self, now: Instant) {
        if self.is_logged_in() {
            self.prove(now);
            self.probe(now);
            self.liveness.handle_route_change(now);
        }
    }

    /// Asks over TCP whether the server is there, if no such question is under way. The user learns
    /// of it only when no answer comes.
    fn probe(&mut self, now: Instant) {
        if self.liveness.begin(now) {
            self.last_request_id += 1;
            let request_id = self.last_request_id;
            self.send(&Packet::PingRequest { request_id });
        }
    }
}
