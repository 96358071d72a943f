//! The binary's command line: settings from options, environment variables and a file, and the log
//! on standard error.
//!
//! An application with a server inside fills in a [`Config`] itself and builds without all of this
//! (`default-features = false`).
//!
//! An option beats its variable, a variable beats the file, and the file beats the default.

mod file;
mod help;
#[cfg(unix)]
mod log_level;
mod log_writer;
mod nearest;
mod setting;
mod settings;
mod start;
mod state;
#[cfg(test)]
mod tests;

pub use crate::secret::random as make_secret;
pub use file::read_file;
pub use help::{OTHER_OPTIONS, help};
pub use log_writer::start_log;
pub use setting::{Group, Kind, Setting};
pub use settings::SETTINGS;
pub use start::Start;

use crate::config::Config;
use crate::quoted::Quoted;
use start::Origin;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that names the file.
const CONFIG_VARIABLE: &str = "VOICEAPP_CONFIG";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a server.
    Run(Start),
    /// Print an invitation to the server that would be run, which others reach by this host, and exit.
    Invite(Start, String),
    /// Print the [report](Start::report) of the settings, and exit.
    Check(Start),
    /// Print a random secret and exit.
    MakeSecret,
    /// Print [`help()`] and exit.
    Help,
    /// Print the version and exit.
    Version,
}

/// What is wrong in the command line, the environment or the file: one line that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        UsageError(format!("{error} (--help lists the options)"))
    }
}

/// Reads a command line (without the program's name), the environment, and the file that one of
/// them names. The last of several options of one name counts. A variable that is beaten by an
/// option is not checked, but every setting in the file is. Blanks around a variable's value are
/// removed, and an empty variable counts as not set.
///
/// # Errors
///
/// [`UsageError`] for an unknown option, an argument that is not an option, a value that is not
/// valid, or a file that cannot be read.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Command, UsageError> {
    let arguments = match Arguments::read(arguments)? {
        Asked::Help => return Ok(Command::Help),
        Asked::Version => return Ok(Command::Version),
        Asked::Secret => return Ok(Command::MakeSecret),
        Asked::Settings(arguments) => arguments,
    };
    let variable = |name: &str| environment(name).and_then(without_blanks);
    let mut start = Start::new();
    start.file = match arguments.config {
        Some(path) => Some((PathBuf::from(path), "--config")),
        None => variable(CONFIG_VARIABLE).map(|path| (PathBuf::from(path), CONFIG_VARIABLE)),
    };
    let mut lines = vec![None; SETTINGS.len()];
    let contents = read_settings(&start, read_file)?;
    for given in contents.settings {
        // Settings that are beaten must be valid as well: the file serves more than this start.
        set(&mut Config::default(), &SETTINGS[given.place], &given.text)
            .map_err(|problem| start.of_file(given.line, &SETTINGS[given.place], &problem))?;
        let place = given.place;
        lines[place] = Some((given.line, given.text));
    }
    for (place, (setting, option)) in SETTINGS.iter().zip(arguments.values).enumerate() {
        let outside = match option {
            Some(value) => Some((Origin::Option, format!("--{}", setting.option), value)),
            None => {
                let name = setting.variable();
                variable(&name).map(|value| (Origin::Variable, name, value))
            }
        };
        if let Some((origin, name, value)) = outside {
            set_from_outside(&mut start.config, setting, &name, &value)?;
            start.origins[place] = origin;
        } else if let Some((line, text)) = lines[place].take() {
            set(&mut start.config, setting, &text)
                .map_err(|problem| start.of_file(line, setting, &problem))?;
            start.origins[place] = Origin::File(line);
        }
        if let Some(mistaken) = setting.mistaken_variable()
            && variable(&mistaken).is_some()
        {
            let right = setting.variable();
            start.mistaken_variables.push((mistaken, right));
        }
    }
    if start.config.state_directory.is_none() {
        start.config.state_directory = state::folder(variable);
    }
    start.reserve(contents.names)?;
    let together = start.config.check_together();
    together.map_err(|error| UsageError(start.explain_check(&error)))?;
    Ok(match (arguments.invite, arguments.is_check) {
        (Some(host), _) => Command::Invite(start, host),
        (None, true) => Command::Check(start),
        (None, false) => Command::Run(start),
    })
}

/// The options on the command line.
struct Arguments {
    /// A value for each setting that has one.
    values: Vec<Option<OsString>>,
    config: Option<OsString>,
    is_check: bool,
    invite: Option<String>,
}

enum Asked {
    Help,
    Version,
    Secret,
    Settings(Arguments),
}

