//! The loop: its start, its turns, and its stop.

#[cfg(all(unix, feature = "cli"))]
use super::SIGNALS;
#[cfg(all(unix, feature = "cli"))]
use super::handle::Request;
use super::http::{self, HttpPort};
use super::{LISTENER, Server, ServerError, VOICE, WAKER, read_clock, stop};
use crate::event::ConnectionId;
use crate::statistics::Statistics;
use crate::system;
use log::info;
use mio::{Events, Token};
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

impl Server {
    /// Serves until it is stopped, on the thread that calls this, and [finishes](Self::finish).
    /// Returns the statistics.
    ///
    /// # Errors
    ///
    /// As for [`turn`](Self::turn).
    pub fn run(mut self) -> Result<Statistics, ServerError> {
        while self.turn(None)?.is_continue() {}
        Ok(self.finish())
    }

    /// One turn of the loop, for an application that has a loop of its own: it waits for something
    /// to do, at most for `timeout` if there is one, and does a bounded share of it. Call it again
    /// at once, or voice waits, until it breaks because the server is to stop. Then
    /// [finish](Self::finish).
    ///
    /// The first turn sets its thread up as the settings for bare metal ask, and the others are
    /// meant to be on the same.
    ///
    /// # Errors
    ///
    /// [`ServerError::System`] if a setting for bare metal is refused, or waiting for events fails.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<ControlFlow<()>, ServerError> {
        if !self.is_started {
            self.start()?;
            self.is_started = true;
        }
        if self.handle.wants_stop() {
            return Ok(ControlFlow::Break(()));
        }
        self.attend_to_paces();
        let timeout = self.timeout().into_iter().chain(timeout).min();
        if let Err(source) = self.poll.poll(&mut self.readiness, timeout) {
            if source.kind() != io::ErrorKind::Interrupted {
                return Err(ServerError::system("wait for events", source));
            }
            // Deadlines are met even so.
            self.readiness.clear();
        }
        let now = read_clock();
        self.note_readiness();
        self.core.turn(now);
        self.pass_events_on();
        self.attend_metrics(now.instant);
        self.attend_requests();
        #[cfg(target_os = "linux")]
        self.supervisor.turned(now.instant);
        self.turn_ended = Instant::now();
        let turn = self.turn_ended.duration_since(now.instant);
        self.turn_ns.record(turn.as_nanos() as u64);
        Ok(match self.handle.wants_stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    /// Stops in order: nothing more is accepted or read, what is queued is flushed within
    /// [`STOP_DEADLINE`](crate::limits::STOP_DEADLINE), and the connections are closed. Returns the
    /// statistics.
    pub fn finish(mut self) -> Statistics {
        #[cfg(target_os = "linux")]
        self.supervisor.stopping();
        stop::flush(&mut self);
        let statistics = stop::close(self);
        info!("stopped\n{}", statistics.to_string().trim_end());
        statistics
    }

    /// What is done once, on the thread that serves.
    fn start(&mut self) -> Result<(), ServerError> {
        self.thread_options.apply()?;
        if system::open_descriptors().is_none() {
            self.descriptors_at_start = system::count_open_descriptors();
        }
        info!(
            "voiceapp-server {}: management on TCP {}, voice relay on UDP {}, at most {} users",
            env!("CARGO_PKG_VERSION"),
            self.management_address,
            self.voice_relay_address,
            self.core.switchboard.management().max_users(),
        );
        self.log_invitation();
        if let Some(address) = self.metrics_address {
            info!("metrics on http://{address}/metrics");
        }
        #[cfg(target_os = "linux")]
        self.supervisor.ready(Instant::now());
        Ok(())
    }

    /// Logs the invitation, by which clients know this server.
    fn log_invitation(&self) {
        let ip = self.management_address.ip();
        // A machine cannot know the name that others have for it.
        let host = match ip.is_unspecified() {
            true => "HOST".into(),
            false => ip.to_string(),
        };
        match self.invitation(&host) {
            Some(invitation) => info!("connections can be encrypted; invitation: {invitation}"),
            None => info!("connections are not encrypted"),
        }
    }

    /// Fulfils requests that come at any time and are due once in a while.
    fn attend_to_paces(&mut self) {
        if self.statistics_pace.is_due(self.turn_ended, &self.handle) {
            let statistics = self.statistics_at_any_price();
            info!("statistics\n{}", statistics.to_string().trim_end());
        }
        if self.reload_pace.is_due(self.turn_ended, &self.handle) {
            self.reload();
        }
        if let Some(bans) = self.ban_file.fresh() {
            info!(
                "the ban file was read again: {} ranges of addresses",
                bans.len()
            );
            self.bans.of_the_file = bans;
            self.apply_bans();
        }
        if let Some(passwords) = self.passwords.fresh() {
            info!(
                "the password file was read again: {} passwords",
                passwords.len()
            );
            self.core.switchboard.set_passwords(passwords);
        }
        if let Some(identity) = self.certificate.fresh() {
            self.set_identity(&identity);
            info!(
                "the certificate was read again, for new connections: sha256 {}",
                identity.fingerprint()
            );
        }
    }

    /// Begins to read again what is configured. A line in the log follows for each.
    fn reload(&mut self) {
        let begun = [
            self.ban_file.reload(),
            self.passwords.reload(),
            self.certificate.reload(),
        ];
        if !begun.contains(&true) {
            info!("no file to read again is configured");
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        if self.thread_options.busy_poll {
            return Some(Duration::ZERO);
        }
        if self.asked.is_ready || self.http.as_ref().is_some_and(|http| http.is_ready) {
            return Some(Duration::ZERO);
        }
        #[cfg(target_os = "linux")]
        let watchdog = self.supervisor.next_deadline();
        #[cfg(not(target_os = "linux"))]
        let watchdog = None;
        let http = self.http.as_ref().and_then(HttpPort::next_deadline);
        let paces = [&self.statistics_pace, &self.reload_pace];
        let asked = paces.map(|pace| pace.deadline(&self.handle));
        let others = [watchdog, http].into_iter().chain(asked).flatten();
        let others = others.map(|at| at.saturating_duration_since(self.turn_ended));
        let own = self.core.timeout(self.turn_ended);
        own.into_iter().chain(others).min()
    }

    /// Answers collectors of metrics, after everything else.
    fn attend_metrics(&mut self, now: Instant) {
        let is_due = |http: &HttpPort| {
            http.is_ready || http.next_deadline().is_some_and(|deadline| deadline <= now)
        };
        if let Some(mut http) = self.http.take_if(|http| is_due(http)) {
            http.attend(now, || self.statistics_at_any_price());
            self.http = Some(http);
        }
    }

    fn note_readiness(&mut self) {
        // Put back below: nothing changes it in between.
        let events = std::mem::replace(&mut self.readiness, Events::with_capacity(0));
        for event in &events {
            match event.token() {
                VOICE => self.core.voice.note_readable(),
                LISTENER => self.core.door.is_ready = true,
                WAKER => self.asked.is_ready = true,
                #[cfg(all(unix, feature = "cli"))]
                SIGNALS => {
                    if self.take_signals_of_stop() {
                        self.handle.request_stop();
                    }
                }
                Token(token) if http::TOKENS.contains(&token) => {
                    if let Some(http) = &mut self.http {
                        http.is_ready = true;
                    }
                }
                Token(index) => {
                    let (id, connections) =
                        (ConnectionId(index as u32), &mut self.core.connections);
                    if event.is_writable() {
                        connections.note_writable(id);
                    }
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        connections.want_read(id);
                    }
                }
            }
        }
        self.readiness = events;
    }

    /// Records the signals that have come, and returns whether one of them means stop.
    #[cfg(all(unix, feature = "cli"))]
    pub(super) fn take_signals_of_stop(&mut self) -> bool {
        let mut means_stop = false;
        for signal in self.signals.iter_mut().flat_map(|it| it.pending()) {
            match signal {
                signal_hook::consts::SIGUSR1 => self.handle.request(Request::Statistics),
                signal_hook::consts::SIGHUP => self.handle.request(Request::Reload),
                _ => means_stop = true,
            }
        }
        means_stop
    }
}
