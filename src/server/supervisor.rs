//! Notifications to a service manager such as systemd (sd_notify(3)): that the server is ready,
//! that it stops, and, while its loop runs, that it does. They never block the loop: what the
//! manager has no room for is not sent.

use log::{debug, warn};
use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::{Duration, Instant};

/// The socket to the manager, if there is one.
#[derive(Default)]
pub(super) struct Supervisor {
    socket: Option<UnixDatagram>,
    /// Half of the time within which it wants a sign that the loop runs.
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl Supervisor {
    /// Reads what the manager has put into the environment for this process.
    pub(super) fn from_environment() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else {
            return Supervisor::default();
        };
        let socket = connect(path.as_bytes())
            .inspect_err(|error| warn!("cannot reach the service manager: {error}"))
            .ok();
        let number = |name| {
            env::var(name)
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
        };
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let timeout = number("WATCHDOG_USEC").filter(|&us| is_for_us && us > 0);
        Supervisor {
            socket,
            interval: timeout.map(|us| Duration::from_micros(us) / 2),
            next: None,
        }
    }

    /// The server serves from now on.
    pub(super) fn ready(&mut self, now: Instant) {
        self.tell("READY=1");
        self.next = self.interval.map(|interval| now + interval);
    }

    /// The server is about to stop.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The loop has completed a turn.
    pub(super) fn turned(&mut self, now: Instant) {
        if self.next.is_some_and(|next| next <= now) {
            // What did not get through is sent again soon, while there is time.
            let was_told = self.tell("WATCHDOG=1");
            let wait = |interval| if was_told { interval } else { interval / 8 };
            self.next = self.interval.map(|interval| now + wait(interval));
        }
    }

    /// When the loop must complete a turn next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Sends a state, and returns whether it was sent, or there is no manager.
    fn tell(&self, state: &str) -> bool {
        let Some(socket) = &self.socket else {
            return true;
        };
        let result = socket.send(state.as_bytes());
        if let Err(error) = &result {
            debug!("cannot notify the service manager of {state}: {error}");
        }
        result.is_ok()
    }
}

/// A path, or with an `@` in front, a name in Linux's abstract namespace (unix(7)).
fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
