//! WAV files: sound read from one, whatever its rate, and sound recorded into one.
//!
//! Both go frame by frame, and never hold more than a fraction of a second of sound. Whatever a file
//! contains leads to sound or to a [`WavError`].

use super::{FRAME_SAMPLES, SAMPLE_RATE, Sound, to_i16};
use hound::{SampleFormat, WavSpec, WavWriter};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Resampler, SincInterpolationParameters, WindowFunction};
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod source;
#[cfg(test)]
mod tests;

use source::Source;

/// The header counts all but its first 8 of 44 bytes in 32 bits.
const DATA_BYTES_MAX: u64 = u32::MAX as u64 - 36;
/// The header of a recording is brought up to date once a second.
const FRAMES_PER_FLUSH: usize = SAMPLE_RATE as usize / FRAME_SAMPLES;
/// Taps of the resampler's filter at the lower of the two rates, which keeps it about as steep for
/// all.
const TAPS: u32 = 256;

/// A WAV file, read as a stream of frames of 48 kHz mono.
pub struct WavFile {
    path: PathBuf,
    source: Source,
    resampler: Option<SincResampler>,
    samples_left: u64,
}

impl WavFile {
    /// Opens a file of 16-, 24- or 32-bit integer or 32-bit float samples, mono or stereo, 8 to 192 kHz.
    pub fn open(path: &Path) -> Result<Self, WavError> {
        let failed = |reason| WavError::new("read", path, reason);
        let mut source = Source::open(path).map_err(failed)?;
        let resampler = match source.rate_hz() {
            SAMPLE_RATE => None,
            _ => Some(SincResampler::new(&mut source).map_err(failed)?),
        };
        let scaled = source.len().saturating_mul(SAMPLE_RATE.into());
        Ok(WavFile {
            path: path.to_owned(),
            resampler,
            samples_left: scaled.div_ceil(source.rate_hz().into()),
            source,
        })
    }

    /// How long the sound is.
    pub fn duration(&self) -> Duration {
        let seconds = self.source.len() as f64 / f64::from(self.source.rate_hz());
        Duration::from_secs_f64(seconds)
    }

    /// The next 20 ms, the last of them filled up with silence. `None` after the end, and after an
    /// error.
    pub fn next_frame(&mut self) -> Result<Option<Sound>, WavError> {
        if self.samples_left == 0 {
            return Ok(None);
        }
        let mut sound = [0.0; FRAME_SAMPLES];
        let filled = match &mut self.resampler {
            Some(resampler) => resampler.fill(&mut self.source, &mut sound),
            None => self.source.fill(&mut sound),
        };
        if let Err(reason) = filled {
            self.samples_left = 0;
            return Err(WavError::new("read", &self.path, reason));
        }
        // The filter of the resampler rings on for a while after the last sample.
        let len = self.samples_left.min(FRAME_SAMPLES as u64);
        sound[len as usize..].fill(0.0);
        self.samples_left -= len;
        Ok(Some(sound.map(|sample| sample.clamp(-1.0, 1.0))))
    }
}

/// A 48 kHz mono 16-bit WAV file that is being written.
///
/// It is valid at any moment: a program that is killed loses the last second at most.
pub struct Recording {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    data_bytes_max: u64,
    unflushed: usize,
}

impl Recording {
    /// Starts a recording; an existing file is overwritten.
    pub fn create(path: &Path) -> Result<Self, WavError> {
        Recording::with_limit(path, DATA_BYTES_MAX)
    }

    fn with_limit(path: &Path, data_bytes_max: u64) -> Result<Self, WavError> {
        let writer = open_writer(path).map_err(|reason| WavError::new("write", path, reason))?;
        Ok(Recording {
            path: path.to_owned(),
            writer,
            data_bytes_max,
            unflushed: 0,
        })
    }

    /// Appends 20 ms. At the 4 GiB that a WAV file can hold this is an error, and the file stays as
    /// it is.
    pub fn write(&mut self, sound: &Sound) -> Result<(), WavError> {
        self.append(sound)
            .map_err(|reason| WavError::new("write", &self.path, reason))
    }

