//! What kind of run a seed makes: how many clients, how much room, and how often each of them does
//! what.
//!
//! Every run leaves some things out and overdoes others, because a run with a little of everything
//! never gets far into any corner.

use crate::random::Random;
use voiceapp_server::Rates;

/// Everything that a client can do in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Connect,
    LogIn,
    LogInBadly,
    StaySilent,
    Join,
    Leave,
    Mute,
    Unmute,
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
const WEIGHTS: [(Action, [usize; 3]); 29] = [
    (Action::Connect, [60, 0, 0]),
    (Action::LogIn, [0, 60, 1]),
    (Action::LogInBadly, [0, 6, 1]),
    (Action::StaySilent, [0, 2, 0]),
    (Action::Join, [0, 2, 16]),
    (Action::Leave, [0, 1, 6]),
    (Action::Mute, [0, 3, 6]),
    (Action::Unmute, [0, 1, 5]),
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
    pub max_users: usize,
    pub rates: Rates,
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
        // Without limits, as usual, or so tight that hardly anything is permitted.
        let rates = Rates {
            chat_messages: random.pick(&[0, 2, 2, 1]),
            voice_datagrams: random.pick(&[0, 100, 100, 100, 1]),
            voice_bytes: random.pick(&[0, 65_536, 65_536, 65_536, 1_000]),
        };
        let factor = |&(action, _): &(Action, [usize; 3])| match action {
            Action::Connect | Action::LogIn => 1,
            _ => random.pick(&[0, 1, 1, 1, 3]),
        };
        let factors = WEIGHTS.iter().map(factor).collect();
        Plan {
            scale,
            clients,
            max_users,
            rates,
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
