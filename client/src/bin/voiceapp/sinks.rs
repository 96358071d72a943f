//! Where the received sound goes: a recording, and standard output as raw sound.

use crate::{End, shorten_pipe, wait_for};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use voiceapp_client::event::Event;
use voiceapp_client::outlet::Outlet;
use voiceapp_client::wav::Recording;
use voiceapp_client::{FRAME, FRAME_SAMPLES, Sound, to_i16};

/// What standard output has not taken after so many frames, 100 ms, is merged into what follows:
/// late sound does not help a live listener.
const WAITING_MAX: usize = 5;

#[derive(Default)]
pub struct Sinks {
    recording: Option<(PathBuf, Recording)>,
    recorded: u64,
    output: Option<(SyncSender<Sound>, JoinHandle<()>)>,
    outlet: Outlet,
}

impl Sinks {
    pub fn record_to(&mut self, file: PathBuf) -> Result<Event, End> {
        let recording = Recording::create(&file).map_err(|error| End::Failed(error.to_string()))?;
        let event = Event::Recording {
            file: file.display().to_string(),
        };
        self.recording = Some((file, recording));
        Ok(event)
    }

    /// `lost` is called with the reason when standard output takes no more.
    pub fn listen(&mut self, lost: impl FnOnce(io::Error) + Send + 'static) {
        let (sender, sounds) = sync_channel(WAITING_MAX);
        let writing = thread::spawn(move || {
            if let Err(error) = write_sounds(&sounds) {
                lost(error);
            }
        });
        self.output = Some((sender, writing));
    }

    /// Takes the next 20 ms; None is silence.
    pub fn take(&mut self, sound: Option<Sound>) -> Result<(), End> {
        let sound = sound.unwrap_or([0.0; FRAME_SAMPLES]);
        if let Some((_, recording)) = &mut self.recording {
            recording
                .write(&sound)
                .map_err(|error| End::Failed(error.to_string()))?;
            self.recorded += 1;
        }
        if let Some((output, _)) = &self.output {
            // A reader that takes nothing at all is reported elsewhere.
            self.outlet.offer(sound, |it| output.try_send(*it).is_ok());
        }
        Ok(())
    }

    /// Frames that standard output did not take in time.
    pub fn untaken(&self) -> u64 {
        self.outlet.shortened()
    }

    /// Completes the recording, if there is one, and waits at most this long for standard output to
    /// take the rest.
    pub fn finish(&mut self, at_most: Duration) -> Result<Option<Event>, End> {
        if let Some((sender, writing)) = self.output.take() {
            drop(sender);
            wait_for(&writing, at_most);
        }
        let Some((file, recording)) = self.recording.take() else {
            return Ok(None);
        };
        recording
            .finish()
            .map_err(|error| End::Failed(error.to_string()))?;
        Ok(Some(Event::Recorded {
            file: file.display().to_string(),
            seconds: FRAME.as_secs_f64() * self.recorded as f64,
        }))
    }
}

fn write_sounds(sounds: &Receiver<Sound>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    shorten_pipe(&stdout);
    let mut bytes = Vec::new();
    for sound in sounds {
        bytes.clear();
        for sample in to_i16(&sound) {
            bytes.extend(sample.to_le_bytes());
        }
        stdout.write_all(&bytes)?;
        stdout.flush()?;
    }
    Ok(())
}
