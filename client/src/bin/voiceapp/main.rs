//! A voice and chat client for the terminal. What is typed goes to everyone, every event is a line,
//! and voice comes from and goes to WAV files and pipes.
//!
//! ```text
//! voiceapp --name alice [HOST[:PORT] | INVITATION]
//! voiceapp --name bob --speak hello.wav --record heard.wav
//! arecord -q -t raw -f S16_LE -r 48000 -c 1 | voiceapp --speak - --listen - | aplay -q -t raw -f S16_LE -r 48000 -c 1
//! printf '/join\n/tone 2\n' | voiceapp --name robot
//! ```
//!
//! Threads read (lines or sound from standard input, TCP, UDP), and the main thread owns everything
//! else.

mod app;
mod asking;
mod commands;
mod connection;
mod console;
#[cfg(unix)]
mod editing;
mod line;
#[cfg(test)]
mod manual;
mod options;
mod sinks;
mod sound;
#[cfg(unix)]
mod terminal;
mod variables;

use app::App;
use console::{Console, Use};
use options::{Options, Speak, USAGE};
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use voiceapp_client::link::{Arrival, ConnectError, Link};
use voiceapp_client::{FRAME_SAMPLES, Sound};

/// Elsewhere terminals edit lines themselves.
#[cfg(not(unix))]
mod terminal {
    use crate::console::Output;
    use crate::line::Line;
    use std::io;
    use std::time::Duration;

    pub enum Terminal {}

    impl Terminal {
        pub fn open(
            _: bool,
            _: Output,
            _: fn(&str) -> bool,
            _: impl Fn(Line) -> bool + Send + 'static,
        ) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub fn printer(&self) -> impl FnMut(String) -> io::Result<()> + Send + 'static {
            |_| Ok(())
        }

        pub fn ask(&self, _: &str, _: String) -> io::Result<()> {
            Ok(())
        }

        pub fn stop_asking(&self) -> io::Result<()> {
            Ok(())
        }

        pub fn close(&self, _: Duration) {}
    }
}

/// Inputs that may wait. Bounded, so that a slow main thread delays the network instead of filling
/// the memory.
const INBOX: usize = 1_024;
/// Live sound that may wait to be spoken, in frames: 100 ms, beside what a pipe holds.
const LIVE_MAX: usize = 5;

/// The inputs of the main thread.
enum Input {
    /// A line or sound has come through its own channel.
    Wake,
    /// From the connection with this number.
    Arrived(u64, Arrival),
    /// A connection takes long, with what is being done about it.
    Trying(u64, String),
    /// A connection was made, or failed.
    Connected(u64, Result<Link, ConnectError>),
    /// Standard input cannot be read as sound.
    SoundLost(io::Error),
    /// Standard output takes no more sound.
    ListenerLost(io::Error),
}

/// Why the client ends.
enum End {
    /// The user asked for it.
    Quit,
    /// Something here does not work, with the message to show.
    Failed(String),
    /// The server or the way to it is at fault.
    Troubled(Trouble, String),
}

enum Trouble {
    Unreachable,
    Refused,
    Untrusted,
}

fn main() -> ExitCode {
    let outcome = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => run(&options),
        Ok(None) => print(USAGE).map_err(End::Failed),
        Err(error) => {
            complain(&format!("{error} (--help shows the options)"));
            return ExitCode::from(2);
        }
    };
    let (code, message) = match outcome {
        Ok(()) | Err(End::Quit) => return ExitCode::SUCCESS,
        Err(End::Failed(message)) => (1, message),
        Err(End::Troubled(Trouble::Unreachable, message)) => (3, message),
        Err(End::Troubled(Trouble::Refused, message)) => (4, message),
        Err(End::Troubled(Trouble::Untrusted, message)) => (5, message),
    };
    complain(&message);
    ExitCode::from(code)
}

/// Prints to standard output. A reader that has read enough may close the pipe, as head(1) does.
fn print(text: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// If nobody reads the message, the exit code still says it.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "voiceapp: {message}");
}

fn run(options: &Options) -> Result<(), End> {
    let (inputs, inbox) = sync_channel(INBOX);
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(stop.clone(), waker(inputs.clone()))?;
    let usage = Use {
        is_json: options.is_json,
        input_is_sound: matches!(options.speak, Some(Speak::Input)),
        output_is_sound: options.listen,
        has_talk_key: options.push_to_talk,
    };
    let console = Console::open(usage, waker(inputs.clone()))?;
    if options.push_to_talk && !console.edits_lines() {
        let reason = "--push-to-talk needs a terminal for its key";
        return Err(End::Failed(reason.into()));
    }
    App::new(options, console, inputs, stop).run(&inbox)
}

/// A full inbox wakes by itself.
fn waker(inputs: SyncSender<Input>) -> impl Fn() + Send + Sync + 'static {
    move || {
        let _ = inputs.try_send(Input::Wake);
    }
}

#[cfg(unix)]
fn stop_on_signals(stop: Arc<AtomicBool>, wake: impl Fn() + Send + 'static) -> Result<(), End> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use std::sync::atomic::Ordering::Relaxed;
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])
        .map_err(|error| End::Failed(format!("cannot catch signals: {error}")))?;
    thread::spawn(move || {
        for signal in signals.forever() {
            // The second signal, where the first had no effect.
            if stop.swap(true, Relaxed) {
                terminal::restore();
                std::process::exit(128 + signal);
            }
            wake();
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn stop_on_signals(_: Arc<AtomicBool>, _: impl Fn()) -> Result<(), End> {
    Ok(())
}

/// Reads standard input as sound, and wakes the main thread for each frame of it.
fn read_sound(inputs: SyncSender<Input>) -> Receiver<Sound> {
    let (sender, sounds) = sync_channel(LIVE_MAX);
    let wake = waker(inputs.clone());
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        shorten_pipe(&stdin);
        loop {
            match next_sound(&mut stdin) {
                Ok(Some(sound)) if sender.send(sound).is_ok() => wake(),
                Ok(Some(_)) => return,
                Ok(None) => break,
                Err(error) => {
                    let _ = inputs.send(Input::SoundLost(error));
                    return;
                }
            }
        }
        drop(sender);
        wake();
    });
    sounds
}

/// A pipe holds 64 KiB by default, which would be 0.7 s of sound: 85 ms are enough.
#[cfg(target_os = "linux")]
fn shorten_pipe(pipe: impl std::os::fd::AsFd) {
    use nix::fcntl::{FcntlArg, fcntl};
    // Anything that is not a pipe has no such size.
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(8_192));
}

#[cfg(not(target_os = "linux"))]
fn shorten_pipe<T>(_: T) {}

/// Waits for the end of a thread, but not for long.
fn wait_for(thread: &JoinHandle<()>, at_most: Duration) {
    let deadline = Instant::now() + at_most;
    while !thread.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

/// The next frame of raw sound; the last is filled up with silence.
fn next_sound(input: &mut impl Read) -> io::Result<Option<Sound>> {
    let mut bytes = Vec::with_capacity(2 * FRAME_SAMPLES);
    input
        .take(2 * FRAME_SAMPLES as u64)
        .read_to_end(&mut bytes)?;
    if bytes.len() < 2 {
        return Ok(None);
    }
    let mut sound = [0.0; FRAME_SAMPLES];
    for (sample, bytes) in sound.iter_mut().zip(bytes.chunks_exact(2)) {
        *sample = f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0;
    }
    Ok(Some(sound))
}
