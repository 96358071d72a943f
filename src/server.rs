//! The poll loop, which owns every socket, the one clock reading per turn, and the order of work:
//! voice first, then accepting, frames, endings, flushing and deadlines, each within a budget, with
//! voice looked at again in between.
//!
//! It decides nothing about people or addresses: that is the [switchboard's](crate::switchboard)
//! part. mio reports readiness on the edge, so whatever a budget leaves behind is remembered, and
//! the loop does not sleep before it is done.

mod accept;
pub(crate) mod connections;
mod error;
mod handle;
mod sockets;
mod stop;
mod thread;

pub use error::ServerError;
pub use handle::ServerHandle;

use crate::cause::{Cause, Counters};
use crate::config::Config;
use crate::connection::ReadOutcome;
use crate::event::{ConnectionId, Now};
use crate::histogram::Histogram;
use crate::limits::{
    BATCHES_PER_LOOK, DELIVERIES_PER_LOOK, FRAMES_PER_CONNECTION_PER_TURN, INBOUND_BYTES_MAX,
    POLL_EVENTS, WORK_BETWEEN_VOICE, WORK_PER_STAGE, WORK_UNIT_BYTES, outbound_bytes_max,
};
use crate::relay::{HashKey, Verdict};
use crate::statistics::Statistics;
use crate::switchboard::Switchboard;
use crate::system;
use crate::udp::{Queued, VoiceSocket};
use connections::Connections;
use log::{debug, info};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use thread::ThreadOptions;

const LISTENER: Token = Token(usize::MAX);
const VOICE: Token = Token(usize::MAX - 1);
const WAKER: Token = Token(usize::MAX - 2);
#[cfg(unix)]
const SIGNALS: Token = Token(usize::MAX - 3);

