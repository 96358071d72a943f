//! One process's share of the users: their logins, and then one round after the other, as the
//! parent commands.
//!
//! Commands come in as lines on standard input and answers go out as lines on standard output; the
//! end of the input is the end of the process. One thread polls every socket, another one speaks.

use super::options::{Options, Side};
use super::receiver::Hall;
use super::speaker::{Voices, speak};
use super::sys;
use super::team::answer;
use super::user::{Stage, User};
use mio::{Events, Poll, Token, Waker};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

const COMMAND: Token = Token(usize::MAX);
/// Users have places: first all of one kind, then of the other.
const TOKENS_PER_USER: usize = 3;
/// How often logins are checked and reported.
const TICK: Duration = Duration::from_millis(50);
/// What one read of TCP takes.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Its users, and the crowd's numbers.
pub struct Share {
    pub first: usize,
    pub count: usize,
    pub in_flight: usize,
    pub floor_port: u16,
    pub run: u32,
}

/// Serves the parent until it closes the pipe. An error goes there as well.
pub fn run(options: &Options, share: &Share) -> Result<(), String> {
    let outcome = Worker::start(options, share).and_then(|mut worker| worker.serve());
    if let Err(message) = &outcome {
        answer(format_args!("failed {message}"));
    }
    outcome
}

