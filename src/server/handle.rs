//! The handle with which other threads reach a running server.

use super::Server;
use super::request::{Asker, RequestError};
use crate::bans::Network;
use crate::event::UserId;
use crate::limits::REQUEST_INTERVAL;
use crate::news::UserInfo;
use crate::statistics::Statistics;
use log::warn;
use mio::{Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Reaches a server from any thread. Clones reach the same server. Once it has stopped, nothing
/// happens.
#[derive(Clone)]
pub struct ServerHandle {
    requests: Arc<Requests>,
    asker: Asker,
    waker: Arc<Waker>,
}

#[derive(Default)]
struct Requests {
    stop: AtomicBool,
    statistics: AtomicBool,
    reload: AtomicBool,
}

/// Requests that come at any time, and are fulfilled once in a while.
#[derive(Clone, Copy)]
pub(super) enum Request {
    /// A page of statistics in the log.
    Statistics,
    /// A new reading of the ban file.
    Reload,
}

/// When a request is due: at once, but not again within [`REQUEST_INTERVAL`]. No request is
/// forgotten, and several in the meantime are fulfilled as one.
pub(super) struct Pace {
    request: Request,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(request: Request) -> Self {
        Pace {
            request,
            next: None,
        }
    }

    /// Whether it is due now. If so, it counts as fulfilled.
    pub(super) fn is_due(&mut self, now: Instant, handle: &ServerHandle) -> bool {
        let may = self.next.is_none_or(|next| next <= now);
        let is_due = may && handle.flag(self.request).swap(false, Ordering::AcqRel);
        if is_due {
            self.next = Some(now + REQUEST_INTERVAL);
        }
        is_due
    }

    /// When it is due, if it was requested.
    pub(super) fn deadline(&self, handle: &ServerHandle) -> Option<Instant> {
        let is_wanted = handle.flag(self.request).load(Ordering::Acquire);
        self.next.filter(|_| is_wanted)
    }
}

impl ServerHandle {
    pub(super) fn new(registry: &Registry, token: Token, asker: Asker) -> io::Result<Self> {
        Ok(ServerHandle {
            requests: Arc::default(),
            asker,
            waker: Arc::new(Waker::new(registry, token)?),
        })
    }

    /// Makes [`Server::run`](crate::Server::run) return, and does not wait for that.
    pub fn stop(&self) {
        self.request_stop();
        self.wake();
    }

    /// Makes the server write its [statistics](crate::Statistics) to the log, at level info, and
    /// returns at once. Requested more than once a second, they are written once a second.
    pub fn log_statistics(&self) {
        self.request(Request::Statistics);
        self.wake();
    }

    /// Makes the server read its ban file, its password file and its certificate's files again, and returns at
    /// once. The result is in the log. A file that cannot be read changes nothing. Requested more than once a second, it is read once
    /// a second, and in any case once more after the last request.
    pub fn reload(&self) {
        self.request(Request::Reload);
        self.wake();
    }

    /// The server's statistics.
    ///
    /// This and the following wait until the loop has fulfilled the request, which is soon, and
    /// without end while nothing [runs](crate::Server::run) the server. An application that turns
    /// the loop itself calls the [server](crate::Server::statistics).
    ///
    /// # Errors
    ///
    /// [`RequestError::ServerStopped`] if the server has stopped. The others return it too.
    pub fn statistics(&self) -> Result<Statistics, RequestError> {
        self.ask(Server::statistics_at_any_price)
    }

    /// As [`Server::users`].
    ///
    /// # Errors
    ///
    /// [`RequestError::ServerStopped`].
    pub fn users(&self) -> Result<Vec<UserInfo>, RequestError> {
        self.ask(|server| server.users())
    }

    /// As [`Server::disconnect`].
    ///
    /// # Errors
    ///
    /// [`RequestError::ServerStopped`].
    pub fn disconnect(&self, id: UserId) -> Result<bool, RequestError> {
        self.ask(move |server| server.disconnect(id))
    }

    /// As [`Server::ban`].
    ///
    /// # Errors
    ///
    /// The same, and [`RequestError::ServerStopped`].
    pub fn ban(&self, network: impl Into<Network>) -> Result<bool, RequestError> {
        let network = network.into();
        self.ask(move |server| server.ban(network))?
    }

    /// As [`Server::unban`].
    ///
    /// # Errors
    ///
    /// [`RequestError::ServerStopped`].
    pub fn unban(&self, network: impl Into<Network>) -> Result<bool, RequestError> {
        let network = network.into();
        self.ask(move |server| server.unban(network))
    }

    /// As [`Server::announce`].
    ///
    /// # Errors
    ///
    /// The same, and [`RequestError::ServerStopped`].
    pub fn announce(&self, author: &str, message: &str) -> Result<(), RequestError> {
        let (author, message) = (author.to_owned(), message.to_owned());
        self.ask(move |server| server.announce(&author, &message))?
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        self.asker.ask(|| self.wake(), work)
    }

    pub(super) fn request_stop(&self) {
        self.requests.stop.store(true, Ordering::Release);
    }

    pub(super) fn request(&self, request: Request) {
        self.flag(request).store(true, Ordering::Release);
    }

    fn flag(&self, request: Request) -> &AtomicBool {
        match request {
            Request::Statistics => &self.requests.statistics,
            Request::Reload => &self.requests.reload,
        }
    }

    pub(super) fn wants_stop(&self) -> bool {
        self.requests.stop.load(Ordering::Acquire)
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            warn!("cannot wake the server, it will notice at its next event: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request;
    use super::*;
    use mio::Poll;
    use std::time::Duration;

    #[test]
    fn what_is_asked_for_often_is_done_now_and_once_more() {
        let poll = Poll::new().expect("the system has one");
        let (asker, _) = request::queue();
        let handle = ServerHandle::new(poll.registry(), Token(0), asker).expect("it can be woken");
        let mut pace = Pace::new(Request::Reload);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!pace.is_due(at(0), &handle));
        handle.reload();
        assert!(pace.is_due(at(0), &handle), "the first at once");
        assert_eq!(pace.deadline(&handle), None);
        for ms in 1..1_000 {
            handle.reload();
            assert!(!pace.is_due(at(ms), &handle));
        }
        assert_eq!(pace.deadline(&handle), Some(at(1_000)));
        assert!(pace.is_due(at(1_000), &handle), "the others once");
        assert!(!pace.is_due(at(9_000), &handle));
        handle.log_statistics();
        assert!(!pace.is_due(at(9_000), &handle), "it is another's");
    }
}
