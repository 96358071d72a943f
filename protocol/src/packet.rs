//! Every packet of the protocol, in one table: its id, its name, its sender, its transport and its
//! fields.

use crate::PAYLOAD_BYTES_MAX;
use crate::codec::{Field, Reader};
use crate::frame::put_frame;
use crate::{
    Asked, Granted, KeyId, Participant, Participants, Reason, UserFlags as Flags, UserId,
    VoiceToken,
};
use alloc::vec::Vec;
use core::fmt;

/// The sender of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A client to its server.
    ToServer,
    /// A server to its clients.
    ToClient,
    /// Either to the other.
    Both,
}

/// What carries a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The stream of management.
    Tcp,
    /// Datagrams.
    Udp,
}

/// The table's entry for one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInfo {
    /// Its number.
    pub id: u8,
    /// Its name.
    pub name: &'static str,
    /// Its sender.
    pub direction: Direction,
    /// Its transport.
    pub transport: Transport,
}

impl PacketInfo {
    /// The entry of the packet with this id, if there is one.
    pub fn of(id: u8) -> Option<&'static PacketInfo> {
        PACKETS.iter().find(|packet| packet.id == id)
    }

    /// Every packet, by rising id.
    pub fn all() -> &'static [PacketInfo] {
        PACKETS
    }

    /// Whether a client may send it by this transport.
    pub fn may_client_send(&self, by: Transport) -> bool {
        self.direction != Direction::ToClient && self.transport == by
    }
}

/// Makes the packets, their ids and their encoding from the table, so that these cannot differ.
macro_rules! packets {
    ($(
        $(#[doc = $doc:literal])+
        $id:literal $constant:ident $direction:ident $transport:ident $name:ident
            { $($field:ident: $kind:ty),+ $(,)? }
    )+) => {
        /// Packet ids. 0x01 to 0x1F are requests, 0x20 to 0x3F responses, 0x40 to 0x5F events, and
        /// 0x60 and up media.
        pub mod id {
            #![allow(missing_docs, reason = "each is named as its packet is")]

            $(pub const $constant: u8 = $id;)+

            /// Whether the protocol has this id at all, in either direction.
            pub fn is_known(id: u8) -> bool {
                matches!(id, $($constant)|+)
            }
        }

        const PACKETS: &[PacketInfo] = &[$(PacketInfo {
            id: $id,
            name: stringify!($name),
            direction: Direction::$direction,
            transport: Transport::$transport,
        },)+];

        /// A packet, borrowed from the bytes it was read from.
        ///
        /// `request_id` is the client's own number for a request, and comes back in the response.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(
            missing_docs,
            reason = "the fields are those of the protocol, and said once above"
        )]
        pub enum Packet<'a> {
            $($(#[doc = $doc])+ $name { $($field: $kind),+ },)+
        }

        impl<'a> Packet<'a> {
            fn read(packet_id: u8, reader: &mut Reader<'a>) -> Option<Self> {
                Some(match packet_id {
                    $(id::$constant => Packet::$name { $($field: Field::read(reader)?),+ },)+
                    _ => return None,
                })
            }

            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Packet::$name { $($field),+ } => { $($field.put(out);)+ })+
                }
            }

            /// The packet's id.
            pub fn id(&self) -> u8 {
                match self {
                    $(Packet::$name { .. } => id::$constant,)+
                }
            }
        }
    };
}

