//! The protocol to the byte: every packet as it was written down by hand, and everything that can
//! be wrong.

#[path = "../../tests/common/random.rs"]
pub(crate) mod random;

use super::*;
use random::Random;

const ALICE: Participant = Participant {
    user_id: UserId(0x0102_0304_0506_0708),
    username: "alice",
    in_voice: true,
    is_muted: false,
};

const JUERGEN: Participant = Participant {
    user_id: UserId(2),
    username: "Jürgen",
    in_voice: false,
    is_muted: true,
};

const REQUEST_ID: u64 = 0x1112_1314_1516_1718;

const LOGIN_RESPONSE_OF_TWO: &[u8] = b"\x21\x00\x3e\
    \x11\x12\x13\x14\x15\x16\x17\x18\
    \x00\x00\x00\x00\x00\x00\x00\x02\
    \xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\
    \x00\x02\
    \x01\x02\x03\x04\x05\x06\x07\x08\x00\x05alice\x01\x00\
    \x00\x00\x00\x00\x00\x00\x00\x02\x00\x07J\xc3\xbcrgen\x00\x01";

/// Every packet, with its frame.
fn golden() -> [(Packet<'static>, &'static [u8]); 22] {
    let request_id = REQUEST_ID;
    let user_id = ALICE.user_id;
    let login_response = Frame::first_of(LOGIN_RESPONSE_OF_TWO).unwrap();
    [
        (
            Packet::LoginRequest {
                request_id,
                username: "alice",
            },
            b"\x01\x00\x0f\x11\x12\x13\x14\x15\x16\x17\x18\x00\x05alice",
        ),
        (
            Packet::JoinVoiceChannelRequest { request_id },
            b"\x02\x00\x08\x11\x12\x13\x14\x15\x16\x17\x18",
        ),
        (
            Packet::VoiceAuthRequest {
                request_id,
                voice_token: VoiceToken(0xf1f2_f3f4_f5f6_f7f8),
            },
            b"\x03\x00\x10\x11\x12\x13\x14\x15\x16\x17\x18\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8",
        ),
        (
            Packet::LeaveVoiceChannelRequest { request_id },
            b"\x04\x00\x08\x11\x12\x13\x14\x15\x16\x17\x18",
        ),
        (
            Packet::ChatMessageRequest {
                request_id,
                message: "h\u{e9}",
            },
            b"\x05\x00\x0d\x11\x12\x13\x14\x15\x16\x17\x18\x00\x03h\xc3\xa9",
        ),
        (
            Packet::PingRequest { request_id },
            b"\x06\x00\x08\x11\x12\x13\x14\x15\x16\x17\x18",
        ),
        (login_response.parse().unwrap(), LOGIN_RESPONSE_OF_TWO),
        (
            Packet::VoiceAuthResponse {
                request_id,
                success: true,
            },
            b"\x22\x00\x09\x11\x12\x13\x14\x15\x16\x17\x18\x01",
        ),
        (
            Packet::JoinVoiceChannelResponse {
                request_id,
                success: true,
            },
            b"\x23\x00\x09\x11\x12\x13\x14\x15\x16\x17\x18\x01",
        ),
        (
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success: false,
            },
            b"\x24\x00\x09\x11\x12\x13\x14\x15\x16\x17\x18\x00",
        ),
        (
            Packet::ChatMessageResponse {
                request_id,
                success: true,
            },
            b"\x25\x00\x09\x11\x12\x13\x14\x15\x16\x17\x18\x01",
        ),
        (
            Packet::PingResponse { request_id },
            b"\x26\x00\x08\x11\x12\x13\x14\x15\x16\x17\x18",
        ),
        (
            Packet::UserJoinedServer { participant: ALICE },
            b"\x41\x00\x11\x01\x02\x03\x04\x05\x06\x07\x08\x00\x05alice\x01\x00",
        ),
        (
            Packet::UserJoinedVoice { user_id },
            b"\x42\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08",
        ),
        (
            Packet::UserLeftVoice { user_id },
            b"\x43\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08",
        ),
        (
            Packet::UserLeftServer { user_id },
            b"\x44\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08",
        ),
        (
            Packet::UserSentMessage {
                user_id,
                timestamp_ms: 0x0000_019b_8a7c_6d5e,
                message: "hi",
            },
            b"\x45\x00\x14\x01\x02\x03\x04\x05\x06\x07\x08\
              \x00\x00\x01\x9b\x8a\x7c\x6d\x5e\x00\x02hi",
        ),
        (
            Packet::UserMuteState {
                user_id,
                is_muted: true,
            },
            b"\x46\x00\x09\x01\x02\x03\x04\x05\x06\x07\x08\x01",
        ),
        (
            Packet::VoiceData {
                user_id,
                sequence: 0x2122_2324,
                timestamp: 0x3132_3334,
                data: b"opus",
            },
            b"\x61\x00\x14\x01\x02\x03\x04\x05\x06\x07\x08\
              \x21\x22\x23\x24\x31\x32\x33\x34opus",
        ),
        (
            Packet::Sealed {
                key_id: KeyId(0x4142_4344),
                counter: 0x5152_5354_5556_5758,
                sealed: b"frame and its tag",
            },
            b"\x62\x00\x1dABCDQRSTUVWXframe and its tag",
        ),
        (
            Packet::PathChallenge {
                value: 0x6162_6364_6566_6768,
            },
            b"\x63\x00\x08abcdefgh",
        ),
        (
            Packet::PathResponse {
                value: 0x6162_6364_6566_6768,
            },
            b"\x64\x00\x08abcdefgh",
        ),
    ]
}

