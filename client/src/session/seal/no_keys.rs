//! In a build without encryption nobody has keys.

use std::ops::Range;
use voiceapp_protocol::VoiceSecrets;

/// There are none.
pub(super) enum Keys {}

impl Keys {
    /// Nothing comes of any secrets.
    pub(super) fn of(_secrets: VoiceSecrets) -> Option<Self> {
        None
    }

    pub(super) fn seal(&mut self, _frame: &[u8]) -> Option<Vec<u8>> {
        match *self {}
    }

    pub(super) fn open(&mut self, _datagram: &mut [u8]) -> Option<Range<usize>> {
        match *self {}
    }
}
