//! The options of the client.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use voiceapp_client::codec::{BITRATE, BITRATES};
use voiceapp_client::gate::THRESHOLD_DB;
use voiceapp_client::link::{Server, parse_port};
use voiceapp_client::trust::Fingerprint;

pub const USAGE: &str = "\
Usage: voiceapp [OPTION...] [SERVER]

Connect (SERVER is what --server takes):
  --name NAME           your name, 1 to 32 bytes (default: $USER, $LOGNAME or the system's user name,
                        else guest)
  --server HOST[:PORT]  the server's name or address (default 127.0.0.1:9001); IPv6 with a port:
                        [::1]:9001; a link-local address with its interface: fe80::1%eth0; or
                        an invitation: voiceapp://HOST:PORT/#sha256=FINGERPRINT
  --pin SHA256          trust only the server key with this fingerprint, as an invitation does;
                        without it, trust the first key of a server, and keep it
  --plain               connect without encryption: anyone on the way can read and listen
  --password-file FILE  the server's password is the first line of this file (default:
                        $VOICEAPP_PASSWORD, else none)
  --password TEXT       the password itself, which other users of this machine can then read
  --name-secret-file F  the secret of a reserved name is the first line of this file (default:
                        $VOICEAPP_NAME_SECRET, else none)
  --name-secret TEXT    the secret itself, which other users of this machine can then read
  --voice-port PORT     the server's UDP port (default: as the server says, else 9002)
  --reconnect SECONDS   how long to retry a lost connection, 0 to 86400 (default 300)

Speak (joins voice):
  --speak FILE.wav      speak a file: 16, 24 or 32 bits or float, mono or stereo
  --speak -             speak standard input: raw 16-bit 48 kHz mono, little-endian
  --voice-activation DB send standard input only while it is at least this loud, and half a second
                        longer: -90 to 0 dB of full scale, or off to send everything (default -50)
  --push-to-talk        send standard input only between one Ctrl-T and the next, typed at the
                        terminal; turns --voice-activation off unless that is given too
  --bitrate KBIT        bit rate while speaking, 6 to 510 kbit/s (default 96)

Hear (joins voice):
  --listen -            play voice to standard output, in the form of --speak -; text then goes to
                        standard error
  --record FILE.wav     record voice, from login to the end

Other:
  --json                print events as JSON, one per line
  -h, --help            print this and exit

On a terminal, events are coloured unless NO_COLOR is set. Ctrl-C clears the line, or leaves if it
is empty. TERM=dumb turns colour and line editing off. SIGINT and SIGTERM log out and stop.

Exit codes: 0 after /quit, end of input or a signal; 1 a file or standard output failed; 2 invalid
option; 3 server or voice unreachable, or connection lost for good; 4 login refused; 5 server key
not trusted.";

pub struct Options {
    pub name: String,
    pub server: Server,
    /// The server's password.
    pub password: Option<String>,
    /// The secret of the name.
    pub name_secret: Option<String>,
    /// Whether the port for voice was named, and the server's word does not count.
    pub has_voice_port: bool,
    pub speak: Option<Speak>,
    pub listen: bool,
    pub record: Option<PathBuf>,
    pub is_json: bool,
    pub reconnect: Duration,
    /// In bits a second.
    pub bitrate: u32,
    /// From which level on sound counts as speech.
    pub activation_db: Option<f32>,
    pub push_to_talk: bool,
}

pub enum Speak {
    File(PathBuf),
    Input,
}

impl Options {
    /// Whether the received sound goes anywhere.
    pub fn is_playing(&self) -> bool {
        self.listen || self.record.is_some()
    }

    /// Whether the client is started for voice alone.
    pub fn wants_voice(&self) -> bool {
        self.is_playing() || self.speak.is_some()
    }