fn encoded(packet: &Packet) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(&mut out).unwrap();
    out
}

fn voice_data(len: usize) -> Vec<u8> {
    encoded(&Packet::VoiceData {
        user_id: UserId(0),
        sequence: 5,
        timestamp: 960,
        data: &vec![0xa5; len],
    })
}

#[test]
fn every_packet_is_its_golden_bytes() {
    for (packet, bytes) in golden() {
        let mut out = b"before".to_vec();
        packet.encode(&mut out).unwrap();
        assert_eq!(out, [b"before", bytes].concat(), "{packet:?}");
        assert_eq!(packet.id(), bytes[0]);
    }
}

#[test]
fn golden_bytes_are_their_packet() {
    for (packet, bytes) in golden() {
        let frame = Frame::first_of(bytes).unwrap();
        assert_eq!((frame.id, frame.payload), (bytes[0], &bytes[3..]));
        assert_eq!(frame.wire_len(), bytes.len());
        assert_eq!(frame.parse(), Ok(packet));
        assert_eq!(Packet::parse(bytes[0], &bytes[3..]), Ok(packet));
        // What follows the frame is not its business.
        let followed = [bytes, b"\x06\x00"].concat();
        assert_eq!(Frame::first_of(&followed), Ok(frame));
    }
}

#[test]
fn a_login_response_lists_its_participants_in_order() {
    let people = [ALICE, JUERGEN];
    let mut out = Vec::new();
    let token = VoiceToken(0xf1f2_f3f4_f5f6_f7f8);
    encode_login_response(&mut out, REQUEST_ID, UserId(2), token, people).unwrap();
    assert_eq!(out, LOGIN_RESPONSE_OF_TWO);
    let Ok(Packet::LoginResponse {
        request_id,
        id,
        voice_token,
        participants,
    }) = Packet::parse(0x21, &out[3..])
    else {
        panic!("it is a LoginResponse");
    };
    assert_eq!(
        (request_id, id, voice_token),
        (REQUEST_ID, UserId(2), token)
    );
    assert!(participants.iter().eq(people));
    assert_eq!((participants.len(), participants.is_empty()), (2, false));
}

#[test]
fn a_refused_login_has_no_id_no_token_and_no_participants() {
    let refused = Packet::LoginResponse {
        request_id: 1,
        id: UserId(0),
        voice_token: VoiceToken(0),
        participants: Participants::EMPTY,
    };
    let mut bytes = b"\x21\x00\x1a\0\0\0\0\0\0\0\x01".to_vec();
    bytes.resize(3 + 26, 0);
    assert_eq!(encoded(&refused), bytes);
    assert_eq!(Packet::parse(0x21, &bytes[3..]), Ok(refused));
    assert_eq!(Participants::EMPTY.iter().count(), 0);
    assert!(Participants::EMPTY.is_empty());
}

