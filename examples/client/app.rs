//! The client itself: one session after the other, and what the user wants of it. It owns everything
//! but the threads that read, and waits for nothing but its inbox.

use crate::console::Console;
use crate::options::{Options, Speak};
use crate::sinks::Sinks;
use crate::sound::Mouth;
use crate::talk::event::Event;
use crate::talk::link::{Arrival, Backoff, Link};
use crate::talk::listener::Listener;
use crate::talk::session::{LoginFailure, Session};
use crate::{End, Input, Trouble};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How long what was told and played last may take to get to where it is read and heard, and the same
/// if a signal asks to end.
const LAST_WORDS: Duration = Duration::from_secs(5);
const LAST_WORDS_STOPPED: Duration = Duration::from_millis(200);
/// Inputs handled before anything else is looked at.
const INPUTS_PER_TURN: usize = 1_024;
/// Who was logged in for so long had a working connection.
const STAYED: Duration = Duration::from_secs(30);
/// People listed after the login, to a reader; a list that was asked for has all of them.
const LISTED_AT_LOGIN: usize = 20;

pub struct App<'o> {
    pub options: &'o Options,
    pub console: Console,
    pub inputs: SyncSender<Input>,
    /// Set when a signal asks to end.
    stop: Arc<AtomicBool>,
    pub connection: Connection,
    /// Counts connections, so that what an earlier one delivered late is not taken for news.
    attempt: u64,
    backoff: Backoff,
    /// When to stop trying to get the connection back, if it was ever lost.
    give_up_at: Option<Instant>,
    logged_in_at: Instant,
    /// Since when our address is not proven any more, if it was.
    voice_lost_at: Option<Instant>,
    pub had_voice: bool,
    pub wants: Wants,
    pub listener: Listener,
    pub sinks: Sinks,
    /// When the next 20 ms of sound are to be played, once there is somebody to play them to.
    pub play_at: Option<Instant>,
    pub mouth: Mouth,
    pub lines: VecDeque<String>,
    pub line_is_wanted: bool,
    pub lines_have_ended: bool,
    /// Until when no line is looked at.
    pub wait_until: Option<Instant>,
}

pub enum Connection {
    Up { link: Link, session: Box<Session> },
    Connecting,
    Down { until: Instant },
}

/// What the user wants to be, whatever becomes of connections.
#[derive(Clone, Copy)]
pub struct Wants {
    pub voice: bool,
    pub muted: bool,
}

impl<'o> App<'o> {
    pub fn new(
        options: &'o Options,
        console: Console,
        inputs: SyncSender<Input>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        App {
            options,
            console,
            inputs,
            stop,
            connection: Connection::Connecting,
            attempt: 0,
            backoff: Backoff::new(),
            give_up_at: None,
            logged_in_at: Instant::now(),
            voice_lost_at: None,
            had_voice: false,
            wants: Wants {
                voice: options.wants_voice(),
                muted: false,
            },
            listener: Listener::new(options.is_playing()),
            sinks: Sinks::default(),
            play_at: None,
            mouth: Mouth::new(options),
            lines: VecDeque::new(),
            line_is_wanted: false,
            lines_have_ended: false,
            wait_until: None,
        }
    }

    /// Opens the files and pipes that the options name.
    pub fn open_files(&mut self) -> Result<(), End> {
        match &self.options.speak {
            Some(Speak::File(path)) => self.mouth.want_file(path).map_err(End::Failed)?,
            Some(Speak::Input) => self
                .mouth
                .want_sound(crate::read_sound(self.inputs.clone())),
            None => {}
        }
        if let Some(path) = &self.options.record {
            let event = self.sinks.record_to(path.clone())?;
            self.console.tell(&event)?;
        }
        if self.options.listen {
            let inputs = self.inputs.clone();
            self.sinks.listen(move |reason| {
                let _ = inputs.send(Input::ListenerLost(reason));
            });
        }
        Ok(())
    }

    /// Stays over this link, and others if it is lost, until something ends it.
    pub fn run(mut self, link: Link, inbox: &Receiver<Input>) -> Result<(), End> {
        let outcome = self.start(link).and_then(|()| self.stay(inbox));
        let at_most = match self.stop.load(Ordering::Relaxed) {
            true => LAST_WORDS_STOPPED,
            false => LAST_WORDS,
        };
        // Also after a failure: what was recorded is there.
        let finished = self.sinks.finish(at_most).and_then(|event| match event {
            Some(event) => self.console.tell(&event),
            None => Ok(()),
        });
        let closed = self.console.close(at_most);
        match outcome {
            Err(End::Quit) | Ok(()) => finished.and(closed),
            failed => failed,
        }
    }

