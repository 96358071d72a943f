//! What a session asks for, what it is granted, and what it hears of a no and of the end.

use super::*;
use crate::session::{Login, Said};
use voiceapp_protocol::{Asked, Caps, Granted, Greeting, Participants, Password, Reason, Refusal};
use voiceapp_protocol::{Program, UserFlags};

/// The login that a new session sends.
fn asked(login: impl Into<Login>, look: impl FnOnce(&str, Option<Asked<'_>>)) {
    let mut session = Session::new(Instant::now(), login, String::new());
    let bytes = session.take_outbound();
    match Frame::first_of(&bytes).map(|frame| frame.parse()) {
        Ok(Ok(Packet::LoginRequest {
            username, asked, ..
        })) => look(username, asked),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_asks_for_all_that_the_library_can_and_nothing_is_asked_without_capabilities() {
    asked("ann", |name, asked| {
        let asked = asked.expect("it asks");
        assert_eq!((name, asked.caps), ("ann", Caps::EXTENDED));
        assert_eq!((asked.password, asked.name_proof), (None, None));
        let program = asked.client.map(|Program { name, .. }| name);
        assert_eq!(program, Some("voiceapp-client"));
    });
    let with = Login {
        password: Some("sesame".into()),
        name_secret: Some("mine".into()),
        ..Login::from("ann")
    };
    asked(with.clone(), |_, asked| {
        let asked = asked.expect("it asks");
        assert_eq!(asked.password, Some(Password("sesame")));
        assert_eq!(asked.name_proof, Some(Password("mine")));
    });
    let old = Login { caps: None, ..with };
    asked(old, |name, asked| assert_eq!((name, asked), ("ann", None)));
}

fn response(id: u64, granted: Granted<'_>) -> Packet<'_> {
    Packet::LoginResponse {
        request_id: 1,
        id: UserId(id),
        voice_token: VoiceToken(id),
        participants: Participants::EMPTY,
        granted: Some(granted),
    }
}

#[test]
fn what_is_granted_is_kept_and_the_welcome_is_news() {
    let now = Instant::now();
    let mut session = Session::new(now, "ann", String::new());
    let granted = Granted {
        caps: Caps::EXTENDED,
        server: Some(Greeting {
            name: "home",
            welcome: "be\nkind",
        }),
        voice_port: Some(9_002),
        ..Granted::default()
    };
    let events = tell(&mut session, now, response(1, granted));
    let shown: Vec<String> = events.iter().map(ToString::to_string).collect();
    assert_eq!(shown[1..], ["home: be\\nkind"]);
    assert_eq!(session.granted(), Caps::EXTENDED);
    assert_eq!(session.voice_port(), Some(9_002));
}

#[test]
fn a_refusal_has_the_words_of_the_server_with_nothing_in_them_that_acts_on_a_terminal() {
    let now = Instant::now();
    for (reason, text, shown) in [
        (Reason::Password, "no", "no"),
        (Reason::Password, "", "the password is missing or wrong"),
        (Reason::Other(77), "", "reason 77"),
        (Reason::Full, "a\x1b[2J", "a\\u{1b}[2J"),
    ] {
        let mut session = Session::new(now, "ann", String::new());
        let refusal = Some(Refusal { reason, text });
        let granted = Granted {
            refusal,
            ..Granted::default()
        };
        tell(&mut session, now, response(0, granted));
        let failure = session.login_failure().expect("it has failed");
        let words = format!("the server refused the login: {shown}");
        assert_eq!(failure.to_string(), words);
        assert_eq!(failure.reason(), Some(reason));
    }
}

#[test]
fn the_last_word_is_kept_and_told() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    assert_eq!(session.farewell(), None);
    let (reason, text) = (Reason::Banned, "bye");
    let events = tell(&mut session, now, Packet::Ended { reason, text });
    let ended = Event::Ended {
        reason: 4,
        text: "bye".into(),
    };
    assert_eq!(ended.to_string(), "the server closes the connection: bye");
    assert_eq!(events, [ended]);
    let text = "bye".to_owned();
    assert_eq!(session.farewell(), Some(&Said { reason, text }));
}

#[test]
fn flags_are_kept_for_each_person_until_they_come_anew() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann", "bob"]);
    let flags = |id, flags| Packet::UserFlags {
        user_id: UserId(id),
        flags,
    };
    let both = UserFlags::IS_ENCRYPTED | UserFlags::NAME_IS_PROVED;
    assert_eq!(tell(&mut session, now, flags(2, both)), []);
    assert_eq!(
        tell(&mut session, now, flags(1, UserFlags::IS_ENCRYPTED)),
        []
    );
    let shown = |session: &Session| -> Vec<String> {
        let people = session.people();
        people.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        shown(&session),
        ["    1 ann (you), encrypted", "    2 bob, encrypted, proved"]
    );
    assert_eq!(tell(&mut session, now, flags(1, UserFlags::NONE)), []);
    let participant = Participant {
        user_id: UserId(2),
        username: "bob",
        in_voice: false,
        is_muted: false,
    };
    tell(&mut session, now, Packet::UserJoinedServer { participant });
    assert_eq!(shown(&session), ["    1 ann (you)", "    2 bob"]);
}

#[test]
fn a_refused_message_comes_back_with_its_reason() {
    let now = Instant::now();
    for (reason, words) in [
        (Reason::TooOften, "it came too soon after others"),
        (Reason::NotAllowed, "it is empty or too long"),
        (
            Reason::Full,
            "it is too long, or came too soon after others",
        ),
    ] {
        let mut session = logged_in(now, &["ann"]);
        session.chat(now, "hi");
        let no = Packet::ChatMessageResponse {
            request_id: 2,
            success: false,
            reason: Some(reason),
        };
        let events = tell(&mut session, now, no);
        let shown: Vec<String> = events.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [format!("the server refused this: {words}: hi")]);
    }
}
