//! The text of `--help`.

use super::setting::Group;
use super::settings::SETTINGS;
use crate::config::Config;

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "A voice server: login, presence and chat over TCP, a voice relay over UDP.\n\n\
         Usage: voiceapp-server [OPTION...]\n\n\
         Set each value by an option (--max-users 200), by an environment variable (VOICEAPP_MAX_USERS=200), or\n\
         in a TOML file (max-users = 200). An option wins over a variable, and a variable over the file.\n",
    );
    let defaults = Config::default();
    for group in Group::ALL {
        text += &format!("\n{}:\n", group.title());
        for setting in SETTINGS.iter().filter(|it| it.group == group) {
            text += &format!(
                "  --{} {} [default: {}]\n      {}\n",
                setting.option,
                setting.value,
                (setting.show)(&defaults),
                setting.help,
            );
        }
    }
    text += "\nOther:\n";
    for (option, what) in OTHER_OPTIONS {
        text += &format!("  {option}\n      {what}\n");
    }
    text += "\nAn address is an IPv4 address or an IPv6 /64. Ranges, variables and trade-offs: docs/settings.md.\n\
             Signals: SIGINT and SIGTERM stop the server, SIGUSR1 logs the statistics, SIGUSR2 turns debug\n\
             logging on and off, SIGHUP reloads the ban file, the password file and the\n\
             certificate.\n\
             Exit codes: 0 stopped by a signal, 1 cannot run, 2 invalid setting.\n";
    text
}

/// Options that are not settings.
pub const OTHER_OPTIONS: [(&str, &str); 6] = [
    (
        "--config FILE",
        "read settings from this TOML file (or VOICEAPP_CONFIG)",
    ),
    (
        "--invite HOST",
        "print an invitation for those who reach the server by this name or address, and exit",
    ),
    (
        "--check-config",
        "print every value and where it comes from, and exit",
    ),
    (
        "--make-secret",
        "print a random secret, for a password or a reserved name, and exit",
    ),
    ("-h, --help", "print this and exit"),
    ("-V, --version", "print the version and exit"),
];
