//! A client that can be read in a sitting: it logs in, joins voice, speaks a tone, and prints what
//! happens.
//!
//! ```text
//! cargo run --example client [NAME [SERVER [VOICE_PORT]]]
//! ```
//!
//! The server is `HOST[:PORT]` or an invitation, `voiceapp://HOST:PORT/#sha256=FINGERPRINT`. The
//! connection is encrypted, and the server's key must be the right one: see `voiceapp_client::trust`.
//!
//! The [`Session`] decides what to send and understands what comes back, the [`Link`] has the
//! sockets, the [`Speech`] turns sound into voice, and the [`Listener`] voice into sound. The
//! terminal client, in `client/`, is made of the same.

use std::error::Error;
use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use voiceapp_client::codec::BITRATE;
use voiceapp_client::event::Event;
use voiceapp_client::gate::Gate;
use voiceapp_client::link::{Arrival, Link, Server, parse_port};
use voiceapp_client::listener::Listener;
use voiceapp_client::session::Session;
use voiceapp_client::speech::{Said, Source, Speech};
use voiceapp_client::trust::Trust;

/// How long it speaks.
const TONE: Duration = Duration::from_secs(2);
/// How long it listens afterwards, for example to an echo.
const STAYS: Duration = Duration::from_secs(2);

struct Client {
    link: Link,
    session: Session,
    /// All speakers. It would mix their sound if it were asked to play.
    listener: Listener,
    speech: Speech,
    /// Datagrams of voice, and those among them that the network did not take.
    spoken: u64,
    untaken: u64,
    leave_at: Option<Instant>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "tone".to_owned());
    let mut server = Server::default();
    if let Some(host) = arguments.next() {
        server.set_host(&host)?;
    }
    if let Some(port) = arguments.next() {
        server.voice_port = parse_port(&port)?;
    }
    let mut link = Link::connect(&server, &Trust::of_user(), |what| eprintln!("{what}"))?;
    // Whether the server's key is a new one.
    for event in link.take_events() {
        tell(&event)?;
    }
    let voice_address = link.voice_address().to_string();
    // This logs in, and proves the voice address as soon as that is answered.
    let session = Session::over(Instant::now(), &name, voice_address, link.exporter());
    let client = Client {
        link,
        session,
        listener: Listener::new(false),
        speech: Speech::new(BITRATE, Gate::new(None, false)),
        spoken: 0,
        untaken: 0,
        leave_at: None,
    };
    client.run()
}

impl Client {
    fn run(mut self) -> Result<(), Box<dyn Error>> {
        // Two threads of the link read, and this one does everything else.
        let (deliver, inbox) = sync_channel(1_024);
        self.link
            .start(move |arrival| deliver.send(arrival).is_ok())?;
        loop {
            let now = Instant::now();
            self.session.handle_timeout(now);
            for event in self.listener.handle_timeout(now) {
                tell(&event)?;
            }
            self.look_at_events(now)?;
            self.speak(now)?;
            self.untaken += self.link.flush(&mut self.session)?;
            if self.leave_at.is_some_and(|at| at <= now) {
                return Ok(());
            }

            let wake_at = [
                self.session.wake_at(),
                self.listener.wake_at(),
                self.speech.wake_at(),
                self.leave_at,
            ];
            let wake_at = wake_at.into_iter().flatten().min();
            let wake_at = wake_at.unwrap_or(now + Duration::from_secs(1));
            match inbox.recv_timeout(wake_at.saturating_duration_since(now)) {
                Ok(arrival) => self.handle_arrival(arrival)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("nothing reads".into()),
            }
        }
    }

    /// Handles the session's events.
    fn look_at_events(&mut self, now: Instant) -> Result<(), Box<dyn Error>> {
        while let Some(event) = self.session.next_event() {
            tell(&event)?;
            self.listener.handle_event(&event);
            match event {
                Event::LoggedIn { .. } => {
                    tell(&Event::Connected(self.link.state(&self.session)))?;
                    self.session.join(now);
                }
                Event::YouJoinedVoice { already: false } => {
                    self.speech.start(now, Source::tone(TONE));
                }
                Event::VoiceRefused | Event::VoiceUnanswered { .. } => {
                    return Err("there is no voice".into());
                }
                _ => {}
            }
        }
        if let Some(failure) = self.session.login_failure() {
            return Err(failure.to_string().into());
        }
        match self.session.loss() {
            Some(loss) => Err(loss.to_string().into()),
            None => Ok(()),
        }
    }

    /// Sends what is due of the tone.
    fn speak(&mut self, now: Instant) -> Result<(), Box<dyn Error>> {
        loop {
            match self.speech.next(now, true)? {
                Said::Frame(data, due_at) => {
                    self.session.speak(due_at, &data);
                    self.spoken += 1;
                }
                Said::Silence => {}
                Said::Nothing => return Ok(()),
                Said::Ended => {
                    let (datagrams, untaken) = (self.spoken, self.untaken);
                    tell(&Event::SpeechEnded { datagrams, untaken })?;
                    self.leave_at = Some(now + STAYS);
                }
            }
        }
    }

    fn handle_arrival(&mut self, arrival: Arrival) -> Result<(), Box<dyn Error>> {
        match arrival {
            Arrival::Bytes(bytes, at) => self.session.handle_bytes(at, &bytes),
            Arrival::Datagram(mut bytes, at) => {
                if let Some(voice) = self.session.handle_datagram(at, &mut bytes) {
                    let who = || self.session.who(voice.from);
                    if let Some(event) = self.listener.hear(at, &voice, who) {
                        tell(&event)?;
                    }
                }
            }
            Arrival::VoiceClosed => self.session.handle_voice_closed(),
            Arrival::Moved => {
                self.link.renew_voice()?;
                self.session.handle_route_change(Instant::now());
            }
            Arrival::Lost(reason) => return Err(reason.into()),
        }
        Ok(())
    }
}

fn tell(event: &Event) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{event}")
}