#[test]
fn wire_len_is_what_a_participant_takes() {
    for person in [ALICE, JUERGEN] {
        let frame = encoded(&Packet::UserJoinedServer {
            participant: person,
        });
        assert_eq!(person.wire_len(), frame.len() - 3);
    }
}

#[test]
fn a_frame_that_was_cut_is_incomplete() {
    for (_, bytes) in golden() {
        for cut in 0..bytes.len() {
            assert_eq!(Frame::first_of(&bytes[..cut]), Err(Incomplete));
        }
    }
}

#[test]
fn a_payload_shorter_than_its_fields_is_malformed() {
    for (packet, bytes) in golden() {
        let (id, payload) = (bytes[0], &bytes[3..]);
        for cut in 0..payload.len() {
            let parsed = Packet::parse(id, &payload[..cut]);
            match packet {
                // Shorter voice is voice, as long as there are its fields.
                Packet::VoiceData { .. } if cut >= 16 => {
                    let Ok(Packet::VoiceData { data, .. }) = parsed else {
                        panic!("{parsed:?}");
                    };
                    assert_eq!(data, &b"opus"[..cut - 16]);
                }
                // Whether the tag is whole is for who opens it.
                Packet::Sealed { .. } if cut >= 12 => {
                    let Ok(Packet::Sealed { sealed, .. }) = parsed else {
                        panic!("{parsed:?}");
                    };
                    assert_eq!(sealed, &b"frame and its tag"[..cut - 12]);
                }
                _ => assert_eq!(parsed, Err(PacketError::Malformed), "{packet:?} at {cut}"),
            }
        }
    }
}

#[test]
fn bytes_after_the_fields_are_ignored_where_the_last_is_not_all_the_rest() {
    for (packet, bytes) in golden() {
        let payload = [&bytes[3..], b"\xffroom for later"].concat();
        let parsed = Packet::parse(bytes[0], &payload);
        if let Packet::VoiceData { .. } = packet {
            let Ok(Packet::VoiceData { data, .. }) = parsed else {
                panic!("{parsed:?}");
            };
            assert_eq!(data, b"opus\xffroom for later");
        } else if let Packet::Sealed { .. } = packet {
            let Ok(Packet::Sealed { sealed, .. }) = parsed else {
                panic!("{parsed:?}");
            };
            assert_eq!(sealed, b"frame and its tag\xffroom for later");
        } else {
            assert_eq!(parsed, Ok(packet));
            // Nor do they come back when the packet is sent on.
            assert_eq!(encoded(&parsed.unwrap()), bytes);
        }
    }
}

/// Places in the golden frames: of a string's length with the length itself, by packet id.
const STRINGS: [(u8, usize, usize); 6] = [
    (0x01, 11, 5),
    (0x05, 11, 3),
    (0x21, 37, 5),
    (0x21, 54, 7),
    (0x41, 11, 5),
    (0x45, 19, 2),
];

fn golden_bytes(id: u8) -> Vec<u8> {
    let all = golden();
    let (_, bytes) = all.iter().find(|(_, bytes)| bytes[0] == id).unwrap();
    bytes.to_vec()
}

#[test]
fn a_string_length_that_lies_is_malformed() {
    for (id, at, len) in STRINGS {
        let mut bytes = golden_bytes(id);
        assert_eq!(bytes[at..at + 2], [0, len as u8], "{id:#04x}");
        let left = bytes.len() - (at + 2);
        for lie in [left + 1, left + 256, 0x7fff, 0xffff] {
            bytes[at..at + 2].copy_from_slice(&(lie as u16).to_be_bytes());
            let parsed = Packet::parse(id, &bytes[3..]);
            assert_eq!(parsed, Err(PacketError::Malformed), "{id:#04x}: {lie}");
        }
    }
}

