//! The voiceapp protocol: frames and packets, in both directions, for servers and clients alike.
//!
//! A frame is `packet_id: u8`, `payload_len: u16` and that many bytes of payload, integers
//! big-endian. TCP carries a stream of frames, which [`FrameBuffer`] takes apart; a UDP datagram
//! carries one. Parsing borrows from its input and allocates nothing; encoding appends to the
//! caller's buffer. This crate knows what packets look like, and never what they mean.
//!
//! Input can be wrong in three ways, and each has its own error: a frame that is not whole
//! ([`Incomplete`]), an unknown packet id ([`PacketError::UnknownId`]), and a payload that does not
//! fit its id ([`PacketError::Malformed`]).
//!
//! To add a packet, add it to the table in `packet.rs`.
//!
//! Sealed voice has its envelope here ([`SealedDatagram`]). The encryption is in `sealing`, which
//! the feature of that name adds, with `ring`.

#![cfg_attr(not(test), no_std)]
#![deny(missing_docs, unsafe_code)]

extern crate alloc;

mod asking;
mod codec;
mod frame;
mod packet;
mod participant;
mod reason;
mod sealed;
#[cfg(feature = "sealing")]
pub mod sealing;
mod secrets;
mod stream;
#[cfg(test)]
mod tests;
mod voice;

pub use asking::{
    Asked, Caps, Granted, Greeting, LoginFlags, Password, Program, Refusal, UserFlags,
};
pub use frame::{LOGIN_RESPONSE_FIXED_BYTES, encode_login_response};
pub use frame::{path_challenge, voice_auth_response};
pub use packet::{Direction, EncodeError, Packet, PacketError, PacketInfo, Transport, id};
pub use participant::{Participant, Participants};
pub use reason::Reason;
pub use sealed::{SEAL_OVERHEAD_BYTES, SEAL_TAG_BYTES, SEALED_HEADER_BYTES};
pub use sealed::{SealedDatagram, SealedDatagramError};
pub use secrets::{EXPORTER_LABEL, KeyId, SECRET_BYTES, Secret, Suite, VoiceSecrets};
pub use stream::{Frame, FrameBuffer, Incomplete};
pub use voice::{VoiceDatagram, VoiceDatagramError};

use core::fmt;

/// Bytes before a frame's payload: packet id (1) and payload length (2).
pub const FRAME_HEADER_BYTES: usize = 3;

/// The longest payload that a 16-bit length can announce.
pub const PAYLOAD_BYTES_MAX: usize = u16::MAX as usize;

/// The longest frame.
pub const FRAME_BYTES_MAX: usize = FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX;

/// A username, in bytes of UTF-8.
pub const USERNAME_BYTES_MAX: usize = 32;

/// Bytes of a VoiceData frame before its data: frame header (3), user id (8), sequence (4) and
/// timestamp (4).
pub const VOICE_HEADER_BYTES: usize = FRAME_HEADER_BYTES + 16;

/// The voice data in one datagram, at most. A 20 ms Opus frame at 510 kbit/s, the codec's ceiling (RFC
/// 6716, section 2.1.1), is 1,275 bytes; 1,400 and the 19 bytes before it stay under an Ethernet MTU of
/// 1,500 with IPv6 and UDP headers (48), so that what is relayed is not fragmented.
pub const VOICE_DATA_BYTES_MAX: usize = 1_400;

/// The longest VoiceData frame.
pub const VOICE_FRAME_BYTES_MAX: usize = VOICE_HEADER_BYTES + VOICE_DATA_BYTES_MAX;

/// A user, for as long as the server runs: ids start at 1, rise with every login and are never reused. On
/// the wire 0 stands for "nobody".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The secret that proves a UDP address to be a user's. Live tokens are never 0: that value stands for "no
/// token".
///
/// Its `Debug` form hides the value, so that a token cannot reach a log by accident.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VoiceToken(pub u64);

impl fmt::Debug for VoiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoiceToken(…)")
    }
}

/// The crate's README, whose example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
