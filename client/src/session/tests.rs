//! A session from its login on: the proof of its address, voice that is joined when it can be heard, and requests
//! that are answered or not. Its people, its datagrams, its ends and what is sealed have modules of their own.

use super::*;
use crate::proof;
use voiceapp_protocol::{Frame, Participant, VoiceToken, encode_login_response};

mod asking;
mod datagrams;
mod outage;
mod presence;
#[cfg(feature = "encryption")]
mod sealed;

const TOKEN: VoiceToken = VoiceToken(77);

/// A session that has logged in as user 1 among these, and has been heard out.
fn logged_in(now: Instant, names: &[&'static str]) -> Session {
    let mut session = Session::new(now, names[0], "there".to_owned());
    let people = (1..).zip(names).map(|(id, username)| Participant {
        user_id: UserId(id),
        username,
        in_voice: false,
        is_muted: false,
    });
    let mut answer = Vec::new();
    encode_login_response(&mut answer, 1, UserId(1), TOKEN, people, None).expect("it fits");
    session.handle_bytes(now, &answer);
    assert!(session.is_logged_in());
    hear_out(&mut session);
    session
}

fn hear_out(session: &mut Session) -> Vec<Event> {
    session.take_outbound();
    std::iter::from_fn(|| session.next_event()).collect()
}

fn tell(session: &mut Session, at: Instant, packet: Packet<'_>) -> Vec<Event> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).expect("it fits");
    session.handle_bytes(at, &bytes);
    hear_out(session)
}

/// The number of the one proof that was sent, if one was.
fn proof_sent(session: &mut Session) -> Option<u64> {
    let datagram = session.next_datagram()?;
    assert_eq!(session.next_datagram(), None);
    match Frame::first_of(&datagram).map(|frame| frame.parse()) {
        Ok(Ok(Packet::VoiceAuthRequest {
            request_id,
            voice_token: TOKEN,
        })) => Some(request_id),
        other => panic!("{other:?}"),
    }
}

fn answer_proof(session: &mut Session, at: Instant, request_id: u64, success: bool) {
    let mut datagram = Vec::new();
    let answer = Packet::VoiceAuthResponse {
        request_id,
        success,
    };
    answer.encode(&mut datagram).expect("it fits");
    assert_eq!(session.handle_datagram(at, &mut datagram), None);
}

/// The same with its address proven.
fn in_touch(now: Instant, names: &[&'static str]) -> Session {
    let mut session = logged_in(now, names);
    let number = proof_sent(&mut session).expect("it is asked at once");
    answer_proof(&mut session, now, number, true);
    hear_out(&mut session);
    session
}

/// What was asked over TCP.
fn requests(session: &mut Session) -> Vec<&'static str> {
    let mut inbound = FrameBuffer::new();
    inbound.extend(&session.take_outbound());
    let mut names = Vec::new();
    while let Some(frame) = inbound.next_frame() {
        names.push(match frame.parse().expect("clients send packets") {
            Packet::JoinVoiceChannelRequest { .. } => "join",
            Packet::LeaveVoiceChannelRequest { .. } => "leave",
            Packet::PingRequest { .. } => "ping",
            Packet::ChatMessageRequest { .. } => "chat",
            packet => panic!("{packet:?}"),
        });
    }
    names
}

#[test]
fn a_proof_without_an_answer_is_told_soon_and_asked_for_until_there_is_one() {
    let start = Instant::now();
    let mut session = logged_in(start, &["ann"]);
    let number = proof_sent(&mut session).expect("it is asked at once");
    let mut at = start;
    while session.proof_state() == ProofState::Asking {
        at = session.wake_at().expect("it goes on");
        session.handle_timeout(at);
        assert_eq!(proof_sent(&mut session), Some(number), "it is identical");
    }
    assert_eq!(at, start + Duration::from_secs(2));
    let unanswered = |was_ready| Event::VoiceUnanswered {
        address: "there".to_owned(),
        was_ready,
    };
    assert_eq!(hear_out(&mut session), [unanswered(false)]);
    // It is not told again, and goes on.
    let longest = Duration::from_millis(proof::WAITS_MS[proof::WAITS_MS.len() - 1]);
    for _ in 0..100 {
        let next = session.wake_at().expect("it goes on");
        assert!(next <= at + longest);
        at = next;
        session.handle_timeout(at);
        // The server is there all along.
        let request_id = 0;
        assert_eq!(
            tell(&mut session, at, Packet::PingResponse { request_id }),
            []
        );
        while let Some(repeated) = session.next_datagram() {
            assert!(repeated.ends_with(&TOKEN.0.to_be_bytes()));
        }
    }
    answer_proof(&mut session, at, number, true);
    let address = "there".to_owned();
    assert_eq!(hear_out(&mut session), [Event::VoiceReady { address }]);
    // What was there and is not any more is told in other words.
    session.prove(at);
    while session.proof_state() == ProofState::Proven {
        at = session.proof.wake_at().expect("it goes on");
        session.handle_timeout(at);
    }
    assert_eq!(hear_out(&mut session), [unanswered(true)]);
}

#[test]
fn voice_is_not_joined_before_it_can_be_heard() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    session.join(now);
    assert_eq!(requests(&mut session), [""; 0]);
    assert!(session.is_about_to_join());
    let number = proof_sent(&mut session).expect("it is asked at once");
    answer_proof(&mut session, now, number, true);
    assert_eq!(requests(&mut session), ["join"]);
    // Once.
    session.prove(now);
    let number = proof_sent(&mut session).expect("it is asked at once");
    answer_proof(&mut session, now, number, true);
    assert_eq!(requests(&mut session), [""; 0]);
}

