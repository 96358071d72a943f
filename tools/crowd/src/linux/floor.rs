//! The floor: the least that any relay must do on this machine, for comparison. What arrives goes
//! out to everyone except its sender, by `sendmmsg` with one prepared header for each recipient;
//! nothing is parsed, checked or joined.
//!
//! It is a process of its own, as a server is, so that the scheduler treats both alike, and it
//! sleeps when nothing arrives. The parent sends it the list of listeners, and ends it by closing
//! the pipe.

use super::options::{Options, Role};
use super::sys::{self, BATCH, Fanout, Inbox};
use super::team::{Helper, answer, read_line};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{ChildStdout, exit};
use std::thread;

/// A floor process, for the parent.
pub struct Floor {
    helper: Helper,
    output: BufReader<ChildStdout>,
    pub port: u16,
}

impl Floor {
    /// Starts it on the same address as the server, and therefore on the same machine. It has no
    /// listeners yet.
    pub fn begin() -> Result<Self, String> {
        let (helper, mut output) = Helper::start(Role::Floor)?;
        let line = read_line(&mut output);
        let port = line.strip_prefix("port ").and_then(|it| it.parse().ok());
        Ok(Floor {
            helper,
            output,
            port: port.ok_or_else(|| format!("the floor cannot be: {line}"))?,
        })
    }

    /// Sends it the users' addresses, in their order and with a space between them.
    pub fn open(&mut self, addresses: &str) -> Result<(), String> {
        self.helper.tell(addresses)?;
        match read_line(&mut self.output).as_str() {
            "open" => Ok(()),
            line => Err(format!("the floor cannot be: {line}")),
        }
    }

    pub fn pid(&self) -> u32 {
        self.helper.pid()
    }
}

/// The floor process.
pub fn run(options: &Options) {
    if let Err(error) = serve(options.server.ip()) {
        answer(error);
    }
}

fn serve(ip: IpAddr) -> io::Result<()> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    sys::set_relay_buffers(&socket)?;
    answer(format_args!("port {}", socket.local_addr()?.port()));
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let addresses: Result<Vec<SocketAddr>, _> = line.split_whitespace().map(str::parse).collect();
    let recipients = addresses.map_err(io::Error::other)?;
    answer("open");
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        exit(0);
    });
    relay(&socket, &recipients)
}

fn relay(socket: &UdpSocket, recipients: &[SocketAddr]) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let descriptor = socket.as_raw_fd();
    let mut source = SourceFd(&descriptor);
    poll.registry()
        .register(&mut source, Token(0), Interest::READABLE)?;
    let mut places = vec![0; 1 << 16];
    for (place, recipient) in recipients.iter().enumerate() {
        places[usize::from(recipient.port())] = place;
    }
    let mut fanout = Fanout::new(recipients);
    let mut inbox = Inbox::new();
    let mut events = Events::with_capacity(1);
    loop {
        poll.poll(&mut events, None)?;
        let mut count = BATCH;
        while count == BATCH {
            count = inbox.receive(socket).unwrap_or(0);
            for slot in 0..count {
                let sender = places[usize::from(inbox.source_port(slot))];
                if let Some(datagram) = inbox.datagram(slot) {
                    fanout.send_except(socket, datagram, sender);
                }
            }
        }
    }
}
