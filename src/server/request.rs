//! Requests from other threads: work for the loop, in a bounded queue, each with a place for its answer.
//!
//! Whoever asks waits for the answer; the loop waits for nobody. Where the server has ended, or ends
//! before it comes to a request, the answer is that.

use super::Server;
use crate::limits::{BANS_MAX, REQUESTS_WAITING_MAX};
use crate::management::AnnounceError;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Why a request was not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The server has ended.
    ServerStopped,
    /// The application has [`BANS_MAX`] bans in force.
    TooManyBans,
    /// The announcement cannot be made.
    Announce(AnnounceError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::ServerStopped => f.write_str("the server has ended"),
            RequestError::TooManyBans => write!(f, "there are {BANS_MAX} bans already"),
            RequestError::Announce(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}

/// What the loop is asked to do, with its answer's way back in it.
type Work = Box<dyn FnOnce(&mut Server) + Send>;

/// The end of the queue that threads put work into.
#[derive(Clone)]
pub(super) struct Asker(SyncSender<Work>);

/// The end that the loop takes it from.
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
    /// Has the loop do this, and waits until it has. `wake` makes it look.
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
        // A server that ends drops what it has not come to, and with it the other end of this.
        answer.recv().map_err(stopped)
    }
}

impl Asked {
    /// The next to be done.
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
