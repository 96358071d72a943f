//! What a person sees while the crowd works: one line on standard error that is written over, or where that is no
//! terminal a line a second at most.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

pub struct Progress {
    is_terminal: bool,
    next: Instant,
}

impl Progress {
    pub fn new() -> Self {
        Progress {
            is_terminal: stderr().is_terminal(),
            next: Instant::now(),
        }
    }

    /// Shows how far the work is. Nothing depends on anybody seeing it.
    pub fn show(&mut self, what: &str) {
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K{what}");
        } else if self.next <= Instant::now() {
            self.next = Instant::now() + Duration::from_secs(1);
            let _ = writeln!(stderr(), "{what}");
        }
    }

    /// Makes room for the report.
    pub fn clear(&mut self) {
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
