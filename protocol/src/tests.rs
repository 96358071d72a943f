//! The protocol to the byte: every packet as it was written down by hand, and everything that can
//! be wrong.

#[path = "../../tests/common/random.rs"]
pub(crate) mod random;

mod asking;
mod datagram;
mod malformed;
mod stream;

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
fn golden() -> [(Packet<'static>, &'static [u8]); 24] {
    let request_id = REQUEST_ID;
    let user_id = ALICE.user_id;
    let login_response = Frame::first_of(LOGIN_RESPONSE_OF_TWO).unwrap();
    [
        (
            Packet::LoginRequest {
                request_id,
                username: "alice",
                asked: None,
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
                reason: None,
            },
            b"\x23\x00\x09\x11\x12\x13\x14\x15\x16\x17\x18\x01",
        ),
        (
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success: false,
                reason: None,
            },
            b"\x24\x00\x09\x11\x12\x13\x14\x15\x16\x17\x18\x00",
        ),
        (
            Packet::ChatMessageResponse {
                request_id,
                success: true,
                reason: None,
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
            Packet::UserFlags {
                user_id,
                flags: UserFlags::NAME_IS_PROVED | UserFlags::IS_ENCRYPTED,
            },
            b"\x4b\x00\x09\x01\x02\x03\x04\x05\x06\x07\x08\x0c",
        ),
        (
            Packet::Ended {
                reason: Reason::Banned,
                text: "bye",
            },
            b"\x4c\x00\x06\x04\x00\x03bye",
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

const ASKED: Asked = Asked {
    caps: Caps(0x8000_0005),
    password: Some(Password("pass")),
    name_proof: Some(Password("")),
    client: Some(Program {
        name: "va",
        version: "1",
    }),
};

const GRANTED: Granted = Granted {
    caps: Caps::EXTENDED,
    refusal: None,
    server: Some(Greeting {
        name: "home",
        welcome: "hi",
    }),
    voice_port: Some(9002),
    key_id: Some(KeyId(0x0102_0304)),
    flags: Some(LoginFlags::YOU_ARE_OPERATOR),
};

/// Packets with what only clients that ask send and get, with their frames.
fn golden_of_the_asking() -> [(Packet<'static>, &'static [u8]); 8] {
    let request_id = REQUEST_ID;
    let refused = Granted {
        refusal: Some(Refusal {
            reason: Reason::Password,
            text: "no",
        }),
        ..Granted::default()
    };
    let response = |id, voice_token, granted| Packet::LoginResponse {
        request_id,
        id: UserId(id),
        voice_token: VoiceToken(voice_token),
        participants: Participants::EMPTY,
        granted: Some(granted),
    };
    [
        (
            Packet::LoginRequest {
                request_id,
                username: "alice",
                asked: Some(ASKED),
            },
            b"\x01\x00\x2b\x11\x12\x13\x14\x15\x16\x17\x18\x00\x05alice\
              \x80\x00\x00\x05\
              \x01\x00\x06\x00\x04pass\
              \x02\x00\x02\x00\x00\
              \x03\x00\x07\x00\x02va\x00\x011",
        ),
        (
            Packet::LoginRequest {
                request_id,
                username: "alice",
                asked: Some(Asked::default()),
            },
            b"\x01\x00\x13\x11\x12\x13\x14\x15\x16\x17\x18\x00\x05alice\x00\x00\x00\x00",
        ),
        (
            response(2, 3, GRANTED),
            b"\x21\x00\x3b\x11\x12\x13\x14\x15\x16\x17\x18\
              \x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\
              \x00\x00\x00\x01\
              \x02\x00\x0a\x00\x04home\x00\x02hi\
              \x03\x00\x02\x23\x2a\
              \x04\x00\x04\x01\x02\x03\x04\
              \x05\x00\x01\x01",
        ),
        (
            response(0, 0, refused),
            b"\x21\x00\x26\x11\x12\x13\x14\x15\x16\x17\x18\
              \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
              \x00\x00\x00\x00\x01\x00\x05\x03\x00\x02no",
        ),
        (
            Packet::JoinVoiceChannelResponse {
                request_id,
                success: true,
                reason: Some(Reason::Unstated),
            },
            b"\x23\x00\x0a\x11\x12\x13\x14\x15\x16\x17\x18\x01\x00",
        ),
        (
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success: true,
                reason: Some(Reason::Unstated),
            },
            b"\x24\x00\x0a\x11\x12\x13\x14\x15\x16\x17\x18\x01\x00",
        ),
        (
            Packet::ChatMessageResponse {
                request_id,
                success: false,
                reason: Some(Reason::TooOften),
            },
            b"\x25\x00\x0a\x11\x12\x13\x14\x15\x16\x17\x18\x00\x06",
        ),
        (
            Packet::ChatMessageResponse {
                request_id,
                success: false,
                reason: Some(Reason::Other(200)),
            },
            b"\x25\x00\x0a\x11\x12\x13\x14\x15\x16\x17\x18\x00\xc8",
        ),
    ]
}

fn golden_bytes(id: u8) -> Vec<u8> {
    let all = golden();
    let (_, bytes) = all.iter().find(|(_, bytes)| bytes[0] == id).unwrap();
    bytes.to_vec()
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
    for (packet, bytes) in golden().into_iter().chain(golden_of_the_asking()) {
        let mut out = b"before".to_vec();
        packet.encode(&mut out).unwrap();
        assert_eq!(out, [b"before", bytes].concat(), "{packet:?}");
        assert_eq!(packet.id(), bytes[0]);
    }
}

#[test]
fn golden_bytes_are_their_packet() {
    for (packet, bytes) in golden().into_iter().chain(golden_of_the_asking()) {
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
    encode_login_response(&mut out, REQUEST_ID, UserId(2), token, people, None).unwrap();
    assert_eq!(out, LOGIN_RESPONSE_OF_TWO);
    let Ok(Packet::LoginResponse {
        request_id,
        id,
        voice_token,
        participants,
        granted: None,
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
        granted: None,
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
fn the_table_says_of_each_packet_who_sends_it_and_ids_that_open_other_protocols_are_nobodys() {
    let all = PacketInfo::all();
    assert_eq!(all.len(), golden().len());
    assert!(all.is_sorted_by_key(|packet| packet.id));
    for packet in all {
        assert_eq!(PacketInfo::of(packet.id), Some(packet));
        let by_id = match packet.id {
            0x01..=0x1f => Direction::ToServer,
            0x20..=0x45 | 0x47..=0x5f | 0x63 => Direction::ToClient,
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
    let packets = [golden().as_slice(), &golden_of_the_asking()].concat();
    let mut bytes = packets[random.below(packets.len())].1.to_vec();
    bytes.extend_from_slice(packets[random.below(packets.len())].1);
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
