//! The world around the loop: the time, the poll, and the clients. It does what the server's own turn does with the kernel's,
//! and moves the time only to when the loop wants to wake up or to when something happens outside, so that whatever the
//! loop forgets stays forgotten.

mod actions;
mod bans;
mod checks;
mod datagrams;
mod rest;
mod sealed;

use crate::chance::{Chance, Digest};
use crate::client::Client;
use crate::kernel::air::{Air, FakeSocket};
use crate::kernel::line::Line;
use crate::kernel::listener::{Backlog, FakeListener};
use crate::kernel::pipe::{Clock, Ledger, Pipe};
use crate::keys::Keys;
use crate::model::{PORT, TapHandle};
use crate::odds::Odds;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use voiceapp_server::cause::{Cause, Counters};
use voiceapp_server::event::{ConnectionId, Now};
use voiceapp_server::simulation::{About, ConnectionFacts, Loop};
use voiceapp_server::{BanList, HashKey};

const LOG_LINES: usize = 300;

/// January 2026, in milliseconds since the Unix epoch: far enough from its end and beginning.
const WALL_MS: u64 = 1_767_225_600_000;

/// Things that happen outside until a poll is interrupted.
const SLEEP_MAX: usize = 100;

/// The last things that happened, for a replay.
#[derive(Default)]
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
    pub chance: Chance,
    pub odds: Odds,
    pub core: Loop<FakeListener, FakeSocket>,
    /// The oracle, and the datagrams.
    pub tap: TapHandle,
    pub clock: Clock,
    pub start: Instant,
    pub clients: BTreeMap<u64, Client>,
    /// Those who are gone and had something to remember.
    pub gone: BTreeMap<u64, Client>,
    pub backlog: Rc<RefCell<Backlog>>,
    ledger: Rc<RefCell<Ledger>>,
    next_serial: u64,
    next_request: u64,
    next_sequence: u32,
    departed_tokens: VecDeque<u64>,
    bans: BanList,
    /// Nobody reads, until all do.
    is_outage: bool,
    /// Why connections were ended.
    causes: Counters,
    /// Strangers before a turn, and during it: all, and those that write long frames.
    pending_before: usize,
    pending_at_most: usize,
    large_at_most: usize,
    turn_ended: Instant,
    pub log: Log,
    pub digest: Digest,
    pub step: u64,
    pub turns: u64,
}

impl World {
    pub fn new(mut chance: Chance, odds: Odds) -> Self {
        let (start, limits) = (Instant::now(), odds.limits);
        let clock = Rc::new(Cell::new(start));
        let backlog = Backlog::new(chance.fork(), odds.accept_fault, &clock);
        let backlog = Rc::new(RefCell::new(backlog));
        let now = Now {
            instant: start,
            unix_ms: WALL_MS,
        };
        let air = Air::new(
            now,
            chance.fork(),
            odds.air,
            odds.voice_queue,
            limits.voice_age,
        );
        let tap = TapHandle::new(now, limits, air);
        let socket = FakeSocket {
            tap: tap.clone(),
            clock: clock.clone(),
        };
        let listener = FakeListener(backlog.clone());
        let watch = Box::new(tap.clone());
        let mut core = Loop::new(now, limits, HashKey(1, 2), listener, (socket, PORT), watch);
        if chance.percent(odds.asking) {
            let about = About {
                name: chance.pick(&["", "here"]).to_string(),
                welcome: chance.pick(&["", "hello, and be kind"]).to_string(),
                voice_port: chance.pick(&[None, Some(PORT)]),
            };
            core.set_about(about.clone());
            tap.get().model.about = about;
        }
        World {
            core,
            tap,
            clock,
            start,
            clients: BTreeMap::new(),
            gone: BTreeMap::new(),
            backlog,
            ledger: Rc::default(),
            next_serial: 1,
            next_request: 1,
            next_sequence: 0,
            departed_tokens: VecDeque::new(),
            bans: BanList::default(),
            is_outage: false,
            causes: Counters::new(),
            pending_before: 0,
            pending_at_most: 0,
            large_at_most: 0,
            turn_ended: start,
            log: Log::default(),
            digest: Digest(0xCBF2_9CE4_8422_2325),
            step: 0,
            turns: 0,
            chance,
            odds,
        }
    }

