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
    /// A setting is not valid.
    Config(ConfigError),
    /// A port cannot be listened on.
    Listen {
        /// "TCP" or "UDP".
        protocol: &'static str,
        /// The address and port.
        address: SocketAddr,
        /// The field of [`Config`](crate::Config) to change.
        field: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The ban file cannot be read, or a line of it is not a ban.
    BanFile {
        /// Its path.
        path: PathBuf,
        /// The system's error, or the line.
        source: io::Error,
    },
    /// The password file cannot be read, everyone can read it, or a line of it is not a password.
    PasswordFile {
        /// Its path.
        path: PathBuf,
        /// The system's error, or the line.
        source: io::Error,
    },
    /// A certificate or its key cannot be read, or used.
    Certificate {
        /// Where it is.
        path: PathBuf,
        /// The field of [`Config`](crate::Config) that names it.
        field: &'static str,
        /// What the system said, or what is wrong with it.
        source: io::Error,
    },
    /// The system refused something else.
    System {
        /// What was attempted, to be read after "cannot".
        doing: String,
        /// The field of [`Config`](crate::Config) that asks for it, if there is one.
        field: Option<&'static str>,
        /// The system's error.
        source: io::Error,
    },
}

impl ServerError {
    pub(super) fn system(doing: impl Into<String>, source: io::Error) -> Self {
        ServerError::System {
            doing: doing.into(),
            field: None,
            source,
        }
    }

    /// The system refuses what a setting asks for.
    pub(super) fn refused(
        doing: impl Into<String>,
        field: &'static str,
        source: io::Error,
    ) -> Self {
        ServerError::System {
            doing: doing.into(),
            field: Some(field),
            source,
        }
    }

    /// Writes the message, with `name` for a field of the settings.
    pub(crate) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &dyn Fn(&'static str) -> String,
    ) -> fmt::Result {
        match self {
            ServerError::Config(error) => write!(f, "{error}"),
            ServerError::Listen {
                protocol,
                address,
                field,
                source,
            } => write!(
                f,
                "cannot listen on {protocol} port {} of {} ({}): {source}",
                address.port(),
                address.ip(),
                name(field),
            ),
            ServerError::BanFile { path, source } => {
                let field = name("ban_file");
                write!(f, "ban file {} ({field}): {source}", path.display())
            }
            ServerError::PasswordFile { path, source } => {
                let field = name("password_file");
                write!(f, "password file {} ({field}): {source}", path.display())
            }
            ServerError::Certificate {
                path,
                field,
                source,
            } => write!(
                f,
                "certificate {} ({}): {source}",
                path.display(),
                name(field)
            ),
            ServerError::System {
                doing,
                field,
                source,
            } => {
                let field = field.map_or(String::new(), |field| format!(" ({})", name(field)));
                write!(f, "cannot {doing}{field}: {source}")
            }
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &|field| field.into())
    }
}

impl std::error::Error for ServerError {
    /// The cause behind the message, without the system's error, which the message has already: an
    /// error that is printed with its sources says nothing twice.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServerError::Config(error) => error.source(),
            ServerError::Listen { source, .. }
            | ServerError::BanFile { source, .. }
            | ServerError::PasswordFile { source, .. }
            | ServerError::Certificate { source, .. }
            | ServerError::System { source, .. } => source.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bans::BanList;
    use crate::config::Config;
    use crate::limits::Limits;
    use std::error::Error;

    #[test]
    fn an_error_with_its_sources_says_each_thing_once() {
        let source = || io::Error::from_raw_os_error(13);
        let bad = BanList::parse("nonsense").expect_err("it is no address");
        let limits = Limits {
            users: 0,
            ..Limits::default()
        };
        let config = Config {
            limits,
            ..Config::default()
        };
        for error in [
            ServerError::Config(config.check().expect_err("it is out of range")),
            ServerError::Listen {
                protocol: "TCP",
                address: ([127, 0, 0, 1], 9001).into(),
                field: "management_port",
                source: source(),
            },
            ServerError::BanFile {
                path: "bans".into(),
                source: io::Error::other(bad),
            },
            ServerError::Certificate {
                path: "key.pem".into(),
                field: "tls_key",
                source: source(),
            },
            ServerError::system("do it", source()),
            ServerError::refused("lock memory", "lock_memory", source()),
        ] {
            let whole = error.to_string();
            assert!(
                !whole.contains("--"),
                "an application has no options: {whole}"
            );
            let mut next = error.source();
            while let Some(source) = next {
                let text = source.to_string();
                assert!(!whole.contains(&text), "{text:?} is twice in {whole:?}");
                next = source.source();
            }
        }
    }
}
