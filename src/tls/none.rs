//! In the place of [`tls`](self) where the server is built without the feature `encryption`: there is no certificate,
//! and so no session.

use crate::fingerprint::Fingerprint;
use crate::protocol::Suite;
use std::fmt;

pub(crate) const READ_BYTES: usize = 4_096;
pub(crate) const RECORD_BYTES_MAX: usize = 16_384;
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 22;

/// What there is none of.
#[derive(Clone, Copy, Debug)]
enum Never {}

/// It is the only one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IdentityError;

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this server is built without encryption")
    }
}

impl std::error::Error for IdentityError {}

#[derive(Clone, Debug)]
pub(crate) struct Identity(Never);

impl Identity {
    pub(crate) fn parse(_certificates: &[u8], _key: &[u8]) -> Result<Self, IdentityError> {
        Err(IdentityError)
    }

    pub(crate) fn make() -> Result<String, IdentityError> {
        Err(IdentityError)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match self.0 {}
    }
}

#[derive(Clone)]
pub(crate) struct Acceptor(Never);

impl Acceptor {
    pub(crate) fn new(identity: &Identity) -> Self {
        match identity.0 {}
    }

    pub(crate) fn begin(&self) -> Session {
        match self.0 {}
    }
}

pub(crate) struct Broken;

pub(crate) struct Session(Never);

impl Session {
    pub(crate) fn feed(&mut self, _came: &[u8], _out: &mut Vec<u8>) -> Result<(), Broken> {
        match self.0 {}
    }

    pub(crate) fn readable(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn take(&mut self, _into: &mut [u8]) -> usize {
        match self.0 {}
    }

    pub(crate) fn seal(&mut self, _plain: &[u8], _out: &mut Vec<u8>) {
        match self.0 {}
    }

    pub(crate) fn finish(&mut self, _out: &mut Vec<u8>) {
        match self.0 {}
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn is_finished_by_peer(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn is_for_http(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn export(&self, _label: &[u8], _context: &[u8], _into: &mut [u8]) -> Option<Suite> {
        match self.0 {}
    }
}
