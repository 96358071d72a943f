//! What the user types.

use crate::End;
use crate::app::{App, Connection};
use crate::line::{Line, Parsed, parse, path};
use crate::options::parse_seconds;
use crate::variables::variable;
use std::time::{Duration, Instant};
use voiceapp_client::FRAME;
use voiceapp_client::event::Event;
use voiceapp_client::session::ProofState;

pub const COMMANDS: &str = "\
Commands:
  /join            join the voice channel
  /leave           leave it
  /mute, /unmute   mute yourself, and unmute
  /play FILE.wav   speak a WAV file
  /tone [SECONDS]  speak a tone of 440 Hz (default 3 s)
  /stop            stop speaking
  /talk            with --push-to-talk: start or stop sending, as Ctrl-T does
  /stats           what you heard, by speaker, and its quality
  /who             who is here
  /status          what is encrypted, and the fingerprint of the server's key
  /ping            measure the round trip to the server
  /wait SECONDS    wait before the next command (for scripts)
  /quit            leave the server
Anything else is a chat message to everyone. Type two slashes to begin one with a slash.";
/// The length of `/tone` without an argument.
const TONE_LENGTH: Duration = Duration::from_secs(3);

impl App<'_> {
    pub fn handle_lines(&mut self, now: Instant) -> Result<(), End> {
        while let Ok(line) = self.console.lines.try_recv() {
            self.line_is_wanted &= matches!(line, Line::TalkKey);
            match line {
                Line::TalkKey => self.turn_talk_key()?,
                Line::Typed(line) => self.lines.push_back(line),
                Line::Secret(password) => self.take_password(password)?,
                // At a terminal the end of input means leave, after what was typed before.
                Line::Ended if self.console.is_typed => self.lines.push_back("/quit".to_owned()),
                Line::Ended => self.lines_have_ended = true,
                Line::Interrupted => return Err(End::Quit),
                Line::Failed(reason) => return Err(End::Failed(reason)),
            }
        }
        if self.console.is_typed {
            // A person who types does not have to wait.
            self.want_line();
            self.refuse_unsayable_lines()?;
        }
        loop {
            self.start_wanted_speech(now)?;
            if self.may_quit() {
                return Err(End::Quit);
            }
            if !self.is_ready_for_line() {
                return Ok(());
            }
            let Some(line) = self.lines.pop_front() else {
                break;
            };
            self.handle_line(now, &line)?;
            // The request goes out before the next line is handled.
            self.flush()?;
        }
        self.want_line();
        Ok(())
    }

    /// Whether the next line is to leave, and nothing before it is under way. Without a connection
    /// there is nothing to wait for.
    fn may_quit(&self) -> bool {
        let is_next = self.lines.front().is_some_and(|it| it.trim() == "/quit");
        let is_settled = match &self.connection {
            Connection::Up { session, .. } if session.is_logged_in() => {
                !session.is_waiting_for_answers()
                    && (self.console.is_typed || self.is_ready_for_line())
            }
            _ => true,
        };
        is_next && is_settled
    }

    /// Gives back the lines that were typed after the connection was lost, as it may not return.
    /// Before the first login they wait: it is a moment away.
    fn refuse_unsayable_lines(&mut self) -> Result<(), End> {
        self.drop_early_lines()?;
        while self.logged_in_at.is_some() && !self.is_logged_in() && !self.may_quit() {
            let Some(line) = self.lines.pop_front() else {
                break;
            };
            if !line.trim().is_empty() {
                let advice = "wait for it, or /quit";
                self.refuse(&format!(
                    "there is no connection ({advice}) for this: {line}"
                ))?;
            }
        }
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

    /// Whether everything before the next line is done, as scripts expect. A person who types does
    /// not have to wait for voice.
    fn is_ready_for_line(&self) -> bool {
        let Connection::Up { session, .. } = &self.connection else {
            return false;
        };
        let is_waiting_for_voice = session.is_about_to_join() || self.mouth.wanted().is_some();
        session.is_logged_in()
            && !session.is_waiting_for_answers()
            && self.wait_until.is_none()
            && (self.console.is_typed || !is_waiting_for_voice)
    }

    /// Whether every request is done, and nothing more can come.
    pub fn is_done(&self) -> bool {
        let is_heard_out = match &self.connection {
            Connection::Up { session, .. } => session.is_proof_settled(),
            _ => false,
        };
        self.lines_have_ended
            && self.lines.is_empty()
            && self.is_ready_for_line()
            && self.mouth.wanted().is_none()
            && !self.mouth.is_speaking()
            && is_heard_out
            // A client that came for voice has it, or fails without it.
            && self.voice_given_up_at().is_none()
    }

    fn handle_line(&mut self, now: Instant, line: &str) -> Result<(), End> {
        let Connection::Up { session, .. } = &mut self.connection else {
            return Ok(());
        };
        let (command, argument) = match parse(line) {
            Parsed::Nothing => return Ok(()),
            Parsed::Message(message) => {
                session.chat(now, message);
                return self.look_at_session();
            }
            Parsed::Command(command, argument) => (command, argument),
        };
        match command {
            "/join" => {
                // Joining unmutes. A client that has joined already only joins again.
                self.wants.muted &= self.wants.voice;
                self.wants.voice = true;
                session.join(now);
            }
            "/leave" => {
                (self.wants.voice, self.wants.muted) = (false, false);
                session.leave(now);
            }
            "/mute" | "/unmute" => {
                self.wants.muted = command == "/mute";
                session.mute(self.wants.muted);
            }
            "/ping" => session.ping(now),
            "/tone" => self.want_tone(argument)?,
            "/play" => self.want_file(argument)?,
            "/stop" => self.finish_speaking()?,
            "/talk" => self.turn_talk_key()?,
            "/wait" => match parse_seconds(argument, Duration::ZERO) {
                Some(length) => self.wait_until = Some(now + length),
                None => return self.refuse("usage: /wait SECONDS, up to 3600"),
            },
            "/who" => self.list_people(usize::MAX)?,
            "/stats" => self.show_stats()?,
            "/status" => self.show_status()?,
            "/help" => {
                for line in COMMANDS.lines() {
                    self.console.tell(&Event::Help { line })?;
                }
            }
            "/quit" => return Err(End::Quit),
            _ => return self.refuse(&format!("there is no command {command}: see /help")),
        }
        self.look_at_session()
    }

    fn want_tone(&mut self, argument: &str) -> Result<(), End> {
        let Some(length) = parse_seconds(argument, TONE_LENGTH) else {
            return self.refuse("usage: /tone [SECONDS], up to 3600");
        };
        if !self.may_speak()? {
            return Ok(());
        }
        self.mouth.want_tone(length);
        self.tell_wait()
    }

    fn want_file(&mut self, argument: &str) -> Result<(), End> {
        if argument.is_empty() {
            return self.refuse("usage: /play FILE.wav");
        }
        if !self.may_speak()? {
            return Ok(());
        }
        let path = path(argument, variable("HOME").ok().flatten());
        match self.mouth.want_file(&path) {
            Ok(()) => self.tell_wait(),
            Err(reason) => self.refuse(&reason),
        }
    }

    /// One speech at a time.
    fn may_speak(&self) -> Result<bool, End> {
        let is_busy =
            self.mouth.is_speaking() && !self.mouth.is_finishing() || self.mouth.wanted().is_some();
        if is_busy {
            self.refuse("you are speaking already: /stop first")?;
        }
        Ok(!is_busy)
    }

    /// Says that the speech waits, if our address is not proven yet.
    fn tell_wait(&self) -> Result<(), End> {
        let is_asked_for = match &self.connection {
            Connection::Up { session, .. } => session.proof_state() == ProofState::Asking,
            _ => false,
        };
        match self.mouth.wanted() {
            Some(what) if is_asked_for => {
                let what = what.to_owned();
                self.console.tell(&Event::SpeechWaits { what })
            }
            _ => Ok(()),
        }
    }

    fn show_status(&self) -> Result<(), End> {
        match &self.connection {
            Connection::Up { link, session } => {
                self.console.tell(&Event::Status(link.state(session)))
            }
            _ => Ok(()),
        }
    }

    fn show_stats(&self) -> Result<(), End> {
        let stats = self.listener.stats();
        if stats.is_empty() {
            self.console.tell(&Event::NothingHeard)?;
        }
        for heard in stats {
            self.console.tell(&Event::Heard(heard))?;
        }
        let unreadable = match &self.connection {
            Connection::Up { session, .. } => session.unreadable(),
            _ => 0,
        };
        if unreadable > 0 {
            let datagrams = unreadable;
            self.console.tell(&Event::Unreadable { datagrams })?;
        }
        let datagrams = self.listener.unheard();
        if datagrams > 0 {
            self.console.tell(&Event::Unheard { datagrams })?;
        }
        match self.sinks.untaken() {
            0 => Ok(()),
            frames => self.console.tell(&Event::SoundLost {
                seconds: FRAME.as_secs_f64() * frames as f64,
            }),
        }
    }
}
