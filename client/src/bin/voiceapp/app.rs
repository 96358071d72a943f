//! The client itself: one session after the other, and what the user wants. It owns everything
//! except the threads that read, and waits only for its inbox.
//!
//! ```text
//! app    the loop and its timers        connection   sessions, and what they tell
//! commands   what is typed              sound        what is spoken and played
//! asking     for the password
//! ```

use crate::console::Console;
use crate::options::{Options, Speak};
use crate::sinks::Sinks;
use crate::sound::Mouth;
use crate::{End, Input};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use voiceapp_client::event::Event;
use voiceapp_client::link::{Backoff, Link};
use voiceapp_client::listener::Listener;
use voiceapp_client::session::Session;

/// How long the last lines and the last sound may take to be written, and the same after a signal
/// to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);
const LAST_WORDS_STOPPED: Duration = Duration::from_millis(200);
/// Inputs handled before the timers are checked.
const INPUTS_PER_TURN: usize = 1_024;

pub struct App<'o> {
    pub options: &'o Options,
    pub console: Console,
    pub inputs: SyncSender<Input>,
    /// Set by a signal to stop.
    stop: Arc<AtomicBool>,
    pub connection: Connection,
    /// What the server is told, if it asks.
    pub password: Option<String>,
    /// How often the user was asked for it since the last login.
    pub questions: u8,
    /// Counts connections, so that late input of an earlier one is ignored.
    pub attempt: u64,
    pub backoff: Backoff,
    /// When to stop reconnecting, if the connection was ever lost.
    pub give_up_at: Option<Instant>,
    /// When the last login was, if there was one.
    pub logged_in_at: Option<Instant>,
    /// Since when our address cannot be proven, if it cannot.
    pub voice_lost_at: Option<Instant>,
    pub had_voice: bool,
    pub wants: Wants,
    pub listener: Listener,
    pub sinks: Sinks,
    /// When the next 20 ms of sound are due, once there is a session to play.
    pub play_at: Option<Instant>,
    pub mouth: Mouth,
    pub lines: VecDeque<String>,
    pub line_is_wanted: bool,
    pub lines_have_ended: bool,
    /// Whether the files and pipes in the options were opened.
    are_files_open: bool,
    /// Until when lines are not handled.
    pub wait_until: Option<Instant>,
}

pub enum Connection {
    Up {
        link: Box<Link>,
        session: Box<Session>,
    },
    Connecting,
    /// The user is asked for the password.
    Asking {
        /// The server's words, if none comes.
        refusal: String,
    },
    Down {
        until: Instant,
    },
}

/// The state that the user wants, across connections.
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
            password: options.password.clone(),
            questions: 0,
            attempt: 0,
            backoff: Backoff::new(),
            give_up_at: None,
            logged_in_at: None,
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
            are_files_open: false,
            wait_until: None,
        }
    }

    /// Opens the files and pipes in the options, once there is a server: a file is not overwritten
    /// in vain.
    pub fn open_files(&mut self) -> Result<(), End> {
        if std::mem::replace(&mut self.are_files_open, true) {
            return Ok(());
        }
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

    /// Connects, and runs until something ends it.
    pub fn run(mut self, inbox: &Receiver<Input>) -> Result<(), End> {
        self.connect();
        let outcome = self.stay(inbox);
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
                // A flood of input does not delay this.
                if self.stop.load(Ordering::Relaxed) {
                    return Err(End::Quit);
                }
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

    /// When the next timer is due.
    fn wake_at(&self) -> Option<Instant> {
        let connection = match &self.connection {
            Connection::Up { session, .. } => session.wake_at(),
            Connection::Down { until } => Some(*until),
            Connection::Connecting | Connection::Asking { .. } => None,
        };
        let speech = self.mouth.wake_at().filter(|_| self.takes_speech());
        let voice = self.voice_given_up_at();
        let timers = [connection, speech, voice, self.play_at, self.wait_until];
        let pauses = self.listener.wake_at();
        timers.into_iter().flatten().chain(pauses).min()
    }

    fn handle_input(&mut self, input: Input) -> Result<(), End> {
        match input {
            Input::Wake => Ok(()),
            Input::ListenerLost(error) => {
                let reason = error.to_string();
                self.console.tell(&Event::ListenerLost { reason })?;
                // A closed pipe ends the client as a hang-up does.
                match error.kind() {
                    ErrorKind::BrokenPipe => Err(End::Quit),
                    _ => Err(End::Failed(format!("cannot write what is heard: {error}"))),
                }
            }
            Input::SoundLost(error) => {
                let reason = format!("cannot read standard input: {error}");
                Err(End::Failed(reason))
            }
            Input::Arrived(attempt, arrival) if attempt == self.attempt => self.arrived(arrival),
            Input::Trying(attempt, what) if attempt == self.attempt => {
                self.console.tell(&Event::Connecting { what })
            }
            Input::Connected(attempt, outcome) if attempt == self.attempt => match outcome {
                Ok(link) => self.start(link),
                Err(reason) => self.cannot_connect(reason),
            },
            Input::Arrived(..) | Input::Trying(..) | Input::Connected(..) => Ok(()),
        }
    }

    fn handle_timers(&mut self, now: Instant) -> Result<(), End> {
        self.wait_until = self.wait_until.filter(|at| *at > now);
        for event in self.listener.handle_timeout(now) {
            self.console.tell(&event)?;
        }
        if self.voice_given_up_at().is_some_and(|at| at <= now) {
            return self.lose_voice();
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
