//! Log lines that clients can cause: at most one of a kind in a second. It says how many were left
//! out since the last.

use std::fmt;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);

/// The lines of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogThrottle {
    next: Option<Instant>,
    left_out: u64,
}

/// How many lines were left out: shown at the end of the next, if there were any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut(u64);

impl LogThrottle {
    /// Whether a line may be written now. If not, it is counted as left out.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<LeftOut> {
        if self.next.is_some_and(|next| now < next) {
            self.left_out += 1;
            return None;
        }
        self.next = Some(now + INTERVAL);
        Some(LeftOut(std::mem::take(&mut self.left_out)))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} more like this before)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_passes_and_tells_of_the_others() {
        let (start, mut throttle) = (Instant::now(), LogThrottle::default());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(throttle.pass(at(0)), Some(LeftOut(0)));
        assert_eq!(throttle.pass(at(1)), None);
        assert_eq!(throttle.pass(at(999)), None);
        assert_eq!(throttle.pass(at(1_000)), Some(LeftOut(2)));
        assert_eq!(throttle.pass(at(5_000)), Some(LeftOut(0)));
        assert_eq!(LeftOut(2).to_string(), " (2 more like this before)");
        assert_eq!(LeftOut(0).to_string(), "");
    }
}
