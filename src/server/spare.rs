//! Descriptors in reserve: held by a socket that does nothing, which is closed when something needs
//! a descriptor and none is left.

use socket2::{Domain, Socket, Type};
use std::io;

/// One descriptor: see the [module](self).
pub(super) struct Spare(Option<Socket>);

impl Spare {
    pub(super) fn new() -> Self {
        let mut spare = Spare(None);
        spare.refill();
        spare
    }

    /// None yet.
    pub(super) fn none() -> Self {
        Spare(None)
    }

    /// Frees it for the next system call that needs one.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    /// Takes one again, if one is available.
    pub(super) fn refill(&mut self) {
        if self.0.is_none() {
            self.0 = Socket::new(Domain::IPV4, Type::DGRAM, None).ok();
        }
    }

    /// Lends it to some work that returns it, such as a file that is opened and closed.
    pub(super) fn lend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.release();
        let result = work();
        self.refill();
        result
    }
}

/// Whether the process or the system has no more descriptors.
pub(super) fn are_used_up(error: &io::Error) -> bool {
    #[cfg(unix)]
    return [Some(libc::EMFILE), Some(libc::ENFILE)].contains(&error.raw_os_error());
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
