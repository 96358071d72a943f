//! Files of a test's own, and the sound that tests put into them.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file of this test's own, which is removed afterwards.
pub struct TempFile(
    /// Where it is, once it was written.
    pub PathBuf,
);

impl TempFile {
    /// A name that no other test has.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("voiceapp-test-{}-{count}.wav", std::process::id());
        TempFile(std::env::temp_dir().join(name))
    }

    /// A tone in stereo at 44.1 kHz, so that it has to be mixed and resampled.
    pub fn tone(frequency: f64, amplitude: f64, seconds: f64) -> Self {
        let file = TempFile::new();
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&file.0, spec).expect("it is a folder for that");
        for place in 0..(seconds * 44_100.0) as u32 {
            let phase = f64::from(place) * frequency / 44_100.0 * std::f64::consts::TAU;
            for _ in 0..2 {
                let sample = (amplitude * phase.sin() * 32_767.0).round() as i16;
                writer.write_sample(sample).expect("there is room");
            }
        }
        writer.finalize().expect("there is room");
        file
    }

    /// All samples of a recording, which must be of the kind that clients write.
    pub fn samples(&self) -> Vec<f32> {
        let mut reader = hound::WavReader::open(&self.0).expect("it was written");
        let spec = reader.spec();
        let kind = (spec.channels, spec.sample_rate, spec.bits_per_sample);
        assert_eq!(kind, (1, 48_000, 16));
        let samples = reader.samples::<i16>();
        samples
            .map(|it| f32::from(it.expect("it is whole")) / 32_767.0)
            .collect()
    }
}

impl Default for TempFile {
    fn default() -> Self {
        TempFile::new()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
