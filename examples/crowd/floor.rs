//! The floor: the least that any relay must do on this machine, for comparison. Whatever arrives goes out to everyone but
//! the one who sent it, by `sendmmsg` with one prepared header for each recipient; nothing is parsed, checked or joined.
//!
//! It is a thread of the parent on a port of its own, and sleeps when nobody speaks to it.

use super::sys::{self, BATCH, Fanout, Inbox};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Bound, so that users can be told where it is, and not running yet.
pub struct Floor {
    socket: UdpSocket,
    poll: Poll,
}

impl Floor {
    /// On the same address as the server, and therefore on the same machine.
    pub fn bind(ip: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        sys::set_relay_buffers(&socket)?;
        let poll = Poll::new()?;
        let descriptor = socket.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        poll.registry()
            .register(&mut source, Token(0), Interest::READABLE)?;
        Ok(Floor { socket, poll })
    }

    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Starts the thread, which runs as long as the process. Returns where `/proc` tells its CPU time.
    pub fn run(self, recipients: Vec<SocketAddr>) -> io::Result<PathBuf> {
        let (sender, receiver) = channel();
        thread::spawn(move || self.relay(&recipients, &sender));
        receiver
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the floor's thread has ended")))
    }

    fn relay(mut self, recipients: &[SocketAddr], started: &Sender<io::Result<PathBuf>>) {
        let thread = std::fs::read_link("/proc/thread-self");
        let _ = started.send(thread.map(|it| PathBuf::from("/proc").join(it)));
        let mut places = vec![0; 1 << 16];
        for (place, recipient) in recipients.iter().enumerate() {
            places[usize::from(recipient.port())] = place;
        }
        let mut fanout = Fanout::new(recipients);
        let mut inbox = Inbox::new();
        let mut events = Events::with_capacity(1);
        loop {
            if self.poll.poll(&mut events, None).is_err() {
                continue;
            }
            let mut count = BATCH;
            while count == BATCH {
                count = inbox.receive(&self.socket).unwrap_or(0);
                for slot in 0..count {
                    if let Some(datagram) = inbox.datagram(slot) {
                        let sender = places[usize::from(inbox.source_port(slot))];
                        fanout.send_except(&self.socket, datagram, sender);
                    }
                }
            }
        }
    }
}
