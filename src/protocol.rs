//! The wire format: frames and packets, in both directions, for servers and clients alike.
//!
//! A frame is `packet_id: u8`, `payload_len: u16` and that many bytes of payload, integers
//! big-endian. TCP carries a stream of frames, which [`FrameBuffer`] takes apart; a UDP datagram
//! carries one. Parsing borrows from its input and allocates nothing; encoding appends to the
//! caller's buffer. This module knows what packets look like, and never what they mean.
//!
//! Three things can be wrong with input, and they are three different answers: a frame that is not
//! whole yet ([`Incomplete`]), a packet id nobody knows ([`PacketError::UnknownId`]), and a payload
//! that is not what its id promises ([`PacketError::Malformed`]).

mod codec;
mod packet;
mod stream;
#[cfg(test)]
mod tests;
mod voice;

pub(crate) use packet::LOGIN_RESPONSE_FIXED_BYTES;
pub use packet::{EncodeError, Packet, PacketError, Participant, Participants};
pub use packet::{encode_login_response, id};
pub use stream::{Frame, FrameBuffer, Incomplete};
pub use voice::{VoiceDatagram, VoiceDatagramError};
