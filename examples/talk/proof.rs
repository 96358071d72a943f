//! The proof that our address is ours: a VoiceAuthRequest, repeated until it is answered, and renewed
//! from time to time.

use std::time::{Duration, Instant};
use voiceapp_server::event::VoiceToken;
use voiceapp_server::protocol::Packet;

/// How long each repetition waits for an answer. After the last the proof is given up, for a while.
pub const WAITS_MS: [u64; 8] = [500, 500, 500, 500, 1_000, 2_000, 4_000, 4_000];
/// NAT mappings for UDP can expire after 30 s of silence, and change at any time. A proof renews them,
/// and tells the server where we are now.
pub const EVERY: Duration = Duration::from_secs(15);

/// What the server knows of our address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofState {
    /// Nothing yet: we are asking.
    Asking,
    /// It is ours. A proof that is repeated leaves it so.
    Proven,
    /// Nothing: the proof was refused or given up.
    Failed,
}

pub struct Proof {
    token: VoiceToken,
    state: ProofState,
    request_id: u64,
    /// Requests sent since the last answer; 0 while none is under way.
    asked: usize,
    /// When to ask next, be it for the first time or again.
    next_at: Option<Instant>,
}

/// What has become of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Proven,
    Refused,
    GivenUp,
}

impl Proof {
    pub fn new() -> Self {
        Proof {
            token: VoiceToken(0),
            state: ProofState::Asking,
            request_id: 0,
            asked: 0,
            next_at: None,
        }
    }

    /// The token, which comes with the login, has to be set before anything is asked.
    pub fn set_token(&mut self, token: VoiceToken) {
        self.token = token;
    }

    pub fn state(&self) -> ProofState {
        self.state
    }

    /// Whether nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.asked == 0
    }

    /// When something is due.
    pub fn wake_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// Begins a fresh proof, and gives what to send. Its repetitions are identical datagrams, this one
    /// is not.
    pub fn begin(&mut self, now: Instant) -> Packet<'static> {
        if self.state == ProofState::Failed {
            self.state = ProofState::Asking;
        }
        self.request_id += 1;
        self.asked = 0;
        self.ask(now)
    }

    /// Gives what to send, if that is due, or how it has ended.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Result<Packet<'static>, Outcome>> {
        if self.next_at.is_none_or(|at| now < at) {
            return None;
        }
        Some(match self.asked {
            0 => Ok(self.begin(now)),
            asked if asked < WAITS_MS.len() => Ok(self.ask(now)),
            _ => {
                let outcome = self.fail(Outcome::GivenUp);
                // The way may open again.
                self.next_at = Some(now + EVERY);
                Err(outcome)
            }
        })
    }

    /// Takes an answer, and tells what is new with it.
    pub fn handle_answer(
        &mut self,
        at: Instant,
        request_id: u64,
        success: bool,
    ) -> Option<Outcome> {
        if request_id != self.request_id || self.asked == 0 {
            return None;
        }
        if !success {
            return Some(self.fail(Outcome::Refused));
        }
        self.asked = 0;
        self.next_at = Some(at + EVERY);
        let before = std::mem::replace(&mut self.state, ProofState::Proven);
        (before != ProofState::Proven).then_some(Outcome::Proven)
    }

    /// If the kernel does not take it, the next repetition is the remedy.
    fn ask(&mut self, now: Instant) -> Packet<'static> {
        let wait_ms = WAITS_MS[self.asked];
        self.asked += 1;
        self.next_at = Some(now + Duration::from_millis(wait_ms));
        Packet::VoiceAuthRequest {
            request_id: self.request_id,
            voice_token: self.token,
        }
    }

    fn fail(&mut self, outcome: Outcome) -> Outcome {
        self.state = ProofState::Failed;
        self.asked = 0;
        self.next_at = None;
        outcome
    }
}
