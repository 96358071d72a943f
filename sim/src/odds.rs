//! The odds of a run: how many clients, within which limits, in what kind of kernel, and how often each of them does what.
//!
//! Every run leaves some things out and overdoes others, because a run with a little of everything never gets far into
//! any corner.

use crate::chance::Chance;
use crate::kernel::air::AirFaults;
use crate::kernel::pipe::Faults;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use voiceapp_server::Limits;

/// What a client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    LogIn,
    LogInBadly,
    LogInOften,
    Join,
    Leave,
    Mute,
    Waver,
    Chat,
    ChatOddly,
    Gossip,
    Ping,
    Flood,
    SendOdd,
    SendHuge,
    SendMalformed,
    SendNoise,
    Prove,
    ProveDeparted,
    ProveStolen,
    ProveZero,
    ProveRandom,
    ProveOwn,
    FloodWithProofs,
    ForgeProof,
    Speak,
    SpeakMuch,
    SpeakOddly,
    ForgeVoice,
    SendOddDatagram,
    MoveAddress,
    TakeOverAddress,
    Replay,
    ForgeSealed,
    FloodWithForged,
    ForgetSeal,
    HurryOn,
    SealFarAhead,
    EchoWrongly,
    SealOddly,
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
const WEIGHTS: [(Action, [usize; 2]); 48] = [
    (Action::LogIn, [60, 1]),
    (Action::LogInBadly, [4, 1]),
    (Action::LogInOften, [1, 1]),
    (Action::Join, [2, 14]),
    (Action::Leave, [1, 6]),
    (Action::Mute, [3, 8]),
    (Action::Waver, [0, 2]),
    (Action::Chat, [1, 10]),
    (Action::ChatOddly, [0, 2]),
    (Action::Gossip, [0, 2]),
    (Action::Ping, [3, 5]),
    (Action::Flood, [1, 3]),
    (Action::SendOdd, [2, 3]),
    (Action::SendHuge, [3, 1]),
    (Action::SendMalformed, [1, 1]),
    (Action::SendNoise, [1, 1]),
    (Action::Prove, [0, 14]),
    (Action::ProveDeparted, [1, 1]),
    (Action::ProveStolen, [1, 1]),
    (Action::ProveZero, [2, 1]),
    (Action::ProveRandom, [1, 1]),
    (Action::ProveOwn, [0, 1]),
    (Action::FloodWithProofs, [1, 1]),
    (Action::ForgeProof, [0, 1]),
    (Action::Speak, [2, 20]),
    (Action::SpeakMuch, [0, 3]),
    (Action::SpeakOddly, [0, 3]),
    (Action::ForgeVoice, [1, 1]),
    (Action::SendOddDatagram, [1, 3]),
    (Action::MoveAddress, [1, 3]),
    (Action::TakeOverAddress, [1, 1]),
    (Action::Replay, [1, 3]),
    (Action::ForgeSealed, [1, 3]),
    (Action::FloodWithForged, [0, 1]),
    (Action::ForgetSeal, [0, 1]),
    (Action::HurryOn, [0, 1]),
    (Action::SealFarAhead, [0, 1]),
    (Action::EchoWrongly, [0, 1]),
    (Action::SealOddly, [0, 2]),
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
    /// A crowd.
    Hundreds,
}

/// What a crowd may have in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Usual,
    /// Hardly anyone logs in, and many send long frames.
    Shy,
    /// All are there, and stay.
    Together,
}

/// See the [module](self). A failure prints all of it.
#[derive(Debug)]
pub struct Odds {
    #[cfg_attr(not(test), allow(dead_code, reason = "only tests ask"))]
    pub scale: Scale,
    pub mood: Mood,
    pub clients: usize,
    pub steps: u64,
    pub limits: Limits,
    /// Where clients connect from. There are fewer than clients, and some count as one.
    pub homes: Vec<IpAddr>,
    pub faults: Faults,
    pub accept_fault: usize,
    pub air: AirFaults,
    /// Whether the kernel tells what was acknowledged and who was heard.
    pub tells: bool,
    /// The least and the most that a kernel buffer holds.
    pub kernel_bytes: [usize; 2],
    /// How many datagrams the kernel keeps, and how many somebody who speaks much sends at once.
    pub voice_queue: usize,
    pub voice_flood: usize,
    /// Whether most are in voice and say much, so that more comes than can go out.
    pub is_loud: bool,
    /// How many in a hundred ask for capabilities, and how many are on an encrypted connection.
    pub asking: usize,
    pub encrypted: usize,
    pub has_bans: bool,
    /// Whether somebody sets the wall clock now and then.
    pub sets_clock: bool,
    /// How many events a poll reports.
    pub events_max: usize,
    /// The longest pause between two things that happen outside.
    pub pause_max: Duration,
    /// Steps until everything comes to rest and is looked at.
    pub steps_to_rest: u64,
    /// How often in a hundred all have the same idea.
    pub unison: usize,
    /// How many in a hundred of those who get to it do something.
    pub activity: usize,
    factors: Vec<(Action, usize)>,
}

