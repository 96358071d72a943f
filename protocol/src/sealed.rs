//! The envelope of sealed voice as a view of the bytes it lies in, with named places for its fields, to
//! read and to write alike. It knows what a sealed datagram looks like, and no key.
//!
//! What is sealed is one frame and zeros behind it. The bytes before it are sent in the clear and are
//! authenticated with it.

use crate::FRAME_HEADER_BYTES;
use crate::packet::id;
use crate::secrets::KeyId;
use byteorder::{BigEndian, ByteOrder};
use core::fmt;
use core::ops::Range;

// Where the fields lie.
const PAYLOAD_LEN: Range<usize> = 1..FRAME_HEADER_BYTES;
const KEY_ID: Range<usize> = FRAME_HEADER_BYTES..7;
const COUNTER: Range<usize> = 7..SEALED_HEADER_BYTES;

/// Bytes of a sealed datagram before what is sealed: frame header (3), key id (4) and counter (8).
pub const SEALED_HEADER_BYTES: usize = FRAME_HEADER_BYTES + 12;

/// The tag that authenticates a sealed datagram, at its end.
pub const SEAL_TAG_BYTES: usize = 16;

/// What sealing adds to a frame.
pub const SEAL_OVERHEAD_BYTES: usize = SEALED_HEADER_BYTES + SEAL_TAG_BYTES;

/// Why bytes are not a sealed datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedDatagramError {
    /// They have another packet id, or no room for header and tag.
    Malformed,
    /// They end before the frame does.
    Incomplete,
    /// A frame has no room for so many.
    TooLong,
}

impl fmt::Display for SealedDatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SealedDatagramError::Malformed => "the datagram is not a sealed one",
            SealedDatagramError::Incomplete => "the datagram ends before its frame",
            SealedDatagramError::TooLong => "more bytes than a frame has room for",
        })
    }
}

impl core::error::Error for SealedDatagramError {}

/// A checked sealed datagram over a `&[u8]` or `&mut [u8]`. What follows the frame in the datagram is
/// not part of the view.
#[derive(Debug)]
pub struct SealedDatagram<B> {
    bytes: B,
    frame_len: usize,
}

impl<B: AsRef<[u8]>> SealedDatagram<B> {
    /// Checks that `bytes` starts with a whole sealed datagram. Only the key can show whether it is
    /// authentic.
    ///
    /// # Errors
    ///
    /// [`SealedDatagramError::Malformed`] and [`SealedDatagramError::Incomplete`].
    pub fn check(bytes: B) -> Result<Self, SealedDatagramError> {
        let datagram = bytes.as_ref();
        if datagram.len() < FRAME_HEADER_BYTES || datagram[0] != id::SEALED {
            return Err(SealedDatagramError::Malformed);
        }
        let payload_len = usize::from(BigEndian::read_u16(&datagram[PAYLOAD_LEN]));
        let frame_len = FRAME_HEADER_BYTES + payload_len;
        if frame_len < SEAL_OVERHEAD_BYTES {
            return Err(SealedDatagramError::Malformed);
        }
        if frame_len > datagram.len() {
            return Err(SealedDatagramError::Incomplete);
        }
        Ok(SealedDatagram { bytes, frame_len })
    }

    /// The datagram, without what follows it.
    pub fn frame(&self) -> &[u8] {
        &self.bytes.as_ref()[..self.frame_len]
    }

    /// Which key it is sealed with.
    pub fn key_id(&self) -> KeyId {
        KeyId(BigEndian::read_u32(&self.bytes.as_ref()[KEY_ID]))
    }

    /// The number of this datagram among all that were sealed with that key in this direction.
    pub fn counter(&self) -> u64 {
        BigEndian::read_u64(&self.bytes.as_ref()[COUNTER])
    }

    /// What is authenticated and not encrypted.
    pub fn header(&self) -> [u8; SEALED_HEADER_BYTES] {
        let mut header = [0; SEALED_HEADER_BYTES];
        header.copy_from_slice(&self.bytes.as_ref()[..SEALED_HEADER_BYTES]);
        header
    }
}

impl<'a> SealedDatagram<&'a mut [u8]> {
    /// Makes a sealed datagram of all these bytes: writes its header, and leaves what lies behind it as
    /// it is.
    ///
    /// # Errors
    ///
    /// [`SealedDatagramError::Malformed`] if there is no room for header and tag, and
    /// [`SealedDatagramError::TooLong`].
    pub fn init(
        bytes: &'a mut [u8],
        key_id: KeyId,
        counter: u64,
    ) -> Result<Self, SealedDatagramError> {
        let Some(payload_len) = bytes.len().checked_sub(FRAME_HEADER_BYTES) else {
            return Err(SealedDatagramError::Malformed);
        };
        if bytes.len() < SEAL_OVERHEAD_BYTES {
            return Err(SealedDatagramError::Malformed);
        }
        let Ok(payload_len) = u16::try_from(payload_len) else {
            return Err(SealedDatagramError::TooLong);
        };
        bytes[0] = id::SEALED;
        BigEndian::write_u16(&mut bytes[PAYLOAD_LEN], payload_len);
        BigEndian::write_u32(&mut bytes[KEY_ID], key_id.0);
        BigEndian::write_u64(&mut bytes[COUNTER], counter);
        Ok(SealedDatagram {
            frame_len: bytes.len(),
            bytes,
        })
    }

    /// What is between header and tag.
    pub fn inside_mut(&mut self) -> &mut [u8] {
        let end = self.frame_len - SEAL_TAG_BYTES;
        &mut self.bytes[SEALED_HEADER_BYTES..end]
    }

    /// The tag.
    pub fn tag_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.frame_len - SEAL_TAG_BYTES..self.frame_len]
    }

    /// Both together, for as long as the bytes are borrowed.
    pub fn into_inside_and_tag(self) -> &'a mut [u8] {
        &mut self.bytes[SEALED_HEADER_BYTES..self.frame_len]
    }
}
