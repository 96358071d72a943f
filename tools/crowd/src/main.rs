//! A load generator: puts a crowd of users on a running server, and reports what arrived, how late,
//! and at what price for each delivered datagram, on request beside the kernel's own price.
//!
//! ```text
//! cargo run --release -p voiceapp-crowd -- --users 100 --speakers 10 --pid $(pidof voiceapp-server) --floor
//! ```
//!
//! The parent process directs and measures; workers, processes of the same program, are the users;
//! a storm is a process of its own. It is for Linux, whose time stamps, drop counters and CPU
//! clocks it reads.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::app::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    let why = "only Linux has the time stamps and counters that this tool reads";
    let _ = writeln!(std::io::stderr(), "crowd: {why}");
    std::process::ExitCode::FAILURE
}
