//! The configuration file: TOML, in which every setting has its option's name. An error names the
//! line.

use super::nearest::nearest_setting;
use super::setting::{Kind, Setting};
use super::settings::SETTINGS;
use crate::quoted::Quoted;
use crate::secret::Secret;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use toml_span::value::{Value, ValueInner};
use toml_span::{ErrorKind, Span};

/// The name of the tables of reserved names.
const RESERVED_NAME: &str = "reserved-name";

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

/// A name that is reserved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GivenName {
    /// The line of its table, from 1.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) secret: Secret,
}

/// All that a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// In the order of the table.
    pub(super) settings: Vec<Given>,
    /// In the order of the file.
    pub(super) names: Vec<GivenName>,
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

/// All that a file says.
pub(super) fn contents_of(text: &str) -> Result<Contents, FileError> {
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
        return Ok(Contents::default());
    };
    let mut contents = Contents::default();
    let mut errors = Vec::new();
    for (key, mut value) in table {
        if key.name == RESERVED_NAME {
            match names_of(&mut value, &lines) {
                Ok(names) => contents.names = names,
                Err(error) => errors.push(error),
            }
            continue;
        }
        match setting_of(&key.name, &value, text) {
            Ok((place, text)) => contents.settings.push(Given {
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
    contents.settings.sort_by_key(|given| given.place);
    Ok(contents)
}

/// Reads the tables of reserved names. Nothing that is said of one has its secret in it.
fn names_of(tables: &mut Value<'_>, lines: &Lines<'_>) -> Result<Vec<GivenName>, FileError> {
    let error = |span, message: &str| FileError {
        line: lines.line_of(span),
        message: format!("{RESERVED_NAME}: {message}"),
    };
    let span = tables.span;
    let ValueInner::Array(tables) = tables.take() else {
        return Err(error(span, "each name has a table: [[reserved-name]]"));
    };
    let mut names = Vec::new();
    for mut value in tables {
        let span = value.span;
        let ValueInner::Table(table) = value.take() else {
            return Err(error(span, "each name has a table: [[reserved-name]]"));
        };
        let (mut name, mut secret) = (None, None);
        for (key, value) in &table {
            let text = value
                .as_str()
                .ok_or_else(|| error(key.span, "name and secret are text, in quotes"))?;
            match &*key.name {
                "name" => name = Some(text.to_owned()),
                "secret" => {
                    let it = Secret::new(text);
                    let problem = "this is not a secret of 1 to 128 bytes";
                    secret = Some(it.ok_or_else(|| error(key.span, problem))?);
                }
                _ => {
                    return Err(error(
                        key.span,
                        "there are name and secret, and nothing else",
                    ));
                }
            }
        }
        let (Some(name), Some(secret)) = (name, secret) else {
            return Err(error(span, "each has a name and a secret"));
        };
        let line = lines.line_of(span);
        names.push(GivenName { line, name, secret });
    }
    Ok(names)
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
        (Kind::Text | Kind::Secret | Kind::NumberOrWord, ValueInner::String(text)) => {
            text.to_string()
        }
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
        Kind::Secret => format!("{option}: this is not {expected}, in quotes"),
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
