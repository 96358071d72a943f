//! How a connection begins: its first byte decides what it speaks, and a handshake of TLS follows step by
//! step.
//!
//! A step costs as much as many frames, and counts as so many. A stage takes only some, and voice is polled
//! after each.

use super::{Core, Voice};
use crate::cause::Ended;
use crate::connection::wire::{HandshakeStep, Speech, TlsStep};
use crate::event::{ConnectionId, Source, VoiceSecrets, VoiceToken};
use crate::limits::{HANDSHAKE_WORK_UNITS, RECORDS_PER_WORK_UNIT, WORK_UNIT_BYTES};
use crate::management::ConnectionFacts;
use crate::protocol::KeyId;
use crate::server::accept::Listener;
use crate::switchboard::Deliver;

impl<L: Listener, V: Voice> Core<L, V> {
    /// The first bytes of a connection have come, and lie in the scratch.
    pub(super) fn begin(&mut self, id: ConnectionId, speech: Speech, len: usize) {
        match (speech, &self.acceptor) {
            (Speech::Http, _) => self.connections.end(id, Ended::Http),
            (Speech::Tls, Some(_)) => self.begin_tls(id, len),
            // Without TLS, the first byte is that of a frame.
            (Speech::Tls, None) | (Speech::Frames, _) => {
                self.connections.copying_cost += len;
                if let Some(connection) = self.connections.living(id) {
                    connection.begin(&self.scratch[..len]);
                }
            }
        }
    }

    fn begin_tls(&mut self, id: ConnectionId, len: usize) {
        if !self.begin_handshake(id) {
            return self.connections.end(id, Ended::Handshakes);
        }
        if let Some(acceptor) = &self.acceptor
            && let Some(connection) = self.connections.living(id)
        {
            let step = connection.begin_tls(acceptor.begin(), len, &mut self.scratch);
            self.note_step(id, step);
        }
    }

    /// Records a handshake that begins, and closes the oldest if there is one too many. Returns false if
    /// its address has too many.
    fn begin_handshake(&mut self, id: ConnectionId) -> bool {
        let address = self.switchboard.management().address_of(id);
        let source = Source::of(address.expect("management knows who is connected"));
        let Ok(crowded_out) = self.handshakes.begin(id, source) else {
            return false;
        };
        if let Some(oldest) = crowded_out {
            self.connections.end(oldest, Ended::Handshakes);
        }
        true
    }

    /// Secrets to seal this connection's voice, under a key id of its own. There are none if the system has
    /// no randomness: the voice is then in clear.
    fn voice_secrets(&mut self, id: ConnectionId) -> Option<VoiceSecrets> {
        let key_id = loop {
            let VoiceToken(random) = self.door.listener.draw_token()?;
            let key_id = KeyId(random as u32);
            if self.switchboard.management().is_free(key_id) {
                break key_id;
            }
        };
        self.connections.living(id)?.voice_secrets(key_id)
    }

    /// Handles the result of reading through TLS.
    pub(super) fn note_step(&mut self, id: ConnectionId, step: TlsStep) {
        // A record has a price of its own, however short it is.
        let opened = step.records * WORK_UNIT_BYTES / RECORDS_PER_WORK_UNIT;
        self.connections.copying_cost += step.received + opened;
        self.connections.note_answered(id, step.answered);
        if let Some(handshake) = step.handshake {
            self.connections.copying_cost += HANDSHAKE_WORK_UNITS * WORK_UNIT_BYTES;
            self.steps_left = self.steps_left.saturating_sub(1);
            self.is_voice_due = true;
            if handshake == HandshakeStep::Last {
                self.handshakes.end(id);
                let facts = ConnectionFacts {
                    is_encrypted: true,
                    secrets: self.voice_secrets(id),
                };
                self.switchboard.set_facts(id, facts);
            }
        }
        if let Some(cause) = step.failure {
            self.connections.end(id, cause);
        }
    }
}
