//! In a build without encryption nobody has keys, and nothing is sealed or opened.

use super::Opened;
use crate::cause::VoiceDropped;
use crate::protocol::VoiceSecrets;

/// There are none.
pub(super) enum Keys {}

impl Keys {
    /// Nothing comes of any secrets.
    pub(super) fn of(_secrets: VoiceSecrets) -> Option<Self> {
        None
    }

    pub(super) fn open(&mut self, _datagram: &mut [u8]) -> Result<Opened, VoiceDropped> {
        match *self {}
    }

    pub(super) fn seal(&mut self, _frame: &[u8], _datagram: &mut [u8]) -> bool {
        match *self {}
    }
}