    /// The whole of a run.
    pub fn run(&mut self) {
        let mut rest_at = self.odds.steps_to_rest;
        while self.step < self.odds.steps && !self.chance.is_over() {
            self.step += 1;
            if self.chance.percent(70) {
                self.outside();
            }
            if self.odds.has_bans && self.chance.below(200) == 1 {
                self.change_bans();
            }
            let events = self.wait();
            self.turn(&events);
            if self.step == rest_at {
                rest_at += self.odds.steps_to_rest;
                self.come_to_rest();
                self.go_on();
            }
        }
        self.come_to_rest();
        self.all_hear();
        self.all_leave();
    }

    /// A client connects from this address. Ports are never used twice.
    pub fn connect(&mut self, ip: IpAddr) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        let [low, high] = self.odds.kernel_bytes;
        let sizes = [0; 3].map(|_| self.chance.between(low, high));
        let line = Line::new(self.odds.tells, &self.odds.limits, self.clock.get());
        let (chance, faults) = (self.chance.fork(), self.odds.faults);
        let pipe = Pipe::new(
            serial,
            chance,
            faults,
            sizes,
            line,
            &self.clock,
            &self.ledger,
        );
        let pipe = Rc::new(RefCell::new(pipe));
        let address = SocketAddr::from((ip, 10_000 + (serial % 50_000) as u16));
        self.backlog.borrow_mut().connect(pipe.clone(), address);
        let voice = self.fresh_voice_address(address);
        let mut client = Client::new(pipe, address, voice);
        if self.chance.percent(self.odds.asking) {
            let odd = self.chance.next() as u32;
            client.picture.asked = Some(self.chance.pick(&[3, 3, 3, 1, 7, 0, 2, odd, u32::MAX]));
        }
        if self.chance.percent(self.odds.encrypted) {
            client.facts.is_encrypted = true;
            client.keys = Keys::of(serial);
            client.facts.key_id = client.keys.as_ref().map(Keys::key_id);
        }
        let (asked, facts) = (client.picture.asked, client.facts);
        self.clients.insert(serial, client);
        self.log
            .add(|| format!("{serial} connects from {address}, asks for {asked:?}, {facts:?}"));
        serial
    }

    /// Who has come in this turn has an encrypted connection before it says anything, if it has one at all.
    fn shake_hands(&mut self) {
        let now = self.clock.get();
        for client in self.clients.values() {
            let (pipe, facts) = (client.pipe.borrow(), client.facts);
            let Some(id) = pipe.id.filter(|_| pipe.came_in_at == now) else {
                continue;
            };
            if !facts.is_encrypted || pipe.is_dropped {
                continue;
            }
            let shown = ConnectionFacts {
                is_encrypted: true,
                secrets: client.keys.as_ref().map(|keys| keys.secrets),
            };
            self.core.set_facts(id, shown);
            let mut tap = self.tap.get();
            tap.model.connection(id).facts = facts;
            if let Some(keys) = &client.keys {
                tap.ears.entry(keys.key_id()).or_insert_with(|| keys.ear());
            }
        }
    }

    fn fresh_voice_address(&mut self, home: SocketAddr) -> SocketAddr {
        let mut voice = self.tap.get().air.fresh_address(&mut self.chance);
        if !self.odds.limits.voice_from_anywhere && self.chance.percent(80) {
            voice.set_ip(home.ip().to_canonical());
        }
        voice
    }

    /// A client writes and reads. Says whether it did anything.
    pub fn pump(&mut self, serial: u64) -> bool {
        let client = self.clients.get_mut(&serial).expect("it is here");
        client.pump(&mut self.chance, &self.tap)
    }

    pub fn serials(&self) -> Vec<u64> {
        self.clients.keys().copied().collect()
    }

    pub fn now(&self) -> Now {
        let instant = self.clock.get();
        let elapsed = instant.duration_since(self.start);
        Now {
            instant,
            unix_ms: self
                .tap
                .get()
                .air
                .wall_ms
                .wrapping_add(elapsed.as_millis() as u64),
        }
    }

    /// Somebody sets the wall clock to this.
    #[cfg(test)]
    pub fn set_unix_ms(&mut self, unix_ms: u64) {
        let elapsed = self.clock.get().duration_since(self.start);
        let mut tap = self.tap.get();
        tap.air.wall_ms = unix_ms.wrapping_sub(elapsed.as_millis() as u64);
        tap.air.is_clock_steady = false;
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
            let pause = self.chance.below(self.odds.pause_max.as_micros() as usize);
            let next = now + Duration::from_micros(pause as u64);
            let arrival = self.tap.get().air.next_arrival();
            let next = arrival.map_or(next, |arrival| next.min(arrival.max(now)));
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

    /// How much later than it should the loop wakes up: not at all, within the poll's resolution, or after the
    /// machine had been suspended.
    fn lateness(&mut self) -> Duration {
        match self.chance.below(400) {
            399 => Duration::from_secs(self.chance.between(1, 300) as u64),
            300..=398 => Duration::from_micros(self.chance.below(1_000) as u64),
            _ => Duration::ZERO,
        }
    }

    /// What the kernel has to report, if it is anything, as much of it as the loop takes at once.
    pub fn poll(&mut self) -> Option<Vec<Readiness>> {
        let mut events = Vec::new();
        let first = self.chance.below(self.clients.len() + 1);
        let (before, after) = (self.clients.values().take(first), self.clients.values());
        for client in after.skip(first).chain(before) {
            if events.len() == self.odds.events_max {
                break;
            }
            let mut pipe = client.pipe.borrow_mut();
            if let Some((is_readable, is_writable)) = pipe.take_edges() {
                let id = pipe.id.expect("only what is registered has edges");
                events.push((id, is_readable, is_writable));
            }
        }
        let somebody = std::mem::take(&mut self.backlog.borrow_mut().has_edge);
        if somebody {
            self.core.note_somebody_waits();
        }
        let mut tap = self.tap.get();
        tap.air.arrive(self.clock.get());
        let voice = std::mem::take(&mut tap.air.has_edge);
        drop(tap);
        if voice {
            self.core.note_voice();
        }
        (somebody || voice || !events.is_empty()).then_some(events)
    }

    /// One turn of the loop, and a look at everything after it.
    pub fn turn(&mut self, events: &[Readiness]) {
        self.turns += 1;
        let now = self.now();
        let management = self.core.switchboard().management();
        self.pending_before = management.pending_count();
        for client in self.clients.values_mut() {
            let id = client.pipe.borrow().id;
            client.was_stranger = id.is_none_or(|id| management.is_pending(id));
        }
        for &(id, is_readable, is_writable) in events {
            self.core.note_readiness(id, is_readable, is_writable);
        }
        let elapsed = now.instant - self.start;
        self.log.add(|| format!("turn at {elapsed:?}: {events:?}"));
        self.note_full();
        let pauses = self.core.counters().get(Cause::AcceptPaused);
        self.core.turn(now);
        self.check_pauses(pauses);
        self.check_full();
        self.shake_hands();
        self.look_at_ended();
        self.core.recount();
        self.check_awake();
        self.check_books();
        let took = match self.odds.steps {
            0 => 0,
            _ => self.chance.pick(&[0, 0, 30, 2_000]),
        };
        self.clock.set(now.instant + Duration::from_micros(took));
        self.turn_ended = self.clock.get();
        self.deliver_mail();
        // What a budget has left behind is reported by nobody.
        let is_left = self.core.is_left_behind();
        assert!(!is_left || self.due() == Some(self.turn_ended), "it sleeps");
        self.digest.number(elapsed.as_nanos() as u64);
        let tap = self.tap.get();
        self.digest.number(tap.inputs << 32 | tap.air.sent);
    }
}
