//! The binary with passwords: where they may stand, that they show nowhere, and that they are read again.

use crate::binary::{BINARY, Started, command, run, text};
use crate::client::Client;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use voiceapp_server::event::UserId;

/// A file with this text and mode, which is gone with this.
struct Hidden(PathBuf);

impl Hidden {
    fn new(name: &str, mode: u32, text: &str) -> Self {
        let name = format!("voiceapp-server-{name}-{}", std::process::id());
        let file = Hidden(std::env::temp_dir().join(name));
        file.write(text);
        fs::set_permissions(&file.0, Permissions::from_mode(mode)).expect("it is ours");
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("the folder is writable");
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("it is text")
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const SETTINGS: &str =
    "password = \"hunter2\"\n[[reserved-name]]\nname = \"boss\"\nsecret = \"hunter2\"\n";
const LIST: &str = "friends hunter2\n";

#[test]
fn files_with_secrets_that_everyone_can_read_are_refused() {
    for (mode, is_open) in [(0o604, true), (0o602, true), (0o640, false), (0o600, false)] {
        let settings = Hidden::new("settings", mode, SETTINGS);
        let list = Hidden::new("passwords", mode, LIST);
        let of_file = run(&["--check-config", "--config", settings.path()]);
        let of_list = run(&["--check-config", "--password-file", list.path()]);
        for (output, code) in [(of_file, 2), (of_list, 1)] {
            let (said, complaint) = (text(&output.stdout), text(&output.stderr));
            let expected = if is_open { code } else { 0 };
            assert_eq!(
                output.status.code(),
                Some(expected),
                "{mode:o}: {complaint}"
            );
            assert_eq!(
                complaint.contains("every user of this machine"),
                is_open,
                "{complaint}"
            );
            assert!(
                !said.contains("hunter2") && !complaint.contains("hunter2"),
                "{said}{complaint}"
            );
        }
    }
    // Without a secret in it, it may be open.
    let settings = Hidden::new("open", 0o644, "max-users = 5\n");
    assert!(
        run(&["--check-config", "--config", settings.path()])
            .status
            .success()
    );
}

#[test]
fn what_is_wrong_with_secrets_is_said_without_them() {
    let long = "hunter2".repeat(100);
    for (settings, said) in [
        (
            format!("password = \"{long}\""),
            ":1: password: this is not text of 1 to 128 bytes",
        ),
        (
            "password = 1234567\n".into(),
            ":1: password: this is not text of 1 to 128 bytes",
        ),
        (
            "\n[[reserved-name]]\nname = \"a\"\n".into(),
            ":2: reserved-name: each has a name and a secret",
        ),
        (
            format!("[[reserved-name]]\nname = \"a\"\nsecret = \"{long}\"\n"),
            ":3: reserved-name: this is not a secret of 1 to 128 bytes",
        ),
        (
            "[[reserved-name]]\nname = \"a\"\nsecret = \"hunter2\"\nsecrets = \"hunter2\"\n".into(),
            ":4: reserved-name: there are name and secret, and nothing else",
        ),
        (
            format!("{SETTINGS}[[reserved-name]]\nname = \"BOSS\"\nsecret = \"hunter2\"\n"),
            ":5: reserved-name \"BOSS\": this name is reserved already",
        ),
        (
            "[[reserved-name]]\nname = \"\\u200b\"\nsecret = \"hunter2\"\n".into(),
            ":1: reserved-name \"\\u{200b}\": nobody can have this name",
        ),
        (
            "reserved-name = \"boss\"\n".into(),
            ":1: reserved-name: each name has a table",
        ),
    ] {
        let file = Hidden::new("wrong", 0o600, &settings);
        let output = run(&["--config", file.path()]);
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains(said), "{said:?} is not in {complaint}");
        assert!(
            !complaint.contains("hunter2") && !complaint.contains("1234567"),
            "{complaint}"
        );
    }
    let output = run(&["--password", &long]);
    let complaint = text(&output.stderr);
    assert!(
        !complaint.contains("hunter2") && complaint.contains("--password"),
        "{complaint}"
    );
}

#[test]
fn passwords_are_read_again_and_stand_neither_in_the_log_nor_in_the_statistics() {
    let settings = Hidden::new("in-force", 0o600, SETTINGS);
    let list = Hidden::new("again", 0o600, "friends sesame\n");
    let mut binary = command(BINARY);
    binary.args(["--config", settings.path(), "--password-in-name", "yes"]);
    binary.args(["--password-file", list.path(), "--log-level", "trace"]);
    let mut server = Started::new(&mut binary);
    let log_in = |server: &Started, name: &str| Client::log_in(server.place, name).id;
    assert_eq!(log_in(&server, "ann:sesame"), UserId(1));
    assert_eq!(log_in(&server, "ann:hunter2"), UserId(2));
    assert_eq!(log_in(&server, "ann:hunter3"), UserId(0));
    assert_eq!(log_in(&server, "boss:hunter2"), UserId(0));
    list.write("others crackers\n");
    server.signal("HUP");
    let mut log = server.log_until("the password file was read again: 2 passwords");
    assert_eq!(log_in(&server, "bob:sesame"), UserId(0));
    assert_eq!(log_in(&server, "bob:crackers"), UserId(3));
    // What cannot be used changes nothing.
    list.write("others\n");
    std::thread::sleep(voiceapp_server::limits::REQUEST_INTERVAL);
    server.signal("HUP");
    log += &server.log_until("the passwords stay as they are");
    assert_eq!(log_in(&server, "bob:crackers"), UserId(4));
    log += &server.log_until_now();
    server.signal("TERM");
    log += &server.wait().1;
    for secret in ["sesame", "hunter", "crackers"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    assert!(
        log.contains("logged in as \"ann\" from 127.0.0.1 with password \"friends\""),
        "{log}"
    );
    assert!(
        log.contains("a login as \"ann\" from 127.0.0.1 refused: login_password_wrong"),
        "{log}"
    );
}

#[test]
fn a_secret_is_made_and_one_on_the_command_line_is_warned_of() {
    let [one, other] = [(); 2].map(|()| run(&["--make-secret"]));
    assert!(one.status.success());
    let (one, other) = (text(&one.stdout), text(&other.stdout));
    assert_eq!((one.len(), one.lines().count()), (33, 1));
    assert_ne!(one, other);
    let server = Started::new(command(BINARY).args(["--password", one.trim()]));
    assert!(
        server.warnings.contains("can read --password"),
        "{}",
        server.warnings
    );
    assert!(!server.warnings.contains(one.trim()));
}
