//! Both halves together: every event that management has for the relay is handed over before
//! anything else happens, so that no caller can forget to. `switchboard/voice.rs` has the way of a
//! datagram.
//!
//! This is all of the server that decides anything, still without sockets or clocks. The poll loop
//! drives it in production, and the simulation in tests.

mod voice;
#[cfg(feature = "simulation")]
pub(crate) mod watch;

use crate::access::{Access, PasswordList};
use crate::bans::BanList;
use crate::cause::{Cause, ConnectionRefused, Counters, Ended};
use crate::event::{ConnectionId, Now, UserId, VoiceToken};
use crate::hash::HashKey;
use crate::limits::Limits;
use crate::management::{About, AnnounceError, ConnectionFacts, ManagementServer, Outbox, To};
use crate::news::{News, ServerEvent};
use crate::protocol::Frame;
use crate::relay::VoiceRelayServer;
use std::net::IpAddr;
use std::time::Instant;
#[cfg(feature = "simulation")]
use watch::{Input, Tee, Watch};

/// The destination of frames for connections, and of the notice that one must be closed.
pub trait Deliver {
    /// Queues one or more whole frames for a connection. Called in order. It must not lose any,
    /// unless the connection is to be closed.
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]);

    /// The same for broadcasts, which may wait a moment longer, so that several can go out
    /// together.
    fn announce(&mut self, to: ConnectionId, frames: &[u8]) {
        self.deliver(to, frames);
    }

    /// This connection must be closed, once what was delivered to it is on its way. Close it, and
    /// then call [`Switchboard::handle_disconnect`] with this cause. Nothing more that comes from
    /// it may be handled. Called after everything that is delivered because of the same input. A
    /// connection may be named again until it is closed, and then the first cause counts.
    fn end(&mut self, connection: ConnectionId, cause: Ended);
}

/// The whole server without its input and output: see the [module](self).
pub struct Switchboard {
    management: ManagementServer,
    relay: VoiceRelayServer,
    outbox: Outbox,
    bans: BanList,
    news: News,
    /// Why connections were closed, and which were refused before either half.
    counters: Counters,
    #[cfg(feature = "simulation")]
    watch: Option<Box<dyn Watch>>,
}

impl Switchboard {
    /// A server within these limits, without bans.
    pub fn new(limits: Limits, key: HashKey) -> Self {
        Switchboard {
            management: ManagementServer::new(limits, key),
            relay: VoiceRelayServer::new(limits, key),
            outbox: Outbox::new(),
            bans: BanList::default(),
            news: News::default(),
            counters: Counters::new(),
            #[cfg(feature = "simulation")]
            watch: None,
        }
    }

    /// Puts these bans in force, and no others. A user who has proved a banned address loses it,
    /// and the connections from there are closed with [`Ended::Banned`].
    pub fn set_bans(&mut self, bans: BanList, connections: &mut impl Deliver) {
        self.bans = bans;
        #[cfg(feature = "simulation")]
        if let Some(watch) = &mut self.watch {
            watch.input(Input::Bans(&self.bans));
        }
        let bans = &self.bans;
        self.relay.forget_addresses(|ip| bans.contains(ip));
        self.management
            .end_banned(|ip| bans.contains(ip), &mut self.outbox);
        self.pass_on(connections);
    }

    /// As [`ManagementServer::set_about`].
    pub fn set_about(&mut self, about: About) {
        self.management.set_about(about);
    }

    /// As [`ManagementServer::set_access`].
    pub fn set_access(&mut self, access: Access) {
        self.management.set_access(access);
    }

    /// As [`ManagementServer::set_passwords`].
    pub fn set_passwords(&mut self, passwords: PasswordList) {
        self.management.set_passwords(passwords);
    }

    /// As [`ManagementServer::set_facts`].
    pub fn set_facts(&mut self, connection: ConnectionId, facts: ConnectionFacts) {
        self.management.set_facts(connection, facts);
    }

    /// As [`ManagementServer::say_goodbye`], and delivers it.
    pub(crate) fn say_goodbye(&mut self, connections: &mut impl Deliver) {
        self.management.say_goodbye(&mut self.outbox);
        self.pass_on(connections);
    }

