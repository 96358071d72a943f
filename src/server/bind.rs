//! Binding: opens the ports, and puts a server together from its settings. Nothing is served yet.

use super::accept::TcpPort;
use super::application::{Bans, EventPort};
use super::core::Core;
use super::handle::{Pace, Request};
use super::http::HttpPort;
use super::identity::{self, Found};
use super::reread::{Read, Reread};
use super::spare::Spare;
#[cfg(target_os = "linux")]
use super::supervisor::Supervisor;
use super::thread::ThreadOptions;
use super::voice::VoicePort;
use super::{
    LISTENER, Server, ServerError, ServerHandle, VOICE, WAKER, bans, passwords, read_clock,
    request, sockets,
};
use crate::access::PasswordList;
use crate::bans::BanList;
use crate::config::{Config, TlsUse};
use crate::hash::HashKey;
use crate::histogram::Histogram;
use crate::limits::POLL_EVENTS;
use crate::management::About;
use crate::tls::Identity;
use crate::udp::VoiceSocket;
use log::warn;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Registry};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

impl Server {
    /// Binds both ports and sets everything up. Clients can connect from now on, and are served
    /// once the server [runs](Self::run).
    /// On Unix, the process's limit on open descriptors is raised as far as it may be.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if a setting is out of its range, a port cannot be bound, or the system
    /// refuses what the loop needs.
    pub fn bind(config: &Config) -> Result<Self, ServerError> {
        config.check().map_err(ServerError::Config)?;
        sockets::make_room_for_descriptors(config.limits);
        let (listener, voice) = sockets::bind(config)?;
        let system = |doing| move |source| ServerError::system(doing, source);
        let management_address = listener
            .local_addr()
            .map_err(system("read the address of the TCP port"))?;
        let voice_relay_address = voice
            .local_addr()
            .map_err(system("read the address of the UDP port"))?;
        let voice =
            VoiceSocket::new(voice, config.udp_send, config.measure_latency).map_err(|source| {
                let doing = "send voice in the way that was asked for";
                ServerError::refused(doing, "udp_send", source)
            })?;
        let port = voice_relay_address.port();
        let now = read_clock();
        let voice = VoicePort::new(now, voice, port, config.limits);
        let poll = Poll::new().map_err(system("create the poll"))?;
        let (asker, asked) = request::queue();
        let handle =
            ServerHandle::new(poll.registry(), WAKER, asker).map_err(system("create the waker"))?;
        let port = TcpPort {
            listener: TcpListener::from_std(listener),
            registry: poll
                .registry()
                .try_clone()
                .map_err(system("share the poll"))?,
            limits: config.limits,
            spare: Spare::new(),
        };
        let metrics = config.metrics_address;
        let metrics = metrics.map(|address| bind_metrics(address, poll.registry()));
        let (http, metrics_address) = metrics.transpose()?.unzip();
        let mut server = Server {
            poll,
            readiness: Events::with_capacity(POLL_EVENTS),
            is_started: false,
            core: Core::new(now, config.limits, draw_key()?, port, voice),
            ban_file: reread_bans(config, &handle),
            certificate: reread_certificate(config, &handle),
            passwords: reread_passwords(config, &handle),
            fingerprint: None,
            bans: Bans::default(),
            events: EventPort::default(),
            asked,
            http,
            spare: Spare::new(),
            #[cfg(target_os = "linux")]
            supervisor: Supervisor::default(),
            handle,
            statistics_pace: Pace::new(Request::Statistics),
            reload_pace: Pace::new(Request::Reload),
            #[cfg(all(unix, feature = "cli"))]
            signals: None,
            turn_ns: Histogram::new(),
            limits: config.limits,
            descriptors_at_start: None,
            started: Instant::now(),
            started_at: SystemTime::now(),
            turn_ended: Instant::now(),
            thread_options: ThreadOptions::of(config),
            management_address,
            voice_relay_address,
            metrics_address,
        };
        server.register_ports()?;
        server.core.switchboard.set_about(About {
            name: config.server_name.clone(),
            welcome: config.welcome.clone(),
            voice_port: Some(server.voice_relay_address.port()),
        });
        server.core.switchboard.set_access(config.read_access()?);
        server.bans.of_the_file = config.read_bans()?;
        server.apply_bans();
        server.take_identity(config)?;
        if config.tls == TlsUse::Only {
            server.core.switchboard.require_encryption();
        }
        Ok(server)
    }

    fn register_ports(&mut self) -> Result<(), ServerError> {
        let (registry, core) = (self.poll.registry(), &mut self.core);
        let system = |doing| move |source| ServerError::system(doing, source);
        let (listener, voice) = (&mut core.door.listener.listener, core.voice.socket.socket());
        registry
            .register(listener, LISTENER, Interest::READABLE)
            .map_err(system("register the TCP port"))?;
        registry
            .register(voice, VOICE, Interest::READABLE)
            .map_err(system("register the UDP port"))
    }

    /// Encrypts with the configured certificate, or with one that is made now.
    fn take_identity(&mut self, config: &Config) -> Result<(), ServerError> {
        match config.find_identity()? {
            None => {}
            Some(Found::Lasting(identity)) => self.set_identity(&identity),
            Some(Found::ForThisRun(identity, reason)) => {
                warn!(
                    "the certificate is for this run alone, and clients will not know this server after it: {reason} \
                     (state_directory)"
                );
                self.set_identity(&identity);
            }
        }
        Ok(())
    }
}

/// The ban file, to be read again on request.
fn reread_bans(config: &Config, handle: &ServerHandle) -> Reread<BanList> {
    let again = config.ban_file.clone().map(|path| {
        let read: Arc<Read<_>> = Arc::new(move || bans::read(&path));
        read
    });
    let unchanged = "the bans stay as they are";
    Reread::new("ban file", unchanged, again, handle.clone())
}

/// The password file, to be read again on request.
fn reread_passwords(config: &Config, handle: &ServerHandle) -> Reread<PasswordList> {
    let again = config.password_file.clone().map(|path| {
        let config = config.clone();
        let read: Arc<Read<_>> = Arc::new(move || passwords::read(&config, &path));
        read
    });
    let unchanged = "the passwords stay as they are";
    Reread::new("password file", unchanged, again, handle.clone())
}

/// The certificate's files, to be read again on request.
fn reread_certificate(config: &Config, handle: &ServerHandle) -> Reread<Identity> {
    let again = identity::configured(config).map(|read| {
        let read: Arc<Read<_>> = Arc::new(read);
        read
    });
    let unchanged = "the certificate stays as it is";
    Reread::new("certificate", unchanged, again, handle.clone())
}

/// The metrics port at this address, and the address with the port that was chosen.
fn bind_metrics(
    address: SocketAddr,
    registry: &Registry,
) -> Result<(HttpPort, SocketAddr), ServerError> {
    let system = |doing| move |source| ServerError::system(doing, source);
    let listener = sockets::listen_for_metrics(address)?;
    let address = listener
        .local_addr()
        .map_err(system("read the address of the metrics port"))?;
    let port = HttpPort::new(listener, registry).map_err(system("register the metrics port"))?;
    Ok((port, address))
}

/// A random key for the hash tables.
fn draw_key() -> Result<HashKey, ServerError> {
    let draw = || {
        let number = getrandom::u64().map_err(io::Error::from);
        number.map_err(|source| ServerError::system("draw a random number", source))
    };
    Ok(HashKey(draw()?, draw()?))
}
