//! A line of input, and the request in it.

use std::io;
use std::path::PathBuf;

/// A line of input, or the end of them.
#[cfg_attr(
    not(unix),
    allow(dead_code, reason = "keys are read by our own editor alone")
)]
pub enum Line {
    Typed(String),
    /// The answer to a question, which is shown nowhere.
    Secret(String),
    /// Not a line: the key that mutes or unmutes.
    TalkKey,
    Ended,
    /// The user wants to leave at once.
    Interrupted,
    /// Input cannot be read, with the message to show.
    Failed(String),
}

impl Line {
    pub fn unreadable(error: &io::Error, is_terminal: bool) -> Self {
        // A terminal that was hung up returns this.
        const EIO: i32 = 5;
        match error.raw_os_error() {
            Some(EIO) if is_terminal => Line::Ended,
            _ => Line::Failed(format!("cannot read standard input: {error}")),
        }
    }
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'l> {
    Nothing,
    Message(&'l str),
    /// With its argument, which may be empty.
    Command(&'l str, &'l str),
}

/// A slash makes a command, even behind blanks. Two make a message that starts with one.
pub fn parse(line: &str) -> Parsed<'_> {
    let trimmed = line.trim();
    match trimmed.strip_prefix('/') {
        _ if trimmed.is_empty() => Parsed::Nothing,
        None => Parsed::Message(line.trim_end()),
        Some(message) if message.starts_with('/') => Parsed::Message(message),
        Some(_) => match trimmed.split_once(char::is_whitespace) {
            Some((command, argument)) => Parsed::Command(command, argument.trim_start()),
            None => Parsed::Command(trimmed, ""),
        },
    }
}

/// A path as a shell would expand it: `~` is the user's home, if that is known.
pub fn path(argument: &str, home: Option<String>) -> PathBuf {
    match (argument.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            PathBuf::from(home + rest)
        }
        _ => argument.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_own_folder() {
        let table = [
            ("~/a b.wav", Some("/home/ann"), "/home/ann/a b.wav"),
            ("~", Some("/home/ann"), "/home/ann"),
            ("~bob/a.wav", Some("/home/ann"), "~bob/a.wav"),
            ("~/a.wav", None, "~/a.wav"),
            ("a~.wav", Some("/home/ann"), "a~.wav"),
        ];
        for (argument, home, expected) in table {
            let taken = path(argument, home.map(str::to_owned));
            assert_eq!(taken, PathBuf::from(expected));
        }
    }

    #[test]
    fn a_slash_makes_a_command_and_two_make_a_message() {
        let table = [
            ("", Parsed::Nothing),
            ("  \t", Parsed::Nothing),
            ("hello", Parsed::Message("hello")),
            ("  hello there ", Parsed::Message("  hello there")),
            ("/join", Parsed::Command("/join", "")),
            (" /join ", Parsed::Command("/join", "")),
            ("\t/play  a b.wav ", Parsed::Command("/play", "a b.wav")),
            ("//join", Parsed::Message("/join")),
            (" //join", Parsed::Message("/join")),
            ("/", Parsed::Command("/", "")),
            ("a /join", Parsed::Message("a /join")),
        ];
        for (line, parsed) in table {
            assert_eq!(parse(line), parsed, "{line:?}");
        }
    }

    #[test]
    fn input_that_cannot_be_read_is_said_unless_a_terminal_was_hung_up() {
        let hung_up = io::Error::from_raw_os_error(5);
        assert!(matches!(Line::unreadable(&hung_up, true), Line::Ended));
        assert!(matches!(Line::unreadable(&hung_up, false), Line::Failed(_)));
        let is_folder = io::ErrorKind::IsADirectory.into();
        let Line::Failed(reason) = Line::unreadable(&is_folder, true) else {
            panic!("it has to be said");
        };
        assert_eq!(reason, "cannot read standard input: is a directory");
    }
}