    /// As [`ManagementServer::handle_connect`].
    ///
    /// # Errors
    ///
    /// The same, and [`ConnectionRefused::Banned`].
    pub fn handle_connect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        address: IpAddr,
        token: VoiceToken,
        connections: &mut impl Deliver,
    ) -> Result<(), ConnectionRefused> {
        let outbox = &mut self.outbox;
        let result = match self.bans.contains(address) {
            true => Err(ConnectionRefused::Banned).inspect_err(|&it| self.counters.count(it)),
            false => self
                .management
                .handle_connect(now, connection, address, token, outbox),
        };
        #[cfg(feature = "simulation")]
        self.watched(Input::Connect {
            now,
            connection,
            address,
            token,
            refused: result.err().map(Cause::from),
        });
        self.pass_on(connections);
        result
    }

    /// As [`ManagementServer::require_encryption`].
    pub fn require_encryption(&mut self) {
        self.management.require_encryption();
    }

    /// Handles a frame, and delivers what comes of it.
    pub fn handle_frame(
        &mut self,
        now: Now,
        connection: ConnectionId,
        frame: Frame<'_>,
        connections: &mut impl Deliver,
    ) {
        self.take_frame(now, connection, frame);
        self.pass_on(connections);
    }

    /// Handles a frame that lies in a connection's own buffer. The next call must be
    /// [`pass_on`](Self::pass_on).
    pub(crate) fn take_frame(&mut self, now: Now, connection: ConnectionId, frame: Frame<'_>) {
        #[cfg(feature = "simulation")]
        self.watched(Input::Frame {
            now,
            connection,
            id: frame.id,
            payload: frame.payload,
        });
        self.management
            .handle_frame(now, connection, frame, &mut self.outbox);
    }

    /// A connection was closed, for this cause, which is counted. The others are notified.
    pub fn handle_disconnect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        cause: Ended,
        connections: &mut impl Deliver,
    ) {
        self.counters.count(cause);
        #[cfg(feature = "simulation")]
        self.watched(Input::Disconnect {
            now,
            connection,
            cause: cause.into(),
        });
        let leaving = match self.news.is_wanted() {
            true => self.management.user_of(connection),
            false => None,
        };
        self.management
            .handle_disconnect(now, connection, &mut self.outbox);
        self.pass_on(connections);
        if let Some(user) = leaving {
            self.news.add(ServerEvent::Left { user, cause });
        }
    }

    /// As [`ManagementServer::announce`], and delivers it.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn announce(
        &mut self,
        now: Now,
        author: &str,
        message: &str,
        connections: &mut impl Deliver,
    ) -> Result<(), AnnounceError> {
        let outbox = &mut self.outbox;
        self.management.announce(now, author, message, outbox)?;
        self.pass_on(connections);
        Ok(())
    }

    /// As [`ManagementServer::end_user`], and delivers it.
    pub fn end_user(&mut self, id: UserId, connections: &mut impl Deliver) -> bool {
        let was_here = self.management.end_user(id, &mut self.outbox);
        self.pass_on(connections);
        was_here
    }

    /// Records events from now on, and keeps at most so many until they are
    /// [fetched](Self::take_event). 0 stops that.
    pub fn observe(&mut self, capacity: usize) {
        self.news.observe(capacity);
    }

    /// The oldest event that waits.
    pub fn take_event(&mut self) -> Option<ServerEvent> {
        self.news.take()
    }

    /// How many events were lost, because too many waited.
    pub fn events_lost(&self) -> u64 {
        self.news.lost()
    }

    /// As [`ManagementServer::log_end`].
    pub(crate) fn log_end(&mut self, now: Now, connection: ConnectionId, cause: Ended) {
        self.management.log_end(now, connection, cause);
    }

    /// As [`ManagementServer::log_refusal`].
    pub(crate) fn log_refusal(&mut self, now: Now, address: IpAddr, cause: impl Into<Cause>) {
        self.management.log_refusal(now, address, cause.into());
    }

    /// As [`ManagementServer::log_left_out`].
    pub(crate) fn log_left_out(&mut self, now: Now) {
        self.management.log_left_out(now);
    }

    /// As [`ManagementServer::handle_tick`].
    pub fn handle_tick(&mut self, now: Now, connections: &mut impl Deliver) -> bool {
        let is_due = self.management.handle_tick(now, &mut self.outbox);
        #[cfg(feature = "simulation")]
        self.watched(Input::Tick {
            now,
            was_due: is_due,
        });
        self.pass_on(connections);
        is_due
    }

    /// As [`ManagementServer::overdue`].
    pub fn overdue(&self, now: Now) -> Option<ConnectionId> {
        self.management.overdue(now)
    }

    /// As [`ManagementServer::next_deadline`].
    pub fn next_deadline(&self) -> Option<Instant> {
        self.management.next_deadline()
    }

    /// The half that knows people.
    pub fn management(&self) -> &ManagementServer {
        &self.management
    }

    /// The half that knows addresses.
    pub fn relay(&self) -> &VoiceRelayServer {
        &self.relay
    }

    /// What either half refused or dropped, and why connections were closed.
    pub fn counters(&self) -> Counters {
        let mut all = self.counters.clone();
        all.add(self.management.counters());
        all.add(self.relay.counters());
        all
    }

    /// Hands over what management sends: events first, closings last.
    /// Rule 12a.
    pub(crate) fn pass_on(&mut self, connections: &mut impl Deliver) {
        #[cfg(feature = "simulation")]
        let connections = &mut Tee {
            watch: self.watch.as_mut(),
            connections,
        };
        for &event in self.outbox.events() {
            self.relay.handle_event(event);
            self.news.add_event(event, &self.management);
        }
        self.news.add_chat(&self.outbox);
        for (to, frames) in self.outbox.deliveries() {
            match to {
                To::One(connection) => connections.deliver(connection, frames),
                many => {
                    for (connection, audience) in self.management.listeners() {
                        if many.includes(connection, audience) {
                            connections.announce(connection, frames);
                        }
                    }
                }
            }
        }
        for &(connection, cause) in self.outbox.ends() {
            connections.end(connection, cause);
        }
        self.outbox.clear();
        #[cfg(feature = "simulation")]
        if let Some(watch) = &mut self.watch {
            watch.handled();
        }
    }
}
