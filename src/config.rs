//! The settings: one table from which options, environment variables, defaults and `--help` come.

mod settings;
#[cfg(test)]
mod tests;

use crate::limits::{Limits, outbound_bytes_max};
use log::LevelFilter;
use settings::SETTINGS;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

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
    /// What clients may do.
    pub limits: Limits,
    /// A list of addresses to keep out, as [`BanList::parse`](crate::BanList::parse) reads it.
    pub ban_file: Option<PathBuf>,
    /// Where metrics are served over HTTP, if anywhere: `/metrics` for Prometheus, and `/healthz`.
    /// There is no authentication; a loopback address keeps others out.
    pub metrics_address: Option<SocketAddr>,
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
            limits: Limits::default(),
            ban_file: None,
            metrics_address: None,
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
    /// Whether every value is in its range, and all of them make sense together.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for setting in SETTINGS {
            let value = (setting.show)(self);
            if (setting.set)(&mut Config::default(), &value).is_none() {
                return Err(setting.error(setting.option, &value));
            }
        }
        self.check_together()
    }

    /// Whether the values make sense together.
    fn check_together(&self) -> Result<(), ConfigError> {
        let limits = self.limits;
        let (logins, connections) = (limits.login_rate, limits.connection_rate);
        if logins > connections && connections > 0 {
            return Err(ConfigError::new(format!(
                "--max-login-rate {logins} cannot be reached with --max-connection-rate \
                 {connections}: each login needs a connection"
            )));
        }
        for (name, user, of_more, more) in [
            (
                "voice-rate",
                limits.voice_rate,
                "voice-rate-per-address",
                limits.voice_rate_per_address,
            ),
            (
                "voice-bandwidth",
                limits.voice_bandwidth,
                "voice-bandwidth-per-address",
                limits.voice_bandwidth_per_address,
            ),
            (
                "broadcast-bandwidth-per-address",
                limits.broadcast_bandwidth_per_address,
                "broadcast-bandwidth",
                limits.broadcast_bandwidth,
            ),
        ] {
            if user > more && more > 0 {
                return Err(ConfigError::new(format!(
                    "--max-{name} {user} cannot be reached with --max-{of_more} {more}"
                )));
            }
        }
        if let Some(metrics) = self.metrics_address.filter(|it| self.would_listen_at(*it)) {
            return Err(ConfigError::new(format!(
                "--metrics-address {metrics} is taken by --management-port {}: give each a port of \
                 its own",
                self.management_port
            )));
        }
        let (bandwidth, frame) = (limits.voice_bandwidth, limits.voice_frame_bytes());
        if bandwidth > 0 && (bandwidth as usize) < frame {
            return Err(ConfigError::new(format!(
                "--max-voice-bandwidth {bandwidth} is less than one datagram a second of \
                 --max-voice-bytes {} ({frame} bytes with its header)",
                limits.voice_bytes
            )));
        }
        let one = outbound_bytes_max(limits.users);
        if limits.outbound_bytes < one {
            return Err(ConfigError::new(format!(
                "--max-outbound-memory has no room for one login among --max-users {}: that takes \
                 up to {} MiB",
                limits.users,
                one.div_ceil(1_024 * 1_024)
            )));
        }
        Ok(())
    }

    /// Whether management would keep a TCP address from being listened on.
    fn would_listen_at(&self, address: SocketAddr) -> bool {
        let (theirs, port) = (address.ip(), address.port());
        let meet = match self.bind_address.map(|own| own.to_canonical()) {
            None => true,
            Some(own) if own.is_unspecified() || theirs.is_unspecified() => {
                // IPv6's "every address" is all of IPv4 too.
                own.is_ipv4() == theirs.is_ipv4()
                    || [own, theirs].contains(&Ipv6Addr::UNSPECIFIED.into())
            }
            Some(own) => own == theirs,
        };
        meet && port == self.management_port && port != 0
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
    /// Print what it would be run with, and exit.
    Check {
        /// All of it.
        config: Config,
        /// A line for each setting: its option, its value, and where that comes from.
        report: String,
    },
    /// Print [`help`] and exit.
    Help,
    /// Print the version and exit.
    Version,
}

/// A setting that cannot be used: one line that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    fn new(message: String) -> Self {
        ConfigError(message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Reads a command line (without the program's name) and the environment. An option beats its
/// variable, which is then not looked at, and the last of several is the one that counts. Blanks around
/// a variable's value are left off, and an empty one is one that is not set.
///
/// # Errors
///
/// [`ConfigError`] for an unknown option, an argument that is none, or a value that cannot be used.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Command, ConfigError> {
    let mut values = vec![None; SETTINGS.len()];
    let mut is_check = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(usage_error)? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Command::Help),
            lexopt::Arg::Short('V') | lexopt::Arg::Long("version") => return Ok(Command::Version),
            lexopt::Arg::Long("check-config") => is_check = true,
            lexopt::Arg::Long(name) => {
                let known = SETTINGS.iter().position(|setting| setting.option == name);
                let place = known.ok_or_else(|| usage_error(argument.unexpected()))?;
                values[place] = Some(parser.value().map_err(usage_error)?);
            }
            other => return Err(usage_error(other.unexpected())),
        }
    }
    let mut config = Config::default();
    let mut report = String::new();
    for (setting, value) in SETTINGS.iter().zip(values) {
        let given = match value {
            Some(value) => Some((format!("--{}", setting.option), value)),
            None => {
                let variable = environment(setting.variable).and_then(without_blanks);
                variable.map(|value| (setting.variable.into(), value))
            }
        };
        let origin = given
            .as_ref()
            .map_or("default", |(name, _)| name)
            .to_string();
        if let Some((name, value)) = given {
            let error = || setting.error(&name, &value.to_string_lossy());
            let text = value.to_str().ok_or_else(error)?;
            check_quotes(&name, text)?;
            (setting.set)(&mut config, text).ok_or_else(error)?;
        }
        let value = (setting.show)(&config);
        report += &format!("{:<28} {value:<20} {origin}\n", setting.option);
    }
    config.check_together()?;
    Ok(match is_check {
        true => Command::Check { config, report },
        false => Command::Run(config),
    })
}

/// What a variable says, without the blanks, tabs and line ends that files leave around it: those for
/// containers keep everything behind the `=`. None if nothing is left, which is how some of them leave
/// a variable out.
fn without_blanks(value: OsString) -> Option<OsString> {
    let value = match value.to_str() {
        Some(text) => text.trim().into(),
        None => value,
    };
    (!value.is_empty()).then_some(value)
}

/// Such files do not take quotes away either, and a path in quotes would be another path.
fn check_quotes(name: &str, text: &str) -> Result<(), ConfigError> {
    for quote in ['"', '\''] {
        if text.len() > 1 && text.starts_with(quote) && text.ends_with(quote) {
            return Err(ConfigError::new(format!(
                "{name}: the value has quotes ({quote}) around it, which are a part of it here: leave them off"
            )));
        }
    }
    Ok(())
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
    text +=
        "  --check-config\n      print what would be in force and where it comes from, and exit\n";
    text += "  -h, --help\n      print this and exit\n";
    text += "  -V, --version\n      print the version and exit\n\n";
    text += "Blanks around a variable's value are left off, and an empty one is one that is not set.\n\
             SIGINT or SIGTERM stops the server, SIGUSR1 writes its statistics to the log, SIGUSR2 sets the log\n\
             level to debug and back, SIGHUP reads the ban file again.\n\
             Exit codes: 0 stopped as asked, 1 could not run, 2 a setting cannot be used.\n";
    text
}
