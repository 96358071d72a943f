//! Stopping: the handle that asks for it, and the end in order.

use super::{Server, Summary};
use crate::cause::Cause;
use crate::event::ConnectionId;
use crate::limits::{CLOSING_READS_MAX, POLL_EVENTS, STOP_DEADLINE};
use log::warn;
use mio::{Events, Registry, Token, Waker};
use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Stops a server from any thread. Clones stop the same server.
#[derive(Clone)]
pub struct StopHandle {
    is_set: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl StopHandle {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(StopHandle {
            is_set: Arc::new(AtomicBool::new(false)),
            waker: Arc::new(Waker::new(registry, token)?),
        })
    }

    /// Makes [`Server::run`] come to its end, and returns at once. Doing it again, or to a server that has ended, does nothing.
    pub fn stop(&self) {
        self.set();
        if let Err(error) = self.waker.wake() {
            warn!("cannot wake the server, it will stop at its next event: {error}");
        }
    }

    pub(super) fn set(&self) {
        self.is_set.store(true, Ordering::Release);
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }
}

/// Ends a server: nothing more is accepted or read, what is queued is flushed within a bound, and the connections are
/// closed. A signal that comes meanwhile ends the waiting.
pub(super) fn finish(server: Server) -> Summary {
    let deadline = Instant::now() + STOP_DEADLINE;
    let Server {
        listener,
        mut poll,
        mut connections,
        switchboard,
        voice,
        #[cfg(unix)]
        mut signals,
        mut counters,
        mut scratch,
        started,
        ..
    } = server;
    drop(listener);
    let mut events = Events::with_capacity(POLL_EVENTS);
    loop {
        let mut is_waiting = false;
        for connection in connections.iter_mut() {
            // A connection that breaks now is no longer waited for, and closed with the others.
            is_waiting |= connection.flush().is_ok() && connection.queued_bytes() > 0;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if !is_waiting || left.is_zero() || poll.poll(&mut events, Some(left)).is_err() {
            break;
        }
        for event in &events {
            let id = ConnectionId(event.token().0 as u32);
            if let Some(connection) = connections.get(id).filter(|_| event.is_writable()) {
                connection.is_writable = true;
            }
        }
        #[cfg(unix)]
        if signals.as_mut().is_some_and(|it| it.pending().count() > 0) {
            break;
        }
    }
    for connection in connections.iter_mut() {
        counters.count(Cause::ClosedServerStopped);
        // Closing a socket with unread bytes resets the connection, and takes away from the client what it has not
        // read yet: so they are read, as far as they are there. Errors mean that it is closed already.
        let _ = connection.stream.shutdown(Shutdown::Write);
        for _ in 0..CLOSING_READS_MAX {
            if !matches!(connection.stream.read(&mut scratch), Ok(len) if len > 0) {
                break;
            }
        }
    }
    counters.add(&switchboard.counters());
    counters.add(&voice.traffic().counters);
    Summary {
        uptime: started.elapsed(),
        datagrams_received: voice.traffic().datagrams_received,
        datagrams_sent: voice.traffic().datagrams_sent,
        counters,
    }
}
