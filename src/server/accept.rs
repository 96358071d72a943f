//! Taking connections in, and what to do when there is no room for more.

use super::core::{Admitted, Core, Voice};
use super::sockets;
use super::spare::{self, Spare};
use crate::cause::Cause;
use crate::connection::Stream;
use crate::event::{ConnectionId, Now, VoiceToken};
use crate::limits::{ACCEPT_PAUSE, Limits};
use log::{debug, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

/// Where connections come from.
pub(super) trait Listener {
    type Stream: Stream;

    /// The next that waits, as accept(2).
    fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Takes the next that waits, with the descriptor that is kept for this, and closes it at once.
    fn refuse(&mut self) -> io::Result<SocketAddr>;

    /// A random token that is not 0, or none if the system has no randomness to give.
    fn draw_token(&mut self) -> Option<VoiceToken>;

    /// Has its readiness reported from now on, under this id, on the edge.
    fn register(&mut self, id: ConnectionId, stream: &mut Self::Stream) -> io::Result<()>;
}

/// The management port.
pub(super) struct TcpPort {
    pub(super) listener: TcpListener,
    pub(super) registry: Registry,
    pub(super) limits: Limits,
    pub(super) spare: Spare,
}

impl Listener for TcpPort {
    type Stream = TcpStream;

    fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept()
    }

    fn refuse(&mut self) -> io::Result<SocketAddr> {
        let listener = &self.listener;
        // Closed before the descriptor is taken again.
        self.spare
            .lend(|| listener.accept().map(|(_, address)| address))
    }

    fn draw_token(&mut self) -> Option<VoiceToken> {
        draw_token()
    }

    fn register(&mut self, id: ConnectionId, stream: &mut TcpStream) -> io::Result<()> {
        sockets::prepare(stream, &self.limits);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(stream, Token(id.index()), interest)
    }
}

/// A listener, and whether it is listened to.
pub(super) struct Door<L> {
    pub(super) listener: L,
    /// Whether a connection may be waiting to be accepted.
    pub(super) is_ready: bool,
    /// Set while the kernel hands nobody over.
    paused_until: Option<Instant>,
}

impl<L: Listener> Door<L> {
    pub(super) fn new(listener: L) -> Self {
        Door {
            listener,
            is_ready: false,
            paused_until: None,
        }
    }

    /// Whether there may be somebody to take in now.
    pub(super) fn may_accept(&self) -> bool {
        self.is_ready && self.paused_until.is_none()
    }

    /// Until when nobody is taken in, if that is so.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Takes in who is waiting, up to a budget.
    pub(super) fn accept(&mut self, now: Now, core: &mut Core<L::Stream>, voice: &mut impl Voice) {
        match self.paused_until {
            Some(until) if now.instant < until => return,
            _ => self.paused_until = None,
        }
        core.begin_stage();
        while self.may_accept() && !core.is_stage_over() {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    // Where each newcomer costs another its place, those who are here are listened
                    // to in between: they may be about to log in.
                    let admitted = self.admit(now, stream, address, core, voice);
                    if admitted == Some(Admitted::ForAnother) {
                        return;
                    }
                }
                Err(error) if spare::are_used_up(&error) => match self.listener.refuse() {
                    Ok(address) => core.refuse(now, address, Cause::RefusedNoDescriptors),
                    Err(error) => self.stop_for_a_while(now, &error, core),
                },
                Err(error) => self.stop_for_a_while(now, &error, core),
            }
            core.worked(now, voice);
        }
    }

    /// Nobody could be taken in: nobody is there, or there is no room for them.
    fn stop_for_a_while(&mut self, now: Now, error: &io::Error, core: &mut Core<L::Stream>) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.is_ready = false,
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::ConnectionAborted => core.counters.count(Cause::AcceptFailed),
            _ => {
                if core.counters.get(Cause::AcceptPaused) == 0 {
                    warn!(
                        "cannot accept connections, trying again every {ACCEPT_PAUSE:?}: {error}"
                    );
                }
                // Out of memory for sockets, most likely: whoever is connected is served on, and the
                // others wait in the kernel's queue.
                core.counters.count(Cause::AcceptPaused);
                self.paused_until = Some(now.instant + ACCEPT_PAUSE);
            }
        }
    }

    /// Takes in a connection, if it may come in.
    fn admit(
        &mut self,
        now: Now,
        stream: L::Stream,
        address: SocketAddr,
        core: &mut Core<L::Stream>,
        voice: &mut impl Voice,
    ) -> Option<Admitted> {
        let Some(token) = self.listener.draw_token() else {
            core.counters.count(Cause::AcceptFailed);
            return None;
        };
        let id = core.connections.next_id();
        let address = address.ip().to_canonical();
        let admitted = core.admit(now, stream, address, token, voice)?;
        let connection = core.connections.get(id)?;
        if let Err(error) = self.listener.register(id, &mut connection.stream) {
            debug!("cannot wait for events of a connection: {error}");
            core.connections.end(id, Cause::AcceptFailed);
        }
        Some(admitted)
    }
}

/// A random token from the system, or none if the system has no randomness to give.
fn draw_token() -> Option<VoiceToken> {
    loop {
        match getrandom::u64() {
            Ok(0) => {}
            Ok(token) => return Some(VoiceToken(token)),
            Err(_) => return None,
        }
    }
}
