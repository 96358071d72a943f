//! What all threads of a storm share: the server's addresses, whether it goes on, and the counts of
//! what was done, which the storm reports when it is over.

use super::options::Options;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What all gusts of a storm share: the server's address, and the counts of what was done to it.
pub struct Field {
    pub server: SocketAddr,
    pub voice: SocketAddr,
    pub is_over: AtomicBool,
    pub messages: AtomicU64,
    pub refused: AtomicU64,
    pub logins: AtomicU64,
    pub slow_readers: AtomicU64,
    pub half_open: AtomicU64,
    pub junk: AtomicU64,
    pub flooded: AtomicU64,
    pub handshakes: AtomicU64,
    failures: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Field {
    pub fn new(options: &Options) -> Self {
        Field {
            server: options.server,
            voice: SocketAddr::new(options.server.ip(), options.voice_port),
            is_over: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            slow_readers: AtomicU64::new(0),
            half_open: AtomicU64::new(0),
            junk: AtomicU64::new(0),
            flooded: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            first_failure: Mutex::new(None),
        }
    }

    /// What was done so far, for people.
    pub fn told(&self, elapsed: Duration) -> String {
        let counters = [
            ("chat messages", &self.messages),
            ("refused messages", &self.refused),
            ("logins", &self.logins),
            ("readers that didn't read", &self.slow_readers),
            ("half-open connections", &self.half_open),
            ("junk datagrams", &self.junk),
            ("datagrams of voice", &self.flooded),
            ("handshakes", &self.handshakes),
            ("failures", &self.failures),
        ];
        let mut told = Vec::new();
        for (name, counter) in counters {
            match counter.load(Ordering::Relaxed) {
                0 => {}
                count => told.push(format!("{count} {name}")),
            }
        }
        let failure = self.first_failure.lock().ok().and_then(|it| it.clone());
        let failure = failure.map_or(String::new(), |it| format!(" (the first: {it})"));
        format!(
            "{}{failure} in {:.1} s",
            told.join(", "),
            elapsed.as_secs_f64()
        )
    }

    pub fn note_failure(&self, error: &io::Error) {
        count(&self.failures);
        if let Ok(mut first) = self.first_failure.lock() {
            first.get_or_insert_with(|| error.to_string());
        }
    }

    pub fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
