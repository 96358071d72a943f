//! Whether settings are valid: each in its range, and all of them together. Errors name the fields
//! of [`Config`]. Code that reads settings from elsewhere puts other names in their place.

use super::Config;
use crate::limits::{
    CHAT_BYTES_MAX, Limits, MAX_USERS_CEILING, PENDING_CONNECTIONS_CEILING, RATE_CEILING,
    SERVER_NAME_BYTES_MAX, VOICE_DATA_BYTES_MAX, WELCOME_BYTES_MAX, outbound_bytes_max,
};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// The CPUs that a thread can be kept on, from 0.
const CPUS_MAX: usize = 1_024;
const REALTIME_PRIORITY_MAX: u8 = 99;
const MIB: usize = 1_024 * 1_024;
/// A tebibyte, where the address space is large enough.
const OUTBOUND_BYTES_CEILING: usize = MIB.saturating_mul(MIB);

/// A setting that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// It is out of its range.
    Range {
        /// The field of [`Config`], such as `limits.users`.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be, to be read after "is not".
        expected: String,
    },
    /// It contradicts another.
    Together {
        /// The field of [`Config`] that is at fault, and its value.
        field: (&'static str, String),
        /// What is wrong, to be read between the two fields.
        relation: &'static str,
        /// The other field, and its value.
        other: (&'static str, String),
        /// The consequence, to be read after the two fields.
        because: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Range {
                field,
                value,
                expected,
            } => write!(f, "{field}: {value} is not {expected}"),
            ConfigError::Together {
                field: (field, value),
                relation,
                other: (other, other_value),
                because,
            } => write!(
                f,
                "{field} {value} {relation} {other} {other_value}{because}"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Checks that every value is in its range, and that no value contradicts another.
    /// [`Server::bind`](crate::Server::bind) calls this first.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first setting that is not valid.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        self.check_together()
    }

    /// Checks that every value is in its range.
    pub(crate) fn check_ranges(&self) -> Result<(), ConfigError> {
        if let Some(address) = self.bind_address
            && (address.is_multicast() || address == Ipv4Addr::BROADCAST)
        {
            return Err(ConfigError::Range {
                field: "bind_address",
                value: address.to_string(),
                expected: "an address of one machine".into(),
            });
        }
        for (field, path) in [
            ("ban_file", &self.ban_file),
            ("password_file", &self.password_file),
            ("tls_certificate", &self.tls_certificate),
            ("tls_key", &self.tls_key),
            ("state_directory", &self.state_directory),
        ] {
            if path
                .as_ref()
                .is_some_and(|path| path.as_os_str().is_empty())
            {
                return Err(ConfigError::Range {
                    field,
                    value: "\"\"".into(),
                    expected: "a path".into(),
                });
            }
        }
        for (field, text, bytes_max) in [
            ("server_name", &self.server_name, SERVER_NAME_BYTES_MAX),
            ("welcome", &self.welcome, WELCOME_BYTES_MAX),
        ] {
            if text.len() > bytes_max || text.contains(char::is_control) {
                return Err(ConfigError::Range {
                    field,
                    value: format!("{text:?}"),
                    expected: format!("a line of at most {bytes_max} bytes"),
                });
            }
        }
        within("pin_to_cpu", self.pin_to_cpu.unwrap_or(0), 0..=CPUS_MAX - 1)?;
        within(
            "realtime_priority",
            self.realtime_priority,
            0..=REALTIME_PRIORITY_MAX,
        )?;
        check_limits(&self.limits)
    }

    /// Checks that no value contradicts another.
    pub(crate) fn check_together(&self) -> Result<(), ConfigError> {
        check_rates_together(&self.limits)?;
        self.check_metrics()?;
        self.check_certificate()?;
        check_sizes_together(&self.limits)
    }

    /// The metrics port is a port of its own.
    fn check_metrics(&self) -> Result<(), ConfigError> {
        if let Some(metrics) = self.metrics_address.filter(|it| self.would_listen_at(*it)) {
            return Err(ConfigError::Together {
                field: ("metrics_address", metrics.to_string()),
                relation: "is taken by",
                other: ("management_port", self.management_port.to_string()),
                because: ": give each a port of its own".into(),
            });
        }
        Ok(())
    }

    /// A certificate is of no use without its key, nor the other way round.
    fn check_certificate(&self) -> Result<(), ConfigError> {
        let shown = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "none".into(),
        };
        let certificate = ("tls_certificate", shown(&self.tls_certificate));
        let key = ("tls_key", shown(&self.tls_key));
        let (field, other) = match (&self.tls_certificate, &self.tls_key) {
            (Some(_), None) => (certificate, key),
            (None, Some(_)) => (key, certificate),
            _ => return Ok(()),
        };
        Err(ConfigError::Together {
            field,
            relation: "is of no use with",
            other,
            because: ": a certificate and its key belong together".into(),
        })
    }

    /// Whether management would take this TCP address.
    fn would_listen_at(&self, address: SocketAddr) -> bool {
        let (theirs, port) = (address.ip(), address.port());
        let meet = match self.bind_address.map(|own| own.to_canonical()) {
            None => true,
            Some(own) if own.is_unspecified() || theirs.is_unspecified() => {
                // IPv6's "every address" is all of IPv4 too.
                own.is_ipv4() == theirs.is_ipv4()
                    || [own, theirs].contains(&IpAddr::from(Ipv6Addr::UNSPECIFIED))
            }
            Some(own) => own == theirs,
        };
        meet && port == self.management_port && port != 0
    }
}

/// No rate is above one that it counts towards.
fn check_rates_together(limits: &Limits) -> Result<(), ConfigError> {
    for (field, rate, other, of_more, because) in [
        (
            "limits.login_rate",
            limits.login_rate,
            "limits.connection_rate",
            limits.connection_rate,
            ": each login needs a connection",
        ),
        (
            "limits.voice_rate",
            limits.voice_rate,
            "limits.voice_rate_per_address",
            limits.voice_rate_per_address,
            "",
        ),
        (
            "limits.voice_bandwidth",
            limits.voice_bandwidth,
            "limits.voice_bandwidth_per_address",
            limits.voice_bandwidth_per_address,
            "",
        ),
        (
            "limits.broadcast_bandwidth_per_address",
            limits.broadcast_bandwidth_per_address,
            "limits.broadcast_bandwidth",
            limits.broadcast_bandwidth,
            "",
        ),
    ] {
        if rate > of_more && of_more > 0 {
            return Err(ConfigError::Together {
                field: (field, rate.to_string()),
                relation: "cannot be reached with",
                other: (other, of_more.to_string()),
                because: because.into(),
            });
        }
    }
    Ok(())
}

/// One voice datagram fits into a second of voice, and one login into what is queued.
fn check_sizes_together(limits: &Limits) -> Result<(), ConfigError> {
    let (bandwidth, frame) = (limits.voice_bandwidth, limits.voice_frame_bytes());
    if bandwidth > 0 && (bandwidth as usize) < frame {
        return Err(ConfigError::Together {
            field: ("limits.voice_bandwidth", bandwidth.to_string()),
            relation: "is less than one datagram a second of",
            other: ("limits.voice_bytes", limits.voice_bytes.to_string()),
            because: format!(" ({frame} bytes with its header)"),
        });
    }
    let one = outbound_bytes_max(limits.users);
    if limits.outbound_bytes < one {
        return Err(ConfigError::Together {
            field: ("limits.outbound_bytes", limits.outbound_bytes.to_string()),
            relation: "has no room for one login among",
            other: ("limits.users", limits.users.to_string()),
            because: format!(": that takes up to {} MiB", one.div_ceil(MIB)),
        });
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), ConfigError> {
    let seconds = |least, most| Duration::from_secs(least)..=Duration::from_secs(most);
    within("limits.users", limits.users, 1..=MAX_USERS_CEILING)?;
    within(
        "limits.pending_connections",
        limits.pending_connections,
        4..=PENDING_CONNECTIONS_CEILING,
    )?;
    within(
        "limits.handshakes",
        limits.handshakes,
        4..=PENDING_CONNECTIONS_CEILING,
    )?;
    within(
        "limits.connections_per_address",
        limits.connections_per_address,
        0..=MAX_USERS_CEILING,
    )?;
    within(
        "limits.login_timeout",
        limits.login_timeout,
        seconds(1, 300),
    )?;
    within(
        "limits.stall_timeout",
        limits.stall_timeout,
        seconds(1, 300),
    )?;
    within(
        "limits.dead_peer_timeout",
        limits.dead_peer_timeout,
        seconds(12, 3_600),
    )?;
    within(
        "limits.outbound_bytes",
        limits.outbound_bytes,
        MIB..=OUTBOUND_BYTES_CEILING,
    )?;
    within("limits.chat_bytes", limits.chat_bytes, 1..=CHAT_BYTES_MAX)?;
    within(
        "limits.voice_bytes",
        limits.voice_bytes,
        1..=VOICE_DATA_BYTES_MAX,
    )?;
    let age = Duration::from_millis(20)..=Duration::from_secs(60);
    within("limits.voice_age", limits.voice_age, age)?;
    check_rates(limits)
}

fn check_rates(limits: &Limits) -> Result<(), ConfigError> {
    for (field, rate) in [
        ("limits.connection_rate", limits.connection_rate),
        ("limits.login_rate", limits.login_rate),
        ("limits.guess_rate", limits.guess_rate),
        ("limits.chat_rate", limits.chat_rate),
        ("limits.state_rate", limits.state_rate),
        (
            "limits.broadcast_bandwidth_per_address",
            limits.broadcast_bandwidth_per_address,
        ),
        ("limits.broadcast_bandwidth", limits.broadcast_bandwidth),
        ("limits.voice_rate", limits.voice_rate),
        ("limits.voice_bandwidth", limits.voice_bandwidth),
        (
            "limits.voice_rate_per_address",
            limits.voice_rate_per_address,
        ),
        (
            "limits.voice_bandwidth_per_address",
            limits.voice_bandwidth_per_address,
        ),
    ] {
        within(field, rate, 0..=RATE_CEILING)?;
    }
    Ok(())
}

fn within<T: PartialOrd + fmt::Debug>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(ConfigError::Range {
        field,
        value: format!("{value:?}"),
        expected: format!("from {least:?} to {most:?}"),
    })
}

#[cfg(test)]
mod tests;
