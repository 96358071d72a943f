//! The world around the loop: the time, the poll, and the clients. It does what
//! [`Server::turn`](crate::Server) does with the kernel's, and moves the time only to when the loop
//! wants to wake up or to when something happens outside, so that whatever the loop forgets stays
//! forgotten.

use super::client::Client;
use super::line::Line;
use super::listener::{Backlog, FakeListener};
use super::picture::Said;
use super::pipe::{Clock, Ledger, Pipe};
use super::plan::Plan;
use super::random::{Digest, Random};
use super::voice::WatchedVoice;
use crate::bans::BanList;
use crate::cause::Counters;
use crate::event::{ConnectionId, Now};
use crate::hash::HashKey;
use crate::server::core::Core;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

const LOG_LINES: usize = 300;

/// What the wall clock says at first, far enough from its end and beginning.
const WALL_MS: u64 = 1_000_000_000;

/// Things that happen outside until a poll is interrupted.
const SLEEP_MAX: usize = 100;

/// The last things that happened, for whoever replays a seed.
pub struct Log {
    pub is_kept: bool,
    pub lines: VecDeque<String>,
}

impl Log {
    pub fn add(&mut self, line: impl FnOnce() -> String) {
        if self.is_kept {
            self.lines.push_back(line());
            if self.lines.len() > LOG_LINES {
                self.lines.pop_front();
            }
        }
    }
}

/// What the poll reports: a connection, and whether it is readable and writable.
type Readiness = (ConnectionId, bool, bool);

/// See the [module](self).
pub struct World {
    pub random: Random,
    pub plan: Plan,
    /// Nobody reads, until all do.
    pub is_outage: bool,
    pub clock: Clock,
    pub start: Instant,
    pub core: Core<FakeListener, WatchedVoice>,
    pub backlog: Rc<RefCell<Backlog>>,
    /// How far the wall clock is ahead of the time, in milliseconds.
    pub wall_ms: u64,
    pub clients: BTreeMap<u64, Client>,
    pub ledger: Rc<RefCell<Ledger>>,
    next_serial: u64,
    pub bans: BanList,
    pub causes: Counters,
    /// Strangers before a turn, and during it: all, and those that write long frames.
    pub pending_before: usize,
    pub pending_at_most: usize,
    pub large_at_most: usize,
    /// What those heard who are gone, and what they said, by their user ids.
    pub heard_by_gone: Vec<Vec<Said>>,
    pub said_by_gone: BTreeMap<u64, (Vec<usize>, BTreeSet<usize>)>,
    turn_ended: Instant,
    pub log: Log,
    pub digest: Digest,
    pub step: u64,
    pub turns: u64,
    pub events: u64,
}

impl World {
    pub fn new(seed: u64, with_log: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::of(seed, &mut random);
        let start = Instant::now();
        let clock = Rc::new(Cell::new(start));
        let backlog = Backlog::new(random.next(), plan.accept_fault, &clock);
        let backlog = Rc::new(RefCell::new(backlog));
        let mut log = Log {
            is_kept: with_log,
            lines: VecDeque::new(),
        };
        log.add(|| format!("{plan:?}"));
        let (instant, unix_ms) = (start, WALL_MS);
        let now = Now { instant, unix_ms };
        let seed = random.next();
        let voice = WatchedVoice::new(seed, now, &clock, plan.limits, plan.voice_queue);
        World {
            core: Core::new(
                now,
                plan.limits,
                HashKey(1, 2),
                FakeListener(backlog.clone()),
                voice,
            ),
            backlog,
            wall_ms: WALL_MS,
            clients: BTreeMap::new(),
            ledger: Rc::default(),
            next_serial: 1,
            bans: BanList::default(),
            causes: Counters::new(),
            pending_before: 0,
            pending_at_most: 0,
            large_at_most: 0,
            heard_by_gone: Vec::new(),
            said_by_gone: BTreeMap::new(),
            turn_ended: start,
            log,
            digest: Digest::new(),
            step: 0,
            turns: 0,
            events: 0,
            random,
            plan,
            is_outage: false,
            clock,
            start,
        }
    }

    /// The whole of a run.
    pub fn run(&mut self) {
        let mut calm_at = self.plan.steps_to_calm;
        while self.step < self.plan.steps {
            self.step += 1;
            if self.random.percent(70) {
                self.outside();
            }
            if self.random.below(200) == 0 {
                self.ban_somebody();
            }
            let events = self.wait();
            self.turn(&events);
            if self.step == calm_at {
                calm_at += self.plan.steps_to_calm;
                self.come_to_rest();
            }
        }
        self.come_to_rest();
        self.all_leave();
    }