impl Odds {
    /// Nothing goes wrong, nobody does anything of their own accord, and the kernel has room for everything.
    #[cfg(test)]
    pub fn none(limits: Limits) -> Self {
        Odds {
            scale: Scale::Few,
            mood: Mood::Usual,
            clients: 0,
            steps: 0,
            limits,
            homes: Vec::new(),
            faults: Faults::default(),
            accept_fault: 0,
            air: AirFaults::default(),
            tells: true,
            kernel_bytes: [1 << 24; 2],
            voice_queue: 100_000,
            voice_flood: 0,
            is_loud: false,
            asking: 0,
            encrypted: 0,
            has_bans: false,
            sets_clock: false,
            events_max: 1_024,
            pause_max: Duration::ZERO,
            steps_to_rest: 1,
            unison: 0,
            activity: 0,
            factors: Vec::new(),
        }
    }

    pub fn draw(chance: &mut Chance) -> Self {
        let scale = match chance.below(8) {
            7 => Scale::Hundreds,
            5..=6 => Scale::Dozens,
            _ => Scale::Few,
        };
        let mood = match (scale, chance.below(3)) {
            (Scale::Hundreds, 0) => Mood::Shy,
            (Scale::Hundreds, 1) => Mood::Together,
            _ => Mood::Usual,
        };
        let (clients, steps) = match scale {
            Scale::Few => (chance.between(2, 12), 1_200),
            Scale::Dozens => (chance.between(20, 60), 400),
            Scale::Hundreds => (chance.between(120, 250), 80),
        };
        let mut limits = limits(clients, chance);
        let home_count = match scale {
            Scale::Few => chance.pick(&[1, 3, 6]),
            _ => chance.pick(&[3, 20, 50]),
        };
        let mut kernel_bytes = chance.pick(&[[1, 200], [1_000, 10_000], [4_000, 300_000]]);
        let mut events_max = chance.pick(&[1, 8, 1_024, 1_024]);
        if mood != Mood::Usual {
            // All of them are let in, and what they do meets no other bound than the budgets.
            limits.pending_connections = 256;
            limits.login_timeout = Duration::from_secs(10);
            kernel_bytes = [4_000, 300_000];
        }
        if mood != Mood::Usual || chance.percent(60) {
            limits.connections_per_address = 0;
            limits.connection_rate = 0;
            limits.login_rate = 0;
        }
        if mood == Mood::Together {
            limits = Limits {
                users: clients + 1,
                outbound_bytes: 256 << 20,
                broadcast_bandwidth: 0,
                broadcast_bandwidth_per_address: 0,
                ..limits
            };
            events_max = 1_024;
        }
        let is_loud = scale != Scale::Few && chance.percent(50);
        if is_loud {
            limits = Limits {
                users: clients + 1,
                voice_rate: 0,
                voice_bandwidth: 0,
                voice_rate_per_address: 0,
                voice_bandwidth_per_address: 0,
                voice_from_anywhere: true,
                ..limits
            };
        }
        let is_end = |it| {
            let ends = [
                Action::Finish,
                Action::Vanish,
                Action::Reset,
                Action::LoseLine,
            ];
            let bad = [Action::SendHuge, Action::SendMalformed, Action::SendNoise];
            ends.contains(&it) || bad.contains(&it)
        };
        let factors = WEIGHTS.iter().map(|&(action, _)| {
            let factor = match action {
                Action::LogIn | Action::LogInOften if mood == Mood::Shy => 0,
                Action::SendHuge if mood == Mood::Shy => 10,
                Action::Join | Action::SpeakMuch if is_loud => 4,
                Action::Leave if is_loud => 0,
                _ if mood == Mood::Together && is_end(action) => 0,
                Action::LogIn | Action::ReadOn => 1,
                _ => chance.pick(&[0, 1, 1, 1, 4]),
            };
            (action, factor)
        });
        let factors = factors.collect();
        Odds {
            scale,
            mood,
            clients,
            steps,
            limits,
            homes: (0..home_count).map(|_| home(chance)).collect(),
            faults: Faults {
                blocks: chance.pick(&[0, 2, 20]),
                interrupts: chance.pick(&[0, 2, 20]),
                is_partial: chance.pick(&[0, 10, 60]),
                wakes_for_nothing: chance.pick(&[0, 2, 20]),
            },
            accept_fault: chance.pick(&[0, 0, 3]),
            air: AirFaults {
                loss: chance.pick(&[0, 2, 10, 30]),
                doubling: chance.pick(&[0, 3, 20]),
                delay: chance.pick(&[0, 20, 70]),
                damage: chance.pick(&[0, 2, 10]),
            },
            tells: !chance.percent(20),
            kernel_bytes,
            voice_queue: chance.pick(&[100, 5_000, 5_000]),
            voice_flood: chance.pick(&[1, 300, 2_000]),
            is_loud,
            asking: chance.pick(&[0, 50, 50, 100]),
            encrypted: chance.pick(&[0, 50, 50, 100]),
            has_bans: chance.percent(50),
            sets_clock: chance.percent(20),
            events_max,
            pause_max: Duration::from_micros(chance.pick(&[500, 20_000, 400_000, 3_000_000])),
            steps_to_rest: chance.between(50, 400) as u64,
            unison: if scale == Scale::Hundreds { 6 } else { 1 },
            activity: chance.pick(&[5, 20, 60]),
            factors,
        }
    }

