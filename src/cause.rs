//! Why something was refused, ignored, dropped or closed, and how often.
//!
//! Every refusal and every drop is counted. One table, in `cause/table.rs`, has all the causes.

mod reason;
mod table;

pub(crate) use table::{
    AcceptFailed, ChatRefused, FrameIgnored, LoginRefused, StateDeferred, UdpFailed,
    VoiceAuthRefused,
};
pub use table::{Cause, ConnectionRefused, Ended, VoiceDropped};

/// What it is that was turned away or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// A datagram, on its way in or out.
    Datagram,
    /// A request or another frame on TCP: refused, ignored or deferred.
    Frame,
    /// A connection that was not accepted.
    Refusal,
    /// A connection that was closed.
    End,
}

/// How often each [`Cause`] occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Cause::ALL.len()]);

impl Counters {
    /// All at zero.
    pub const fn new() -> Self {
        Counters([0; Cause::ALL.len()])
    }

    /// Counts one occurrence.
    pub fn count(&mut self, cause: impl Into<Cause>) {
        self.count_many(cause, 1);
    }

    /// Counts so many occurrences.
    pub fn count_many(&mut self, cause: impl Into<Cause>, occurrences: u64) {
        self.0[cause.into() as usize] += occurrences;
    }

    /// How often `cause` occurred.
    pub fn get(&self, cause: impl Into<Cause>) -> u64 {
        self.0[cause.into() as usize]
    }

    /// Adds everything that `other` has counted.
    pub fn add(&mut self, other: &Counters) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// The causes that occurred at all, with their counts, in the order of declaration.
    pub fn occurred(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .iter()
            .map(|&cause| (cause, self.get(cause)))
            .filter(|&(_, count)| count > 0)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Counters::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_counter_and_name() {
        for (position, &cause) in Cause::ALL.iter().enumerate() {
            let mut counters = Counters::new();
            counters.count(cause);
            assert_eq!(counters.occurred().collect::<Vec<_>>(), [(cause, 1)]);
            let earlier = &Cause::ALL[..position];
            assert!(earlier.iter().all(|other| other.name() != cause.name()));
        }
    }
}
