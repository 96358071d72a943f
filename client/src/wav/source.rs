//! The samples in a WAV file.
//!
//! hound writes recordings, and does not read here: its reader loses its way after a chunk of odd length,
//! and refuses the lengths that a writer to a pipe leaves in a header. Symphonia's, tried as well, does
//! the same, and overflows on some headers.

use super::{Reason, only_regular};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

/// Rates that can be read, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// Writers that cannot go back to the header leave about 2 or 4 GiB in it: sox and espeak-ng
/// 0x7FFF_F000, arecord 0x8000_0000, ffmpeg 0xFFFF_FFFF.
const STREAMED_BYTES_MIN: u64 = 0x7fff_0000;

/// The samples of a file as they come, mixed down to mono but not resampled.
pub struct Source {
    file: BufReader<File>,
    format: Format,
    /// Samples of each channel, in all and read so far.
    len: u64,
    read: u64,
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, Reason> {
        only_regular(path)?;
        let file_bytes = fs::metadata(path)?.len();
        let mut file = BufReader::new(File::open(path)?);
        let (format, data_bytes) = find_sound(&mut file, file_bytes)?;
        let len = data_bytes / format.bytes_per_moment();
        if len == 0 {
            return Err("it holds no sound".into());
        }
        Ok(Self {
            file,
            format,
            len,
            read: 0,
        })
    }

    pub fn rate_hz(&self) -> u32 {
        self.format.rate_hz
    }

    /// Samples of each channel.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills `out` with what comes next, and with silence from the end of the file on.
    pub fn fill(&mut self, out: &mut [f32]) -> Result<(), Reason> {
        out.fill(0.0);
        for sample in out {
            if self.read == self.len {
                break;
            }
            *sample = self
                .next_sample()
                .map_err(|error| format!("the sound breaks off: {error}"))?;
            self.read += 1;
        }
        Ok(())
    }

    fn next_sample(&mut self) -> io::Result<f32> {
        let mut mean = 0.0;
        for _ in 0..self.format.channels {
            let value = match self.format.sample {
                Sample::Int16 => {
                    f32::from(i16::from_le_bytes(read_bytes(&mut self.file)?)) / f32::from(i16::MAX)
                }
                // The upper three bytes of four.
                Sample::Int24 => {
                    let [low, middle, high] = read_bytes(&mut self.file)?;
                    i32::from_le_bytes([0, low, middle, high]) as f32 / i32::MAX as f32
                }
                Sample::Int32 => {
                    i32::from_le_bytes(read_bytes(&mut self.file)?) as f32 / i32::MAX as f32
                }
                Sample::Float => f32::from_le_bytes(read_bytes(&mut self.file)?),
            };
            // One bad sample would spread over the whole length of the resampler's filter.
            if value.is_finite() {
                mean += value.clamp(-1.0, 1.0) / f32::from(self.format.channels);
            }
        }
        Ok(mean)
    }
}

/// Finds the format and the length in bytes of the sound, and leaves `file` at its first byte.
fn find_sound(file: &mut BufReader<File>, file_bytes: u64) -> Result<(Format, u64), Reason> {
    let head: [u8; 12] = read_bytes(file).map_err(|e| format!("it is not a WAV file: {e}"))?;
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WAVE") {
        return Err("it is not a WAV file, which starts with RIFF and WAVE".into());
    }
    let riff_bytes = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let mut format = None;
    loop {
        let no_sound = |error| format!("no sound is found in it: {error}");
        let name: [u8; 4] = read_bytes(file).map_err(no_sound)?;
        let length = u32::from_le_bytes(read_bytes(file).map_err(no_sound)?);
        let mut skipped = i64::from(length) + i64::from(length % 2);
        if &name == b"data" {
            let present = file_bytes.saturating_sub(file.stream_position()?);
            let is_riff_final = u64::from(riff_bytes) + 8 >= file_bytes;
            let data_bytes = data_bytes(u64::from(length), present, is_riff_final)?;
            return Ok((
                format.ok_or("its sound comes before its format")?,
                data_bytes,
            ));
        }
        if &name == b"fmt " {
            let mut content = Vec::new();
            file.take(u64::from(length.min(Format::BYTES_MAX)))
                .read_to_end(&mut content)?;
            skipped -= content.len() as i64;
            format = Some(Format::parse(&content)?);
        }
        file.seek_relative(skipped)?;
    }
}

/// How much sound to read, of what the header claims and what is there up to the file's end.
fn data_bytes(claimed: u64, present: u64, is_riff_final: bool) -> Result<u64, Reason> {
    let is_unknown = claimed == 0 && !is_riff_final;
    if claimed <= present && !is_unknown {
        Ok(claimed)
    } else if claimed >= STREAMED_BYTES_MIN || is_unknown {
        Ok(present)
    } else {
        let found = format!("its header says {claimed} bytes of sound, {present} are there");
        Err(format!("it is truncated: {found}").into())
    }
}

/// How the samples of a file are stored, if it is supported.
struct Format {
    channels: u16,
    rate_hz: u32,
    sample: Sample,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sample {
    Int16,
    Int24,
    Int32,
    Float,
}

impl Format {
    /// The length of the extensible format, the longest that is of interest.
    const BYTES_MAX: u32 = 40;

    fn parse(chunk: &[u8]) -> Result<Self, Reason> {
        let field = |at| {
            chunk
                .get(at..at + 2)
                .map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
        };
        // The extensible format has its encoding in the first bytes of a GUID.
        let encoding = if field(0) == 0xFFFE {
            field(24)
        } else {
            field(0)
        };
        let (channels, bytes_per_moment, bits) = (field(2), field(12), field(14));
        let rate_hz = u32::from(field(4)) | u32::from(field(6)) << 16;
        let sample = match (encoding, bits) {
            (1, 16) => Some(Sample::Int16),
            (1, 24) => Some(Sample::Int24),
            (1, 32) => Some(Sample::Int32),
            (3, 32) => Some(Sample::Float),
            _ => None,
        };
        if let Some(sample) = sample {
            let format = Self {
                channels,
                rate_hz,
                sample,
            };
            if matches!(channels, 1 | 2)
                && RATES.contains(&rate_hz)
                && u64::from(bytes_per_moment) == format.bytes_per_moment()
            {
                return Ok(format);
            }
        }
        let encoding = match encoding {
            1 => "integer".to_owned(),
            3 => "float".to_owned(),
            6 => "A-law".to_owned(),
            7 => "mu-law".to_owned(),
            2 | 17 => "ADPCM".to_owned(),
            _ => format!("unknown (format {encoding})"),
        };
        let found = format!("{bits}-bit {encoding} samples, {channels} channels, {rate_hz} Hz");
        let found = format!("it holds {found}, {bytes_per_moment} bytes for all channels");
        let taken =
            "16-, 24- or 32-bit integer or 32-bit float, 1 or 2 channels, 8000 to 192000 Hz";
        Err(format!("{found}; supported are {taken}, packed").into())
    }

    /// The bytes of one sample of each channel.
    fn bytes_per_moment(&self) -> u64 {
        let bytes = match self.sample {
            Sample::Int16 => 2,
            Sample::Int24 => 3,
            Sample::Int32 | Sample::Float => 4,
        };
        u64::from(self.channels) * bytes
    }
}

fn read_bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
