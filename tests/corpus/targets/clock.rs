//! Time as an input has it: monotonic time in steps from nothing to days, and a wall clock that can
//! be set.

use super::input::Input;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use voiceapp_server::event::Now;

/// Where time starts. It cannot be made out of nothing, and nothing depends on when it is.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

const STEPS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::from_millis(20),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(24 * 3_600),
];

pub fn start() -> Now {
    Now {
        instant: *START,
        unix_ms: 1_000_000,
    }
}

pub fn advance(now: &mut Now, duration: Duration) {
    now.instant += duration;
    now.unix_ms += duration.as_millis() as u64;
}

/// A time step: one of a table, up to 32 times.
pub fn step(input: &mut Input<'_>) -> Duration {
    let byte = input.u8();
    STEPS[usize::from(byte % 8)] * u32::from(1 + byte / 8)
}

/// The wall clock is set, within some thousand years.
pub fn set_wall(now: &mut Now, input: &mut Input<'_>) {
    now.unix_ms = input.u64() >> 16;
}
