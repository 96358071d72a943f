//! The terminal client at a server that asks for a password, and with a reserved name.

use crate::programs::voiceapp;
use crate::{Running, TempFile};
use std::fs;
use std::process::Stdio;
use voiceapp_testkit::server::Config;
use voiceapp_testkit::server::access::ReservedNames;
use voiceapp_testkit::server::secret::Secret;

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("it can be one")
}

#[test]
fn a_password_comes_from_an_option_a_variable_or_a_file_and_a_no_is_said_in_words() {
    let mut reserved_names = ReservedNames::default();
    let boss = reserved_names.reserve("boss", secret("mine"));
    boss.expect("it is free");
    let server = Running::start_as(Config {
        password: Some(secret("sesame")),
        reserved_names,
        server_name: "home".into(),
        welcome: "be kind".into(),
        ..Config::default()
    });
    let here = server.invitation();
    let file = TempFile::new();
    fs::write(&file.0, "sesame\nbehind it\n").expect("it is writable");
    let path = file.0.to_str().expect("it is text");
    let variable = ("VOICEAPP_PASSWORD", " sesame\n");
    let nothing = ("VOICEAPP_PASSWORD", "");
    let table: [(&[&str], _, Result<&str, &str>); 8] = [
        (
            &["--name", "a"],
            nothing,
            Err("the server asks for a password"),
        ),
        (
            &["--name", "a", "--password", "x"],
            variable,
            Err("wrong password"),
        ),
        (
            &["--name", "a", "--password", "sesame"],
            nothing,
            Ok("1 a (you), encrypted"),
        ),
        (&["--name", "b"], variable, Ok("2 b (you), encrypted")),
        (
            &["--name", "c", "--password-file", path],
            nothing,
            Ok("3 c (you), encrypted"),
        ),
        (&["--name", "boss"], variable, Err("the name is reserved")),
        (
            &["--name", "Boss", "--name-secret", "his"],
            variable,
            Err("the name is reserved"),
        ),
        (
            &["--name", "Boss", "--name-secret", "mine"],
            variable,
            Ok("4 Boss (you), encrypted, proved"),
        ),
    ];
    for (options, (name, value), expected) in table {
        let output = voiceapp()
            .args(["--server", &here])
            .args(options)
            .env(name, value)
            .stdin(Stdio::null())
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        match expected {
            Ok(words) => {
                assert_eq!(output.status.code(), Some(0), "{options:?}: {complaint}");
                assert!(said.contains(words), "{options:?}: {said}");
                assert!(said.contains("home: be kind"), "{said}");
            }
            Err(words) => {
                assert_eq!(output.status.code(), Some(4), "{options:?}: {said}");
                let words = format!("voiceapp: the server refused the login: {words}\n");
                assert_eq!(complaint, words, "{options:?}");
                assert!(!said.contains("be kind"), "{said}");
            }
        }
    }
    let output = voiceapp()
        .args(["--password-file", "/nowhere"])
        .output()
        .expect("it can be started");
    assert_eq!(output.status.code(), Some(2));
}
