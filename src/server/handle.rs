//! The handle with which other threads reach a running server.

use log::warn;
use mio::{Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Reaches a server from any thread. Clones reach the same server, and after its end nothing
/// happens.
#[derive(Clone)]
pub struct ServerHandle {
    requests: Arc<Requests>,
    waker: Arc<Waker>,
}

#[derive(Default)]
struct Requests {
    stop: AtomicBool,
    statistics: AtomicBool,
    reload: AtomicBool,
}

impl ServerHandle {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(ServerHandle {
            requests: Arc::default(),
            waker: Arc::new(Waker::new(registry, token)?),
        })
    }

    /// Makes [`Server::run`](crate::Server::run) come to its end, and returns at once.
    pub fn stop(&self) {
        self.request_stop();
        self.wake();
    }

    /// Makes the server write its [statistics](crate::Statistics) to the log, at level info, and
    /// returns at once.
    pub fn log_statistics(&self) {
        self.request_statistics();
        self.wake();
    }

    /// Makes the server read its ban file again, and returns at once. What comes of it is in the log; a
    /// file that cannot be read changes nothing.
    pub fn reload_bans(&self) {
        self.requests.reload.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn request_stop(&self) {
        self.requests.stop.store(true, Ordering::Release);
    }

    pub(super) fn request_statistics(&self) {
        self.requests.statistics.store(true, Ordering::Release);
    }

    pub(super) fn wants_stop(&self) -> bool {
        self.requests.stop.load(Ordering::Acquire)
    }

    /// Whether statistics were asked for, which is then done with.
    pub(super) fn takes_statistics_request(&self) -> bool {
        self.requests.statistics.swap(false, Ordering::AcqRel)
    }

    /// Whether the ban file was to be read again, which is then done with.
    pub(super) fn takes_reload_request(&self) -> bool {
        self.requests.reload.swap(false, Ordering::AcqRel)
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            warn!("cannot wake the server, it will notice at its next event: {error}");
        }
    }
}
