//! What the user types.

use crate::End;
use crate::app::{App, Connection};
use crate::console::Line;
use crate::options::parse_seconds;
use crate::talk::FRAME;
use crate::talk::event::Event;
use std::path::Path;
use std::time::{Duration, Instant};

const COMMANDS: &str = "\
Commands:
  /join            enter the voice channel
  /leave           leave it
  /mute, /unmute   stop being heard, and be heard again
  /play FILE.wav   speak a WAV file while you go on typing
  /tone [SECONDS]  speak a tone of 440 Hz (default 3 s)
  /stop            stop speaking
  /talk            with --push-to-talk, what Ctrl-T does: let the others hear you until the next one
  /stats           what was heard, by speaker
  /who             who is here
  /ping            the round trip to the server and back
  /wait SECONDS    read no more commands for a while (for scripts)
  /quit            leave the server
Anything else is said to everyone; a message that starts with a slash is typed with two.";
/// What `/tone` speaks if it isn't told otherwise.
const TONE_LENGTH: Duration = Duration::from_secs(3);

impl App<'_> {
    pub fn handle_lines(&mut self, now: Instant) -> Result<(), End> {
        while let Ok(line) = self.console.lines.try_recv() {
            self.line_is_wanted &= matches!(line, Line::TalkKey);
            match line {
                Line::TalkKey => self.turn_talk_key()?,
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
                    && !self.mouth.is_wanted()
            }
            _ => false,
        }
    }

    /// Whether all that was asked for is done, and nothing more can be.
    pub fn is_done(&self) -> bool {
        let is_heard_out = match &self.connection {
            Connection::Up { session, .. } => session.is_proof_settled(),
            _ => false,
        };
        self.lines_have_ended
            && self.lines.is_empty()
            && self.is_ready_for_line()
            && !self.mouth.is_speaking()
            && is_heard_out
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
            "/join" => {
                // Joining unmutes, and who has joined already only joins again.
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
            "/tone" => match parse_seconds(argument, TONE_LENGTH) {
                Some(length) if self.may_speak()? => self.mouth.want_tone(length),
                Some(_) => {}
                None => return self.refuse("usage: /tone [SECONDS], up to 3600"),
            },
            "/play" if argument.is_empty() => return self.refuse("usage: /play FILE.wav"),
            "/play" if self.may_speak()? => {
                if let Err(reason) = self.mouth.want_file(Path::new(argument)) {
                    return self.refuse(&reason);
                }
            }
            "/play" => {}
            "/stop" => self.finish_speaking()?,
            "/talk" => self.turn_talk_key()?,
            "/wait" => match parse_seconds(argument, Duration::ZERO) {
                Some(length) => self.wait_until = Some(now + length),
                None => return self.refuse("usage: /wait SECONDS, up to 3600"),
            },
            "/who" => self.list_people(usize::MAX)?,
            "/stats" => self.show_stats()?,
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

    /// One speech at a time.
    fn may_speak(&self) -> Result<bool, End> {
        let is_speaking = self.mouth.is_speaking() && !self.mouth.is_finishing();
        if is_speaking {
            self.refuse("you are speaking already: /stop first")?;
        }
        Ok(!is_speaking)
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
