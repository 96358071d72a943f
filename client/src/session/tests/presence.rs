//! Who is here.

use super::*;
use crate::session::people::PEOPLE_MAX;

#[test]
fn people_come_and_go_and_namesakes_are_told_apart() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann", "bob", "bob"]);
    let shown = |session: &Session, id| session.who(UserId(id)).to_string();
    let all = [1, 2, 3, 4].map(|id| shown(&session, id));
    assert_eq!(all, ["ann", "bob#2", "bob#3", "user 4"]);

    let user_id = UserId(3);
    let joined = Packet::UserJoinedVoice { user_id };
    assert_eq!(tell(&mut session, now, joined).len(), 1);
    assert_eq!(tell(&mut session, now, joined), [], "it is no news");
    let left = Packet::UserLeftServer { user_id };
    let events = tell(&mut session, now, left);
    assert_eq!(events[0].to_string(), "* bob#3 left the server");
    assert_eq!(shown(&session, 2), "bob");
}

#[test]
fn who_is_told_again_is_counted_once() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann", "bob"]);
    let renamed = |id, username| Packet::UserJoinedServer {
        participant: Participant {
            user_id: UserId(id),
            username,
            in_voice: false,
            is_muted: false,
        },
    };
    for _ in 0..2 {
        tell(&mut session, now, renamed(2, "bob"));
        assert_eq!(session.who(UserId(2)).to_string(), "bob");
    }
    tell(&mut session, now, renamed(2, "ann"));
    assert_eq!(session.who(UserId(1)).to_string(), "ann#1");
    tell(&mut session, now, renamed(2, "carol"));
    assert_eq!(session.who(UserId(1)).to_string(), "ann");
}

#[test]
fn a_server_that_names_no_end_of_people_fills_no_memory() {
    let now = Instant::now();
    let mut session = logged_in(now, &["ann"]);
    let mut told = 0;
    for id in 2..=PEOPLE_MAX as u64 + 1_000 {
        let user_id = UserId(id);
        // All have one name, which makes finding namesakes as hard as it can be.
        let events = match id % 2 {
            0 => tell(
                &mut session,
                now,
                Packet::UserJoinedServer {
                    participant: Participant {
                        user_id,
                        username: "bob",
                        in_voice: false,
                        is_muted: false,
                    },
                },
            ),
            _ => tell(&mut session, now, Packet::UserJoinedVoice { user_id }),
        };
        let is_too_many = |it: &Event| matches!(it, Event::TooMany { people: PEOPLE_MAX });
        told += events.into_iter().filter(is_too_many).count();
    }
    assert_eq!(session.people().len(), PEOPLE_MAX);
    assert_eq!(told, 1);
    // A departure makes room.
    let user_id = UserId(2);
    tell(&mut session, now, Packet::UserLeftServer { user_id });
    let user_id = UserId(u64::MAX);
    let events = tell(&mut session, now, Packet::UserJoinedVoice { user_id });
    assert!(matches!(events[..], [Event::JoinedVoice { .. }]));
}