#[test]
fn a_string_that_is_not_utf8_is_malformed() {
    for (id, at, len) in STRINGS {
        for place in at + 2..at + 2 + len {
            // Bytes that no UTF-8 has anywhere.
            for byte in [0xc0, 0xf5, 0xff] {
                let mut bytes = golden_bytes(id);
                bytes[place] = byte;
                let parsed = Packet::parse(id, &bytes[3..]);
                assert_eq!(parsed, Err(PacketError::Malformed), "{id:#04x} at {place}");
            }
        }
    }
    // Overlong, a surrogate, over U+10FFFF, a continuation alone, and a character cut by the
    // length.
    let bad = [
        b"\x00\x02\xc1\x81".as_slice(),
        b"\x00\x03\xed\xa0\x80",
        b"\x00\x04\xf4\x90\x80\x80",
        b"\x00\x01\x80",
        b"\x00\x01\xc3\xa9",
    ];
    for string in bad {
        let payload = [&[0; 8], string].concat();
        assert_eq!(Packet::parse(0x05, &payload), Err(PacketError::Malformed));
    }
}

#[test]
fn a_participant_count_that_lies_is_malformed() {
    let mut bytes = LOGIN_RESPONSE_OF_TWO.to_vec();
    for lie in [3u16, 258, 0xffff] {
        bytes[27..29].copy_from_slice(&lie.to_be_bytes());
        assert_eq!(
            Packet::parse(0x21, &bytes[3..]),
            Err(PacketError::Malformed)
        );
    }
    // Fewer than there are: the others are trailing bytes.
    bytes[27..29].copy_from_slice(&[0, 1]);
    let Ok(Packet::LoginResponse { participants, .. }) = Packet::parse(0x21, &bytes[3..]) else {
        panic!("one participant is there");
    };
    assert!(participants.iter().eq([ALICE]));
}

#[test]
fn a_frame_length_that_lies_is_incomplete() {
    for (_, bytes) in golden() {
        let len = bytes.len() - 3;
        for lie in [len + 1, len + 256, 0xffff] {
            let mut bytes = bytes.to_vec();
            bytes[1..3].copy_from_slice(&(lie as u16).to_be_bytes());
            assert_eq!(Frame::first_of(&bytes), Err(Incomplete));
        }
    }
}

#[test]
fn any_bool_but_zero_is_true() {
    for id in [0x22, 0x23, 0x24, 0x25, 0x46] {
        let mut bytes = golden_bytes(id);
        let last = bytes.len() - 1;
        for value in 0..=255 {
            bytes[last] = value;
            let flag = match Packet::parse(id, &bytes[3..]).unwrap() {
                Packet::VoiceAuthResponse { success, .. }
                | Packet::JoinVoiceChannelResponse { success, .. }
                | Packet::LeaveVoiceChannelResponse { success, .. }
                | Packet::ChatMessageResponse { success, .. } => success,
                Packet::UserMuteState { is_muted, .. } => is_muted,
                other => panic!("{other:?}"),
            };
            assert_eq!(flag, value != 0);
        }
    }
    let mut bytes = golden_bytes(0x41);
    let flags = bytes.len() - 2;
    for (in_voice, is_muted) in [(0, 2), (0x80, 0), (0xff, 0xff)] {
        bytes[flags..].copy_from_slice(&[in_voice, is_muted]);
        let expected = Packet::UserJoinedServer {
            participant: Participant {
                in_voice: in_voice != 0,
                is_muted: is_muted != 0,
                ..ALICE
            },
        };
        assert_eq!(Packet::parse(0x41, &bytes[3..]), Ok(expected));
    }
}

#[test]
fn an_id_without_a_packet_is_unknown_whatever_follows() {
    let known = golden().map(|(_, bytes)| bytes[0]);
    for id in 0..=255 {
        assert_eq!(id::is_known(id), known.contains(&id), "{id:#04x}");
        if !known.contains(&id) {
            for payload in [b"".as_slice(), &[0; 64], &[0xff; 64]] {
                assert_eq!(Packet::parse(id, payload), Err(PacketError::UnknownId(id)));
            }
        }
    }
}

