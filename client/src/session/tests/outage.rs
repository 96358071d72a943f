//! Sessions that have ended without a word, and those that only seem to have.

use super::*;
use crate::session::liveness;

/// Lets time pass in which nothing comes, and tells when the session is taken for lost.
fn lost_after(session: &mut Session, start: Instant) -> Duration {
    while session.loss().is_none() {
        let at = session.wake_at().expect("it goes on");
        assert!(at < start + Duration::from_secs(3_600), "it stays for ever");
        session.handle_timeout(at);
        while session.next_datagram().is_some() {}
        if session.loss().is_some() {
            assert_eq!(session.loss(), Some(Loss::Silent));
            return at - start;
        }
    }
    Duration::ZERO
}

#[test]
fn a_refusal_after_a_success_is_a_lost_session() {
    let now = Instant::now();
    let mut session = in_touch(now, &["ann"]);
    session.prove(now);
    answer_proof(&mut session, now, 2, false);
    assert_eq!(session.loss(), Some(Loss::Ended));
    // It is no trouble with voice.
    assert_eq!(hear_out(&mut session), []);
}

#[test]
fn so_is_one_after_an_outage_in_which_nothing_was_answered() {
    let mut now = Instant::now();
    let mut session = in_touch(now, &["ann"]);
    session.prove(now);
    while session.proof_state() == ProofState::Proven {
        now = session.wake_at().expect("it goes on");
        session.handle_timeout(now);
    }
    answer_proof(&mut session, now, 2, false);
    assert_eq!(session.loss(), Some(Loss::Ended));
}

#[test]
fn a_server_that_says_nothing_is_asked_and_lost_in_the_end() {
    let now = Instant::now();
    let mut session = in_touch(now, &["ann"]);
    session.handle_timeout(now + liveness::ASK_AFTER - Duration::from_millis(1));
    assert_eq!(requests(&mut session), [""; 0]);
    session.handle_timeout(now + liveness::ASK_AFTER);
    assert_eq!(requests(&mut session), ["ping"]);
    let lost_after = lost_after(&mut session, now);
    assert_eq!(lost_after, liveness::ASK_AFTER + liveness::OUTAGE_MAX);
    // It was asked once, and nobody need know.
    assert_eq!(requests(&mut session), [""; 0]);
    assert!(!session.is_waiting_for_answers());
}

#[test]
fn when_voice_is_not_answered_the_server_is_asked_at_once() {
    let mut now = Instant::now();
    let mut session = in_touch(now, &["ann"]);
    session.prove(now);
    while session.proof_state() == ProofState::Proven {
        assert_eq!(requests(&mut session), [""; 0]);
        now = session.wake_at().expect("it goes on");
        session.handle_timeout(now);
    }
    assert_eq!(requests(&mut session), ["ping"]);
    // Anything that comes will do, and the question is no news.
    let request_id = 2;
    let events = tell(&mut session, now, Packet::PingResponse { request_id });
    assert!(matches!(events[..], [Event::VoiceUnanswered { .. }]));
    session.handle_timeout(now + liveness::OUTAGE_MAX);
    assert_eq!(session.loss(), None);
}

#[test]
fn who_has_another_address_is_not_patient() {
    let now = Instant::now();
    let mut session = in_touch(now, &["ann"]);
    session.handle_route_change(now);
    assert!(proof_sent(&mut session).is_some());
    assert_eq!(requests(&mut session), ["ping"]);
    assert_eq!(lost_after(&mut session, now), liveness::OUTAGE_MAX_MOVED);

    // Where the connection has survived, the session has.
    let mut session = in_touch(now, &["ann"]);
    session.handle_route_change(now);
    let request_id = 2;
    tell(&mut session, now, Packet::PingResponse { request_id });
    session.handle_timeout(now + liveness::OUTAGE_MAX_MOVED);
    assert_eq!(session.loss(), None);
}

#[test]
fn when_voice_is_answered_and_the_connection_is_silent_it_is_lost() {
    let start = Instant::now();
    let mut session = in_touch(start, &["ann"]);
    let now = start + liveness::ASK_AFTER;
    // Both are due.
    session.handle_timeout(now);
    let number = proof_sent(&mut session).expect("it is due");
    answer_proof(&mut session, now, number, true);
    let lost_after = lost_after(&mut session, now);
    assert_eq!(lost_after, liveness::OUTAGE_MAX_WITH_VOICE);
}

#[test]
fn who_was_held_up_looks_again_before_all_is_lost() {
    let now = Instant::now();
    let mut session = in_touch(now, &["ann"]);
    session.handle_timeout(now + liveness::ASK_AFTER);
    let late = now + Duration::from_secs(300);
    session.handle_timeout(late);
    assert_eq!(session.loss(), None);
    let request_id = 2;
    tell(&mut session, late, Packet::PingResponse { request_id });
    session.handle_timeout(late + liveness::OUTAGE_MAX_MOVED);
    assert_eq!(session.loss(), None);
}
