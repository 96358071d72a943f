//! The example clients: what they share piece by piece, three of them with a server in virtual time,
//! and the programs themselves.

#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "only its own tests run here")]
#[path = "../../examples/crowd/mod.rs"]
mod crowd_pieces;
#[allow(dead_code, reason = "only its own tests run here")]
#[path = "../../examples/client/editing/mod.rs"]
mod editing;
#[allow(dead_code, reason = "as above")]
#[path = "../../examples/client/line.rs"]
mod line;
mod measure;
#[allow(dead_code, reason = "as above")]
#[path = "../../examples/client/options.rs"]
mod options;
mod outages;
mod programs;
mod proxy;
mod story;
#[path = "../../examples/talk/mod.rs"]
mod talk;
#[cfg(unix)]
mod terminal;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use voiceapp_server::{Config, Limits, Server, ServerHandle};

/// How long anything may take before a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a thread of its own, on ports that the system chose.
struct Running {
    tcp_port: u16,
    udp_port: u16,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Running {
        // Virtual time is faster than that of the server.
        Running::start_with(Limits {
            voice_rate: 0,
            voice_bandwidth: 0,
            voice_rate_per_address: 0,
            voice_bandwidth_per_address: 0,
            ..Limits::default()
        })
    }

    fn start_with(limits: Limits) -> Running {
        let server = Server::bind(&Config {
            management_port: 0,
            voice_relay_port: 0,
            bind_address: Some([127, 0, 0, 1].into()),
            limits,
            ..Config::default()
        })
        .expect("the system has free ports");
        Running {
            tcp_port: server.management_address().port(),
            udp_port: server.voice_relay_address().port(),
            handle: server.handle(),
            thread: Some(std::thread::spawn(|| {
                server.run().expect("it runs to its end");
            })),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// A file of this test's own, which is gone afterwards.
struct TempFile(PathBuf);

impl TempFile {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("voiceapp-clients-{}-{count}.wav", std::process::id());
        TempFile(std::env::temp_dir().join(name))
    }

    /// A tone in stereo at 44.1 kHz, so that it has to be mixed and resampled.
    fn tone(frequency: f64, amplitude: f64, seconds: f64) -> Self {
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
    fn samples(&self) -> Vec<f32> {
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

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
