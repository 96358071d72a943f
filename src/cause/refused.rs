//! Why a connection is not taken in.

use super::Cause;
use std::fmt;

/// Why a connection is not taken in. It has been counted as the [`Cause`] that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionRefused {
    /// Its address is banned.
    Banned,
    /// Its address connects too often.
    TooOften,
    /// Its address has as many connections as it may.
    TooManyFromAddress,
    /// Its address has as many connections as it may that have not logged in.
    TooManyPending,
}

impl From<ConnectionRefused> for Cause {
    fn from(refused: ConnectionRefused) -> Cause {
        match refused {
            ConnectionRefused::Banned => Cause::RefusedBanned,
            ConnectionRefused::TooOften => Cause::RefusedTooOften,
            ConnectionRefused::TooManyFromAddress => Cause::RefusedTooManyFromAddress,
            ConnectionRefused::TooManyPending => Cause::RefusedTooManyPending,
        }
    }
}

impl fmt::Display for ConnectionRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionRefused::Banned => "the address is banned",
            ConnectionRefused::TooOften => "the address connects too often",
            ConnectionRefused::TooManyFromAddress => "the address has too many connections",
            ConnectionRefused::TooManyPending => {
                "the address has too many connections that have not logged in"
            }
        })
    }
}

impl std::error::Error for ConnectionRefused {}
