//! The proof of our voice address: a VoiceAuthRequest, repeated until it is answered, and renewed
//! from time to time.

use std::time::{Duration, Instant};
use voiceapp_protocol::{Packet, VoiceToken};

/// How long each request waits for an answer before it is repeated. The last wait repeats without
/// end: the way may open at any time.
pub const WAITS_MS: [u64; 7] = [500, 500, 500, 500, 1_000, 2_000, 4_000];
/// After so many requests without an answer, 2 s, an event says so.
const TOLD_AFTER: usize = 4;
/// NAT mappings for UDP can expire after 30 s of silence, and change at any time. A proof renews
/// them, and shows the server our present address.
pub const EVERY: Duration = Duration::from_secs(15);

/// What the server knows of our address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofState {
    /// Nothing yet: a request is under way.
    Asking,
    /// It is proven. Repeating the proof does not change that.
    Proven,
    /// Nothing: the proof was refused, or is not answered. The latter may pass.
    Failed,
}

/// One client's proof of its voice address, from the first question on.
pub struct Proof {
    token: VoiceToken,
    state: ProofState,
    /// Whether the token was ever accepted.
    was_proven: bool,
    request_id: u64,
    /// Requests sent since the last answer; 0 while none is under way.
    asked: usize,
    /// When to ask next, for the first time or again.
    next_at: Option<Instant>,
}

/// What has become of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address is proven.
    Proven,
    /// The server has never known the token.
    Refused,
    /// It no longer knows the token.
    Ended,
    /// For now. The client keeps asking.
    Unanswered,
}

impl Proof {
    /// A proof without a token, which asks for nothing.
    pub fn new() -> Self {
        Proof {
            token: VoiceToken(0),
            state: ProofState::Asking,
            was_proven: false,
            request_id: 0,
            asked: 0,
            next_at: None,
        }
    }

    /// Sets the token, which comes with the login, before anything is asked.
    pub fn set_token(&mut self, token: VoiceToken) {
        self.token = token;
    }

    /// How far it has come.
    pub fn state(&self) -> ProofState {
        self.state
    }

    /// Whether the server has ever accepted the token.
    pub fn was_proven(&self) -> bool {
        self.was_proven
    }

    /// Whether nothing is under way that is likely to be answered.
    pub fn is_settled(&self) -> bool {
        self.asked == 0 || self.state == ProofState::Failed
    }

    /// When something is due.
    pub fn wake_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// Begins a fresh proof, and returns what to send. Its repetitions are identical datagrams;
    /// this one is new.
    pub fn begin(&mut self, now: Instant) -> Packet<'static> {
        if self.state == ProofState::Failed {
            self.state = ProofState::Asking;
        }
        self.request_id += 1;
        self.asked = 0;
        self.ask(now)
    }

    /// Returns what to send, if that is due, and what has become of the proof, if that is news.
    pub fn handle_timeout(&mut self, now: Instant) -> (Option<Packet<'static>>, Option<Outcome>) {
        if self.next_at.is_none_or(|at| now < at) {
            return (None, None);
        }
        if self.asked == 0 {
            return (Some(self.begin(now)), None);
        }
        let is_news = self.asked >= TOLD_AFTER && self.state != ProofState::Failed;
        if is_news {
            self.state = ProofState::Failed;
        }
        let request = self.ask(now);
        (Some(request), is_news.then_some(Outcome::Unanswered))
    }

    /// Handles an answer, and returns what is new with it.
    pub fn handle_answer(
        &mut self,
        at: Instant,
        request_id: u64,
        success: bool,
    ) -> Option<Outcome> {
        if request_id != self.request_id || self.asked == 0 {
            return None;
        }
        self.asked = 0;
        if !success {
            self.state = ProofState::Failed;
            self.next_at = None;
            return Some(match self.was_proven {
                true => Outcome::Ended,
                false => Outcome::Refused,
            });
        }
        self.was_proven = true;
        self.next_at = Some(at + EVERY);
        let before = std::mem::replace(&mut self.state, ProofState::Proven);
        (before != ProofState::Proven).then_some(Outcome::Proven)
    }

    /// If the kernel does not take it, the next repetition makes up for it.
    fn ask(&mut self, now: Instant) -> Packet<'static> {
        let wait_ms = WAITS_MS[self.asked.min(WAITS_MS.len() - 1)];
        self.asked += 1;
        self.next_at = Some(now + Duration::from_millis(wait_ms));
        Packet::VoiceAuthRequest {
            request_id: self.request_id,
            voice_token: self.token,
        }
    }
}