    /// `None` if only help was requested.
    pub fn parse(mut arguments: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;
        let mut name = None;
        let mut options = Options {
            name: String::new(),
            server: Server::default(),
            password: None,
            name_secret: None,
            has_voice_port: false,
            speak: None,
            listen: false,
            record: None,
            is_json: false,
            reconnect: Duration::from_secs(300),
            bitrate: BITRATE,
            activation_db: None,
            push_to_talk: false,
        };
        let (mut activation, mut pin, mut has_server) = (None, None, false);
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("name") => name = Some(arguments.value()?.string()?),
                Long("server") => {
                    let server = arguments.value()?.string()?;
                    options.set_server(&mut has_server, &server)?;
                }
                Value(server) => options.set_server(&mut has_server, &server.string()?)?,
                Long("pin") => {
                    pin = Some(arguments.value()?.parse_with(str::parse::<Fingerprint>)?)
                }
                Long("plain") => options.server.is_plain = true,
                Long("password") => options.password = Some(arguments.value()?.string()?),
                Long("password-file") => {
                    options.password = Some(first_line(&PathBuf::from(arguments.value()?))?);
                }
                Long("name-secret") => options.name_secret = Some(arguments.value()?.string()?),
                Long("name-secret-file") => {
                    options.name_secret = Some(first_line(&PathBuf::from(arguments.value()?))?);
                }
                Long("voice-port") => {
                    options.has_voice_port = true;
                    options.server.voice_port = parse_port(&arguments.value()?.string()?)?;
                }
                Long("speak") => {
                    let source = arguments.value()?;
                    options.speak = Some(match source == "-" {
                        true => Speak::Input,
                        false => Speak::File(source.into()),
                    });
                }
                Long("listen") => match arguments.value()? {
                    sink if sink == "-" => options.listen = true,
                    _ => return Err("--listen takes - alone: --record writes to a file".into()),
                },
                Long("record") => match arguments.value()? {
                    sink if sink == "-" => {
                        return Err("--record takes a file: --listen - writes to a pipe".into());
                    }
                    file => options.record = Some(file.into()),
                },
                Long("json") => options.is_json = true,
                Long("reconnect") => {
                    let seconds: u32 = arguments.value()?.parse()?;
                    if seconds > 86_400 {
                        return Err(format!("{seconds} is not 0 to 86400 seconds").into());
                    }
                    options.reconnect = Duration::from_secs(seconds.into());
                }
                Long("bitrate") => {
                    options.bitrate = arguments.value()?.parse_with(parse_bitrate)?;
                }
                Long("voice-activation") => {
                    activation = Some(arguments.value()?.parse_with(parse_activation)?);
                }
                Long("push-to-talk") => options.push_to_talk = true,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        options.set_pin(pin)?;
        if let (Some(Speak::File(from)), Some(to)) = (&options.speak, &options.record) {
            // A file that does not exist yet cannot be the same.
            let paths = (from.canonicalize(), to.canonicalize());
            if matches!(paths, (Ok(from), Ok(to)) if from == to) {
                return Err("--speak and --record name the same file".into());
            }
        }
        if options.push_to_talk && !matches!(options.speak, Some(Speak::Input)) {
            return Err("--push-to-talk goes with --speak -".into());
        }
        let default = (!options.push_to_talk).then_some(THRESHOLD_DB);
        options.activation_db = activation.unwrap_or(default);
        for (secret, variable) in [
            (&mut options.password, "VOICEAPP_PASSWORD"),
            (&mut options.name_secret, "VOICEAPP_NAME_SECRET"),
        ] {
            if secret.is_none() {
                *secret = secret_of(variable);
            }
        }
        options.name = match name {
            Some(name) if name.is_empty() => return Err("--name is empty".into()),
            Some(name) => name,
            None => user_name()?,
        };
        Ok(Some(options))
    }

    fn set_server(&mut self, has_server: &mut bool, server: &str) -> Result<(), String> {
        match std::mem::replace(has_server, true) {
            true => Err(format!("there is a server already: {server}")),
            false => self.server.set_host(server),
        }
    }

    /// Two pins that differ name nobody, and in clear there is nobody to name.
    fn set_pin(&mut self, pin: Option<Fingerprint>) -> Result<(), String> {
        if pin.is_some() && self.server.pin.is_some() && pin != self.server.pin {
            return Err("--pin and the invitation name two different keys".into());
        }
        self.server.pin = pin.or(self.server.pin);
        match self.server.pin {
            Some(_) if self.server.is_plain => {
                Err("--plain goes neither with --pin nor with an invitation that has a key".into())
            }
            _ => Ok(()),
        }
    }
}

/// Bits a second, of a number of thousands.
fn parse_bitrate(text: &str) -> Result<u32, String> {
    let kbit: Option<u32> = text.parse().ok();
    let bits = kbit.and_then(|it| it.checked_mul(1_000));
    let bits = bits.filter(|it| BITRATES.contains(it));
    bits.ok_or_else(|| format!("{text} is not 6 to 510 kbit/s"))
}

fn parse_activation(text: &str) -> Result<Option<f32>, String> {
    if text == "off" {
        return Ok(None);
    }
    match text.parse() {
        Ok(level_db) if (-90.0..=0.0).contains(&level_db) => Ok(Some(level_db)),
        _ => Err(format!("{text} is not -90 to 0 dB, nor off")),
    }
}

/// The name of the user who starts the client, as far as the system knows it.
fn user_name() -> Result<String, String> {
    for name in ["USER", "LOGNAME", "USERNAME"] {
        if let Some(value) = variable(name)? {
            return Ok(value);
        }
    }
    Ok(system_user_name().unwrap_or_else(|| "guest".to_owned()))
}

