//! The line to a client, which may be cut for a while or for ever, and what the kernel knows of it.
//!
//! A kernel asks who is silent, and sends what was lost again at growing intervals, so that what comes
//! back first after an outage is what the client says.

use crate::chance::Chance;
use std::time::{Duration, Instant};
use voiceapp_server::Limits;
use voiceapp_server::simulation::Contact;
use voiceapp_server::simulation::bounds::keepalive;

/// Round trips and delays, beside what the intervals come to.
const DELAY_MS: usize = 700;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    CutSince(Instant),
    /// What the client sends gets through, and from then on what it is sent does.
    MendsAt(Instant),
}

pub struct Line {
    /// Whether the kernel tells the server anything of this.
    pub tells: bool,
    state: State,
    /// How long the last outage was.
    outage: Duration,
    /// When the client's machine was last heard, but for answers to questions.
    heard_at: Instant,
    keepalive: Duration,
}

impl Line {
    pub fn new(tells: bool, limits: &Limits, now: Instant) -> Self {
        Line {
            tells,
            state: State::Up,
            outage: Duration::ZERO,
            heard_at: now,
            keepalive: keepalive(limits),
        }
    }

    pub fn is_cut(&self) -> bool {
        matches!(self.state, State::CutSince(_))
    }

    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// How long it has been cut, or was.
    pub fn outage(&self, now: Instant) -> Duration {
        match self.state {
            State::CutSince(since) => now - since,
            State::Up | State::MendsAt(_) => self.outage,
        }
    }

    /// When something was last heard of a client whose line is cut.
    pub fn last_heard(&self) -> Instant {
        self.heard_at
    }

    pub fn heard(&mut self, now: Instant) {
        if !self.is_cut() {
            self.heard_at = now;
        }
    }

    /// Whether what was sent arrives.
    pub fn carries_to_client(&mut self, now: Instant) -> bool {
        if let State::MendsAt(at) = self.state
            && at <= now
        {
            self.state = State::Up;
            self.heard_at = self.heard_at.max(at);
        }
        self.is_up()
    }

    pub fn cut(&mut self, now: Instant) {
        self.carries_to_client(now);
        if self.is_up() {
            // Who was silent has answered the questions until then.
            self.heard_at = self
                .heard_at
                .max(now - self.keepalive.min(now - self.heard_at));
            self.state = State::CutSince(now);
        }
    }

    /// The next attempt comes up to as long after the end of the outage as it lasted, or the next
    /// question when it is time.
    pub fn mend(&mut self, now: Instant, has_lost: bool, chance: &mut Chance) {
        if let State::CutSince(since) = self.state {
            self.outage = now - since;
            let wait = match has_lost {
                true => self.outage + Duration::from_millis(chance.below(DELAY_MS) as u64),
                false => self.keepalive,
            };
            let part = chance.pick(&[0, 50, 99, 100]);
            self.state = State::MendsAt(now + wait * part / 100);
        }
    }

    /// What the kernel tells, if something was lost that the client would take or not.
    pub fn contact(&self, now: Instant, is_lost: bool) -> Option<Contact> {
        let silent_for = now - self.heard_at;
        self.tells.then_some(match self.state {
            State::Up => Contact {
                silent_for: silent_for.min(self.keepalive),
                is_asked: false,
                is_repeating: false,
            },
            _ => Contact {
                silent_for,
                is_asked: is_lost || silent_for >= self.keepalive,
                is_repeating: is_lost,
            },
        })
    }
}
