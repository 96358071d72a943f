//! The options of the client.

use crate::variables::{first_line, secret_of, user_name};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
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
                        $VOICEAPP_PASSWORD, else a terminal asks if the server does)
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

impl Default for Options {
    fn default() -> Self {
        Options {
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
        }
    }
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
        let mut options = Options::default();
        let (mut name, mut activation, mut pin, mut has_server) = (None, None, None, false);
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("name") => name = Some(arguments.value()?.string()?),
                Long("server") => {
                    let server = arguments.value()?.string()?;
                    options.set_server(&mut has_server, &server)?;
                }
                Value(server) => options.set_server(&mut has_server, &server.string()?)?,
                Long("pin") => {
                    pin = Some(arguments.value()?.parse_with(str::parse::<Fingerprint>)?);
                }
                Long("plain") => options.server.is_plain = true,
                Long("password") => options.password = Some(arguments.value()?.string()?),
                Long("password-file") => options.password = Some(first_line(arguments.value()?)?),
                Long("name-secret") => options.name_secret = Some(arguments.value()?.string()?),
                Long("name-secret-file") => {
                    options.name_secret = Some(first_line(arguments.value()?)?);
                }
                Long("voice-port") => {
                    options.has_voice_port = true;
                    options.server.voice_port = parse_port(&arguments.value()?.string()?)?;
                }
                Long("speak") => options.set_source(arguments.value()?),
                Long("listen") => options.set_output(&arguments.value()?)?,
                Long("record") => options.set_recording(arguments.value()?)?,
                Long("json") => options.is_json = true,
                Long("reconnect") => {
                    options.reconnect = arguments.value()?.parse_with(parse_reconnect)?;
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
        options.set_activation(activation)?;
        options.check_files()?;
        options.look_for_secrets();
        options.name = match name {
            Some(name) if name.is_empty() => return Err("--name is empty".into()),
            Some(name) => name,
            None => user_name()?,
        };
        Ok(Some(options))
    }

    fn set_source(&mut self, source: OsString) {
        self.speak = Some(match source == "-" {
            true => Speak::Input,
            false => Speak::File(source.into()),
        });
    }

    fn set_output(&mut self, sink: &OsStr) -> Result<(), String> {
        self.listen = true;
        match sink == "-" {
            true => Ok(()),
            false => Err("--listen takes - alone: --record writes to a file".into()),
        }
    }

    fn set_recording(&mut self, file: OsString) -> Result<(), String> {
        if file == "-" {
            return Err("--record takes a file: --listen - writes to a pipe".into());
        }
        self.record = Some(file.into());
        Ok(())
    }

    /// Without another wish, a key decides alone, and without a key what is loud enough.
    fn set_activation(&mut self, wanted: Option<Option<f32>>) -> Result<(), String> {
        if self.push_to_talk && !matches!(self.speak, Some(Speak::Input)) {
            return Err("--push-to-talk goes with --speak -".into());
        }
        let default = (!self.push_to_talk).then_some(THRESHOLD_DB);
        self.activation_db = wanted.unwrap_or(default);
        Ok(())
    }

    /// What no option has said may be in the environment.
    fn look_for_secrets(&mut self) {
        for (secret, variable) in [
            (&mut self.password, "VOICEAPP_PASSWORD"),
            (&mut self.name_secret, "VOICEAPP_NAME_SECRET"),
        ] {
            if secret.is_none() {
                *secret = secret_of(variable);
            }
        }
    }

    fn check_files(&self) -> Result<(), String> {
        let (Some(Speak::File(from)), Some(to)) = (&self.speak, &self.record) else {
            return Ok(());
        };
        // A file that does not exist yet cannot be the same.
        match (from.canonicalize(), to.canonicalize()) {
            (Ok(from), Ok(to)) if from == to => {
                Err("--speak and --record name the same file".into())
            }
            _ => Ok(()),
        }
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

fn parse_reconnect(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{text} is not 0 to 86400 seconds")),
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
