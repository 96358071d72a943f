//! A bot that repeats what it heard a second ago, so that a user who is alone can hear that
//! everything works: microphone, network, server and ears.
//!
//! ```text
//! cargo run --example echo -- [--name NAME] [--server SERVER] [--voice-port PORT]
//! ```
//!
//! Several speakers come back as one mix. It does not answer users with its own name, or two such
//! bots would talk forever.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Instant;
use voiceapp_client::codec::{BITRATE, Cut, Encoder};
use voiceapp_client::event::Event;
use voiceapp_client::link::{Arrival, Backoff, ConnectError, Link, Server, parse_port};
use voiceapp_client::listener::Listener;
use voiceapp_client::session::{LoginFailure, Session};
use voiceapp_client::trust::Trust;
use voiceapp_client::{FRAME, Sound};

const USAGE: &str = "\
Usage: echo [--name NAME] [--server SERVER] [--voice-port PORT]

Joins voice, and says back what was said a second ago.

  --name NAME        what the others see (default echo)
  --server SERVER    the server: HOST[:PORT] (default 127.0.0.1:9001) or an invitation,
                     voiceapp://HOST:PORT/#sha256=FINGERPRINT
  --voice-port PORT  its UDP port (default 9002)
  -h, --help         this text

It connects again when it loses the server. Exit codes: 1 if it cannot write, 2 for a bad option,
3 if the server cannot be reached at first, 4 if it refuses the login, 5 if its key is not trusted.";

/// Sound waits for so many frames: a second.
const DELAY_FRAMES: usize = 50;

struct Options {
    name: String,
    server: Server,
}

/// Why a session ended, with the message to show.
enum End {
    Lost(String),
    Refused(String),
    Untrusted(String),
    /// Trying again does not help.
    Failed(String),
}

fn main() -> ExitCode {
    let (code, message) = match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => match run(&options) {
            End::Failed(message) => (1, message),
            End::Lost(message) => (3, message),
            End::Refused(message) => (4, message),
            End::Untrusted(message) => (5, message),
        },
        Ok(None) => match writeln!(io::stdout(), "{USAGE}") {
            // A reader that has read enough may close the pipe, as head(1) does.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                (1, format!("cannot write to standard output: {error}"))
            }
            _ => return ExitCode::SUCCESS,
        },
        Err(error) => (2, format!("{error} (--help shows the options)")),
    };
    let _ = writeln!(io::stderr(), "echo: {message}");
    ExitCode::from(code)
}

/// `None` if only help was requested.
fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        name: "echo".into(),
        server: Server::default(),
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("name") => options.name = arguments.value()?.string()?,
            Long("server") => options.server.set_host(&arguments.value()?.string()?)?,
            Long("voice-port") => {
                options.server.voice_port = parse_port(&arguments.value()?.string()?)?;
            }
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

/// One session after the other, until one cannot be made.
fn run(options: &Options) -> End {
    // A bot that has never had voice here does not try again.
    let mut backoff = None;
    loop {
        // What cannot be shown here cannot be shown later either.
        let say = |what| drop(tell(&Event::Connecting { what }));
        let (end, had_voice) = match Link::connect(&options.server, &Trust::of_user(), say) {
            Ok(mut link) => {
                let events = link.take_events();
                if let Err(end) = events.iter().try_for_each(tell) {
                    return end;
                }
                let mut bot = Bot::new(options, link);
                let Err(end) = bot.stay();
                (end, bot.had_voice)
            }
            Err(ConnectError::Untrusted(refusal)) => return End::Untrusted(refusal.to_string()),
            Err(error) => (End::Lost(error.to_string()), false),
        };
        if had_voice {
            backoff = Some(Backoff::new());
        }
        let (End::Lost(reason) | End::Refused(reason), Some(backoff)) = (&end, &mut backoff) else {
            return end;
        };
        let reason = reason.clone();
        let wait = backoff.next(getrandom::u32().unwrap_or_default());
        let after_ms = wait.as_millis() as u64;
        for event in [
            Event::ConnectionLost { reason },
            Event::Reconnecting { after_ms },
        ] {
            if let Err(end) = tell(&event) {
                return end;
            }
        }
        thread::sleep(wait);
    }
}

fn tell(event: &Event) -> Result<(), End> {
    writeln!(io::stdout(), "{event}")
        .map_err(|error| End::Failed(format!("cannot write to standard output: {error}")))
}

