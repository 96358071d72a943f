//! The client itself: one session after the other, what the user wants of it, and the pace of sound.
//! It owns everything but the threads that read, and waits for nothing but its inbox.

use crate::console::{Console, Line};
use crate::options::Options;
use crate::sinks::Sinks;
use crate::talk::event::Event;
use crate::talk::link::{Arrival, Backoff, Link};
use crate::talk::listener::Listener;
use crate::talk::session::{LoginFailure, ProofState, Session};
use crate::talk::speech::{Said, Source, Speech};
use crate::talk::wav::WavFile;
use crate::talk::{FRAME, Sound};
use crate::{End, Input, Trouble};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};
use voiceapp_server::event::UserId;

const COMMANDS: &str = "\
Commands:
  /join            enter the voice channel
  /leave           leave it
  /mute, /unmute   stop being heard, and be heard again
  /play FILE.wav   speak a WAV file while you go on typing
  /tone [SECONDS]  speak a tone of 440 Hz (default 3 s)
  /stop            stop speaking
  /stats           what was heard, by speaker
  /who             who is here
  /ping            the round trip to the server and back
  /wait SECONDS    read no more commands for a while (for scripts)
  /quit            leave the server
Anything else is said to everyone; a message that starts with a slash is typed with two.";
/// What `/tone` speaks if it isn't told otherwise.
const TONE_LENGTH: Duration = Duration::from_secs(3);
/// Inputs handled before anything else is looked at.
const INPUTS_PER_TURN: usize = 1_024;

pub struct App<'o> {
    options: &'o Options,
    console: Console,
    inputs: SyncSender<Input>,
    /// Set when a signal asks to end.
    stop: Arc<AtomicBool>,
    connection: Connection,
    /// Counts connections, so that what an earlier one delivered late is not taken for news.
    attempt: u64,
    backoff: Backoff,
    /// When to stop trying to get the connection back.
    give_up_at: Option<Instant>,
    /// What the next login is still to be followed by.
    rejoin: Rejoin,
    listener: Listener,
    sinks: Sinks,
    /// When the next 20 ms of sound are to be played, once there is somebody to play them to.
    play_at: Option<Instant>,
    speech: Speech,
    untaken: u64,
    /// What is to be spoken as soon as our address is proven.
    speech_wanted: Option<(String, Source)>,
    lines: VecDeque<String>,
    line_is_wanted: bool,
    lines_have_ended: bool,
    /// Until when no line is looked at.
    wait_until: Option<Instant>,
}

enum Connection {
    Up { link: Link, session: Box<Session> },
    Connecting,
    Down { until: Instant },
}

#[derive(Clone, Copy, Default)]
struct Rejoin {
    voice: bool,
    muted: bool,
}

