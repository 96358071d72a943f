//! A whole run, as the parent sees it: users in, then round after round through the server and the
//! floor in turn, each of them with a warm-up, a measured time, and a wait until nothing moves any
//! more.
//!
//! Rounds alternate, so that what else the machine does affects every contender alike.

use super::floor::Floor;
use super::options::{Options, Receivers, Secure, Side, Storm};
use super::process;
use super::progress::Progress;
use super::receiver::Tally;
use super::speaker::Spoken;
use super::storm::Weather;
use super::sys;
use super::team::Team;
use std::thread::sleep;
use std::time::{Duration, Instant};

const WARM_UP_NS: u64 = 300_000_000;
/// The workers need a moment to receive the start.
const LEAD_NS: u64 = 20_000_000;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often to check whether something still arrives, how long nothing must have arrived, and how
/// long to wait for that.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_millis(200);
const QUIET_TIMEOUT: Duration = Duration::from_secs(20);

/// What is measured: a server in some weather, or the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contender {
    pub side: Side,
    pub storm: Storm,
}

impl Contender {
    pub fn name(self) -> String {
        match self.storm {
            Storm::None => self.side.name().to_owned(),
            storm => format!("{} + {}", self.side.name(), storm.name()),
        }
    }
}

/// The result of one round.
#[derive(Clone, Debug)]
pub struct Round {
    pub spoken: Spoken,
    pub expected: u64,
    pub tally: Tally,
    /// What rates are calculated from.
    pub window: Window,
    /// What the storm did, in its own words.
    pub storm: Option<String>,
}

/// A time, what was delivered in it, and the CPU time that this took. It ends with the last
/// arrival.
///
/// Of a flood that nobody reads, it ends with the flood: what the relay still has by then is
/// delivered without competition, which is not what is measured. Where the users read, what was
/// delivered is known only when all is read.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub elapsed: Duration,
    pub delivered: u64,
    pub cpu_ns: Option<u64>,
}

/// The server's memory without the crowd, and with all of it logged in, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub before: u64,
    pub after: u64,
}

/// Everything that there is to report.
pub struct Outcome {
    pub login: Duration,
    pub slowest_login: Duration,
    pub memory: Option<Memory>,
    pub workers: usize,
    pub contenders: Vec<(Contender, Vec<Round>)>,
}

pub fn run(options: &Options, progress: &mut Progress) -> Result<Outcome, String> {
    let limit = sys::raise_descriptor_limit()
        .map_err(|error| format!("cannot raise the limit of descriptors: {error}"))?;
    if let Some(pid) = options.pid {
        process::cpu_ns(pid)?;
    }
    let mut floor = match options.floor {
        true => Some(Floor::begin()?),
        false => None,
    };
    let floor_port = floor.as_ref().map_or(0, |floor| floor.port);
    let mut team = Team::start(options, limit, floor_port)?;
    let before = options.pid.map(process::memory).transpose()?;
    let (login, slowest_login) = team.log_in(progress)?;
    let after = options.pid.map(process::memory).transpose()?;
    let memory = before.zip(after);
    if let Some(floor) = &mut floor {
        let addresses = team.ask("where", "addresses", ANSWER_TIMEOUT)?;
        floor.open(&addresses.join(" "))?;
    }
    let mut runner = Runner {
        options,
        team,
        floor,
        rounds_begun: 0,
    };
    let contenders = runner.run_all(progress)?;
    progress.show("leaving");
    // A server that still closes connections would be slow for the next measurement. If it takes
    // too long, that does not matter.
    let _ = runner.team.ask("leave", "left", LEAVE_TIMEOUT);
    Ok(Outcome {
        login,
        slowest_login,
        memory: memory.map(|(before, after)| Memory { before, after }),
        workers: runner.team.workers(),
        contenders,
    })
}

/// How far things are at some moment.
#[derive(Clone, Copy)]
struct Look {
    at_ns: u64,
    arrived: u64,
    cpu_ns: Option<u64>,
}

struct Runner<'a> {
    options: &'a Options,
    team: Team,
    floor: Option<Floor>,
    /// Rounds have numbers of their own, so that nothing of one is counted in another.
    rounds_begun: u32,
}

