//! The options of a crowd, and which of them cannot be combined.
//!
//! Parsing touches nothing outside, except that it looks a server's name up. The parent passes its
//! own arguments on to the processes that it starts, with `--role` behind them.

pub use super::choices::{Pattern, Payload, Receivers, Role, Secure, Side, Storm};
use super::voice::STAMP_BYTES;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use voiceapp_protocol::VOICE_DATA_BYTES_MAX;

const DEFAULT_PORT: u16 = 9_001;

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub server: SocketAddr,
    pub voice_port: u16,
    pub users: usize,
    pub speakers: usize,
    pub secure: Secure,
    /// Logins under way at a time, all workers together.
    pub logins_at_once: usize,
    /// Datagrams a second from each speaker; 0 is as fast as can be.
    pub rate: f64,
    pub payload: Payload,
    pub pattern: Pattern,
    pub receivers: Receivers,
    pub seconds: f64,
    /// The server's process, for its CPU time.
    pub pid: Option<u32>,
    pub floor: bool,
    pub rounds: usize,
    pub storms: Vec<Storm>,
    pub json: bool,
    pub plot: Option<PathBuf>,
    pub label: Option<String>,
    pub role: Role,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            server: SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)),
            voice_port: 9_002,
            users: 100,
            speakers: 10,
            secure: Secure::No,
            logins_at_once: 64,
            rate: 50.0,
            payload: Payload::Opus,
            pattern: Pattern::Even,
            receivers: Receivers::Read,
            seconds: 5.0,
            pid: None,
            floor: false,
            rounds: 1,
            storms: vec![Storm::None],
            json: false,
            plot: None,
            label: None,
            role: Role::Parent,
        }
    }
}

