//! Frames, and how a stream of bytes is cut into them.

use crate::{FRAME_HEADER_BYTES, Packet, PacketError};
use alloc::vec::Vec;
use byteorder::{BigEndian, ByteOrder};

/// One whole frame, borrowed from where it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The packet's id, from [`id`](super::id) or unknown.
    pub id: u8,
    /// Its payload, 0 to 65,535 bytes.
    pub payload: &'a [u8],
}

/// The input ends before the frame does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete;

impl core::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the input ends before the frame does")
    }
}

impl core::error::Error for Incomplete {}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`, and ignores what follows it.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] if `bytes` ends before the frame does.
    pub fn first_of(bytes: &'a [u8]) -> Result<Self, Incomplete> {
        let (header, rest) = bytes
            .split_at_checked(FRAME_HEADER_BYTES)
            .ok_or(Incomplete)?;
        let payload_len = usize::from(BigEndian::read_u16(&header[1..]));
        Ok(Frame {
            id: header[0],
            payload: rest.get(..payload_len).ok_or(Incomplete)?,
        })
    }

    /// The length of the frame in bytes, header included.
    pub fn wire_len(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload.len()
    }

    /// Reads the packet in this frame.
    ///
    /// # Errors
    ///
    /// As [`Packet::parse`].
    pub fn parse(&self) -> Result<Packet<'a>, PacketError> {
        Packet::parse(self.id, self.payload)
    }
}

/// An emptied buffer keeps at most this much memory: most frames fit, and ten thousand idle connections
/// keep little.
const IDLE_BYTES_MAX: usize = 128;

/// Cuts a stream of bytes, as TCP delivers it, into frames: bytes go in as they come, whole frames
/// come out in order.
///
/// ```
/// use voiceapp_protocol::{FrameBuffer, Packet};
///
/// let mut wire = Vec::new();
/// Packet::PingRequest { request_id: 7 }.encode(&mut wire)?;
///
/// let mut buffer = FrameBuffer::new();
/// buffer.extend(&wire[..5]);
/// assert!(buffer.next_frame().is_none());
/// buffer.extend(&wire[5..]);
/// let frame = buffer.next_frame().expect("it is whole now");
/// assert_eq!(frame.parse(), Ok(Packet::PingRequest { request_id: 7 }));
/// # Ok::<(), voiceapp_protocol::EncodeError>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// How much of `bytes` has been handed out.
    taken: usize,
}

impl FrameBuffer {
    /// An empty buffer, which holds no memory yet.
    pub const fn new() -> Self {
        FrameBuffer {
            bytes: Vec::new(),
            taken: 0,
        }
    }

    /// Appends what was received. The caller bounds how much: see [`len`](Self::len).
    pub fn extend(&mut self, received: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(received);
    }

    /// Bytes received and not handed out yet.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether everything received was handed out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a whole frame is waiting.
    pub fn has_frame(&self) -> bool {
        Frame::first_of(&self.bytes[self.taken..]).is_ok()
    }

    /// Hands out the next frame, once it is whole.
    ///
    /// When everything has been handed out the memory is given back, so that an idle connection
    /// holds little.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_BYTES_MAX);
            self.taken = 0;
            return None;
        }
        let frame = Frame::first_of(&self.bytes[self.taken..]).ok()?;
        self.taken += frame.wire_len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use alloc::vec;

    #[test]
    fn a_buffer_that_was_emptied_gives_its_memory_back() {
        let mut buffer = FrameBuffer::new();
        assert_eq!(buffer.bytes.capacity(), 0);
        for len in [60_000, 20_000] {
            let [high, low] = u16::to_be_bytes(len);
            buffer.extend(&[0x06, high, low]);
            buffer.extend(&vec![0; len.into()]);
            assert!(buffer.next_frame().is_some());
            assert!(buffer.bytes.capacity() >= len.into());
            assert!(buffer.next_frame().is_none());
            assert!(buffer.bytes.capacity() <= IDLE_BYTES_MAX);
        }
    }

    #[test]
    fn what_was_taken_does_not_pile_up() {
        let mut buffer = FrameBuffer::new();
        // Always half a frame left over, so that it is never empty.
        buffer.extend(&[0x06, 0, 8, 0]);
        for _ in 0..10_000 {
            buffer.extend(&[0, 0, 0, 0, 0, 0, 0, 0x06, 0, 8, 0]);
            assert!(buffer.next_frame().is_some());
            assert!(buffer.next_frame().is_none());
        }
        assert!(buffer.bytes.capacity() <= IDLE_BYTES_MAX);
    }
}
