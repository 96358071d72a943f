//! Where what is heard goes: a recording, and standard output as raw sound.

use crate::End;
use crate::talk::event::Event;
use crate::talk::wav::Recording;
use crate::talk::{FRAME, FRAME_SAMPLES, Sound, to_i16};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

/// What standard output has not taken after so many frames, 100 ms, is lost: who listens live is not
/// helped by what is late.
const WAITING_MAX: usize = 5;
/// A pipe holds 64 KiB where nobody says otherwise, which would be 0.7 s of sound.
#[cfg(target_os = "linux")]
const PIPE_BYTES: i32 = 8_192;

#[derive(Default)]
pub struct Sinks {
    recording: Option<(PathBuf, Recording)>,
    recorded: u64,
    output: Option<SyncSender<Sound>>,
    untaken: u64,
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
    pub fn listen(&mut self, lost: impl FnOnce(String) + Send + 'static) {
        let (sender, sounds) = sync_channel(WAITING_MAX);
        self.output = Some(sender);
        thread::spawn(move || {
            if let Err(error) = write_sounds(&sounds) {
                lost(error.to_string());
            }
        });
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
        if let Some(output) = &self.output {
            let is_full = matches!(output.try_send(sound), Err(TrySendError::Full(_)));
            self.untaken += u64::from(is_full);
        }
        Ok(())
    }

    /// Frames that standard output did not take in time.
    pub fn untaken(&self) -> u64 {
        self.untaken
    }

    /// Ends the recording, if there is one.
    pub fn finish(&mut self) -> Result<Option<Event>, End> {
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
    #[cfg(target_os = "linux")]
    {
        use nix::fcntl::{FcntlArg, fcntl};
        // What is no pipe has no such size.
        let _ = fcntl(&stdout, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    }
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
