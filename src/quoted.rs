//! Text of others in a message: escaped, so that it cannot pass for a part of the message, and cut
//! to a bounded length.

use std::fmt;

/// Characters that are shown. A name and an address fit, and the start of anything else identifies
/// it.
const SHOWN_CHARS_MAX: usize = 64;

/// Shows text in quotes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        match text.char_indices().nth(SHOWN_CHARS_MAX) {
            None => write!(f, "{text:?}"),
            Some((end, _)) => write!(f, "{:?}… ({} bytes)", &text[..end], text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_what_acts_is_escaped() {
        let exactly = "é".repeat(SHOWN_CHARS_MAX);
        assert_eq!(Quoted(&exactly).to_string(), format!("\"{exactly}\""));
        let cut = Quoted(&(exactly.clone() + "a")).to_string();
        assert_eq!(cut, format!("\"{exactly}\"… (129 bytes)"));
        let acts = Quoted("a\u{1b}[2J\n\u{202e}\"").to_string();
        assert_eq!(acts, r#""a\u{1b}[2J\n\u{202e}\"""#);
    }
}
