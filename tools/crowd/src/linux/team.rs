//! The parent's end of the pipes: starts the worker processes, sends all of them the same commands,
//! and waits until each has answered.
//!
//! A worker that fails says why, and that ends the run. When the parent ends, for any reason, so do
//! they.

use super::options::{Options, Role};
use super::progress::Progress;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Write, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio, exit};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Descriptors that a worker needs beside its users'.
const SPARE_DESCRIPTORS: usize = 64;

/// Sends a line to the parent, in a process that it has started. If nothing reads it, the parent is
/// gone, and there is nothing left to do.
pub fn answer(line: impl Display) {
    if writeln!(stdout(), "{line}").is_err() {
        exit(1);
    }
}

/// A process of ourselves with another role.
pub struct Helper {
    child: Child,
    input: Option<ChildStdin>,
}

impl Helper {
    /// Starts it with our own arguments, and returns its output as well.
    pub fn start(role: Role) -> Result<(Self, BufReader<ChildStdout>), String> {
        let failed = |error| format!("cannot start a process: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .args(std::env::args_os().skip(1))
            .args(["--role", &role.argument()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take().ok_or("a process without output")?;
        let helper = Helper {
            input: child.stdin.take(),
            child,
        };
        Ok((helper, BufReader::new(output)))
    }

    /// Closes its input, which ends the process in its own time.
    pub fn close(&mut self) {
        self.input = None;
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn tell(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("a process was closed")?;
        writeln!(input, "{line}").map_err(|error| format!("a process is gone: {error}"))
    }
}

/// The next line of a helper's output; empty at its end.
pub fn read_line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    let _ = output.read_line(&mut line);
    line.trim_end().to_owned()
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All workers.
pub struct Team {
    workers: Vec<Helper>,
    /// The worker, and its line; none at its end.
    replies: Receiver<(usize, Option<String>)>,
    /// How many users log in.
    users: usize,
}

impl Team {
    /// Starts as many workers as the limit of descriptors requires. `floor_port` is 0 without a
    /// floor. All of them mark their datagrams with the same number, which no other crowd is likely
    /// to have.
    pub fn start(options: &Options, limit: u64, floor_port: u16) -> Result<Self, String> {
        let kinds = options.secure.sides().len();
        let per_place = 2 * kinds + usize::from(floor_port != 0);
        let users_max = (limit as usize).saturating_sub(SPARE_DESCRIPTORS) / per_place;
        if users_max == 0 {
            return Err(format!("{limit} file descriptors are too few"));
        }
        let count = options.users.div_ceil(users_max);
        let run = getrandom::u32().map_err(|error| format!("cannot draw a number: {error}"))?;
        let (sender, replies) = channel();
        let mut workers = Vec::new();
        for place in 0..count {
            let first = options.users * place / count;
            let (helper, output) = Helper::start(Role::Worker {
                first,
                count: options.users * (place + 1) / count - first,
                in_flight: options.logins_at_once.div_ceil(count),
                floor_port,
                run,
            })?;
            workers.push(helper);
            let sender = sender.clone();
            thread::spawn(move || pass_on(place, output, &sender));
        }
        Ok(Team {
            workers,
            replies,
            users: options.users * kinds,
        })
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Logs everyone in. Returns how long it took altogether, and the slowest login.
    pub fn log_in(&mut self, progress: &mut Progress) -> Result<(Duration, Duration), String> {
        let begun = Instant::now();
        self.tell("go")?;
        let mut ready = vec![0; self.workers.len()];
        let mut slowest_ns = 0;
        let mut waiting = self.workers.len();
        while waiting > 0 {
            let (place, line) = self.next(Duration::from_secs(60))?;
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let number: u64 = rest.parse().unwrap_or(0);
            if word == "ready" {
                slowest_ns = slowest_ns.max(number);
                waiting -= 1;
            } else {
                ready[place] = number as usize;
                let sum: usize = ready.iter().sum();
                let seconds = begun.elapsed().as_secs_f64();
                progress.show(&format!(
                    "logins: {sum} of {} in {seconds:.1} s",
                    self.users
                ));
            }
        }
        Ok((begun.elapsed(), Duration::from_nanos(slowest_ns)))
    }

    pub fn tell(&mut self, line: &str) -> Result<(), String> {
        self.workers
            .iter_mut()
            .try_for_each(|worker| worker.tell(line))
    }

    /// Sends all workers the same command, and returns what comes after `word` in their answers, in
    /// the order of the users.
    pub fn ask(
        &mut self,
        question: &str,
        word: &str,
        timeout: Duration,
    ) -> Result<Vec<String>, String> {
        self.tell(question)?;
        self.collect(word, timeout)
    }

    /// Waits for an answer of each worker.
    pub fn collect(&mut self, word: &str, timeout: Duration) -> Result<Vec<String>, String> {
        let mut answers = vec![None; self.workers.len()];
        while answers.contains(&None) {
            let (place, line) = self.next(timeout)?;
            match line.strip_prefix(word) {
                Some(rest) => answers[place] = Some(rest.trim_start().to_owned()),
                None => return Err(format!("a worker said {line:?} instead of {word}")),
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn next(&mut self, timeout: Duration) -> Result<(usize, String), String> {
        match self.replies.recv_timeout(timeout) {
            Ok((place, Some(line))) => match line.strip_prefix("failed ") {
                Some(message) => Err(message.to_owned()),
                None => Ok((place, line)),
            },
            Ok((_, None)) | Err(RecvTimeoutError::Disconnected) => {
                Err("a worker has stopped without a message".to_owned())
            }
            Err(RecvTimeoutError::Timeout) => Err("a worker doesn't answer".to_owned()),
        }
    }
}

fn pass_on(
    place: usize,
    output: BufReader<ChildStdout>,
    replies: &Sender<(usize, Option<String>)>,
) {
    for line in output.lines().map_while(Result::ok) {
        if replies.send((place, Some(line))).is_err() {
            return;
        }
    }
    let _ = replies.send((place, None));
}
