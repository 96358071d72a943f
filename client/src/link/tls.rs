//! TLS 1.3 from the client's side, without a socket: bytes come in and go out. All names of the
//! library that does it are in this file.
//!
//! What the handshake always proves is that the other end has the key that it presents. Whether that is
//! the right key is for [`trust`](crate::trust) to decide, before anything but the handshake is sent.
//! Nothing is resumed, and no data goes before the handshake.

use super::Server;
use super::secure::HandshakeFailure;
use crate::protection::Encryption;
use crate::trust::{
    Decision, Fingerprint, Grounds, Kept, Question, Roots, Trust, Unfit, decide, file,
};
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    PeerIncompatible, RootCertStore, SignatureScheme, version,
};
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use voiceapp_protocol::{EXPORTER_LABEL, KeyId, SECRET_BYTES, Suite, VoiceSecrets};

#[cfg(test)]
pub(crate) mod peer;
#[cfg(test)]
mod tests;

/// What we speak, as the server is asked for it.
const ALPN: &[u8] = b"voiceapp/1";

/// A connection during its handshake.
pub struct Handshake {
    connection: ClientConnection,
    verifier: Arc<Verifier>,
}

/// A connection whose server is trusted.
pub struct Tls {
    connection: Mutex<ClientConnection>,
}

/// What the server has sent.
pub struct Opened {
    /// What it says.
    pub plaintext: Vec<u8>,
    /// Whether it has said that nothing more comes.
    pub is_closed: bool,
}

impl Handshake {
    /// Begins to speak with a server at this address.
    pub fn start(server: &Server, address: IpAddr, trust: &Trust) -> Result<Self, String> {
        let provider = Arc::new(provider());
        let verifier = Arc::new(Verifier {
            place: server.place(),
            pinned: server.pin,
            trust: trust.clone(),
            provider: provider.clone(),
            judgement: OnceLock::new(),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| error.to_string())?;
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        let connection = ClientConnection::new(Arc::new(config), name(&server.host, address))
            .map_err(|error| error.to_string())?;
        Ok(Handshake {
            connection,
            verifier,
        })
    }

    /// Takes what is to be sent.
    pub fn take_outbound(&mut self) -> Vec<u8> {
        take_outbound(&mut self.connection)
    }

    /// Takes what was received.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), HandshakeFailure> {
        let handled = handle_bytes(&mut self.connection, bytes, &mut |_| Ok(()));
        handled.map_err(|error| self.verifier.explain(&error))
    }

    /// Whether it can be [finished](Self::finish).
    pub fn is_over(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// The connection, when the handshake is over, and what is to be kept of the server.
    pub fn finish(self) -> Result<(Tls, Encryption, Option<Kept>), HandshakeFailure> {
        let (grounds, kept) = match self.verifier.judgement.get() {
            Some((_, Decision::Accept(grounds))) => (*grounds, None),
            Some((_, Decision::AcceptAndKeep(grounds, kept))) => (*grounds, Some(*kept)),
            _ => return Err(HandshakeFailure::Failed("no certificate came".into())),
        };
        let encryption = self.encryption(grounds);
        let connection = Mutex::new(self.connection);
        Ok((Tls { connection }, encryption, kept))
    }

    fn encryption(&self, trusted: Grounds) -> Encryption {
        let suite = self.connection.negotiated_cipher_suite();
        let suite = suite.map_or(CipherSuite::TLS_NULL_WITH_NULL_NULL, |it| it.suite());
        let suite = format!("{suite:?}").replace("TLS13_", "TLS_");
        Encryption {
            tls: "TLS 1.3".into(),
            suite,
            fingerprint: self.verifier.presented(),
            trusted,
        }
    }
}

impl Tls {
    /// Takes what was received, and gives what it says.
    pub fn open(&self, ciphertext: &[u8]) -> Result<Opened, String> {
        let mut plaintext = Vec::new();
        let mut connection = self.lock();
        let mut is_closed = false;
        let mut take = |connection: &mut ClientConnection| {
            is_closed = match connection.reader().read_to_end(&mut plaintext) {
                Ok(_) => true,
                // It is all that has come.
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(error) => return Err(Error::General(error.to_string())),
            };
            Ok(())
        };
        take(&mut connection)
            .and_then(|()| handle_bytes(&mut connection, ciphertext, &mut take))
            .map_err(|error| format!("what the server sent cannot be decrypted: {error}"))?;
        drop(connection);
        Ok(Opened {
            plaintext,
            is_closed,
        })
    }

    /// What is to be sent so that the server gets this.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, String> {
        let mut connection = self.lock();
        // No more than a session has to say at once, which is bounded.
        connection.set_buffer_limit(None);
        let written = connection.writer().write_all(plaintext);
        written.map_err(|error| format!("cannot encrypt: {error}"))?;
        Ok(take_outbound(&mut connection))
    }

