//! The ban file: read at start, and again on request.

use super::spare::Spare;
use super::{ServerError, ServerHandle};
use crate::bans::BanList;
use crate::config::Config;
use crate::limits::BAN_FILE_BYTES_MAX;
use log::{error, info};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// The ban file's path, and the state of its next reading.
pub(super) struct BanFile {
    path: Option<PathBuf>,
    handle: ServerHandle,
    sender: Sender<Result<BanList, ServerError>>,
    receiver: Receiver<Result<BanList, ServerError>>,
    is_reading: bool,
    /// Whether another request has come since the reading began: the file may have changed after it
    /// was read.
    is_asked_again: bool,
    /// For the file, so that bans work against clients that use up all descriptors.
    spare: Spare,
}

impl BanFile {
    pub(super) fn new(path: Option<PathBuf>, handle: ServerHandle) -> Self {
        let (sender, receiver) = channel();
        BanFile {
            path,
            handle,
            sender,
            receiver,
            is_reading: false,
            is_asked_again: false,
            spare: Spare::new(),
        }
    }

    /// Begins to read it on a thread of its own, because a disk may take its time, and voice must
    /// not wait for it.
    pub(super) fn reload(&mut self) {
        let Some(path) = self.path.clone() else {
            info!("there is no ban file to read again");
            return;
        };
        if self.is_reading {
            info!("the ban file is still being read, and will be once more after that");
            self.is_asked_again = true;
            return;
        }
        let (sender, handle) = (self.sender.clone(), self.handle.clone());
        let mut spare = std::mem::replace(&mut self.spare, Spare::none());
        let reading = thread::Builder::new()
            .name("ban file".into())
            .spawn(move || {
                spare.release();
                // If the server has stopped meanwhile, nobody wants it any more.
                let _ = sender.send(read(&path));
                handle.wake();
            });
        match reading {
            Ok(_) => self.is_reading = true,
            Err(error) => error!("cannot read the ban file, its bans stay as they are: {error}"),
        }
    }

    /// A list that was read on request, once.
    pub(super) fn fresh(&mut self) -> Option<BanList> {
        if !self.is_reading {
            return None;
        }
        let result = self.receiver.try_recv().ok()?;
        self.is_reading = false;
        self.spare.refill();
        if std::mem::take(&mut self.is_asked_again) {
            self.reload();
        }
        match result {
            Ok(bans) => {
                info!(
                    "the ban file was read again: {} ranges of addresses",
                    bans.len()
                );
                Some(bans)
            }
            Err(error) => {
                error!("{error}: the bans stay as they are");
                None
            }
        }
    }
}

impl Config {
    /// Reads the [ban file](Self::ban_file). Without one, nothing is banned.
    ///
    /// # Errors
    ///
    /// [`ServerError::BanFile`] if it cannot be read, or a line of it is not a ban.
    pub fn read_bans(&self) -> Result<BanList, ServerError> {
        let path = self.ban_file.as_deref();
        path.map_or_else(|| Ok(BanList::default()), read)
    }
}

/// Opens a file, and nothing else: reading a pipe could wait without end.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok(file)
}

fn read(path: &Path) -> Result<BanList, ServerError> {
    let error = |source| ServerError::BanFile {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    let file = open(path).map_err(error)?;
    let mut start = file.take(BAN_FILE_BYTES_MAX + 1);
    start.read_to_string(&mut text).map_err(error)?;
    if text.len() as u64 > BAN_FILE_BYTES_MAX {
        let problem = format!("it is longer than {BAN_FILE_BYTES_MAX} bytes");
        return Err(error(io::Error::other(problem)));
    }
    BanList::parse(&text).map_err(|bad| error(io::Error::other(bad)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let name = format!("voiceapp-server-bans-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let write = |text: &str| std::fs::write(&path, text).expect("the folder is writable");
        let poll = Poll::new().expect("the system has one");
        let (asker, _) = super::super::request::queue();
        let handle = ServerHandle::new(poll.registry(), Token(0), asker).expect("it can be woken");
        let mut file = BanFile::new(Some(path.clone()), handle);
        let contains = |bans: &BanList, ip: [u8; 4]| bans.contains(ip.into());

        write("192.0.2.1");
        file.reload();
        // It has been read, and not fetched yet.
        let first = file.receiver.recv().expect("it was read");
        file.sender.send(first).expect("the other end is here");
        write("192.0.2.2");
        file.reload();
        let old = file.fresh().expect("it was read");
        assert!(contains(&old, [192, 0, 2, 1]));
        let new = loop {
            if let Some(new) = file.fresh() {
                break new;
            }
            thread::yield_now();
        };
        assert!(contains(&new, [192, 0, 2, 2]) && !contains(&new, [192, 0, 2, 1]));
        assert!(file.fresh().is_none(), "nobody has asked again");
        std::fs::remove_file(&path).expect("it is there");
    }
}