/// A bound server, not running yet. [`run`](Server::run) takes over the thread that calls it.
pub struct Server {
    poll: Poll,
    listener: TcpListener,
    /// Whether a connection may be waiting to be accepted.
    is_accept_ready: bool,
    /// Set while file descriptors have run out.
    accept_paused_until: Option<Instant>,
    voice: VoiceSocket,
    /// Whether a datagram may be waiting.
    is_voice_ready: bool,
    connections: Connections,
    switchboard: Switchboard,
    handle: ServerHandle,
    #[cfg(unix)]
    signals: Option<signal_hook_mio::v1_0::Signals>,
    /// What one read brings, before it goes into a connection's own buffer.
    scratch: Box<[u8]>,
    /// Units of work since voice was last looked at.
    work: usize,
    /// Units of work that the present stage of the turn has left.
    work_left: usize,
    counters: Counters,
    turn_ns: Histogram,
    started: Instant,
    /// When the last turn ended, and with it the last look at the clock.
    turn_ended: Instant,
    thread_options: ThreadOptions,
    management_address: SocketAddr,
    voice_relay_address: SocketAddr,
}

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
        sockets::make_room_for_descriptors(config.max_users);
        let (listener, voice) = sockets::bind(config)?;
        let system = |doing| move |source| ServerError::system(doing, source);
        let management_address = listener
            .local_addr()
            .map_err(system("read the address of the TCP port"))?;
        let voice_relay_address = voice
            .local_addr()
            .map_err(system("read the address of the UDP port"))?;
        let voice = VoiceSocket::new(voice, config.udp_send, config.measure_latency).map_err(
            system("send voice in the way that was asked for (--udp-send)"),
        )?;
        let poll = Poll::new().map_err(system("create the poll"))?;
        let handle =
            ServerHandle::new(poll.registry(), WAKER).map_err(system("create the waker"))?;
        let mut key = [0; 2];
        for half in &mut key {
            *half = getrandom::u64()
                .map_err(io::Error::from)
                .map_err(system("draw a random number"))?;
        }
        let mut server = Server {
            poll,
            listener: TcpListener::from_std(listener),
            is_accept_ready: false,
            accept_paused_until: None,
            voice,
            is_voice_ready: false,
            connections: Connections::new(outbound_bytes_max(config.max_users)),
            switchboard: Switchboard::new(config.max_users, config.rates, HashKey(key[0], key[1])),
            handle,
            #[cfg(unix)]
            signals: None,
            scratch: vec![0; INBOUND_BYTES_MAX].into(),
            work: 0,
            work_left: 0,
            counters: Counters::new(),
            turn_ns: Histogram::new(),
            started: Instant::now(),
            turn_ended: Instant::now(),
            thread_options: ThreadOptions::of(config),
            management_address,
            voice_relay_address,
        };
        let registry = server.poll.registry();
        registry
            .register(&mut server.listener, LISTENER, Interest::READABLE)
            .map_err(system("register the TCP port"))?;
        registry
            .register(server.voice.socket(), VOICE, Interest::READABLE)
            .map_err(system("register the UDP port"))?;
        Ok(server)
    }

    /// Makes SIGINT and SIGTERM stop this server in order, and a second one at once; and SIGUSR1
    /// write its [statistics](Self::statistics) to the log. Signals belong to the whole process, so
    /// this is for an application that leaves them to the server.
    ///
    /// # Errors
    ///
    /// [`ServerError::System`] if the handlers cannot be installed.
    #[cfg(unix)]
    pub fn handle_signals(&mut self) -> Result<(), ServerError> {
        use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
        signal_hook_mio::v1_0::Signals::new([SIGINT, SIGTERM, SIGUSR1])
            .and_then(|mut signals| {
                let registry = self.poll.registry();
                registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
                self.signals = Some(signals);
                Ok(())
            })
            .map_err(|source| ServerError::system("handle signals", source))
    }

    /// The TCP address that management listens on, with the port that was chosen.
    pub fn management_address(&self) -> SocketAddr {
        self.management_address
    }

    /// The UDP address that the voice relay receives on, with the port that was chosen.
    pub fn voice_relay_address(&self) -> SocketAddr {
        self.voice_relay_address
    }

    /// A handle to the server for other threads, and for when it runs.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// What the server has done so far.
    pub fn statistics(&self) -> Statistics {
        let traffic = self.voice.traffic();
        let management = self.switchboard.management();
        let mut counters = self.counters.clone();
        counters.add(&self.switchboard.counters());
        counters.add(&traffic.counters);
        Statistics {
            uptime: self.started.elapsed(),
            users: management.user_count(),
            users_at_most: management.users_at_most(),
            datagrams_received: traffic.datagrams_received,
            datagrams_sent: traffic.datagrams_sent,
            kernel_drops: traffic.kernel_drops,
            latency_ns: traffic.latency_ns.clone(),
            turn_ns: self.turn_ns.clone(),
            batches: traffic.batches.clone(),
            counters,
        }
    }

    /// Serves until it is stopped, on the thread that calls this. Then nothing more is accepted or
    /// read, what is queued is flushed within [`STOP_DEADLINE`](crate::limits::STOP_DEADLINE), and
    /// the connections are closed. Returns what was done.
    ///
    /// # Errors
    ///
    /// [`ServerError::System`] if a setting for bare metal is refused, or waiting for events fails.
    pub fn run(mut self) -> Result<Statistics, ServerError> {
        self.thread_options.apply()?;
        system::return_large_buffers();
        info!(
            "voiceapp-server {}: management on TCP {}, voice relay on UDP {}, at most {} users",
            env!("CARGO_PKG_VERSION"),
            self.management_address,
            self.voice_relay_address,
            self.switchboard.management().max_users(),
        );
        let mut events = Events::with_capacity(POLL_EVENTS);
        while !self.handle.wants_stop() {
            if self.handle.takes_statistics_request() {
                info!("statistics\n{}", self.statistics().to_string().trim_end());
            }
            self.turn(&mut events)?;
        }
        stop::flush(&mut self);
        let statistics = stop::close(self);
        info!("stopped\n{}", statistics.to_string().trim_end());
        Ok(statistics)
    }

    /// One turn of the loop.
    fn turn(&mut self, events: &mut Events) -> Result<(), ServerError> {
        if let Err(source) = self.poll.poll(events, self.timeout()) {
            if source.kind() != io::ErrorKind::Interrupted {
                return Err(ServerError::system("wait for events", source));
            }
            // Whatever interrupted it, deadlines are met.
            events.clear();
        }
        let now = read_clock();
        self.connections.now = now.instant;
        self.note_readiness(events);
        self.look_at_voice(now);
        self.accept(now);
        self.handle_inbox(now);
        self.end_connections(now);
        self.flush(now);
        self.end_expired(now);
        self.turn_ended = Instant::now();
        let turn = self.turn_ended.duration_since(now.instant);
        self.turn_ns.record(turn.as_nanos() as u64);
        Ok(())
    }

    /// How long the loop may sleep: not at all with work left over, else until something is due.
    fn timeout(&self) -> Option<Duration> {
        let may_accept = self.is_accept_ready && self.accept_paused_until.is_none();
        let has_work = self.is_voice_ready || may_accept || self.connections.has_work();
        if has_work || self.thread_options.busy_poll {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.switchboard.next_deadline(),
            self.accept_paused_until,
            self.connections.next_flush(),
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(self.turn_ended))
    }

    fn note_readiness(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                VOICE => self.is_voice_ready = true,
                LISTENER => self.is_accept_ready = true,
                WAKER => {}
                #[cfg(unix)]
                SIGNALS => {
                    if self.take_signals_of_stop() {
                        self.handle.request_stop();
                    }
                }
                Token(index) => {
                    let id = ConnectionId(index as u32);
                    if event.is_writable() {
                        if let Some(connection) = self.connections.get(id) {
                            connection.is_writable = true;
                        }
                        self.connections.want_flush(id);
                    }
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        self.connections.want_read(id);
                    }
                }
            }
        }
    }

    /// Takes note of the signals that have come, and says whether one of them means stop.
    #[cfg(unix)]
    fn take_signals_of_stop(&mut self) -> bool {
        let mut means_stop = false;
        for signal in self.signals.iter_mut().flat_map(|it| it.pending()) {
            match signal {
                signal_hook::consts::SIGUSR1 => self.handle.request_statistics(),
                _ => means_stop = true,
            }
        }
        means_stop
    }

    /// Relays what has arrived on the voice socket, up to a bound. Asking costs little where
    /// nothing has, and nobody else tells while a turn lasts.
    fn look_at_voice(&mut self, now: Now) {
        self.work = 0;
        let mut deliveries = 0;
        for _ in 0..BATCHES_PER_LOOK {
            self.voice.receive();
            let (datagrams, mut outgoing) = self.voice.batch();
            for datagram in datagrams {
                // What came before a new proof of address goes to those who listened then.
                let relay = self.switchboard.relay();
                if relay.is_new_proof(datagram.source, datagram.bytes) {
                    outgoing.send(relay.listeners());
                }
                let source = datagram.source;
                match self
                    .switchboard
                    .handle_datagram(now, source, datagram.bytes)
                {
                    Verdict::Relay { frame, recipients } => {
                        deliveries += recipients.len();
                        outgoing.queue(Queued {
                            frame,
                            sender: recipients.sender(),
                            arrived_ns: datagram.arrived_ns,
                        });
                    }
                    Verdict::Answer(answer) => outgoing.answer(&answer, &source),
                    Verdict::Drop(_) => {}
                }
            }
            outgoing.send(self.switchboard.relay().listeners());
            self.is_voice_ready = self.voice.may_have_more();
            if !self.is_voice_ready || deliveries >= DELIVERIES_PER_LOOK {
                return;
            }
        }
    }

    /// Notes that a unit of work was done on TCP, and what was copied with it, and looks at voice
    /// when it has waited for its share.
    fn worked(&mut self, now: Now) {
        let copied = std::mem::take(&mut self.connections.copying_cost);
        let work = 1 + copied / WORK_UNIT_BYTES;
        self.work_left = self.work_left.saturating_sub(work);
        self.work += work;
        if self.work >= WORK_BETWEEN_VOICE {
            self.look_at_voice(now);
        }
    }

    /// Handles frames of everyone who has sent some, a share of each one's.
    fn handle_inbox(&mut self, now: Now) {
        self.work_left = WORK_PER_STAGE;
        // Whoever has more is put back at the end, and gets the next share in the next turn.
        for _ in 0..self.connections.inbox.len() {
            if self.work_left == 0 {
                return;
            }
            if let Some(id) = self.connections.inbox.pop_front() {
                self.handle_frames(now, id);
            }
        }
    }

    /// Handles frames of one connection and reads more, up to its share.
    fn handle_frames(&mut self, now: Now, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id) {
            connection.is_in_inbox = false;
        }
        for _ in 0..FRAMES_PER_CONNECTION_PER_TURN {
            let Some(connection) = self.connections.get(id).filter(|it| it.ending.is_none()) else {
                return;
            };
            let mut inbound = std::mem::take(&mut connection.inbound);
            if let Some(frame) = inbound.next_frame() {
                let connections = &mut self.connections;
                let result = self.switchboard.handle_frame(now, id, frame, connections);
                if let Some(connection) = self.connections.get(id) {
                    connection.inbound = inbound;
                }
                if let Err(cause) = result {
                    self.connections.end(id, cause);
                }
            } else {
                connection.inbound = inbound;
                match connection.read(&mut self.scratch) {
                    Ok(ReadOutcome::Received) => {}
                    Ok(ReadOutcome::WouldBlock) => return,
                    Ok(ReadOutcome::Ended) => self.connections.end(id, Cause::ClosedByPeer),
                    Err(_) => self.connections.end(id, Cause::ClosedBroken),
                }
            }
            self.worked(now);
            if self.work_left == 0 {
                break;
            }
        }
        self.connections.want_read(id);
    }

    fn end_connections(&mut self, now: Now) {
        self.work_left = WORK_PER_STAGE;
        while self.work_left > 0 {
            let Some(id) = self.connections.next_to_end() else {
                return;
            };
            self.end(now, id);
        }
    }

    fn end_expired(&mut self, now: Now) {
        self.work_left = WORK_PER_STAGE;
        while self.work_left > 0 {
            let Some(id) = self.switchboard.expired(now) else {
                return;
            };
            self.connections.end(id, Cause::ClosedLoginDeadline);
            self.end(now, id);
        }
    }

    /// Ends a connection that was marked for it.
    fn end(&mut self, now: Now, id: ConnectionId) {
        let Some(mut connection) = self.connections.remove(id) else {
            return;
        };
        let Some(cause) = connection.ending else {
            unreachable!("only what was marked is ended");
        };
        debug!("connection {id} ended: {}", cause.name());
        // What was answered before the end is still worth an attempt. Closing the descriptor also
        // ends its registration, so that a failure to deregister changes nothing.
        let _ = connection.flush();
        let _ = self.poll.registry().deregister(&mut connection.stream);
        drop(connection);
        self.switchboard
            .handle_disconnect(id, cause, &mut self.connections);
        self.worked(now);
    }

    /// Offers to the kernel what has been queued, once per connection.
    fn flush(&mut self, now: Now) {
        self.work_left = WORK_PER_STAGE;
        while self.work_left > 0 {
            let Some(id) = self.connections.next_to_flush() else {
                return;
            };
            let Some(connection) = self.connections.get(id) else {
                continue;
            };
            match connection.flush() {
                Ok(bytes) => self.connections.copying_cost += bytes,
                Err(_) => self.connections.end(id, Cause::ClosedBroken),
            }
            self.worked(now);
        }
    }
}

/// The one reading of the clocks that decisions are made with. Others are only measured by.
fn read_clock() -> Now {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Now {
        instant: Instant::now(),
        unix_ms: since_epoch.map_or(0, |since| since.as_millis() as u64),
    }
}
