//! Every packet of the protocol: its id, its fields, and both directions of its encoding.

use super::codec::{Reader, put_bool, put_str, put_u16, put_u32, put_u64};
use crate::event::{UserId, VoiceToken};
use crate::limits::{FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX};
use byteorder::{BigEndian, ByteOrder};

/// Packet ids. 0x01 to 0x1F are requests, 0x20 to 0x3F responses, 0x40 to 0x5F events, and 0x60 and
/// up media.
pub mod id {
    #![allow(missing_docs, reason = "each is named as its packet is")]

    pub const LOGIN_REQUEST: u8 = 0x01;
    pub const JOIN_VOICE_CHANNEL_REQUEST: u8 = 0x02;
    pub const VOICE_AUTH_REQUEST: u8 = 0x03;
    pub const LEAVE_VOICE_CHANNEL_REQUEST: u8 = 0x04;
    pub const CHAT_MESSAGE_REQUEST: u8 = 0x05;
    pub const PING_REQUEST: u8 = 0x06;
    pub const LOGIN_RESPONSE: u8 = 0x21;
    pub const VOICE_AUTH_RESPONSE: u8 = 0x22;
    pub const JOIN_VOICE_CHANNEL_RESPONSE: u8 = 0x23;
    pub const LEAVE_VOICE_CHANNEL_RESPONSE: u8 = 0x24;
    pub const CHAT_MESSAGE_RESPONSE: u8 = 0x25;
    pub const PING_RESPONSE: u8 = 0x26;
    pub const USER_JOINED_SERVER: u8 = 0x41;
    pub const USER_JOINED_VOICE: u8 = 0x42;
    pub const USER_LEFT_VOICE: u8 = 0x43;
    pub const USER_LEFT_SERVER: u8 = 0x44;
    pub const USER_SENT_MESSAGE: u8 = 0x45;
    pub const USER_MUTE_STATE: u8 = 0x46;
    pub const VOICE_DATA: u8 = 0x61;

    /// Whether the protocol knows this id at all, in whichever direction.
    pub fn is_known(id: u8) -> bool {
        matches!(id,
            LOGIN_REQUEST..=PING_REQUEST
            | LOGIN_RESPONSE..=PING_RESPONSE
            | USER_JOINED_SERVER..=USER_MUTE_STATE
            | VOICE_DATA)
    }
}

/// One user, as lists and announcements show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participant<'a> {
    /// Who this is.
    pub user_id: UserId,
    /// The name they chose; two users may have the same.
    pub username: &'a str,
    /// Whether they are in the voice channel.
    pub in_voice: bool,
    /// Whether they have muted themselves.
    pub is_muted: bool,
}

impl<'a> Participant<'a> {
    /// Bytes that this participant takes in a payload.
    pub fn wire_len(&self) -> usize {
        8 + 2 + self.username.len() + 1 + 1
    }

    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Participant {
            user_id: UserId(reader.u64()?),
            username: reader.str()?,
            in_voice: reader.bool()?,
            is_muted: reader.bool()?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.user_id.0);
        put_str(out, self.username);
        put_bool(out, self.in_voice);
        put_bool(out, self.is_muted);
    }
}

/// The list in a LoginResponse: checked when it was parsed, and read where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participants<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> Participants<'a> {
    /// A list of nobody.
    pub const EMPTY: Participants<'static> = Participants {
        count: 0,
        bytes: &[],
    };

    /// How many participants there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The participants, in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = Participant<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| Participant::read(&mut reader))
    }

    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let count = reader.u16()?;
        let bytes = reader.rest();
        for _ in 0..count {
            Participant::read(reader)?;
        }
        let bytes = &bytes[..bytes.len() - reader.rest().len()];
        Some(Participants { count, bytes })
    }
}

/// Why a frame is not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// The protocol has no packet with this id. Skip the frame.
    UnknownId(u8),
    /// The payload is shorter than the packet's fields, or a string in it is not UTF-8.
    Malformed,
}

