//! TLS 1.3, as far as the server needs it: a certificate with its key, and one side of a connection.
//!
//! The names of the libraries that do the work (rustls with ring, rcgen) are in this file alone. It moves
//! bytes and owns no socket. It bounds what the library holds: it takes out at once what the library wants
//! to send, and hands in at most [`READ_BYTES`] at a time.

#[cfg(test)]
pub(crate) mod tests;

use crate::fingerprint::Fingerprint;
use crate::protocol::Suite;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::digest;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{CipherSuite, ServerConfig, ServerConnection};
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes that are handed to the library at a time.
pub(crate) const READ_BYTES: usize = 4_096;

/// The most that a record of TLS holds, and what it adds: a header, a type and a tag (RFC 8446, section 5.2).
pub(crate) const RECORD_BYTES_MAX: usize = 16_384;
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 5 + 1 + 16;

/// The application protocols (RFC 7301; rule 14b). A client that names none speaks the first.
const PROTOCOLS: [&[u8]; 2] = [b"voiceapp/1", HTTP];
const HTTP: &[u8] = b"http/1.1";

/// How long a certificate that the server makes is valid. Clients remember its key, so a new one gains
/// nothing.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// The clocks of clients may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3_600);

/// Why a certificate and its key cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IdentityError {
    /// It is not a PEM file (RFC 7468), or its content is broken.
    Pem(String),
    NoCertificate,
    NoKey,
    /// The library does not support the key, or the key belongs to another certificate.
    Refused(String),
    /// There is none yet, and it cannot be made.
    NotMade(String),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityError::Pem(problem) => write!(f, "it is no PEM file: {problem}"),
            IdentityError::NoCertificate => f.write_str("it has no CERTIFICATE section"),
            IdentityError::NoKey => f.write_str("it has no PRIVATE KEY section"),
            IdentityError::Refused(problem) => {
                write!(f, "certificate and key cannot be used together: {problem}")
            }
            IdentityError::NotMade(problem) => write!(f, "it could not be made: {problem}"),
        }
    }
}

impl std::error::Error for IdentityError {}

/// The server's identity: its certificate, those that vouch for it, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    certified: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Reads certificates, the server's own first, and its key. One file may hold both.
    pub(crate) fn parse(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let broken = |error: pem::Error| IdentityError::Pem(error.to_string());
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(broken)?;
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => IdentityError::NoKey,
            error => broken(error),
        })?;
        let refused = |error: rustls::Error| IdentityError::Refused(error.to_string());
        let certified =
            CertifiedKey::from_der(chain, key, &provider::default_provider()).map_err(refused)?;
        let public_key = certified.key.public_key();
        let public_key = public_key
            .ok_or_else(|| IdentityError::Refused("the public key is not known".into()))?;
        let sha256 = digest::digest(&digest::SHA256, &public_key);
        let fingerprint = sha256.as_ref().try_into().expect("SHA-256 has 32 bytes");
        Ok(Identity {
            certified: Arc::new(certified),
            fingerprint: Fingerprint(fingerprint),
        })
    }

    /// Makes a self-signed certificate, and returns it with its key as a PEM file.
    pub(crate) fn make() -> Result<String, IdentityError> {
        let not_made = |error: rcgen::Error| IdentityError::NotMade(error.to_string());
        let name = "voiceapp-server";
        let mut params = CertificateParams::new([name.to_owned()]).map_err(not_made)?;
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, name);
        let now = SystemTime::now();
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + VALIDITY).into();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(not_made)?;
        let certificate = params.self_signed(&key).map_err(not_made)?;
        Ok(certificate.pem() + &key.serialize_pem())
    }

    /// The fingerprint of the key, by which clients know the server.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// The settings that every session begins with.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// TLS 1.3 alone. Sessions cannot be resumed, so nothing is kept of them. There is no early data: it
    /// could be replayed.
    pub(crate) fn new(identity: &Identity) -> Self {
        let provider: Arc<CryptoProvider> = provider::default_provider().into();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has suites of TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified.clone())));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Acceptor(Arc::new(config))
    }

    /// The server's side of a new connection.
    pub(crate) fn begin(&self) -> Session {
        let connection = ServerConnection::new(self.0.clone());
        let mut connection = connection.expect("the settings were accepted when they were made");
        // One record at a time is given to it, and taken from it at once. A limit of its own would be spent by
        // the answer to a new key of the client, and cut that record short.
        connection.set_buffer_limit(None);
        Session {
            connection,
            opened: Vec::new(),
            readable: 0,
            is_finished_by_peer: false,
        }
    }
}

