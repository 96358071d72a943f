//! The seal: everything over UDP goes under it once it is granted, and nothing else is believed.

use super::*;
use voiceapp_protocol::sealing::{Sealer, ServerOpener};
use voiceapp_protocol::{
    Granted, KeyId, Participants, SEAL_OVERHEAD_BYTES, SealedDatagram, Suite, VoiceSecrets,
};

const KEY_ID: KeyId = KeyId(0x1234_5678);

fn secrets(key_id: KeyId) -> VoiceSecrets {
    VoiceSecrets::of(key_id, Suite::Aes256GcmSha384, &[9; 64])
}

/// A server's half of the keys.
struct Server {
    sealer: Sealer,
    opener: ServerOpener,
}

impl Server {
    fn new() -> Self {
        let VoiceSecrets { key_id, suite, .. } = secrets(KEY_ID);
        Server {
            sealer: Sealer::new(suite, key_id, secrets(key_id).to_client),
            opener: ServerOpener::new(suite, key_id, secrets(key_id).to_server),
        }
    }

    fn seal(&mut self, packet: &Packet<'_>) -> Vec<u8> {
        let mut frame = Vec::new();
        packet.encode(&mut frame).expect("it fits");
        let mut datagram = vec![0; frame.len() + SEAL_OVERHEAD_BYTES + 5];
        self.sealer
            .seal(&frame, &mut datagram)
            .expect("there is room");
        datagram
    }

    /// The only datagram that the session has to send, opened.
    fn open(&mut self, session: &mut Session) -> Vec<u8> {
        let mut datagram = session.next_datagram().expect("there is one");
        assert_eq!(session.next_datagram(), None);
        self.opener
            .open(&mut datagram)
            .expect("it is sealed")
            .inside
            .to_vec()
    }
}

fn login(caps: Caps, key_id: Option<KeyId>) -> Vec<u8> {
    let response = Packet::LoginResponse {
        request_id: 1,
        id: UserId(1),
        voice_token: TOKEN,
        participants: Participants::EMPTY,
        granted: Some(Granted {
            caps,
            key_id,
            ..Granted::default()
        }),
    };
    let mut bytes = Vec::new();
    response.encode(&mut bytes).expect("it fits");
    bytes
}

fn session(now: Instant) -> Session {
    let exporter: Exporter = Box::new(|key_id| Some(secrets(key_id)));
    Session::over(now, "alice", "there".to_owned(), Some(exporter))
}

fn sealed(now: Instant) -> Session {
    let mut session = session(now);
    session.handle_bytes(now, &login(Caps::EXTENDED | Caps::SEALED, Some(KEY_ID)));
    hear_out(&mut session);
    session
}

#[test]
fn it_is_asked_for_where_the_connection_has_secrets_and_nowhere_else() {
    let now = Instant::now();
    let has_asked = |mut session: Session| {
        let bytes = session.take_outbound();
        match Frame::first_of(&bytes).map(|frame| frame.parse()) {
            Ok(Ok(Packet::LoginRequest {
                asked: Some(asked), ..
            })) => asked.caps.contains(Caps::SEALED),
            other => panic!("{other:?}"),
        }
    };
    assert!(has_asked(session(now)));
    assert!(!has_asked(Session::new(now, "alice", String::new())));
}

#[test]
fn proofs_challenges_and_voice_go_under_the_seal() {
    let now = Instant::now();
    let (mut session, mut server) = (sealed(now), Server::new());
    assert!(session.is_voice_encrypted());
    let inside = server.open(&mut session);
    assert_eq!(inside[0], voiceapp_protocol::id::VOICE_AUTH_REQUEST);
    let mut challenge = server.seal(&Packet::PathChallenge { value: 77 });
    assert_eq!(session.handle_datagram(now, &mut challenge), None);
    let mut echo = Vec::new();
    let packet = Packet::PathResponse { value: 77 };
    packet.encode(&mut echo).expect("it fits");
    assert_eq!(server.open(&mut session), echo);
    let mut answer = server.seal(&Packet::VoiceAuthResponse {
        request_id: 1,
        success: true,
    });
    assert_eq!(session.handle_datagram(now, &mut answer), None);
    assert_eq!(session.proof_state(), ProofState::Proven);
    session.speak(now, b"opus");
    let said = server.open(&mut session);
    assert_eq!(
        (said[0], &said[19..]),
        (voiceapp_protocol::id::VOICE_DATA, &b"opus"[..])
    );
    let mut voice = server.seal(&Packet::VoiceData {
        user_id: UserId(2),
        sequence: 3,
        timestamp: 4,
        data: b"hers",
    });
    let mut copy = voice.clone();
    let heard = session.handle_datagram(now, &mut copy);
    let expected = Voice {
        from: UserId(2),
        sequence: 3,
        timestamp: 4,
        data: b"hers",
    };
    assert_eq!(heard, Some(expected));
    assert_eq!(
        session.handle_datagram(now, &mut voice),
        None,
        "it came before"
    );
    assert_eq!((session.unopened(), session.unreadable()), (1, 0));
}

