//! Command lines and environments, and what comes of them.

use super::settings::Setting;
use super::*;

fn parse_words(arguments: &str, environment: &[(&str, &str)]) -> Result<Command, String> {
    let arguments = arguments.split_whitespace().map(OsString::from);
    let environment = |name: &str| {
        let variable = environment.iter().find(|(variable, _)| *variable == name);
        variable.map(|(_, value)| OsString::from(value))
    };
    parse(arguments, environment).map_err(|error| error.to_string())
}

fn config(arguments: &str, environment: &[(&str, &str)]) -> Config {
    match parse_words(arguments, environment) {
        Ok(Command::Run(config)) => config,
        other => panic!("{arguments:?} and {environment:?} gave {other:?}"),
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
fn every_setting_is_read_from_option_and_variable_and_the_option_wins() {
    let table = [
        ("management-port", "0", "65535"),
        ("voice-relay-port", "1", "65535"),
        ("bind-address", "any", "192.0.2.1"),
        ("max-users", "1", "100000"),
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
        ("ban-file", "none", "/etc/bans"),
        ("metrics-address", "none", "[::1]:0"),
        ("udp-send", "batch", "plain"),
        ("measure-latency", "yes", "no"),
        ("busy-poll", "no", "yes"),
        ("pin-to-cpu", "0", "1023"),
        ("realtime-priority", "1", "99"),
        ("lock-memory", "no", "yes"),
        ("log-level", "off", "trace"),
    ];
    for (place, (name, other_value, value)) in table.into_iter().enumerate() {
        let setting = &SETTINGS[place];
        assert_eq!(setting.option, name);
        let by_variable = config("", &[(setting.variable, value)]);
        assert_eq!((setting.show)(&by_variable), value);
        for option in [format!("--{name} {value}"), format!("--{name}={value}")] {
            assert_eq!(config(&option, &[]), by_variable);
            assert_eq!(
                config(&option, &[(setting.variable, other_value)]),
                by_variable
            );
            assert_eq!(
                config(&option, &[(setting.variable, "nonsense")]),
                by_variable
            );
            assert_eq!(
                config(&format!("--{name} {other_value} {option}"), &[]),
                by_variable
            );
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
        let error = parse_words(arguments, &[]).expect_err(arguments);
        assert!(error.contains(named), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    for setting in SETTINGS {
        if setting.variable == "BAN_FILE" {
            continue; // every text is a path
        }
        let error = parse_words("", &[(setting.variable, "?")]).expect_err(setting.variable);
        assert!(error.starts_with(setting.variable), "{error}");
        assert!(error.contains(setting.expected), "{error}");
        let error = parse_words(&format!("--{}=", setting.option), &[]);
        assert!(error.expect_err("it is empty").contains(setting.expected));
    }
}

#[test]
fn variables_may_be_as_files_for_containers_make_them() {
    for setting in SETTINGS {
        let variable = setting.variable;
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
            let error = parse_words("", &[(variable, &value)]).expect_err(variable);
            assert!(error.starts_with(variable), "{error}");
            assert!(error.contains(&format!("quotes ({quote})")), "{error}");
        }
    }
}

#[test]
fn a_value_of_any_length_is_quoted_in_part() {
    let long = "9".repeat(100_000);
    let error = parse_words("", &[("MAX_USERS", &long)]).expect_err("it is too much");
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
    let error = parse(arguments, |_| None).expect_err("it is no port");
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
        assert_eq!(parse_words(arguments, &[]), Ok(command));
    }
}

#[test]
fn help_shows_every_setting_with_its_variable_and_default() {
    let help = help();
    for setting in SETTINGS {
        let default = format!("[default: {}]", (setting.show)(&Config::default()));
        for part in [
            &format!("--{} ", setting.option),
            setting.variable,
            setting.help,
            &default,
        ] {
            assert!(help.contains(part), "{part} is missing");
        }
    }
    assert!(help.lines().all(|line| line.len() <= 100), "{help}");
}

#[test]
fn a_config_made_by_hand_is_checked_too() {
    assert_eq!(Config::default().check(), Ok(()));
    for max_users in [0, crate::limits::MAX_USERS_CEILING + 1] {
        let mut config = Config::default();
        config.limits.users = max_users;
        let error = config.check().expect_err("it is out of range").to_string();
        assert!(error.starts_with("max-users"), "{error}");
    }
}

#[test]
fn a_check_shows_every_value_and_where_it_comes_from() {
    let arguments = "--check-config --max-users 7 --log-level debug";
    let environment = [("MAX_USERS", "5"), ("UDP_SEND", "plain")];
    let Ok(Command::Check { config, report }) = parse_words(arguments, &environment) else {
        panic!("it is asked for");
    };
    assert_eq!(config.limits.users, 7);
    let lines: Vec<Vec<&str>> = report
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), SETTINGS.len());
    for expected in [
        ["management-port", "9001", "default"],
        ["max-users", "7", "--max-users"],
        ["udp-send", "plain", "UDP_SEND"],
        ["log-level", "debug", "--log-level"],
    ] {
        assert!(lines.contains(&expected.to_vec()), "{report}");
    }
    assert!(parse_words("--check-config --max-users 0", &[]).is_err());
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
        let error = parse_words(arguments, &[]).expect_err(arguments);
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
    let mut config = Config::default();
    config.limits.login_rate = 121;
    assert!(config.check().is_err());
}

#[test]
fn the_readme_has_every_setting_with_its_variable_and_default() {
    let readme = include_str!("../../README.md");
    for setting in SETTINGS {
        let default = (setting.show)(&Config::default());
        let row = format!(
            "| `--{}` | `{}` | {default} |",
            setting.option, setting.variable
        );
        assert!(readme.contains(&row), "{row} is missing");
    }
    assert_eq!(readme.matches("\n| `--").count(), SETTINGS.len());
}

#[test]
fn the_package_s_environment_file_has_every_setting_in_words_and_with_its_default() {
    let file = include_str!("../../packaging/voiceapp-server.default");
    let bans = "/etc/voiceapp-server/bans";
    let units = [
        include_str!("../../packaging/voiceapp-server.service"),
        include_str!("../../packaging/voiceapp-server@.service"),
    ];
    for setting in SETTINGS {
        let default = match setting.variable {
            "BAN_FILE" => bans.into(),
            _ => (setting.show)(&Config::default()),
        };
        let Setting {
            variable,
            help,
            expected,
            ..
        } = setting;
        let block = format!("\n\n# {help}\n# {expected}\n#{variable}={default}\n");
        assert!(file.contains(&block), "{block} is missing");
    }
    // Nothing else, nothing that is in force, and all of it can be.
    let variables: Vec<_> = file
        .lines()
        .filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='))
        .filter(|(name, _)| !name.contains(' '))
        .collect();
    assert_eq!(variables.len(), SETTINGS.len());
    assert!(
        file.lines()
            .all(|line| line.is_empty() || line.starts_with('#'))
    );
    let expected = Config {
        ban_file: Some(bans.into()),
        ..Config::default()
    };
    assert_eq!(config("", &variables), expected);
    for unit in units {
        assert!(unit.contains(&format!("\nEnvironment=BAN_FILE={bans}\n")));
    }
    let list = include_str!("../../packaging/bans");
    assert_eq!(crate::BanList::parse(list), Ok(crate::BanList::default()));
}

#[test]
fn an_instance_s_unit_is_the_unit_but_for_its_name_and_settings() {
    let one = include_str!("../../packaging/voiceapp-server.service");
    let template = include_str!("../../packaging/voiceapp-server@.service");
    let shared = template
        .lines()
        .filter(|line| *line != "EnvironmentFile=/etc/voiceapp-server/%i.env")
        .map(|line| line.replace(" %i", ""));
    let settings = |line: &String| !line.starts_with('#');
    let one: Vec<_> = one.lines().map(String::from).filter(settings).collect();
    assert_eq!(shared.filter(settings).collect::<Vec<_>>(), one);
}