    fn stay(&mut self, inbox: &Receiver<Input>) -> Result<(), End> {
        let mut next = None;
        loop {
            let mut handled = 0;
            while let Some(input) = next.take().or_else(|| inbox.try_recv().ok()) {
                self.handle_input(input)?;
                handled += 1;
                if handled == INPUTS_PER_TURN {
                    break;
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(End::Quit);
            }
            let now = Instant::now();
            self.handle_timers(now)?;
            self.handle_lines(now)?;
            self.speak(now)?;
            self.play(now)?;
            self.flush()?;
            if self.is_done() {
                return Err(End::Quit);
            }
            let wait = self.wake_at().map_or(Duration::MAX, |at| {
                at.saturating_duration_since(Instant::now())
            });
            next = match inbox.recv_timeout(wait) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Err(End::Quit),
            };
        }
    }

    /// When something is due next if nothing comes.
    fn wake_at(&self) -> Option<Instant> {
        let connection = match &self.connection {
            Connection::Up { session, .. } => session.wake_at(),
            Connection::Down { until } => Some(*until),
            Connection::Connecting => None,
        };
        let speech = self.mouth.wake_at().filter(|_| self.takes_speech());
        let timers = [connection, speech, self.play_at, self.wait_until];
        let pauses = self.listener.wake_at();
        timers.into_iter().flatten().chain(pauses).min()
    }

    fn handle_input(&mut self, input: Input) -> Result<(), End> {
        match input {
            Input::Wake => Ok(()),
            Input::ListenerLost(error) => {
                let reason = error.to_string();
                self.console.tell(&Event::ListenerLost { reason })?;
                // Who hangs up has ended the call.
                match error.kind() {
                    ErrorKind::BrokenPipe => Err(End::Quit),
                    _ => Err(End::Failed(format!("cannot write what is heard: {error}"))),
                }
            }
            Input::Arrived(attempt, arrival) if attempt == self.attempt => self.arrived(arrival),
            Input::Connected(attempt, outcome) if attempt == self.attempt => match outcome {
                Ok(link) => self.start(link),
                Err(reason) => {
                    self.console.tell(&Event::CannotConnect { reason })?;
                    self.try_again(Trouble::Unreachable)
                }
            },
            Input::Arrived(..) | Input::Connected(..) => Ok(()),
        }
    }

