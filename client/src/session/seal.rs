//! The seal of our voice, if the server has granted one: what goes over UDP is encrypted with it in both
//! directions, and nothing else is believed.

#[cfg(feature = "encryption")]
mod keys;
#[cfg(not(feature = "encryption"))]
mod no_keys;

use super::Session;
#[cfg(feature = "encryption")]
use keys::Keys;
#[cfg(not(feature = "encryption"))]
use no_keys::Keys;
use std::ops::Range;
use voiceapp_protocol::{KeyId, VoiceSecrets};

/// Asks the encrypted connection for the secrets of a key. It has none if it cannot give any.
pub type Exporter = Box<dyn Fn(KeyId) -> Option<VoiceSecrets> + Send>;

/// Keys of both directions.
pub(super) struct Seal(Keys);

impl Seal {
    pub(super) fn of(secrets: VoiceSecrets) -> Option<Self> {
        Keys::of(secrets).map(Seal)
    }
}

impl Session {
    /// Whether what goes over UDP is encrypted.
    pub fn is_voice_encrypted(&self) -> bool {
        self.seal.is_some()
    }

    /// Datagrams that our seal does not open: forged, damaged, repeated, or not sealed at all.
    pub fn unopened(&self) -> u64 {
        self.unopened
    }

    /// The server has granted a seal with this key. It stays as long as the session: made anew, it would
    /// begin to count anew (rule 15c).
    pub(super) fn handle_key(&mut self, key_id: KeyId) {
        if self.seal.is_some() {
            return;
        }
        let secrets = self.exporter.as_ref().and_then(|export| export(key_id));
        self.seal = secrets.and_then(Seal::of);
    }

    /// A datagram with this frame, as the server is to get it.
    pub(super) fn sealed(&mut self, frame: Vec<u8>) -> Option<Vec<u8>> {
        match &mut self.seal {
            Some(Seal(keys)) => keys.seal(&frame),
            None => Some(frame),
        }
    }

    /// Where in a datagram the frame is, if our seal lets it through, or there is none.
    /// Rules 15d and 15e.
    pub(super) fn opened(&mut self, datagram: &mut [u8]) -> Option<Range<usize>> {
        let Some(Seal(keys)) = &mut self.seal else {
            return Some(0..datagram.len());
        };
        let inside = keys.open(datagram);
        self.unopened += u64::from(inside.is_none());
        inside
    }
}
