//! A voice datagram as a view of the bytes it arrived in: checked once, after which no accessor can
//! fail, and the sender's id can be written where it lies.

use super::packet::id;
use crate::event::UserId;
use crate::limits::{DATAGRAM_SLOT_BYTES, FRAME_HEADER_BYTES};
use crate::limits::{VOICE_DATA_BYTES_MAX, VOICE_FRAME_BYTES_MAX, VOICE_HEADER_BYTES};
use byteorder::{BigEndian, ByteOrder};
use std::ops::Range;

const USER_ID: Range<usize> = 3..11;
const SEQUENCE: Range<usize> = 11..15;
const TIMESTAMP: Range<usize> = 15..19;

/// Why a datagram is not a VoiceData frame that the relay takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceDatagramError {
    /// It has another packet id, does not hold a whole frame, or has no room for its fields.
    Malformed,
    /// It has more voice data than [`VOICE_DATA_BYTES_MAX`].
    TooLong,
}

impl std::fmt::Display for VoiceDatagramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            VoiceDatagramError::Malformed => f.write_str("the datagram is not a VoiceData frame"),
            VoiceDatagramError::TooLong => {
                write!(f, "more than {VOICE_DATA_BYTES_MAX} bytes of voice data")
            }
        }
    }
}

impl std::error::Error for VoiceDatagramError {}

/// A checked VoiceData frame over a `&[u8]` or `&mut [u8]`. What follows the frame in the datagram
/// is not part of the view.
#[derive(Debug)]
pub struct VoiceDatagram<B> {
    bytes: B,
    frame_len: usize,
}

impl<B: AsRef<[u8]>> VoiceDatagram<B> {
    /// Checks that `bytes` starts with a VoiceData frame of an acceptable length.
    ///
    /// # Errors
    ///
    /// [`VoiceDatagramError::TooLong`] for a frame over the limit, also one that was cut off
    /// because it did not fit into a slot of [`DATAGRAM_SLOT_BYTES`]; otherwise
    /// [`VoiceDatagramError::Malformed`].
    pub fn check(bytes: B) -> Result<Self, VoiceDatagramError> {
        let datagram = bytes.as_ref();
        if datagram.len() < VOICE_HEADER_BYTES || datagram[0] != id::VOICE_DATA {
            return Err(VoiceDatagramError::Malformed);
        }
        let payload_len = usize::from(BigEndian::read_u16(&datagram[1..]));
        let frame_len = FRAME_HEADER_BYTES + payload_len;
        if frame_len < VOICE_HEADER_BYTES {
            return Err(VoiceDatagramError::Malformed);
        }
        if frame_len > datagram.len() && datagram.len() < DATAGRAM_SLOT_BYTES {
            return Err(VoiceDatagramError::Malformed);
        }
        if frame_len > VOICE_FRAME_BYTES_MAX {
            return Err(VoiceDatagramError::TooLong);
        }
        Ok(VoiceDatagram { bytes, frame_len })
    }

    /// The frame, without what follows it in the datagram.
    pub fn frame(&self) -> &[u8] {
        &self.bytes.as_ref()[..self.frame_len]
    }

    /// Who is speaking: from a server, the user's id; from a client, anything.
    pub fn user_id(&self) -> UserId {
        UserId(BigEndian::read_u64(&self.bytes.as_ref()[USER_ID]))
    }

    /// The number of this datagram in its sender's stream, rising by one.
    pub fn sequence(&self) -> u32 {
        BigEndian::read_u32(&self.bytes.as_ref()[SEQUENCE])
    }

    /// When the sound was recorded, in samples at 48 kHz.
    pub fn timestamp(&self) -> u32 {
        BigEndian::read_u32(&self.bytes.as_ref()[TIMESTAMP])
    }

    /// The voice itself, usually one Opus frame.
    pub fn data(&self) -> &[u8] {
        &self.bytes.as_ref()[VOICE_HEADER_BYTES..self.frame_len]
    }
}

impl VoiceDatagram<&mut [u8]> {
    /// Writes the sender's id over the one that came.
    pub fn write_user_id(self, sender: UserId) {
        BigEndian::write_u64(&mut self.bytes[USER_ID], sender.0);
    }
}
