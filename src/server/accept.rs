//! The listener for connections, and what to do when there is no room for more. Other modules
//! decide which connections are accepted.

use super::sockets;
use super::spare::{self, Spare};
use crate::cause::AcceptFailed;
use crate::connection::Stream;
use crate::event::{ConnectionId, VoiceToken};
use crate::limits::{ACCEPT_PAUSE, Limits};
use log::warn;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// A source of connections.
pub trait Listener {
    /// Its connections.
    type Stream: Stream;

    /// The next connection that waits, as accept(2).
    fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Accepts the next that waits, with the descriptor that is kept for this, and closes it at
    /// once.
    fn refuse(&mut self) -> io::Result<SocketAddr>;

    /// A random token that is not 0, or none if the system has no randomness to give.
    fn draw_token(&mut self) -> Option<VoiceToken>;

    /// Reports its readiness from now on, under this id, on the edge.
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

/// The result of an attempt to accept.
pub(super) enum Arrival<S> {
    /// A connection, with a token for it.
    Newcomer {
        stream: S,
        address: IpAddr,
        token: VoiceToken,
    },
    /// A connection that was closed at once.
    TurnedAway {
        address: IpAddr,
        cause: AcceptFailed,
    },
    /// No connection, for a cause that is to be counted.
    Failed(AcceptFailed),
    /// No connection.
    Nobody,
}

/// A listener, and whether it is listened to.
pub(super) struct Door<L> {
    pub(super) listener: L,
    /// Whether a connection may be waiting to be accepted.
    pub(super) is_ready: bool,
    /// Set while the kernel cannot hand connections over.
    paused_until: Option<Instant>,
    /// Whether the log says already that the kernel cannot hand connections over.
    has_warned: bool,
}

impl<L: Listener> Door<L> {
    pub(super) fn new(listener: L) -> Self {
        Door {
            listener,
            is_ready: false,
            paused_until: None,
            has_warned: false,
        }
    }

    /// Whether there may be a connection to accept now.
    pub(super) fn may_accept(&self) -> bool {
        self.is_ready && self.paused_until.is_none()
    }

    /// Until when accepting pauses, if it does.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Accepts the next connection, if there may be one.
    pub(super) fn next(&mut self, now: Instant) -> Option<Arrival<L::Stream>> {
        match self.paused_until {
            Some(until) if now < until => return None,
            _ => self.paused_until = None,
        }
        if !self.is_ready {
            return None;
        }
        Some(match self.listener.accept() {
            Ok((stream, address)) => match self.listener.draw_token() {
                Some(token) => Arrival::Newcomer {
                    stream,
                    address: address.ip().to_canonical(),
                    token,
                },
                None => Arrival::Failed(AcceptFailed::Broken),
            },
            Err(error) if spare::are_used_up(&error) => match self.listener.refuse() {
                Ok(address) => Arrival::TurnedAway {
                    address: address.ip().to_canonical(),
                    cause: AcceptFailed::NoDescriptors,
                },
                Err(error) => self.stop_for_a_while(now, &error),
            },
            Err(error) => self.stop_for_a_while(now, &error),
        })
    }

    /// Accepting failed: nothing waits, or there is no room for it.
    fn stop_for_a_while(&mut self, now: Instant, error: &io::Error) -> Arrival<L::Stream> {
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.is_ready = false;
                Arrival::Nobody
            }
            io::ErrorKind::Interrupted => Arrival::Nobody,
            io::ErrorKind::ConnectionAborted => Arrival::Failed(AcceptFailed::Broken),
            _ => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    warn!(
                        "cannot accept connections, trying again every {ACCEPT_PAUSE:?}: {error}"
                    );
                }
                // Most likely the kernel's memory for sockets has run out. Those who are connected
                // are served on, and the others wait in the kernel's queue.
                self.paused_until = Some(now + ACCEPT_PAUSE);
                Arrival::Failed(AcceptFailed::Paused)
            }
        }
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
