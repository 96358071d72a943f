//! The poll loop: it owns every socket, reads the clock once per turn, and keeps the order of work:
//! voice first, then accepting, frames, closing, flushing and deadlines, each within a budget, with
//! voice polled in between.
//!
//! It decides nothing about people or addresses: that is the [switchboard's](crate::switchboard)
//! part. mio reports readiness on the edge. So the loop remembers what a budget leaves behind, and
//! does not sleep before it is done.

mod accept;
mod application;
mod bans;
mod bind;
pub(crate) mod connections;
mod core;
mod error;
mod files;
mod handle;
mod handshakes;
mod http;
mod identity;
mod passwords;
mod request;
mod reread;
#[cfg(feature = "simulation")]
pub mod simulated;
mod sockets;
mod spare;
mod stop;
#[cfg(target_os = "linux")]
mod supervisor;
mod thread;
mod turn;
mod voice;

pub use error::ServerError;
#[cfg(feature = "cli")]
pub(crate) use files::check_secrecy;
pub use handle::ServerHandle;
pub use request::RequestError;

use self::core::Core;
use crate::access::PasswordList;
use crate::bans::BanList;
use crate::event::Now;
use crate::fingerprint::{self, Fingerprint};
use crate::histogram::Histogram;
use crate::limits::Limits;
use crate::statistics::Statistics;
use crate::system;
use crate::tls::{Acceptor, Identity};
use crate::udp::VoiceSocket;
use accept::TcpPort;
use application::{Bans, EventPort};
use handle::Pace;
use http::HttpPort;
use mio::{Events, Poll, Token};
use request::Asked;
use reread::Reread;
use spare::Spare;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};
#[cfg(target_os = "linux")]
use supervisor::Supervisor;
use thread::ThreadOptions;
use voice::VoicePort;

const LISTENER: Token = Token(usize::MAX);
const VOICE: Token = Token(usize::MAX - 1);
const WAKER: Token = Token(usize::MAX - 2);
#[cfg(all(unix, feature = "cli"))]
const SIGNALS: Token = Token(usize::MAX - 3);

/// A bound server. [`run`](Server::run) takes over the thread that calls it. An application with a
/// loop of its own calls [`turn`](Server::turn) in it instead.
pub struct Server {
    poll: Poll,
    /// What the poll has reported.
    readiness: Events,
    is_started: bool,
    core: Core<TcpPort, VoicePort<VoiceSocket>>,
    ban_file: Reread<BanList>,
    certificate: Reread<Identity>,
    passwords: Reread<PasswordList>,
    /// What clients know the server by, where connections can be encrypted.
    fingerprint: Option<Fingerprint>,
    bans: Bans,
    events: EventPort,
    asked: Asked,
    http: Option<HttpPort>,
    /// For the files that statistics come from.
    spare: Spare,
    #[cfg(target_os = "linux")]
    supervisor: Supervisor,
    handle: ServerHandle,
    statistics_pace: Pace,
    reload_pace: Pace,
    #[cfg(all(unix, feature = "cli"))]
    signals: Option<signal_hook_mio::v1_0::Signals>,
    turn_ns: Histogram,
    /// The limits for clients, for the statistics.
    limits: Limits,
    /// Descriptors that were open when it began to run, where the system cannot report their number
    /// later.
    descriptors_at_start: Option<u64>,
    started: Instant,
    started_at: SystemTime,
    /// When the last turn was over, and with it the last reading of the clock.
    turn_ended: Instant,
    thread_options: ThreadOptions,
    management_address: SocketAddr,
    voice_relay_address: SocketAddr,
    metrics_address: Option<SocketAddr>,
}

