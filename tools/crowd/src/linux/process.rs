//! What the kernel says of a process: the CPU time that it has had, and its memory.
//!
//! The files of proc(5) are read, and nothing is asked of the process.

use std::fs;

/// The CPU time that a process has had so far, all its threads together and with the kernel's work on its behalf. It is
/// exact while they sleep, and up to a timer tick old while they run.
pub fn cpu_ns(pid: u32) -> Result<u64, String> {
    let failed = |error| format!("cannot read the CPU time of process {pid}: {error}");
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(failed)? {
        let path = task.map_err(failed)?.path().join("schedstat");
        // A thread that ends meanwhile takes its figure with it.
        let Ok(text) = fs::read_to_string(path) else {
            continue;
        };
        let first = text.split(' ').next().and_then(|it| it.parse::<u64>().ok());
        sum += first.unwrap_or(0);
    }
    Ok(sum)
}

/// The memory that a process has for itself, in bytes: what it has allocated and touched, without
/// the files that it is made of.
pub fn memory(pid: u32) -> Result<u64, String> {
    let failed = |why: &str| format!("cannot read the memory of process {pid}: {why}");
    let text = fs::read_to_string(format!("/proc/{pid}/status"));
    let text = text.map_err(|error| failed(&error.to_string()))?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let field = fields.find(|(name, _)| *name == "RssAnon");
    let kib = field.and_then(|(_, value)| value.trim().strip_suffix(" kB"));
    let kib: Option<u64> = kib.and_then(|kib| kib.parse().ok());
    kib.map(|kib| kib * 1_024)
        .ok_or_else(|| failed("the kernel does not say"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::process::id;

    #[test]
    fn what_a_process_allocates_and_touches_counts() {
        let before = memory(id()).expect("it runs");
        let bytes = black_box(vec![1u8; 64 << 20]);
        let after = memory(id()).expect("it runs");
        // Other tests may give some back meanwhile.
        assert!(
            after > before + (bytes.len() as u64) / 2,
            "{before} to {after}"
        );
        assert!(cpu_ns(id()).expect("it runs") > 0);
        assert!(memory(u32::MAX).is_err());
    }
}
