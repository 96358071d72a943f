//! The wire format, written a second time from the protocol's tables, so that a mistake in the
//! library's own encoding cannot hide behind itself. The model reads and writes with this, and
//! clients write with it.

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
pub const USER_FLAGS: u8 = 0x4b;
pub const ENDED: u8 = 0x4c;
pub const VOICE_DATA: u8 = 0x61;
pub const SEALED: u8 = 0x62;
pub const PATH_CHALLENGE: u8 = 0x63;
pub const PATH_RESPONSE: u8 = 0x64;

/// What a client may send on TCP.
pub const FROM_CLIENTS: [u8; 6] = [
    LOGIN_REQUEST,
    JOIN_REQUEST,
    LEAVE_REQUEST,
    CHAT_REQUEST,
    PING_REQUEST,
    USER_MUTE_STATE,
];

/// What is known, but not for a client to send on TCP.
pub const NOT_FROM_CLIENTS: [u8; 18] = [
    VOICE_AUTH_REQUEST,
    LOGIN_RESPONSE,
    VOICE_AUTH_RESPONSE,
    JOIN_RESPONSE,
    LEAVE_RESPONSE,
    CHAT_RESPONSE,
    PING_RESPONSE,
    USER_JOINED_SERVER,
    USER_JOINED_VOICE,
    USER_LEFT_VOICE,
    USER_LEFT_SERVER,
    USER_SENT_MESSAGE,
    USER_FLAGS,
    ENDED,
    VOICE_DATA,
    SEALED,
    PATH_CHALLENGE,
    PATH_RESPONSE,
];

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

    pub fn string(self, bytes: &[u8]) -> Self {
        self.u16(bytes.len() as u16).bytes(bytes)
    }

    /// The frame around this payload.
    pub fn frame(&self, id: u8) -> Vec<u8> {
        let len = u16::try_from(self.0.len()).expect("the simulation stays within a frame");
        let mut frame = vec![id];
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(&self.0);
        frame
    }
}

/// The id and payload of the frame that `bytes` starts with, if it is whole.
pub fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8])> {
    if bytes.len() < 3 {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([bytes[1], bytes[2]]));
    bytes.get(3..3 + len).map(|payload| (bytes[0], payload))
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
