//! The settings: one table from which options, environment variables, defaults and `--help` come.

#[cfg(test)]
mod tests;

use crate::limits::{MAX_USERS_CEILING, RATE_CEILING};
use crate::rate::Rates;
use log::LevelFilter;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

/// What a server is started with. [`Config::default`] is what the binary does without any option,
/// and what cannot be used shows when the server is [bound](crate::Server::bind).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The TCP port of management. 0 lets the system choose one.
    pub management_port: u16,
    /// The UDP port of the voice relay. 0 lets the system choose one.
    pub voice_relay_port: u16,
    /// The address to listen on. `None` is every address, IPv4 and IPv6 both, or IPv4 alone where
    /// the machine has no IPv6.
    pub bind_address: Option<IpAddr>,
    /// How many users may be logged in at a time: 1 to [`MAX_USERS_CEILING`].
    pub max_users: usize,
    /// What users may do per second: each 0, for no limit, to [`RATE_CEILING`].
    pub rates: Rates,
    /// How datagrams are sent.
    pub udp_send: UdpSend,
    /// Whether the way of each voice datagram through the server is timed, from the kernel's
    /// receive time stamp on.
    pub measure_latency: bool,
    /// Whether the loop asks for events without ever sleeping: it wakes some microseconds sooner,
    /// and takes a whole CPU.
    pub busy_poll: bool,
    /// The CPU that the loop is kept on, from 0: no move to a cold cache, but no way around
    /// whatever else runs there. Linux only.
    pub pin_to_cpu: Option<usize>,
    /// A real-time priority (`SCHED_FIFO`) for the loop, 1 to 99, or 0 for none: it runs before
    /// everything of lower priority, so that together with [`busy_poll`](Self::busy_poll) nothing
    /// else runs on its CPU at all. Linux only.
    pub realtime_priority: u8,
    /// Whether all memory is kept out of swap: no page has to be read back from a disk, and none
    /// can be given up. Linux only.
    pub lock_memory: bool,
    /// What the binary logs. A library leaves logging to its application, and does not look at
    /// this.
    pub log_level: LevelFilter,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            management_port: 9001,
            voice_relay_port: 9002,
            bind_address: None,
            max_users: 1_000,
            rates: Rates::default(),
            udp_send: UdpSend::Auto,
            measure_latency: true,
            busy_poll: false,
            pin_to_cpu: None,
            realtime_priority: 0,
            lock_memory: false,
            log_level: LevelFilter::Info,
        }
    }
}

impl Config {
    /// Whether every value is in its range. What came through [`parse`] is.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for setting in SETTINGS {
            let value = (setting.show)(self);
            let is_default = value == (setting.show)(&Config::default());
            if !is_default && (setting.set)(&mut Config::default(), &value).is_none() {
                return Err(setting.error(setting.option, &value));
            }
        }
        Ok(())
    }
}

/// How datagrams are received and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpSend {
    /// The best way that the system has.
    Auto,
    /// Many datagrams per system call, and those that wait for one recipient in one message, padded
    /// by zeros to one size. Linux 4.18 and later.
    Coalesce,
    /// Many datagrams per system call. Linux only.
    Batch,
    /// One datagram per system call, as every system can.
    Plain,
}

/// One setting: an option and the environment variable that it beats.
struct Setting {
    option: &'static str,
    variable: &'static str,
    /// What stands for the value in `--help`.
    value: &'static str,
    help: &'static str,
    /// What a value must be, for `--help` and for errors.
    expected: &'static str,
    /// Takes a value over if it is one.
    set: fn(&mut Config, &str) -> Option<()>,
    show: fn(&Config) -> String,
}

impl Setting {
    fn error(&self, name: &str, value: &str) -> ConfigError {
        ConfigError(format!("{name}: {value:?} is not {}", self.expected))
    }
}

