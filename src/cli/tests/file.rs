//! The file: what is taken from it, and what is said of what is wrong in it.

use super::*;

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
