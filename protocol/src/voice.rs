//! A voice datagram as a view of the bytes it lies in: checked once, after which no accessor can fail, and
//! its fields can be written where they lie.

use crate::packet::id;
use crate::{FRAME_HEADER_BYTES, UserId};
use crate::{VOICE_DATA_BYTES_MAX, VOICE_FRAME_BYTES_MAX, VOICE_HEADER_BYTES};
use byteorder::{BigEndian, ByteOrder};
use core::fmt;
use core::ops::Range;

// Where the fields lie.
const PAYLOAD_LEN: Range<usize> = 1..FRAME_HEADER_BYTES;
const USER_ID: Range<usize> = FRAME_HEADER_BYTES..11;
const SEQUENCE: Range<usize> = 11..15;
const TIMESTAMP: Range<usize> = 15..VOICE_HEADER_BYTES;

/// Why bytes are not a VoiceData frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceDatagramError {
    /// They have another packet id, or no room for the fields.
    Malformed,
    /// They end before the frame does.
    Incomplete,
    /// The frame has more voice data than [`VOICE_DATA_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for VoiceDatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VoiceDatagramError::Malformed => f.write_str("the datagram is not a VoiceData frame"),
            VoiceDatagramError::Incomplete => f.write_str("the datagram ends before its frame"),
            VoiceDatagramError::TooLong => {
                write!(f, "more than {VOICE_DATA_BYTES_MAX} bytes of voice data")
            }
        }
    }
}

impl core::error::Error for VoiceDatagramError {}

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
    /// [`VoiceDatagramError`]. Of several, the first in its list.
    pub fn check(bytes: B) -> Result<Self, VoiceDatagramError> {
        let datagram = bytes.as_ref();
        if datagram.len() < VOICE_HEADER_BYTES || datagram[0] != id::VOICE_DATA {
            return Err(VoiceDatagramError::Malformed);
        }
        let payload_len = usize::from(BigEndian::read_u16(&datagram[PAYLOAD_LEN]));
        let frame_len = FRAME_HEADER_BYTES + payload_len;
        if frame_len < VOICE_HEADER_BYTES {
            return Err(VoiceDatagramError::Malformed);
        }
        if frame_len > datagram.len() {
            return Err(VoiceDatagramError::Incomplete);
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

    /// The speaker: from a server, the user's id; from a client, anything.
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

impl<'a> VoiceDatagram<&'a mut [u8]> {
    /// Makes a frame of all these bytes, with zeros in its fields and its data as it lies behind
    /// [`VOICE_HEADER_BYTES`].
    ///
    /// # Errors
    ///
    /// [`VoiceDatagramError::Malformed`] if there is no room for the fields, and
    /// [`VoiceDatagramError::TooLong`].
    pub fn init(bytes: &'a mut [u8]) -> Result<Self, VoiceDatagramError> {
        if bytes.len() > VOICE_FRAME_BYTES_MAX {
            return Err(VoiceDatagramError::TooLong);
        }
        if bytes.len() < VOICE_HEADER_BYTES {
            return Err(VoiceDatagramError::Malformed);
        }
        let payload_len = bytes.len() - FRAME_HEADER_BYTES;
        bytes[..VOICE_HEADER_BYTES].fill(0);
        bytes[0] = id::VOICE_DATA;
        BigEndian::write_u16(&mut bytes[PAYLOAD_LEN], payload_len as u16);
        Ok(VoiceDatagram {
            frame_len: bytes.len(),
            bytes,
        })
    }

    /// Writes the speaker.
    pub fn set_user_id(&mut self, sender: UserId) {
        BigEndian::write_u64(&mut self.bytes[USER_ID], sender.0);
    }

    /// Writes the number of this datagram.
    pub fn set_sequence(&mut self, sequence: u32) {
        BigEndian::write_u32(&mut self.bytes[SEQUENCE], sequence);
    }

    /// Writes when the sound was recorded.
    pub fn set_timestamp(&mut self, timestamp: u32) {
        BigEndian::write_u32(&mut self.bytes[TIMESTAMP], timestamp);
    }
}
