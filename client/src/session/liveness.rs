//! Whether the server is there over TCP, which does not say by itself when the way to it is gone: a
//! connection can stand on an address that we no longer have.
//!
//! When nothing has come for a while something is asked, and if nothing comes for a while after that
//! either, the connection is lost. How long that while is depends on what else is known.

use std::time::{Duration, Instant};

/// So long after the last bytes the server is asked.
pub const ASK_AFTER: Duration = Duration::from_secs(15);
/// Without an answer for so long it is lost. No shorter, as the server keeps the sessions of those who
/// are in a tunnel for half a minute.
pub const OUTAGE_MAX: Duration = Duration::from_secs(30);
/// The same when the network is there, as voice is answered over it. TCP may be waiting to send again.
pub const OUTAGE_MAX_WITH_VOICE: Duration = Duration::from_secs(10);
/// The same when we now have another address: then the connection most likely has none.
pub const OUTAGE_MAX_MOVED: Duration = Duration::from_secs(3);
/// Later than this is not late, but held up.
const HELD_UP: Duration = Duration::from_secs(1);

pub struct Liveness {
    heard_at: Instant,
    /// When the connection is lost, if something was asked since.
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

    /// Takes note that something is asked, and tells whether it has to be: an earlier question may be
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

    /// Whether the connection is lost. Who looks much too late was held up, and an answer may lie
    /// unread.
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