    /// A client connects.
    pub fn connect(&mut self) {
        let serial = self.next_serial;
        self.next_serial += 1;
        let [low, high] = self.plan.kernel_bytes;
        let sizes = [0; 3].map(|_| self.random.between(low, high));
        let line = Line::new(self.plan.tells, &self.plan.limits, self.clock.get());
        let seed = self.random.next();
        let pipe = Pipe::new(
            serial,
            seed,
            self.plan.faults,
            sizes,
            line,
            &self.clock,
            &self.ledger,
        );
        let pipe = Rc::new(RefCell::new(pipe));
        // Some share an address, and none a port.
        let ip = Ipv4Addr::new(192, 0, 2, self.random.below(20) as u8);
        let address = SocketAddr::from((ip, 10_000 + (serial % 20_000) as u16));
        self.backlog.borrow_mut().connect(pipe.clone(), address);
        self.clients.insert(serial, Client::new(pipe, address));
        self.log.add(|| format!("{serial} connects from {address}"));
    }

    /// A client writes and reads. Says whether it did anything.
    pub fn pump(&mut self, serial: u64) -> bool {
        let client = self.clients.get_mut(&serial).expect("it is here");
        let pumped = client.pump(&mut self.random, &mut self.digest);
        if let Some(id) = client.picture.id.filter(|_| pumped.has_logged_in) {
            let addresses = client.voice_addresses();
            self.core.voice.0.socket.know(addresses, id, &client.pipe);
            self.log.add(|| format!("{serial} is user {id}"));
        }
        pumped.has_moved
    }

    /// Sleeps like the loop does, until something is reported or due.
    fn wait(&mut self) -> Vec<Readiness> {
        let due = self.due();
        // A poll may be interrupted, above all one that would never end.
        for _ in 0..SLEEP_MAX {
            if let Some(events) = self.poll() {
                return events;
            }
            let now = self.clock.get();
            if due.is_some_and(|due| due <= now) {
                return Vec::new();
            }
            self.check_asleep(due);
            let pause = self.random.below(self.plan.pause_max.as_micros() as usize);
            let next = now + Duration::from_micros(pause as u64);
            if let Some(due) = due.filter(|due| *due <= next) {
                let late = self.lateness();
                self.clock.set(due + late);
                return Vec::new();
            }
            self.clock.set(next);
            self.outside();
        }
        Vec::new()
    }

    /// When the loop wants to wake up by itself.
    pub fn due(&self) -> Option<Instant> {
        let timeout = self.core.timeout(self.turn_ended);
        timeout.map(|timeout| self.turn_ended + timeout)
    }

    /// How much later than it should the loop wakes up: not at all, within the poll's resolution, or
    /// after the machine had been suspended.
    fn lateness(&mut self) -> Duration {
        match self.random.below(400) {
            0 => Duration::from_secs(self.random.between(1, 300) as u64),
            1..=100 => Duration::from_micros(self.random.below(1_000) as u64),
            _ => Duration::ZERO,
        }
    }

    /// What the kernel has to report, if it is anything, as much of it as the loop takes at once.
    pub fn poll(&mut self) -> Option<Vec<Readiness>> {
        let mut events = Vec::new();
        let first = self.random.below(self.clients.len() + 1);
        let (before, after) = (self.clients.values().take(first), self.clients.values());
        for client in after.skip(first).chain(before) {
            if events.len() == self.plan.events_max {
                break;
            }
            let mut pipe = client.pipe.borrow_mut();
            if let Some((is_readable, is_writable)) = pipe.take_edges() {
                let id = pipe.id.expect("only what is registered has edges");
                events.push((id, is_readable, is_writable));
            }
        }
        let listener = std::mem::take(&mut self.backlog.borrow_mut().has_edge);
        self.core.door.is_ready |= listener;
        let voice = std::mem::take(&mut self.core.voice.0.socket.has_edge);
        if voice {
            self.core.voice.0.note_readable();
        }
        (listener || voice || !events.is_empty()).then_some(events)
    }

    /// One turn of the loop, and a look at everything after it.
    pub fn turn(&mut self, events: &[Readiness]) {
        self.turns += 1;
        let instant = self.clock.get();
        let elapsed = instant.duration_since(self.start);
        let unix_ms = elapsed.as_millis() as u64 + self.wall_ms;
        let management = self.core.switchboard.management();
        self.pending_before = management.pending_count();
        for client in self.clients.values_mut() {
            let id = client.pipe.borrow().id;
            client.was_stranger = id.is_none_or(|id| management.is_pending(id));
        }
        for &(id, is_readable, is_writable) in events {
            if is_writable {
                self.core.connections.note_writable(id);
            }
            if is_readable {
                self.core.connections.want_read(id);
            }
        }
        self.log.add(|| format!("turn at {elapsed:?}: {events:?}"));
        self.note_full();
        let now = Now { instant, unix_ms };
        self.core.turn(now);
        self.check_full();
        self.look_at_ended();
        self.core.connections.recount();
        self.check_awake();
        let took = self.random.pick(&[0, 0, 30, 2_000]);
        self.clock.set(instant + Duration::from_micros(took));
        self.turn_ended = self.clock.get();
        // What a budget has left behind is reported by nobody.
        let is_left = self.core.connections.is_left_behind();
        assert!(!is_left || self.due() == Some(self.turn_ended), "it sleeps");
        self.digest.number(elapsed.as_nanos() as u64);
    }
}
