//! What lies between a connection's bytes and its stream: nothing, or TLS.
//!
//! The first byte from the client decides, for good. Sealed bytes wait here until the kernel takes them: at
//! most one record and the answers of a handshake. They count as queued for the connection.

use super::Stream;
use crate::cause::Ended;
use crate::event::VoiceSecrets;
use crate::limits::{HANDSHAKE_BYTES_MAX, IDLE_BUFFER_BYTES_MAX};
use crate::protocol::{EXPORTER_LABEL, FrameBuffer, KeyId, SECRET_BYTES};
use crate::tls::{READ_BYTES, RECORD_BYTES_MAX, RECORD_OVERHEAD_BYTES, Session};
use records::Records;
use std::io;

mod records;
#[cfg(all(test, feature = "encryption"))]
mod tests;

/// The language of a client's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Frames,
    Http,
    Tls,
}

impl Speech {
    /// By the first byte (rule 14a). No packet that a client sends has the id of a handshake record of TLS (RFC 8446, section
    /// 5.1), or of the G of a GET.
    pub(crate) fn of(first: u8) -> Self {
        match first {
            0x16 => Speech::Tls,
            b'G' => Speech::Http,
            _ => Speech::Frames,
        }
    }
}

/// What lies between a connection's bytes and its stream: see the [module](self).
pub(crate) enum Wire {
    /// Nothing has come yet.
    Undecided,
    Plain,
    Tls(Box<TlsWire>),
}

/// The result of reading through TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsStep {
    /// Bytes that came in.
    pub(crate) received: usize,
    /// Records that they complete.
    pub(crate) records: usize,
    /// Bytes to send in answer, beyond what was queued.
    pub(crate) answered: usize,
    /// Whether it was a step of the handshake, and whether the last.
    pub(crate) handshake: Option<HandshakeStep>,
    /// Why the connection must be closed, if it must.
    pub(crate) failure: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeStep {
    UnderWay,
    Last,
}

/// The length of so many bytes once they are sealed.
pub(super) fn sealed_len(plain: usize) -> usize {
    plain + plain.div_ceil(RECORD_BYTES_MAX) * RECORD_OVERHEAD_BYTES
}

/// One side of TLS, with the bytes that it has sealed.
pub(crate) struct TlsWire {
    session: Session,
    sealed: Vec<u8>,
    /// How much of that the kernel has taken.
    sent: usize,
    records: Records,
    /// Bytes that the client has sent for its handshake.
    handshake_bytes: usize,
    /// Whether the client has sent anything inside TLS.
    has_spoken: bool,
}

impl TlsWire {
    pub(super) fn new(session: Session) -> Self {
        TlsWire {
            session,
            sealed: Vec::new(),
            sent: 0,
            records: Records::default(),
            handshake_bytes: 0,
            has_spoken: false,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// The secrets with which both ends can seal voice.
    pub(super) fn voice_secrets(&self, key_id: KeyId) -> Option<VoiceSecrets> {
        let mut exported = [0; 2 * SECRET_BYTES];
        let context = key_id.context();
        let suite = self
            .session
            .export(EXPORTER_LABEL, &context, &mut exported)?;
        Some(VoiceSecrets::of(key_id, suite, &exported))
    }

    /// Bytes that are sealed and not taken by the kernel yet.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.sealed[self.sent..]
    }

    /// Bytes that came in and are not handled: part of a record, and what was opened of others.
    pub(super) fn held(&self) -> usize {
        self.records.partial() + self.session.readable()
    }

    /// Hands over as many of the client's bytes as there is room for. Reads once first, unless bytes are
    /// left from before.
    pub(super) fn read<S: Stream>(
        &mut self,
        stream: &mut S,
        inbound: &mut FrameBuffer,
        scratch: &mut [u8],
    ) -> io::Result<Option<TlsStep>> {
        if self.session.readable() > 0 {
            return Ok(Some(self.hand_over(TlsStep::default(), inbound, scratch)));
        }
        if self.session.is_finished_by_peer() {
            return Ok(None);
        }
        let (came, plain) = scratch.split_at_mut(READ_BYTES);
        Ok(match stream.read(came)? {
            0 => None,
            len => Some(self.step(&came[..len], inbound, plain)),
        })
    }

    /// Takes in what came.
    pub(super) fn step(
        &mut self,
        came: &[u8],
        inbound: &mut FrameBuffer,
        plain: &mut [u8],
    ) -> TlsStep {
        let (before, was_handshaking) = (self.sealed.len(), self.is_handshaking());
        let result = self.session.feed(came, &mut self.sealed);
        let records = self.records.see(came);
        let is_handshaking = self.is_handshaking();
        let handshake = was_handshaking.then_some(match is_handshaking {
            true => HandshakeStep::UnderWay,
            false => HandshakeStep::Last,
        });
        if is_handshaking {
            self.handshake_bytes += came.len();
        }
        let failure = match result {
            Err(_) if was_handshaking => Some(Ended::TlsHandshake),
            Err(_) => Some(Ended::TlsBroken),
            Ok(()) if self.handshake_bytes > HANDSHAKE_BYTES_MAX => Some(Ended::TlsHandshake),
            Ok(()) if self.session.is_for_http() => Some(Ended::Http),
            Ok(()) => None,
        };
        let step = TlsStep {
            received: came.len(),
            records,
            answered: self.sealed.len() - before,
            handshake,
            failure,
        };
        self.hand_over(step, inbound, plain)
    }

    /// Hands over as many of the client's bytes as there is room for.
    fn hand_over(
        &mut self,
        mut step: TlsStep,
        inbound: &mut FrameBuffer,
        plain: &mut [u8],
    ) -> TlsStep {
        if self.session.readable() == 0 || step.failure.is_some() {
            return step;
        }
        let room = plain.len().min(super::room(inbound));
        let len = self.session.take(&mut plain[..room]);
        inbound.extend(&plain[..len]);
        if !std::mem::replace(&mut self.has_spoken, true) && Speech::of(plain[0]) == Speech::Http {
            step.failure = Some(Ended::Http);
        }
        step
    }

    /// Seals the next bytes to send, unless sealed ones still wait. Returns how many it sealed.
    pub(super) fn seal(&mut self, plain: &[u8]) -> usize {
        if !self.waiting().is_empty() || plain.is_empty() || self.is_handshaking() {
            return 0;
        }
        let len = plain.len().min(RECORD_BYTES_MAX);
        self.session.seal(&plain[..len], &mut self.sealed);
        len
    }

    /// Says that nothing more will be sent (rule 14d).
    pub(super) fn finish(&mut self) {
        self.session.finish(&mut self.sealed);
    }

    /// The kernel has taken so many bytes.
    pub(super) fn took(&mut self, len: usize) {
        self.sent += len;
        if self.sent == self.sealed.len() {
            self.sealed.clear();
            self.sealed.shrink_to(IDLE_BUFFER_BYTES_MAX);
            self.sent = 0;
        }
    }
}
