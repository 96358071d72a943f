//! What becomes of a connection's bytes once the kernel has taken them, and whether the client
//! still receives them.
//!
//! The kernel takes bytes for a client that does not read as well as for any other, until its
//! buffer is full, and it goes on sending to a machine that is gone. So progress is what the client
//! has acknowledged, and life is when its machine was last heard.

use std::time::{Duration, Instant};

/// When the client's machine was last heard, as the system reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// How long ago anything came from its machine, even an acknowledgement.
    pub silent_for: Duration,
    /// Whether it has not answered something that was asked of it or sent to it.
    pub is_asked: bool,
    /// Whether what was sent is retransmitted. A machine that can be reached answers at once, even
    /// while its program reads nothing.
    pub is_repeating: bool,
}

/// When a connection is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Without progress, though its machine can be reached.
    pub(crate) stall: Duration,
    /// Between two looks at what waits.
    pub(crate) look: Duration,
    /// Without a sign of its machine; or without progress, even if its machine answers.
    pub(crate) silence: Duration,
}

/// What a look at the bytes under way has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing waits any more.
    Done,
    /// Some was taken lately, and more waits.
    Some,
    /// Nothing was taken for as long as it is between two looks.
    None,
    /// Nothing was taken for too long.
    Stalled,
}

/// The bytes of one connection, from where the kernel takes them: see the [module](self).
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Bytes that the kernel has taken since the connection began.
    taken: u64,
    /// Those of them that the client had acknowledged at the last look.
    acknowledged: u64,
    /// When that grew, or when something began to wait.
    progressed_at: Instant,
}

impl Delivery {
    pub(crate) fn new(now: Instant) -> Self {
        Delivery {
            taken: 0,
            acknowledged: 0,
            progressed_at: now,
        }
    }

    /// Bytes that the kernel holds, at most: what was acknowledged since the last look is among
    /// them.
    pub(crate) fn in_kernel(&self) -> usize {
        (self.taken - self.acknowledged) as usize
    }

    /// Something begins to wait, where nothing waited.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.progressed_at = now;
    }

    /// The kernel has taken so many bytes.
    pub(crate) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Records how many bytes are not acknowledged, where the system reports it. Elsewhere, what
    /// the kernel took counts as acknowledged. Returns how many were acknowledged since the last
    /// time.
    pub(crate) fn note(&mut self, now: Instant, unacknowledged: Option<usize>) -> usize {
        let waiting = unacknowledged.unwrap_or(0) as u64;
        // The system counts more than the bytes. That must not make the count go backwards.
        let acknowledged = self.taken.saturating_sub(waiting).max(self.acknowledged);
        let progress = acknowledged - self.acknowledged;
        if progress > 0 {
            self.acknowledged = acknowledged;
            self.progressed_at = now;
        }
        progress as usize
    }

    /// Judges what was [noted](Self::note), where the kernel may be full and more wait outside of
    /// it. `contact` tells a client that reads nothing from one that cannot be reached. It is asked
    /// for only when that matters.
    pub(crate) fn judge(
        &self,
        now: Instant,
        is_blocked: bool,
        patience: Patience,
        contact: impl FnOnce() -> Option<Contact>,
    ) -> Progress {
        if self.in_kernel() == 0 && !is_blocked {
            return Progress::Done;
        }
        let waited = now.saturating_duration_since(self.progressed_at);
        let is_over = waited >= patience.silence
            || waited >= patience.stall && !contact().is_some_and(|it| it.is_repeating);
        match is_over {
            true => Progress::Stalled,
            false if waited >= patience.look => Progress::None,
            false => Progress::Some,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        stall: Duration::from_secs(10),
        look: Duration::from_secs(1),
        silence: Duration::from_secs(59),
    };
    const REACHED: Contact = Contact {
        silent_for: Duration::ZERO,
        is_asked: false,
        is_repeating: false,
    };
    const LOST: Contact = Contact {
        is_asked: true,
        is_repeating: true,
        ..REACHED
    };

    /// A hundred bytes that the kernel took, and what a look finds after so many seconds with so many
    /// of them not acknowledged.
    fn look(after: u64, unacknowledged: usize, contact: Contact) -> Progress {
        let start = Instant::now();
        let mut delivery = Delivery::new(start);
        delivery.begin(start);
        delivery.took(100);
        let now = start + Duration::from_secs(after);
        delivery.note(now, Some(unacknowledged));
        delivery.judge(now, false, PATIENCE, || Some(contact))
    }

    #[test]
    fn who_takes_something_has_not_stalled() {
        assert_eq!(look(1, 0, REACHED), Progress::Done);
        assert_eq!(look(100, 99, REACHED), Progress::Some);
        assert_eq!(look(0, 100, REACHED), Progress::Some);
        assert_eq!(look(1, 100, REACHED), Progress::None);
        assert_eq!(look(9, 100, REACHED), Progress::None);
    }

    #[test]
    fn who_takes_nothing_has_stalled_and_who_cannot_be_reached_has_longer() {
        assert_eq!(look(10, 100, REACHED), Progress::Stalled);
        assert_eq!(look(58, 100, LOST), Progress::None);
        assert_eq!(look(59, 100, LOST), Progress::Stalled);
    }

    #[test]
    fn where_the_system_does_not_tell_what_it_took_is_progress() {
        let start = Instant::now();
        let mut delivery = Delivery::new(start);
        delivery.took(100);
        assert_eq!((delivery.note(start, None), delivery.in_kernel()), (100, 0));
        let at = |seconds| start + Duration::from_secs(seconds);
        let judge = |delivery: &Delivery, now, is_blocked| {
            delivery.judge(now, is_blocked, PATIENCE, || None)
        };
        assert_eq!(judge(&delivery, at(20), false), Progress::Done);
        assert_eq!(judge(&delivery, at(9), true), Progress::None);
        assert_eq!(judge(&delivery, at(10), true), Progress::Stalled);
    }

    #[test]
    fn what_the_kernel_holds_is_never_less_than_it_was_told_and_never_below_zero() {
        let start = Instant::now();
        let mut delivery = Delivery::new(start);
        delivery.took(10);
        assert_eq!(delivery.note(start, Some(4)), 6);
        assert_eq!(delivery.in_kernel(), 4);
        // The end of a stream counts as a byte more.
        assert_eq!(delivery.note(start, Some(11)), 0);
        assert_eq!(delivery.in_kernel(), 4);
    }
}
