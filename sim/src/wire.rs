//! The wire format, written a second time from the protocol's tables, so that a mistake in the library's own encoding
//! cannot hide behind itself. The model reads and writes with this, and clients write with it.

use std::collections::BTreeMap;
use voiceapp_server::cause::Cause;
use voiceapp_server::limits::{DATAGRAM_SLOT_BYTES, VOICE_FRAME_BYTES_MAX, VOICE_HEADER_BYTES};

pub const LOGIN_REQUEST: u8 = 0x01;
pub const JOIN_REQUEST: u8 = 0x02;
pub const VOICE_AUTH_REQUEST: u8 = 0x03;
pub const LEAVE_REQUEST: u8 = 0x04;
pub const CHAT_REQUEST: u8 = 0x05;
pub const PING_REQUEST: u8 = 0x06;
pub const LOGIN_RESPONSE: u8 = 0x21;
pub const VOICE_AUTH_RESPONSE: u8 = 0x22;
pub const JOIN_RESPONSE: u8 = 0x23;
pub const LEAVE_RESPONSE: u8 = 0x24;
pub const CHAT_RESPONSE: u8 = 0x25;
pub const PING_RESPONSE: u8 = 0x26;
pub const USER_JOINED_SERVER: u8 = 0x41;
pub const USER_JOINED_VOICE: u8 = 0x42;
pub const USER_LEFT_VOICE: u8 = 0x43;
pub const USER_LEFT_SERVER: u8 = 0x44;
pub const USER_SENT_MESSAGE: u8 = 0x45;
pub const USER_MUTE_STATE: u8 = 0x46;
pub const USER_FLAGS: u8 = 0x4B;
pub const ENDED: u8 = 0x4C;
pub const VOICE_DATA: u8 = 0x61;
pub const SEALED: u8 = 0x62;
pub const PATH_CHALLENGE: u8 = 0x63;
pub const PATH_RESPONSE: u8 = 0x64;

/// Capabilities.
pub const EXTENDED: u32 = 1;
pub const CAP_SEALED: u32 = 2;

/// The bit of UserFlags that says that somebody's connection is encrypted.
pub const IS_ENCRYPTED: u8 = 8;

/// What a client may send on TCP.
pub const FROM_CLIENTS: [u8; 6] = [
    LOGIN_REQUEST,
    JOIN_REQUEST,
    LEAVE_REQUEST,
    CHAT_REQUEST,
    PING_REQUEST,
    USER_MUTE_STATE,
];

/// A field of a payload. A list is a count and that many participants. Of the last three, which end a
/// payload, there may be nothing.
#[derive(Clone, Copy)]
enum Field {
    U64,
    U32,
    U16,
    U8,
    Bool,
    Text,
    List,
    Rest,
    OptionalU8,
    /// Four bytes, and then fields with a tag and a length each, of these kinds.
    Tagged(&'static [(u8, &'static [Field])]),
}

/// What a login may have behind its capabilities: a password, the proof of a name, a program and its version.
const ASKED: &[(u8, &[Field])] = &[
    (1, &[Field::Text]),
    (2, &[Field::Text]),
    (3, &[Field::Text, Field::Text]),
];

/// The fields of every packet, or None for an id that the protocol does not know.
fn fields(id: u8) -> Option<&'static [Field]> {
    use Field::{Bool, List, OptionalU8, Rest, Tagged, Text, U8, U16, U32, U64};
    Some(match id {
        0x01 => &[U64, Text, Tagged(ASKED)],
        0x05 => &[U64, Text],
        0x02 | 0x04 | 0x06 | 0x26 | 0x42..=0x44 | 0x63 | 0x64 => &[U64],
        0x03 => &[U64, U64],
        0x21 => &[
            U64,
            U64,
            U64,
            List,
            Tagged(&[
                (1, &[U8, Text]),
                (2, &[Text, Text]),
                (3, &[U16]),
                (4, &[U32]),
                (5, &[U8]),
            ]),
        ],
        0x22 | 0x46 => &[U64, Bool],
        0x23..=0x25 => &[U64, Bool, OptionalU8],
        0x41 => &[U64, Text, Bool, Bool],
        0x45 => &[U64, U64, Text],
        0x4b => &[U64, U8],
        0x4c => &[U8, Text],
        0x61 => &[U64, U32, U32, Rest],
        0x62 => &[U32, U64, Rest],
        _ => return None,
    })
}

pub fn is_known(id: u8) -> bool {
    fields(id).is_some()
}

/// The known fields of this payload as a server would write them, or None where they do not fit.
/// What lies in a list is kept as it is.
pub fn canonical(id: u8, payload: &[u8]) -> Option<Vec<u8>> {
    canonical_fields(fields(id)?, payload)
}