impl Server {
    /// Makes SIGINT and SIGTERM stop this server in order, and a second one at once. SIGUSR1 writes
    /// its [statistics](Self::statistics) to the log, and SIGHUP reads the ban file, the password file and the certificate's
    /// files again, each as often as [`ServerHandle`] does. Signals belong to the whole process, so this is for an
    /// application that leaves them to the server.
    ///
    /// # Errors
    ///
    /// [`ServerError::System`] if the handlers cannot be installed.
    #[cfg(all(unix, feature = "cli"))]
    pub fn handle_signals(&mut self) -> Result<(), ServerError> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        signal_hook_mio::v1_0::Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGHUP])
            .and_then(|mut signals| {
                let registry = self.poll.registry();
                registry.register(&mut signals, SIGNALS, mio::Interest::READABLE)?;
                self.signals = Some(signals);
                Ok(())
            })
            .map_err(|source| ServerError::system("handle signals", source))
    }

    /// The TCP address of management, with the port that was chosen.
    pub fn management_address(&self) -> SocketAddr {
        self.management_address
    }

    /// The UDP address of the voice relay, with the port that was chosen.
    pub fn voice_relay_address(&self) -> SocketAddr {
        self.voice_relay_address
    }

    /// What clients know this server's key by, if connections can be encrypted.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// An invitation to this server, which others reach by this host: a name or an address, with a port if it is
    /// another than the management port. There is none if connections cannot be encrypted.
    pub fn invitation(&self, host: &str) -> Option<String> {
        let port = self.management_address.port();
        let fingerprint = self.fingerprint?;
        Some(fingerprint::invitation(host, port, fingerprint))
    }

    /// Connections that come from now on get this certificate.
    fn set_identity(&mut self, identity: &Identity) {
        self.fingerprint = Some(identity.fingerprint());
        self.core.acceptor = Some(Acceptor::new(identity));
    }

    /// The TCP address of the metrics, if they are served, with the port that was chosen.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Notifies the service manager that started this process, if it wants that, when the server is
    /// ready, when it stops, and that its loop runs (sd_notify(3), sd_watchdog_enabled(3)). It is
    /// for an application that leaves that to the server, and reads `NOTIFY_SOCKET`,
    /// `WATCHDOG_USEC` and `WATCHDOG_PID`.
    #[cfg(target_os = "linux")]
    pub fn notify_service_manager(&mut self) {
        self.supervisor = Supervisor::from_environment();
    }

    /// A handle to the server, for other threads and while it runs.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// What the server has done so far.
    pub fn statistics(&self) -> Statistics {
        let traffic = self.core.voice.socket.traffic();
        let management = self.core.switchboard.management();
        let mut counters = self.core.counters.clone();
        counters.add(&self.core.switchboard.counters());
        counters.add(&traffic.counters);
        counters.add(&self.core.voice.counters);
        Statistics {
            started_at: self.started_at,
            uptime: self.started.elapsed(),
            memory_bytes: system::resident_bytes(),
            cpu_time: system::cpu_time(),
            open_descriptors: system::open_descriptors().or_else(|| {
                let connections = management.pending_count() + management.user_count();
                Some(self.descriptors_at_start? + connections as u64)
            }),
            descriptor_limit: system::descriptor_limit(),
            limits: self.limits,
            connections: management.connections(),
            pending: management.pending_count(),
            logins: management.logins(),
            users: management.user_count(),
            users_in_voice: management.voice_count(),
            users_encrypted: management.encrypted_count(),
            users_at_most: management.users_at_most(),
            chat_messages: management.chat_messages(),
            outbound_bytes: self.core.connections.outbound_total(),
            outbound_bytes_at_most: self.core.connections.outbound_total_at_most(),
            datagrams_received: traffic.datagrams_received,
            bytes_received: traffic.bytes_received,
            datagrams_sent: traffic.datagrams_sent,
            bytes_sent: traffic.bytes_sent,
            kernel_drops: traffic.kernel_drops,
            events_lost: self.events_lost(),
            latency_ns: traffic.latency_ns.clone(),
            turn_ns: self.turn_ns.clone(),
            batches: traffic.batches.clone(),
            counters,
        }
    }

    /// The statistics, even when no descriptors are left.
    fn statistics_at_any_price(&mut self) -> Statistics {
        self.spare.release();
        let statistics = self.statistics();
        self.spare.refill();
        statistics
    }
}

/// The one reading of the clocks for decisions. Other readings only measure.
fn read_clock() -> Now {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Now {
        instant: Instant::now(),
        unix_ms: since_epoch.map_or(0, |since| since.as_millis() as u64),
    }
}