#[test]
fn what_is_too_long_leaves_the_buffer_as_it_was() {
    let text = "x".repeat(65_536);
    let with = |username| Participant { username, ..ALICE };
    // Each with the longest that fits.
    let too_long = |packet: &dyn Fn(usize) -> Packet<'static>, longest: usize| {
        let mut out = b"before".to_vec();
        for len in [longest + 1, 65_535, 65_536] {
            let result = packet(len).encode(&mut out);
            assert_eq!(result, Err(EncodeError::TooLong), "{len}");
            assert_eq!(out, b"before");
        }
        packet(longest).encode(&mut out).unwrap();
        assert_eq!(out.len(), 6 + 3 + 65_535);
        let frame = Frame::first_of(&out[6..]).unwrap();
        assert_eq!(frame.parse(), Ok(packet(longest)));
    };
    let text: &'static str = text.leak();
    too_long(
        &|len| Packet::LoginRequest {
            request_id: 1,
            username: &text[..len],
        },
        65_525,
    );
    too_long(
        &|len| Packet::ChatMessageRequest {
            request_id: 1,
            message: &text[..len],
        },
        65_525,
    );
    too_long(
        &|len| Packet::UserSentMessage {
            user_id: UserId(1),
            timestamp_ms: 1,
            message: &text[..len],
        },
        65_517,
    );
    too_long(
        &|len| Packet::UserJoinedServer {
            participant: with(&text[..len]),
        },
        65_523,
    );
    too_long(
        &|len| Packet::VoiceData {
            user_id: UserId(1),
            sequence: 1,
            timestamp: 1,
            data: &text.as_bytes()[..len],
        },
        65_519,
    );
}

#[test]
fn too_many_participants_leave_the_buffer_as_it_was() {
    let nameless = Participant {
        username: "",
        ..ALICE
    };
    let encode = |out: &mut Vec<u8>, count| {
        let people = std::iter::repeat_n(nameless, count);
        encode_login_response(out, 1, UserId(1), VoiceToken(1), people)
    };
    let mut out = b"before".to_vec();
    // 65,535 - 26 = 12 × 5,459 + 1. The last is over what a count can say, too.
    for count in [5_460, 65_535, 65_536, 65_537] {
        assert_eq!(encode(&mut out, count), Err(EncodeError::TooLong));
        assert_eq!(out, b"before");
    }
    encode(&mut out, 5_459).unwrap();
    let frame = Frame::first_of(&out[6..]).unwrap();
    let Ok(Packet::LoginResponse { participants, .. }) = frame.parse() else {
        panic!("it is a LoginResponse");
    };
    assert_eq!(participants.iter().count(), 5_459);
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let stream: Vec<u8> = golden()
        .iter()
        .flat_map(|(_, bytes)| *bytes)
        .copied()
        .collect();
    let take_all = |buffer: &mut FrameBuffer, frames: &mut Vec<Vec<u8>>| {
        while let Some(frame) = buffer.next_frame() {
            let bytes = golden()[frames.len()].1;
            assert_eq!((frame.id, frame.payload), (bytes[0], &bytes[3..]));
            frames.push(bytes.to_vec());
        }
        assert!(!buffer.has_frame());
    };
    for cut in 0..=stream.len() {
        let mut buffer = FrameBuffer::new();
        let mut frames = Vec::new();
        for piece in [&stream[..cut], &stream[cut..]] {
            buffer.extend(piece);
            take_all(&mut buffer, &mut frames);
        }
        assert_eq!(frames.concat(), stream);
        assert!(buffer.is_empty());
    }
    let mut buffer = FrameBuffer::new();
    let mut frames = Vec::new();
    for byte in &stream {
        buffer.extend(std::slice::from_ref(byte));
        take_all(&mut buffer, &mut frames);
    }
    assert_eq!(frames.concat(), stream);
}

