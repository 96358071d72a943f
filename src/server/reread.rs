//! What is read at start, and again when somebody asks for it: on a thread of its own, because a disk may take
//! its time and voice may not wait for it.

use super::spare::Spare;
use super::{ServerError, ServerHandle};
use log::{error, info};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

pub(super) type Read<T> = dyn Fn() -> Result<T, ServerError> + Send + Sync;

/// Something that can be read again: see the [module](self).
pub(super) struct Reread<T> {
    /// What it is, as the log has it.
    name: &'static str,
    /// What follows where it cannot be read.
    stays: &'static str,
    /// How it is read, if there is anything to read.
    read: Option<Arc<Read<T>>>,
    handle: ServerHandle,
    sender: Sender<Result<T, ServerError>>,
    receiver: Receiver<Result<T, ServerError>>,
    is_reading: bool,
    /// Whether somebody has asked again since the reading began, and may have changed the file after
    /// it was read.
    is_asked_again: bool,
    /// For the file, so that it can be read when all descriptors are used up.
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

    /// Begins to read it.
    pub(super) fn reload(&mut self) {
        let name = self.name;
        let Some(read) = self.read.clone() else {
            info!("there is no {name} to read again");
            return;
        };
        if self.is_reading {
            info!("the {name} is still being read, and will be once more after that");
            self.is_asked_again = true;
            return;
        }
        let (sender, handle) = (self.sender.clone(), self.handle.clone());
        let mut spare = std::mem::replace(&mut self.spare, Spare::none());
        let reading = thread::Builder::new().name(name.into()).spawn(move || {
            spare.release();
            // If the server has ended meanwhile, nobody wants it any more.
            let _ = sender.send(read());
            handle.wake();
        });
        match reading {
            Ok(_) => self.is_reading = true,
            Err(error) => error!("cannot read the {name}, {}: {error}", self.stays),
        }
    }

    /// What has been read since somebody asked for it.
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

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let poll = Poll::new().expect("the system has one");
        let (asker, _) = super::super::request::queue();
        let handle = ServerHandle::new(poll.registry(), Token(0), asker).expect("it can be woken");
        let content = Arc::new(Mutex::new(1));
        let read = {
            let content = content.clone();
            move || Ok(*content.lock().expect("nobody panics"))
        };
        let mut number = Reread::new("number", "it stays", Some(Arc::new(read)), handle);

        number.reload();
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
