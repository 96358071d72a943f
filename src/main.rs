//! The binary: reads the settings, starts the log, and runs a server until a signal stops it.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use voiceapp_server::cli::{self, Command, Start};
use voiceapp_server::{Server, ServerError};

/// The exit code for a setting that is not valid.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    match cli::parse(arguments, |name| std::env::var_os(name), cli::read_file) {
        Ok(Command::Help) => print(&cli::help()),
        Ok(Command::Version) => print(concat!("voiceapp-server ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::MakeSecret) => match cli::make_secret() {
            Some(secret) => print(&format!("{secret}\n")),
            None => fail(&"the system has no randomness"),
        },
        Ok(Command::Check(start)) => {
            if let Err(error) = start.check_secrecy() {
                complain(&error);
                return ExitCode::from(USAGE);
            }
            if let Some(warning) = start.warning() {
                complain(&warning);
            }
            let printed = print(&start.report());
            match start.config.check_files() {
                Ok(()) => printed,
                Err(error) => fail(&start.explain(&error)),
            }
        }
        Ok(Command::Invite(start, host)) => match start.config.invitation(&host) {
            Ok(Some(invitation)) => print(&format!("{invitation}\n")),
            Ok(None) => fail(
                &"connections are not encrypted, so that there is no key to know the server by",
            ),
            Err(error) => fail(&start.explain(&error)),
        },
        Ok(Command::Run(start)) => {
            if let Err(error) = start.check_secrecy() {
                complain(&error);
                return ExitCode::from(USAGE);
            }
            cli::start_log(start.config.log_level);
            let result = serve(&start);
            log::logger().flush();
            match result {
                Ok(()) => ExitCode::SUCCESS,
                // The log may be off, and this error must be seen.
                Err(error) => fail(&start.explain(&error)),
            }
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(USAGE)
        }
    }
}

/// Prints to standard output. A reader that has read enough may close the pipe, as head(1) does.
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

/// If nobody reads the message, the exit code still says it.
fn complain(reason: &dyn Display) {
    let _ = writeln!(io::stderr(), "voiceapp-server: {reason}");
}

fn serve(start: &Start) -> Result<(), ServerError> {
    for warning in [start.warning(), start.secret_warning()]
        .into_iter()
        .flatten()
    {
        log::warn!("{warning}");
    }
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut server = Server::bind(&start.config)?;
    #[cfg(unix)]
    server.handle_signals()?;
    #[cfg(target_os = "linux")]
    server.notify_service_manager();
    voiceapp_server::return_large_buffers();
    server.run()?;
    Ok(())
}
