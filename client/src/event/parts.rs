//! What several events have in them: users, what was heard of them, and the connection.

use crate::jitter::Counts;
use crate::protection::{Encryption, Protection};
use crate::speaker::Arrivals;
use serde::Serialize;
use voiceapp_protocol::UserId;

/// A user, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The id that the server gave.
    pub user_id: u64,
    /// The chosen name. Empty if the server has not sent it.
    pub name: String,
    /// Whether another user here has the same name.
    #[serde(skip)]
    pub has_namesake: bool,
}

/// An entry in the list of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The user.
    #[serde(flatten)]
    pub who: Who,
    /// Whether this is the client itself.
    pub is_you: bool,
    /// Whether the user is in voice.
    pub in_voice: bool,
    /// Whether the user is muted.
    pub is_muted: bool,
    /// Whether nobody on the way can read what they and the server say to each other.
    pub is_encrypted: bool,
    /// Whether their name is reserved, and they have proved that it is theirs.
    pub name_is_proved: bool,
}

/// What was received of a speaker, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heard {
    /// The speaker.
    #[serde(flatten)]
    pub who: Who,
    /// What arrived.
    #[serde(flatten)]
    pub arrivals: Arrivals,
    /// Only with `--listen` or `--record`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playout: Option<Playout>,
}

/// What the jitter buffer did, in frames of 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Playout {
    /// Whether some of what has arrived is still to be played.
    pub is_playing: bool,
    /// How much sound it holds back, so that late datagrams are not missed.
    pub depth_ms: u32,
    /// What became of the datagrams.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A connection, as a client shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionState {
    /// The host and the port.
    pub server: String,
    /// What is encrypted.
    #[serde(flatten)]
    pub protection: Protection,
    /// How, if anything is.
    #[serde(flatten)]
    pub encryption: Option<Encryption>,
}

impl Who {
    /// A user of whom only the id is known.
    pub fn stranger(id: UserId) -> Self {
        Who {
            user_id: id.0,
            name: String::new(),
            has_namesake: false,
        }
    }
}