impl Arguments {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, UsageError> {
        let mut read = Arguments {
            values: vec![None; SETTINGS.len()],
            config: None,
            is_check: false,
            invite: None,
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Asked::Help),
                lexopt::Arg::Short('V') | lexopt::Arg::Long("version") => {
                    return Ok(Asked::Version);
                }
                lexopt::Arg::Long("make-secret") => return Ok(Asked::Secret),
                lexopt::Arg::Long("check-config") => read.is_check = true,
                lexopt::Arg::Long("invite") => read.invite = Some(host(&parser.value()?)?),
                lexopt::Arg::Long("config") => {
                    let path = parser.value()?;
                    if path.is_empty() {
                        return Err(UsageError("--config: \"\" is not a path".into()));
                    }
                    read.config = Some(path);
                }
                lexopt::Arg::Long(name) => {
                    let known = SETTINGS.iter().position(|setting| setting.option == name);
                    let Some(place) = known else {
                        return Err(unknown_option(name));
                    };
                    read.values[place] = Some(parser.value()?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Asked::Settings(read))
    }
}

/// What others reach the server by.
fn host(value: &OsString) -> Result<String, UsageError> {
    let is_host = |text: &&str| {
        let is_odd =
            |char: char| char.is_whitespace() || char.is_control() || "/#?@".contains(char);
        !text.is_empty() && !text.contains(is_odd)
    };
    let host = value.to_str().filter(is_host).map(String::from);
    host.ok_or_else(|| {
        let shown = value.to_string_lossy();
        UsageError(format!(
            "--invite: {} is no name and no address",
            Quoted(&shown)
        ))
    })
}

fn unknown_option(name: &str) -> UsageError {
    let hint = match nearest::nearest_setting(name) {
        Some(near) => format!("did you mean --{near}?"),
        None => "--help lists the options".into(),
    };
    let option = format!("--{name}");
    UsageError(format!("there is no option {} ({hint})", Quoted(&option)))
}

/// Reads the settings of the file, if there is one.
fn read_settings(
    start: &Start,
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<file::Contents, UsageError> {
    let Some((path, origin)) = &start.file else {
        return Ok(file::Contents::default());
    };
    let text = read_file(path).map_err(|error| {
        let path = path.display();
        UsageError(format!("{origin}: cannot read {path}: {error}"))
    })?;
    file::contents_of(&text).map_err(|error| {
        let at = start.file_line(error.line);
        UsageError(format!("{at}: {}", error.message))
    })
}

impl Start {
    /// Reserves the names that the file reserves.
    fn reserve(&mut self, names: Vec<file::GivenName>) -> Result<(), UsageError> {
        for file::GivenName { line, name, secret } in names {
            let result = self.config.reserved_names.reserve(&name, secret);
            result.map_err(|error| {
                let (at, name) = (self.file_line(line), Quoted(&name));
                UsageError(format!("{at}: reserved-name {name}: {error}"))
            })?;
            self.reserved.push((line, name));
        }
        Ok(())
    }

    /// An error about a setting in the file.
    fn of_file(&self, line: usize, setting: &Setting, problem: &str) -> UsageError {
        let (at, option) = (self.file_line(line), setting.option);
        UsageError(format!("{at}: {option}: {problem}"))
    }
}

/// Sets what an option or a variable says.
fn set_from_outside(
    config: &mut Config,
    setting: &Setting,
    name: &str,
    value: &OsString,
) -> Result<(), UsageError> {
    let error = |problem: String| UsageError(format!("{name}: {problem}"));
    let Some(text) = value.to_str() else {
        let shown = value.to_string_lossy();
        return Err(error(not_expected(&shown, setting)));
    };
    check_quotes(text).map_err(error)?;
    set(config, setting, text).map_err(error)
}

/// Sets a value, if it is valid and in its range.
fn set(config: &mut Config, setting: &Setting, text: &str) -> Result<(), String> {
    (setting.set)(config, text)
        .filter(|()| config.check_ranges().is_ok())
        .ok_or_else(|| not_expected(text, setting))
}

fn not_expected(value: &str, setting: &Setting) -> String {
    if setting.kind == Kind::Secret {
        return format!("this is not {}", setting.expected);
    }
    format!("{} is not {}", Quoted(value), setting.expected)
}

/// A variable's value without the blanks, tabs and line ends around it: files for containers keep
/// everything behind the `=`. `None` if nothing is left, which is how some of them leave a variable
/// out.
fn without_blanks(value: OsString) -> Option<OsString> {
    let value = match value.to_str() {
        Some(text) => text.trim().into(),
        None => value,
    };
    (!value.is_empty()).then_some(value)
}

/// Such files do not remove quotes either, and a path in quotes would be another path.
fn check_quotes(text: &str) -> Result<(), String> {
    for quote in ['"', '\''] {
        if text.len() > 1 && text.starts_with(quote) && text.ends_with(quote) {
            return Err(format!(
                "the value has quotes ({quote}) around it, which are a part of it here: leave them off"
            ));
        }
    }
    Ok(())
}