    pub fn choose(&self, is_user: bool, chance: &mut Chance) -> Option<Action> {
        let weight = |((_, weights), (_, factor)): (&(Action, [usize; 2]), &(Action, usize))| {
            weights[usize::from(is_user)] * factor
        };
        let weights: Vec<usize> = WEIGHTS.iter().zip(&self.factors).map(weight).collect();
        chance.weighted(&weights).map(|at| WEIGHTS[at].0)
    }
}

/// Each without a limit, as usual, or so tight that hardly anything is permitted.
fn limits(clients: usize, chance: &mut Chance) -> Limits {
    let seconds = |chance: &mut Chance| Duration::from_secs(chance.between(1, 10) as u64);
    Limits {
        users: match chance.below(4) {
            0 => chance.between(1, clients),
            _ => clients + 1,
        },
        pending_connections: chance.pick(&[4, 16, 256, 256]),
        // Nobody speaks TLS here.
        handshakes: 4,
        connections_per_address: chance.pick(&[0, 256, 20, 2]),
        connection_rate: chance.pick(&[0, 300, 60, 7, 1]),
        login_rate: chance.pick(&[0, 150, 30, 7, 1]),
        guess_rate: 0,
        login_timeout: seconds(chance),
        stall_timeout: seconds(chance),
        dead_peer_timeout: Duration::from_secs(chance.pick(&[12, 13, 30, 60])),
        outbound_bytes: chance.pick(&[64 << 10, 1 << 20, 256 << 20, 256 << 20]),
        chat_rate: chance.pick(&[0, 0, 2, 1]),
        chat_bytes: chance.pick(&[4_096, 4_096, 60, 1]),
        state_rate: chance.pick(&[0, 5, 5, 1]),
        broadcast_bandwidth_per_address: chance.pick(&[0, 0, 16_384, 1_000]),
        broadcast_bandwidth: chance.pick(&[0, 0, 131_072, 2_000]),
        voice_rate: chance.pick(&[0, 0, 200, 1]),
        voice_bandwidth: chance.pick(&[0, 0, 65_536, 100]),
        voice_rate_per_address: chance.pick(&[0, 0, 3_000, 2]),
        voice_bandwidth_per_address: chance.pick(&[0, 0, 1_048_576, 200]),
        voice_age: Duration::from_millis(chance.pick(&[20, 500, 500, 60_000])),
        voice_from_anywhere: !chance.percent(20),
        voice_bytes: chance.pick(&[1_400, 1_400, 1_400, 200, 1]),
    }
}

/// An IPv4 address in either of its forms, which some are given to several clients, or an IPv6 address, in a network of
/// its own or with others.
fn home(chance: &mut Chance) -> IpAddr {
    let v4 = Ipv4Addr::new(198, 51, 100, chance.below(4) as u8);
    let host = chance.next() as u128;
    match chance.below(6) {
        0 => v4.into(),
        1 => v4.to_ipv6_mapped().into(),
        2 => Ipv4Addr::from_bits(0x0A00_0000 | chance.below(200) as u32).into(),
        3 => Ipv6Addr::from_bits(0x2001_0db8_0001_u128 << 80 | host).into(),
        4 => Ipv6Addr::from_bits(0x2001_0db8_0003_u128 << 80 | (host & 1) << 64 | host).into(),
        _ => Ipv6Addr::from_bits(0x2001_0db8_0002_u128 << 80 | (host & 0xff) << 64 | 1).into(),
    }
}
