//! Why a server's key is refused, and what the user can do about it.
//!
//! Nothing but the handshake has been sent to such a server.

use super::Fingerprint;
use std::fmt::{self, Display, Formatter};

/// What to do when another key is right.
const RENEW: &str = "If the new key is right, connect once with the owner's invitation, or with --pin and \
                     its fingerprint.";

/// A server whose key is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The host and the port.
    pub server: String,
    /// The fingerprint of the key that it presents.
    pub presented: Fingerprint,
    /// What is wrong with it.
    pub unfit: Unfit,
    /// Where keys are kept, as it is shown to the user.
    pub file: String,
}

/// Why a key is not trusted. Lines are those of `known_servers`, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The user has named another.
    NotPinned {
        /// The one that was named.
        pinned: Fingerprint,
    },
    /// Another was kept.
    Changed {
        /// The one that was kept last.
        kept: Fingerprint,
        /// Where.
        lines: Vec<usize>,
    },
    /// The roots have vouched for this server before, and do not now.
    NotVouched {
        /// Where that was kept.
        lines: Vec<usize>,
    },
    /// The server may be one of those whose lines cannot be read.
    Unreadable {
        /// Which they are.
        lines: Vec<usize>,
    },
    /// It cannot be checked whether a key was kept, for this reason.
    Unknowable(String),
    /// The key cannot be kept, for this reason.
    NotKept(String),
    /// The other end presents a certificate without having its key.
    NotProven,
}

impl Refusal {
    /// The key that it should have been, if there is one.
    pub fn expected(&self) -> Option<Fingerprint> {
        match self.unfit {
            Unfit::NotPinned { pinned } => Some(pinned),
            Unfit::Changed { kept, .. } => Some(kept),
            _ => None,
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Refusal {
            server,
            presented,
            unfit,
            file,
        } = self;
        match unfit {
            Unfit::NotPinned { pinned } => write!(
                f,
                "{server} has another key than the one you named, so nothing was sent.\n\
                 \x20 named:     sha256={pinned}\n\
                 \x20 presented: sha256={presented}\n\
                 Someone on the network path may pose as the server, or it has a new key: ask its \
                 owner for a new invitation."
            ),
            Unfit::Changed { kept, lines } => write!(
                f,
                "the key of {server} has changed, so nothing was sent.\n\
                 \x20 kept:      sha256={kept} ({file}, {})\n\
                 \x20 presented: sha256={presented}\n\
                 Someone on the network path may pose as the server, or it has a new key: ask its \
                 owner. {RENEW}",
                numbers(lines)
            ),
            Unfit::NotVouched { lines } => write!(
                f,
                "no authority of this system vouches for {server} any more, so nothing was sent.\n\
                 \x20 kept:      roots ({file}, {})\n\
                 \x20 presented: sha256={presented}\n\
                 Someone on the network path may pose as the server, or its certificate has expired or \
                 is another: ask its owner. {RENEW}",
                numbers(lines)
            ),
            Unfit::Unreadable { lines } => write!(
                f,
                "{file}: cannot read {}, which may be of {server}, so nothing was sent.\n\
                 \x20 presented: sha256={presented}\n\
                 Mend or delete that, or connect with the owner's invitation.",
                numbers(lines)
            ),
            Unfit::Unknowable(reason) => write!(
                f,
                "cannot check whether the key of {server} is known, so nothing was sent: {reason}.\n\
                 \x20 presented: sha256={presented}\n\
                 Mend that, or connect with the owner's invitation or --pin."
            ),
            Unfit::NotKept(reason) => write!(
                f,
                "cannot keep the key of {server}, so nothing was sent: {file}: {reason}.\n\
                 \x20 presented: sha256={presented}\n\
                 Mend that, or connect with the owner's invitation or --pin."
            ),
            Unfit::NotProven => write!(
                f,
                "{server} presents a certificate without having its key, so nothing was sent: someone \
                 on the network path poses as it.\n\
                 \x20 presented: sha256={presented}"
            ),
        }
    }
}

/// Lines in words.
fn numbers(lines: &[usize]) -> String {
    let all: Vec<String> = lines.iter().map(usize::to_string).collect();
    let word = if all.len() == 1 { "line" } else { "lines" };
    format!("{word} {}", all.join(", "))
}