struct Worker<'a> {
    options: &'a Options,
    share: &'a Share,
    floor: Option<SocketAddr>,
    poll: Poll,
    /// Dropping it would take back a wake-up that was not seen yet, and the last one says that the
    /// parent is gone.
    _waker: Arc<Waker>,
    commands: Receiver<String>,
    users: Vec<User>,
    /// Users who have completed all steps.
    ready: usize,
    /// Whether users join and leave voice, for the next round.
    is_switching: bool,
    slowest_login: Duration,
    may_log_in: bool,
    is_leaving: bool,
    hall: Hall,
    /// What the present round goes through.
    side: Side,
    scratch: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn start(options: &'a Options, share: &'a Share) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot start: {error}");
        sys::raise_descriptor_limit().map_err(failed)?;
        let poll = Poll::new().map_err(failed)?;
        let waker = Arc::new(Waker::new(poll.registry(), COMMAND).map_err(failed)?);
        let (inputs, commands) = channel();
        let their_waker = Arc::clone(&waker);
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if inputs.send(line).is_err() || their_waker.wake().is_err() {
                    return;
                }
            }
            drop(inputs);
            let _ = their_waker.wake();
        });
        Ok(Worker {
            options,
            share,
            floor: (share.floor_port != 0)
                .then(|| SocketAddr::new(options.server.ip(), share.floor_port)),
            poll,
            _waker: waker,
            commands,
            users: Vec::with_capacity(share.count * options.secure.sides().len()),
            ready: 0,
            is_switching: false,
            slowest_login: Duration::ZERO,
            may_log_in: false,
            is_leaving: false,
            hall: Hall::new(options, share),
            side: options.secure.sides()[0],
            scratch: vec![0; SCRATCH_BYTES],
        })
    }

    fn serve(&mut self) -> Result<(), String> {
        sys::set_patient(true);
        let mut events = Events::with_capacity(1_024);
        let mut next_tick = Instant::now();
        loop {
            let is_busy = self.may_log_in && self.ready < self.all();
            match self.poll.poll(&mut events, is_busy.then_some(TICK)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(format!("cannot poll: {error}"));
                }
                _ => {}
            }
            for event in &events {
                if event.token() != COMMAND {
                    let is_closing = event.is_read_closed() || event.is_error();
                    self.handle_event(event.token().0, is_closing)?;
                }
            }
            if is_busy {
                self.start_logins()?;
                if next_tick <= Instant::now() || self.ready == self.all() {
                    next_tick = Instant::now() + TICK;
                    self.handle_tick()?;
                }
            }
            if self.is_switching && self.ready == self.all() {
                self.is_switching = false;
                answer("switched");
            }
            if self.is_leaving && self.users.iter().all(|it| it.stage == Stage::Lost) {
                self.is_leaving = false;
                answer("left");
            }
            loop {
                match self.commands.try_recv() {
                    Ok(line) => self.handle_command(&line)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
        }
    }

    fn handle_event(&mut self, token: usize, is_closing: bool) -> Result<(), String> {
        let (place, kind) = (token / TOKENS_PER_USER, token % TOKENS_PER_USER);
        let user = &mut self.users[place];
        let was_ready = user.stage == Stage::Ready;
        match kind {
            0 => user.handle_tcp(is_closing, &mut self.scratch)?,
            1 if !was_ready && user.stage != Stage::Lost => {
                user.handle_proof(self.poll.registry(), self.options)?;
            }
            kind => {
                let side = if kind == 1 { user.kind } else { Side::Floor };
                // An error of the socket concerns one datagram that it sent, and shows as one that
                // is missing.
                let _ = self.hall.read(place % self.share.count, user, side);
            }
        }
        if !was_ready && user.stage == Stage::Ready {
            self.ready += 1;
            self.slowest_login = self.slowest_login.max(user.started.elapsed());
        }
        Ok(())
    }

    fn start_logins(&mut self) -> Result<(), String> {
        let sides = self.options.secure.sides();
        while self.users.len() < self.all() && self.users.len() - self.ready < self.share.in_flight
        {
            let place = self.users.len();
            let index = self.share.first + place % self.share.count;
            let side = sides[place / self.share.count];
            let registry = self.poll.registry();
            let token = place * TOKENS_PER_USER;
            let user = User::connect(index, side, self.options, self.floor, registry, token)
                .map_err(|error| format!("user {index} cannot connect: {error}"))?;
            self.users.push(user);
        }
        Ok(())
    }

    fn handle_tick(&mut self) -> Result<(), String> {
        let now = Instant::now();
        for user in &mut self.users {
            user.handle_tick(now)?;
        }
        answer(format_args!("progress {}", self.ready));
        if self.ready == self.all() {
            self.may_log_in = false;
            answer(format_args!("ready {}", self.slowest_login.as_nanos()));
        }
        Ok(())
    }

    fn handle_command(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        let failed = |error: io::Error| format!("{line}: {error}");
        match words[..] {
            ["go"] => {
                self.may_log_in = true;
                self.start_logins()?;
            }
            ["switch", side] => self.switch(Side::parse(side)?)?,
            ["who", side] => answer(format_args!(
                "ids{}",
                self.speakers(Side::parse(side)?)
                    .map(|user| format!(" {}", user.id))
                    .collect::<String>()
            )),
            ["where"] => {
                let users = &self.users[self.present(Side::Floor)];
                let addresses = users.iter().map(|user| {
                    let address = user.socket(Side::Floor).local_addr();
                    address.map_or(String::new(), |it| format!(" {it}"))
                });
                answer(format_args!("addresses{}", addresses.collect::<String>()));
            }
            ["ids", ref ids @ ..] => {
                let ids = ids.iter().filter_map(|it| it.parse().ok());
                self.hall.know_speakers(ids.collect());
                answer("known");
            }
            ["begin", side, round] => {
                self.side = Side::parse(side)?;
                let users = &self.users[self.present(self.side)];
                self.hall
                    .begin(users, self.side, number(round)? as u32)
                    .map_err(failed)?;
                answer("begun");
            }
            ["speak", side, round, start, duration] => {
                let (start, duration) = (number(start)?, number(duration)?);
                self.speak(Side::parse(side)?, number(round)? as u32, start, duration);
            }
            ["count"] => {
                let users = &self.users[self.present(self.side)];
                let arrived = self.hall.arrived(users).map_err(failed)?;
                answer(format_args!("arrived {arrived}"));
            }
            ["end"] => {
                let lost = self.users.iter().filter(|it| it.stage == Stage::Lost);
                self.hall.count_lost_users(lost.count());
                let present = self.present(self.side);
                let tally = self.hall.end(&mut self.users[present]).map_err(failed)?;
                answer(format_args!("tally {tally}"));
            }
            ["leave"] => {
                self.is_leaving = true;
                self.users.iter_mut().for_each(User::leave);
            }
            _ => return Err(format!("unknown command {line:?}")),
        }
        Ok(())
    }

    /// How many users there are, of all kinds.
    fn all(&self) -> usize {
        self.share.count * self.options.secure.sides().len()
    }

    /// The places of those who take part in a round.
    fn present(&self, side: Side) -> Range<usize> {
        let sides = self.options.secure.sides();
        // The floor has nothing to do with kinds, and so it is used by the first.
        let kind = sides.iter().position(|it| *it == side).unwrap_or(0);
        kind * self.share.count..(kind + 1) * self.share.count
    }

    /// The speakers of a round among our users.
    fn speakers(&self, side: Side) -> impl Iterator<Item = &User> {
        let users = self.users[self.present(side)].iter();
        users.filter(|user| user.index < self.options.speakers)
    }

    /// Has those in voice who take part in the next round, and nobody else.
    fn switch(&mut self, side: Side) -> Result<(), String> {
        for user in &mut self.users {
            let is_present = user.kind == side;
            if user.stage == Stage::Ready && user.is_in_voice != is_present {
                user.set_in_voice(is_present)?;
                self.ready -= 1;
            }
        }
        self.is_switching = true;
        Ok(())
    }

    /// Starts a thread that speaks, and reports to the parent itself when it is done.
    fn speak(&self, side: Side, round: u32, start_ns: u64, duration_ns: u64) {
        let voices: Voices = self
            .speakers(side)
            .map(|user| (user.index as u32, Arc::clone(user.socket(side))))
            .collect();
        let (options, run) = (self.options.clone(), self.share.run);
        thread::spawn(move || {
            let spoken = speak(&options, run, &voices, round, start_ns, duration_ns);
            answer(format_args!(
                "spoken {} {} {}",
                spoken.sent, spoken.failed, spoken.late_ns
            ));
        });
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse()
        .map_err(|_| format!("{word:?} is not a number"))
}
