//! Both halves under one roof: every event that management has for the relay is handed over before
//! anything else happens, so that nobody who drives the two can forget to.
//!
//! This is all of the server that decides anything, still without sockets or clocks: the poll loop
//! drives it in production, the simulation in tests.

use crate::bans::BanList;
use crate::cause::{Cause, Counters};
use crate::event::{ConnectionId, Now, Peer, VoiceToken};
use crate::hash::HashKey;
use crate::limits::Limits;
use crate::management::{ManagementServer, Outbox, To};
use crate::protocol::{Frame, id};
use crate::relay::{Recipients, Speaker, Verdict, VoiceRelayServer};
use std::net::IpAddr;
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
    bans: BanList,
    /// Why connections ended, and who was kept out of both halves.
    counters: Counters,
}

impl Switchboard {
    /// A server within these limits, with nobody banned.
    pub fn new(limits: Limits, key: HashKey) -> Self {
        Switchboard {
            management: ManagementServer::new(limits, key),
            relay: VoiceRelayServer::new(limits, key),
            outbox: Outbox::new(),
            bans: BanList::default(),
            counters: Counters::new(),
        }
    }

    /// Bans these from now on, and nobody else. Who of them has proved an address has it no longer;
    /// whose connections are to be ended, with [`Cause::ClosedBanned`], is in
    /// [`banned`](Self::banned).
    pub fn set_bans(&mut self, bans: BanList) {
        self.bans = bans;
        let bans = &self.bans;
        self.relay.forget_addresses(|ip| bans.contains(ip));
    }

    /// Connections from banned addresses.
    pub fn banned(&self) -> impl Iterator<Item = ConnectionId> {
        self.management
            .connections_from(|ip| self.bans.contains(ip))
    }

    /// As [`ManagementServer::handle_connect`].
    ///
    /// # Errors
    ///
    /// The same, and [`Cause::RefusedBanned`].
    pub fn handle_connect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        address: IpAddr,
        token: VoiceToken,
    ) -> Result<Option<ConnectionId>, Cause> {
        if self.bans.contains(address) {
            self.counters.count(Cause::RefusedBanned);
            return Err(Cause::RefusedBanned);
        }
        self.management
            .handle_connect(now, connection, address, token)
    }

    /// Handles a frame, and delivers what comes of it.
    ///
    /// # Errors
    ///
    /// Why the connection is to be ended, to be passed to
    /// [`handle_disconnect`](Self::handle_disconnect), once what was delivered to it is on its way.
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
        now: Now,
        connection: ConnectionId,
        cause: Cause,
        connections: &mut impl Deliver,
    ) {
        self.counters.count(cause);
        self.management
            .handle_disconnect(now, connection, &mut self.outbox);
        self.pass_on(connections);
    }

    /// As [`ManagementServer::log_end`].
    pub(crate) fn log_end(&mut self, now: Now, connection: ConnectionId, cause: Cause) {
        self.management.log_end(now, connection, cause);
    }

    /// As [`ManagementServer::log_refusal`].
    pub(crate) fn log_refusal(&mut self, now: Now, address: IpAddr, cause: Cause) {
        self.management.log_refusal(now, address, cause);
    }

    /// As [`ManagementServer::log_left_out`].
    pub(crate) fn log_left_out(&mut self, now: Now) {
        self.management.log_left_out(now);
    }

    /// As [`VoiceRelayServer::handle_datagram`]. The banned cannot prove an address, and whoever has
    /// proved none is not heard.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Now,
        source: Peer,
        datagram: &'d mut [u8],
    ) -> Verdict<'_, 'd> {
        let is_proof = datagram.first() == Some(&id::VOICE_AUTH_REQUEST);
        if is_proof && self.bans.contains(source.remote.ip()) {
            self.counters.count(Cause::VoiceAuthBanned);
            return Verdict::Drop(Cause::VoiceAuthBanned);
        }
        self.relay.handle_datagram(now, source, datagram)
    }

    /// As [`VoiceRelayServer::recipients`].
    pub(crate) fn recipients(&mut self, speaker: Speaker) -> Result<Recipients<'_>, Cause> {
        self.relay.recipients(speaker)
    }

    /// As [`ManagementServer::handle_tick`].
    pub fn handle_tick(&mut self, now: Now, connections: &mut impl Deliver) -> bool {
        let is_due = self.management.handle_tick(now, &mut self.outbox);
        self.pass_on(connections);
        is_due
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
