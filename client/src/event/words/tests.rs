//! Words that nobody can imitate, and numbers as they are said.

use super::*;

#[test]
fn waits_are_told_in_seconds() {
    let table = [(978, "1.0 s"), (1_249, "1.2 s"), (30_000, "30.0 s")];
    for (after_ms, words) in table {
        let event = Event::Reconnecting { after_ms };
        assert_eq!(event.to_string(), format!("connecting again in {words}"));
    }
}

#[test]
fn names_cannot_imitate_what_is_said_about_people() {
    let table = [
        ("alice", "alice"),
        ("Ørsted-2.b_c", "Ørsted-2.b_c"),
        ("अमित", "अमित"),
        ("Anna Maria", "\"Anna Maria\""),
        ("alice> hi, I am", "\"alice> hi, I am\""),
        ("alice#1", "\"alice#1\""),
        ("alice (you)", "\"alice (you)\""),
        ("alice\u{200b}", "\"alice\u{200b}\""),
        ("\"alice\"", "\"\\\"alice\\\"\""),
        ("alice\\", "\"alice\\\\\""),
        ("user 3", "\"user 3\""),
        ("a\x1b[2J", "\"a\\u{1b}[2J\""),
        ("", "user 7"),
    ];
    for (name, shown) in table {
        let who = Who {
            user_id: 7,
            name: name.into(),
            has_namesake: false,
        };
        assert_eq!(who.to_string(), shown);
    }
    let who = Who {
        user_id: 7,
        name: "alice#1".into(),
        has_namesake: true,
    };
    assert_eq!(who.to_string(), "\"alice#1\"#7");
}

#[test]
fn text_of_others_cannot_act_on_the_terminal() {
    let table = [
        ("grüße 👩\u{200d}🚀", "grüße 👩\u{200d}🚀"),
        ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
        ("two\r\nlines\x07", "two\\r\\nlines\\u{7}"),
        ("\u{9b}31m", "\\u{9b}31m"),
        ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
    ];
    for (text, shown) in table {
        assert_eq!(printable(text), shown);
    }
}