impl<'o> App<'o> {
    /// A client over a link that has just been connected.
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
            rejoin: Rejoin {
                voice: options.wants_voice(),
                muted: false,
            },
            listener: Listener::new(options.is_playing()),
            sinks: Sinks::default(),
            play_at: None,
            speech: Speech::new(),
            untaken: 0,
            speech_wanted: None,
            lines: VecDeque::new(),
            line_is_wanted: false,
            lines_have_ended: false,
            wait_until: None,
        }
    }

    /// Opens the files that the options name.
    pub fn open_files(&mut self) -> Result<(), End> {
        match &self.options.speak {
            Some(crate::options::Speak::File(path)) => {
                let file = WavFile::open(path).map_err(|error| End::Failed(error.to_string()))?;
                self.speech_wanted = Some((shown(path), Source::Wav(Box::new(file))));
            }
            Some(crate::options::Speak::Input) => {
                let sounds = crate::read_sound(self.inputs.clone());
                self.speech_wanted = Some(("standard input".to_owned(), Source::Live(sounds)));
            }
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
        // Also after a failure: what was recorded is there.
        let finished = self.sinks.finish();
        self.console.close();
        match outcome {
            Err(End::Quit) | Ok(()) => match finished? {
                Some(event) => self.console.tell(&event),
                None => Ok(()),
            },
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
        let speech = self.speech.wake_at().filter(|_| self.takes_speech());
        let timers = [connection, speech, self.play_at, self.wait_until];
        let pauses = self.listener.wake_at();
        timers.into_iter().flatten().chain(pauses).min()
    }

    fn handle_input(&mut self, input: Input) -> Result<(), End> {
        match input {
            Input::Wake => Ok(()),
            Input::ListenerLost(reason) => {
                self.console.tell(&Event::ListenerLost { reason })?;
                Err(End::Quit)
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

    // The connection.

    /// Begins a session over a link.
    fn start(&mut self, link: Link) -> Result<(), End> {
        let now = Instant::now();
        let (attempt, inputs) = (self.attempt, self.inputs.clone());
        link.start(move |arrival| inputs.send(Input::Arrived(attempt, arrival)).is_ok())
            .map_err(|error| End::Failed(format!("cannot use the connection: {error}")))?;
        let voice_address = link.voice_address().to_string();
        let session = Session::new(now, &self.options.name, voice_address);
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
        if let Connection::Up { session, .. } = &self.connection {
            if session.is_logged_in() {
                self.rejoin.voice |= session.is_in_voice();
                self.rejoin.muted = session.is_muted();
                self.backoff = Backoff::new();
                self.give_up_at = Some(Instant::now() + self.options.reconnect);
            }
        }
        if self.give_up_at.is_none() || self.options.reconnect.is_zero() {
            return Err(End::Troubled(Trouble::Unreachable, reason));
        }
        self.console.tell(&Event::ConnectionLost { reason })?;
        self.listener.forget();
        self.try_again(Trouble::Unreachable)
    }

    fn try_again(&mut self, trouble: Trouble) -> Result<(), End> {
        self.attempt += 1;
        let now = Instant::now();
        // Without randomness the waits are merely the same for everyone.
        let wait = self.backoff.next(getrandom::u32().unwrap_or_default());
        let until = now + wait;
        if self.give_up_at.is_none_or(|at| until > at) {
            let tried = self.options.reconnect;
            let reason = format!("no connection to {} for {tried:?}", self.options.server);
            return Err(End::Troubled(trouble, reason));
        }
        self.connection = Connection::Down { until };
        let after_ms = wait.as_millis() as u64;
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
    fn flush(&mut self) -> Result<(), End> {
        let Connection::Up { link, session } = &mut self.connection else {
            return Ok(());
        };
        match link.flush(session) {
            Ok(untaken) => {
                self.untaken += untaken;
                Ok(())
            }
            Err(reason) => self.lose(reason),
        }
    }

    /// Tells what the session has to tell, and does what follows from it.
    fn look_at_session(&mut self) -> Result<(), End> {
        loop {
            let Connection::Up { session, .. } = &mut self.connection else {
                return Ok(());
            };
            let Some(event) = session.next_event() else {
                break;
            };
            self.console.tell(&event)?;
            self.handle_event(&event)?;
        }
        let Connection::Up { session, .. } = &self.connection else {
            return Ok(());
        };
        let Some(failure) = session.login_failure() else {
            return Ok(());
        };
        let (trouble, reason) = match failure {
            LoginFailure::Refused => (
                Trouble::Refused,
                "the server refused the login: it is full, the name is not 1 to 32 bytes of plain \
                 text, or too many log in from here",
            ),
            LoginFailure::Unanswered => {
                (Trouble::Unreachable, "the server did not answer the login")
            }
        };
        let reason = reason.to_owned();
        if self.give_up_at.is_none() {
            return Err(End::Troubled(trouble, reason));
        }
        self.console.tell(&Event::CannotConnect { reason })?;
        self.try_again(trouble)
    }

    fn handle_event(&mut self, event: &Event) -> Result<(), End> {
        match event {
            Event::LoggedIn { .. } => self.handle_login(),
            Event::JoinedVoice { who } | Event::LeftVoice { who } | Event::Muted { who, .. } => {
                self.listener.expect_gap(UserId(who.user_id));
                Ok(())
            }
            Event::LeftServer { who } => {
                self.listener.leave(UserId(who.user_id));
                Ok(())
            }
            Event::YouJoinedVoice { already: false } => {
                self.listener.expect_gaps();
                if let (Connection::Up { session, .. }, true) =
                    (&mut self.connection, std::mem::take(&mut self.rejoin.muted))
                {
                    session.mute(true);
                }
                Ok(())
            }
            Event::YouLeftVoice { already: false } => {
                self.listener.expect_gaps();
                self.stop_speaking()
            }
            Event::YouMuted { is_muted: true } => self.stop_speaking(),
            Event::VoiceRefused | Event::VoiceUnanswered { .. }
                if self.options.wants_voice() && !self.console.is_terminal =>
            {
                let reason = format!("no voice with {}", self.options.server);
                Err(End::Troubled(Trouble::Unreachable, reason))
            }
            _ => Ok(()),
        }
    }

    fn handle_login(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.give_up_at = None;
        if self.options.is_playing() {
            self.play_at.get_or_insert(now);
        }
        let Rejoin { voice, muted } = std::mem::take(&mut self.rejoin);
        if let Connection::Up { session, .. } = &mut self.connection {
            if voice {
                session.join(now);
            }
            // Joining unmutes.
            if muted && !voice {
                session.mute(true);
            }
            self.rejoin.muted = muted && voice;
        }
        Ok(())
    }

    // Sound.

    /// Whether what is spoken now would be heard.
    fn can_speak(&self) -> bool {
        match &self.connection {
            Connection::Up { session, .. } => {
                session.is_in_voice()
                    && !session.is_muted()
                    && session.proof_state() == ProofState::Proven
            }
            _ => false,
        }
    }

    /// Whether the next frame is wanted: a file waits until it can be heard, live sound does not.
    fn takes_speech(&self) -> bool {
        self.can_speak() || self.speech.is_live()
    }

    fn speak(&mut self, now: Instant) -> Result<(), End> {
        while self.takes_speech() {
            let can_speak = self.can_speak();
            match self.speech.next(now) {
                Ok(Said::Frame(data)) => {
                    if let (Connection::Up { session, .. }, true) =
                        (&mut self.connection, can_speak)
                    {
                        session.speak(now, &data);
                    }
                }
                Ok(Said::Nothing) => break,
                Ok(Said::Ended(datagrams)) => {
                    self.flush()?;
                    self.tell_spoken(datagrams)?;
                }
                Err(reason) => self.console.tell(&Event::Refused { reason })?,
            }
        }
        Ok(())
    }

    /// Starts what is to be spoken, once it would be heard or is sure not to be.
    fn start_wanted_speech(&mut self, now: Instant) -> Result<(), End> {
        let Connection::Up { session, .. } = &self.connection else {
            return Ok(());
        };
        if self.speech_wanted.is_none() || session.is_waiting_for_answers() {
            return Ok(());
        }
        match session.proof_state() {
            ProofState::Asking => return Ok(()),
            ProofState::Failed => {
                self.speech_wanted = None;
                return self.refuse("no voice: our address is not proven (/join tries again)");
            }
            ProofState::Proven if !session.is_in_voice() => return Ok(()),
            ProofState::Proven => {}
        }
        let Some((what, source)) = self.speech_wanted.take() else {
            return Ok(());
        };
        let seconds = source.length().map(|length| length.as_secs_f64());
        self.untaken = 0;
        self.speech.start(now, source);
        self.console.tell(&Event::SpeechStarted { what, seconds })
    }

    fn stop_speaking(&mut self) -> Result<(), End> {
        self.speech_wanted = None;
        match self.speech.stop() {
            Some(datagrams) => self.tell_spoken(datagrams),
            None => Ok(()),
        }
    }

    fn tell_spoken(&self, datagrams: u64) -> Result<(), End> {
        let untaken = self.untaken;
        self.console
            .tell(&Event::SpeechEnded { datagrams, untaken })
    }

    /// Plays all that is due. Times are counted from the first, so that sound keeps its pace.
    fn play(&mut self, now: Instant) -> Result<(), End> {
        while let Some(at) = self.play_at.filter(|at| *at <= now) {
            let sound: Option<Sound> = self.listener.play(at);
            self.sinks.take(sound)?;
            self.play_at = Some(at + FRAME);
        }
        Ok(())
    }

    // What the user says.

    fn handle_lines(&mut self, now: Instant) -> Result<(), End> {
        while let Ok(line) = self.console.lines.try_recv() {
            self.line_is_wanted = false;
            match line {
                Line::Typed(line) if line == "/quit" => return Err(End::Quit),
                Line::Typed(line) => self.lines.push_back(line),
                Line::Ended if self.console.is_terminal => return Err(End::Quit),
                Line::Ended => self.lines_have_ended = true,
            }
        }
        if self.console.is_terminal {
            // Who types is not kept waiting, and told so if there is nobody to tell it to.
            self.want_line();
            if !self.is_logged_in() && !self.lines.is_empty() {
                self.lines.clear();
                self.refuse("there is no connection: wait for it, or /quit")?;
            }
        }
        loop {
            self.start_wanted_speech(now)?;
            if !self.is_ready_for_line() {
                return Ok(());
            }
            let Some(line) = self.lines.pop_front() else {
                break;
            };
            self.handle_line(now, &line)?;
            // What is asked for is on its way before the next line is looked at.
            self.flush()?;
        }
        self.want_line();
        Ok(())
    }

    fn want_line(&mut self) {
        if !self.line_is_wanted && !self.lines_have_ended {
            self.line_is_wanted = true;
            self.console.want_line();
        }
    }

    fn is_logged_in(&self) -> bool {
        matches!(&self.connection, Connection::Up { session, .. } if session.is_logged_in())
    }

    /// Whether everything that came before the next line is done, as scripts expect.
    fn is_ready_for_line(&self) -> bool {
        match &self.connection {
            Connection::Up { session, .. } => {
                session.is_logged_in()
                    && !session.is_waiting_for_answers()
                    && self.wait_until.is_none()
                    && self.speech_wanted.is_none()
            }
            _ => false,
        }
    }

    /// Whether all that was asked for is done, and nothing more can be.
    fn is_done(&self) -> bool {
        self.lines_have_ended
            && self.lines.is_empty()
            && self.is_ready_for_line()
            && !self.speech.is_speaking()
    }

    fn handle_line(&mut self, now: Instant, line: &str) -> Result<(), End> {
        let (command, argument) = match line.split_once(char::is_whitespace) {
            Some((command, argument)) => (command, argument.trim()),
            None => (line, ""),
        };
        let Connection::Up { session, .. } = &mut self.connection else {
            return Ok(());
        };
        if !line.starts_with('/') || line.starts_with("//") {
            let message = line.strip_prefix('/').unwrap_or(line);
            if !message.is_empty() {
                session.chat(now, message);
            }
            return self.look_at_session();
        }
        match command {
            "/join" => session.join(now),
            "/leave" => session.leave(now),
            "/ping" => session.ping(now),
            "/mute" => session.mute(true),
            "/unmute" => session.mute(false),
            "/tone" => match parse_seconds(argument, TONE_LENGTH) {
                Some(length) => return self.want_speech("a tone", || Ok(Source::tone(length))),
                None => return self.refuse("usage: /tone [SECONDS], up to 3600"),
            },
            "/play" if argument.is_empty() => return self.refuse("usage: /play FILE.wav"),
            "/play" => {
                let path = Path::new(argument);
                return self.want_speech(&shown(path), || {
                    let file = WavFile::open(path).map_err(|error| error.to_string())?;
                    Ok(Source::Wav(Box::new(file)))
                });
            }
            "/stop" => return self.stop_speaking(),
            "/wait" => match parse_seconds(argument, Duration::ZERO) {
                Some(length) => self.wait_until = Some(now + length),
                None => return self.refuse("usage: /wait SECONDS, up to 3600"),
            },
            "/who" => {
                let people = session.people();
                return self.console.tell(&Event::People { people });
            }
            "/stats" => {
                let event = Event::Stats {
                    speakers: self.listener.stats(),
                    unreadable: session.unreadable(),
                    untaken: self.sinks.untaken(),
                };
                return self.console.tell(&event);
            }
            "/help" => return self.console.tell(&Event::Help { text: COMMANDS }),
            "/quit" => return Err(End::Quit),
            _ => return self.refuse(&format!("there is no command {command}: see /help")),
        }
        self.look_at_session()
    }

    fn want_speech(
        &mut self,
        what: &str,
        source: impl FnOnce() -> Result<Source, String>,
    ) -> Result<(), End> {
        let Connection::Up { session, .. } = &self.connection else {
            return Ok(());
        };
        if !session.is_in_voice() {
            return self.refuse("you are not in voice: /join first");
        }
        if session.is_muted() {
            return self.refuse("you are muted: /unmute first");
        }
        if self.speech.is_speaking() {
            return self.refuse("you are speaking already: /stop first");
        }
        match source() {
            Ok(source) => {
                self.speech_wanted = Some((what.to_owned(), source));
                Ok(())
            }
            Err(reason) => self.refuse(&reason),
        }
    }

    fn refuse(&self, reason: &str) -> Result<(), End> {
        let reason = reason.to_owned();
        self.console.tell(&Event::Refused { reason })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn parse_seconds(text: &str, default: Duration) -> Option<Duration> {
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
        let table = [
            ("0.5", Some(Duration::from_millis(500))),
            ("", Some(TONE_LENGTH)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("3601", None),
            ("three", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_seconds(text, TONE_LENGTH), expected, "{text}");
        }
        assert_eq!(parse_seconds("", Duration::ZERO), None);
    }
}
