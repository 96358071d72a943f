//! Which parts of a connection are encrypted, as the client shows them to its user.

use super::trust::{Fingerprint, Grounds};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// Which parts of a connection are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Protection {
    /// What goes over TCP: names, messages, who is here.
    pub is_tcp_encrypted: bool,
    /// What goes over UDP.
    pub is_voice_encrypted: bool,
}

/// How a connection is encrypted, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// The version of TLS.
    pub tls: String,
    /// The cipher suite, by its name in the standard.
    pub suite: String,
    /// The fingerprint of the server's key.
    pub fingerprint: Fingerprint,
    /// Why that key is trusted.
    pub trusted: Grounds,
}

impl Display for Protection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_tcp_encrypted, self.is_voice_encrypted) {
            (true, true) => "messages and voice encrypted",
            (true, false) => "messages encrypted, voice in clear",
            (false, true) => "voice encrypted, messages in clear",
            (false, false) => "messages and voice in clear",
        })
    }
}

impl Display for Encryption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Encryption {
            tls,
            suite,
            fingerprint,
            trusted,
        } = self;
        let trusted = match trusted {
            Grounds::Pinned => "named by the invitation or --pin",
            Grounds::Known => "kept at an earlier connection",
            Grounds::Vouched => "an authority of this system vouches for it",
            Grounds::FirstUse => "the first key of this server",
        };
        write!(f, "{tls}, {suite}; key sha256={fingerprint} ({trusted})")
    }
}