    /// Completes the file. Dropping the recording does so too, but hides the errors.
    pub fn finish(self) -> Result<(), WavError> {
        let finished = self.writer.finalize();
        finished.map_err(|error| WavError::new("write", &self.path, error.into()))
    }

    fn append(&mut self, sound: &Sound) -> Result<(), Reason> {
        let data_bytes = (u64::from(self.writer.len()) + FRAME_SAMPLES as u64) * 2;
        if data_bytes > self.data_bytes_max {
            let limit = self.data_bytes_max;
            return Err(format!("it is full: a WAV file ends at {limit} bytes of sound").into());
        }
        let mut samples = self.writer.get_i16_writer(FRAME_SAMPLES as u32);
        for sample in to_i16(sound) {
            samples.write_sample(sample);
        }
        samples.flush()?;
        self.unflushed += 1;
        if self.unflushed == FRAMES_PER_FLUSH {
            self.writer.flush()?;
            self.unflushed = 0;
        }
        Ok(())
    }
}

/// Why a WAV file could not be read or written, with the file's name, in one line.
#[derive(Debug)]
pub struct WavError {
    action: &'static str,
    path: PathBuf,
    reason: Reason,
}

/// What is wrong, without the name of the file.
type Reason = Box<dyn std::error::Error + Send + Sync>;

impl WavError {
    fn new(action: &'static str, path: &Path, reason: Reason) -> Self {
        let path = path.to_owned();
        WavError {
            action,
            path,
            reason,
        }
    }
}

impl Display for WavError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "cannot {} {path}: {}", self.action, self.reason)
    }
}

impl std::error::Error for WavError {}

/// Opening a FIFO would wait for the other end, and a device may have no end.
fn only_regular(path: &Path) -> Result<(), Reason> {
    match fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err("it is not a regular file".into()),
    }
}

fn open_writer(path: &Path) -> Result<WavWriter<BufWriter<File>>, Reason> {
    if path.exists() {
        only_regular(path)?;
    }
    let spec = WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut writer = WavWriter::create(path, spec)?;
    // This puts the header on the disk, before there is any sound.
    writer.flush()?;
    Ok(writer)
}

/// Turns the rate of a file into 48 kHz, without the delay of its filter.
///
/// A sinc resampler costs the same at every rate, where an FFT one needs blocks of a second at rates
/// that have no common divisor with 48 kHz.
struct SincResampler {
    sinc: Async<f32>,
    input: Vec<f32>,
}

impl SincResampler {
    fn new(source: &mut Source) -> Result<Self, Reason> {
        let ratio = f64::from(SAMPLE_RATE) / f64::from(source.rate_hz());
        let taps = TAPS * source.rate_hz().div_ceil(SAMPLE_RATE);
        let window = WindowFunction::BlackmanHarris2;
        let shape = SincInterpolationParameters::new(taps as usize, window);
        let sinc = Async::new_sinc(ratio, 1.0, &shape, FRAME_SAMPLES, 1, FixedAsync::Output)?;
        let input = Vec::new();
        let mut resampler = SincResampler { sinc, input };
        // The first output lies one step after the start of the filter, so that the delay is a sample
        // less than rubato's `output_delay` says. It is 767 samples at most (8 kHz).
        let delay = (f64::from(taps / 2) * ratio - 1.0).round() as usize;
        let mut dropped = [0.0; FRAME_SAMPLES];
        resampler.fill(source, &mut dropped[..delay.clamp(1, FRAME_SAMPLES)])?;
        Ok(resampler)
    }

    /// Fills `out`, of 1 to [`FRAME_SAMPLES`] samples, and reads as much as that takes.
    fn fill(&mut self, source: &mut Source, out: &mut [f32]) -> Result<(), Reason> {
        let len = out.len();
        if let Some(sinc) = self.sinc.as_resizable() {
            sinc.set_chunk_size(len)?;
        }
        let input_len = self.sinc.input_frames_next();
        self.input.resize(input_len, 0.0);
        source.fill(&mut self.input)?;
        let input = InterleavedSlice::new(&self.input, 1, input_len)?;
        let mut output = InterleavedSlice::new_mut(out, 1, len)?;
        self.sinc.process_into_buffer(&input, &mut output, None)?;
        Ok(())
    }
}
