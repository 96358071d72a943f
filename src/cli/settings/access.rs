//! The settings for logins and for newcomers: passwords, names, and the welcome.
//! A password is never shown.

use super::super::setting::{Group, Kind, Setting};
use super::{YES_OR_NO, path_or, put_text, put_yes_or_no, show_path_or, show_text, show_yes_or_no};
use crate::secret::Secret;

pub(super) const ACCESS: &[Setting] = &[
    Setting {
        option: "server-name",
        field: "server_name",
        group: Group::Access,
        kind: Kind::Text,
        value: "TEXT",
        help: "name of the server, for clients that show it",
        expected: "a line of at most 64 bytes, or none",
        set: |config, text| put_text(&mut config.server_name, text),
        show: |config| show_text(&config.server_name),
    },
    Setting {
        option: "welcome",
        field: "welcome",
        group: Group::Access,
        kind: Kind::Text,
        value: "TEXT",
        help: "text for newcomers, in clients that show it",
        expected: "a line of at most 1024 bytes, or none",
        set: |config, text| put_text(&mut config.welcome, text),
        show: |config| show_text(&config.welcome),
    },
    Setting {
        option: "password",
        field: "password",
        group: Group::Access,
        kind: Kind::Secret,
        value: "TEXT",
        help: "password to log in with; better in the file: other users see command lines",
        expected: "text of 1 to 128 bytes, or none",
        set: |config, text| {
            config.password = match text {
                "none" => None,
                password => Some(Secret::new(password)?),
            };
            Some(())
        },
        show: |config| {
            if config.password.is_some() {
                "set"
            } else {
                "none"
            }
            .into()
        },
    },
    Setting {
        option: "password-file",
        field: "password_file",
        group: Group::Access,
        kind: Kind::Text,
        value: "FILE",
        help: "more passwords, one per line, with labels and last days; SIGHUP reloads it",
        expected: "a path, or none",
        set: |config, text| {
            config.password_file = path_or(text, "none")?;
            Some(())
        },
        show: |config| show_path_or(&config.password_file, "none"),
    },
    Setting {
        option: "password-in-name",
        field: "password_in_name",
        group: Group::Access,
        kind: Kind::YesNo,
        value: "YES|NO",
        help: "let clients that cannot send a password log in as name:password",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.password_in_name, text),
        show: |config| show_yes_or_no(config.password_in_name),
    },
    Setting {
        option: "unique-names",
        field: "unique_names",
        group: Group::Access,
        kind: Kind::YesNo,
        value: "YES|NO",
        help: "refuse a name that somebody has",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.unique_names, text),
        show: |config| show_yes_or_no(config.unique_names),
    },
];