impl Runner<'_> {
    fn run_all(&mut self, progress: &mut Progress) -> Result<Vec<(Contender, Vec<Round>)>, String> {
        let sides = self.options.secure.sides();
        let storms = self.options.storms.iter();
        let servers =
            storms.flat_map(|&storm| sides.iter().map(move |&side| Contender { side, storm }));
        let floor = self.floor.is_some().then_some(Contender {
            side: Side::Floor,
            storm: Storm::None,
        });
        let contenders = servers.chain(floor);
        let mut results: Vec<_> = contenders.map(|it| (it, Vec::new())).collect();
        for number in 1..=self.options.rounds {
            for (contender, rounds) in &mut results {
                let of = self.options.rounds;
                progress.show(&format!("round {number} of {of}: {}", contender.name()));
                rounds.push(self.run_one(*contender)?);
            }
        }
        Ok(results)
    }

    fn run_one(&mut self, contender: Contender) -> Result<Round, String> {
        let weather = match contender.storm {
            Storm::None => None,
            storm => Some(Weather::begin(storm)?),
        };
        let side = contender.side;
        let pid = match side {
            Side::Server | Side::Sealed => self.options.pid,
            Side::Floor => self.floor.as_ref().map(Floor::pid),
        };
        self.assemble(side)?;
        self.speak(side, 0, WARM_UP_NS)?;
        self.wait_for_quiet(None)?;
        self.rounds_begun += 1;
        let begin = format!("begin {} {}", side.name(), self.rounds_begun);
        self.team.ask(&begin, "begun", ANSWER_TIMEOUT)?;

        let cpu_before = pid.map(process::cpu_ns).transpose()?;
        let duration_ns = (self.options.seconds * 1e9) as u64;
        let (start_ns, spoken) = self.speak(side, self.rounds_begun, duration_ns)?;
        let (first, last) = self.wait_for_quiet(pid)?;

        let mut tally = Tally::new();
        for line in self.team.ask("end", "tally", ANSWER_TIMEOUT)? {
            tally.add(Tally::from_words(line.split(' ')).ok_or("a worker's tally is unreadable")?);
        }
        let is_flood = self.options.rate == 0.0 && self.options.receivers == Receivers::Ignore;
        let (look, delivered) = match is_flood {
            true => (first, first.arrived),
            false => (last, tally.delivered),
        };
        // What the first check finds came while they spoke.
        let elapsed_ns = match look.at_ns == first.at_ns {
            true => duration_ns,
            false => duration_ns.max(look.at_ns - start_ns),
        };
        Ok(Round {
            spoken,
            expected: spoken.sent * (self.options.users as u64 - 1),
            tally,
            window: Window {
                elapsed: Duration::from_nanos(elapsed_ns),
                delivered,
                cpu_ns: look
                    .cpu_ns
                    .zip(cpu_before)
                    .map(|(now, then)| now.saturating_sub(then)),
            },
            storm: weather.map(Weather::end),
        })
    }

    /// Has those in voice who take part in a round, and lets everyone know who speaks in it.
    fn assemble(&mut self, side: Side) -> Result<(), String> {
        let name = side.name();
        if side == Side::Floor {
            return Ok(());
        }
        if self.options.secure == Secure::Both {
            let switch = format!("switch {name}");
            self.team.ask(&switch, "switched", ANSWER_TIMEOUT)?;
        }
        let who = format!("who {name}");
        let ids = self.team.ask(&who, "ids", ANSWER_TIMEOUT)?.join(" ");
        let ids = format!("ids {}", ids.trim());
        self.team.ask(&ids, "known", ANSWER_TIMEOUT)?;
        Ok(())
    }

    /// Makes all speakers speak, and returns when they began and the result.
    fn speak(&mut self, side: Side, round: u32, duration_ns: u64) -> Result<(u64, Spoken), String> {
        let start_ns = sys::monotonic_ns() + LEAD_NS;
        let name = side.name();
        let speak = format!("speak {name} {round} {start_ns} {duration_ns}");
        let timeout = Duration::from_nanos(duration_ns) + ANSWER_TIMEOUT;
        let mut sum = Spoken::default();
        for line in self.team.ask(&speak, "spoken", timeout)? {
            let numbers: Vec<u64> = line.split(' ').filter_map(|it| it.parse().ok()).collect();
            let [sent, failed, late_ns] = numbers[..] else {
                return Err(format!("a worker has spoken {line:?}"));
            };
            sum.sent += sent;
            sum.failed += failed;
            sum.late_ns = sum.late_ns.max(late_ns);
        }
        Ok((start_ns, sum))
    }

    /// Waits until nothing arrives any more. Returns the first check, and the one that found the
    /// last arrival.
    fn wait_for_quiet(&mut self, pid: Option<u32>) -> Result<(Look, Look), String> {
        let begun = Instant::now();
        let first = self.look(pid)?;
        let mut last = first;
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < QUIET && begun.elapsed() < QUIET_TIMEOUT {
            sleep(LOOK_INTERVAL);
            let look = self.look(pid)?;
            if look.arrived != last.arrived {
                last = look;
                quiet_since = Instant::now();
            }
        }
        Ok((first, last))
    }

    fn look(&mut self, pid: Option<u32>) -> Result<Look, String> {
        let at_ns = sys::monotonic_ns();
        let cpu_ns = pid.map(process::cpu_ns).transpose()?;
        let answers = self.team.ask("count", "arrived", ANSWER_TIMEOUT)?;
        let arrived = answers.iter().filter_map(|it| it.parse::<u64>().ok()).sum();
        Ok(Look {
            at_ns,
            arrived,
            cpu_ns,
        })
    }
}
