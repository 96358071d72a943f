//! Every decoder on the same bytes: what fits its packet is read, and written again as it should be
//! and read again as it was; what does not fit is refused; and no accessor of what was read fails.

use crate::wire;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::UserId;
use voiceapp_server::limits::{DATAGRAM_SLOT_BYTES, PAYLOAD_BYTES_MAX};
use voiceapp_server::protocol::{Frame, Packet, PacketError, VoiceDatagram, VoiceDatagramError};
use voiceapp_server::protocol::{encode_login_response, id};

pub fn run(data: &[u8]) {
    let payload = &data[..data.len().min(PAYLOAD_BYTES_MAX)];
    for id in 0..=u8::MAX {
        decode(id, payload);
    }
    // The same bytes as a whole frame, whose length may lie.
    if let Ok(frame) = Frame::first_of(data) {
        let whole = wire::split(data).expect("the plain splitter finds it too");
        assert_eq!((frame.id, frame.payload), whole);
        decode(frame.id, frame.payload);
    } else {
        assert_eq!(wire::split(data), None);
    }
    let mut slot = data[..data.len().min(DATAGRAM_SLOT_BYTES)].to_vec();
    check_voice(&mut slot);
    if let Some(first) = slot.first_mut() {
        *first = wire::VOICE_DATA;
        check_voice(&mut slot);
    }
}

fn decode(packet_id: u8, payload: &[u8]) {
    let frame = Frame {
        id: packet_id,
        payload,
    };
    let result = frame.parse();
    assert_eq!(id::is_known(packet_id), wire::is_known(packet_id));
    if !wire::is_known(packet_id) {
        assert_eq!(result, Err(PacketError::UnknownId(packet_id)));
        return;
    }
    let Some(canonical) = wire::canonical(packet_id, payload) else {
        assert_eq!(result, Err(PacketError::Malformed));
        return;
    };
    let packet = result.expect("its fields fit");
    assert_eq!(packet.id(), packet_id);
    let before = b"what was there";
    let mut written = before.to_vec();
    packet
        .encode(&mut written)
        .expect("what was read fits into a frame");
    let written = written.strip_prefix(before).expect("it is kept");
    assert_eq!(written, wire::frame(packet_id, &canonical));
    let again = Frame::first_of(written).expect("it is a frame");
    assert_eq!(again.parse(), Ok(packet));
    look_inside(&packet, written);
}

fn look_inside(packet: &Packet<'_>, frame: &[u8]) {
    match *packet {
        Packet::LoginResponse {
            request_id,
            id,
            voice_token,
            participants,
            granted,
        } => {
            assert_eq!(participants.iter().count(), participants.len());
            let fields = granted.map_or(0, |granted| granted.wire_len());
            assert_eq!(participants.is_empty(), frame.len() == 3 + 26 + fields);
            let lens = participants.iter().map(|one| one.wire_len());
            assert_eq!(frame.len(), 3 + 26 + lens.sum::<usize>() + fields);
            // From a list of people it is written as it was read, but for the values of true.
            let mut written = Vec::new();
            let people = participants.iter();
            encode_login_response(&mut written, request_id, id, voice_token, people, granted)
                .expect("they did fit");
            let again = Frame::first_of(&written).expect("it is a frame").parse();
            let Ok(Packet::LoginResponse {
                participants: read, ..
            }) = again
            else {
                panic!("{again:?} was written as a LoginResponse");
            };
            assert!(read.iter().eq(participants.iter()));
        }
        Packet::UserJoinedServer { participant } => {
            assert_eq!(frame.len(), 3 + participant.wire_len());
        }
        _ => {}
    }
}

fn check_voice(slot: &mut [u8]) {
    let before = slot.to_vec();
    match (
        VoiceDatagram::check(&before[..]),
        wire::voice_frame(&before),
    ) {
        (Ok(voice), Ok(frame)) => {
            assert_eq!(voice.frame(), frame);
            let packet = Packet::VoiceData {
                user_id: voice.user_id(),
                sequence: voice.sequence(),
                timestamp: voice.timestamp(),
                data: voice.data(),
            };
            assert_eq!(Packet::parse(frame[0], &frame[3..]), Ok(packet));
        }
        (
            Err(VoiceDatagramError::Malformed | VoiceDatagramError::Incomplete),
            Err(Cause::DatagramMalformed),
        )
        | (Err(VoiceDatagramError::Incomplete), Err(Cause::DatagramTooLong))
        | (Err(VoiceDatagramError::TooLong), Err(Cause::DatagramTooLong)) => return,
        (found, expected) => panic!("{found:?}, where {expected:?} is right"),
    }
    let sender = UserId(0x0123_4567_89ab_cdef);
    VoiceDatagram::check(&mut *slot)
        .expect("it was right before")
        .set_user_id(sender);
    assert_eq!(slot[3..11], sender.0.to_be_bytes());
    assert_eq!(slot[..3], before[..3]);
    assert_eq!(slot[11..], before[11..]);
}