#[test]
fn a_stream_may_be_glued_together_and_be_taken_slowly() {
    let (_, ping) = golden()[5];
    let mut buffer = FrameBuffer::new();
    buffer.extend(&ping.repeat(1_000));
    for left in (0..1_000).rev() {
        assert!(buffer.has_frame());
        assert!(buffer.next_frame().is_some());
        assert_eq!(buffer.len(), left * ping.len());
        // More may come while some of it waits.
        if left == 500 {
            buffer.extend(ping);
            assert_eq!(buffer.len(), 501 * ping.len());
            assert_eq!(buffer.next_frame().unwrap().payload, &ping[3..]);
        }
    }
    assert!(!buffer.has_frame());
    assert_eq!(buffer.next_frame(), None);
}

#[test]
fn the_longest_frame_goes_through() {
    let longest = voice_data(65_519);
    assert_eq!(longest.len(), 3 + 65_535);
    let mut buffer = FrameBuffer::new();
    buffer.extend(&longest[..65_537]);
    assert!(!buffer.has_frame());
    buffer.extend(&longest[65_537..]);
    assert_eq!(buffer.next_frame().unwrap().wire_len(), longest.len());
    assert_eq!(buffer.next_frame(), None);
}

#[test]
fn a_voice_datagram_has_its_fields_where_they_lie() {
    let mut bytes = golden_bytes(0x61);
    bytes.extend_from_slice(b"what follows");
    let voice = VoiceDatagram::check(&bytes).unwrap();
    assert_eq!(voice.user_id(), ALICE.user_id);
    assert_eq!(voice.sequence(), 0x2122_2324);
    assert_eq!(voice.timestamp(), 0x3132_3334);
    assert_eq!(voice.data(), b"opus");
    assert_eq!(voice.frame(), golden_bytes(0x61));
}

#[test]
fn a_voice_datagram_is_a_whole_frame_with_room_for_its_fields() {
    let malformed = Some(VoiceDatagramError::Malformed);
    let incomplete = Some(VoiceDatagramError::Incomplete);
    for (payload_len, datagram_len, error) in [
        (15, 18, malformed),
        (16, 18, malformed),
        (15, 19, malformed),
        (16, 19, None),
        (17, 19, incomplete),
        (0, 20, malformed),
        (15, 20, malformed),
        (16, 20, None),
        (17, 20, None),
        (18, 20, incomplete),
        (0xffff, 20, incomplete),
        (0xffff, 2_047, incomplete),
    ] {
        let mut bytes = vec![0; datagram_len];
        bytes[0] = 0x61;
        bytes[1..3].copy_from_slice(&u16::to_be_bytes(payload_len));
        let checked = VoiceDatagram::check(&bytes);
        assert_eq!(checked.as_ref().err().copied(), error);
        if let Ok(voice) = checked {
            assert_eq!(voice.frame().len(), 3 + usize::from(payload_len));
            assert_eq!(voice.data().len(), usize::from(payload_len) - 16);
        }
    }
    for len in 0..3 {
        let error = VoiceDatagram::check(&b"\x61\0\0"[..len]).unwrap_err();
        assert_eq!(error, VoiceDatagramError::Malformed);
    }
}

#[test]
fn another_packet_is_no_voice_datagram() {
    let mut bytes = voice_data(4);
    for id in (0..=255).filter(|&id| id != 0x61) {
        bytes[0] = id;
        let error = VoiceDatagram::check(&bytes).unwrap_err();
        assert_eq!(error, VoiceDatagramError::Malformed);
    }
}

#[test]
fn a_voice_datagram_has_at_most_1400_bytes_of_data() {
    assert_eq!(VOICE_DATA_BYTES_MAX, 1_400);
    let longest = voice_data(1_400);
    assert_eq!(VoiceDatagram::check(&longest).unwrap().data().len(), 1_400);
    for len in [1_401, 2_028, 2_029, 2_030, 3_000, 65_519] {
        let mut bytes = voice_data(len);
        let error = VoiceDatagram::check(&bytes).unwrap_err();
        assert_eq!(error, VoiceDatagramError::TooLong, "{len}");
        // One that was cut off is whatever its reader makes of that.
        bytes.pop();
        let error = VoiceDatagram::check(&bytes).unwrap_err();
        assert_eq!(error, VoiceDatagramError::Incomplete, "{len}");
    }
    // What follows the frame may be cut off.
    let mut bytes = voice_data(1_400);
    bytes.resize(2_048, 0xee);
    assert_eq!(VoiceDatagram::check(&bytes).unwrap().frame(), longest);
}