packets! {
    /// Log in under a name. A client that asks for nothing is one of the oldest.
    0x01 LOGIN_REQUEST ToServer Tcp LoginRequest {
        request_id: u64,
        username: &'a str,
        asked: Option<Asked<'a>>,
    }
    /// Enter the voice channel.
    0x02 JOIN_VOICE_CHANNEL_REQUEST ToServer Tcp JoinVoiceChannelRequest { request_id: u64 }
    /// This address is mine, and this token proves it.
    0x03 VOICE_AUTH_REQUEST ToServer Udp VoiceAuthRequest {
        request_id: u64,
        voice_token: VoiceToken,
    }
    /// Leave the voice channel.
    0x04 LEAVE_VOICE_CHANNEL_REQUEST ToServer Tcp LeaveVoiceChannelRequest { request_id: u64 }
    /// Say this to everyone.
    0x05 CHAT_MESSAGE_REQUEST ToServer Tcp ChatMessageRequest { request_id: u64, message: &'a str }
    /// Are you there?
    0x06 PING_REQUEST ToServer Tcp PingRequest { request_id: u64 }
    /// Id 0 and token 0 say that the login was refused. Something is granted to a client that asked.
    0x21 LOGIN_RESPONSE ToClient Tcp LoginResponse {
        request_id: u64,
        id: UserId,
        voice_token: VoiceToken,
        participants: Participants<'a>,
        granted: Option<Granted<'a>>,
    }
    /// Whether the address is the user's now.
    0x22 VOICE_AUTH_RESPONSE ToClient Udp VoiceAuthResponse { request_id: u64, success: bool }
    /// Whether the user is in the voice channel.
    0x23 JOIN_VOICE_CHANNEL_RESPONSE ToClient Tcp JoinVoiceChannelResponse {
        request_id: u64,
        success: bool,
        reason: Option<Reason>,
    }
    /// Whether the user has left it.
    0x24 LEAVE_VOICE_CHANNEL_RESPONSE ToClient Tcp LeaveVoiceChannelResponse {
        request_id: u64,
        success: bool,
        reason: Option<Reason>,
    }
    /// Whether the message goes to everyone.
    0x25 CHAT_MESSAGE_RESPONSE ToClient Tcp ChatMessageResponse {
        request_id: u64,
        success: bool,
        reason: Option<Reason>,
    }
    /// I am.
    0x26 PING_RESPONSE ToClient Tcp PingResponse { request_id: u64 }
    /// Someone logged in.
    0x41 USER_JOINED_SERVER ToClient Tcp UserJoinedServer { participant: Participant<'a> }
    /// Someone entered the voice channel.
    0x42 USER_JOINED_VOICE ToClient Tcp UserJoinedVoice { user_id: UserId }
    /// Someone left the voice channel.
    0x43 USER_LEFT_VOICE ToClient Tcp UserLeftVoice { user_id: UserId }
    /// A user's connection was closed.
    0x44 USER_LEFT_SERVER ToClient Tcp UserLeftServer { user_id: UserId }
    /// Someone said this; `timestamp_ms` counts from the Unix epoch.
    0x45 USER_SENT_MESSAGE ToClient Tcp UserSentMessage {
        user_id: UserId,
        timestamp_ms: u64,
        message: &'a str,
    }
    /// This user is muted, or no longer. From a client, `user_id` is ignored.
    0x46 USER_MUTE_STATE Both Tcp UserMuteState { user_id: UserId, is_muted: bool }
    /// What is known of this user, for [`EXTENDED`](crate::Caps::EXTENDED) clients.
    0x4b USER_FLAGS ToClient Tcp UserFlags { user_id: UserId, flags: Flags }
    /// The server closes the connection now, for [`EXTENDED`](crate::Caps::EXTENDED) clients.
    0x4c ENDED ToClient Tcp Ended { reason: Reason, text: &'a str }
    /// One voice datagram; `timestamp` counts samples at 48 kHz. From a client, `user_id` is ignored.
    /// [`VoiceDatagram`](crate::VoiceDatagram) is the same without parsing.
    0x61 VOICE_DATA Both Udp VoiceData {
        user_id: UserId,
        sequence: u32,
        timestamp: u32,
        data: &'a [u8],
    }
    /// A frame that is sealed, and its tag behind it.
    /// [`SealedDatagram`](crate::SealedDatagram) is the same without parsing.
    0x62 SEALED Both Udp Sealed { key_id: KeyId, counter: u64, sealed: &'a [u8] }
    /// Inside a seal: if datagrams to this address reach you, say this number.
    0x63 PATH_CHALLENGE ToClient Udp PathChallenge { value: u64 }
    /// Inside a seal: the number that came to this address.
    0x64 PATH_RESPONSE ToServer Udp PathResponse { value: u64 }
}

impl<'a> Packet<'a> {
    /// Reads the packet with this id from its payload. Bytes after the known fields are ignored,
    /// except in VoiceData and Sealed, whose last field is all the rest.
    /// Rule 8d.
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

    /// Appends the packet as one frame.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if it does not fit into a frame; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_frame(out, self.id(), |out| self.put(out))
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

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::UnknownId(id) => write!(f, "unknown packet id {id:#04x}"),
            PacketError::Malformed => f.write_str("the payload does not hold the packet's fields"),
        }
    }
}

impl core::error::Error for PacketError {}

/// Why a packet could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The payload would be over 65,535 bytes, or has more than 65,535 participants.
    TooLong,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::TooLong => write!(f, "the payload is over {PAYLOAD_BYTES_MAX} bytes"),
        }
    }
}

impl core::error::Error for EncodeError {}
