//! Both halves under one roof: every event that management has for the relay is handed over before
//! anything else happens, so that nobody who drives the two can forget to.
//!
//! This is all of the server that decides anything, still without sockets or clocks: the poll loop
//! drives it in production, the simulation in tests.

use crate::cause::{Cause, Counters};
use crate::event::{ConnectionId, Now, Peer, VoiceToken};
use crate::management::{ManagementServer, Outbox, To};
use crate::protocol::Frame;
use crate::rate::Rates;
use crate::relay::{HashKey, Verdict, VoiceRelayServer};
use std::time::Instant;

/// Where frames for connections go.
pub trait Deliver {
    /// Queues one or more whole frames for a connection. Called in order; must not lose any, unless
    /// the connection is to be ended.
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]);

    /// The same for frames that many are sent, and that may wait a moment longer, so that several
    /// can go out together.
    fn announce(&mut self, to: ConnectionId, frames: &[u8]) {
        self.deliver(to, frames);
    }
}

/// The whole server without its input and output: see the [module](self).
pub struct Switchboard {
    management: ManagementServer,
    relay: VoiceRelayServer,
    outbox: Outbox,
    /// Why connections ended.
    counters: Counters,
}

impl Switchboard {
    /// For at most `max_users` users at a time.
    pub fn new(max_users: usize, rates: Rates, key: HashKey) -> Self {
        Switchboard {
            management: ManagementServer::new(max_users, rates),
            relay: VoiceRelayServer::new(max_users, rates, key),
            outbox: Outbox::new(),
            counters: Counters::new(),
        }
    }

    /// As [`ManagementServer::handle_connect`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn handle_connect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        token: VoiceToken,
    ) -> Result<(), Cause> {
        self.management.handle_connect(now, connection, token)
    }

    /// Handles a frame, and delivers what comes of it.
    ///
    /// # Errors
    ///
    /// Why the connection is to be ended, to be passed to
    /// [`handle_disconnect`](Self::handle_disconnect).
    pub fn handle_frame(
        &mut self,
        now: Now,
        connection: ConnectionId,
        frame: Frame<'_>,
        connections: &mut impl Deliver,
    ) -> Result<(), Cause> {
        let result = self
            .management
            .handle_frame(now, connection, frame, &mut self.outbox);
        self.pass_on(connections);
        result
    }

    /// A connection ended, for this cause, which is counted. The others are told.
    pub fn handle_disconnect(
        &mut self,
        connection: ConnectionId,
        cause: Cause,
        connections: &mut impl Deliver,
    ) {
        self.counters.count(cause);
        self.management
            .handle_disconnect(connection, &mut self.outbox);
        self.pass_on(connections);
    }

    /// As [`VoiceRelayServer::handle_datagram`].
    pub fn handle_datagram<'d>(
        &mut self,
        now: Now,
        source: Peer,
        datagram: &'d mut [u8],
    ) -> Verdict<'_, 'd> {
        self.relay.handle_datagram(now, source, datagram)
    }

    /// As [`ManagementServer::expired`].
    pub fn expired(&self, now: Now) -> Option<ConnectionId> {
        self.management.expired(now)
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

    /// What either half turned away, and why connections ended.
    pub fn counters(&self) -> Counters {
        let mut all = self.counters.clone();
        all.add(self.management.counters());
        all.add(self.relay.counters());
        all
    }

    fn pass_on(&mut self, connections: &mut impl Deliver) {
        for &event in self.outbox.events() {
            self.relay.handle_event(event);
        }
        for (to, frames) in self.outbox.deliveries() {
            match to {
                To::One(connection) => connections.deliver(connection, frames),
                To::Everyone => {
                    for connection in self.management.user_connections() {
                        connections.announce(connection, frames);
                    }
                }
                To::EveryoneBut(except) => {
                    for connection in self.management.user_connections() {
                        if connection != except {
                            connections.announce(connection, frames);
                        }
                    }
                }
            }
        }
        self.outbox.clear();
    }
}