impl std::fmt::Display for PacketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PacketError::UnknownId(id) => write!(f, "unknown packet id {id:#04x}"),
            PacketError::Malformed => f.write_str("the payload does not hold the packet's fields"),
        }
    }
}

impl std::error::Error for PacketError {}

/// Why a packet could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The payload would be over 65,535 bytes, or has more than 65,535 participants.
    TooLong,
}

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EncodeError::TooLong => write!(f, "the payload is over {PAYLOAD_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// A packet, borrowed from the bytes it was read from.
///
/// `request_id` is the client's own number for a request, and comes back in the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are those of the protocol, and said once above"
)]
pub enum Packet<'a> {
    /// Client to server, TCP: log in under a name.
    LoginRequest { request_id: u64, username: &'a str },
    /// Client to server, TCP: enter the voice channel.
    JoinVoiceChannelRequest { request_id: u64 },
    /// Client to server, UDP: this address is mine, here is the proof.
    VoiceAuthRequest {
        request_id: u64,
        voice_token: VoiceToken,
    },
    /// Client to server, TCP: leave the voice channel.
    LeaveVoiceChannelRequest { request_id: u64 },
    /// Client to server, TCP: say this to everyone.
    ChatMessageRequest { request_id: u64, message: &'a str },
    /// Client to server, TCP: are you there?
    PingRequest { request_id: u64 },
    /// Server to client, TCP: id 0 and token 0 say that the login was refused.
    LoginResponse {
        request_id: u64,
        id: UserId,
        voice_token: VoiceToken,
        participants: Participants<'a>,
    },
    /// Server to client, UDP.
    VoiceAuthResponse { request_id: u64, success: bool },
    /// Server to client, TCP.
    JoinVoiceChannelResponse { request_id: u64, success: bool },
    /// Server to client, TCP.
    LeaveVoiceChannelResponse { request_id: u64, success: bool },
    /// Server to client, TCP.
    ChatMessageResponse { request_id: u64, success: bool },
    /// Server to client, TCP.
    PingResponse { request_id: u64 },
    /// Server to client, TCP: someone logged in.
    UserJoinedServer(Participant<'a>),
    /// Server to client, TCP: someone entered the voice channel.
    UserJoinedVoice { user_id: UserId },
    /// Server to client, TCP: someone left the voice channel.
    UserLeftVoice { user_id: UserId },
    /// Server to client, TCP: someone's connection ended.
    UserLeftServer { user_id: UserId },
    /// Server to client, TCP: someone said this; `timestamp_ms` counts from the Unix epoch.
    UserSentMessage {
        user_id: UserId,
        timestamp_ms: u64,
        message: &'a str,
    },
    /// Both ways, TCP: this user is muted, or no longer. From a client, `user_id` is ignored.
    UserMuteState { user_id: UserId, is_muted: bool },
    /// Both ways, UDP: one voice datagram; `timestamp` counts samples at 48 kHz. From a client,
    /// `user_id` is ignored.
    VoiceData {
        user_id: UserId,
        sequence: u32,
        timestamp: u32,
        data: &'a [u8],
    },
}

impl<'a> Packet<'a> {
    /// Reads the packet with this id from its payload. Bytes after the known fields are ignored,
    /// except in VoiceData, whose data is all the rest.
    ///
    /// # Errors
    ///
    /// [`PacketError::UnknownId`] and [`PacketError::Malformed`], as they say.
    pub fn parse(packet_id: u8, payload: &'a [u8]) -> Result<Self, PacketError> {
        if !id::is_known(packet_id) {
            return Err(PacketError::UnknownId(packet_id));
        }
        Packet::read(packet_id, &mut Reader::new(payload)).ok_or(PacketError::Malformed)
    }

    fn read(packet_id: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match packet_id {
            id::LOGIN_REQUEST => Packet::LoginRequest {
                request_id: reader.u64()?,
                username: reader.str()?,
            },
            id::JOIN_VOICE_CHANNEL_REQUEST => Packet::JoinVoiceChannelRequest {
                request_id: reader.u64()?,
            },
            id::VOICE_AUTH_REQUEST => Packet::VoiceAuthRequest {
                request_id: reader.u64()?,
                voice_token: VoiceToken(reader.u64()?),
            },
            id::LEAVE_VOICE_CHANNEL_REQUEST => Packet::LeaveVoiceChannelRequest {
                request_id: reader.u64()?,
            },
            id::CHAT_MESSAGE_REQUEST => Packet::ChatMessageRequest {
                request_id: reader.u64()?,
                message: reader.str()?,
            },
            id::PING_REQUEST => Packet::PingRequest {
                request_id: reader.u64()?,
            },
            id::LOGIN_RESPONSE => Packet::LoginResponse {
                request_id: reader.u64()?,
                id: UserId(reader.u64()?),
                voice_token: VoiceToken(reader.u64()?),
                participants: Participants::read(reader)?,
            },
            id::VOICE_AUTH_RESPONSE => Packet::VoiceAuthResponse {
                request_id: reader.u64()?,
                success: reader.bool()?,
            },
            id::JOIN_VOICE_CHANNEL_RESPONSE => Packet::JoinVoiceChannelResponse {
                request_id: reader.u64()?,
                success: reader.bool()?,
            },
            id::LEAVE_VOICE_CHANNEL_RESPONSE => Packet::LeaveVoiceChannelResponse {
                request_id: reader.u64()?,
                success: reader.bool()?,
            },
            id::CHAT_MESSAGE_RESPONSE => Packet::ChatMessageResponse {
                request_id: reader.u64()?,
                success: reader.bool()?,
            },
            id::PING_RESPONSE => Packet::PingResponse {
                request_id: reader.u64()?,
            },
            id::USER_JOINED_SERVER => Packet::UserJoinedServer(Participant::read(reader)?),
            id::USER_JOINED_VOICE => Packet::UserJoinedVoice {
                user_id: UserId(reader.u64()?),
            },
            id::USER_LEFT_VOICE => Packet::UserLeftVoice {
                user_id: UserId(reader.u64()?),
            },
            id::USER_LEFT_SERVER => Packet::UserLeftServer {
                user_id: UserId(reader.u64()?),
            },
            id::USER_SENT_MESSAGE => Packet::UserSentMessage {
                user_id: UserId(reader.u64()?),
                timestamp_ms: reader.u64()?,
                message: reader.str()?,
            },
            id::USER_MUTE_STATE => Packet::UserMuteState {
                user_id: UserId(reader.u64()?),
                is_muted: reader.bool()?,
            },
            id::VOICE_DATA => Packet::VoiceData {
                user_id: UserId(reader.u64()?),
                sequence: reader.u32()?,
                timestamp: reader.u32()?,
                data: reader.rest(),
            },
            _ => return None,
        })
    }

    /// The packet's id.
    pub fn id(&self) -> u8 {
        match self {
            Packet::LoginRequest { .. } => id::LOGIN_REQUEST,
            Packet::JoinVoiceChannelRequest { .. } => id::JOIN_VOICE_CHANNEL_REQUEST,
            Packet::VoiceAuthRequest { .. } => id::VOICE_AUTH_REQUEST,
            Packet::LeaveVoiceChannelRequest { .. } => id::LEAVE_VOICE_CHANNEL_REQUEST,
            Packet::ChatMessageRequest { .. } => id::CHAT_MESSAGE_REQUEST,
            Packet::PingRequest { .. } => id::PING_REQUEST,
            Packet::LoginResponse { .. } => id::LOGIN_RESPONSE,
            Packet::VoiceAuthResponse { .. } => id::VOICE_AUTH_RESPONSE,
            Packet::JoinVoiceChannelResponse { .. } => id::JOIN_VOICE_CHANNEL_RESPONSE,
            Packet::LeaveVoiceChannelResponse { .. } => id::LEAVE_VOICE_CHANNEL_RESPONSE,
            Packet::ChatMessageResponse { .. } => id::CHAT_MESSAGE_RESPONSE,
            Packet::PingResponse { .. } => id::PING_RESPONSE,
            Packet::UserJoinedServer(_) => id::USER_JOINED_SERVER,
            Packet::UserJoinedVoice { .. } => id::USER_JOINED_VOICE,
            Packet::UserLeftVoice { .. } => id::USER_LEFT_VOICE,
            Packet::UserLeftServer { .. } => id::USER_LEFT_SERVER,
            Packet::UserSentMessage { .. } => id::USER_SENT_MESSAGE,
            Packet::UserMuteState { .. } => id::USER_MUTE_STATE,
            Packet::VoiceData { .. } => id::VOICE_DATA,
        }
    }

    /// Appends the packet's frame to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if the payload would not fit; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_frame(out, self.id(), |out| self.put_fields(out))
    }

    fn put_fields(&self, out: &mut Vec<u8>) {
        match *self {
            Packet::LoginRequest {
                request_id,
                username: text,
            }
            | Packet::ChatMessageRequest {
                request_id,
                message: text,
            } => {
                put_u64(out, request_id);
                put_str(out, text);
            }
            Packet::JoinVoiceChannelRequest { request_id }
            | Packet::LeaveVoiceChannelRequest { request_id }
            | Packet::PingRequest { request_id }
            | Packet::PingResponse { request_id } => put_u64(out, request_id),
            Packet::VoiceAuthRequest {
                request_id,
                voice_token,
            } => {
                put_u64(out, request_id);
                put_u64(out, voice_token.0);
            }
            Packet::LoginResponse {
                request_id,
                id,
                voice_token,
                participants,
            } => {
                put_login_fields(out, request_id, id, voice_token);
                put_u16(out, participants.count);
                out.extend_from_slice(participants.bytes);
            }
            Packet::VoiceAuthResponse {
                request_id,
                success,
            }
            | Packet::JoinVoiceChannelResponse {
                request_id,
                success,
            }
            | Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
            }
            | Packet::ChatMessageResponse {
                request_id,
                success,
            } => {
                put_u64(out, request_id);
                put_bool(out, success);
            }
            Packet::UserJoinedServer(participant) => participant.put(out),
            Packet::UserJoinedVoice { user_id }
            | Packet::UserLeftVoice { user_id }
            | Packet::UserLeftServer { user_id } => put_u64(out, user_id.0),
            Packet::UserSentMessage {
                user_id,
                timestamp_ms,
                message,
            } => {
                put_u64(out, user_id.0);
                put_u64(out, timestamp_ms);
                put_str(out, message);
            }
            Packet::UserMuteState { user_id, is_muted } => {
                put_u64(out, user_id.0);
                put_bool(out, is_muted);
            }
            Packet::VoiceData {
                user_id,
                sequence,
                timestamp,
                data,
            } => {
                put_u64(out, user_id.0);
                put_u32(out, sequence);
                put_u32(out, timestamp);
                out.extend_from_slice(data);
            }
        }
    }
}

/// Bytes of a LoginResponse's payload before its participants.
pub(crate) const LOGIN_RESPONSE_FIXED_BYTES: usize = 8 + 8 + 8 + 2;

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
) -> Result<(), EncodeError> {
    put_frame(out, id::LOGIN_RESPONSE, |out| {
        put_login_fields(out, request_id, id, voice_token);
        let count_at = out.len();
        put_u16(out, 0);
        // A participant takes 12 bytes at least, so that a count that overflows is a payload that
        // does too.
        let mut count = 0u16;
        for participant in participants {
            participant.put(out);
            count = count.wrapping_add(1);
        }
        BigEndian::write_u16(&mut out[count_at..], count);
    })
}

fn put_login_fields(out: &mut Vec<u8>, request_id: u64, id: UserId, voice_token: VoiceToken) {
    put_u64(out, request_id);
    put_u64(out, id.0);
    put_u64(out, voice_token.0);
}

/// Appends a frame around the payload that `put_payload` appends, and fills in its length.
fn put_frame(
    out: &mut Vec<u8>,
    packet_id: u8,
    put_payload: impl FnOnce(&mut Vec<u8>),
) -> Result<(), EncodeError> {
    let start = out.len();
    out.push(packet_id);
    put_u16(out, 0);
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
