//! The server under test, the model beside it, the clients around both, and one clock that moves
//! only here.
//!
//! Every input goes to the server and to the model at once, and whatever comes of it is compared
//! before the next. What the clients do is in `actions`, the single inputs are in `inputs`, and how
//! a run ends is in `finale`.

use crate::client::Client;
use crate::inputs::Line;
use crate::model::Model;
use crate::network::{Datagram, Network, SERVER_ADDRESSES};
use crate::outputs::Outputs;
use crate::plan::{Plan, Scale, Stage};
use crate::random::{Digest, Random};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use voiceapp_server::HashKey;
use voiceapp_server::cause::Ended;
use voiceapp_server::event::{ConnectionId, Now};
use voiceapp_server::switchboard::Switchboard;

/// How many lines of what has happened are kept for whoever replays a failure.
const TRACE_LINES: usize = 200;

/// January 2026, in milliseconds since the Unix epoch.
const FIRST_UNIX_MS: u64 = 1_767_225_600_000;

/// A connection whose client has vanished: it ends when the server finds out.
pub struct Ghost {
    pub connection: ConnectionId,
    pub ends_at: Duration,
    pub cause: Ended,
}

pub struct World {
    pub random: Random,
    pub plan: Plan,
    pub switchboard: Switchboard,
    pub model: Model,
    pub outputs: Outputs,
    pub clients: Vec<Client>,
    /// The server's end of each connection, by connection id.
    pub lines: Vec<Option<Line>>,
    pub ghosts: Vec<Ghost>,
    /// The server is out of descriptors until then, and whoever comes waits for it.
    pub accepts_again_at: Duration,
    pub waiting: Vec<usize>,
    pub network: Network,
    /// Which clients sit at an address.
    pub at_address: BTreeMap<SocketAddr, Vec<usize>>,
    base: Instant,
    pub elapsed: Duration,
    /// How far the wall clock has been set forward, or back.
    wall_skew_ms: i64,
    pub digest: Digest,
    pub step: u64,
    /// What the server was given to handle: connects, frames, ends and datagrams.
    pub inputs: u64,
    /// Voice datagrams that went to at least one other user.
    pub heard: u64,
    trace: Option<VecDeque<String>>,
}

impl World {
    pub fn new(seed: u64, steps: Option<u64>, with_trace: bool) -> Self {
        let mut random = Random::new(seed);
        let mut plan = Plan::of(seed, &mut random);
        plan.steps = steps.unwrap_or(plan.steps);
        let key = HashKey(random.next(), random.next());
        let network = Network::new(&mut random);
        let mut world = World {
            switchboard: Switchboard::new(plan.limits, key),
            model: Model::new(plan.limits),
            outputs: Outputs::default(),
            clients: Vec::new(),
            lines: Vec::new(),
            ghosts: Vec::new(),
            accepts_again_at: Duration::ZERO,
            waiting: Vec::new(),
            network,
            at_address: BTreeMap::new(),
            base: Instant::now(),
            elapsed: Duration::ZERO,
            wall_skew_ms: 0,
            digest: Digest::new(),
            step: 0,
            inputs: 0,
            heard: 0,
            trace: with_trace.then(VecDeque::new),
            random,
            plan,
        };
        world.add_clients();
        world
    }

    fn add_clients(&mut self) {
        let is_crowd = self.plan.scale == Scale::Crowd;
        for client in 0..self.plan.clients {
            let address = self.network.fresh_address(&mut self.random);
            let dialled = self.random.pick(&SERVER_ADDRESSES);
            let keeps_list = !is_crowd || client % 100 == 0;
            let ip = self.random.pick(&self.plan.homes);
            let newcomer = Client::new(ip, address, dialled, keeps_list);
            self.clients.push(newcomer);
            self.at_address.entry(address).or_default().push(client);
        }
    }

    pub fn run(&mut self) {
        if self.plan.scale == Scale::Crowd {
            self.gather_crowd();
        }
        for _ in 0..self.plan.steps {
            self.step += 1;
            self.advance_clock();
            self.let_things_happen();
            self.let_someone_act();
            self.change_bans();
            self.compare_tables();
            if self.step.is_multiple_of(16) {
                let client = self.random.below(self.clients.len());
                self.check_list(client);
            }
        }
        self.finish();
    }

