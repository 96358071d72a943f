//! Sound on its way out: a tone, a WAV file or raw sound, made into voice at its pace.

use super::codec::{Cut, Encoder};
use super::gate::Gate;
use super::microphone::Microphone;
use super::wav::WavFile;
use super::{FRAME, FRAME_SAMPLES, SAMPLE_RATE, Sound};
use std::f64::consts::TAU;
use std::sync::mpsc::Receiver;
use std::task::Poll;
use std::time::{Duration, Instant};

const TONE_HZ: u64 = 440;
/// A quarter of full scale, 12 dB below it: about as loud as speech.
const TONE_AMPLITUDE: f64 = 0.25;
/// A tone fades in and out within so many samples, 5 ms, so that it does not click.
const TONE_FADE_SAMPLES: u64 = 240;
/// A speaker that is late by more than this skips what was missed, as a sound card would: a flood
/// helps nobody.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Sources of sound.
pub enum Source {
    /// One tone, for a while.
    Tone(ToneSource),
    /// A file, to its end.
    Wav(Box<WavFile>),
    /// Live sound, as far as the gate lets it through.
    Live(Box<Microphone>),
}

/// 440 Hz.
pub struct ToneSource {
    place: u64,
    samples: u64,
}

/// What a speech has to send now.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// This frame, encoded, and when it was due.
    Frame(Vec<u8>, Instant),
    /// A frame was due, and nothing of it is sent.
    Silence,
    /// Nothing is due yet, or nothing has come.
    Nothing,
    /// It has ended.
    Ended,
}

/// Speeches, one after the other.
pub struct Speech {
    encoder: Encoder,
    gate: Gate,
    talk: Option<Talk>,
}

struct Talk {
    source: Source,
    /// Times count from here, so that lateness does not add up, and the frames since.
    start: Instant,
    since_start: u32,
    /// Whether there was nothing when it was last looked.
    is_waiting: bool,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// With the next frame.
    Soon,
    /// Only the tail of the last frame is still to be sent.
    Reached,
}

impl Speech {
    /// The gate is for live sound.
    pub fn new(bitrate: u32, gate: Gate) -> Self {
        Speech {
            encoder: Encoder::new(bitrate),
            gate,
            talk: None,
        }
    }

    /// The gate that decides which live sound is sent.
    pub fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// Begins to speak. What was being spoken is over.
    pub fn start(&mut self, now: Instant, source: Source) {
        self.talk = Some(Talk {
            source,
            start: now,
            since_start: 0,
            is_waiting: false,
            end: End::NotYet,
        });
    }

    /// Ends the present speech at once, and returns whether there was one.
    pub fn stop(&mut self) -> bool {
        self.encoder.stop();
        self.talk.take().is_some()
    }

    /// Ends the present speech with its next frame, so that it fades.
    pub fn finish(&mut self) {
        if let Some(talk) = &mut self.talk {
            talk.end = End::Soon;
        }
    }

    /// Whether there is something to say.
    pub fn is_speaking(&self) -> bool {
        self.talk.is_some()
    }

    /// Whether it is about to end on request.
    pub fn is_finishing(&self) -> bool {
        let talk = self.talk.as_ref();
        talk.is_some_and(|it| it.end != End::NotYet)
    }

    /// Whether sound that is not taken now is lost.
    pub fn is_live(&self) -> bool {
        let talk = self.talk.as_ref();
        talk.is_some_and(|it| matches!(it.source, Source::Live(_)))
    }

    /// When the next frame is due. None if there is none, or if it must arrive first.
    pub fn wake_at(&self) -> Option<Instant> {
        let talk = self.talk.as_ref()?;
        (!talk.is_waiting).then(|| talk.due_at())
    }

