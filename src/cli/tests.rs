//! Command lines, environments and files, and what comes of them.

mod documents;
mod file;
mod origins;
mod together;

use super::*;
use log::LevelFilter;

/// What a file is called in these tests.
const FILE: &str = "/etc/voice.toml";

fn parse_words(
    arguments: &str,
    environment: &[(&str, &str)],
    file: &str,
) -> Result<Command, String> {
    let arguments = arguments.split_whitespace().map(OsString::from);
    let environment = |name: &str| {
        let variable = environment.iter().find(|(variable, _)| *variable == name);
        variable.map(|(_, value)| OsString::from(value))
    };
    let read = |path: &Path| match path.to_str() {
        Some(FILE) => Ok(file.into()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    parse(arguments, environment, read).map_err(|error| error.to_string())
}

fn start(arguments: &str, environment: &[(&str, &str)], file: &str) -> Start {
    match parse_words(arguments, environment, file) {
        Ok(Command::Run(start)) => start,
        other => panic!("{arguments:?}, {environment:?} and {file:?} gave {other:?}"),
    }
}

fn config(arguments: &str, environment: &[(&str, &str)]) -> Config {
    start(arguments, environment, "").config
}

/// What a file alone gives.
fn config_of_file(file: &str) -> Config {
    start(&format!("--config {FILE}"), &[], file).config
}

fn file_error(file: &str) -> String {
    let result = parse_words(&format!("--config {FILE}"), &[], file);
    result.expect_err(file)
}

fn error_of(arguments: &str, environment: &[(&str, &str)]) -> String {
    parse_words(arguments, environment, "").expect_err(arguments)
}

/// A value as the file has it.
fn in_file(setting: &Setting, value: &str) -> String {
    match (setting.kind, value) {
        (Kind::YesNo, "yes") => "true".into(),
        (Kind::YesNo, "no") => "false".into(),
        (Kind::Number | Kind::NumberOrWord, number) if number.parse::<u64>().is_ok() => {
            number.into()
        }
        (_, text) => format!("\"{text}\""),
    }
}

#[test]
fn nothing_said_is_the_defaults() {
    let config = config("", &[]);
    assert_eq!(config, Config::default());
    assert_eq!(
        (config.management_port, config.voice_relay_port),
        (9001, 9002)
    );
    assert_eq!((config.bind_address, config.limits.users), (None, 1_000));
    assert_eq!(config.log_level, LevelFilter::Info);
}

#[test]
fn every_setting_is_read_from_option_variable_and_file_and_the_first_of_them_wins() {
    let table = [
        ("management-port", "0", "65535"),
        ("voice-relay-port", "1", "65535"),
        ("bind-address", "any", "192.0.2.1"),
        ("max-users", "1", "100000"),
        ("ban-file", "none", "/etc/bans"),
        ("tls", "off", "only"),
        ("tls-certificate", "none", "/etc/certificate.pem"),
        ("tls-key", "/etc/other.pem", "/etc/key.pem"),
        ("state-directory", "auto", "/var/lib/voice"),
        ("metrics-address", "none", "[::1]:0"),
        ("log-level", "off", "trace"),
        ("server-name", "none", "home"),
        ("welcome", "none", "hello"),
        ("password", "none", "sesame"),
        ("password-file", "none", "/etc/passwords"),
        ("password-in-name", "no", "yes"),
        ("unique-names", "no", "yes"),
        ("max-pending-connections", "4", "65536"),
        ("max-handshakes", "4", "65536"),
        ("max-connections-per-address", "0", "100000"),
        ("max-connection-rate", "0", "500000000"),
        ("max-login-rate", "0", "120"),
        ("max-guess-rate", "0", "500000000"),
        ("login-timeout", "1", "300"),
        ("stall-timeout", "300", "1"),
        ("dead-peer-timeout", "12", "3600"),
        ("max-outbound-memory", "1", "1048576"),
        ("max-chat-rate", "0", "500000000"),
        ("max-chat-bytes", "1", "4096"),
        ("max-state-rate", "0", "500000000"),
        ("max-broadcast-bandwidth-per-address", "0", "131072"),
        ("max-broadcast-bandwidth", "0", "500000000"),
        ("max-voice-rate", "0", "3000"),
        ("max-voice-bandwidth", "0", "1048576"),
        ("max-voice-rate-per-address", "0", "500000000"),
        ("max-voice-bandwidth-per-address", "0", "500000000"),
        ("max-voice-age", "20", "60000"),
        ("max-voice-bytes", "1400", "1"),
        ("voice-from-anywhere", "yes", "no"),
        ("busy-poll", "no", "yes"),
        ("pin-to-cpu", "0", "1023"),
        ("realtime-priority", "1", "99"),
        ("lock-memory", "no", "yes"),
        ("udp-send", "batch", "plain"),
        ("measure-latency", "yes", "no"),
    ];
    for (place, (name, other_value, value)) in table.into_iter().enumerate() {
        let setting = &SETTINGS[place];
        assert_eq!(setting.option, name);
        let variable = &*setting.variable();
        // One is of no use without the other.
        let other = match name {
            "tls-certificate" => "--tls-key /etc/key.pem",
            "tls-key" => "--tls-certificate /etc/certificate.pem",
            _ => "",
        };
        let config = |arguments: &str, environment: &[_]| {
            config(&format!("{arguments} {other}"), environment)
        };
        let start = |arguments: &str, environment: &[_], file: &str| {
            start(&format!("{arguments} {other}"), environment, file)
        };
        let by_variable = config("", &[(variable, value)]);
        let shown = match setting.kind {
            Kind::Secret => "set",
            _ => value,
        };
        assert_eq!((setting.show)(&by_variable), shown);
        let line = |value| format!("{name} = {}", in_file(setting, value));
        let file = format!("--config {FILE}");
        assert_eq!(start(&file, &[], &line(value)).config, by_variable);
        let beaten = start(&file, &[(variable, value)], &line(other_value));
        assert_eq!(beaten.config, by_variable, "the variable beats the file");
        for option in [format!("--{name} {value}"), format!("--{name}={value}")] {
            assert_eq!(config(&option, &[]), by_variable);
            assert_eq!(config(&option, &[(variable, other_value)]), by_variable);
            assert_eq!(config(&option, &[(variable, "nonsense")]), by_variable);
            assert_eq!(
                config(&format!("--{name} {other_value} {option}"), &[]),
                by_variable
            );
            let both = format!("{option} --config {FILE}");
            assert_eq!(start(&both, &[], &line(other_value)).config, by_variable);
        }
    }
    assert_eq!(SETTINGS.len(), table.len(), "a new setting belongs here");
}

#[test]
fn what_cannot_be_used_names_its_setting() {
    for (arguments, named) in [
        ("--management-port 70000", "--management-port"),
        ("--management-port -1", "--management-port"),
        ("--management-port=", "--management-port"),
        ("--voice-relay-port nine", "--voice-relay-port"),
        ("--bind-address localhost", "--bind-address"),
        ("--bind-address 1.2.3", "--bind-address"),
        ("--bind-address 224.0.0.1", "--bind-address"),
        ("--bind-address 255.255.255.255", "--bind-address"),
        ("--max-users 0", "--max-users"),
        ("--max-users 100001", "--max-users"),
        ("--max-users", "--max-users"),
        ("--max-pending-connections 3", "--max-pending-connections"),
        (
            "--max-connections-per-address 100001",
            "--max-connections-per-address",
        ),
        ("--max-connection-rate few", "--max-connection-rate"),
        ("--max-login-rate -1", "--max-login-rate"),
        ("--login-timeout 0", "--login-timeout"),
        ("--login-timeout 1.5", "--login-timeout"),
        ("--stall-timeout 301", "--stall-timeout"),
        ("--dead-peer-timeout 11", "--dead-peer-timeout"),
        ("--max-outbound-memory 0", "--max-outbound-memory"),
        ("--max-chat-bytes 4097", "--max-chat-bytes"),
        ("--max-state-rate -1", "--max-state-rate"),
        ("--max-voice-bytes 1401", "--max-voice-bytes"),
        ("--max-chat-rate -1", "--max-chat-rate"),
        ("--max-voice-rate 500000001", "--max-voice-rate"),
        ("--max-voice-bandwidth 64k", "--max-voice-bandwidth"),
        ("--voice-from-anywhere maybe", "--voice-from-anywhere"),
        ("--tls maybe", "--tls"),
        ("--tls-certificate x", "--tls-certificate"),
        ("--tls-key x", "--tls-key"),
        ("--state-directory=", "--state-directory"),
        ("--max-handshakes 3", "--max-handshakes"),
        ("--invite", "--invite"),
        ("--invite=", "--invite"),
        ("--invite a/b", "--invite"),
        ("--metrics-address 9003", "--metrics-address"),
        ("--metrics-address localhost:9003", "--metrics-address"),
        ("--udp-send fast", "--udp-send"),
        ("--measure-latency maybe", "--measure-latency"),
        ("--busy-poll 1", "--busy-poll"),
        ("--pin-to-cpu 1024", "--pin-to-cpu"),
        ("--pin-to-cpu all", "--pin-to-cpu"),
        ("--realtime-priority 100", "--realtime-priority"),
        ("--lock-memory true", "--lock-memory"),
        ("--log-level loud", "--log-level"),
        ("--colour", "--colour"),
        ("-x", "-x"),
        ("stray", "stray"),
    ] {
        let error = error_of(arguments, &[]);
        assert!(error.contains(named), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    for setting in SETTINGS {
        let is_any_text = ["a path", "a line", "text"];
        if is_any_text
            .iter()
            .any(|it| setting.expected.starts_with(it))
        {
            continue; // every text is one
        }
        let variable = setting.variable();
        let error = error_of("", &[(&variable, "?")]);
        assert!(error.starts_with(&variable), "{error}");
        assert!(error.contains(setting.expected), "{error}");
        let error = error_of(&format!("--{}=", setting.option), &[]);
        assert!(error.contains(setting.expected));
    }
}

#[test]
fn variables_may_be_as_files_for_containers_make_them() {
    for setting in SETTINGS {
        let variable = &*setting.variable();
        for nothing in ["", " ", "\r", " \t\r\n"] {
            let config = config("", &[(variable, nothing)]);
            assert_eq!(config, Config::default(), "{variable}={nothing:?}");
        }
        let default = (setting.show)(&Config::default());
        for (before, after) in [(" ", ""), ("", "\r"), ("\t", " \r\n")] {
            let value = format!("{before}{default}{after}");
            let config = config("", &[(variable, &value)]);
            assert_eq!(config, Config::default(), "{variable}={value:?}");
        }
        for quote in ['"', '\''] {
            let value = format!("{quote}{default}{quote}\r");
            let error = error_of("", &[(variable, &value)]);
            assert!(error.starts_with(variable), "{error}");
            assert!(error.contains(&format!("quotes ({quote})")), "{error}");
        }
    }
}

#[test]
fn a_value_of_any_length_is_quoted_in_part() {
    let long = "9".repeat(100_000);
    let error = error_of("", &[("VOICEAPP_MAX_USERS", &long)]);
    assert!(
        error.len() < 200 && error.contains("(100000 bytes)"),
        "{error:.300}"
    );
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_unicode_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(vec![b'9', 0xff]);
    let arguments = [OsString::from("--management-port"), value];
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let error = parse(arguments, |_| None, no_file).expect_err("it is no port");
    assert!(
        error.to_string().starts_with("--management-port"),
        "{error}"
    );
}

#[test]
fn help_and_version_win_over_everything_after_them() {
    for (arguments, command) in [
        ("--help", Command::Help),
        ("-h --nonsense", Command::Help),
        ("--max-users 5 --version", Command::Version),
        ("-V", Command::Version),
    ] {
        assert_eq!(parse_words(arguments, &[], ""), Ok(command));
    }
}

#[test]
fn unknown_options_come_with_what_may_have_been_meant() {
    let error = error_of("--max-user 5", &[]);
    assert_eq!(
        error,
        "there is no option \"--max-user\" (did you mean --max-users?)"
    );
}
