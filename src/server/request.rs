//! Requests from other threads: work for the loop, in a bounded queue, each with a place for its
//! answer.
//!
//! The thread waits for the answer; the loop waits for nothing. Where the server has stopped, or
//! stops before it comes to a request, the answer says so.

use super::Server;
use crate::limits::{BANS_MAX, REQUESTS_WAITING_MAX};
use crate::management::AnnounceError;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Why a request was not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The server has stopped.
    ServerStopped,
    /// The application has [`BANS_MAX`] bans in force.
    TooManyBans,
    /// The announcement cannot be made.
    Announce(AnnounceError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::ServerStopped => f.write_str("the server has stopped"),
            RequestError::TooManyBans => write!(f, "there are {BANS_MAX} bans already"),
            RequestError::Announce(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}

/// Work for the loop, with the way back for its answer in it.
type Work = Box<dyn FnOnce(&mut Server) + Send>;

/// The end of the queue that threads put work into.
#[derive(Clone)]
pub(super) struct Asker(SyncSender<Work>);

/// The end that the loop takes work from.
pub(super) struct Asked {
    queue: Receiver<Work>,
    /// Whether there may be something in it.
    pub(super) is_ready: bool,
}

pub(super) fn queue() -> (Asker, Asked) {
    let (sender, queue) = sync_channel(REQUESTS_WAITING_MAX);
    let is_ready = false;
    (Asker(sender), Asked { queue, is_ready })
}

impl Asker {
    /// Has the loop do this, and waits until it has. `wake` wakes it.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        wake: impl FnOnce(),
        work: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        let (sender, answer) = sync_channel(1);
        let work = Box::new(move |server: &mut Server| {
            // There is room for the one answer, so that this does not wait.
            let _ = sender.send(work(server));
        });
        let stopped = |_| RequestError::ServerStopped;
        self.0.send(work).map_err(|_| RequestError::ServerStopped)?;
        wake();
        // A server that stops drops the requests that it has not come to, and with each the other
        // end of this.
        answer.recv().map_err(stopped)
    }
}

impl Asked {
    /// The next work.
    pub(super) fn take(&mut self) -> Option<Work> {
        if !self.is_ready {
            return None;
        }
        match self.queue.try_recv() {
            Ok(work) => Some(work),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                self.is_ready = false;
                None
            }
        }
    }
}
