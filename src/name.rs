//! The names of users: rule 1 of the protocol, in one place, the same for every client.
//!
//! The model is the Nickname profile of RFC 8266 with the bound of UTS #39 (section 5.4) on
//! combining marks. It is followed where it makes two names that look the same one, and not where
//! it would change how a name looks or refuse one that people have:
//!
//! - Spaces of every kind become U+0020, at the ends none and inside one, and the name takes
//!   Unicode's form NFC. The profile's NFKC would turn some letters into others, and is left out.
//! - Invisible characters are refused, with controls, private and unassigned characters. The
//!   profile thereby refuses emoji of several characters; here, what shapes its neighbours is
//!   accepted beside them.
//! - Letters that look like others are accepted: two users may have one name anyway, and ids tell
//!   them apart.

use crate::limits::{MARKS_PER_LETTER_MAX, USERNAME_BYTES_MAX};
use std::fmt;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It is empty, or has nothing but spaces.
    Empty,
    /// It is longer than [`USERNAME_BYTES_MAX`].
    TooLong,
    /// It has a character that is invisible, or that has no meaning to others.
    Character(char),
    /// It has a combining mark without a letter, or more than [`MARKS_PER_LETTER_MAX`] on one.
    Marks,
}

/// The name as others will see it, for the one that a client asks for.
/// Rule 1a.
///
/// ```
/// use voiceapp_server::name::accept;
///
/// assert_eq!(accept("  Jürgen  🎤 ").as_deref(), Ok("Jürgen 🎤"));
/// assert!(accept("alice\u{200b}").is_err());
/// ```
///
/// # Errors
///
/// [`NameError`] if it is refused.
pub fn accept(asked: &str) -> Result<String, NameError> {
    let asked = asked.trim_matches(is_space);
    if asked.is_empty() {
        return Err(NameError::Empty);
    }
    if asked.len() > USERNAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let words: Vec<&str> = asked.split(is_space).filter(|it| !it.is_empty()).collect();
    let spaced = words.join(" ");
    let composed: String = spaced.nfc().collect();
    check_characters(&composed)?;
    check_marks(&composed)?;
    // Some letters of Indian scripts are longer in this form, and then the form is not used.
    Ok(match composed.len() <= USERNAME_BYTES_MAX {
        true => composed,
        false => spaced,
    })
}

/// What names have in common that differ by capitals, or by forms of one letter: to compare them, and not to
/// be shown.
pub(crate) fn folded(name: &str) -> String {
    let compatible = name.nfkc();
    // Through capitals, of which some have no single small letter.
    let capitals: String = compatible.flat_map(char::to_uppercase).collect();
    let small: String = capitals.to_lowercase();
    small.nfkc().collect()
}

/// Unicode's spaces (category Zs): white space that breaks no line and is no control.
fn is_space(c: char) -> bool {
    c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn check_characters(name: &str) -> Result<(), NameError> {
    use GeneralCategory::{
        Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate, Unassigned,
    };
    let characters: Vec<char> = name.chars().collect();
    for (place, &c) in characters.iter().enumerate() {
        let is_no_text = match c.general_category() {
            Control | Format | LineSeparator | ParagraphSeparator => true,
            PrivateUse | Surrogate | Unassigned => true,
            _ => shows_nothing(c),
        };
        if is_no_text && !shapes_its_neighbours(&characters[..place], c, &characters[place + 1..]) {
            return Err(NameError::Character(c));
        }
    }
    Ok(())
}

/// Letters, marks and symbols that are invisible: most of those that Unicode lets programs ignore
/// (`Default_Ignorable_Code_Point`) without calling them format characters, and some that are drawn
/// as blanks.
fn shows_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{fffc}'
            | '\u{16fe4}'
            | '\u{1d159}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether a character that is invisible by itself changes how those beside it are drawn, and so is
/// a part of how a name is written:
///
/// - joiners after the sign that takes a vowel away (virama) as in Indian scripts, or before it
///   (Bengali and Kannada); the non-joiner between Arabic letters, as Persian has it; and the
///   joiner between emoji;
/// - one variation selector behind an emoji or a Chinese character;
/// - Mongolian's selectors behind and its vowel separator between its letters.
fn shapes_its_neighbours(before: &[char], c: char, after: &[char]) -> bool {
    let (Some(&last), next) = (before.last(), after.first().copied()) else {
        return false;
    };
    let is_next = |fits: fn(char) -> bool| next.is_some_and(fits);
    match c {
        '\u{200c}' if is_virama(last) => is_next(char::is_alphabetic),
        '\u{200c}' => {
            let is_mark = |c: &&char| c.general_category() == GeneralCategory::NonspacingMark;
            let last = before.iter().rev().find(|c| !is_mark(c));
            let next = after.iter().find(|c| !is_mark(c));
            let are_letters = |c: &char| c.is_alphabetic() && is_of_arabic_kind(*c);
            last.is_some_and(are_letters) && next.is_some_and(are_letters)
        }
        '\u{200d}' => {
            is_virama(last)
                || last.is_alphabetic() && is_next(is_virama)
                || (is_emoji(last) || last == '\u{fe0f}') && is_next(is_emoji)
        }
        '\u{fe0e}' | '\u{fe0f}' => is_emoji(last) || last.is_ascii() && next == Some('\u{20e3}'),
        '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => is_chinese(last),
        '\u{180b}'..='\u{180d}' | '\u{180f}' => is_mongolian(last),
        '\u{180e}' => is_mongolian(last) && is_next(is_mongolian),
        _ => false,
    }
}

/// Digits and the like are emoji to Unicode as well, because emoji begin with them.
fn is_emoji(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char()
}

fn is_virama(c: char) -> bool {
    canonical_combining_class(c) == 9
}

/// Arabic, Syriac and others to their right, whose letters join.
fn is_of_arabic_kind(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{8ff}')
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3fffd}')
}

fn is_mongolian(c: char) -> bool {
    matches!(c, '\u{1820}'..='\u{18aa}')
}

/// Counts marks as if none were a part of a letter (NFD). Joiners are not letters that marks can
/// sit on.
fn check_marks(name: &str) -> Result<(), NameError> {
    let mut marks = None;
    for c in name.nfd() {
        marks = match (c.general_category(), marks) {
            (GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark, None) => {
                return Err(NameError::Marks);
            }
            (GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark, Some(count)) => {
                Some(count + 1)
            }
            (GeneralCategory::Format, marks) => marks,
            (GeneralCategory::SpaceSeparator, _) => None,
            _ => Some(0),
        };
        if marks > Some(MARKS_PER_LETTER_MAX) {
            return Err(NameError::Marks);
        }
    }
    Ok(())
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => f.write_str("it is empty"),
            NameError::TooLong => write!(f, "it is longer than {USERNAME_BYTES_MAX} bytes"),
            NameError::Character(c) => write!(f, "U+{:04X} is not allowed in it", u32::from(*c)),
            NameError::Marks => write!(
                f,
                "it has a combining mark without a letter, or more than {MARKS_PER_LETTER_MAX} on one"
            ),
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests;
