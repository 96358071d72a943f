//! Trouble on the side, from a process of its own: the parent starts it before a round and ends it
//! afterwards by closing the pipe, and it reports what it did.
//!
//! Each kind is a few threads that block, at rates with a ceiling: enough to hurt a server that
//! lets one client make another wait, and not so much that the processors themselves run out.
//! `--help` has the rates.

use super::field::Field;
use super::gusts::shake_hands;
use super::gusts::{chat, flood_with_voice, half_open, junk, log_in_and_out, read_slowly};
use super::options::{Options, Role, Storm};
use super::sys;
use super::team::{Helper, answer, read_line};
use std::io::{self, BufReader};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Users who chat in a storm of chat, and in one of readers that don't read.
const TALKERS: usize = 8;
const TALKERS_TO_SLOW_READERS: usize = 4;
const SLOW_READERS: usize = 50;
const LOGIN_THREADS: usize = 8;
/// Half of the pending connections that a server of ours allows, so that others still get in.
const HALF_OPEN: usize = 512;
/// Users of one address who flood with voice, and how often each sends.
const FLOODERS: usize = 250;
const FLOOD_PER_SECOND: f64 = 100.0;
/// Handshakes a second, and on how many connections at a time.
const HANDSHAKES_PER_SECOND: f64 = 300.0;
const HANDSHAKE_THREADS: usize = 8;
const JUNK_SOCKETS: usize = 64;
const JUNK_PER_SECOND: f64 = 20_000.0;
/// Before measuring begins, so that the storm is a storm by then.
const GATHERING: Duration = Duration::from_millis(300);

/// A storm process, for the parent.
pub struct Weather {
    helper: Helper,
    output: BufReader<ChildStdout>,
}

impl Weather {
    pub fn begin(storm: Storm) -> Result<Self, String> {
        let (helper, mut output) = Helper::start(Role::Storm(storm))?;
        let line = read_line(&mut output);
        if line != "raging" {
            return Err(format!("the storm has failed: {line}"));
        }
        thread::sleep(GATHERING);
        Ok(Weather { helper, output })
    }

    /// Ends it, and returns what it did.
    pub fn end(mut self) -> String {
        self.helper.close();
        read_line(&mut self.output)
    }
}

/// A rate of broadcasts to many users, bounded to so many deliveries a second.
fn bounded(rate: f64, deliveries: f64, users: usize) -> f64 {
    rate.min(deliveries / users as f64)
}

/// The storm process: runs until its input ends.
pub fn run(options: &Options, storm: Storm) {
    sys::set_patient(true); // and with it, every thread that it starts
    let field = Arc::new(Field::new(options));
    let is = |kind| storm == kind || storm == Storm::All;
    if is(Storm::Chat) {
        let rate = bounded(400.0, 100_000.0, options.users) / TALKERS as f64;
        spawn(TALKERS, &field, move |field, _| chat(field, rate, 60));
    }
    if is(Storm::Logins) {
        let rate = bounded(200.0, 50_000.0, options.users) / LOGIN_THREADS as f64;
        spawn(LOGIN_THREADS, &field, move |field, _| {
            log_in_and_out(field, rate)
        });
    }
    if is(Storm::SlowReaders) {
        let rate = bounded(200.0, 50_000.0, options.users) / TALKERS_TO_SLOW_READERS as f64;
        spawn(TALKERS_TO_SLOW_READERS, &field, move |field, _| {
            chat(field, rate, 1_000)
        });
        spawn(1, &field, |field, _| read_slowly(field, SLOW_READERS));
    }
    if is(Storm::HalfOpen) {
        spawn(1, &field, |field, _| half_open(field, HALF_OPEN));
    }
    // Not a part of all: it is as much as all the others.
    if storm == Storm::Voice {
        spawn(1, &field, |field, _| {
            flood_with_voice(field, FLOODERS, FLOOD_PER_SECOND)
        });
    }
    // Nor is this: not every server has TLS.
    if storm == Storm::Tls {
        let rate = HANDSHAKES_PER_SECOND / HANDSHAKE_THREADS as f64;
        spawn(HANDSHAKE_THREADS, &field, move |field, _| {
            shake_hands(field, rate)
        });
    }
    if is(Storm::Junk) {
        spawn(1, &field, |field, _| {
            junk(field, JUNK_SOCKETS, JUNK_PER_SECOND)
        });
    }
    answer("raging");
    let begun = Instant::now();
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    field.is_over.store(true, Ordering::Relaxed);
    answer(field.told(begun.elapsed()));
}

/// Starts threads that are not joined: the end of the process ends them.
fn spawn(
    count: usize,
    field: &Arc<Field>,
    gust: impl Fn(&Field, usize) -> io::Result<()> + Clone + Send + 'static,
) {
    for number in 0..count {
        let (field, gust) = (Arc::clone(field), gust.clone());
        thread::spawn(move || {
            // A gust that fails has met a server that closed its connection, which is one of the
            // things that it is there to find. It starts again.
            while !field.is_over.load(Ordering::Relaxed) {
                if let Err(error) = gust(&field, number) {
                    field.note_failure(&error);
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn many_users_make_a_broadcast_rare() {
        assert_eq!(bounded(400.0, 100_000.0, 100), 400.0);
        assert_eq!(bounded(400.0, 100_000.0, 10_000), 10.0);
    }
}
