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

/// Reaches a server from any thread. Clones reach the same server, and after its end nothing
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

/// What can be asked for at any time, and is done once in a while.
#[derive(Clone, Copy)]
pub(super) enum Request {
    /// A page of statistics in the log.
    Statistics,
    /// Another reading of the ban file.
    Reload,
}

/// When what was asked for is due: at once, but not again within [`REQUEST_INTERVAL`]. Nothing that was
/// asked for is forgotten, and however often it was asked for meanwhile, it is done once.
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

    /// Whether it is to be done now, which is then done with.
    pub(super) fn is_due(&mut self, now: Instant, handle: &ServerHandle) -> bool {
        let may = self.next.is_none_or(|next| next <= now);
        let is_due = may && handle.flag(self.request).swap(false, Ordering::AcqRel);
        if is_due {
            self.next = Some(now + REQUEST_INTERVAL);
        }
        is_due
    }

    /// When that is, of what somebody waits for.
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

    /// Makes [`Server::run`](crate::Server::run) come to its end, and returns at once.
    pub fn stop(&self) {
        self.request_stop();
        self.wake();
    }

    /// Makes the server write its [statistics](crate::Statistics) to the log, at level info, and
    /// returns at once. Asked for more than once a second, they are written once a second.
    pub fn log_statistics(&self) {
        self.request(Request::Statistics);
        self.wake();
    }

    /// Makes the server read its ban file again, and returns at once. What comes of it is in the log; a
    /// file that cannot be read changes nothing. Asked for more than once a second, it is read once a
    /// second, and in any case once more after the last time.
    pub fn reload_bans(&self) {
        self.request(Request::Reload);
        self.wake();
    }

    /// The server's statistics as they are.
    ///
    /// This and the following wait until the loop has done what they ask for, which is soon, and
    /// without end while nobody [runs](crate::Server::run) the server. Who turns the loop asks the
    /// [server itself](crate::Server::statistics).
    ///
    /// # Errors
    ///
    /// [`RequestError::ServerStopped`] if the server has ended; so for all of them.
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
        handle.reload_bans();
        assert!(pace.is_due(at(0), &handle), "the first at once");
        assert_eq!(pace.deadline(&handle), None);
        for ms in 1..1_000 {
            handle.reload_bans();
            assert!(!pace.is_due(at(ms), &handle));
        }
        assert_eq!(pace.deadline(&handle), Some(at(1_000)));
        assert!(pace.is_due(at(1_000), &handle), "the others once");
        assert!(!pace.is_due(at(9_000), &handle));
        handle.log_statistics();
        assert!(!pace.is_due(at(9_000), &handle), "it is another's");
    }
}
