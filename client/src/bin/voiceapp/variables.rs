//! What the environment says: variables, the user's name, and secrets, which are in variables or in files.

use std::fs;
use std::path::Path;

/// The name of the user who starts the client, as far as the system knows it.
pub fn user_name() -> Result<String, String> {
    for name in ["USER", "LOGNAME", "USERNAME"] {
        if let Some(value) = variable(name)? {
            return Ok(value);
        }
    }
    Ok(system_user_name().unwrap_or_else(|| "guest".to_owned()))
}

#[cfg(unix)]
fn system_user_name() -> Option<String> {
    use nix::unistd::{Uid, User};
    let user = User::from_uid(Uid::current()).ok().flatten();
    user.map(|it| it.name).filter(|it| !it.is_empty())
}

#[cfg(not(unix))]
fn system_user_name() -> Option<String> {
    None
}

/// An environment variable as files for containers set it: blanks around it are ignored, and it
/// counts as not set if nothing is left. Such files make quotes a part of the value, which nobody
/// means.
pub fn variable(name: &str) -> Result<Option<String>, String> {
    let value = std::env::var_os(name).unwrap_or_default();
    value_of(name, &value.to_string_lossy())
}

fn value_of(name: &str, value: &str) -> Result<Option<String>, String> {
    let value = value.trim();
    for quote in ['"', '\''] {
        if value.len() > 1 && value.starts_with(quote) && value.ends_with(quote) {
            return Err(format!(
                "{name} has quotes around it: {value}. Leave them out, or use the option"
            ));
        }
    }
    Ok(Some(value.to_owned()).filter(|it| !it.is_empty()))
}

/// What a variable of the environment has between blanks, if there is anything. Nothing is said of it.
pub fn secret_of(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok()?;
    Some(value.trim().to_owned()).filter(|it| !it.is_empty())
}

/// The secret in a file, which no error shows.
pub fn first_line(path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    let error =
        |problem: String| format!("cannot read a secret from {}: {problem}", path.display());
    let text = fs::read_to_string(path).map_err(|problem| error(problem.to_string()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    match line.is_empty() {
        true => Err(error("its first line is empty".into())),
        false => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_trimmed_and_quotes_are_named() {
        let table = [
            ("ann", Ok(Some("ann"))),
            ("  ann\r", Ok(Some("ann"))),
            ("O'Neil", Ok(Some("O'Neil"))),
            ("\"", Ok(Some("\""))),
            ("", Ok(None)),
            (" \r\n", Ok(None)),
            ("\"ann\"", Err("USER has quotes around it: \"ann\"")),
            ("'ann' \r", Err("USER has quotes around it: 'ann'")),
        ];
        for (value, expected) in table {
            match (value_of("USER", value), expected) {
                (Ok(taken), Ok(expected)) => assert_eq!(taken.as_deref(), expected),
                (Err(reason), Err(start)) => assert!(reason.starts_with(start), "{reason}"),
                (taken, _) => panic!("{value:?}: {taken:?}"),
            }
        }
    }
}
