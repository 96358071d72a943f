//! A bad wire: a switch between TAP devices that loses, delays, reorders and duplicates the frames
//! it carries. `tests/network/run` uses it where the kernel has no `netem`. Linux only.
//!
//! ```text
//! wire --seed 1 --loss 5 --delay 20 --jitter 15 --duplicate 2 PORT...
//! ```
//!
//! It creates a TAP device for every port and says `ready`; its caller moves the devices into their
//! namespaces. Loss and duplicates are percent of the frames, the delay is milliseconds give or
//! take the jitter, so that frames overtake each other. The line `end` on standard input ends it
//! with its counts, and the devices go with it.

#[cfg(target_os = "linux")]
mod switch;
#[cfg(target_os = "linux")]
mod tap;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match tap::run(lexopt::Parser::from_env()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wire: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("wire: TAP devices are opened as on Linux, which this is not");
    std::process::ExitCode::FAILURE
}
