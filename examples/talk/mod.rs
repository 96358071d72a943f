//! What the example clients share: a session with a server, the voice codec, and what makes voice of
//! sound and sound of voice.
//!
//! ```text
//! session    what is said to a server and what it says, without a socket      proof
//! link       the sockets under a session, and the threads that read them
//! listener   everyone who is heard, as one sound        jitter, speaker, limiter, outlet
//! speech     sound, at its pace, as voice                wav, microphone, gate
//! codec      Opus                                       fade
//! event      all that a client tells its user, in words and as JSON
//! ```

#![allow(dead_code, reason = "no example uses all of it")]

pub mod codec;
pub mod event;
pub mod fade;
pub mod gate;
pub mod jitter;
pub mod limiter;
pub mod link;
pub mod listener;
pub mod microphone;
pub mod outlet;
pub mod proof;
pub mod session;
pub mod speaker;
pub mod speech;
pub mod wav;

use std::io::{self, Write};
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

/// Prints what was asked for. Who has read enough of it may hang up, as head(1) does.
pub fn print(text: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