struct Bot {
    link: Link,
    session: Session,
    listener: Listener,
    /// What was heard in the last second, the oldest first.
    heard: VecDeque<Option<Sound>>,
    encoder: Encoder,
    had_voice: bool,
}

impl Bot {
    fn new(options: &Options, link: Link) -> Self {
        let voice_address = link.voice_address().to_string();
        let exporter = link.exporter();
        Bot {
            link,
            session: Session::over(Instant::now(), &options.name, voice_address, exporter),
            listener: Listener::new(true),
            heard: VecDeque::new(),
            encoder: Encoder::new(BITRATE),
            had_voice: false,
        }
    }

    /// Runs until something ends the session.
    fn stay(&mut self) -> Result<Infallible, End> {
        let (deliver, inbox) = sync_channel(1_024);
        self.link
            .start(move |arrival| deliver.send(arrival).is_ok())
            .map_err(|error| End::Failed(format!("cannot use the connection: {error}")))?;
        let mut play_at = Instant::now();
        loop {
            self.look_at_session()?;
            let wait = play_at.saturating_duration_since(Instant::now());
            match inbox.recv_timeout(wait) {
                Ok(arrival) => self.handle_arrival(arrival)?,
                // Only now is it silent: what came meanwhile has been handled.
                Err(RecvTimeoutError::Timeout) => {
                    self.play(play_at)?;
                    play_at += FRAME;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(End::Lost("the connection is gone".into()));
                }
            }
        }
    }

    fn handle_arrival(&mut self, arrival: Arrival) -> Result<(), End> {
        match arrival {
            Arrival::Bytes(bytes, at) => self.session.handle_bytes(at, &bytes),
            Arrival::Datagram(mut bytes, at) => {
                let Some(voice) = self.session.handle_datagram(at, &mut bytes) else {
                    return Ok(());
                };
                let session = &self.session;
                if !session.is_namesake(voice.from) {
                    let who = || session.who(voice.from);
                    let event = self.listener.hear(at, &voice, who);
                    return event.map_or(Ok(()), |event| tell(&event));
                }
            }
            Arrival::VoiceClosed => self.session.handle_voice_closed(),
            Arrival::Moved => {
                // Whatever became of voice, the connection must be checked.
                let _ = self.link.renew_voice();
                self.session.handle_route_change(Instant::now());
            }
            Arrival::Lost(reason) => return Err(End::Lost(reason)),
        }
        Ok(())
    }

    /// Sends and shows what the session has, and joins voice after the login.
    fn look_at_session(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.session.handle_timeout(now);
        while let Some(event) = self.session.next_event() {
            tell(&event)?;
            self.listener.handle_event(&event);
            match event {
                Event::LoggedIn { .. } => {
                    tell(&Event::Connected(self.link.state(&self.session)))?;
                    self.session.join(now);
                }
                Event::VoiceReady { .. } => self.had_voice = true,
                // Voice that was there returns, or the session ends.
                Event::VoiceUnanswered { .. } if self.had_voice => {}
                Event::VoiceRefused
                | Event::VoiceUnanswered { .. }
                | Event::VoiceChangeRefused { .. } => {
                    return Err(End::Lost(
                        "without voice there is nothing to do here".into(),
                    ));
                }
                _ => {}
            }
        }
        if let Some(loss) = self.session.loss() {
            return Err(End::Lost(loss.to_string()));
        }
        match self.session.login_failure() {
            Some(failure @ LoginFailure::Refused(_)) => Err(End::Refused(failure.to_string())),
            Some(failure @ LoginFailure::Unanswered) => Err(End::Lost(failure.to_string())),
            None => match self.link.flush(&mut self.session) {
                Ok(_) => Ok(()),
                Err(reason) => Err(End::Lost(reason)),
            },
        }
    }

    /// Takes the next 20 ms of sound, and sends those of a second ago.
    fn play(&mut self, at: Instant) -> Result<(), End> {
        for event in self.listener.handle_timeout(at) {
            tell(&event)?;
        }
        self.heard.push_back(self.listener.play(at));
        if self.heard.len() > DELAY_FRAMES {
            let sound = self.heard.pop_front().flatten();
            let sound = sound.as_ref().map(|it| (it, Cut::No));
            if let Some(packet) = self.encoder.next(sound) {
                self.session.speak(at, &packet);
            }
        }
        Ok(())
    }
}
