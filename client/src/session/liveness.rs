//! Whether the server is still there over TCP, which does not report by itself that the way to it
//! is gone: a connection may depend on an address that we no longer have.
//!
//! When nothing has come for a while, the client asks, and if nothing comes for a while after that,
//! the connection is lost. How long these are depends on what else is known.

use std::time::{Duration, Instant};

/// So long after the last bytes the client asks.
pub const ASK_AFTER: Duration = Duration::from_secs(15);
/// Without an answer for this long the connection is lost. It is no shorter, as the server keeps
/// the sessions of clients in a tunnel for half a minute.
pub const OUTAGE_MAX: Duration = Duration::from_secs(30);
/// The same while the network works, as voice is answered over it. TCP may be waiting to
/// retransmit.
pub const OUTAGE_MAX_WITH_VOICE: Duration = Duration::from_secs(10);
/// The same when we have another address now: the connection's is most likely gone.
pub const OUTAGE_MAX_MOVED: Duration = Duration::from_secs(3);
/// A delay of more than this is a program that was held up.
const HELD_UP: Duration = Duration::from_secs(1);

pub struct Liveness {
    heard_at: Instant,
    /// When the connection is lost, if a question is under way.
    lost_at: Option<Instant>,
}

impl Liveness {
    pub fn new(now: Instant) -> Self {
        Liveness {
            heard_at: now,
            lost_at: None,
        }
    }

    /// Bytes have come over TCP.
    pub fn handle_bytes(&mut self, at: Instant) {
        self.heard_at = at;
        self.lost_at = None;
    }

    /// The server has answered over UDP.
    pub fn handle_voice_answer(&mut self, at: Instant) {
        self.lose_within(at, OUTAGE_MAX_WITH_VOICE);
    }

    /// Our address has changed.
    pub fn handle_route_change(&mut self, now: Instant) {
        self.lose_within(now, OUTAGE_MAX_MOVED);
    }

    /// Records that the client asks, and returns whether it has to: an earlier question may be
    /// under way.
    pub fn begin(&mut self, now: Instant) -> bool {
        let is_new = self.lost_at.is_none();
        self.lost_at.get_or_insert(now + OUTAGE_MAX);
        is_new
    }

    pub fn wake_at(&self) -> Instant {
        self.lost_at.unwrap_or(self.heard_at + ASK_AFTER)
    }

    /// Whether it is time to ask.
    pub fn is_due(&self, now: Instant) -> bool {
        self.lost_at.is_none() && now >= self.wake_at()
    }

    /// Whether the connection is lost. A caller that is much too late was held up, and an answer
    /// may lie unread.
    pub fn is_over(&mut self, now: Instant) -> bool {
        let Some(lost_at) = self.lost_at.filter(|at| now >= *at) else {
            return false;
        };
        if now < lost_at + HELD_UP {
            return true;
        }
        self.lost_at = Some(now + OUTAGE_MAX_MOVED);
        false
    }

    fn lose_within(&mut self, now: Instant, at_most: Duration) {
        self.lost_at = self.lost_at.map(|at| at.min(now + at_most));
    }
}
