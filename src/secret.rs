//! Secrets that clients must know: passwords of the server, and those of names.
//!
//! A secret is compared in a time that does not depend on what is guessed, and shows nowhere.

use crate::limits::SECRET_BYTES_MAX;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// A password, or the proof of a name: 1 to [`SECRET_BYTES_MAX`] bytes of text without control characters.
///
/// Its `Debug` form hides it.
#[derive(Clone)]
pub struct Secret(Box<Padded>);

/// Text with zeros behind it, which are not part of any: so the length need not be compared.
type Padded = [u8; SECRET_BYTES_MAX];

impl Secret {
    /// The secret, if the text can be one.
    pub fn new(text: &str) -> Option<Self> {
        let is_usable = !text.is_empty() && !text.contains(char::is_control);
        pad(text).filter(|_| is_usable).map(|it| Secret(it.into()))
    }

    /// Whether this is the secret.
    pub fn matches(&self, guess: &str) -> bool {
        pad(guess).is_some_and(|guess| self.compare(&guess).into())
    }

    fn compare(&self, guess: &Padded) -> Choice {
        self.0.as_slice().ct_eq(guess.as_slice())
    }

    /// The place of the secret that this is, having compared all of them.
    pub(crate) fn find<'s>(
        secrets: impl Iterator<Item = &'s Secret>,
        guess: &str,
    ) -> Option<usize> {
        let guess = pad(guess)?;
        let compared = secrets.map(|secret| bool::from(secret.compare(&guess)));
        compared.enumerate().fold(None, |found, (place, is_it)| {
            found.or(is_it.then_some(place))
        })
    }
}

fn pad(text: &str) -> Option<Padded> {
    if text.contains('\0') {
        return None;
    }
    let mut padded = [0; SECRET_BYTES_MAX];
    padded
        .get_mut(..text.len())?
        .copy_from_slice(text.as_bytes());
    Some(padded)
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.compare(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Letters and digits that nobody mistakes for another: 32, so that each is five bits.
#[cfg(feature = "cli")]
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A secret of 160 random bits, easy to type, or none if the system has no randomness.
#[cfg(feature = "cli")]
pub fn random() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    let letters = bytes.iter().map(|byte| ALPHABET[usize::from(byte % 32)]);
    Some(letters.map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).expect("it can be one")
    }

    #[test]
    fn a_secret_is_itself_and_nothing_else() {
        let longest = "x".repeat(SECRET_BYTES_MAX);
        for text in ["a", "correct horse", "grüße", &longest] {
            let it = secret(text);
            assert!(it.matches(text));
            for guess in [
                "",
                "b",
                "correct hors",
                "correct horse ",
                "Correct horse",
                "grusse",
            ] {
                assert!(!it.matches(guess), "{text} is not {guess}");
            }
            assert!(!it.matches(&format!("{text}\0")) && !it.matches(&format!("{text}x")));
            assert_eq!(format!("{it:?}"), "Secret(…)");
        }
        for text in ["", "a\n", "\0", "a\0b", &"x".repeat(SECRET_BYTES_MAX + 1)] {
            assert_eq!(Secret::new(text), None);
        }
    }

    #[test]
    fn the_one_that_matches_is_found() {
        let all = ["one", "two", "three", "two"].map(secret);
        let find = |guess| Secret::find(all.iter(), guess);
        assert_eq!(find("one"), Some(0));
        assert_eq!(find("two"), Some(1));
        assert_eq!(find("three"), Some(2));
        assert_eq!((find("four"), find("")), (None, None));
    }

    #[cfg(feature = "cli")]
    #[test]
    fn random_ones_are_long_and_differ() {
        let [one, other] = [(); 2].map(|()| random().expect("there is randomness"));
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
        assert!(secret(&one).matches(&one));
        let mut letters = ALPHABET.to_vec();
        letters.dedup();
        assert!(letters.len() == 32 && letters.is_ascii());
    }
}
