//! The configuration file: TOML, in which every setting has its option's name. An error names the
//! line.

use super::nearest::nearest_setting;
use super::setting::{Kind, Setting};
use super::settings::SETTINGS;
use crate::quoted::Quoted;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use toml_span::value::{Value, ValueInner};
use toml_span::{ErrorKind, Span};

/// Bytes in a file: far more than all settings take with a comment for each.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A setting's value in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Its place among the settings.
    pub(super) place: usize,
    /// The line of its value, from 1.
    pub(super) line: usize,
    /// As an option would be written.
    pub(super) text: String,
}

/// What is wrong, and on which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileError {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads a file, up to a mebibyte.
///
/// # Errors
///
/// The system's error, or that the file is too long or not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let problem = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::other(problem));
    }
    Ok(text)
}

/// All settings of a file, in the order of the table.
pub(super) fn settings_of(text: &str) -> Result<Vec<Given>, FileError> {
    let lines = Lines(text);
    let mut root = toml_span::parse(text).map_err(|error| FileError {
        line: lines.line_of(error.span),
        message: match error.kind {
            // The most frequent mistake.
            ErrorKind::UnquotedString => {
                "this is neither a number nor true or false, and text needs quotes around it".into()
            }
            _ => error.to_string(),
        },
    })?;
    let ValueInner::Table(table) = root.take() else {
        return Ok(Vec::new());
    };
    let mut given = Vec::new();
    let mut errors = Vec::new();
    for (key, value) in table {
        match setting_of(&key.name, &value, text) {
            Ok((place, text)) => given.push(Given {
                place,
                line: lines.line_of(value.span),
                text,
            }),
            Err(message) => errors.push(FileError {
                line: lines.line_of(key.span),
                message,
            }),
        }
    }
    // The first error in the file is the one to mend first.
    if let Some(first) = errors.into_iter().min_by_key(|error| error.line) {
        return Err(first);
    }
    given.sort_by_key(|given| given.place);
    Ok(given)
}

fn setting_of(name: &str, value: &Value<'_>, file: &str) -> Result<(usize, String), String> {
    let Some(place) = SETTINGS.iter().position(|setting| setting.option == name) else {
        let hint = match nearest_setting(name) {
            Some(near) => format!("did you mean {near}?"),
            None if value.as_table().is_some() => {
                "settings stand by themselves, as in max-users = 200".into()
            }
            None => "--help lists them".into(),
        };
        return Err(format!("there is no setting {} ({hint})", Quoted(name)));
    };
    let setting = &SETTINGS[place];
    let text = match (setting.kind, value.as_ref()) {
        (Kind::Number | Kind::NumberOrWord, ValueInner::Integer(number)) => number.to_string(),
        (Kind::Text | Kind::NumberOrWord, ValueInner::String(text)) => text.to_string(),
        (Kind::YesNo, ValueInner::Boolean(true)) => "yes".into(),
        (Kind::YesNo, ValueInner::Boolean(false)) => "no".into(),
        _ => return Err(wrong_kind(setting, value, file)),
    };
    Ok((place, text))
}

fn wrong_kind(setting: &Setting, value: &Value<'_>, file: &str) -> String {
    let written = match value.as_ref() {
        // Its span is what is between the quotes.
        ValueInner::String(text) => format!("the string {}", Quoted(text)),
        ValueInner::Table(_) => "a table".into(),
        ValueInner::Array(_) => "a list".into(),
        _ => file
            .get(value.span.start..value.span.end)
            .unwrap_or_default()
            .into(),
    };
    let written = match written.len() > 100 {
        true => "this",
        false => &*written,
    };
    let Setting {
        option, expected, ..
    } = setting;
    match setting.kind {
        Kind::Number => format!("{option}: {written} is not {expected}, without quotes"),
        Kind::YesNo => format!("{option}: {written} is not true or false, without quotes"),
        Kind::Text => format!("{option}: {written} is not {expected}, in quotes"),
        Kind::NumberOrWord => format!("{option}: {written} is not {expected}, which has quotes"),
    }
}

/// The lines of a text.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    /// The line on which a part begins, from 1.
    fn line_of(&self, part: Span) -> usize {
        let before = self.0.as_bytes().get(..part.start).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}
