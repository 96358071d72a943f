//! What `known_servers` says: a line for each host and port, with the key that was kept for it.
//!
//! ```text
//! voice.example.org:9001 sha256=(64 hexadecimal digits)
//! [2001:db8::1]:9001 roots
//! ```
//!
//! The last line of a server counts. `roots` stands where the system's roots have vouched for the
//! certificate. Empty lines and those that begin with `#` say nothing; any other is unreadable.

use super::Fingerprint;
use std::fmt::{self, Display, Formatter};

/// What was kept of all servers.
#[derive(Debug, Default)]
pub struct Known {
    lines: Vec<Line>,
    /// The numbers of the lines that cannot be read, from 1.
    pub unreadable: Vec<usize>,
}

#[derive(Debug)]
struct Line {
    number: usize,
    place: String,
    kept: Kept,
}

/// What was kept of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its key.
    Key(Fingerprint),
    /// That the roots vouch for its certificate, whose key may be renewed.
    Roots,
}

impl Known {
    /// Reads the file's content.
    pub fn parse(text: &str) -> Self {
        let mut known = Known::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse(line) {
                Some((place, kept)) => known.lines.push(Line {
                    number,
                    place: place.to_owned(),
                    kept,
                }),
                None => known.unreadable.push(number),
            }
        }
        known
    }

    /// What was kept last of this server.
    pub fn of(&self, place: &str) -> Option<Kept> {
        self.all_of(place).last().map(|line| line.kept)
    }

    /// The numbers of all lines of this server.
    pub fn lines_of(&self, place: &str) -> Vec<usize> {
        self.all_of(place).map(|line| line.number).collect()
    }

    fn all_of(&self, place: &str) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.place == place)
    }
}

impl Display for Kept {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Key(fingerprint) => write!(f, "sha256={fingerprint}"),
            Kept::Roots => f.write_str("roots"),
        }
    }
}

fn parse(line: &str) -> Option<(&str, Kept)> {
    let mut words = line.split_whitespace();
    let (place, kept) = (words.next()?, words.next()?);
    let is_whole = words.next().is_none() && place.contains(':');
    // A byte that was no text may have been any.
    if !is_whole || place.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let kept = match kept {
        "roots" => Kept::Roots,
        key if key.starts_with("sha256=") => Kept::Key(key.parse().ok()?),
        _ => return None,
    };
    Some((place, kept))
}