fn canonical_fields(fields: &[Field], payload: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::new();
    for &field in fields {
        let rest = &payload[written.len()..];
        let len = match field {
            Field::U64 => 8,
            Field::U32 => 4,
            Field::U16 => 2,
            Field::Bool | Field::U8 => 1,
            Field::Text => text_len(rest)?,
            Field::List => list_len(rest)?,
            Field::Rest => rest.len(),
            Field::OptionalU8 => rest.len().min(1),
            Field::Tagged(known) => {
                written.extend(canonical_tagged(known, rest)?);
                break;
            }
        };
        let bytes = rest.get(..len)?;
        match field {
            Field::Bool => written.push((bytes[0] != 0).into()),
            _ => written.extend_from_slice(bytes),
        }
    }
    Some(written)
}

fn canonical_tagged(known: &[(u8, &[Field])], bytes: &[u8]) -> Option<Vec<u8>> {
    let Some((caps, mut rest)) = bytes.split_at_checked(4) else {
        return Some(Vec::new());
    };
    let mut by_tag = BTreeMap::new();
    while !rest.is_empty() {
        let (tag, content) = split(rest)?;
        rest = &rest[3 + content.len()..];
        if let Some((_, fields)) = known.iter().find(|(it, _)| *it == tag)
            && !by_tag.contains_key(&tag)
        {
            by_tag.insert(tag, canonical_fields(fields, content)?);
        }
    }
    let fields = by_tag
        .iter()
        .flat_map(|(tag, content)| frame(*tag, content));
    Some(caps.iter().copied().chain(fields).collect())
}

/// The capabilities behind the name of a login, if there are any. None where the fields behind these are
/// malformed.
pub fn asked(behind_name: &[u8]) -> Option<Option<u32>> {
    let written = canonical_tagged(ASKED, behind_name)?;
    Some(written.first_chunk().map(|caps| u32::from_be_bytes(*caps)))
}

fn text_len(bytes: &[u8]) -> Option<usize> {
    let len = 2 + usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    std::str::from_utf8(bytes.get(2..len)?).ok()?;
    Some(len)
}

fn list_len(bytes: &[u8]) -> Option<usize> {
    let count = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
    let mut len = 2;
    for _ in 0..count {
        len += 8 + text_len(bytes.get(len + 8..)?)? + 2;
    }
    (len <= bytes.len()).then_some(len)
}

/// A frame around this payload, which must fit into one.
pub fn frame(id: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).expect("targets stay within a frame");
    let mut frame = vec![id];
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The id and payload of the frame that these bytes start with, if it is whole.
pub fn split(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let &[id, high, low, ref rest @ ..] = bytes else {
        return None;
    };
    let len = u16::from_be_bytes([high, low]);
    Some((id, rest.get(..usize::from(len))?))
}

/// What is wrong with a datagram that ends before its frame does: whatever fills its slot may have
/// been longer.
pub fn cut_off(datagram: &[u8]) -> Cause {
    if datagram.len() < DATAGRAM_SLOT_BYTES {
        Cause::DatagramMalformed
    } else {
        Cause::DatagramTooLong
    }
}

/// The voice frame at the start of this datagram, or why there is none that may be relayed.
pub fn voice_frame(datagram: &[u8]) -> Result<&[u8], Cause> {
    let claimed = match datagram {
        &[VOICE_DATA, high, low, ..] => 3 + usize::from(u16::from_be_bytes([high, low])),
        _ => return Err(Cause::DatagramMalformed),
    };
    if claimed < VOICE_HEADER_BYTES || datagram.len() < VOICE_HEADER_BYTES {
        return Err(Cause::DatagramMalformed);
    }
    let frame = datagram.get(..claimed).ok_or(cut_off(datagram))?;
    if claimed > VOICE_FRAME_BYTES_MAX {
        return Err(Cause::DatagramTooLong);
    }
    Ok(frame)
}

/// A payload, field by field.
#[derive(Clone, Default)]
pub struct Payload(pub Vec<u8>);

impl Payload {
    pub fn new() -> Self {
        Payload::default()
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn bool(self, value: bool) -> Self {
        self.bytes(&[u8::from(value)])
    }

    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A length and these bytes, which need not be text at all.
    pub fn string(self, bytes: &[u8]) -> Self {
        self.u16(bytes.len() as u16).bytes(bytes)
    }

    pub fn frame(&self, id: u8) -> Vec<u8> {
        frame(id, &self.0)
    }
}

/// The fields of a payload, from its start; None where it is too short.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.0.get(..len)?;
        self.0 = &self.0[len..];
        Some(taken)
    }

    pub fn bool(&mut self) -> Option<bool> {
        Some(self.take(1)?[0] != 0)
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    pub fn string(&mut self) -> Option<&'a str> {
        let len = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        std::str::from_utf8(self.take(usize::from(len))?).ok()
    }
}
