//! The client's voice: what waits to be spoken and what is spoken, and the pace at which received
//! sound plays.

use crate::app::{App, Connection};
use crate::options::Options;
use crate::{End, Trouble};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use voiceapp_client::event::Event;
use voiceapp_client::gate::Gate;
use voiceapp_client::session::ProofState;
use voiceapp_client::speech::{Said, Source, Speech};
use voiceapp_client::wav::WavFile;
use voiceapp_client::{FRAME, Sound};

/// One speech after the other.
pub struct Mouth {
    speech: Speech,
    /// The speech that waits until it can be heard.
    wanted: Option<(String, Source)>,
    /// Datagrams of the present speech, and those of them that the network did not take.
    spoken: u64,
    untaken: u64,
}

impl Mouth {
    pub fn new(options: &Options) -> Self {
        let gate = Gate::new(options.activation_db, options.push_to_talk);
        Mouth {
            speech: Speech::new(options.bitrate, gate),
            wanted: None,
            spoken: 0,
            untaken: 0,
        }
    }

    pub fn want_file(&mut self, path: &Path) -> Result<(), String> {
        let file = WavFile::open(path).map_err(|error| error.to_string())?;
        let what = path.display().to_string();
        self.wanted = Some((what, Source::Wav(Box::new(file))));
        Ok(())
    }

    pub fn want_sound(&mut self, sounds: Receiver<Sound>) {
        self.wanted = Some(("standard input".to_owned(), Source::live(sounds)));
    }

    pub fn want_tone(&mut self, length: Duration) {
        self.wanted = Some(("a tone".to_owned(), Source::tone(length)));
    }

    /// The speech that waits.
    pub fn wanted(&self) -> Option<&str> {
        self.wanted.as_ref().map(|(what, _)| what.as_str())
    }

    pub fn is_speaking(&self) -> bool {
        self.speech.is_speaking()
    }

    /// Whether the present speech is about to end.
    pub fn is_finishing(&self) -> bool {
        self.speech.is_finishing()
    }

    /// Whether the present speech is a microphone.
    pub fn is_live(&self) -> bool {
        self.speech.is_live()
    }

    pub fn wake_at(&self) -> Option<Instant> {
        self.speech.wake_at()
    }

    pub fn note_untaken(&mut self, datagrams: u64) {
        self.untaken += datagrams;
    }
}

impl App<'_> {
    /// Whether speech would be heard now.
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
    pub fn takes_speech(&self) -> bool {
        self.can_speak() || self.mouth.speech.is_live()
    }

    pub fn speak(&mut self, now: Instant) -> Result<(), End> {
        while self.takes_speech() {
            let (can_speak, is_live) = (self.can_speak(), self.mouth.is_live());
            match self.mouth.speech.next(now, can_speak) {
                Ok(Said::Frame(data, due_at)) => {
                    if let (Connection::Up { session, .. }, true) =
                        (&mut self.connection, can_speak)
                    {
                        session.speak(due_at, &data);
                        self.mouth.spoken += 1;
                    }
                }
                Ok(Said::Silence) => {}
                Ok(Said::Nothing) => break,
                Ok(Said::Ended) => {
                    // A client that speaks from standard input leaves when that has ended.
                    self.lines_have_ended |= is_live;
                    self.end_speech(now)?;
                }
                // A file that breaks off.
                Err(reason) if self.options.speak.is_some() => return Err(End::Failed(reason)),
                Err(reason) => self.refuse(&reason)?,
            }
        }
        Ok(())
    }

    /// Starts the speech that waits, once it would be heard or certainly will not be.
    pub fn start_wanted_speech(&mut self, now: Instant) -> Result<(), End> {
        let Connection::Up { session, .. } = &self.connection else {
            return Ok(());
        };
        let is_settled = session.is_logged_in()
            && !session.is_waiting_for_answers()
            && !session.is_about_to_join();
        // Voice that was there returns, or does not. A person who types does not have to wait for
        // that.
        let is_asked_for = match session.proof_state() {
            ProofState::Asking => true,
            ProofState::Failed => self.had_voice && !self.console.is_typed,
            ProofState::Proven => false,
        };
        let is_busy = self.mouth.is_speaking();
        if self.mouth.wanted().is_none() || !is_settled || is_asked_for || is_busy {
            return Ok(());
        }
        let reason = if session.proof_state() == ProofState::Failed {
            "no voice: the server does not answer over UDP (/join tries again)"
        } else if !session.is_in_voice() {
            "you are not in voice: /join first"
        } else if session.is_muted() {
            "you are muted: /unmute first"
        } else {
            ""
        };
        match self.mouth.wanted.take() {
            Some((what, source)) if reason.is_empty() => {
                let seconds = source.length().map(|length| length.as_secs_f64());
                (self.mouth.spoken, self.mouth.untaken) = (0, 0);
                self.mouth.speech.start(now, source);
                self.console.tell(&Event::SpeechStarted { what, seconds })
            }
            _ if self.options.speak.is_some() && !self.console.is_terminal => {
                let reason = format!("cannot speak: {reason}");
                Err(End::Troubled(Trouble::Unreachable, reason))
            }
            _ => self.refuse(reason),
        }
    }

    /// Lets the present speech fade and end, if it can still be heard.
    pub fn finish_speaking(&mut self) -> Result<(), End> {
        if self.mouth.is_live() {
            return self.refuse("you speak from standard input: /mute is what stops that");
        }
        if !self.can_speak() {
            return self.stop_speaking();
        }
        self.mouth.wanted = None;
        self.mouth.speech.finish();
        Ok(())
    }

    pub fn turn_talk_key(&mut self) -> Result<(), End> {
        match self.mouth.speech.gate().turn_key() {
            Some(is_on) => self.console.tell(&Event::Talking { is_on }),
            None => self.refuse("there is no key to talk without --push-to-talk"),
        }
    }

    pub fn stop_speaking(&mut self) -> Result<(), End> {
        self.mouth.wanted = None;
        match self.mouth.speech.stop() {
            true => self.end_speech(Instant::now()),
            false => Ok(()),
        }
    }

    fn end_speech(&mut self, now: Instant) -> Result<(), End> {
        self.flush()?;
        // A client that leaves once this is answered does not cut off the end of its speech.
        if let Connection::Up { session, .. } = &mut self.connection
            && session.proof_state() == ProofState::Proven
        {
            session.prove(now);
        }
        self.console.tell(&Event::SpeechEnded {
            datagrams: self.mouth.spoken,
            untaken: self.mouth.untaken,
        })
    }

    /// Plays all that is due. Times count from the first frame, so that sound keeps its pace.
    pub fn play(&mut self, now: Instant) -> Result<(), End> {
        while let Some(at) = self.play_at.filter(|at| *at <= now) {
            let sound = self.listener.play(at);
            self.sinks.take(sound)?;
            self.play_at = Some(at + FRAME);
        }
        Ok(())
    }
}
