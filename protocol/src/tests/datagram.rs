//! The views of datagrams, byte by byte.

use super::*;

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
