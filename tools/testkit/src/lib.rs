//! What the tests of the client and of the tools share: a server on a thread, files that are
//! removed afterwards, and programs of the workspace. It is for tests: errors panic.

#![deny(missing_docs, unsafe_code)]

mod program;
mod temp_file;

pub use program::{clean, program};
/// What makes certificates.
#[cfg(feature = "encryption")]
pub use rcgen;
pub use temp_file::TempFile;
/// The server, for tests that have it without sockets, or want more of one than a running one.
pub use voiceapp_server as server;
pub use voiceapp_server::Limits;

use std::thread::JoinHandle;
use std::time::Duration;
use voiceapp_server::fingerprint::invitation;
use voiceapp_server::{Config, Fingerprint, Server, ServerHandle};

/// How long anything may take before a test fails rather than hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a thread of its own, on ports that the system chose. It ends with this.
pub struct Running {
    /// Its TCP port.
    pub tcp_port: u16,
    /// Its UDP port.
    pub udp_port: u16,
    /// What its clients know its key by. It is another for each server.
    pub fingerprint: Fingerprint,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// A server that relays voice however fast it comes and however late: how slow the machine is does not
    /// decide what a test receives.
    pub fn start() -> Running {
        Running::start_with(Limits {
            voice_age: PATIENCE,
            voice_rate: 0,
            voice_bandwidth: 0,
            voice_rate_per_address: 0,
            voice_bandwidth_per_address: 0,
            ..Limits::default()
        })
    }

    /// A server with these limits.
    pub fn start_with(limits: Limits) -> Running {
        Running::start_as(Config {
            limits,
            ..Config::default()
        })
    }

    /// A server with these settings, on loopback and on ports of the system's choice.
    pub fn start_as(config: Config) -> Running {
        let server = Server::bind(&Config {
            management_port: 0,
            voice_relay_port: 0,
            bind_address: Some([127, 0, 0, 1].into()),
            ..config
        })
        .expect("the system has free ports");
        Running {
            tcp_port: server.management_address().port(),
            udp_port: server.voice_relay_address().port(),
            fingerprint: server.fingerprint().expect("it can encrypt"),
            handle: server.handle(),
            thread: Some(std::thread::spawn(|| {
                server.run().expect("it runs to its end");
            })),
        }
    }

    /// An invitation to it.
    pub fn invitation(&self) -> String {
        self.invitation_at(self.tcp_port)
    }

    /// An invitation to it by another port.
    pub fn invitation_at(&self, port: u16) -> String {
        invitation("127.0.0.1", port, self.fingerprint)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}