    /// Takes the next frame if it is due. Live sound that would not be heard is not sent.
    pub fn next(&mut self, now: Instant, is_heard: bool) -> Result<Said, String> {
        let Some(talk) = &mut self.talk else {
            return Ok(Said::Nothing);
        };
        if talk.due_at() > now {
            return Ok(Said::Nothing);
        }
        let sound = match talk.end {
            End::Reached => None,
            _ => match talk.source.next() {
                Ok(Poll::Ready(sound)) => sound,
                Ok(Poll::Pending) => {
                    talk.is_waiting = true;
                    return Ok(Said::Nothing);
                }
                Err(error) => {
                    self.stop();
                    return Err(error);
                }
            },
        };
        let cut = match (&talk.source, &sound) {
            (_, None) => None,
            (Source::Live(_), Some(sound)) => self.gate.look_at(sound, is_heard),
            _ => Some(Cut::No),
        };
        let cut = match talk.end {
            End::Soon => cut.map(|_| Cut::Out),
            _ => cut,
        };
        if sound.is_none() || talk.end == End::Soon {
            talk.end = End::Reached;
        }
        match self.encoder.next(sound.as_ref().zip(cut)) {
            Some(packet) => Ok(Said::Frame(packet, talk.note_taken(now))),
            None if talk.end == End::Reached => {
                self.talk = None;
                Ok(Said::Ended)
            }
            None => {
                talk.note_taken(now);
                Ok(Said::Silence)
            }
        }
    }
}

impl Talk {
    fn due_at(&self) -> Instant {
        self.start + FRAME * self.since_start
    }

    /// Returns when the frame that was taken was due.
    fn note_taken(&mut self, now: Instant) -> Instant {
        let late = now.saturating_duration_since(self.due_at());
        // What is late because it had not come is on time again.
        if late > LATE_MAX || self.is_waiting {
            self.start = now;
            self.since_start = 0;
        }
        let due_at = self.due_at();
        self.is_waiting = false;
        self.since_start += 1;
        due_at
    }
}

impl Source {
    /// A tone of this length.
    pub fn tone(length: Duration) -> Self {
        let samples = (length.as_secs_f64() * f64::from(SAMPLE_RATE)).round() as u64;
        Source::Tone(ToneSource { place: 0, samples })
    }

    /// It has ended when the sender is gone.
    pub fn live(sounds: Receiver<Sound>) -> Self {
        Source::Live(Box::new(Microphone::new(sounds)))
    }

    /// How long it takes, if that can be known.
    pub fn length(&self) -> Option<Duration> {
        match self {
            Source::Tone(tone) => {
                let seconds = tone.samples as f64 / f64::from(SAMPLE_RATE);
                Some(Duration::from_secs_f64(seconds))
            }
            Source::Wav(file) => Some(file.duration()),
            Source::Live(_) => None,
        }
    }

    /// The next frame, None at the end, and pending if it has not come.
    fn next(&mut self) -> Result<Poll<Option<Sound>>, String> {
        Ok(match self {
            Source::Tone(tone) => Poll::Ready(tone.next()),
            Source::Wav(file) => Poll::Ready(file.next_frame().map_err(|it| it.to_string())?),
            Source::Live(microphone) => microphone.next(),
        })
    }
}

impl ToneSource {
    fn next(&mut self) -> Option<Sound> {
        let from = self.place;
        if from >= self.samples {
            return None;
        }
        self.place += FRAME_SAMPLES as u64;
        Some(std::array::from_fn(|offset| {
            self.sample(from + offset as u64)
        }))
    }

    fn sample(&self, place: u64) -> f32 {
        let from_edge = place.min(self.samples.saturating_sub(place));
        let fade = from_edge.min(TONE_FADE_SAMPLES) as f64 / TONE_FADE_SAMPLES as f64;
        // The period is taken out first, so that an hour is as exact as a second.
        let phase = (place * TONE_HZ % u64::from(SAMPLE_RATE)) as f64 / f64::from(SAMPLE_RATE);
        (TONE_AMPLITUDE * fade * (TAU * phase).sin()) as f32
    }
}

#[cfg(test)]
mod tests;
