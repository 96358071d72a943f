//! Why a server cannot start, or cannot go on.

use crate::config::ConfigError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server cannot start, or cannot go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// A setting is out of its range.
    Config(ConfigError),
    /// A port cannot be listened on.
    Listen {
        /// "TCP" or "UDP".
        protocol: &'static str,
        /// The address and port that were asked for.
        address: SocketAddr,
        /// The option to change, so that it can be.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The ban file cannot be read, or a line of it is no ban.
    BanFile {
        /// Where it is.
        path: PathBuf,
        /// What the system said, or which line it is.
        source: io::Error,
    },
    /// The system refused something else.
    System {
        /// What was attempted, to be read after "cannot".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ServerError {
    pub(super) fn system(doing: impl Into<String>, source: io::Error) -> Self {
        let doing = doing.into();
        ServerError::System { doing, source }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Config(error) => error.fmt(f),
            ServerError::Listen {
                protocol,
                address,
                setting,
                source,
            } => write!(
                f,
                "cannot listen on {protocol} port {} of {} ({setting}): {source}",
                address.port(),
                address.ip()
            ),
            ServerError::BanFile { path, source } => {
                write!(f, "ban file {} (--ban-file): {source}", path.display())
            }
            ServerError::System { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServerError::Config(error) => Some(error),
            ServerError::Listen { source, .. }
            | ServerError::BanFile { source, .. }
            | ServerError::System { source, .. } => Some(source),
        }
    }
}
