//! Capabilities and tagged fields: what is skipped, what counts, and what is malformed.

use super::*;

/// The payload of a LoginRequest with this behind the name.
fn login(behind: &[u8]) -> Vec<u8> {
    [b"\0\0\0\0\0\0\0\x01\x00\x01a", behind].concat()
}

fn asked(behind: &[u8]) -> Result<Option<Asked<'static>>, PacketError> {
    let payload: &'static [u8] = login(behind).leak();
    match Packet::parse(id::LOGIN_REQUEST, payload)? {
        Packet::LoginRequest { asked, .. } => Ok(asked),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_13a_under_four_bytes_nothing_was_asked_for() {
    for behind in [b"".as_slice(), b"\0", b"\0\0", b"\xff\xff\xff"] {
        assert_eq!(asked(behind), Ok(None));
    }
    assert_eq!(asked(&[0; 4]), Ok(Some(Asked::default())));
    let caps = Caps(0xffff_ffff);
    assert_eq!(
        asked(&[0xff; 4]),
        Ok(Some(Asked {
            caps,
            ..Asked::default()
        }))
    );
}

#[test]
fn rule_13c_fields_come_in_any_order_and_unknown_ones_are_skipped() {
    let behind = b"\0\0\0\x01\
        \xfe\0\x03\xff\xff\xff\
        \x03\0\x06\0\x01v\0\x012\
        \0\0\0\
        \x01\0\x03\0\x01p";
    let expected = Asked {
        caps: Caps::EXTENDED,
        password: Some(Password("p")),
        name_proof: None,
        client: Some(Program {
            name: "v",
            version: "2",
        }),
    };
    assert_eq!(asked(behind), Ok(Some(expected)));
}

#[test]
fn rule_13c_of_one_tag_the_first_counts_and_the_others_are_not_looked_at() {
    let first = Ok(Some(Asked {
        password: Some(Password("a")),
        ..Asked::default()
    }));
    for second in [
        b"\x01\0\x03\0\x01b".as_slice(),
        b"\x01\0\x03\0\x01\xff",
        b"\x01\0\0",
    ] {
        let behind = [b"\0\0\0\0\x01\0\x03\0\x01a", second].concat();
        assert_eq!(asked(&behind), first);
    }
}

#[test]
fn rule_13c_a_field_may_grow() {
    let behind = b"\0\0\0\0\x01\0\x08\0\x01alater";
    let password = Some(Password("a"));
    assert_eq!(
        asked(behind),
        Ok(Some(Asked {
            password,
            ..Asked::default()
        }))
    );
}

#[test]
fn rule_13c_a_field_that_is_cut_or_lies_is_malformed() {
    let whole = encoded(&Packet::LoginRequest {
        request_id: 1,
        username: "a",
        asked: Some(ASKED),
    });
    let behind = &whole[14..];
    // Where one field ends, another may begin, or none.
    let ends = [4, 13, 18];
    for cut in 4..behind.len() {
        let parsed = asked(&behind[..cut]);
        match ends.contains(&cut) {
            true => assert!(parsed.is_ok_and(|it| it.is_some()), "{cut}"),
            false => assert_eq!(parsed, Err(PacketError::Malformed), "{cut}"),
        }
    }
    for content in [
        b"".as_slice(),
        b"\0",
        b"\0\x02a",
        b"\xff\xffa",
        b"\0\x01\xff",
    ] {
        let behind = [b"\0\0\0\0\x01\0", [content.len() as u8].as_slice(), content].concat();
        assert_eq!(asked(&behind), Err(PacketError::Malformed), "{content:?}");
    }
}

#[test]
fn fields_that_do_not_fit_leave_the_buffer_as_it_was() {
    let text: &str = &"x".repeat(65_536);
    for len in [65_507, 65_535, 65_536] {
        let asked = Some(Asked {
            password: Some(Password(&text[..len])),
            ..Asked::default()
        });
        let packet = Packet::LoginRequest {
            request_id: 1,
            username: "",
            asked,
        };
        let mut out = b"before".to_vec();
        let fits = 8 + 2 + 4 + 3 + 2 + len <= PAYLOAD_BYTES_MAX;
        assert_eq!(packet.encode(&mut out).is_ok(), fits);
        match fits {
            true => assert_eq!(Frame::first_of(&out[6..]).unwrap().parse(), Ok(packet)),
            false => assert_eq!(out, b"before"),
        }
    }
}

#[test]
fn what_is_granted_follows_the_participants() {
    let mut out = Vec::new();
    let (token, granted) = (VoiceToken(7), Some(GRANTED));
    encode_login_response(&mut out, REQUEST_ID, UserId(2), token, [ALICE], granted).unwrap();
    let mut plain = Vec::new();
    encode_login_response(&mut plain, REQUEST_ID, UserId(2), token, [ALICE], None).unwrap();
    assert_eq!(out.len(), plain.len() + GRANTED.wire_len());
    assert_eq!(out[3..plain.len()], plain[3..]);
    let Ok(Packet::LoginResponse {
        participants,
        granted,
        ..
    }) = Packet::parse(id::LOGIN_RESPONSE, &out[3..])
    else {
        panic!("it is a LoginResponse");
    };
    assert!(participants.iter().eq([ALICE]));
    assert_eq!(granted, Some(GRANTED));
}

#[test]
fn reasons_have_a_number_each_and_words() {
    for number in 0..=255 {
        let reason = Reason::from_number(number);
        assert_eq!(reason.number(), number);
        let is_known = !matches!(reason, Reason::Other(_));
        assert_eq!(is_known, Reason::ALL.contains(&reason));
        assert_eq!(is_known, number <= 12);
        assert_eq!(is_known, reason.to_string() != format!("reason {number}"));
    }
}

#[test]
fn secrets_are_not_shown() {
    let asked = Asked {
        name_proof: Some(Password("pass")),
        ..ASKED
    };
    let shown = format!("{asked:?}");
    assert!(!shown.contains("\"pass\""), "{shown}");
}

#[test]
fn sets_of_bits_contain_what_is_in_them() {
    let both = Caps::EXTENDED | Caps::STREAM_VOICE;
    assert_eq!(both, Caps(5));
    assert!(both.contains(Caps::EXTENDED) && both.contains(both) && both.contains(Caps::NONE));
    assert!(!both.contains(Caps::SEALED) && !Caps::EXTENDED.contains(both));
    assert_eq!(Caps(0xffff_ffff) & both, both);
}
