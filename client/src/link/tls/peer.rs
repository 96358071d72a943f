//! What the tests of TLS speak with: servers with identities of all kinds, in memory and on sockets, and a
//! file that is a test's own.

use super::{ALPN, provider};
use crate::trust::{Fingerprint, Roots, Trust};
use ring::digest::{SHA256, digest};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{NoServerSessionStorage, ServerConfig, ServerConnection};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{StreamOwned, version};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use voiceapp_testkit::rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd,
};

/// A file of this test's own for keys, which is gone afterwards.
pub struct KnownServers(pub PathBuf);

impl KnownServers {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("voiceapp-tls-{}-{count}", std::process::id());
        KnownServers(std::env::temp_dir().join(name))
    }

    /// Trust in what is kept here and in these roots.
    pub fn trust(&self, roots: &[&Authority]) -> Trust {
        let roots = roots.iter().map(|it| it.certificate.clone()).collect();
        Trust {
            known_servers: Some(self.0.clone()),
            roots: Roots::These(roots),
        }
    }

    pub fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }
}

impl Drop for KnownServers {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub struct Authority {
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("there is randomness");
        let mut params = CertificateParams::new(Vec::new()).expect("it has no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("it has its key");
        Authority {
            certificate: certificate.der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }
}

/// What a server is known by: a certificate and a key.
pub struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
    pub fingerprint: Fingerprint,
}

impl Identity {
    /// One that no authority vouches for.
    pub fn new() -> Self {
        Identity::made(None, "localhost", 2100)
    }

    /// One for this host, which an authority vouches for until the begin of this year.
    pub fn of(authority: &Authority, host: &str, until: i32) -> Self {
        Identity::made(Some(authority), host, until)
    }

    /// The same certificate, presented without its key.
    pub fn stolen(&self) -> Self {
        Identity {
            certificate: self.certificate.clone(),
            key: Identity::new().key,
            fingerprint: self.fingerprint,
        }
    }

    fn made(authority: Option<&Authority>, host: &str, until: i32) -> Self {
        let key = KeyPair::generate().expect("there is randomness");
        let mut params = CertificateParams::new([host.to_owned()]).expect("it is a name");
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = match authority {
            Some(authority) => params.signed_by(&key, &authority.issuer),
            None => params.self_signed(&key),
        };
        let hash = digest(&SHA256, &key.subject_public_key_info());
        let fingerprint = hash.as_ref().try_into().expect("it is as long");
        Identity {
            certificate: certificate.expect("there is a key").der().to_vec(),
            key: key.serialize_der(),
            fingerprint: Fingerprint(fingerprint),
        }
    }

    fn config(&self) -> ServerConfig {
        let provider = Arc::new(provider());
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("it is a key");
        let key = provider.key_provider.load_private_key(key);
        let chain = vec![self.certificate.clone().into()];
        // Without a look at whether the key is the certificate's.
        let certified = CertifiedKey::new(chain, key.expect("it is a key"));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .expect("the provider has it")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec(), ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config
    }

    /// A server with this identity, in memory.
    pub fn server(&self) -> ServerConnection {
        ServerConnection::new(Arc::new(self.config())).expect("the configuration is whole")
    }

    /// A server with this identity on a connection.
    pub fn serve(&self, tcp: TcpStream) -> OnSocket {
        OnSocket(StreamOwned::new(self.server(), tcp))
    }
}

/// A server that shakes hands as soon as anything is read or written.
pub struct OnSocket(StreamOwned<ServerConnection, TcpStream>);

impl OnSocket {
    /// Says that nothing more comes.
    pub fn close(mut self) {
        self.0.conn.send_close_notify();
        let _ = self.0.flush();
    }
}

impl Read for OnSocket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for OnSocket {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