#[test]
fn who_wants_voice_joins_it_when_the_way_opens() {
    let mut now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    session.join(now);
    while session.proof_state() == ProofState::Asking {
        now = session.wake_at().expect("it goes on");
        session.handle_timeout(now);
    }
    // It is said why there is no voice, and nobody is kept waiting.
    assert!(!session.is_about_to_join());
    assert!(matches!(
        hear_out(&mut session)[..],
        [Event::VoiceUnanswered { .. }]
    ));
    answer_proof(&mut session, now, 1, true);
    assert_eq!(requests(&mut session), ["join"]);
}

#[test]
fn who_has_left_does_not_join_later() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    session.join(now);
    session.leave(now);
    answer_proof(&mut session, now, 1, true);
    assert_eq!(requests(&mut session), ["leave"]);
}

#[test]
fn the_proof_is_renewed_every_15_seconds() {
    let mut now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    for number in 1..=3 {
        assert_eq!(proof_sent(&mut session), Some(number));
        answer_proof(&mut session, now, number, true);
        assert_eq!(session.proof_state(), ProofState::Proven);
        assert_eq!(session.proof.wake_at(), Some(now + proof::EVERY));
        now += proof::EVERY;
        session.handle_timeout(now - Duration::from_millis(1));
        assert_eq!(proof_sent(&mut session), None);
        session.handle_timeout(now);
    }
    assert_eq!(hear_out(&mut session).len(), 1, "it is news once");
}

#[test]
fn an_answer_to_another_proof_changes_nothing_and_a_refusal_ends_it() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    answer_proof(&mut session, now, 9, false);
    assert_eq!(session.proof_state(), ProofState::Asking);
    answer_proof(&mut session, now, 1, true);
    // What comes twice, or late, is no answer either.
    answer_proof(&mut session, now, 1, false);
    assert_eq!(session.proof_state(), ProofState::Proven);

    let mut session = logged_in(now, &["ann"]);
    answer_proof(&mut session, now, 1, false);
    assert_eq!(session.proof_state(), ProofState::Failed);
    assert_eq!(hear_out(&mut session), [Event::VoiceRefused]);
    assert_eq!(session.loss(), None);
    // Joining tries again.
    while session.next_datagram().is_some() {}
    session.join(now);
    assert_eq!(proof_sent(&mut session), Some(2));
    assert_eq!(session.proof_state(), ProofState::Asking);
}

#[test]
fn what_is_asked_is_waited_for() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    session.ping(now);
    assert!(session.is_waiting_for_answers());
    let later = now + Duration::from_millis(3);
    let answer = Packet::PingResponse { request_id: 2 };
    let pong = Event::Pong { round_trip_ms: 3.0 };
    assert_eq!(tell(&mut session, later, answer), [pong]);
    assert!(!session.is_waiting_for_answers());

    // A message is through when it comes back.
    session.chat(now, "hi");
    let yes = Packet::ChatMessageResponse {
        request_id: 3,
        success: true,
        reason: None,
    };
    assert_eq!(tell(&mut session, now, yes), []);
    assert!(session.is_waiting_for_answers());
    let message = Packet::UserSentMessage {
        user_id: UserId(1),
        timestamp_ms: 5,
        message: "hi",
    };
    assert_eq!(tell(&mut session, now, message).len(), 1);
    assert!(!session.is_waiting_for_answers());

    // What is refused is given back.
    session.chat(now, "what");
    assert_eq!(session.unanswered_messages().collect::<Vec<_>>(), ["what"]);
    let no = Packet::ChatMessageResponse {
        request_id: 4,
        success: false,
        reason: None,
    };
    let message = "what".to_owned();
    assert_eq!(
        tell(&mut session, now, no),
        [Event::ChatRefused {
            message,
            reason: None
        }]
    );

    session.leave(now);
    session.handle_timeout(now + ANSWER_TIMEOUT);
    assert_eq!(hear_out(&mut session), [Event::Unanswered { waited_s: 5 }]);
    assert!(!session.is_waiting_for_answers());
    assert_eq!(session.login_failure(), None);
}

#[test]
fn joining_and_leaving_unmute_unless_they_change_nothing() {
    let now = Instant::now();
    let mut session = in_touch(now, &["ann"]);
    let mut request_id = 1;
    let mut ask = |session: &mut Session, joins: bool| {
        request_id += 1;
        let success = true;
        let answer = if joins {
            session.join(now);
            Packet::JoinVoiceChannelResponse {
                request_id,
                success,
                reason: None,
            }
        } else {
            session.leave(now);
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
                reason: None,
            }
        };
        tell(session, now, answer);
        (session.is_in_voice(), session.is_muted())
    };
    session.mute(true);
    assert_eq!(ask(&mut session, true), (true, false));
    session.mute(true);
    assert_eq!(ask(&mut session, true), (true, true));
    assert_eq!(ask(&mut session, false), (false, false));
}

#[test]
fn a_login_that_is_refused_or_not_answered_has_failed() {
    let now = Instant::now();
    let mut session = Session::new(now, "ann", String::new());
    session.handle_timeout(now + ANSWER_TIMEOUT);
    assert_eq!(session.login_failure(), Some(&LoginFailure::Unanswered));

    let mut session = Session::new(now, "ann", String::new());
    let refusal = Packet::LoginResponse {
        request_id: 1,
        id: UserId(0),
        voice_token: VoiceToken(0),
        participants: voiceapp_protocol::Participants::EMPTY,
        granted: None,
    };
    tell(&mut session, now, refusal);
    assert_eq!(session.login_failure(), Some(&LoginFailure::Refused(None)));

    let session = Session::new(now, &"x".repeat(70_000), String::new());
    assert_eq!(session.login_failure(), Some(&LoginFailure::Refused(None)));
}