#[cfg(unix)]
fn system_user_name() -> Option<String> {
    use nix::unistd::{Uid, User};
    let user = User::from_uid(Uid::current()).ok().flatten();
    user.map(|it| it.name).filter(|it| !it.is_empty())
}

#[cfg(not(unix))]
fn system_user_name() -> Option<String> {
    None
}

/// An environment variable as files for containers set it: blanks around it are ignored, and it
/// counts as not set if nothing is left. Such files make quotes a part of the value, which nobody
/// means.
pub fn variable(name: &str) -> Result<Option<String>, String> {
    let value = std::env::var_os(name).unwrap_or_default();
    value_of(name, &value.to_string_lossy())
}

fn value_of(name: &str, value: &str) -> Result<Option<String>, String> {
    let value = value.trim();
    for quote in ['"', '\''] {
        if value.len() > 1 && value.starts_with(quote) && value.ends_with(quote) {
            return Err(format!(
                "{name} has quotes around it: {value}. Leave them out, or use the option"
            ));
        }
    }
    Ok(Some(value.to_owned()).filter(|it| !it.is_empty()))
}

/// What a variable of the environment has between blanks, if there is anything. Nothing is said of it.
fn secret_of(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok()?;
    Some(value.trim().to_owned()).filter(|it| !it.is_empty())
}

/// The secret in a file, which no error shows.
fn first_line(path: &Path) -> Result<String, String> {
    let error =
        |problem: String| format!("cannot read a secret from {}: {problem}", path.display());
    let text = fs::read_to_string(path).map_err(|problem| error(problem.to_string()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    match line.is_empty() {
        true => Err(error("its first line is empty".into())),
        false => Ok(line.to_owned()),
    }
}

/// A number of seconds, up to an hour; `default` without a value, unless that is zero.
pub fn parse_seconds(text: &str, default: Duration) -> Option<Duration> {
    if text.is_empty() && !default.is_zero() {
        return Some(default);
    }
    let seconds: f64 = text.parse().ok()?;
    (0.0..=3_600.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_trimmed_and_quotes_are_named() {
        let table = [
            ("ann", Ok(Some("ann"))),
            ("  ann\r", Ok(Some("ann"))),
            ("O'Neil", Ok(Some("O'Neil"))),
            ("\"", Ok(Some("\""))),
            ("", Ok(None)),
            (" \r\n", Ok(None)),
            ("\"ann\"", Err("USER has quotes around it: \"ann\"")),
            ("'ann' \r", Err("USER has quotes around it: 'ann'")),
        ];
        for (value, expected) in table {
            match (value_of("USER", value), expected) {
                (Ok(taken), Ok(expected)) => assert_eq!(taken.as_deref(), expected),
                (Err(reason), Err(start)) => assert!(reason.starts_with(start), "{reason}"),
                (taken, _) => panic!("{value:?}: {taken:?}"),
            }
        }
    }

    #[test]
    fn seconds_are_numbers_of_sane_size() {
        let default = Duration::from_secs(3);
        let table = [
            ("0.5", Some(Duration::from_millis(500))),
            ("", Some(default)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("3601", None),
            ("three", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_seconds(text, default), expected, "{text}");
        }
        assert_eq!(parse_seconds("", Duration::ZERO), None);
    }

    #[test]
    fn a_microphone_says_what_is_speech_unless_something_else_is_set() {
        let parsed = |arguments: &str| {
            let arguments = ["voiceapp", "--name", "ann"]
                .into_iter()
                .chain(arguments.split(' '));
            let options = Options::parse(lexopt::Parser::from_iter(arguments));
            let options = options.ok()?.expect("no help was asked for");
            Some((options.activation_db, options.bitrate))
        };
        let table = [
            ("--speak -", Some((Some(-50.0), 96_000))),
            ("--speak - --push-to-talk", Some((None, 96_000))),
            (
                "--speak - --push-to-talk --voice-activation -40",
                Some((Some(-40.0), 96_000)),
            ),
            (
                "--speak - --voice-activation off --bitrate 24",
                Some((None, 24_000)),
            ),
            (
                "--speak - --voice-activation=-33.5",
                Some((Some(-33.5), 96_000)),
            ),
            ("--speak - --voice-activation loud", None),
            ("--speak - --voice-activation 3", None),
            ("--speak - --voice-activation NaN", None),
            ("--bitrate 5", None),
            ("--bitrate 511", None),
            ("--bitrate 96k", None),
            ("--push-to-talk", None),
        ];
        for (arguments, expected) in table {
            assert_eq!(parsed(arguments), expected, "{arguments}");
        }
    }
}
