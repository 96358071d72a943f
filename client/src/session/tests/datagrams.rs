//! Datagrams: how voice is numbered, and those that are no voice.

use super::*;

#[test]
fn datagrams_that_would_end_other_clients_are_counted() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    let too_long = [&[0x61, 0x10, 0x00][..], &[0; 4_096]].concat();
    let table: [&[u8]; 3] = [b"\x99\0\0", b"\x61\0\x10abc", &too_long];
    for datagram in table {
        assert_eq!(session.handle_datagram(now, &mut datagram.to_vec()), None);
    }
    assert_eq!(session.unreadable(), 3);
    assert_eq!(hear_out(&mut session).len(), 1, "it is news once");
}

#[test]
fn a_pause_goes_on_in_the_timestamp_and_not_in_the_sequence() {
    let start = Instant::now();
    let mut session = logged_in(start, &["ann"]);
    session.next_datagram();
    let mut speak = |at_ms: u64| {
        session.speak(start + Duration::from_millis(at_ms), b"voice");
        let datagram = session.next_datagram().expect("it is sent");
        match Frame::first_of(&datagram).map(|frame| frame.parse()) {
            Ok(Ok(Packet::VoiceData {
                sequence,
                timestamp,
                ..
            })) => (sequence, timestamp),
            other => panic!("{other:?}"),
        }
    };
    // In milliseconds of the clock, and of sound: it comes in frames, of which no two have one time.
    let table = [
        (7_000, 0),
        (7_020, 20),
        (7_041, 40),
        (7_058, 60),
        (7_058, 80),
        (10_060, 3_060),
        (10_080, 3_080),
        (10_091, 3_100),
    ];
    for (sequence, (at_ms, sound_ms)) in (0..).zip(table) {
        assert_eq!(speak(at_ms), (sequence, sound_ms * 48), "{at_ms}");
    }
    // Both go round in circles: the timestamp within 25 hours.
    let day_ms = 26 * 3_600_000;
    let (sequence, timestamp) = speak(7_000 + day_ms);
    assert_eq!(sequence, 8);
    assert_eq!(timestamp, (day_ms as u32 / 20).wrapping_mul(960));
}

#[test]
fn an_empty_datagram_is_nothing() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    assert_eq!(session.handle_datagram(now, &mut []), None);
    assert_eq!((session.unreadable(), hear_out(&mut session)), (0, vec![]));
    assert_eq!(session.proof_state(), ProofState::Asking);
}
