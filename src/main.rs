//! The binary: reads the settings, starts the log, and runs a server until a signal ends it.

#[cfg(unix)]
mod log_level;
mod log_writer;

use log_writer::LogWriter;
use simplelog::{ConfigBuilder, WriteLogger};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use voiceapp_server::config::{self, Command, Config};
use voiceapp_server::{Server, ServerError};

/// The exit code for a setting that cannot be used.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    match config::parse(arguments, |name| std::env::var_os(name)) {
        Ok(Command::Help) => print(&config::help()),
        Ok(Command::Version) => print(concat!("voiceapp-server ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Check { config, report }) => {
            let printed = print(&report);
            match config.read_bans() {
                Ok(_) => printed,
                Err(error) => fail(&error),
            }
        }
        Ok(Command::Run(config)) => {
            start_log(&config);
            let result = serve(&config);
            log::logger().flush();
            match result {
                Ok(()) => ExitCode::SUCCESS,
                // The log may be off, and this must be seen.
                Err(error) => fail(&error),
            }
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(USAGE)
        }
    }
}

/// Prints what was asked for. Who has read enough of it may hang up, as head(1) does.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(&format!("cannot write to standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn fail(reason: &dyn Display) -> ExitCode {
    complain(reason);
    ExitCode::FAILURE
}

/// If nobody hears the complaint, the exit code still tells.
fn complain(reason: &dyn Display) {
    let _ = writeln!(io::stderr(), "voiceapp-server: {reason}");
}

fn start_log(config: &Config) {
    let format = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_target_level(log::LevelFilter::Off)
        .set_thread_level(log::LevelFilter::Off)
        .add_filter_allow_str("voiceapp_server")
        .build();
    // The logger would take all there is, and the level is the one that can be changed later.
    WriteLogger::init(log::LevelFilter::Trace, format, LogWriter::start())
        .expect("nothing else has started a log");
    log::set_max_level(config.log_level);
    #[cfg(unix)]
    log_level::step_on_signal(config.log_level);
}

fn serve(config: &Config) -> Result<(), ServerError> {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut server = Server::bind(config)?;
    #[cfg(unix)]
    server.handle_signals()?;
    #[cfg(target_os = "linux")]
    server.notify_service_manager();
    voiceapp_server::return_large_buffers();
    server.run()?;
    Ok(())
}