    pub fn now(&self) -> Now {
        let unix_ms = FIRST_UNIX_MS + self.elapsed.as_millis() as u64;
        Now {
            instant: self.base + self.elapsed,
            unix_ms: unix_ms.saturating_add_signed(self.wall_skew_ms),
        }
    }

    pub fn instant(&self, elapsed: Duration) -> Instant {
        self.base + elapsed
    }

    /// Remembers a line for the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let (step, elapsed) = (self.step, self.elapsed);
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE_LINES {
                trace.pop_front();
            }
            trace.push_back(format!("step {step} at {elapsed:?}: {}", line()));
        }
    }

    pub fn trace(&self) -> impl Iterator<Item = &String> {
        self.trace.iter().flatten()
    }

    pub fn stage(&self, client: usize) -> Stage {
        let client = &self.clients[client];
        match client.connection {
            None => Stage::Away,
            Some(_) if client.session.is_logged_in() => Stage::User,
            Some(_) => Stage::Stranger,
        }
    }

    /// Usually a few milliseconds, sometimes none, seldom long enough for deadlines, and now and then
    /// so long that the machine must have slept. The wall clock is set at times, as clocks are.
    fn advance_clock(&mut self) {
        let micros = match self.random.below(1_000) {
            0..=299 => 0,
            // To the very moment at which something changes.
            300..=303 => {
                self.elapsed = self.model.next_moment(self.elapsed);
                0
            }
            304..=989 => self.random.below(20_000),
            990..=998 => self.random.below(500_000),
            _ => {
                let most_seconds = self.random.pick(&[12, 12, 12, 12, 90, 600, 36_000]);
                self.random.below(most_seconds * 1_000_000)
            }
        };
        self.elapsed += Duration::from_micros(micros as u64);
        if self.random.percent(1) {
            self.wall_skew_ms += self.random.below(20_000) as i64 - 10_000;
        }
    }

    /// Whatever is due: datagrams, ends that the server finds out about, questions asked again,
    /// deadlines.
    pub fn let_things_happen(&mut self) {
        while let Some(datagram) = self.network.arrived(self.elapsed) {
            match datagram {
                Datagram::ToServer(from, bytes) => self.datagram(from, &bytes),
                Datagram::ToClient(to, bytes) => self.answer_arrives(to, &bytes),
            }
        }
        while let Some(place) = self.ghosts.iter().position(|g| g.ends_at <= self.elapsed) {
            let ghost = self.ghosts.swap_remove(place);
            self.end(ghost.connection, ghost.cause);
        }
        self.ask_again();
        self.accept_waiting();
        // The loop may be late with its deadlines; whoever logs in meanwhile has made it.
        if self.random.percent(80) {
            self.tick();
        }
    }

    /// Now and then the server can take in nobody for a while. Then all who have come since do so
    /// at once, unless they have given up.
    fn accept_waiting(&mut self) {
        if self.elapsed < self.accepts_again_at {
            return;
        }
        for client in std::mem::take(&mut self.waiting) {
            if self.clients[client].connection.is_none() && self.random.percent(90) {
                self.connect(client);
            }
        }
        if self.plan.runs_out_of_descriptors && self.random.below(200) == 0 {
            let pause = Duration::from_millis(self.random.below(1_500) as u64);
            self.accepts_again_at = self.elapsed + pause;
        }
    }

    /// An unanswered VoiceAuthRequest is sent again 5 s later, as it was.
    fn ask_again(&mut self) {
        for client in 0..self.clients.len() {
            let elapsed = self.elapsed;
            let Some(proof) = &mut self.clients[client].proof else {
                continue;
            };
            if proof.again_at <= elapsed {
                proof.again_at = elapsed + Duration::from_secs(5);
                let datagram = proof.datagram.clone();
                self.send_datagram(client, self.clients[client].address, datagram);
            }
        }
    }

    fn let_someone_act(&mut self) {
        let client = self.random.below(self.clients.len());
        let stage = self.stage(client);
        if !self.clients[client].session.is_silent
            && let Some(action) = self.plan.choose(stage, &mut self.random)
        {
            self.note(|| format!("client {client}: {action:?}"));
            self.act(client, action);
        }
        if self.random.percent(75) {
            self.transmit_some(client);
        }
        let other = self.random.below(self.clients.len());
        self.transmit_some(other);
    }
}