impl Options {
    /// `None` if only help was requested.
    pub fn parse(mut arguments: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Options::default();
        let mut rounds = None;
        while let Some(argument) = arguments.next()? {
            let Long(name) = argument else {
                if argument == Short('h') {
                    return Ok(None);
                }
                return Err(argument.unexpected());
            };
            let name = name.to_owned();
            match name.as_str() {
                "help" => return Ok(None),
                "floor" => options.floor = true,
                "json" => options.json = true,
                "plot" => options.plot = Some(arguments.value()?.into()),
                "label" => options.label = Some(arguments.value()?.string()?),
                "rounds" => rounds = Some(arguments.value()?.parse()?),
                name if SETTINGS.contains(&name) => {
                    options.set(name, &arguments.value()?.string()?)?;
                }
                name => return Err(Long(name).unexpected()),
            }
        }
        options.rounds = rounds.unwrap_or(if options.floor { 3 } else { 1 });
        options.check()?;
        Ok(Some(options))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let not = |what: &str| format!("--{name}: {value:?} is not {what}");
        let number = || value.parse::<usize>().map_err(|_| not("a number"));
        match name {
            "server" => self.server = find_server(value)?,
            "voice-port" => self.voice_port = value.parse().map_err(|_| not("a port"))?,
            "users" => self.users = number()?,
            "speakers" => self.speakers = number()?,
            "logins-at-once" => self.logins_at_once = number()?,
            "rate" => self.rate = value.parse().map_err(|_| not("a number"))?,
            "seconds" => self.seconds = value.parse().map_err(|_| not("a number"))?,
            "pid" => self.pid = Some(value.parse().map_err(|_| not("a process"))?),
            "payload" if value == "opus" => self.payload = Payload::Opus,
            "payload" => self.payload = Payload::Bytes(number()?),
            "pattern" => {
                self.pattern = match value {
                    "even" => Pattern::Even,
                    "together" => Pattern::Together,
                    _ => return Err(not("even or together")),
                }
            }
            "receivers" => {
                self.receivers = match value {
                    "read" => Receivers::Read,
                    "ignore" => Receivers::Ignore,
                    _ => return Err(not("read or ignore")),
                }
            }
            "secure" => {
                self.secure = match value {
                    "no" => Secure::No,
                    "yes" => Secure::Yes,
                    "both" => Secure::Both,
                    _ => return Err(not("no, yes or both")),
                }
            }
            "storm" => {
                self.storms = value
                    .split(',')
                    .map(Storm::parse)
                    .collect::<Result<_, _>>()?
            }
            _ => self.role = Role::parse(value).ok_or_else(|| not("a role"))?,
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let refuse = |is_wrong: bool, why: &str| {
            if is_wrong {
                Err(why.to_owned())
            } else {
                Ok(())
            }
        };
        refuse(self.users == 0, "--users: there must be one")?;
        refuse(
            self.logins_at_once == 0,
            "--logins-at-once: there must be one",
        )?;
        refuse(
            self.speakers == 0 || self.speakers > self.users,
            "--speakers: from 1 to the number of users",
        )?;
        refuse(
            !(0.0..=1e6).contains(&self.rate),
            "--rate: from 0 to 1000000",
        )?;
        refuse(
            !(0.1..=86_400.0).contains(&self.seconds),
            "--seconds: from 0.1 to 86400",
        )?;
        refuse(self.rounds == 0, "--rounds: there must be one")?;
        if let Payload::Bytes(len) = self.payload {
            refuse(
                !(STAMP_BYTES..=VOICE_DATA_BYTES_MAX).contains(&len),
                &format!(
                    "--payload: from {STAMP_BYTES} (the send time must fit) to {VOICE_DATA_BYTES_MAX}"
                ),
            )?;
        }
        refuse(
            self.plot.is_some() && self.receivers == Receivers::Ignore,
            "--plot: there is no latency to draw where nobody reads",
        )?;
        // Each receiver remembers every speaker, in 16 bytes.
        refuse(
            self.receivers == Receivers::Read && self.users * self.speakers > 50_000_000,
            "--users times --speakers: at most 50 million with receivers that read",
        )
    }
}

/// The options that [`Options::set`] takes, each with a value.
const SETTINGS: [&str; 14] = [
    "server",
    "voice-port",
    "users",
    "speakers",
    "rate",
    "seconds",
    "pid",
    "payload",
    "pattern",
    "receivers",
    "secure",
    "logins-at-once",
    "storm",
    "role",
];

/// The first address of `HOST:PORT`, `HOST`, or an address of either family.
fn find_server(server: &str) -> Result<SocketAddr, String> {
    if let Ok(ip) = server.parse::<std::net::IpAddr>() {
        return Ok(SocketAddr::new(ip, DEFAULT_PORT));
    }
    let found = match server.parse::<SocketAddr>() {
        Ok(address) => return Ok(address),
        Err(_) if server.contains(':') => server.to_socket_addrs(),
        Err(_) => (server, DEFAULT_PORT).to_socket_addrs(),
    };
    found
        .map_err(|error| format!("--server: cannot find {server}: {error}"))?
        .next()
        .ok_or_else(|| format!("--server: {server} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(lexopt::Parser::from_args(line.split_whitespace()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(parse(""), Ok(Some(Options::default())));
        assert_eq!(parse("--users nonsense --help").ok(), None);
        assert_eq!(parse("-h"), Ok(None));
        assert_eq!(parse("--users 5 --help"), Ok(None));
    }

    #[test]
    fn every_option_is_read() {
        let line = "--server [::1]:7 --voice-port 8 --users 20 --speakers 2 --rate 0 --payload 300 --pattern together \
            --receivers ignore --secure both --logins-at-once 3 --seconds 1.5 --pid 9 --floor --storm none,half-open --json --label x";
        let expected = Options {
            server: "[::1]:7".parse().expect("an address"),
            voice_port: 8,
            users: 20,
            speakers: 2,
            rate: 0.0,
            payload: Payload::Bytes(300),
            pattern: Pattern::Together,
            receivers: Receivers::Ignore,
            secure: Secure::Both,
            logins_at_once: 3,
            seconds: 1.5,
            pid: Some(9),
            floor: true,
            rounds: 3,
            storms: vec![Storm::None, Storm::HalfOpen],
            json: true,
            label: Some("x".to_owned()),
            ..Options::default()
        };
        assert_eq!(parse(line), Ok(Some(expected)));
        let plain = parse("--server ::1 --rounds 2")
            .expect("good")
            .expect("no help");
        assert_eq!(plain.server.port(), DEFAULT_PORT);
        assert_eq!(plain.rounds, 2);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "--users 0",
            "--users 5 --speakers 6",
            "--rate -1",
            "--rate NaN",
            "--seconds 0",
            "--payload 19",
            "--payload 1401",
            "--pattern odd",
            "--secure maybe",
            "--logins-at-once 0",
            "--storm rain",
            "--storm",
            "--rounds 0",
            "--receivers ignore --plot x.svg",
            "--users 10000 --speakers 10000",
            "--role king",
            "stray",
            "--unknown",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
