//! Where each of the processes begins, and how the parent ends: the report on standard output,
//! errors on standard error, and an exit code that tells them apart.

use super::figures::errors;
use super::floor;
use super::options::{Options, Role};
use super::page::Page;
use super::plot;
use super::progress::Progress;
use super::report;
use super::run::{self, Outcome};
use super::storm;
use super::sys;
use super::worker::{self, Share};
use std::io::{self, Write};
use std::process::ExitCode;

const HELP: &str = "\
Usage: crowd [OPTIONS]

Puts a crowd of users on a running server, lets some of them speak, and reports what arrived, how late, and
at what price. Linux only. Start the server so that it lets a crowd in and takes more than a person would say:

  voiceapp-server --max-users 20000 --max-connections-per-address 0 --max-connection-rate 0 --max-login-rate 0 \\
    --max-guess-rate 0 --max-broadcast-bandwidth 0 --max-broadcast-bandwidth-per-address 0 --max-chat-rate 0 \\
    --max-state-rate 0 --max-voice-rate 0 --max-voice-bandwidth 0 --max-voice-rate-per-address 0 \\
    --max-voice-bandwidth-per-address 0

Load
  --server HOST[:PORT]      the server's TCP side (default 127.0.0.1:9001)
  --voice-port PORT         its UDP port (default 9002)
  --users N                 users, all in voice (default 100)
  --speakers S              how many of them speak (default 10)
  --secure no|yes|both      yes: users log in over TLS, and seal and open all of their voice; both: as many users of
                            either kind, of whom one kind is in voice and measured in turn with the other (default no)
  --logins-at-once L        how many log in at the same time (default 64); with 1, the server's memory shows what users
                            take, and not what waits for them while they come
  --rate D                  datagrams a second from each speaker (default 50); 0 is flat out
  --payload BYTES|opus      voice data in each, 20 to 1400 bytes; opus is 120 to 240, as Opus varies (default)
  --pattern even|together   speakers spread evenly over the interval (default), or all at one instant
  --receivers read|ignore   ignore: nobody reads, and what arrives is counted from the kernel's drops, so that the
                            server's limit shows and not the receivers' (default read)
  --seconds T               measured time of each round (default 5); a short warm-up comes before it

Comparison
  --pid PID                 the server's process on this machine, for its CPU time and memory
  --floor                   measures a bare sendmmsg fan-out in turn with the server, in the same run
  --rounds R                rounds of each (default 1, with --floor 3); figures are medians over them
  --storm KIND[,KIND...]    trouble on the side; several kinds are measured in turn, `none` among them
      chat                  8 users chat as fast as they are answered: at most 400 messages/s, 100,000 deliveries/s
      logins                users come and go: at most 200 a second, 50,000 events/s of each kind
      slow-readers          50 users never read, each for 5 s, while 4 others send them 1,000 bytes at most
                            200 times a second, 50,000 deliveries/s
      half-open             512 connections say nothing, and are replaced as the server ends them
      junk                  20,000 datagrams/s of 0 to 2,000 random bytes from 64 sockets
      voice                 250 users of one other address (on loopback, 127.0.0.2) in voice each send 100 datagrams/s of
                            one byte
      tls                   300 times a second, somebody connects, shakes hands and goes
      all                   all of these but voice and tls at once

Report
  --json                    one JSON object instead of a table
  --plot FILE.svg           draws the latency distribution, a line for each that was measured
  --label TEXT              a name for the run, shown in the report and the plot
  -h, --help                this text

Latency is one-way: from the clock read just before the send call to the kernel's time stamp at the receiver. CPU time
includes the kernel's work on the process's behalf, and in a storm what the storm itself costs. Deliveries/s and CPU per
delivery count from the first datagram to the last arrival; flat out with receivers that don't read, to the last sent.
Each user takes two file descriptors (of either kind, and one more with --floor); what one process may not hold is shared out to several.
Receivers and storms run as SCHED_BATCH, each process in a session of its own, so that they interrupt no server.

Exit codes: 0 if all went right, whatever the loss; 1 if the server could not be reached, refused or ended someone,
or sent what no client may get; 2 for a bad option.";

pub fn main() -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => return exit(say(HELP)),
        Err(error) => {
            complain(&format!("{error} (--help shows the options)"));
            return ExitCode::from(2);
        }
    };
    if options.role != Role::Parent {
        sys::enter_own_session();
    }
    match options.role {
        Role::Parent => direct(&options),
        Role::Worker {
            first,
            count,
            in_flight,
            floor_port,
            run,
        } => {
            let share = Share {
                first,
                count,
                in_flight,
                floor_port,
                run,
            };
            // The parent receives what went wrong, and shows it.
            exit(worker::run(&options, &share).is_ok())
        }
        Role::Floor => {
            floor::run(&options);
            ExitCode::SUCCESS
        }
        Role::Storm(storm) => {
            storm::run(&options, storm);
            ExitCode::SUCCESS
        }
    }
}

fn direct(options: &Options) -> ExitCode {
    // A run may take hours, and its result must not be lost.
    let page = match options.plot.as_deref().map(Page::open).transpose() {
        Ok(page) => page,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    let mut progress = Progress::new();
    let outcome = run::run(options, &mut progress);
    progress.clear();
    match outcome {
        Ok(outcome) => exit(tell(options, &outcome, page)),
        Err(message) => {
            complain(&message);
            if let Some(page) = page {
                page.discard();
            }
            ExitCode::FAILURE
        }
    }
}

/// Reports, and returns whether nothing went wrong.
fn tell(options: &Options, outcome: &Outcome, page: Option<Page>) -> bool {
    let report = if options.json {
        report::json(options, outcome)
    } else {
        report::text(options, outcome)
    };
    let errors = errors(outcome);
    for error in errors.iter().filter(|_| options.json) {
        complain(error);
    }
    let is_drawn = match page.map(|page| page.write(&drawing(options, outcome))) {
        Some(Err(error)) => {
            complain(&error);
            false
        }
        _ => true,
    };
    say(report.trim_end()) && is_drawn && errors.is_empty()
}

fn drawing(options: &Options, outcome: &Outcome) -> String {
    let lines = outcome
        .contenders
        .iter()
        .map(|(contender, rounds)| plot::Line {
            name: contender.name(),
            latency: report::latency(rounds),
        });
    let title = report::title(options);
    plot::svg(&title, options.rounds, &lines.collect::<Vec<_>>())
}

/// Prints to standard output, and returns whether that worked. A reader that has read enough may
/// close the pipe, as head(1) does.
fn say(text: &str) -> bool {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("cannot write to standard output: {error}"));
            false
        }
        _ => true,
    }
}

/// If nobody reads the message, the exit code still says it.
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

#[cfg(test)]
mod tests {
    use super::HELP;

    #[test]
    fn help_lifts_every_limit_that_can_be_lifted() {
        let mut seen = 0;
        for setting in voiceapp_server::cli::SETTINGS {
            let option = setting.option;
            if option.starts_with("max-") && setting.expected.starts_with("a whole number from 0 ")
            {
                assert!(HELP.contains(&format!(" --{option} 0")), "{option}");
                seen += 1;
            }
        }
        assert!(seen > 8, "{seen}");
    }
}
