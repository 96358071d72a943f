//! What kind of run a seed makes: how many clients, within which limits, in what kind of kernel, and
//! how often each of them does what.
//!
//! Every run leaves some things out and overdoes others, because a run with a little of everything
//! never gets far into any corner.

use super::pipe::Faults;
use super::random::Random;
use crate::limits::Limits;
use std::time::Duration;

/// What a client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    LogIn,
    LogInBadly,
    Join,
    Leave,
    Mute,
    Chat,
    Ping,
    Flood,
    Gossip,
    Waver,
    SendJunk,
    SendHuge,
    SendMalformed,
    Prove,
    Speak,
    ReadSlowly,
    StopReading,
    ReadOn,
    WriteSlowly,
    WriteOn,
    LoseLine,
    Finish,
    Vanish,
    Reset,
}

/// How often each is chosen: by a stranger, by a user.
const WEIGHTS: [(Action, [usize; 2]); 24] = [
    (Action::LogIn, [60, 1]),
    (Action::LogInBadly, [3, 1]),
    (Action::Join, [2, 12]),
    (Action::Leave, [1, 6]),
    (Action::Mute, [3, 8]),
    (Action::Chat, [1, 16]),
    (Action::Ping, [3, 6]),
    (Action::Flood, [1, 3]),
    (Action::Gossip, [0, 2]),
    (Action::Waver, [0, 2]),
    (Action::SendJunk, [2, 3]),
    (Action::SendHuge, [3, 1]),
    (Action::SendMalformed, [1, 1]),
    (Action::Prove, [0, 8]),
    (Action::Speak, [0, 16]),
    (Action::ReadSlowly, [1, 3]),
    (Action::StopReading, [1, 5]),
    (Action::ReadOn, [2, 4]),
    (Action::WriteSlowly, [3, 4]),
    (Action::WriteOn, [2, 4]),
    (Action::LoseLine, [1, 3]),
    (Action::Finish, [1, 1]),
    (Action::Vanish, [1, 1]),
    (Action::Reset, [1, 1]),
];

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Few,
    Dozens,
    Hundreds,
}

impl Scale {
    pub fn of(seed: u64) -> Scale {
        match Random::new(seed).below(8) {
            0 => Scale::Hundreds,
            1..=2 => Scale::Dozens,
            _ => Scale::Few,
        }
    }
}

/// What hundreds may have in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Usual,
    /// Hardly anyone logs in, and many send long frames.
    Shy,
    /// All are there, and stay.
    Together,
}

#[derive(Debug)]
pub struct Plan {
    pub clients: usize,
    pub steps: u64,
    pub limits: Limits,
    pub faults: Faults,
    pub accept_fault: usize,
    /// Whether the kernel tells what was acknowledged and who was heard.
    pub tells: bool,
    /// The least and the most that a kernel buffer holds.
    pub kernel_bytes: [usize; 2],
    /// How many datagrams the kernel keeps, and how many somebody who floods sends at once.
    pub voice_queue: usize,
    pub voice_flood: usize,
    /// Whether somebody sets the wall clock now and then.
    pub sets_clock: bool,
    /// How many events a poll reports.
    pub events_max: usize,
    /// The longest pause between two things that happen outside.
    pub pause_max: Duration,
    /// Steps until everything comes to rest and is looked at.
    pub steps_to_calm: u64,
    /// How often in a hundred all have the same idea.
    pub unison: usize,
    pub mood: Mood,
    /// How many in a hundred of those who get to it do something.
    pub activity: usize,
    factors: Vec<usize>,
}

impl Plan {
    pub fn of(seed: u64, random: &mut Random) -> Plan {
        let scale = Scale::of(seed);
        let (clients, steps) = match scale {
            Scale::Few => (random.between(2, 12), 1_200),
            Scale::Dozens => (random.between(20, 60), 500),
            Scale::Hundreds => (random.between(120, 250), 120),
        };
        let seconds = |random: &mut Random| Duration::from_secs(random.between(1, 10) as u64);
        let mut limits = Limits {
            users: match random.below(4) {
                0 => random.between(1, clients),
                _ => clients + 1,
            },
            pending_connections: random.pick(&[4, 16, 256, 256]),
            connections_per_address: random.pick(&[0, 0, 0, 16]),
            login_timeout: seconds(random),
            stall_timeout: seconds(random),
            dead_peer_timeout: Duration::from_secs(random.pick(&[12, 13, 30, 60])),
            outbound_bytes: random.pick(&[64 << 10, 1 << 20, 256 << 20, 256 << 20]),
            chat_rate: random.pick(&[0, 0, 2]),
            state_rate: random.pick(&[0, 5, 1]),
            voice_rate: random.pick(&[0, 0, 200]),
            voice_rate_per_address: random.pick(&[0, 0, 1_000]),
            voice_age: Duration::from_millis(random.pick(&[20, 500, 500, 60_000])),
            ..Limits::UNLIMITED
        };
        let faults = Faults {
            blocks: random.pick(&[0, 2, 20]),
            interrupts: random.pick(&[0, 2, 20]),
            is_partial: random.pick(&[0, 10, 60]),
            wakes_for_nothing: random.pick(&[0, 2, 20]),
        };
        let mut kernel_bytes = random.pick(&[[1, 200], [1_000, 10_000], [4_000, 300_000]]);
        let mut events_max = random.pick(&[1, 8, 1_024, 1_024]);
        let mood = match (scale, random.below(3)) {
            (Scale::Hundreds, 0) => Mood::Shy,
            (Scale::Hundreds, 1) => Mood::Together,
            _ => Mood::Usual,
        };
        if mood != Mood::Usual {
            // All of them are let in, and what they do meets no other bound than the budgets.
            limits.pending_connections = 256;
            limits.connections_per_address = 0;
            kernel_bytes = [4_000, 300_000];
        }
        if mood == Mood::Together {
            limits.users = clients + 1;
            limits.outbound_bytes = 256 << 20;
            events_max = 1_024;
        }
        let factors = WEIGHTS.iter().map(|&(action, _)| match action {
            Action::LogIn if mood == Mood::Shy => 0,
            Action::SendHuge if mood == Mood::Shy => 10,
            Action::SendHuge | Action::SendMalformed if mood == Mood::Together => 0,
            Action::Finish | Action::Vanish | Action::Reset | Action::LoseLine
                if mood == Mood::Together =>
            {
                0
            }
            Action::LogIn | Action::ReadOn => 1,
            _ => random.pick(&[0, 1, 1, 1, 4]),
        });
        let factors = factors.collect();
        Plan {
            clients,
            steps,
            limits,
            faults,
            voice_queue: random.pick(&[100, 5_000, 5_000]),
            voice_flood: random.pick(&[1, 300, 2_000]),
            sets_clock: random.percent(20),
            accept_fault: random.pick(&[0, 0, 3]),
            tells: random.percent(80),
            kernel_bytes,
            events_max,
            pause_max: Duration::from_micros(random.pick(&[500, 20_000, 400_000, 3_000_000])),
            unison: if scale == Scale::Hundreds { 6 } else { 1 },
            mood,
            activity: random.pick(&[5, 20, 60]),
            steps_to_calm: random.between(50, 400) as u64,
            factors,
        }
    }

    pub fn choose(&self, is_user: bool, random: &mut Random) -> Option<Action> {
        let weight = |(at, (_, weights)): (usize, &(Action, [usize; 2]))| {
            weights[usize::from(is_user)] * self.factors[at]
        };
        let weights: Vec<usize> = WEIGHTS.iter().enumerate().map(weight).collect();
        random.weighted(&weights).map(|at| WEIGHTS[at].0)
    }
}
