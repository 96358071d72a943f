//! The keys themselves, from the protocol's sealing half.

use std::ops::Range;
use voiceapp_protocol::sealing::{ClientOpener, Sealer};
use voiceapp_protocol::{SEAL_OVERHEAD_BYTES, SEALED_HEADER_BYTES, VoiceSecrets};

/// Those of both directions.
pub(super) struct Keys {
    sealer: Sealer,
    opener: ClientOpener,
}

impl Keys {
    /// What these secrets make.
    pub(super) fn of(secrets: VoiceSecrets) -> Option<Self> {
        let VoiceSecrets { key_id, suite, .. } = secrets;
        Some(Keys {
            sealer: Sealer::new(suite, key_id, secrets.to_server),
            opener: ClientOpener::new(suite, key_id, secrets.to_client),
        })
    }

    pub(super) fn seal(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut datagram = vec![0; frame.len() + SEAL_OVERHEAD_BYTES];
        self.sealer.seal(frame, &mut datagram).ok()?;
        Some(datagram)
    }

    pub(super) fn open(&mut self, datagram: &mut [u8]) -> Option<Range<usize>> {
        let opened = self.opener.open(datagram).ok()?;
        Some(SEALED_HEADER_BYTES..SEALED_HEADER_BYTES + opened.inside.len())
    }
}