#[test]
fn writing_a_field_changes_its_bytes_only() {
    let before: Vec<u8> = voice_data(240).into_iter().chain([1, 2, 3]).collect();
    let mut bytes = before.clone();
    let mut voice = VoiceDatagram::check(bytes.as_mut_slice()).unwrap();
    assert_eq!(voice.frame().len(), 19 + 240);
    voice.set_user_id(UserId(0xd1d2_d3d4_d5d6_d7d8));
    voice.set_timestamp(0xe1e2_e3e4);
    assert_eq!(bytes[..3], before[..3]);
    assert_eq!(bytes[3..11], *b"\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8");
    assert_eq!(bytes[11..15], before[11..15]);
    assert_eq!(bytes[15..19], *b"\xe1\xe2\xe3\xe4");
    assert_eq!(bytes[19..], before[19..]);
}

#[test]
fn a_voice_datagram_that_is_made_is_the_packet() {
    let mut bytes = [0xff; 24];
    bytes[19..].copy_from_slice(b"opus!");
    let mut voice = VoiceDatagram::init(&mut bytes).unwrap();
    voice.set_user_id(UserId(7));
    voice.set_sequence(8);
    voice.set_timestamp(9);
    let packet = Packet::VoiceData {
        user_id: UserId(7),
        sequence: 8,
        timestamp: 9,
        data: b"opus!",
    };
    assert_eq!(bytes, *encoded(&packet));
    for (len, error) in [
        (18, VoiceDatagramError::Malformed),
        (1_420, VoiceDatagramError::TooLong),
    ] {
        let mut bytes = vec![0; len];
        let made = VoiceDatagram::init(bytes.as_mut_slice()).err();
        assert_eq!(made, Some(error));
    }
    VoiceDatagram::init(&mut [0; 19]).expect("silence is a frame");
}

#[test]
fn an_answer_that_is_made_is_the_packet() {
    for success in [false, true] {
        let request_id = 0x1112_1314_1516_1718;
        let packet = Packet::VoiceAuthResponse {
            request_id,
            success,
        };
        assert_eq!(voice_auth_response(request_id, success), *encoded(&packet));
    }
    let value = 0x6162_6364_6566_6768;
    let challenge = Packet::PathChallenge { value };
    assert_eq!(path_challenge(value), *encoded(&challenge));
}

#[test]
fn the_table_says_of_each_packet_who_sends_it_and_ids_that_open_other_protocols_are_nobodys() {
    let all = PacketInfo::all();
    assert_eq!(all.len(), golden().len());
    assert!(all.is_sorted_by_key(|packet| packet.id));
    for packet in all {
        assert_eq!(PacketInfo::of(packet.id), Some(packet));
        let by_id = match packet.id {
            0x01..=0x1f => Direction::ToServer,
            0x20..=0x45 | 0x63 => Direction::ToClient,
            0x64 => Direction::ToServer,
            _ => Direction::Both,
        };
        assert_eq!(packet.direction, by_id, "{}", packet.name);
        // The first bytes of TLS and of an HTTP request.
        assert!(![0x16, 0x47].contains(&packet.id));
    }
    let by_udp = all.iter().filter(|it| it.transport == Transport::Udp);
    let by_udp: Vec<&str> = by_udp.map(|it| it.name).collect();
    assert_eq!(
        by_udp,
        [
            "VoiceAuthRequest",
            "VoiceAuthResponse",
            "VoiceData",
            "Sealed",
            "PathChallenge",
            "PathResponse"
        ]
    );
    assert_eq!(PacketInfo::of(0x16), None);
}

