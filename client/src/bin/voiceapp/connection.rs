//! The client's connection: made, lost and made again, and the events of the session over it.

use crate::app::{App, Connection};
use crate::{End, Input, Trouble};
use std::thread;
use std::time::{Duration, Instant};
use voiceapp_client::event::Event;
use voiceapp_client::link::{Arrival, Backoff, ConnectError, Link};
use voiceapp_client::protocol::Reason;
use voiceapp_client::session::{Login, LoginFailure, Session};
use voiceapp_client::trust::{Refusal, Trust};

/// A login that lasted this long had a working connection.
const STAYED: Duration = Duration::from_secs(30);
/// How long a client that came for voice waits for it, if there was none yet.
const VOICE_PATIENCE: Duration = Duration::from_secs(10);
/// People listed after the login at a terminal. A list on request has all of them.
const LISTED_AT_LOGIN: usize = 20;

impl App<'_> {
    /// Begins a session over a link.
    pub fn start(&mut self, mut link: Link) -> Result<(), End> {
        self.open_files()?;
        for event in link.take_events() {
            self.console.tell(&event)?;
        }
        let (attempt, inputs) = (self.attempt, self.inputs.clone());
        link.start(move |arrival| inputs.send(Input::Arrived(attempt, arrival)).is_ok())
            .map_err(|error| End::Failed(format!("cannot use the connection: {error}")))?;
        let voice_address = link.voice_address().to_string();
        let login = Login {
            password: self.password.clone(),
            name_secret: self.options.name_secret.clone(),
            ..Login::from(&self.options.name)
        };
        let session = Session::over(Instant::now(), login, voice_address, link.exporter());
        let (link, session) = (Box::new(link), Box::new(session));
        self.connection = Connection::Up { link, session };
        self.flush()
    }

    /// Connects in a thread, as finding names and addresses takes its time.
    pub fn connect(&mut self) {
        self.connection = Connection::Connecting;
        let (attempt, inputs) = (self.attempt, self.inputs.clone());
        let server = self.options.server.clone();
        thread::spawn(move || {
            let say = |what| {
                let _ = inputs.send(Input::Trying(attempt, what));
            };
            let link = Link::connect(&server, &Trust::of_user(), say);
            let _ = inputs.send(Input::Connected(attempt, link));
        });
    }

    pub fn cannot_connect(&mut self, error: ConnectError) -> Result<(), End> {
        let reason = match error {
            ConnectError::Untrusted(refusal) => return self.end_untrusted(&refusal),
            error => error.to_string(),
        };
        // Without any connection so far, the address may be wrong.
        if self.give_up_at.is_none() {
            return Err(End::Troubled(Trouble::Unreachable, reason));
        }
        self.console.tell(&Event::CannotConnect { reason })?;
        self.try_again(Trouble::Unreachable)
    }

    /// Stops, also while it reconnects: to try again would change nothing.
    fn end_untrusted(&self, refusal: &Refusal) -> Result<(), End> {
        let reason = refusal.to_string();
        if self.options.is_json {
            self.console.tell(&Event::Untrusted {
                server: refusal.server.clone(),
                expected: refusal.expected(),
                presented: refusal.presented,
                reason: reason.clone(),
            })?;
        }
        Err(End::Troubled(Trouble::Untrusted, reason))
    }

    /// Handles the loss of this connection.
    fn lose(&mut self, reason: String) -> Result<(), End> {
        let (mut is_unanswered, mut unsaid) = (false, Vec::new());
        if let Connection::Up { session, .. } = &self.connection
            && session.is_logged_in()
        {
            is_unanswered = session.is_waiting_for_answers();
            unsaid.extend(session.unanswered_messages().map(str::to_owned));
            let now = Instant::now();
            // A server that accepts logins and drops them at once is not back.
            let has_stayed = self.logged_in_at.is_some_and(|at| now > at + STAYED);
            if self.give_up_at.is_none() || has_stayed {
                self.backoff = Backoff::new();
                self.give_up_at = Some(now + self.options.reconnect);
            }
        }
        if self.give_up_at.is_none() || self.options.reconnect.is_zero() {
            return Err(End::Troubled(Trouble::Unreachable, reason));
        }
        if let Connection::Up { session, .. } = &self.connection
            && let Some(said) = session.farewell().filter(|it| is_final(it.reason))
        {
            return Err(End::Troubled(Trouble::Refused, said.to_string()));
        }
        self.console.tell(&Event::ConnectionLost { reason })?;
        if !unsaid.is_empty() {
            for message in unsaid {
                self.refuse(&format!("this may not have been said: {message}"))?;
            }
        } else if is_unanswered {
            self.refuse("what was asked last was not answered, and may have been lost")?;
        }
        self.voice_lost_at = None;
        self.listener.forget();
        self.try_again(Trouble::Unreachable)
    }

    fn try_again(&mut self, trouble: Trouble) -> Result<(), End> {
        self.console.stop_asking()?;
        self.attempt += 1;
        // Without randomness the waits are merely the same for everyone.
        let wait = self.backoff.next(getrandom::u32().unwrap_or_default());
        let now = Instant::now();
        let Some(give_up_at) = self.give_up_at.filter(|at| *at > now) else {
            let tried_s = self.options.reconnect.as_secs();
            let reason = format!("no connection to {} for {tried_s} s", self.options.server);
            return Err(End::Troubled(trouble, reason));
        };
        // The last attempt is at the very end.
        let until = (now + wait).min(give_up_at);
        self.connection = Connection::Down { until };
        let after_ms = (until - now).as_millis() as u64;
        self.console.tell(&Event::Reconnecting { after_ms })
    }

    pub fn arrived(&mut self, arrival: Arrival) -> Result<(), End> {
        let Connection::Up { link, session } = &mut self.connection else {
            return Ok(());
        };
        match arrival {
            Arrival::Bytes(bytes, at) => session.handle_bytes(at, &bytes),
            Arrival::Datagram(mut bytes, at) => {
                if let Some(voice) = session.handle_datagram(at, &mut bytes) {
                    let event = self.listener.hear(at, &voice, || session.who(voice.from));
                    return event.map_or(Ok(()), |event| self.console.tell(&event));
                }
            }
            Arrival::VoiceClosed => session.handle_voice_closed(),
            Arrival::Moved => {
                // Whatever became of voice, the connection must be checked.
                let _ = link.renew_voice();
                session.handle_route_change(Instant::now());
            }
            Arrival::Lost(reason) => return self.lose(reason),
        }
        self.look_at_session()
    }

    /// Sends what the session has queued.
    pub fn flush(&mut self) -> Result<(), End> {
        let Connection::Up { link, session } = &mut self.connection else {
            return Ok(());
        };
        match link.flush(session) {
            Ok(untaken) => {
                self.mouth.note_untaken(untaken);
                Ok(())
            }
            Err(reason) => self.lose(reason),
        }
    }

    /// Shows the session's events, and does what follows from them.
    pub fn look_at_session(&mut self) -> Result<(), End> {
        while let Connection::Up { session, .. } = &mut self.connection {
            let Some(event) = session.next_event() else {
                break;
            };
            self.console.tell(&event)?;
            self.listener.handle_event(&event);
            self.handle_event(&event)?;
        }
        let Connection::Up { session, .. } = &self.connection else {
            return Ok(());
        };
        if let Some(loss) = session.loss() {
            return self.lose(loss.to_string());
        }
        let Some(failure) = session.login_failure() else {
            return Ok(());
        };
        let trouble = match failure {
            LoginFailure::Refused(_) => Trouble::Refused,
            LoginFailure::Unanswered => Trouble::Unreachable,
        };
        if self.may_ask(failure) {
            let refusal = failure.to_string();
            return self.ask_for_password(refusal);
        }
        let (reason, is_final) = (failure.to_string(), failure.reason().is_some_and(is_final));
        if self.give_up_at.is_none() || is_final {
            return Err(End::Troubled(trouble, reason));
        }
        self.console.tell(&Event::CannotConnect { reason })?;
        self.try_again(trouble)
    }

    fn handle_event(&mut self, event: &Event) -> Result<(), End> {
        match event {
            Event::LoggedIn { .. } => self.handle_login(),
            // Joining unmutes.
            Event::YouJoinedVoice { .. } if self.wants.muted => {
                if let Connection::Up { session, .. } = &mut self.connection {
                    session.mute(true);
                }
                Ok(())
            }
            Event::VoiceChangeRefused { wanted: true } => {
                self.wants.voice = false;
                Ok(())
            }
            // A microphone stays on, and may be heard again later.
            Event::YouLeftVoice { .. } | Event::YouMuted { is_muted: true }
                if !self.mouth.is_live() =>
            {
                self.stop_speaking()
            }
            Event::VoiceReady { .. } => {
                (self.had_voice, self.voice_lost_at) = (true, None);
                Ok(())
            }
            Event::VoiceRefused => self.lose_voice(),
            Event::VoiceUnanswered { .. } => {
                self.voice_lost_at.get_or_insert_with(Instant::now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// When a client that came only for voice stops waiting for it. Voice that was there may return
    /// for as long as a connection may.
    pub fn voice_given_up_at(&self) -> Option<Instant> {
        let patience = match self.had_voice {
            true => self.options.reconnect,
            false => VOICE_PATIENCE,
        };
        let is_essential = self.options.wants_voice() && !self.console.is_terminal;
        let lost_at = self.voice_lost_at.filter(|_| is_essential)?;
        Some(lost_at + patience)
    }

    /// Handles the loss of voice, which ends a client that came only for it.
    pub fn lose_voice(&mut self) -> Result<(), End> {
        self.stop_speaking()?;
        if !self.options.wants_voice() || self.console.is_terminal {
            return Ok(());
        }
        let reason = format!("no voice with {}", self.options.server);
        Err(End::Troubled(Trouble::Unreachable, reason))
    }

    fn handle_login(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.logged_in_at = Some(now);
        self.questions = 0;
        self.console.stop_asking()?;
        if self.options.is_playing() {
            self.play_at.get_or_insert(now);
        }
        if let Connection::Up { link, session } = &self.connection {
            self.console.tell(&Event::Connected(link.state(session)))?;
        }
        let at_most = if self.options.is_json {
            usize::MAX
        } else {
            LISTED_AT_LOGIN
        };
        self.list_people(at_most)?;
        self.use_voice_port()?;
        if let Connection::Up { session, .. } = &mut self.connection {
            if self.wants.voice {
                session.join(now);
            } else if self.wants.muted {
                session.mute(true);
            }
        }
        Ok(())
    }

    /// Takes the port for voice that the server says, unless the user has named one.
    fn use_voice_port(&mut self) -> Result<(), End> {
        let Connection::Up { link, session } = &mut self.connection else {
            return Ok(());
        };
        match session.voice_port() {
            Some(port) if !self.options.has_voice_port && port != link.voice_address().port() => {
                link.set_voice_port(port)
                    .map_err(|error| End::Failed(format!("cannot use UDP port {port}: {error}")))?;
                session.set_voice_address(link.voice_address().to_string());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Whether trying again is of no use, or not wanted.
fn is_final(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Banned | Reason::NotAllowed | Reason::Password | Reason::BadName
    )
}
