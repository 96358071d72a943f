//! The settings that a server starts with, and where each comes from, so that a message names each
//! setting as it was written.

use super::UsageError;
use super::setting::{Kind, Setting};
use super::settings::SETTINGS;
use crate::ServerError;
use crate::config::{Config, ConfigError};
use std::fmt;
use std::path::PathBuf;

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    #[default]
    Default,
    /// The line of the file.
    File(usize),
    Variable,
    Option,
}

/// The settings that a server starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// All settings.
    pub config: Config,
    /// Where they come from, in the order of the table.
    pub(super) origins: Vec<Origin>,
    /// The file, if there is one, and what named it.
    pub(super) file: Option<(PathBuf, &'static str)>,
    /// Names that the file reserves, and their lines.
    pub(super) reserved: Vec<(usize, String)>,
    /// Variables that look like settings and have no effect, each with the one that has.
    pub(super) mistaken_variables: Vec<(String, String)>,
}

impl Start {
    pub(super) fn new() -> Self {
        Start {
            config: Config::default(),
            origins: vec![Origin::default(); SETTINGS.len()],
            file: None,
            reserved: Vec::new(),
            mistaken_variables: Vec::new(),
        }
    }

    /// A line for each setting: its name, its value, and where that comes from.
    pub fn report(&self) -> String {
        let mut report = String::new();
        let mut line = |name: &str, value: &str, origin: &str| {
            report += &format!("{name:<36} {value:<20} {origin}\n");
        };
        if let Some((path, origin)) = &self.file {
            line("config", &path.display().to_string(), origin);
        }
        for (setting, origin) in SETTINGS.iter().zip(&self.origins) {
            let value = (setting.show)(&self.config);
            let origin = match origin {
                Origin::Default => "default".into(),
                Origin::File(number) => self.file_line(*number),
                Origin::Variable => setting.variable(),
                Origin::Option => format!("--{}", setting.option),
            };
            line(setting.option, &value, &origin);
        }
        for (number, name) in &self.reserved {
            line("reserved-name", name, &self.file_line(*number));
        }
        report
    }

    /// Whether a file with secrets in it may be read by nobody else.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if every user of the machine can read or change it.
    pub fn check_secrecy(&self) -> Result<(), UsageError> {
        let of_secrets = |(setting, origin): (&Setting, &Origin)| {
            setting.kind == Kind::Secret && matches!(origin, Origin::File(_))
        };
        let has_secrets = SETTINGS.iter().zip(&self.origins).any(of_secrets);
        let Some((path, _)) = &self.file else {
            return Ok(());
        };
        if !has_secrets && self.reserved.is_empty() {
            return Ok(());
        }
        // One that is gone meanwhile is read by nobody.
        let is_secret =
            std::fs::metadata(path).map_or(Ok(()), |it| crate::server::check_secrecy(&it));
        is_secret.map_err(|problem| {
            let path = path.display();
            UsageError(format!("{path} has a secret in it, and {problem}"))
        })
    }

    /// The warning at start about a secret on the command line.
    pub fn secret_warning(&self) -> Option<String> {
        let mut given = SETTINGS.iter().zip(&self.origins);
        let (setting, _) = given.find(|(setting, origin)| {
            setting.kind == Kind::Secret && matches!(origin, Origin::Option)
        })?;
        let (option, variable) = (setting.option, setting.variable());
        Some(format!(
            "other users of this machine can read --{option}: set it in the file or as {variable}"
        ))
    }

    /// The warning at start about variables that look like settings and have no effect.
    pub fn warning(&self) -> Option<String> {
        let names: Vec<_> = self
            .mistaken_variables
            .iter()
            .map(|(mistaken, variable)| format!("{mistaken} (it is {variable})"))
            .collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("these environment variables are set and change nothing: {names}")
        })
    }

    /// An error with the names as they were written.
    pub fn explain<'a>(&'a self, error: &'a ServerError) -> impl fmt::Display + 'a {
        Explained { start: self, error }
    }

    /// Why these settings cannot be used together.
    pub(super) fn explain_check(&self, error: &ConfigError) -> String {
        match error {
            ConfigError::Together {
                field: (field, _),
                relation,
                other: (other, _),
                because,
            } => {
                let (field, other) = (self.said(field), self.said(other));
                format!("{field} {relation} {other}{because}")
            }
            out_of_range => out_of_range.to_string(),
        }
    }

    /// A setting with its value, and where it comes from if its name does not say so.
    fn said(&self, field: &str) -> String {
        let Some((setting, origin)) = self.find(field) else {
            return field.into();
        };
        let value = (setting.show)(&self.config);
        match origin {
            Origin::Default | Origin::Option => format!("--{} {value}", setting.option),
            Origin::Variable => format!("{} {value}", setting.variable()),
            Origin::File(line) => format!("{} {value} ({})", setting.option, self.file_line(line)),
        }
    }

    /// The name that a setting was written by, or its option where it was not written.
    fn name(&self, field: &str) -> String {
        match self.find(field) {
            None => field.into(),
            Some((setting, Origin::Default | Origin::Option)) => format!("--{}", setting.option),
            Some((setting, Origin::Variable)) => setting.variable(),
            Some((setting, Origin::File(line))) => {
                format!("{}: {}", self.file_line(line), setting.option)
            }
        }
    }

    fn find(&self, field: &str) -> Option<(&'static Setting, Origin)> {
        let place = SETTINGS.iter().position(|it| it.field == field)?;
        Some((&SETTINGS[place], self.origins[place]))
    }

    pub(super) fn file_line(&self, line: usize) -> String {
        let path = self.file.as_ref().map(|(path, _)| path.display());
        path.map_or(String::new(), |path| format!("{path}:{line}"))
    }
}

struct Explained<'a> {
    start: &'a Start,
    error: &'a ServerError,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.write(f, &|field| self.start.name(field))
    }
}
