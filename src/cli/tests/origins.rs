//! Where settings come from is told, by the names that they were written by.

use super::*;

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

/// An error of the server names the setting as it was written.
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
fn variables_that_change_nothing_are_told() {
    let variables = [
        ("MAX_USERS", "7"),
        ("VOICEAPP_MANAGEMENT_PORT", "9011"),
        ("LOG_LEVEL", " "),
        ("MANAGEMENT_PORT", "9001"),
        ("VOICEAPP_MAX_CHAT_RATE", "9"),
    ];
    let in_vain = start("", &variables, "");
    let changed = (in_vain.config.limits.users, in_vain.config.limits.chat_rate);
    assert_eq!(changed, (1_000, 9));
    let warning = in_vain.warning().expect("two are set in vain");
    assert_eq!(
        warning,
        "these environment variables are set and change nothing: VOICEAPP_MANAGEMENT_PORT (it is \
         MANAGEMENT_PORT), MAX_USERS (it is VOICEAPP_MAX_USERS)"
    );
    let right = [("VOICEAPP_MAX_USERS", "7"), ("VOICE_RELAY_PORT", "0")];
    assert_eq!(start("", &right, "").warning(), None);
}
