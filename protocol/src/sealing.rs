//! Sealing and opening: what makes a frame unreadable on its way, and shows whether it is as it was
//! sent. The encryption and hash are those of the TLS connection, from `ring`.
//!
//! Both ends use it: a [`Sealer`] for what one sends, an [`Opener`] for what one receives. It is as
//! deterministic as the rest of the crate: the same secret, counter and frame make the same bytes. It
//! works in the caller's buffer and never allocates.

mod epoch;
mod opener;
mod sealer;
#[cfg(test)]
mod tests;
mod window;

pub use opener::{OpenError, Opened, Opener};
pub use sealer::{SealError, Sealer};
pub use window::{Place, ReplayWindow};

/// A key seals 2^23 datagrams, an epoch, as RFC 9001 (section 6.6) allows with AES-GCM; then the next
/// one takes its place, without a message.
pub const EPOCH_BITS: u32 = 23;

/// Counters are below this, so that an epoch's number has 32 bits.
pub const COUNTER_LIMIT: u64 = 1 << (u32::BITS + EPOCH_BITS);

/// An opener for a server: it accepts the last 128 counters, 2.5 s of one speaker.
/// Rule 15e.
pub type ServerOpener = Opener<2>;

/// An opener for a client: it accepts the last 1,024 counters, as all speakers share one row of them.
/// Rule 15e.
pub type ClientOpener = Opener<16>;

/// The epoch of a counter, if there is one.
fn epoch_of(counter: u64) -> Option<u32> {
    u32::try_from(counter >> EPOCH_BITS).ok()
}
