//! Whether the key that a server presents is the right one.
//!
//! A key is right if it is the one that the user names (an invitation or a pin), if it is the one that
//! was kept in `known_servers` for this host and port, or if the system's roots vouch for its
//! certificate. Else the first key is trusted and kept, and any other is refused from then on.
//!
//! If the roots have vouched once, `known_servers` keeps that in place of a key. Otherwise a stranger on the
//! network path could present its own certificate as if this were the first connection.
//!
//! All of this is decided here from what is handed in. [`mod@file`] reads and writes `known_servers`.

mod fingerprint;
mod known;
mod refusal;
#[cfg(test)]
mod tests;

pub mod file;

pub use fingerprint::Fingerprint;
pub use known::{Kept, Known};
pub use refusal::{Refusal, Unfit};

use serde::Serialize;
use std::path::PathBuf;

/// What a client trusts, beside a key that the user names.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The file that keeps keys. Without it, no key is trusted because it is the first.
    pub known_servers: Option<PathBuf>,
    /// The authorities that can vouch for a certificate.
    pub roots: Roots,
}

/// The authorities that can vouch for a certificate.
#[derive(Clone, Debug)]
pub enum Roots {
    /// Those of the system.
    System,
    /// These certificates, in DER.
    These(Vec<Vec<u8>>),
}

/// Why a key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grounds {
    /// The user has named it.
    Pinned,
    /// It was kept at an earlier connection.
    Known,
    /// The roots vouch for its certificate.
    Vouched,
    /// It is the first of this server.
    FirstUse,
}

/// The facts when a server presents a key.
pub struct Question<'a> {
    /// The host and the port, as `known_servers` has them.
    pub place: &'a str,
    /// What the server presents.
    pub presented: Fingerprint,
    /// What the user names.
    pub pinned: Option<Fingerprint>,
    /// What `known_servers` has, or why it cannot be read.
    pub known: Result<&'a Known, &'a str>,
}

/// The decision on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The key is the right one.
    Accept(Grounds),
    /// The key is the right one, and this is to be kept in `known_servers`.
    AcceptAndKeep(Grounds, Kept),
    /// The key is not trusted, and nothing is sent.
    Refuse(Unfit),
}

/// Decides whether to trust a key. `is_vouched` asks the roots, only if the decision depends on them.
pub fn decide(question: &Question<'_>, is_vouched: impl FnOnce() -> bool) -> Decision {
    let presented = question.presented;
    let kept = question.known.map(|known| known.of(question.place));
    if let Some(pinned) = question.pinned {
        return match kept {
            _ if pinned != presented => Decision::Refuse(Unfit::NotPinned { pinned }),
            Ok(Some(Kept::Key(key))) if key == presented => Decision::Accept(Grounds::Pinned),
            _ => Decision::AcceptAndKeep(Grounds::Pinned, Kept::Key(presented)),
        };
    }
    if kept == Ok(Some(Kept::Key(presented))) {
        return Decision::Accept(Grounds::Known);
    }
    if is_vouched() {
        return match kept {
            Ok(Some(Kept::Roots)) => Decision::Accept(Grounds::Vouched),
            _ => Decision::AcceptAndKeep(Grounds::Vouched, Kept::Roots),
        };
    }
    let known = match question.known {
        Ok(known) => known,
        Err(reason) => return Decision::Refuse(Unfit::Unknowable(reason.to_owned())),
    };
    let lines = known.lines_of(question.place);
    match known.of(question.place) {
        Some(Kept::Key(kept)) => Decision::Refuse(Unfit::Changed { kept, lines }),
        Some(Kept::Roots) => Decision::Refuse(Unfit::NotVouched { lines }),
        // One of them may have been this server's.
        None if !known.unreadable.is_empty() => {
            let lines = known.unreadable.clone();
            Decision::Refuse(Unfit::Unreadable { lines })
        }
        None => Decision::AcceptAndKeep(Grounds::FirstUse, Kept::Key(presented)),
    }
}