    /// What is to be sent at the end.
    pub fn close(&self) -> Vec<u8> {
        let mut connection = self.lock();
        connection.send_close_notify();
        take_outbound(&mut connection)
    }

    /// What voice is sealed with, which only this server and we know.
    pub fn voice_secrets(&self, key_id: KeyId) -> Option<VoiceSecrets> {
        let connection = self.lock();
        let suite = connection.negotiated_cipher_suite()?.suite();
        let suite = Suite::of(suite.into())?;
        let exported = [0; 2 * SECRET_BYTES];
        let context = key_id.context();
        let exported = connection.export_keying_material(exported, EXPORTER_LABEL, Some(&context));
        Some(VoiceSecrets::of(key_id, suite, &exported.ok()?))
    }

    fn lock(&self) -> MutexGuard<'_, ClientConnection> {
        self.connection.lock().expect("nobody panics with it")
    }
}

/// Decides whether to trust a certificate, and records the decision.
#[derive(Debug)]
struct Verifier {
    place: String,
    pinned: Option<Fingerprint>,
    trust: Trust,
    provider: Arc<CryptoProvider>,
    judgement: OnceLock<(Fingerprint, Decision)>,
}

impl Verifier {
    fn presented(&self) -> Fingerprint {
        let presented = self.judgement.get().map(|(presented, _)| *presented);
        presented.unwrap_or(Fingerprint([0; 32]))
    }

    /// What an error of the handshake means.
    fn explain(&self, error: &Error) -> HandshakeFailure {
        let presented = self.presented();
        match (self.judgement.get(), error) {
            (Some((_, Decision::Refuse(unfit))), _) => {
                HandshakeFailure::Untrusted(presented, unfit.clone())
            }
            (Some(_), Error::InvalidCertificate(CertificateError::BadSignature)) => {
                HandshakeFailure::Untrusted(presented, Unfit::NotProven)
            }
            _ => HandshakeFailure::Failed(error.to_string()),
        }
    }

    /// Whether one of the trusted authorities has signed this for this server, and it is in its time.
    fn is_vouched(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(match &self.trust.roots {
            Roots::System => rustls_native_certs::load_native_certs().certs,
            Roots::These(all) => all.iter().cloned().map(CertificateDer::from).collect(),
        });
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        verifier.build().is_ok_and(|verifier| {
            verifier
                .verify_server_cert(end_entity, intermediates, server_name, &[], now)
                .is_ok()
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = fingerprint(end_entity)?;
        let known = file::read(self.trust.known_servers.as_deref());
        let question = Question {
            place: &self.place,
            presented,
            pinned: self.pinned,
            known: known.as_ref().map_err(String::as_str),
        };
        let is_vouched = || self.is_vouched(end_entity, intermediates, server_name, now);
        let decision = decide(&question, is_vouched);
        let is_refused = matches!(decision, Decision::Refuse(_));
        if self.judgement.set((presented, decision)).is_err() {
            return Err(Error::General("two certificates came".into()));
        }
        match is_refused {
            true => Err(CertificateError::ApplicationVerificationFailure.into()),
            false => Ok(ServerCertVerified::assertion()),
        }
    }

    /// Never asked: there is TLS 1.3 alone.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The library's cryptography. Where the processor has no instructions for AES, ChaCha20 is faster.
fn provider() -> CryptoProvider {
    let mut provider = provider::default_provider();
    if !has_aes() {
        let is_aes = |suite: CipherSuite| suite != CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
        provider.cipher_suites.sort_by_key(|it| is_aes(it.suite()));
    }
    provider
}

fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Result<Fingerprint, Error> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    let hash = digest(&SHA256, key.as_ref());
    let mut fingerprint = Fingerprint([0; 32]);
    fingerprint.0.copy_from_slice(hash.as_ref());
    Ok(fingerprint)
}

/// The name that a certificate must have: the host as the user wrote it, or its address if it is no name.
fn name(host: &str, address: IpAddr) -> ServerName<'static> {
    let host = host.split('%').next().unwrap_or_default().to_owned();
    ServerName::try_from(host).unwrap_or_else(|_| ServerName::from(address))
}

fn take_outbound(connection: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        // A vector takes all of it.
        if connection.write_tls(&mut bytes).is_err() {
            break;
        }
    }
    bytes
}

/// Hands over what was received, and has `take` look after each part of it: the library holds no more
/// than that.
fn handle_bytes(
    connection: &mut ClientConnection,
    mut bytes: &[u8],
    take: &mut impl FnMut(&mut ClientConnection) -> Result<(), Error>,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        let taken = connection.read_tls(&mut bytes);
        let taken = taken.map_err(|error| Error::General(error.to_string()))?;
        connection.process_new_packets()?;
        take(connection)?;
        // After the end nothing is taken.
        if taken == 0 {
            break;
        }
    }
    Ok(())
}