    fn handle_timers(&mut self, now: Instant) -> Result<(), End> {
        self.wait_until = self.wait_until.filter(|at| *at > now);
        for event in self.listener.handle_timeout(now) {
            self.console.tell(&event)?;
        }
        match &mut self.connection {
            Connection::Up { session, .. } => {
                session.handle_timeout(now);
                self.look_at_session()
            }
            Connection::Down { until } if *until <= now => {
                self.connect();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Begins a session over a link.
    fn start(&mut self, link: Link) -> Result<(), End> {
        let (attempt, inputs) = (self.attempt, self.inputs.clone());
        link.start(move |arrival| inputs.send(Input::Arrived(attempt, arrival)).is_ok())
            .map_err(|error| End::Failed(format!("cannot use the connection: {error}")))?;
        let voice_address = link.voice_address().to_string();
        let session = Session::new(Instant::now(), &self.options.name, voice_address);
        let session = Box::new(session);
        self.connection = Connection::Up { link, session };
        self.flush()
    }

    /// Connects in a thread, as finding names and addresses takes its time.
    fn connect(&mut self) {
        self.connection = Connection::Connecting;
        let (attempt, inputs) = (self.attempt, self.inputs.clone());
        let server = self.options.server.clone();
        thread::spawn(move || {
            let _ = inputs.send(Input::Connected(attempt, Link::connect(&server)));
        });
    }

    /// Takes it that this connection is over.
    fn lose(&mut self, reason: String) -> Result<(), End> {
        let mut is_unanswered = false;
        if let Connection::Up { session, .. } = &self.connection
            && session.is_logged_in()
        {
            is_unanswered = session.is_waiting_for_answers();
            let now = Instant::now();
            // A server that takes logins and lets nobody stay is not back.
            if self.give_up_at.is_none() || now > self.logged_in_at + STAYED {
                self.backoff = Backoff::new();
                self.give_up_at = Some(now + self.options.reconnect);
            }
        }
        if self.give_up_at.is_none() || self.options.reconnect.is_zero() {
            return Err(End::Troubled(Trouble::Unreachable, reason));
        }
        self.console.tell(&Event::ConnectionLost { reason })?;
        if is_unanswered {
            self.refuse("what was asked last was not answered, and may have been lost")?;
        }
        self.listener.forget();
        self.try_again(Trouble::Unreachable)
    }

    fn try_again(&mut self, trouble: Trouble) -> Result<(), End> {
        self.attempt += 1;
        // Without randomness the waits are merely the same for everyone.
        let wait = self.backoff.next(getrandom::u32().unwrap_or_default());
        let now = Instant::now();
        let Some(give_up_at) = self.give_up_at.filter(|at| *at > now) else {
            let tried = self.options.reconnect;
            let reason = format!("no connection to {} for {tried:?}", self.options.server);
            return Err(End::Troubled(trouble, reason));
        };
        // The last try is at the very end.
        let until = (now + wait).min(give_up_at);
        self.connection = Connection::Down { until };
        let after_ms = (until - now).as_millis() as u64;
        self.console.tell(&Event::Reconnecting { after_ms })
    }

    fn arrived(&mut self, arrival: Arrival) -> Result<(), End> {
        let Connection::Up { session, .. } = &mut self.connection else {
            return Ok(());
        };
        match arrival {
            Arrival::Bytes(bytes, at) => session.handle_bytes(at, &bytes),
            Arrival::Datagram(bytes, at) => {
                if let Some(voice) = session.handle_datagram(at, &bytes) {
                    let event = self.listener.hear(at, &voice, || session.who(voice.from));
                    return event.map_or(Ok(()), |event| self.console.tell(&event));
                }
            }
            Arrival::VoiceClosed => session.handle_voice_closed(),
            Arrival::Lost(reason) => return self.lose(reason),
        }
        self.look_at_session()
    }

    /// Sends what the session has to send.
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

    /// Tells what the session has to tell, and does what follows from it.
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
        let Some(failure) = session.login_failure() else {
            return Ok(());
        };
        let (trouble, reason) = match failure {
            LoginFailure::Refused => (Trouble::Refused, failure.to_string()),
            LoginFailure::Unanswered => (Trouble::Unreachable, failure.to_string()),
        };
        if self.give_up_at.is_none() {
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
            // A microphone goes on, and is heard again some time.
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
                let now = Instant::now();
                let lost_at = *self.voice_lost_at.get_or_insert(now);
                // It was there, and is asked for again: what is to be spoken waits for it.
                match self.had_voice && now < lost_at + self.options.reconnect {
                    true => Ok(()),
                    false => self.lose_voice(),
                }
            }
            _ => Ok(()),
        }
    }

    /// Takes it that there is no voice, which ends who came for it alone.
    fn lose_voice(&mut self) -> Result<(), End> {
        self.stop_speaking()?;
        if !self.options.wants_voice() || self.console.is_terminal {
            return Ok(());
        }
        let reason = format!("no voice with {}", self.options.server);
        Err(End::Troubled(Trouble::Unreachable, reason))
    }

    fn handle_login(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.logged_in_at = now;
        if self.options.is_playing() {
            self.play_at.get_or_insert(now);
        }
        let at_most = if self.options.is_json {
            usize::MAX
        } else {
            LISTED_AT_LOGIN
        };
        self.list_people(at_most)?;
        if let Connection::Up { session, .. } = &mut self.connection {
            if self.wants.voice {
                session.join(now);
            } else if self.wants.muted {
                session.mute(true);
            }
        }
        Ok(())
    }

    pub fn list_people(&self, at_most: usize) -> Result<(), End> {
        let Connection::Up { session, .. } = &self.connection else {
            return Ok(());
        };
        let people = session.people();
        let count = people.len().saturating_sub(at_most);
        for listed in people.into_iter().take(at_most) {
            self.console.tell(&Event::Here(listed))?;
        }
        match count {
            0 => Ok(()),
            count => self.console.tell(&Event::MoreHere { count }),
        }
    }

    pub fn refuse(&self, reason: &str) -> Result<(), End> {
        let reason = reason.to_owned();
        self.console.tell(&Event::Refused { reason })
    }
}
