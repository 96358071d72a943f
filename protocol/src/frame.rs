//! Frames that are made without a [`Packet`](crate::Packet): a list of participants that comes from somewhere
//! else, and answers that need no buffer. Each has the bytes that the packet would have.

use crate::codec::Field;
use crate::packet::{EncodeError, id};
use crate::{FRAME_HEADER_BYTES, Granted, Participant, UserId, VoiceToken};
use alloc::vec::Vec;
use byteorder::{BigEndian, ByteOrder};

/// Bytes of a LoginResponse's payload before its participants.
pub const LOGIN_RESPONSE_FIXED_BYTES: usize = 8 + 8 + 8 + 2;

/// Appends a LoginResponse whose participants come from somewhere else than a packet.
///
/// # Errors
///
/// [`EncodeError::TooLong`] if they do not all fit; `out` is then as it was.
pub fn encode_login_response<'p>(
    out: &mut Vec<u8>,
    request_id: u64,
    id: UserId,
    voice_token: VoiceToken,
    participants: impl IntoIterator<Item = Participant<'p>>,
    granted: Option<Granted<'_>>,
) -> Result<(), EncodeError> {
    put_frame(out, id::LOGIN_RESPONSE, |out| {
        request_id.put(out);
        id.put(out);
        voice_token.put(out);
        let count_at = out.len();
        0u16.put(out);
        // A participant takes 12 bytes at least, so that a count that overflows is a payload that
        // does too.
        let mut count = 0u16;
        for participant in participants {
            participant.put(out);
            count = count.wrapping_add(1);
        }
        BigEndian::write_u16(&mut out[count_at..], count);
        granted.put(out);
    })
}

/// A VoiceAuthResponse, ready to send, without a buffer.
pub fn voice_auth_response(request_id: u64, success: bool) -> [u8; 12] {
    let mut frame = [0; 12];
    let payload_len = frame.len() - FRAME_HEADER_BYTES;
    frame[0] = id::VOICE_AUTH_RESPONSE;
    BigEndian::write_u16(&mut frame[1..], payload_len as u16);
    BigEndian::write_u64(&mut frame[FRAME_HEADER_BYTES..], request_id);
    frame[11] = success.into();
    frame
}

/// A PathChallenge, ready to be sealed, without a buffer.
pub fn path_challenge(value: u64) -> [u8; 11] {
    let mut frame = [0; 11];
    let payload_len = frame.len() - FRAME_HEADER_BYTES;
    frame[0] = id::PATH_CHALLENGE;
    BigEndian::write_u16(&mut frame[1..], payload_len as u16);
    BigEndian::write_u64(&mut frame[FRAME_HEADER_BYTES..], value);
    frame
}

/// Appends a frame around the payload that `put_payload` appends, and fills in its length.
pub(crate) fn put_frame(
    out: &mut Vec<u8>,
    packet_id: u8,
    put_payload: impl FnOnce(&mut Vec<u8>),
) -> Result<(), EncodeError> {
    let start = out.len();
    out.push(packet_id);
    0u16.put(out);
    let payload_at = start + FRAME_HEADER_BYTES;
    put_payload(out);
    match u16::try_from(out.len() - payload_at) {
        Ok(len) => {
            BigEndian::write_u16(&mut out[start + 1..], len);
            Ok(())
        }
        Err(_) => {
            out.truncate(start);
            Err(EncodeError::TooLong)
        }
    }
}
