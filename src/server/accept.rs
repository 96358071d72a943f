//! Taking connections in, and what to do when there is no room for more.

use super::core::Admitted;
use super::{Server, sockets};
use crate::cause::Cause;
use crate::event::{Now, VoiceToken};
use crate::limits::ACCEPT_PAUSE;
use log::{debug, warn};
use mio::net::TcpStream;
use mio::{Interest, Token};
use std::io;
use std::net::SocketAddr;

impl Server {
    /// Takes in who is waiting, up to a budget.
    pub(super) fn accept(&mut self, now: Now) {
        match self.accept_paused_until {
            Some(until) if now.instant < until => return,
            _ => self.accept_paused_until = None,
        }
        self.core.begin_stage();
        while self.is_accept_ready && !self.core.is_stage_over() {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    // Where each newcomer costs another its place, those who are here are listened
                    // to in between: they may be about to log in.
                    if self.admit(now, stream, address) == Some(Admitted::ForAnother) {
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.is_accept_ready = false,
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionAborted => {
                        self.core.counters.count(Cause::AcceptFailed)
                    }
                    _ => {
                        self.pause_accepting(now, &error);
                        return;
                    }
                },
            }
            self.core.worked(now, &mut self.voice);
        }
    }

    /// Out of descriptors, most likely: whoever is connected is served on, and the others wait in
    /// the kernel's queue.
    fn pause_accepting(&mut self, now: Now, error: &io::Error) {
        if self.core.counters.get(Cause::AcceptPaused) == 0 {
            warn!("cannot accept connections, trying again every {ACCEPT_PAUSE:?}: {error}");
        }
        self.core.counters.count(Cause::AcceptPaused);
        self.accept_paused_until = Some(now.instant + ACCEPT_PAUSE);
    }

    /// Takes in a connection, if it may come in.
    fn admit(&mut self, now: Now, stream: TcpStream, address: SocketAddr) -> Option<Admitted> {
        let Some(token) = draw_token() else {
            self.core.counters.count(Cause::AcceptFailed);
            return None;
        };
        let id = self.core.connections.next_id();
        let address = address.ip().to_canonical();
        let admitted = self
            .core
            .admit(now, stream, address, token, &mut self.voice)?;
        let connection = self.core.connections.get(id)?;
        sockets::prepare(&connection.stream, self.dead_peer_timeout);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        let token = Token(id.index());
        if let Err(error) = registry.register(&mut connection.stream, token, interest) {
            debug!("cannot wait for events of a connection: {error}");
            self.core.connections.end(id, Cause::AcceptFailed);
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
