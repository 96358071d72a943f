//! The text of `--help`.

use super::setting::Group;
use super::settings::SETTINGS;
use crate::config::Config;

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "A voice server: login, presence and chat over TCP, a voice relay over UDP.\n\n\
         Usage: voiceapp-server [OPTION...]\n\n\
         Each setting is an option, an environment variable, or a line of a file (--config): max-users is\n\
         --max-users 200, or VOICEAPP_MAX_USERS=200, or max-users = 200 in the file. The option wins over the\n\
         variable, and the variable over the file. Variables begin with VOICEAPP_, but for MANAGEMENT_PORT and\n\
         VOICE_RELAY_PORT. In the file, text has quotes, and yes and no are true and false.\n",
    );
    let defaults = Config::default();
    for group in Group::ALL {
        text += &format!("\n{}:\n", group.title());
        for setting in SETTINGS.iter().filter(|it| it.group == group) {
            text += &format!(
                "  --{} {}\n      {}\n      {} [default: {}]\n",
                setting.option,
                setting.value,
                setting.help,
                setting.expected,
                (setting.show)(&defaults),
            );
        }
    }
    text += "\nOther:\n";
    for (option, what) in OTHER_OPTIONS {
        text += &format!("  {option}\n      {what}\n");
    }
    text += "\nAn \"address\" is an IPv4 address or an IPv6 /64. What each setting trades for what is in\n\
             docs/settings.md.\n\
             SIGINT or SIGTERM stops the server, SIGUSR1 writes its statistics to the log, SIGUSR2 sets the log\n\
             level to debug and back, SIGHUP reads the ban file again.\n\
             Exit codes: 0 stopped as asked, 1 could not run, 2 a setting cannot be used.\n";
    text
}

/// What is no setting.
pub const OTHER_OPTIONS: [(&str, &str); 4] = [
    (
        "--config FILE",
        "read settings from this TOML file (or VOICEAPP_CONFIG)",
    ),
    (
        "--check-config",
        "print what would be in force and where it comes from, and exit",
    ),
    ("-h, --help", "print this and exit"),
    ("-V, --version", "print the version and exit"),
];