#[test]
fn a_sealed_datagram_is_written_and_read_at_the_same_places() {
    let mut bytes = *b"what was before.frame, and its tag 16.";
    let key_id = KeyId(0x4142_4344);
    let counter = 0x5152_5354_5556_5758;
    let mut view = SealedDatagram::init(&mut bytes[..], key_id, counter).unwrap();
    assert_eq!(view.inside_mut(), b".frame,");
    assert_eq!(view.tag_mut(), b" and its tag 16.");
    assert_eq!((view.key_id(), view.counter()), (key_id, counter));
    assert_eq!(view.header(), *b"\x62\x00\x23ABCDQRSTUVWX");
    assert_eq!(view.into_inside_and_tag(), b".frame, and its tag 16.");
    let packet = Packet::Sealed {
        key_id,
        counter,
        sealed: b".frame, and its tag 16.",
    };
    assert_eq!(bytes, *encoded(&packet));

    let followed = [&bytes[..], b"more"].concat();
    let view = SealedDatagram::check(&followed[..]).unwrap();
    assert_eq!((view.frame(), view.counter()), (&bytes[..], counter));
    for len in 0..bytes.len() {
        let error = SealedDatagram::check(&bytes[..len]).unwrap_err();
        assert_eq!(error == SealedDatagramError::Incomplete, len >= 3);
    }
    for payload_len in 0..=u16::MAX {
        bytes[1..3].copy_from_slice(&payload_len.to_be_bytes());
        let expected = match payload_len {
            0..28 => Some(SealedDatagramError::Malformed),
            28..36 => None,
            _ => Some(SealedDatagramError::Incomplete),
        };
        let error = SealedDatagram::check(&bytes[..]).err();
        assert_eq!(error, expected, "{payload_len}");
    }
    for (len, error) in [
        (0, SealedDatagramError::Malformed),
        (30, SealedDatagramError::Malformed),
        (65_539, SealedDatagramError::TooLong),
    ] {
        let mut bytes = vec![0; len];
        let made = SealedDatagram::init(&mut bytes[..], key_id, counter).err();
        assert_eq!(made, Some(error));
    }
}

/// Pure noise, or one
/// Pure noise, or one or two packets with a few bytes changed, cut or added.
fn noise(random: &mut Random) -> Vec<u8> {
    if random.below(3) == 0 {
        return (0..random.below(80)).map(|_| random.next() as u8).collect();
    }
    let mut bytes = golden()[random.below(22)].1.to_vec();
    bytes.extend_from_slice(golden()[random.below(22)].1);
    for _ in 0..random.below(4) {
        let place = random.below(bytes.len());
        let bit = 1 << random.below(8);
        bytes[place] = [bytes[place] ^ bit, random.next() as u8, 0, 0xff][random.below(4)];
    }
    bytes.truncate(random.below(2 * bytes.len()));
    bytes
}

#[test]
fn no_input_whatever_makes_it_panic() {
    let mut random = Random(0x5eed);
    let (mut packets, mut voices) = (0, 0);
    let mut buffer = FrameBuffer::new();
    for _ in 0..100_000 {
        let bytes = noise(&mut random);
        if let Ok(frame) = Frame::first_of(&bytes) {
            assert!(frame.wire_len() <= bytes.len());
            if let Ok(packet) = frame.parse() {
                // What was understood can be said again, and means the same.
                let again = encoded(&packet);
                assert!(again.len() <= frame.wire_len());
                assert_eq!(Packet::parse(again[0], &again[3..]), Ok(packet));
                packets += 1;
            }
        }
        if let Ok(voice) = VoiceDatagram::check(&bytes) {
            let packet = Packet::VoiceData {
                user_id: voice.user_id(),
                sequence: voice.sequence(),
                timestamp: voice.timestamp(),
                data: voice.data(),
            };
            assert_eq!(Packet::parse(0x61, &voice.frame()[3..]), Ok(packet));
            voices += 1;
        }
        buffer.extend(&bytes);
        while let Some(frame) = buffer.next_frame() {
            let _ = frame.parse();
        }
        assert!(!buffer.has_frame());
    }
    assert!(packets > 10_000 && voices > 500, "{packets} {voices}");
}
