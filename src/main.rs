//! The binary: reads the settings, starts the log, and runs a server until a signal ends it.

mod log_writer;

use log_writer::LogWriter;
use simplelog::{ConfigBuilder, WriteLogger};
use std::process::ExitCode;
use voiceapp_server::config::{self, Command, Config};
use voiceapp_server::{Server, ServerError};

/// The exit code for a setting that cannot be used.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    match config::parse(arguments, |name| std::env::var_os(name)) {
        Ok(Command::Help) => print!("{}", config::help()),
        Ok(Command::Version) => println!("voiceapp-server {}", env!("CARGO_PKG_VERSION")),
        Ok(Command::Check { config, report }) => {
            print!("{report}");
            if let Err(error) = config.read_bans() {
                eprintln!("voiceapp-server: {error}");
                return ExitCode::FAILURE;
            }
        }
        Ok(Command::Run(config)) => {
            start_log(&config);
            let result = serve(&config);
            log::logger().flush();
            if let Err(error) = result {
                // The log may be off, and this must be seen.
                eprintln!("voiceapp-server: {error}");
                return ExitCode::FAILURE;
            }
        }
        Err(error) => {
            eprintln!("voiceapp-server: {error}");
            return ExitCode::from(USAGE);
        }
    }
    ExitCode::SUCCESS
}

fn start_log(config: &Config) {
    let format = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_target_level(log::LevelFilter::Off)
        .set_thread_level(log::LevelFilter::Off)
        .add_filter_allow_str("voiceapp_server")
        .build();
    WriteLogger::init(config.log_level, format, LogWriter::start())
        .expect("nothing else has started a log");
}

fn serve(config: &Config) -> Result<(), ServerError> {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut server = Server::bind(config)?;
    #[cfg(unix)]
    server.handle_signals()?;
    #[cfg(target_os = "linux")]
    server.notify_service_manager();
    server.run()?;
    Ok(())
}
