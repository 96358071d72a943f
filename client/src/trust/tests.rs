use super::*;

const PLACE: &str = "host:9001";

fn key(byte: u8) -> Fingerprint {
    Fingerprint([byte; 32])
}

fn known(lines: &[&str]) -> Known {
    Known::parse(&lines.join("\n"))
}

fn line(place: &str, byte: u8) -> String {
    format!("{place} sha256={}", key(byte))
}

/// What is decided when key 1 is presented.
fn decided(known: Result<&Known, &str>, pinned: Option<u8>, is_vouched: bool) -> Decision {
    let question = Question {
        place: PLACE,
        presented: key(1),
        pinned: pinned.map(key),
        known,
    };
    decide(&question, || is_vouched)
}

fn keep_key(grounds: Grounds) -> Decision {
    Decision::AcceptAndKeep(grounds, Kept::Key(key(1)))
}

#[test]
fn the_first_key_is_kept_and_no_other_is_trusted_after_it() {
    let (same, other) = (line(PLACE, 1), line(PLACE, 2));
    let elsewhere = [line("host:9002", 2), line("other:9001", 2)];
    let changed = |lines: &[usize]| {
        let lines = lines.to_vec();
        Decision::Refuse(Unfit::Changed {
            kept: key(2),
            lines,
        })
    };
    let table: [(&[&str], Decision); 6] = [
        (&[], keep_key(Grounds::FirstUse)),
        (&[&elsewhere[0], &elsewhere[1]], keep_key(Grounds::FirstUse)),
        (
            &[&elsewhere[0], "# note", &same],
            Decision::Accept(Grounds::Known),
        ),
        (&[&elsewhere[0], "", &other], changed(&[3])),
        // The last counts.
        (&[&same, &other], changed(&[1, 2])),
        (&[&other, &same], Decision::Accept(Grounds::Known)),
    ];
    for (lines, expected) in table {
        let decision = decided(Ok(&known(lines)), None, false);
        assert_eq!(decision, expected, "{lines:?}");
    }
}

#[test]
fn a_pin_counts_more_than_all_else() {
    let not_pinned = || Decision::Refuse(Unfit::NotPinned { pinned: key(2) });
    let (same, other) = (line(PLACE, 1), line(PLACE, 2));
    for lines in [
        &[][..],
        &[same.as_str()],
        &[other.as_str()],
        &["host:9001 roots"],
        &["?"],
    ] {
        let known = known(lines);
        for is_vouched in [false, true] {
            assert_eq!(decided(Ok(&known), Some(2), is_vouched), not_pinned());
            let is_kept = lines == [same.as_str()];
            let expected = match is_kept {
                true => Decision::Accept(Grounds::Pinned),
                false => keep_key(Grounds::Pinned),
            };
            assert_eq!(
                decided(Ok(&known), Some(1), is_vouched),
                expected,
                "{lines:?}"
            );
        }
    }
    assert_eq!(decided(Err("gone"), Some(2), true), not_pinned());
    assert_eq!(
        decided(Err("gone"), Some(1), false),
        keep_key(Grounds::Pinned)
    );
}

#[test]
fn what_roots_vouch_for_once_they_have_to_vouch_for_again() {
    let keep_roots = Decision::AcceptAndKeep(Grounds::Vouched, Kept::Roots);
    let (same, other) = (line(PLACE, 1), line(PLACE, 2));
    let table: [(&[&str], Decision); 5] = [
        (&[], keep_roots.clone()),
        (&["?"], keep_roots.clone()),
        // Its owner has got a certificate since.
        (&[&other], keep_roots.clone()),
        (&[&same], Decision::Accept(Grounds::Known)),
        (
            &[&other, "host:9001 roots"],
            Decision::Accept(Grounds::Vouched),
        ),
    ];
    for (lines, expected) in table {
        let decision = decided(Ok(&known(lines)), None, true);
        assert_eq!(decision, expected, "{lines:?}");
    }
    assert_eq!(decided(Err("gone"), None, true), keep_roots);
    let refused = decided(Ok(&known(&[&same, "host:9001 roots"])), None, false);
    let lines = vec![1, 2];
    assert_eq!(refused, Decision::Refuse(Unfit::NotVouched { lines }));
}

#[test]
fn a_file_that_cannot_be_read_makes_no_connection_the_first() {
    let (same, other) = (line(PLACE, 1), line(PLACE, 2));
    let cut_off = &same[..same.len() - 1];
    let unreadable = |lines: &[usize]| {
        let lines = lines.to_vec();
        Decision::Refuse(Unfit::Unreadable { lines })
    };
    let table: [(&[&str], Decision); 7] = [
        (&[cut_off], unreadable(&[1])),
        (
            &["", "host:9001", "# x", "host:9001 sha256="],
            unreadable(&[2, 4]),
        ),
        (&["host:9001 roots now"], unreadable(&[1])),
        (&["host roots"], unreadable(&[1])),
        (&["h\u{fffd}st:9001 roots"], unreadable(&[1])),
        // This server's own line can be read.
        (&["?", &same], Decision::Accept(Grounds::Known)),
        (
            &["?", &other],
            Decision::Refuse(Unfit::Changed {
                kept: key(2),
                lines: vec![2],
            }),
        ),
    ];
    for (lines, expected) in table {
        let decision = decided(Ok(&known(lines)), None, false);
        assert_eq!(decision, expected, "{lines:?}");
    }
    let refused = decided(Err("denied"), None, false);
    assert_eq!(
        refused,
        Decision::Refuse(Unfit::Unknowable("denied".into()))
    );
}

#[test]
fn a_refusal_shows_both_keys_where_they_are_and_what_to_do() {
    let refusal = |unfit| Refusal {
        server: "host:9001".into(),
        presented: key(1),
        unfit,
        file: "/home/a/known_servers".into(),
    };
    let (one, two) = (key(1).to_string(), key(2).to_string());
    let lines = vec![3, 7];
    let (kept, pinned) = (key(2), key(2));
    let table: [(Unfit, &[&str]); 7] = [
        (
            Unfit::Changed {
                kept,
                lines: lines.clone(),
            },
            &[&one, &two, "/home/a/known_servers, lines 3, 7", "--pin"],
        ),
        (Unfit::NotPinned { pinned }, &[&one, &two, "invitation"]),
        (
            Unfit::NotVouched { lines: vec![3] },
            &[&one, "/home/a/known_servers, line 3)", "--pin"],
        ),
        (
            Unfit::Unreadable { lines },
            &[
                &one,
                "/home/a/known_servers: cannot read lines 3, 7",
                "Mend",
            ],
        ),
        (
            Unfit::Unknowable("denied".into()),
            &[&one, "denied", "--pin"],
        ),
        (
            Unfit::NotKept("full".into()),
            &[&one, "/home/a/known_servers: full", "--pin"],
        ),
        (Unfit::NotProven, &[&one, "someone on the network path"]),
    ];
    for (unfit, words) in table {
        let expected = matches!(unfit, Unfit::Changed { .. } | Unfit::NotPinned { .. });
        let refusal = refusal(unfit);
        let text = refusal.to_string();
        for word in ["host:9001", "nothing was sent"].iter().chain(words) {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(refusal.expected(), expected.then_some(key(2)));
    }
}
