//! The oracle's part of what clients ask for: what is granted, what is said for refusals and before a close, and what
//! others hear of encryption, rules 13 and 14. Who asks for nothing gets nothing of it.

use super::{Connection, Model};
use crate::wire::{self, Payload};
use voiceapp_server::cause::Cause;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::name;
use voiceapp_server::simulation::About;

/// What a handshake has shown of a connection: whether it is encrypted, and which key it has for its voice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    pub is_encrypted: bool,
    pub key_id: Option<u32>,
}

impl Connection {
    pub fn is_extended(&self) -> bool {
        self.granted.is_some_and(|caps| caps & wire::EXTENDED != 0)
    }

    /// The key that its voice is sealed with.
    pub fn sealed_with(&self) -> Option<u32> {
        let caps = self.granted.unwrap_or_default();
        self.facts.key_id.filter(|_| caps & wire::CAP_SEALED != 0)
    }

    /// Of this, what is possible on it.
    pub fn possible(&self, asked: u32) -> u32 {
        let sealed = match self.facts.key_id {
            Some(_) => wire::CAP_SEALED,
            None => 0,
        };
        asked & (wire::EXTENDED | sealed)
    }
}

impl Model {
    /// What stands behind the list of people, for who has asked.
    pub fn granted(&mut self, to: ConnectionId) -> Payload {
        let About {
            name,
            welcome,
            voice_port,
        } = self.about.clone();
        let connection = self.connection(to);
        let Some(caps) = connection.granted else {
            return Payload::new();
        };
        let mut granted = Payload::new().u32(caps);
        if !name.is_empty() || !welcome.is_empty() {
            let greeting = Payload::new().string(name.as_bytes());
            let greeting = greeting.string(welcome.as_bytes());
            granted = granted.bytes(&greeting.frame(2));
        }
        if let Some(port) = voice_port {
            granted = granted.bytes(&Payload::new().u16(port).frame(3));
        }
        if let Some(key_id) = connection.sealed_with() {
            granted = granted.bytes(&Payload::new().u32(key_id).frame(4));
        }
        // Nobody here is an operator.
        granted.bytes(&Payload::new().bytes(&[0]).frame(5))
    }

    /// What stands behind the empty list of a refused login, for who has asked.
    pub fn refusal_of(&self, cause: Cause, name: &str) -> Payload {
        let (reason, text) = match cause {
            Cause::LoginBadName => {
                let why = name::accept(name).expect_err("nobody can have it");
                (1, format!("the name is not allowed: {why}"))
            }
            Cause::LoginServerFull => (2, "the server is full".to_string()),
            Cause::LoginTooFast => (6, "too many log in from your address".to_string()),
            Cause::BroadcastTooMuch => (6, "too much happens at once".to_string()),
            other => unreachable!("{other:?} refuses nobody here"),
        };
        let refusal = Payload::new().bytes(&[reason]).string(text.as_bytes());
        Payload::new().u32(0).bytes(&refusal.frame(1))
    }

    /// Who knows the newer packets hears why the connection is about to end.
    pub fn say_that_it_ends(&mut self, to: ConnectionId, cause: Cause) {
        if !self.connection(to).is_extended() {
            return;
        }
        let (reason, text) = match cause {
            Cause::ClosedBanned => (4, "your address was banned"),
            Cause::ClosedLoginRefused => (6, "you log in too often"),
            Cause::ClosedMalformed => (0, "the server could not read what your client sent"),
            other => unreachable!("{other:?} is nothing that management ends a user for"),
        };
        let last = Payload::new().bytes(&[reason]).string(text.as_bytes());
        self.sent.send(to, &last.frame(wire::ENDED));
    }
}

/// That somebody's connection is encrypted.
pub fn flags_of(user_id: u64) -> Vec<u8> {
    let flags = Payload::new().u64(user_id).bytes(&[wire::IS_ENCRYPTED]);
    flags.frame(wire::USER_FLAGS)
}