#[test]
fn what_is_not_under_the_seal_is_counted_and_does_nothing() {
    let now = Instant::now();
    let (mut session, mut server) = (sealed(now), Server::new());
    server.open(&mut session);
    let answer = Packet::VoiceAuthResponse {
        request_id: 1,
        success: true,
    };
    let voice = Packet::VoiceData {
        user_id: UserId(2),
        sequence: 1,
        timestamp: 1,
        data: b"forged",
    };
    for (count, packet) in (1..).zip([answer, voice, Packet::PathChallenge { value: 1 }]) {
        let mut plain = Vec::new();
        packet.encode(&mut plain).expect("it fits");
        assert_eq!(session.handle_datagram(now, &mut plain), None);
        assert_eq!(session.unopened(), count);
    }
    let mut forged = server.seal(&voice);
    forged[20] ^= 1;
    assert_eq!(session.handle_datagram(now, &mut forged), None);
    assert_eq!(session.unopened(), 4);
    assert_eq!(session.proof_state(), ProofState::Asking);
    assert_eq!(session.next_datagram(), None, "nothing is answered");
    assert_eq!(hear_out(&mut session), []);
}

/// Made anew, a seal would use its counters again.
#[test]
fn rule_15c_a_second_login_response_leaves_the_seal_as_it_is() {
    let now = Instant::now();
    let mut session = sealed(now);
    let counter = |session: &mut Session| {
        let datagram = session.next_datagram().expect("a proof");
        let view = SealedDatagram::check(datagram).expect("it is sealed");
        (view.key_id(), view.counter())
    };
    assert_eq!(counter(&mut session), (KEY_ID, 0));
    for (number, key_id) in [(1, KEY_ID), (2, KeyId(5)), (3, KEY_ID)] {
        session.handle_bytes(now, &login(Caps::SEALED, Some(key_id)));
        assert_eq!(counter(&mut session), (KEY_ID, number));
    }
}

#[test]
fn without_a_grant_or_without_secrets_voice_is_plain() {
    let now = Instant::now();
    let cases = [(Caps::EXTENDED, Some(KEY_ID)), (Caps::SEALED, None)];
    for (caps, key_id) in cases {
        let mut session = session(now);
        session.handle_bytes(now, &login(caps, key_id));
        assert!(!session.is_voice_encrypted());
        assert_eq!(proof_sent(&mut session), Some(1));
        // Nor is a question that nobody can vouch for answered.
        let mut plain = Vec::new();
        let challenge = Packet::PathChallenge { value: 1 };
        challenge.encode(&mut plain).expect("it fits");
        assert_eq!(session.handle_datagram(now, &mut plain), None);
        assert_eq!((session.next_datagram(), session.unreadable()), (None, 1));
    }
}

#[test]
fn rule_15e_a_thousand_speakers_datagrams_may_come_in_any_order() {
    let now = Instant::now();
    let (mut session, mut server) = (sealed(now), Server::new());
    let mut all: Vec<_> = (0..1_024)
        .map(|sequence| {
            server.seal(&Packet::VoiceData {
                user_id: UserId(2),
                sequence,
                timestamp: 0,
                data: b"",
            })
        })
        .collect();
    for datagram in all.iter_mut().rev() {
        assert!(session.handle_datagram(now, datagram).is_some());
    }
}