const SETTINGS: &[Setting] = &[
    Setting {
        option: "management-port",
        variable: "MANAGEMENT_PORT",
        value: "PORT",
        help: "TCP port for login, presence and chat; 0 lets the system choose",
        expected: "a port from 0 to 65535",
        set: |config, text| text.parse().ok().map(|port| config.management_port = port),
        show: |config| config.management_port.to_string(),
    },
    Setting {
        option: "voice-relay-port",
        variable: "VOICE_RELAY_PORT",
        value: "PORT",
        help: "UDP port for voice; 0 lets the system choose",
        expected: "a port from 0 to 65535",
        set: |config, text| text.parse().ok().map(|port| config.voice_relay_port = port),
        show: |config| config.voice_relay_port.to_string(),
    },
    Setting {
        option: "bind-address",
        variable: "BIND_ADDRESS",
        value: "ADDRESS",
        help: "address to listen on; 0.0.0.0 is all of IPv4 alone",
        expected: "an IPv4 or IPv6 address",
        set: |config, text| {
            text.parse()
                .ok()
                .map(|address| config.bind_address = Some(address))
        },
        show: |config| match config.bind_address {
            Some(address) => address.to_string(),
            None => "every address".into(),
        },
    },
    Setting {
        option: "max-users",
        variable: "MAX_USERS",
        value: "N",
        help: "users logged in at a time; tables for them are set aside at start",
        expected: "a whole number from 1 to 100000",
        set: |config, text| {
            let number = text.parse().ok()?;
            (1..=MAX_USERS_CEILING)
                .contains(&number)
                .then(|| config.max_users = number)
        },
        show: |config| config.max_users.to_string(),
    },
    Setting {
        option: "max-chat-rate",
        variable: "MAX_CHAT_RATE",
        value: "N",
        help: "chat messages a second from one user, after a burst of 10; 0 for no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.rates.chat_messages = rate),
        show: |config| config.rates.chat_messages.to_string(),
    },
    Setting {
        option: "max-voice-rate",
        variable: "MAX_VOICE_RATE",
        value: "N",
        help: "voice datagrams a second from one user, after a burst of 2 s; 0 for no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.rates.voice_datagrams = rate),
        show: |config| config.rates.voice_datagrams.to_string(),
    },
    Setting {
        option: "max-voice-bandwidth",
        variable: "MAX_VOICE_BANDWIDTH",
        value: "BYTES",
        help: "bytes of voice a second from one user, after a burst of 2 s; 0 for no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.rates.voice_bytes = rate),
        show: |config| config.rates.voice_bytes.to_string(),
    },
    Setting {
        option: "udp-send",
        variable: "UDP_SEND",
        value: "WAY",
        help: "how voice is sent; auto is the first that the system knows (plain: see the README)",
        expected: "one of auto, coalesce, batch, plain",
        set: |config, text| {
            let way = UdpSend::ALL.iter().find(|way| way.name() == text);
            way.map(|&way| config.udp_send = way)
        },
        show: |config| config.udp_send.name().into(),
    },
    Setting {
        option: "measure-latency",
        variable: "MEASURE_LATENCY",
        value: "YES|NO",
        help: "time every voice datagram's way through the server (Linux)",
        expected: EXPECTED_YES_OR_NO,
        set: |config, text| parse_yes_or_no(text).map(|yes| config.measure_latency = yes),
        show: |config| show_yes_or_no(config.measure_latency),
    },
    Setting {
        option: "busy-poll",
        variable: "BUSY_POLL",
        value: "YES|NO",
        help: "never sleep: wakes some microseconds sooner, and takes a whole CPU",
        expected: EXPECTED_YES_OR_NO,
        set: |config, text| parse_yes_or_no(text).map(|yes| config.busy_poll = yes),
        show: |config| show_yes_or_no(config.busy_poll),
    },
    Setting {
        option: "pin-to-cpu",
        variable: "PIN_TO_CPU",
        value: "N",
        help: "keep the loop on this CPU: warm caches, but no way around what else runs there",
        expected: "a CPU's number from 0 to 1023, or any",
        set: |config, text| {
            config.pin_to_cpu = match text {
                "any" => None,
                number => Some(number.parse().ok().filter(|&cpu| cpu < 1_024)?),
            };
            Some(())
        },
        show: |config| {
            config
                .pin_to_cpu
                .map_or("any".into(), |cpu| cpu.to_string())
        },
    },
    Setting {
        option: "realtime-priority",
        variable: "REALTIME_PRIORITY",
        value: "N",
        help: "run before all that has less (SCHED_FIFO; CAP_SYS_NICE); with busy-poll, alone on its CPU",
        expected: "a whole number from 1 to 99, or 0 for none",
        set: |config, text| {
            let priority = text.parse().ok()?;
            (priority <= 99).then(|| config.realtime_priority = priority)
        },
        show: |config| config.realtime_priority.to_string(),
    },
    Setting {
        option: "lock-memory",
        variable: "LOCK_MEMORY",
        value: "YES|NO",
        help: "keep all memory out of swap, so that none can be given up (CAP_IPC_LOCK)",
        expected: EXPECTED_YES_OR_NO,
        set: |config, text| parse_yes_or_no(text).map(|yes| config.lock_memory = yes),
        show: |config| show_yes_or_no(config.lock_memory),
    },
    Setting {
        option: "log-level",
        variable: "LOG_LEVEL",
        value: "LEVEL",
        help: "what is logged to standard error",
        expected: "one of off, error, warn, info, debug, trace",
        set: |config, text| text.parse().ok().map(|level| config.log_level = level),
        show: |config| config.log_level.to_string().to_lowercase(),
    },
];

