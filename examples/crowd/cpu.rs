//! How much CPU time a process or a thread has had, from `/proc/…/schedstat`: in nanoseconds, and with the kernel's work on
//! its behalf, which for a relay is nearly all of it.

use std::fs;
use std::path::{Path, PathBuf};

/// Something that uses CPU time.
#[derive(Clone, Debug)]
pub enum Meter {
    /// All threads of a process.
    Process(u32),
    /// One thread, as a directory of `/proc`.
    Thread(PathBuf),
}

impl Meter {
    /// CPU time so far. It is exact while the thread sleeps, and up to a timer tick old while it runs.
    pub fn read_ns(&self) -> Result<u64, String> {
        match self {
            Meter::Thread(path) => read(path),
            Meter::Process(pid) => {
                let tasks = format!("/proc/{pid}/task");
                let failed = |error| format!("cannot read the CPU time of process {pid}: {error}");
                let mut sum = 0;
                for task in fs::read_dir(tasks).map_err(failed)? {
                    // A thread that ends meanwhile takes its figure with it.
                    sum += read(&task.map_err(failed)?.path()).unwrap_or(0);
                }
                Ok(sum)
            }
        }
    }
}

fn read(directory: &Path) -> Result<u64, String> {
    let path = directory.join("schedstat");
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let first = text.split(' ').next().and_then(|it| it.parse().ok());
    first.ok_or_else(|| format!("{} holds no time", path.display()))
}
