//! Taking connections in, and what to do when there is no room for more.

use super::{Server, sockets};
use crate::cause::Cause;
use crate::event::{Now, VoiceToken, canonical};
use crate::limits::{ACCEPT_PAUSE, WORK_PER_STAGE};
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
        self.work_left = WORK_PER_STAGE;
        while self.is_accept_ready && self.work_left > 0 {
            match self.listener.accept() {
                Ok((stream, address)) => self.admit(now, stream, address),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.is_accept_ready = false,
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionAborted => self.counters.count(Cause::AcceptFailed),
                    _ => {
                        self.pause_accepting(now, &error);
                        return;
                    }
                },
            }
            self.worked(now);
        }
    }

    /// Out of descriptors, most likely: whoever is connected is served on, and the others wait in
    /// the kernel's queue.
    fn pause_accepting(&mut self, now: Now, error: &io::Error) {
        if self.counters.get(Cause::AcceptPaused) == 0 {
            warn!("cannot accept connections, trying again every {ACCEPT_PAUSE:?}: {error}");
        }
        self.counters.count(Cause::AcceptPaused);
        self.accept_paused_until = Some(now.instant + ACCEPT_PAUSE);
    }

    fn admit(&mut self, now: Now, mut stream: TcpStream, address: SocketAddr) {
        let id = self.connections.next_id();
        sockets::prepare(&stream);
        let Some(token) = draw_token() else {
            self.counters.count(Cause::AcceptFailed);
            return;
        };
        if self.switchboard.handle_connect(now, id, token).is_err() {
            return;
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if registry
            .register(&mut stream, Token(id.index()), interest)
            .is_err()
        {
            self.switchboard
                .handle_disconnect(id, Cause::AcceptFailed, &mut self.connections);
            return;
        }
        debug!("connection {id} from {}", canonical(address));
        self.connections.insert(stream);
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
