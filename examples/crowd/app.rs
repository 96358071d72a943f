//! Where each of the processes begins, and how the parent ends: the report on standard output, trouble on standard
//! error, and an exit code that says which it was.

use super::help::HELP;
use super::options::{Options, Role};
use super::plot;
use super::progress::Progress;
use super::report;
use super::run::{self, Outcome};
use super::storm;
use super::worker::{self, Share};
use std::io::{self, Write};
use std::process::ExitCode;

pub fn main() -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => return exit(say(HELP)),
        Err(error) => {
            complain(&format!("{error} (--help shows the options)"));
            return ExitCode::from(2);
        }
    };
    match options.role {
        Role::Parent => direct(&options),
        Role::Worker {
            first,
            count,
            in_flight,
            floor_port,
        } => {
            let share = Share {
                first,
                count,
                in_flight,
                floor_port,
            };
            // What went wrong is told to the parent, which tells the user.
            exit(worker::run(&options, &share).is_ok())
        }
        Role::Storm(storm) => {
            storm::run(&options, storm);
            ExitCode::SUCCESS
        }
    }
}

fn direct(options: &Options) -> ExitCode {
    let mut progress = Progress::new();
    let outcome = run::run(options, &mut progress);
    progress.clear();
    match outcome.and_then(|outcome| tell(options, &outcome)) {
        Ok(is_right) => exit(is_right),
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Reports, and returns whether there was nothing that must not be.
fn tell(options: &Options, outcome: &Outcome) -> Result<bool, String> {
    if let Some(path) = &options.plot {
        let lines: Vec<plot::Line> = outcome
            .contenders
            .iter()
            .map(|(contender, rounds)| plot::Line {
                name: contender.name(),
                latency: report::latency(rounds),
            })
            .collect();
        std::fs::write(path, plot::svg(&report::title(options), &lines))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let report = if options.json {
        report::json(options, outcome)
    } else {
        report::text(options, outcome)
    };
    let errors = report::errors(outcome);
    for error in errors.iter().filter(|_| options.json) {
        complain(error);
    }
    Ok(say(report.trim_end()) && errors.is_empty())
}

fn say(text: &str) -> bool {
    writeln!(io::stdout(), "{text}").is_ok()
}

/// If nobody hears the complaint, the exit code still tells.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "crowd: {message}");
}

fn exit(is_right: bool) -> ExitCode {
    if is_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
