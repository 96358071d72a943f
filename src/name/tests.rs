//! Names that people have, in many scripts, and names that pretend.

use super::*;

#[test]
fn plain_names_in_any_script_stay_as_they_are() {
    for name in [
        "a",
        "alice",
        "Jürgen 🎤",
        "O'Brien-Łuczak",
        "~[xX_n00b_Xx]~",
        "Nguyễn Thị Hằng",
        "Дмитрий Й.",
        "Ὀδυσσεύς",
        "Հայկ",
        "ნინო",
        "שָׁלוֹם",
        "محمد علي",
        "مُحَمَّدٌ",
        "ܝܘܚܢܢ",
        "राजेश कुमार",
        "রায় জয়ন্ত",
        "ਗੁਰਪ੍ਰੀਤ",
        "ગુજરાતી",
        "முருகன்",
        "శ్రీనివాస్",
        "ಕನ್ನಡ",
        "കൃഷ്ണൻ",
        "สมชาย ใจดี",
        "ວັນນາ",
        "བསྟན་འཛིན",
        "လျှို့ဝှက်",
        "សុខា",
        "አበበ",
        "ᏣᎳᎩ",
        "ᓄᓇᕗᑦ",
        "ᠪᠠᠲᠤ",
        "李小龍",
        "さくら",
        "ｱﾘｽ",
        "김철수",
        "𓂀",
        "①②③",
        "𝓐𝓵𝓲𝓬𝓮",
    ] {
        let name: String = name.nfc().collect();
        let fits = name.len() <= USERNAME_BYTES_MAX;
        assert!(fits, "{name} is too long for a test");
        assert_eq!(accept(&name).as_deref(), Ok(name.as_str()), "{name}");
    }
}

#[test]
fn joiners_and_selectors_stay_where_writing_needs_them() {
    for name in [
        // Persian, with and without marks in between.
        "علی\u{200c}رضا",
        "محمد\u{200c}رضا",
        "نیک\u{64e}\u{200c}نام",
        // Sinhala, Devanagari, Malayalam's older form, Bengali and Kannada.
        "ශ\u{dca}\u{200d}රී",
        "क\u{94d}\u{200d}ष",
        "र\u{94d}\u{200c}क",
        "അവന\u{d4d}\u{200d}",
        "র\u{200d}\u{9cd}যাচেল",
        "ರ\u{200d}\u{ccd}ಯ",
        // Emoji: of several people, coloured, with a selector, and a key's cap.
        "👩\u{200d}🚀",
        "👨\u{200d}👩\u{200d}👧",
        "👩🏽\u{200d}💻",
        "🏳\u{fe0f}\u{200d}🌈",
        "🏴\u{200d}☠\u{fe0f}",
        "alice ❤\u{fe0f}",
        "☺\u{fe0e}",
        "1\u{fe0f}\u{20e3}",
        "🇩🇪",
        // A Japanese family's own form of a character, and Mongolian.
        "葛\u{e0100}城",
        "ᠴᠢᠨ\u{180e}ᠠ",
        "ᠭ\u{180b}ᠠ",
    ] {
        assert_eq!(accept(name).as_deref(), Ok(name), "{name:?}");
    }
}

#[test]
fn what_looks_like_one_name_is_one() {
    for (asked, name) in [
        ("alice ", "alice"),
        (" \u{a0}\u{3000}alice\u{2003}", "alice"),
        ("alice\u{2009} \u{205f}smith", "alice smith"),
        ("Ame\u{301}lie", "Amélie"),
        ("\u{212b}sa", "Åsa"),
        ("\u{1100}\u{1161}\u{11a8}", "각"),
    ] {
        assert_eq!(accept(asked).as_deref(), Ok(name), "{asked:?}");
    }
}

#[test]
fn who_cannot_be_seen_cannot_come_in() {
    for name in ["", " ", "\u{a0}\u{2003}\u{3000}"] {
        assert_eq!(accept(name), Err(NameError::Empty), "{name:?}");
    }
    let hidden = [
        '\0',
        '\n',
        '\t',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9f}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{17b4}',
        '\u{180b}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{206f}',
        '\u{2800}',
        '\u{3164}',
        '\u{e000}',
        '\u{fdd0}',
        '\u{fe00}',
        '\u{fe0e}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{fffc}',
        '\u{ffff}',
        '\u{1bca0}',
        '\u{1d159}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e0061}',
        '\u{e0100}',
        '\u{e01ef}',
        '\u{f0000}',
        '\u{10ffff}',
    ];
    for c in hidden {
        for name in [
            format!("{c}"),
            format!("{c}alice"),
            format!("ali{c}ce"),
            format!("alice{c}"),
            format!("👩{c}{c}👩"),
        ] {
            assert_eq!(accept(&name), Err(NameError::Character(c)), "{name:?}");
        }
    }
}

#[test]
fn joiners_and_selectors_elsewhere_are_refused() {
    for name in [
        "علی\u{200c}",
        "علی\u{200d}رضا",
        "علی\u{200c}a",
        "क\u{94d}\u{200c}",
        "क\u{200d}ष",
        "👩\u{200d}",
        "👩\u{200d}a",
        "❤\u{fe0f}\u{fe0f}",
        "1\u{fe0f}",
        "a\u{fe0f}",
        "葛\u{e0100}\u{e0101}",
        "a\u{e0100}",
        // The flag of Scotland is made of tags, which can spell anything unseen.
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e007f}",
    ] {
        let result = accept(name);
        assert!(
            matches!(result, Err(NameError::Character(_))),
            "{name:?}: {result:?}"
        );
    }
}

#[test]
fn marks_need_a_letter_and_are_few() {
    let marked = |letter: &str, count| format!("{letter}{}", "\u{336}".repeat(count));
    assert_eq!(accept(&marked("a", 4)), Ok(marked("a", 4)));
    for name in [
        marked("a", 5),
        marked("é", 4),
        marked("", 1),
        marked("a ", 1),
        marked("a", 4) + "\u{20dd}",
        // A joiner is no letter.
        "क\u{94d}\u{200d}\u{94d}\u{200d}\u{94d}\u{200d}\u{93c}\u{93c}".to_owned(),
    ] {
        assert_eq!(accept(&name), Err(NameError::Marks), "{name:?}");
    }
}

#[test]
fn the_length_is_bounded_without_the_spaces_around() {
    let longest = ["a".repeat(32), "é".repeat(16), "🎤".repeat(8)];
    for name in longest {
        assert_eq!(accept(&format!("  {name} ")), Ok(name.clone()));
        assert_eq!(accept(&format!("{name}a")), Err(NameError::TooLong));
    }
    assert_eq!(accept(&" ".repeat(65_000)), Err(NameError::Empty));
    assert_eq!(accept(&"a".repeat(65_000)), Err(NameError::TooLong));
}

/// The form NFC takes twice the bytes for some letters, and nobody's name is too long for that.
#[test]
fn letters_that_grow_in_their_usual_form_are_not_too_long() {
    let name = "\u{9df}".repeat(10);
    assert_eq!(accept(&name), Ok(name));
    assert_eq!(accept("\u{9df}"), Ok("\u{9af}\u{9bc}".to_owned()));
}

#[test]
fn what_comes_out_is_accepted_unchanged() {
    // Beyond are Chinese characters and what is not assigned.
    for c in (0..0x20000).filter_map(char::from_u32) {
        let asked = format!("a{c} 👩{c}b");
        if let Ok(name) = accept(&asked) {
            assert_eq!(accept(&name), Ok(name.clone()), "{asked:?}");
            assert!((1..=USERNAME_BYTES_MAX).contains(&name.len()));
        }
    }
}
