//! Where the server keeps things if nobody says so.

use std::ffi::OsString;
use std::path::PathBuf;

/// The service manager's folder for it (systemd.exec(5)), or the user's (XDG Base Directory Specification), if the
/// environment names either.
pub(super) fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(folders) = variable("STATE_DIRECTORY") {
        return std::env::split_paths(&folders).next();
    }
    let name = env!("CARGO_PKG_NAME");
    // A path that is not from the root is to be taken for none.
    let of_user = |variable_name| {
        let folder = variable(variable_name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    if cfg!(windows) {
        return of_user("LOCALAPPDATA").map(|folder| folder.join(name));
    }
    let state = of_user("XDG_STATE_HOME");
    let state = state.or_else(|| of_user("HOME").map(|home| home.join(".local/state")));
    state.map(|folder| folder.join(name))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_s_comes_first_then_the_user_s() {
        let folder = |variables: &[(&str, &str)]| {
            let folder = folder(|name| {
                let variable = variables.iter().find(|(variable, _)| *variable == name);
                variable.map(|(_, value)| OsString::from(value))
            });
            folder.map(|folder| folder.display().to_string())
        };
        let home = ("HOME", "/home/alice");
        let state = ("XDG_STATE_HOME", "/state");
        assert_eq!(folder(&[]), None);
        assert_eq!(
            folder(&[home]).as_deref(),
            Some("/home/alice/.local/state/voiceapp-server")
        );
        assert_eq!(
            folder(&[home, state]).as_deref(),
            Some("/state/voiceapp-server")
        );
        let relative = ("XDG_STATE_HOME", "state");
        assert_eq!(folder(&[relative]), None);
        let manager = ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
        assert_eq!(
            folder(&[home, state, manager]).as_deref(),
            Some("/var/lib/a")
        );
    }
}
