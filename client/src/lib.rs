//! A client of a voiceapp server, piece by piece: a session, the voice codec, and what makes voice of sound
//! and sound of voice. The terminal client `voiceapp` is made of it.
//!
//! ```text
//! session    what is said to a server and what it says, without a socket      proof
//! link       the sockets under a session, and the threads that read them
//! listener   everyone who is heard, as one sound        jitter, speaker, limiter, outlet
//! speech     sound, at its pace, as voice                wav, microphone, gate
//! codec      Opus                                       fade
//! event      all that a client tells its user, in words and as JSON
//! ```
//!
//! Only [`link`] has sockets, threads and a clock. All else is told what was received and when, so that it
//! runs as well in a simulation, or in a test whose time is its own.
//!
//! A client connects a [`Link`](link::Link), hands what arrives to a [`Session`](session::Session), sends
//! what the session has to send, and looks at its events. `examples/client.rs` in the repository is one
//! that can be read in a sitting.

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
pub mod session;
pub mod speaker;
pub mod speech;
pub mod wav;

/// The packets, which are a crate of their own.
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

/// The sound in 16 bits; what is over full scale is cut off there, and what is no number is silence.
pub fn to_i16(sound: &Sound) -> [i16; FRAME_SAMPLES] {
    sound.map(|sample| (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16)
}

/// The crate's README, whose example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
