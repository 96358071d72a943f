//! WAV files read and written: sound of any rate and kind as it comes out, and in modules of their own the headers
//! of good and bad files, and recordings.

use super::*;
use std::f64::consts::TAU;
use std::sync::atomic::{AtomicUsize, Ordering};

mod headers;
mod recordings;

/// A path of its own in the temporary directory, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wav-test-{}-{count}.wav", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn holding(bytes: &[u8]) -> Self {
        let scratch = Self::new();
        fs::write(&scratch.0, bytes).unwrap();
        scratch
    }

    fn open(&self) -> Result<WavFile, WavError> {
        WavFile::open(&self.0)
    }

    fn error(&self) -> String {
        self.open().map(|_| ()).unwrap_err().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn read_all(file: &mut WavFile) -> Vec<f32> {
    let mut all = Vec::new();
    while let Some(sound) = file.next_frame().unwrap() {
        all.extend(sound);
    }
    all
}

/// Has hound write what `sample` gives for each index and channel.
fn write_hound(path: &Path, spec: WavSpec, length: u32, sample: impl Fn(u32, u16) -> f32) {
    let mut writer = WavWriter::create(path, spec).unwrap();
    for index in 0..length {
        for channel in 0..spec.channels {
            let value = sample(index, channel);
            match (spec.sample_format, spec.bits_per_sample) {
                (SampleFormat::Float, _) => writer.write_sample(value).unwrap(),
                (SampleFormat::Int, bits) => {
                    let scale = 2_f32.powi(i32::from(bits) - 1) - 1.0;
                    writer.write_sample((value * scale).round() as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
}

fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16, is_float: bool) -> WavSpec {
    let sample_format = if is_float {
        SampleFormat::Float
    } else {
        SampleFormat::Int
    };
    WavSpec {
        channels,
        sample_rate,
        bits_per_sample,
        sample_format,
    }
}

fn chunk(name: &[u8; 4], length: u32, content: &[u8]) -> Vec<u8> {
    [&name[..], &length.to_le_bytes(), content].concat()
}

fn format_chunk(encoding: u16, channels: u16, rate_hz: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut content = Vec::new();
    content.extend(encoding.to_le_bytes());
    content.extend(channels.to_le_bytes());
    content.extend(rate_hz.to_le_bytes());
    content.extend((rate_hz * u32::from(block)).to_le_bytes());
    content.extend(block.to_le_bytes());
    content.extend(bits.to_le_bytes());
    content
}

/// A file of `chunks`, with the length that a RIFF header should have.
fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    [
        b"RIFF",
        &(body.len() as u32 + 4).to_le_bytes()[..],
        b"WAVE",
        &body,
    ]
    .concat()
}

/// A 48 kHz mono 16-bit file of `data`, whose header claims `data_len` bytes.
fn plain(data_len: u32, data: &[u8]) -> Vec<u8> {
    riff(&[
        chunk(b"fmt ", 16, &format_chunk(1, 1, 48_000, 16)),
        chunk(b"data", data_len, data),
    ])
}

/// The tone of the tests: 1 kHz of amplitude 0.5, from phase 0 at time 0 on.
fn tone(index: f64, rate_hz: f64) -> f64 {
    0.5 * (TAU * 1000.0 * index / rate_hz).sin()
}

/// The amplitude of a tone in `sound` and by how many samples it comes late.
fn measure(sound: &[f32], first_index: usize, hz: f64) -> (f64, f64) {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (index, &sample) in sound.iter().enumerate() {
        let phase = TAU * hz * (first_index + index) as f64 / 48_000.0;
        sine += f64::from(sample) * phase.sin();
        cosine += f64::from(sample) * phase.cos();
    }
    let late = (-cosine).atan2(sine) / TAU * 48_000.0 / hz;
    (2.0 * sine.hypot(cosine) / sound.len() as f64, late)
}

fn check_tone(rate_hz: u32, channels: u16, bits: u16, is_float: bool) {
    let case = format!("{rate_hz} Hz, {channels} channels, {bits} bits, float {is_float}");
    let scratch = Scratch::new();
    let length = rate_hz * 2 / 5 + rate_hz / 77;
    // The two channels differ, so that only their mean has the right level.
    write_hound(
        &scratch.0,
        spec(channels, rate_hz, bits, is_float),
        length,
        |index, channel| {
            let gain = if channels == 1 {
                1.0
            } else {
                [1.6, 0.4][usize::from(channel)]
            };
            gain * tone(f64::from(index), f64::from(rate_hz)) as f32
        },
    );
    let mut file = scratch.open().unwrap();
    let seconds = f64::from(length) / f64::from(rate_hz);
    assert!(
        (file.duration().as_secs_f64() - seconds).abs() < 1e-6,
        "{case}"
    );

    let sound = read_all(&mut file);
    let expected = (seconds * 48_000.0).round() as usize;
    assert_eq!(
        sound.len(),
        expected.div_ceil(FRAME_SAMPLES) * FRAME_SAMPLES,
        "{case}"
    );
    let end = sound.iter().rposition(|&sample| sample != 0.0).unwrap() + 1;
    assert!(
        end.abs_diff(expected) <= 2,
        "{case}: {end} samples instead of {expected}"
    );

    // A whole number of periods, so that the measures are exact.
    let (level, late) = measure(&sound[4800..14_400], 4800, 1000.0);
    assert!(
        (20.0 * (level / 0.5).log10()).abs() < 0.1,
        "{case}: level {level}"
    );
    assert!(late.abs() < 1.0, "{case}: {late} samples late");
    // Neighbouring frequencies hold nothing, so that the tone is neither bent nor broken.
    for hz in [900.0, 1100.0, 2000.0, 7000.0] {
        let (level, _) = measure(&sound[4800..14_400], 4800, hz);
        assert!(level < 1e-4, "{case}: {level} at {hz} Hz");
    }
    // The measures are blind to whole periods; the edges, less a bit of ringing, are not.
    let edge = 48_000_usize.div_ceil(rate_hz as usize) * 4;
    for index in (edge..480).chain(end - 480..end - edge) {
        let wrong = f64::from(sound[index]) - tone(index as f64, 48_000.0);
        assert!(
            wrong.abs() < 0.05,
            "{case}: sample {index} of {end} is off by {wrong}"
        );
    }
}

#[test]
fn tones_keep_frequency_level_length_and_start() {
    for rate_hz in [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000] {
        for channels in [1, 2] {
            for (bits, is_float) in [(16, false), (32, true)] {
                check_tone(rate_hz, channels, bits, is_float);
            }
        }
    }
    for rate_hz in [8001, 12_347, 47_999, 48_001, 88_200, 191_999, 192_000] {
        check_tone(rate_hz, 1, 16, false);
    }
    for bits in [24, 32] {
        check_tone(48_000, 2, bits, false);
        check_tone(44_100, 1, bits, false);
    }
}

#[test]
fn only_what_48_khz_can_hold_passes() {
    let cases = [
        (44_100, 18_000.0, 18_000.0, 0.5),
        (96_000, 20_000.0, 20_000.0, 0.5),
        (192_000, 22_000.0, 22_000.0, 0.5),
        (96_000, 26_000.0, 22_000.0, 0.0),
        (192_000, 26_000.0, 22_000.0, 0.0),
        (192_000, 90_000.0, 6_000.0, 0.0),
    ];
    for (rate_hz, hz, found_hz, expected) in cases {
        let scratch = Scratch::new();
        write_hound(
            &scratch.0,
            spec(1, rate_hz, 32, true),
            rate_hz / 4,
            |index, _| (0.5 * (TAU * hz * f64::from(index) / f64::from(rate_hz)).sin()) as f32,
        );
        let sound = read_all(&mut scratch.open().unwrap());
        let (level, _) = measure(&sound[2400..7200], 2400, found_hz);
        assert!(
            (level - expected).abs() < 0.005,
            "{hz} Hz at {rate_hz} Hz: {level}"
        );
    }
}

#[test]
fn short_sounds_have_their_length() {
    for rate_hz in [8000, 44_100, 48_000, 192_000] {
        for length in [
            1, 2, 159, 160, 161, 881, 882, 883, 959, 960, 961, 1920, 3840, 3841,
        ] {
            let scratch = Scratch::new();
            write_hound(&scratch.0, spec(1, rate_hz, 16, false), length, |_, _| 0.25);
            let frames = read_all(&mut scratch.open().unwrap()).len() / FRAME_SAMPLES;
            let expected = (u64::from(length) * 50).div_ceil(u64::from(rate_hz));
            assert_eq!(frames as u64, expected, "{length} samples at {rate_hz} Hz");
        }
    }
}

#[test]
fn floats_come_out_finite_and_within_full_scale() {
    let values = [
        f32::NAN,
        f32::INFINITY,
        -f32::INFINITY,
        2.0,
        -3.0,
        f32::MAX,
        0.5,
        -0.0,
    ];
    let expected = [0.0, 0.0, 0.0, 1.0, -1.0, 1.0, 0.5, 0.0];
    for channels in [1, 2] {
        let scratch = Scratch::new();
        let spec = spec(channels, 48_000, 32, true);
        write_hound(&scratch.0, spec, 8, |index, _| values[index as usize]);
        assert_eq!(read_all(&mut scratch.open().unwrap())[..8], expected);
    }
    for rate_hz in [44_100, 96_000] {
        let scratch = Scratch::new();
        let value = |index, _| values[index as usize % values.len()];
        write_hound(&scratch.0, spec(2, rate_hz, 32, true), rate_hz / 10, value);
        let sound = read_all(&mut scratch.open().unwrap());
        assert!(
            sound.iter().all(|sample| sample.abs() <= 1.0),
            "{rate_hz} Hz"
        );
    }
}

#[test]
fn one_bad_float_does_not_spread() {
    let scratch = Scratch::new();
    write_hound(&scratch.0, spec(1, 44_100, 32, true), 44_100, |index, _| {
        if index == 20_000 {
            f32::NAN
        } else {
            tone(f64::from(index), 44_100.0) as f32
        }
    });
    let sound = read_all(&mut scratch.open().unwrap());
    let wrong =
        |index: &usize| (f64::from(sound[*index]) - tone(*index as f64, 48_000.0)).abs() > 0.05;
    let count = (480..47_500).filter(wrong).count();
    assert!(count <= 24, "{count} samples are wrong");
}
