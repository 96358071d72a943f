//! What the settings for bare metal ask of the thread that the loop runs on.

use super::ServerError;
use crate::config::Config;
use crate::system;

/// What the settings ask of the thread that the loop runs on.
pub(super) struct ThreadOptions {
    /// Never sleep.
    pub(super) busy_poll: bool,
    cpu: Option<usize>,
    realtime_priority: u8,
    lock_memory: bool,
}

impl ThreadOptions {
    pub(super) fn of(config: &Config) -> Self {
        ThreadOptions {
            busy_poll: config.busy_poll,
            cpu: config.pin_to_cpu,
            realtime_priority: config.realtime_priority,
            lock_memory: config.lock_memory,
        }
    }

    /// Asks the system for all of it, for the calling thread.
    pub(super) fn apply(&self) -> Result<(), ServerError> {
        if let Some(cpu) = self.cpu {
            system::pin_to_cpu(cpu).map_err(|source| {
                let doing = format!("run on CPU {cpu}, which must be there and allowed");
                ServerError::refused(doing, "pin_to_cpu", source)
            })?;
        }
        if self.realtime_priority > 0 {
            system::set_realtime_priority(self.realtime_priority).map_err(|source| {
                let priority = self.realtime_priority;
                let doing = format!(
                    "take real-time priority {priority}, which needs CAP_SYS_NICE or an \
                     RLIMIT_RTPRIO of {priority} by ulimit -r"
                );
                ServerError::refused(doing, "realtime_priority", source)
            })?;
        }
        if self.lock_memory {
            system::lock_memory().map_err(|source| {
                let doing = "lock memory, which needs CAP_IPC_LOCK or an RLIMIT_MEMLOCK as large \
                             as the process by ulimit -l";
                ServerError::refused(doing, "lock_memory", source)
            })?;
        }
        Ok(())
    }
}
