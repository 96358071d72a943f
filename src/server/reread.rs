//! What the server reads at start, and again on request.
//!
//! Each reading has a thread of its own: a disk may be slow, and voice must not wait for it. A request that
//! comes during a reading is not lost: another reading follows.

use super::spare::Spare;
use super::{ServerError, ServerHandle};
use log::{error, info};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

pub(super) type Read<T> = dyn Fn() -> Result<T, ServerError> + Send + Sync;

/// Something that can be read again: see the [module](self).
pub(super) struct Reread<T> {
    /// Its name in the log.
    name: &'static str,
    /// The consequence if it cannot be read, for the log.
    stays: &'static str,
    /// Reads it. There is none if nothing is configured.
    read: Option<Arc<Read<T>>>,
    handle: ServerHandle,
    sender: Sender<Result<T, ServerError>>,
    receiver: Receiver<Result<T, ServerError>>,
    is_reading: bool,
    /// Whether another request came since the reading began. The file may have changed after it was
    /// read.
    is_asked_again: bool,
    /// A descriptor for the file, so that it can be read when all others are in use.
    spare: Spare,
}

impl<T: Send + 'static> Reread<T> {
    pub(super) fn new(
        name: &'static str,
        stays: &'static str,
        read: Option<Arc<Read<T>>>,
        handle: ServerHandle,
    ) -> Self {
        let (sender, receiver) = channel();
        Reread {
            name,
            stays,
            read,
            handle,
            sender,
            receiver,
            is_reading: false,
            is_asked_again: false,
            spare: Spare::new(),
        }
    }

    /// Begins to read it. Returns whether anything is configured to be read.
    pub(super) fn reload(&mut self) -> bool {
        let name = self.name;
        let Some(read) = self.read.clone() else {
            return false;
        };
        if self.is_reading {
            info!("the {name} is still being read, and is read once more after that");
            self.is_asked_again = true;
            return true;
        }
        let (sender, handle) = (self.sender.clone(), self.handle.clone());
        let mut spare = std::mem::replace(&mut self.spare, Spare::none());
        let reading = thread::Builder::new().name(name.into()).spawn(move || {
            spare.release();
            // This fails if the server has stopped meanwhile, and does no harm.
            let _ = sender.send(read());
            handle.wake();
        });
        match reading {
            Ok(_) => self.is_reading = true,
            Err(error) => error!("cannot read the {name}, {}: {error}", self.stays),
        }
        true
    }

    /// The content, once, when a reading that was requested is complete.
    pub(super) fn fresh(&mut self) -> Option<T> {
        if !self.is_reading {
            return None;
        }
        let result = self.receiver.try_recv().ok()?;
        self.is_reading = false;
        self.spare.refill();
        if std::mem::take(&mut self.is_asked_again) {
            self.reload();
        }
        result
            .inspect_err(|error| error!("{error}: {}", self.stays))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};
    use std::sync::Mutex;

    fn handle() -> (Poll, ServerHandle) {
        let poll = Poll::new().expect("the system has one");
        let (asker, _) = super::super::request::queue();
        let handle = ServerHandle::new(poll.registry(), Token(0), asker);
        (poll, handle.expect("it can be woken"))
    }

    #[test]
    fn what_is_not_configured_is_not_read() {
        let (_poll, handle) = handle();
        let mut nothing = Reread::<u8>::new("number", "it stays", None, handle);
        assert!(!nothing.reload());
        assert_eq!(nothing.fresh(), None);
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let (_poll, handle) = handle();
        let content = Arc::new(Mutex::new(1));
        let read = {
            let content = content.clone();
            move || Ok(*content.lock().expect("nobody panics"))
        };
        let mut number = Reread::new("number", "it stays", Some(Arc::new(read)), handle);

        assert!(number.reload());
        // It has been read, and nobody has looked yet.
        let first = number
            .receiver
            .recv()
            .expect("the reading comes to its end");
        number
            .sender
            .send(first)
            .expect("there is somebody to hear");
        *content.lock().expect("nobody panics") = 2;
        number.reload();
        assert_eq!(number.fresh(), Some(1));
        let new = loop {
            if let Some(new) = number.fresh() {
                break new;
            }
            thread::yield_now();
        };
        assert_eq!(new, 2);
        assert_eq!(number.fresh(), None, "nobody has asked again");
    }
}
