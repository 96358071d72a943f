//! Everything that can be wrong with a frame or a packet, on its way in and out.

use super::*;

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
    let optional = golden_of_the_asking();
    for (packet, bytes) in golden().into_iter().chain(optional) {
        let later: &[u8] = match packet {
            // Capabilities would be longer.
            Packet::LoginRequest { asked: None, .. } => b"\xff\xff\xff",
            Packet::LoginResponse { granted: None, .. } => b"\xff\xff\xff",
            // Every byte behind them is theirs: what comes later has a tag of its own.
            Packet::LoginRequest { .. } | Packet::LoginResponse { .. } => b"\xff\x00\x05later",
            // One byte is a reason.
            Packet::JoinVoiceChannelResponse { reason: None, .. }
            | Packet::LeaveVoiceChannelResponse { reason: None, .. }
            | Packet::ChatMessageResponse { reason: None, .. } => b"",
            _ => b"\xffroom for later",
        };
        let payload = [&bytes[3..], later].concat();
        let parsed = Packet::parse(bytes[0], &payload);
        if let Packet::VoiceData { .. } = packet {
            let Ok(Packet::VoiceData { data, .. }) = parsed else {
                panic!("{parsed:?}");
            };
            assert_eq!(data, b"opus\xffroom for later".as_slice());
        } else if let Packet::Sealed { .. } = packet {
            let Ok(Packet::Sealed { sealed, .. }) = parsed else {
                panic!("{parsed:?}");
            };
            assert_eq!(sealed, b"frame and its tag\xffroom for later".as_slice());
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
    // Fewer than there are: the others are trailing bytes, of which capabilities take four.
    bytes[27..29].copy_from_slice(&[0, 1]);
    bytes.truncate(29 + ALICE.wire_len() + 3);
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
            asked: None,
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
        encode_login_response(out, 1, UserId(1), VoiceToken(1), people, None)
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
