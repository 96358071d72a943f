//! The level of the log, which can change without a restart: SIGUSR2 steps to a more talkative
//! level, and the next SIGUSR2 steps back.

use log::{LevelFilter, info, warn};
use signal_hook::consts::SIGUSR2;
use signal_hook::iterator::Signals;
use std::thread;
use std::time::Duration;

/// Signals within this time count as one, so that they cannot fill the log.
const STEP_INTERVAL: Duration = Duration::from_secs(1);

/// Steps on each signal.
pub(super) fn step_on_signal(set: LevelFilter) {
    let mut signals = match Signals::new([SIGUSR2]) {
        Ok(signals) => signals,
        Err(error) => return warn!("cannot change the log level on SIGUSR2: {error}"),
    };
    thread::spawn(move || {
        for _ in signals.forever() {
            step(set);
            thread::sleep(STEP_INTERVAL);
        }
    });
}

fn step(set: LevelFilter) {
    let old = log::max_level();
    let new = if old == set { other_than(set) } else { set };
    // At one of the two levels the line is visible.
    log::set_max_level(new.max(old));
    info!("log level {new} from now on, and by the next SIGUSR2 {old}");
    log::set_max_level(new);
}

/// Debug is the most talkative level. A server that starts with it steps to a quieter one.
fn other_than(set: LevelFilter) -> LevelFilter {
    if set < LevelFilter::Debug {
        LevelFilter::Debug
    } else {
        LevelFilter::Info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_steps_to_more_and_back() {
        use LevelFilter::{Debug, Info, Off, Trace};
        for (set, other) in [(Off, Debug), (Info, Debug), (Debug, Info), (Trace, Info)] {
            log::set_max_level(set);
            step(set);
            assert_eq!(log::max_level(), other);
            step(set);
            assert_eq!(log::max_level(), set);
        }
    }
}
