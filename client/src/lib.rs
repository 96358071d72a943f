//! A client of a voiceapp server, piece by piece: a session, the voice codec, and what makes voice
//! of sound and sound of voice. The terminal client `voiceapp` is made of it.
//!
//! ```text
//! session    what a client and a server send each other, without a socket      proof
//! link       the sockets under a session, the threads that read them, and TLS
//! trust      whether a server's key is the right one                protection
//! listener   all speakers, as one sound        jitter, speaker, limiter, outlet
//! speech     sound, at its pace, as voice                wav, microphone, gate
//! codec      Opus                                       fade
//! event      everything that a client shows its user, in words and as JSON
//! ```
//!
//! Only [`link`] has sockets, threads and a clock. Everything else takes what was received and when
//! as arguments, so that it also runs in a simulation, or in a test with a time of its own.
//!
//! A client connects a [`Link`](link::Link), hands what arrives to a [`Session`](session::Session),
//! sends what the session has queued, and handles its events. `examples/client.rs` in the
//! repository is one that can be read in a sitting.

#![deny(missing_docs, unsafe_code)]

pub mod codec;
pub mod event;
mod fade;
pub mod gate;
pub mod jitter;
pub mod limiter;
pub mod link;
pub mod listener;
mod microphone;
pub mod outlet;
mod proof;
pub mod protection;
pub mod session;
pub mod speaker;
pub mod speech;
pub mod trust;
pub mod wav;

/// The packets, a crate of their own.
pub use voiceapp_protocol as protocol;

use std::time::Duration;

/// Samples a second, as the existing clients have it.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples in a frame, and frames are what goes into a datagram.
pub const FRAME_SAMPLES: usize = 960;
/// The time that a frame takes.
pub const FRAME: Duration = Duration::from_millis(20);

/// A frame of sound, mono. Full scale is -1 to 1.
pub type Sound = [f32; FRAME_SAMPLES];

/// The sound in 16 bits. What is over full scale is cut off, and what is not a number is silence.
pub fn to_i16(sound: &Sound) -> [i16; FRAME_SAMPLES] {
    sound.map(|sample| (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16)
}

/// The crate's README, whose example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