const EXPECTED_YES_OR_NO: &str = "yes or no";

fn parse_yes_or_no(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn show_yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}

const EXPECTED_RATE: &str = "a whole number from 0 to 1000000000";

fn parse_rate(text: &str) -> Option<u32> {
    let rate = text.parse().ok()?;
    (rate <= RATE_CEILING).then_some(rate)
}

impl UdpSend {
    const ALL: [UdpSend; 4] = [
        UdpSend::Auto,
        UdpSend::Coalesce,
        UdpSend::Batch,
        UdpSend::Plain,
    ];

    fn name(self) -> &'static str {
        match self {
            UdpSend::Auto => "auto",
            UdpSend::Coalesce => "coalesce",
            UdpSend::Batch => "batch",
            UdpSend::Plain => "plain",
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a server.
    Run(Config),
    /// Print [`help`] and exit.
    Help,
    /// Print the version and exit.
    Version,
}

/// A setting that cannot be used: one line that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Reads a command line (without the program's name) and the environment. An option beats its
/// variable, which is then not looked at, and the last of several is the one that counts.
///
/// # Errors
///
/// [`ConfigError`] for an unknown option, an argument that is none, or a value that cannot be used.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Command, ConfigError> {
    let mut values = vec![None; SETTINGS.len()];
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(usage_error)? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Command::Help),
            lexopt::Arg::Short('V') | lexopt::Arg::Long("version") => return Ok(Command::Version),
            lexopt::Arg::Long(name) => {
                let known = SETTINGS.iter().position(|setting| setting.option == name);
                let place = known.ok_or_else(|| usage_error(argument.unexpected()))?;
                values[place] = Some(parser.value().map_err(usage_error)?);
            }
            other => return Err(usage_error(other.unexpected())),
        }
    }
    let mut config = Config::default();
    for (setting, value) in SETTINGS.iter().zip(values) {
        let (name, value) = match value {
            Some(value) => (format!("--{}", setting.option), value),
            None => match environment(setting.variable) {
                Some(value) => (setting.variable.to_string(), value),
                None => continue,
            },
        };
        // A value that is not Unicode is no value of any setting, and so falls to its own check.
        let value = value.to_string_lossy();
        (setting.set)(&mut config, &value).ok_or_else(|| setting.error(&name, &value))?;
    }
    Ok(Command::Run(config))
}

fn usage_error(error: lexopt::Error) -> ConfigError {
    ConfigError(format!("{error} (--help lists the options)"))
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "A voice server: login, presence and chat over TCP, a voice relay over UDP.\n\n\
         Usage: voiceapp-server [OPTION...]\n\n\
         Each setting can be given as an option or in the environment variable named beside it; the option\n\
         wins.\n\n",
    );
    let defaults = Config::default();
    for setting in SETTINGS {
        text += &format!(
            "  --{} {} (or {})\n      {}\n      {} [default: {}]\n",
            setting.option,
            setting.value,
            setting.variable,
            setting.help,
            setting.expected,
            (setting.show)(&defaults),
        );
    }
    text += "  -h, --help\n      print this and exit\n";
    text += "  -V, --version\n      print the version and exit\n\n";
    text += "SIGINT or SIGTERM stops the server, SIGUSR1 writes its statistics to the log.\n\
             Exit codes: 0 stopped as asked, 1 could not run, 2 a setting cannot be used.\n";
    text
}
