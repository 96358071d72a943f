//! What kind of run a seed makes: how many clients, how much room, and how often each of them does
//! what.
//!
//! Every run leaves some things out and overdoes others, because a run with a little of everything
//! never gets far into any corner.

use crate::random::Random;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use voiceapp_server::Limits;

/// Everything that a client can do in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Connect,
    LogIn,
    LogInBadly,
    FloodWithLogins,
    ComeAndGo,
    StaySilent,
    Join,
    Leave,
    Mute,
    Unmute,
    Flap,
    Chat,
    ChatOddly,
    Ping,
    Prove,
    ProveDepartedToken,
    ProveStolenToken,
    ProveZeroToken,
    ProveRandomToken,
    FloodWithProofs,
    ForgeProof,
    Speak,
    FloodWithVoice,
    SpeakOddly,
    ForgeVoice,
    MoveAddress,
    TakeOverAddress,
    SendOddFrame,
    SendMalformedFrame,
    SendNoise,
    SendOddDatagram,
    LeaveServer,
    Vanish,
}

/// How far a client has come.
#[derive(Clone, Copy)]
pub enum Stage {
    Away,
    Stranger,
    User,
}

/// How often each action is chosen: away, as a stranger, as a user.
const WEIGHTS: [(Action, [usize; 3]); 33] = [
    (Action::Connect, [60, 0, 0]),
    (Action::LogIn, [0, 60, 1]),
    (Action::LogInBadly, [0, 6, 1]),
    (Action::FloodWithLogins, [0, 2, 0]),
    (Action::ComeAndGo, [2, 0, 0]),
    (Action::StaySilent, [0, 2, 0]),
    (Action::Join, [0, 2, 16]),
    (Action::Leave, [0, 1, 6]),
    (Action::Mute, [0, 3, 6]),
    (Action::Unmute, [0, 1, 5]),
    (Action::Flap, [0, 0, 2]),
    (Action::Chat, [0, 1, 4]),
    (Action::ChatOddly, [0, 0, 1]),
    (Action::Ping, [0, 2, 3]),
    (Action::Prove, [0, 0, 14]),
    (Action::ProveDepartedToken, [1, 1, 2]),
    (Action::ProveStolenToken, [1, 1, 1]),
    (Action::ProveZeroToken, [0, 2, 1]),
    (Action::ProveRandomToken, [1, 1, 1]),
    (Action::FloodWithProofs, [0, 0, 1]),
    (Action::ForgeProof, [0, 0, 1]),
    (Action::Speak, [2, 2, 40]),
    (Action::FloodWithVoice, [0, 0, 1]),
    (Action::SpeakOddly, [0, 0, 4]),
    (Action::ForgeVoice, [1, 1, 1]),
    (Action::MoveAddress, [1, 1, 3]),
    (Action::TakeOverAddress, [1, 0, 1]),
    (Action::SendOddFrame, [0, 2, 3]),
    (Action::SendMalformedFrame, [0, 1, 1]),
    (Action::SendNoise, [0, 1, 1]),
    (Action::SendOddDatagram, [1, 1, 3]),
    (Action::LeaveServer, [0, 1, 2]),
    (Action::Vanish, [0, 1, 2]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Few enough to fill the server, and to meet each other all the time.
    Few,
    Hundreds,
    /// More than a LoginResponse can list, and than may wait for their login at once.
    Crowd,
}

impl Scale {
    pub fn of(seed: u64) -> Scale {
        match Random::new(seed).below(16) {
            0 => Scale::Crowd,
            1..=4 => Scale::Few,
            _ => Scale::Hundreds,
        }
    }
}

pub struct Plan {
    pub scale: Scale,
    pub clients: usize,
    pub limits: Limits,
    /// Where clients connect from. There are fewer than clients, and some count as one.
    pub homes: Vec<IpAddr>,
    pub has_bans: bool,
    pub runs_out_of_descriptors: bool,
    pub steps: u64,
    /// What each action's weight is multiplied by in this run.
    factors: Vec<usize>,
}

impl Plan {
    pub fn of(seed: u64, random: &mut Random) -> Plan {
        let scale = Scale::of(seed);
        let (clients, max_users, steps) = match scale {
            Scale::Few => {
                let clients = random.between(2, 30);
                (clients, random.between(1, clients + 2), 15_000)
            }
            Scale::Hundreds => {
                let clients = random.between(100, 300);
                (clients, random.between(clients / 2, clients + 50), 3_000)
            }
            Scale::Crowd => (random.between(1_500, 1_520), 2_000, 200),
        };
        // A crowd is there to be let in, and a run in which hardly anyone gets in sees little else.
        let mut limits = limits(max_users, random);
        if scale == Scale::Crowd || random.percent(50) {
            limits.connections_per_address = 0;
            limits.connection_rate = 0;
            limits.login_rate = 0;
        }
        if scale == Scale::Crowd {
            limits.pending_connections = 1_024;
        }
        let home_count = match scale {
            Scale::Few => random.pick(&[1, 3, 10]),
            _ => random.pick(&[3, 20, 50, 100, 100]),
        };
        let homes = (0..home_count).map(|_| home(random)).collect();
        let factor = |&(action, _): &(Action, [usize; 3])| match action {
            Action::Connect | Action::LogIn => 1,
            _ => random.pick(&[0, 1, 1, 1, 3]),
        };
        let factors = WEIGHTS.iter().map(factor).collect();
        Plan {
            scale,
            clients,
            limits,
            homes,
            has_bans: random.percent(60),
            runs_out_of_descriptors: random.percent(30),
            steps,
            factors,
        }
    }

    pub fn choose(&self, stage: Stage, random: &mut Random) -> Option<Action> {
        let weight = |((_, weights), factor): (&(Action, [usize; 3]), &usize)| {
            weights[stage as usize] * factor
        };
        let weights: Vec<usize> = WEIGHTS.iter().zip(&self.factors).map(weight).collect();
        random.weighted(&weights).map(|place| WEIGHTS[place].0)
    }
}

/// Each without limits, as usual, or so tight that hardly anything is permitted.
fn limits(users: usize, random: &mut Random) -> Limits {
    Limits {
        users,
        pending_connections: random.pick(&[1_024, 1_024, 64, 8, 4]),
        connections_per_address: random.pick(&[0, 256, 256, 20, 2, 2]),
        connection_rate: random.pick(&[0, 300, 300, 60, 60, 7, 1]),
        login_rate: random.pick(&[0, 150, 150, 30, 30, 7, 1]),
        login_timeout: Duration::from_secs(random.pick(&[10, 10, 10, 1, 300])),
        chat_rate: random.pick(&[0, 2, 2, 1]),
        chat_bytes: random.pick(&[4_096, 4_096, 4_096, 60, 1]),
        state_rate: random.pick(&[0, 5, 5, 5, 1]),
        broadcast_bandwidth_per_address: random.pick(&[0, 16_384, 16_384, 100]),
        broadcast_bandwidth: random.pick(&[0, 131_072, 131_072, 1_000]),
        voice_rate: random.pick(&[0, 100, 100, 1]),
        voice_bandwidth: random.pick(&[0, 65_536, 65_536, 500]),
        voice_rate_per_address: random.pick(&[0, 3_000, 3_000, 2]),
        voice_bandwidth_per_address: random.pick(&[0, 1_048_576, 1_048_576, 1_000]),
        voice_bytes: random.pick(&[1_400, 1_400, 1_400, 1_400, 200, 1]),
        ..Limits::default()
    }
}

/// An IPv4 address in either of its forms, which some are given to several clients, or an IPv6 address,
/// in a network of its own or with others.
fn home(random: &mut Random) -> IpAddr {
    let v4 = Ipv4Addr::new(198, 51, 100, random.below(4) as u8);
    let host = random.next() as u128;
    match random.below(6) {
        0 => v4.into(),
        1 => v4.to_ipv6_mapped().into(),
        2 => Ipv4Addr::from_bits(0x0A00_0000 | random.below(200) as u32).into(),
        3 => Ipv6Addr::from_bits(0x2001_0db8_0001_u128 << 80 | host).into(),
        4 => Ipv6Addr::from_bits(0x2001_0db8_0003_u128 << 80 | (host & 1) << 64 | host).into(),
        _ => Ipv6Addr::from_bits(0x2001_0db8_0002_u128 << 80 | (host & 0xff) << 64 | 1).into(),
    }
}
