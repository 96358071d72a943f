//! What clients ask for when they log in, and what they are granted: their capabilities, as far as the
//! connection permits.
//!
//! A client that asks for nothing gets the same bytes as the oldest clients (rule 13a). For one that asks, each
//! refusal has a reason, and [`Ended`](Packet::Ended) is the last frame before its connection is closed.

use super::{Audience, ManagementServer, Outbox, Session, SessionState, To};
use crate::cause::Ended;
use crate::event::{ConnectionId, VoiceSecrets};
use crate::protocol::{self, Caps, Granted, KeyId, LoginFlags, Packet, Reason, Refusal, UserFlags};

/// The facts of a connection, beside its address. They decide what is possible on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// The secrets that can seal its voice.
    pub secrets: Option<VoiceSecrets>,
}

impl ConnectionFacts {
    /// What can be granted (rule 13b). Whatever depends on how a client is connected is decided here.
    fn possible(self) -> Caps {
        match self.secrets {
            Some(_) => Caps::EXTENDED | Caps::SEALED,
            None => Caps::EXTENDED,
        }
    }

    /// What others should know of a user with such a connection.
    pub(super) fn flags(self) -> UserFlags {
        match self.is_encrypted {
            true => UserFlags::IS_ENCRYPTED,
            false => UserFlags::NONE,
        }
    }
}

/// The server's description of itself, for clients that ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its name, or nothing.
    pub name: String,
    /// Its text for newcomers, or nothing.
    pub welcome: String,
    /// The UDP port that voice goes to, if it is known.
    pub voice_port: Option<u16>,
}

impl About {
    /// What a login is granted, beside capabilities.
    pub(super) fn grant(&self, caps: Caps, key_id: Option<KeyId>) -> Granted<'_> {
        let is_silent = self.name.is_empty() && self.welcome.is_empty();
        Granted {
            caps,
            server: (!is_silent).then_some(protocol::Greeting {
                name: &self.name,
                welcome: &self.welcome,
            }),
            voice_port: self.voice_port,
            key_id,
            flags: Some(LoginFlags::NONE),
            ..Granted::default()
        }
    }
}

/// What a refused login is granted (rule 13e): nothing, and the reason. A stranger learns nothing about the server.
pub(super) fn refusal(reason: Reason, text: &str) -> Granted<'_> {
    Granted {
        refusal: Some(Refusal { reason, text }),
        ..Granted::default()
    }
}

impl Session {
    /// The part of this that is granted.
    pub(super) fn possible(&self, asked: Caps) -> Caps {
        asked & self.facts.possible()
    }

    /// Whether its client knows reasons and the newer packets.
    pub(super) fn is_extended(&self) -> bool {
        let granted = self.granted.unwrap_or_default();
        granted.contains(Caps::EXTENDED)
    }

    /// The secrets that seal its voice, if that was granted.
    pub(super) fn granted_secrets(&self) -> Option<VoiceSecrets> {
        let granted = self.granted.unwrap_or_default();
        let secrets = self.facts.secrets;
        secrets.filter(|_| granted.contains(Caps::SEALED))
    }
}

impl ManagementServer {
    /// Sets the description of the server from now on.
    pub fn set_about(&mut self, about: About) {
        self.about = about;
    }

    /// Sets the facts of a connection, before it logs in.
    pub fn set_facts(&mut self, connection: ConnectionId, facts: ConnectionFacts) {
        if let Some(session) = self.session(connection)
            && matches!(session.state, SessionState::Pending { .. })
        {
            let before = std::mem::replace(&mut session.facts, facts);
            self.forget_key_of(before);
            let named = facts.secrets.map(|secrets| secrets.key_id);
            self.key_ids.extend(named);
        }
    }

    /// Whether no connection has a key with this id, so that the next may have it.
    pub fn is_free(&self, key_id: KeyId) -> bool {
        !self.key_ids.contains(&key_id)
    }

    /// Frees the key id of a connection that is gone.
    pub(super) fn forget_key_of(&mut self, facts: ConnectionFacts) {
        if let Some(secrets) = facts.secrets {
            self.key_ids.remove(&secrets.key_id);
        }
    }

    /// Notifies each client that understands it that the server stops.
    pub(crate) fn say_goodbye(&self, outbox: &mut Outbox) {
        let to = To::Those(Audience::Extended);
        outbox.send(to, &farewell(Ended::ServerStopped));
    }
}

/// The last frame on a connection that is closed (rule 13i).
pub(super) fn farewell(cause: Ended) -> Packet<'static> {
    let (reason, text) = (cause.reason(), cause.said());
    Packet::Ended { reason, text }
}