/// The other side broke the rules of TLS, or its bytes were changed on the way. An alert is ready to be
/// sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// One side of a connection. It keeps nothing that is to be sent.
pub(crate) struct Session {
    connection: ServerConnection,
    /// What was opened and moved out of the library's way, in front of what it holds itself.
    opened: Vec<u8>,
    /// Bytes that came in, were opened, and wait to be [taken](Self::take).
    readable: usize,
    is_finished_by_peer: bool,
}

impl Session {
    /// Takes in what came, at most [`READ_BYTES`], with nothing [readable](Self::readable) left, and appends
    /// to `out` what is to be sent because of it.
    pub(crate) fn feed(&mut self, mut came: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        debug_assert!(came.len() <= READ_BYTES && self.readable == 0);
        let mut result = Ok(());
        while !came.is_empty() && result.is_ok() {
            self.make_room();
            result = match self.connection.read_tls(&mut came) {
                // The library reads nothing after the end.
                Ok(0) => break,
                Ok(_) => self.connection.process_new_packets().map_err(|_| Broken),
                Err(_) => Err(Broken),
            }
            .map(|state| {
                self.readable = self.opened.len() + state.plaintext_bytes_to_read();
                self.is_finished_by_peer |= state.peer_has_closed();
            });
        }
        self.drain(out);
        result
    }

    /// Moves what was opened out of the library's way: behind a large record it takes nothing more in.
    fn make_room(&mut self) {
        let before = self.opened.len();
        if self.readable > before {
            self.opened.resize(self.readable, 0);
            let moved = self.connection.reader().read(&mut self.opened[before..]);
            self.opened.truncate(before + moved.unwrap_or(0));
        }
    }

    /// How many bytes can be [taken](Self::take).
    pub(crate) fn readable(&self) -> usize {
        self.readable
    }

    /// Takes bytes that came in and were opened.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> usize {
        let taken = match self.opened.is_empty() {
            // An error means that nothing is there, or that the other side has finished.
            true => self.connection.reader().read(into).unwrap_or(0),
            false => {
                let len = into.len().min(self.opened.len());
                into[..len].copy_from_slice(&self.opened[..len]);
                self.opened.drain(..len);
                self.opened.shrink_to(self.opened.len());
                len
            }
        };
        self.readable -= taken;
        taken
    }

    /// Seals what is to be sent, at most [`RECORD_BYTES_MAX`], after the handshake.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        debug_assert!(plain.len() <= RECORD_BYTES_MAX && !self.is_handshaking());
        let written = self.connection.writer().write(plain);
        debug_assert!(written.is_ok_and(|written| written == plain.len()));
        self.drain(out);
    }

    /// Says that nothing more will be sent. After an alert nothing is said.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.drain(out);
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            let written = self.connection.write_tls(out);
            written.expect("memory takes everything");
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the other side has said that it will send nothing more.
    pub(crate) fn is_finished_by_peer(&self) -> bool {
        self.is_finished_by_peer
    }

    /// Whether the client says that it speaks HTTP.
    pub(crate) fn is_for_http(&self) -> bool {
        self.connection.alpn_protocol() == Some(HTTP)
    }

    /// Fills in secrets that only the two sides know (RFC 8446, section 7.5), and returns their suite. There
    /// is none before the handshake is complete.
    pub(crate) fn export(&self, label: &[u8], context: &[u8], into: &mut [u8]) -> Option<Suite> {
        let suite = match self.connection.negotiated_cipher_suite()?.suite() {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => Suite::Aes128GcmSha256,
            CipherSuite::TLS13_AES_256_GCM_SHA384 => Suite::Aes256GcmSha384,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Suite::ChaCha20Poly1305Sha256,
            _ => return None,
        };
        let exported = self
            .connection
            .export_keying_material(into, label, Some(context));
        exported.ok().map(|_| suite)
    }
}
