//! The keys themselves, from the protocol's sealing half.

use super::Opened;
use crate::cause::VoiceDropped;
use crate::protocol::sealing::{OpenError, Sealer, ServerOpener};
use crate::protocol::{SEALED_HEADER_BYTES, VoiceSecrets};

/// Those of both directions.
pub(super) struct Keys {
    opener: ServerOpener,
    sealer: Sealer,
}

impl Keys {
    /// What these secrets make.
    pub(super) fn of(secrets: VoiceSecrets) -> Option<Self> {
        let VoiceSecrets { key_id, suite, .. } = secrets;
        Some(Keys {
            opener: ServerOpener::new(suite, key_id, secrets.to_server),
            sealer: Sealer::new(suite, key_id, secrets.to_client),
        })
    }

    pub(super) fn open(&mut self, datagram: &mut [u8]) -> Result<Opened, VoiceDropped> {
        let opened = self.opener.open(datagram).map_err(|error| match error {
            OpenError::Datagram(_) => VoiceDropped::Malformed,
            OpenError::OtherKey => VoiceDropped::UnknownKey,
            OpenError::Replayed => VoiceDropped::Replayed,
            OpenError::OutOfReach => VoiceDropped::OutOfReach,
            OpenError::NotAuthentic => VoiceDropped::NotAuthentic,
        })?;
        Ok(Opened {
            inside: SEALED_HEADER_BYTES..SEALED_HEADER_BYTES + opened.inside.len(),
            is_newest: opened.is_newest,
        })
    }

    pub(super) fn seal(&mut self, frame: &[u8], datagram: &mut [u8]) -> bool {
        self.sealer.seal(frame, datagram).is_ok()
    }
}
