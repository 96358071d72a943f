//! Command lines, environments and files, and what comes of them.

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
        ("metrics-address", "none", "[::1]:0"),
        ("log-level", "off", "trace"),
        ("max-pending-connections", "4", "65536"),
        ("max-connections-per-address", "0", "100000"),
        ("max-connection-rate", "0", "500000000"),
        ("max-login-rate", "0", "120"),
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
        let by_variable = config("", &[(variable, value)]);
        assert_eq!((setting.show)(&by_variable), value);
        let line = |value| format!("{name} = {}", in_file(setting, value));
        assert_eq!(config_of_file(&line(value)), by_variable);
        let file = format!("--config {FILE}");
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
        if setting.option == "ban-file" {
            continue; // every text is a path
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
fn help_shows_every_setting_with_its_default_under_its_group() {
    let help = help();
    let mut parts = Vec::new();
    for group in Group::ALL {
        parts.push(format!("\n{}:\n", group.title()));
        for setting in SETTINGS.iter().filter(|it| it.group == group) {
            let default = (setting.show)(&Config::default());
            parts.push(format!(
                "  --{} {}\n      {}\n      {} [default: {default}]\n",
                setting.option, setting.value, setting.help, setting.expected
            ));
        }
    }
    assert_eq!(parts.len(), Group::ALL.len() + SETTINGS.len());
    let mut rest = &*help;
    for part in parts {
        let (_, after) = rest
            .split_once(&part)
            .unwrap_or_else(|| panic!("{part} is missing or out of order"));
        rest = after;
    }
    for (option, _) in OTHER_OPTIONS {
        assert!(rest.contains(option), "{option} is missing");
    }
    assert!(help.lines().all(|line| line.len() <= 104), "{help}");
}

/// So that what an application is told and what `--help` says are one thing.
#[test]
fn ranges_are_as_wide_as_they_are_said_to_be() {
    let mut seen = 0;
    for setting in SETTINGS {
        let Some((_, range)) = setting.expected.split_once("from ") else {
            continue;
        };
        let mut numbers = range
            .split([' ', ','])
            .filter_map(|word| word.parse::<u64>().ok());
        let (least, most) = (numbers.next().expect("one"), numbers.next().expect("two"));
        let is_taken = |number: i128| {
            let mut config = Config::default();
            set(&mut config, setting, &number.to_string()).is_ok()
        };
        let (least, most) = (i128::from(least), i128::from(most));
        assert!(is_taken(least) && is_taken(most), "{}", setting.option);
        let is_wider = is_taken(least - 1) || is_taken(most + 1);
        // "or 0 for none" is one more.
        let has_none = setting.expected.ends_with("or 0 for none");
        assert_eq!(is_wider, has_none, "{}", setting.option);
        seen += 1;
    }
    assert!(seen >= 24, "only {seen} have a range");
}

/// Errors and reports find settings by the names of fields.
#[test]
fn every_setting_is_a_field_of_its_own() {
    let shown = format!("{:?}", Config::default());
    let mut fields: Vec<_> = SETTINGS.iter().map(|setting| setting.field).collect();
    for field in &fields {
        let name = field.rsplit('.').next().expect("there is one");
        assert!(shown.contains(&format!("{name}: ")), "there is no {field}");
    }
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(fields.len(), SETTINGS.len());
}

#[test]
fn a_check_shows_every_value_and_where_it_comes_from() {
    let arguments = format!("--check-config --max-users 7 --log-level debug --config {FILE}");
    let environment = [
        ("VOICEAPP_MAX_USERS", "5"),
        ("VOICEAPP_UDP_SEND", "plain"),
        ("VOICE_RELAY_PORT", "9012"),
    ];
    let file =
        "# Mine.\nmax-users = 6\n\nudp-send = \"batch\"\nmax-chat-rate = 9\nbusy-poll = true\n";
    let Ok(Command::Check(start)) = parse_words(&arguments, &environment, file) else {
        panic!("it is asked for");
    };
    assert_eq!(start.config.limits.users, 7);
    let report = start.report();
    let lines: Vec<Vec<&str>> = report
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), SETTINGS.len() + 1, "the file has a line too");
    for expected in [
        ["config", FILE, "--config"],
        ["management-port", "9001", "default"],
        ["voice-relay-port", "9012", "VOICE_RELAY_PORT"],
        ["max-users", "7", "--max-users"],
        ["udp-send", "plain", "VOICEAPP_UDP_SEND"],
        ["log-level", "debug", "--log-level"],
        ["max-chat-rate", "9", "/etc/voice.toml:5"],
        ["busy-poll", "yes", "/etc/voice.toml:6"],
    ] {
        assert!(lines.contains(&expected.to_vec()), "{report}");
    }
    assert!(parse_words("--check-config --max-users 0", &[], "").is_err());
    let Ok(Command::Check(start)) = parse_words("--check-config", &[], "") else {
        panic!("it is asked for");
    };
    assert_eq!(start.report().lines().count(), SETTINGS.len());
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_line() {
    for (file, said) in [
        (
            "max-users = 0",
            "1: max-users: \"0\" is not a whole number from 1 to 100000",
        ),
        (
            "\n# Many.\nmax-users = 100001\n",
            "3: max-users: \"100001\" is not a whole number from 1 to 100000",
        ),
        (
            "max-users = \"200\"",
            "1: max-users: the string \"200\" is not a whole number from 1 to 100000, without quotes",
        ),
        (
            "max-users = 2.5",
            "1: max-users: 2.5 is not a whole number from 1 to 100000, without quotes",
        ),
        (
            "max-users = [1,\n2]",
            "1: max-users: a list is not a whole number from 1 to 100000, without quotes",
        ),
        (
            "management-port = -1",
            "1: management-port: \"-1\" is not a port from 0 to 65535",
        ),
        (
            "busy-poll = \"yes\"",
            "1: busy-poll: the string \"yes\" is not true or false, without quotes",
        ),
        (
            "busy-poll = 1",
            "1: busy-poll: 1 is not true or false, without quotes",
        ),
        (
            "log-level = 3",
            "1: log-level: 3 is not one of off, error, warn, info, debug, trace, in quotes",
        ),
        (
            "log-level = \"loud\"",
            "1: log-level: \"loud\" is not one of off, error, warn, info, debug, trace",
        ),
        (
            "ban-file = \"\"",
            "1: ban-file: \"\" is not a path, or none",
        ),
        (
            "pin-to-cpu = true",
            "1: pin-to-cpu: true is not a CPU's number from 0 to 1023, or any, which has quotes",
        ),
        (
            "\nmax_user = 5\n",
            "2: there is no setting \"max_user\" (did you mean max-users?)",
        ),
        (
            "colour = 1",
            "1: there is no setting \"colour\" (--help lists them)",
        ),
        (
            "busy-poll = true\n[limits]\nmax-users = 5",
            "2: there is no setting \"limits\" (settings stand by themselves, as in max-users = 200)",
        ),
        // The first in the file, whatever their names.
        (
            "zzzz = 1\naaaa = 1",
            "1: there is no setting \"zzzz\" (--help lists them)",
        ),
        (
            "busy-poll = true\nbusy-poll = false",
            "2: duplicate key: `busy-poll`",
        ),
    ] {
        assert_eq!(file_error(file), format!("{FILE}:{said}"), "{file:?}");
    }
    for (file, line) in [
        ("max-users 200", 1),
        ("busy-poll = yes", 1),
        ("\n\nmax-users = ", 3),
        ("log-level = \"info", 1),
        ("max-users = 99999999999999999999999", 1),
        ("\n[[[\n", 2),
    ] {
        let error = file_error(file);
        assert!(error.starts_with(&format!("{FILE}:{line}: ")), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    // However long what is written there is.
    let long = "9".repeat(100_000);
    for file in [
        format!("max-users = \"{long}\""),
        format!("busy-poll = 0.{long}"),
        format!("m{long} = 1"),
    ] {
        let error = file_error(&file);
        assert!(error.len() < 300, "{error:.400}");
    }
}

#[test]
fn a_file_may_be_as_editors_leave_it() {
    for file in ["", "\n", "# Nothing.", "\r\n# Nothing.\r\n"] {
        assert_eq!(config_of_file(file), Config::default(), "{file:?}");
    }
    for file in [
        "max-users = 2_000",
        "max-users = 2000 # Many.",
        "max-users=2000\r\n",
        "\"max-users\" = 0x7d0",
        "\u{feff}max-users = 2000\n",
    ] {
        assert_eq!(config_of_file(file).limits.users, 2_000, "{file:?}");
    }
}

#[test]
fn the_file_is_the_option_s_or_the_variable_s() {
    let by_variable = [("VOICEAPP_CONFIG", FILE)];
    assert_eq!(
        start("", &by_variable, "max-users = 5").config.limits.users,
        5
    );
    let nothing = [("VOICEAPP_CONFIG", " ")];
    assert_eq!(
        start("", &nothing, "max-users = 5").config,
        Config::default()
    );
    let both = start(
        &format!("--config {FILE}"),
        &[("VOICEAPP_CONFIG", "/nowhere")],
        "max-users = 5",
    );
    assert_eq!(both.config.limits.users, 5);
    let error = error_of("", &[("VOICEAPP_CONFIG", "/nowhere")]);
    assert!(
        error.starts_with("VOICEAPP_CONFIG: cannot read /nowhere: "),
        "{error}"
    );
    let error = error_of("--config /nowhere", &[]);
    assert!(
        error.starts_with("--config: cannot read /nowhere: "),
        "{error}"
    );
    assert!(error_of("--config=", &[]).contains("--config"));
    assert!(error_of("--config", &[]).contains("--config"));
    // What is beaten must be right as well.
    let beaten = format!("--max-users 5 --config {FILE}");
    let error = parse_words(&beaten, &[], "max-users = 0").expect_err("it is too few");
    assert!(
        error.starts_with("/etc/voice.toml:1: max-users: "),
        "{error}"
    );
}

#[test]
fn a_real_file_is_read_and_one_without_end_is_not() {
    let path = std::env::temp_dir().join(format!("voiceapp-server-{}.toml", std::process::id()));
    std::fs::write(&path, "max-users = 5\n").expect("the folder is writable");
    assert_eq!(read_file(&path).expect("it is there"), "max-users = 5\n");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("the folder is writable");
    let error = read_file(&path).expect_err("it is too long").to_string();
    assert_eq!(error, "it is longer than 1048576 bytes");
    std::fs::write(&path, [0xff]).expect("the folder is writable");
    assert!(read_file(&path).is_err(), "it is not UTF-8");
    std::fs::remove_file(&path).expect("it is there");
    assert!(read_file(&std::env::temp_dir()).is_err(), "it is a folder");
    #[cfg(target_os = "linux")]
    assert!(read_file(Path::new("/dev/zero")).is_err(), "it has no end");
}

#[test]
fn variables_that_change_nothing_are_told() {
    let variables = [
        ("MAX_USERS", "7"),
        ("VOICEAPP_MANAGEMENT_PORT", "9011"),
        ("LOG_LEVEL", " "),
        ("MANAGEMENT_PORT", "9001"),
        ("VOICEAPP_MAX_CHAT_RATE", "9"),
    ];
    let start = start("", &variables, "");
    let changed = (start.config.limits.users, start.config.limits.chat_rate);
    assert_eq!(changed, (1_000, 9));
    let warning = start.warning().expect("two are set in vain");
    assert_eq!(
        warning,
        "these environment variables are set and change nothing: VOICEAPP_MANAGEMENT_PORT (it is \
         MANAGEMENT_PORT), MAX_USERS (it is VOICEAPP_MAX_USERS)"
    );
    let right = [("VOICEAPP_MAX_USERS", "7"), ("VOICE_RELAY_PORT", "0")];
    assert_eq!(super::tests::start("", &right, "").warning(), None);
}

#[test]
fn unknown_options_come_with_what_may_have_been_meant() {
    let error = error_of("--max-user 5", &[]);
    assert_eq!(
        error,
        "there is no option \"--max-user\" (did you mean --max-users?)"
    );
}

/// An error of the server is in the words of whoever wrote the setting.
#[test]
fn errors_of_the_server_name_settings_as_they_were_written() {
    let error = crate::ServerError::BanFile {
        path: "bans".into(),
        source: io::Error::other("gone"),
    };
    assert_eq!(error.to_string(), "ban file bans (ban_file): gone");
    let file = format!("--config {FILE}");
    for (start, name) in [
        (start("--ban-file bans", &[], ""), "--ban-file"),
        (
            start("", &[("VOICEAPP_BAN_FILE", "bans")], ""),
            "VOICEAPP_BAN_FILE",
        ),
        (
            start(&file, &[], "\nban-file = \"bans\""),
            "/etc/voice.toml:2: ban-file",
        ),
        (start("", &[], ""), "--ban-file"),
    ] {
        let said = start.explain(&error).to_string();
        assert_eq!(said, format!("ban file bans ({name}): gone"));
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    for (arguments, named) in [
        ("--max-login-rate 121", "--max-connection-rate 120"),
        ("--max-connection-rate 59", "--max-login-rate 60"),
        ("--max-voice-rate 3001", "--max-voice-rate-per-address 3000"),
        (
            "--max-voice-bandwidth-per-address 65535",
            "--max-voice-bandwidth 65536",
        ),
        (
            "--max-broadcast-bandwidth 16383",
            "--max-broadcast-bandwidth-per-address 16384",
        ),
        ("--max-voice-bandwidth 1418", "--max-voice-bytes 1400"),
        (
            "--max-voice-bandwidth 118 --max-voice-bytes 100",
            "--max-voice-bytes 100",
        ),
        (
            "--max-users 100000 --max-outbound-memory 6",
            "--max-users 100000: that takes up to 7 MiB",
        ),
        ("--metrics-address 127.0.0.1:9001", "--management-port 9001"),
        (
            "--metrics-address 0.0.0.0:9005 --management-port 9005 --bind-address 127.0.0.1",
            "--management-port 9005",
        ),
        (
            "--metrics-address [::]:9001 --bind-address 127.0.0.1",
            "--management-port 9001",
        ),
        (
            "--metrics-address [::1]:9001 --bind-address ::1",
            "--management-port 9001",
        ),
    ] {
        let error = error_of(arguments, &[]);
        let named_too = arguments.split_whitespace().next().expect("an option");
        assert!(
            error.contains(named) && error.contains(named_too),
            "{error}"
        );
    }
    for arguments in [
        "--max-login-rate 120",
        "--max-voice-rate 0",
        "--max-voice-rate 3000",
        "--max-connection-rate 0 --max-login-rate 1000",
        "--max-login-rate 0 --max-connection-rate 1",
        "--max-voice-bandwidth 1419",
        "--max-voice-bandwidth 119 --max-voice-bytes 100",
        "--max-users 100000 --max-outbound-memory 7",
        // Voice is UDP, and another address is another place.
        "--metrics-address 127.0.0.1:9002",
        "--metrics-address 127.0.0.1:9001 --bind-address 127.0.0.2",
        "--metrics-address [::1]:9001 --bind-address 0.0.0.0",
        "--metrics-address 0.0.0.0:9001 --bind-address ::1",
        "--metrics-address 127.0.0.1:0 --management-port 0",
    ] {
        config(arguments, &[]);
    }
    // Each by the name that it was written by.
    let file = "max-login-rate = 121\n";
    assert_eq!(
        file_error(file),
        "max-login-rate 121 (/etc/voice.toml:1) cannot be reached with --max-connection-rate 120: \
         each login needs a connection"
    );
    let error = parse_words(
        &format!("--config {FILE}"),
        &[("VOICEAPP_MAX_OUTBOUND_MEMORY", "6")],
        "\nmax-users = 100000",
    );
    assert_eq!(
        error.expect_err("it has no room"),
        "VOICEAPP_MAX_OUTBOUND_MEMORY 6 has no room for one login among max-users 100000 \
         (/etc/voice.toml:2): that takes up to 7 MiB"
    );
}

#[test]
fn the_readme_has_every_setting_with_its_default() {
    let readme = include_str!("../../README.md");
    let mut rest = readme;
    for setting in SETTINGS {
        let default = (setting.show)(&Config::default());
        let row = format!(
            "\n| `--{}` | {default} | {} |",
            setting.option,
            in_table(setting.help)
        );
        let at = rest
            .find(&row)
            .unwrap_or_else(|| panic!("{row} is missing, or out of order"));
        rest = &rest[at + 1..];
    }
    assert_eq!(readme.matches("\n| `--").count(), SETTINGS.len());
}

/// A line of `--help` as a cell.
fn in_table(help: &str) -> String {
    help.replace('|', "\\|")
}

#[test]
fn the_document_of_the_settings_has_every_setting_with_its_variable_default_and_range() {
    let document = include_str!("../../docs/settings.md");
    let mut rest = document;
    for group in Group::ALL {
        let title = format!("\n## {}\n", group.title());
        let at = rest
            .find(&title)
            .unwrap_or_else(|| panic!("{title} is missing"));
        rest = &rest[at + 1..];
        for setting in SETTINGS.iter().filter(|it| it.group == group) {
            let entry = format!(
                "\n### `{}`\n\n`{}`, {}; default {}.\n",
                setting.option,
                setting.variable(),
                setting.expected,
                (setting.show)(&Config::default()),
            );
            let at = rest
                .find(&entry)
                .unwrap_or_else(|| panic!("{entry} is missing"));
            rest = &rest[at + 1..];
        }
    }
    assert_eq!(document.matches("\n### `").count(), SETTINGS.len());
}

#[test]
fn the_package_s_file_has_every_setting_in_words_and_with_its_default() {
    let file = include_str!("../../packaging/config.toml");
    let bans = "/etc/voiceapp-server/bans";
    let with_bans = Config {
        ban_file: Some(bans.into()),
        ..Config::default()
    };
    let mut rest = file;
    for setting in SETTINGS {
        let (option, help) = (setting.option, setting.help);
        let expected = match setting.kind {
            Kind::YesNo => "true or false",
            _ => setting.expected,
        };
        let value = in_file(setting, &(setting.show)(&with_bans));
        // The package brings a list of bans, and nothing else that is not the default.
        let mark = if option == "ban-file" { "" } else { "#" };
        let block = format!("\n\n# {help}\n# {expected}\n{mark}{option} = {value}\n");
        let at = rest
            .find(&block)
            .unwrap_or_else(|| panic!("{block} is missing"));
        rest = &rest[at + 1..];
    }
    assert_eq!(file.matches(" = ").count(), SETTINGS.len());
    for group in Group::ALL {
        assert!(
            file.contains(&format!("\n# {}\n", group.title())),
            "{group:?}"
        );
    }
    assert_eq!(config_of_file(file), with_bans);
    let in_force: String = file
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(
        config_of_file(&in_force),
        with_bans,
        "all of it can be in force"
    );
    let list = include_str!("../../packaging/bans");
    assert_eq!(crate::BanList::parse(list), Ok(crate::BanList::default()));
}

#[test]
fn the_file_for_measuring_has_no_limit_that_can_be_left_out() {
    let config = config_of_file(include_str!("../../benches/unlimited.toml"));
    let unlimited = crate::Limits {
        users: 12_000,
        ..crate::Limits::UNLIMITED
    };
    assert_eq!(config.limits, unlimited);
}

#[test]
fn an_instance_s_unit_is_the_unit_but_for_its_name_and_settings() {
    let one = include_str!("../../packaging/voiceapp-server.service");
    let template = include_str!("../../packaging/voiceapp-server@.service");
    let shared = template
        .lines()
        .map(|line| line.replace("/%i.toml", "/config.toml").replace(" %i", ""));
    let settings = |line: &String| !line.starts_with('#');
    let command = "ExecStart=/usr/bin/voiceapp-server --config /etc/voiceapp-server/config.toml";
    assert!(one.lines().any(|line| line == command));
    // A variable would beat the file.
    assert!(!one.contains("\nEnvironment"));
    let one: Vec<_> = one.lines().map(String::from).filter(settings).collect();
    assert_eq!(shared.filter(settings).collect::<Vec<_>>(), one);
}
