//! What both ends of a TLS connection derive from it for sealed voice: a key id, a suite, and a secret for
//! each direction.
//!
//! These are plain values. The feature `sealing` computes with them.

use core::fmt;

/// The label with which both ends ask their TLS connection for the secrets (its exporter: RFC 8446,
/// section 7.5). The context is the [key's id](KeyId::context).
pub const EXPORTER_LABEL: &[u8] = b"EXPERIMENTAL-voiceapp-voice-1";

/// Bytes of one secret.
pub const SECRET_BYTES: usize = 32;

/// The name of a client's keys for sealed voice, chosen by the server: unique among those that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl KeyId {
    /// The exporter's context.
    pub fn context(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The suites of TLS 1.3 that sealed voice supports. It uses the connection's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// TLS_AES_128_GCM_SHA256.
    Aes128GcmSha256,
    /// TLS_AES_256_GCM_SHA384.
    Aes256GcmSha384,
    /// TLS_CHACHA20_POLY1305_SHA256.
    ChaCha20Poly1305Sha256,
}

impl Suite {
    /// The suite with this number of the registry (RFC 8446, appendix B.4).
    pub fn of(number: u16) -> Option<Self> {
        match number {
            0x1301 => Some(Suite::Aes128GcmSha256),
            0x1302 => Some(Suite::Aes256GcmSha384),
            0x1303 => Some(Suite::ChaCha20Poly1305Sha256),
            _ => None,
        }
    }

    /// Bytes of a key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Suite::Aes128GcmSha256 => 16,
            Suite::Aes256GcmSha384 | Suite::ChaCha20Poly1305Sha256 => 32,
        }
    }
}

/// One direction's secret. Its `Debug` form hides it, so that it cannot reach a log by accident.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; SECRET_BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets of sealed voice between a server and one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceSecrets {
    /// The id that the server gave it.
    pub key_id: KeyId,
    /// The suite of the TLS connection.
    pub suite: Suite,
    /// The secret for what the client seals.
    pub to_server: Secret,
    /// The secret for what the server seals.
    pub to_client: Secret,
}

impl VoiceSecrets {
    /// Splits the exporter's 64 bytes: the client's secret comes first.
    pub fn of(key_id: KeyId, suite: Suite, exported: &[u8; 2 * SECRET_BYTES]) -> Self {
        let (mut to_server, mut to_client) = ([0; SECRET_BYTES], [0; SECRET_BYTES]);
        to_server.copy_from_slice(&exported[..SECRET_BYTES]);
        to_client.copy_from_slice(&exported[SECRET_BYTES..]);
        VoiceSecrets {
            key_id,
            suite,
            to_server: Secret(to_server),
            to_client: Secret(to_client),
        }
    }
}
