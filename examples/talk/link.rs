//! The sockets under a session: connected, read by two threads, and written to.

use super::session::Session;
use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the thread that reads datagrams may go on after the end of the link.
const OVER_SEEN_AFTER: Duration = Duration::from_secs(1);
const PORT: u16 = 9001;
pub const VOICE_PORT: u16 = 9002;
/// The first wait of a row doubles up to this, in milliseconds.
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 30_000;

/// Where a server is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub voice_port: u16,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".into(),
            port: PORT,
            voice_port: VOICE_PORT,
        }
    }
}

impl Server {
    /// Takes `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address apart.
    pub fn set_host(&mut self, server: &str) -> Result<(), String> {
        let (host, port) = if let Some(bracketed) = server.strip_prefix('[') {
            match bracketed.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, rest)) if rest.starts_with(':') => (host, Some(&rest[1..])),
                _ => return Err(format!("{server:?} is not [ADDRESS]:PORT")),
            }
        } else {
            match server.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (server, None),
            }
        };
        if host.is_empty() {
            return Err(format!("{server:?} names no host"));
        }
        self.host = host.to_owned();
        self.port = port.map_or(Ok(PORT), parse_port)?;
        Ok(())
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

pub fn parse_port(port: &str) -> Result<u16, String> {
    match port.parse() {
        Ok(0) | Err(_) => Err(format!("{port:?} is not a port (1 to 65535)")),
        Ok(port) => Ok(port),
    }
}

/// What the reading threads deliver, with the time at which it came.
pub enum Arrival {
    /// Bytes of the TCP stream.
    Bytes(Vec<u8>, Instant),
    /// One UDP datagram.
    Datagram(Vec<u8>, Instant),
    /// Nobody listens where our datagrams go.
    VoiceClosed,
    /// The connection has ended, and this is what to say about it.
    Lost(String),
}

pub struct Link {
    tcp: TcpStream,
    udp: UdpSocket,
    voice_address: SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl Link {
    /// Connects to the first address of the host that can be reached.
    pub fn connect(server: &Server) -> Result<Self, String> {
        let host = server.host.as_str();
        let addresses = (host, server.port)
            .to_socket_addrs()
            .map_err(|error| format!("cannot find {host}: {error}"))?;
        let mut failures = Vec::new();
        for address in addresses {
            match Link::connect_to(address, server.voice_port) {
                Ok(link) => return Ok(link),
                Err(error) => failures.push(format!("cannot connect to {address}: {error}")),
            }
        }
        if failures.is_empty() {
            failures.push(format!("{host} has no address"));
        }
        Err(failures.join(", "))
    }

    fn connect_to(address: SocketAddr, voice_port: u16) -> io::Result<Self> {
        let tcp = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        tcp.set_nodelay(true)?;
        tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut voice_address = address;
        voice_address.set_port(voice_port);
        let udp = match address {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        udp.connect(voice_address)?;
        udp.set_read_timeout(Some(OVER_SEEN_AFTER))?;
        Ok(Link {
            tcp,
            udp,
            voice_address,
            is_over: Arc::default(),
        })
    }

    pub fn voice_address(&self) -> SocketAddr {
        self.voice_address
    }

    /// Starts the threads that read. They end when nobody takes what they deliver, and `Lost` is the
    /// last of it.
    pub fn start(
        &self,
        deliver: impl Fn(Arrival) -> bool + Clone + Send + 'static,
    ) -> io::Result<()> {
        let (tcp, udp) = (self.tcp.try_clone()?, self.udp.try_clone()?);
        let deliver_datagram = deliver.clone();
        let is_over = self.is_over.clone();
        thread::spawn(move || read_stream(tcp, deliver));
        thread::spawn(move || read_datagrams(&udp, &is_over, deliver_datagram));
        Ok(())
    }

    /// Sends what the session has to send, and tells how many datagrams the network did not take:
    /// losing one is no error.
    pub fn flush(&mut self, session: &mut Session) -> Result<u64, String> {
        let bytes = session.take_outbound();
        if !bytes.is_empty() {
            self.tcp
                .write_all(&bytes)
                .map_err(|error| lost_because(&error))?;
        }
        let mut untaken = 0;
        while let Some(datagram) = session.next_datagram() {
            untaken += u64::from(self.udp.send(&datagram).is_err());
        }
        Ok(untaken)
    }
}

impl Drop for Link {
    /// Ends the threads that read as well: a UDP socket cannot be shut down, and is told by a flag.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

fn read_stream(mut tcp: TcpStream, deliver: impl Fn(Arrival) -> bool) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let arrival = match tcp.read(&mut buffer) {
            Ok(0) => Arrival::Lost(lost_because(&ErrorKind::UnexpectedEof.into())),
            Ok(len) => Arrival::Bytes(buffer[..len].to_vec(), Instant::now()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Arrival::Lost(lost_because(&error)),
        };
        let is_last = matches!(arrival, Arrival::Lost(_));
        if !deliver(arrival) || is_last {
            return;
        }
    }
}

fn read_datagrams(udp: &UdpSocket, is_over: &AtomicBool, deliver: impl Fn(Arrival) -> bool) {
    let mut buffer = [0; 65_536];
    while !is_over.load(Ordering::Relaxed) {
        let arrival = match udp.recv(&mut buffer) {
            Ok(len) => Arrival::Datagram(buffer[..len].to_vec(), Instant::now()),
            // ICMP's "port unreachable", on Unix or on Windows.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
                ) =>
            {
                Arrival::VoiceClosed
            }
            // Nothing came, or news of one datagram that was lost, also by a firewall's word
            // (PermissionDenied): what comes after it may get through.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock
                        | ErrorKind::TimedOut
                        | ErrorKind::Interrupted
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkUnreachable
                        | ErrorKind::PermissionDenied
                ) =>
            {
                continue;
            }
            Err(error) => Arrival::Lost(format!("voice broke: {error}")),
        };
        let is_last = matches!(arrival, Arrival::Lost(_));
        if !deliver(arrival) || is_last {
            return;
        }
    }
}

fn lost_because(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
            "the server closed the connection".into()
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "the server no longer answers".into(),
        _ => format!("the connection to the server broke: {error}"),
    }
}

/// How long to wait before connecting again: hardly at first, and ever longer, with a share of
/// chance, so that a server that comes back does not meet all of its clients at once.
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn new() -> Self {
        Backoff { failures: 0 }
    }

    /// The next wait of this row. `random` is any number.
    pub fn next(&mut self, random: u32) -> Duration {
        let most_ms = (BACKOFF_MS << self.failures.min(16)).min(BACKOFF_MAX_MS);
        self.failures += 1;
        // Half of it is certain, so that waits do grow.
        let share = f64::from(random) / f64::from(u32::MAX);
        Duration::from_millis(most_ms / 2).mul_f64(1.0 + share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_link_that_is_over_leaves_no_thread_behind() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let server = Server {
            port: listener.local_addr().expect("it is bound").port(),
            ..Server::default()
        };
        let link = Link::connect(&server).expect("it listens");
        link.start(|_| true).expect("there are descriptors");
        let is_over = link.is_over.clone();
        assert_eq!(Arc::strong_count(&is_over), 3);
        drop(link);
        while Arc::strong_count(&is_over) > 1 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        let table = [
            ("localhost", Some(("localhost", 9001))),
            ("localhost:1", Some(("localhost", 1))),
            ("127.0.0.1:19001", Some(("127.0.0.1", 19001))),
            ("[::1]:19001", Some(("::1", 19001))),
            ("[::1]", Some(("::1", 9001))),
            ("::1", Some(("::1", 9001))),
            ("", None),
            (":9001", None),
            ("host:", None),
            ("host:0", None),
            ("host:65536", None),
            ("[::1", None),
            ("[::1]9001", None),
        ];
        for (text, expected) in table {
            let mut server = Server::default();
            let taken = server.set_host(text).ok();
            let taken = taken.map(|()| (server.host.as_str(), server.port));
            assert_eq!(taken, expected, "{text}");
        }
    }

    #[test]
    fn waits_grow_to_a_bound_and_differ_by_chance() {
        let mut least = Backoff::new();
        let mut most = Backoff::new();
        let bounds_ms = [
            (500, 1_000),
            (1_000, 2_000),
            (2_000, 4_000),
            (4_000, 8_000),
            (8_000, 16_000),
            (15_000, 30_000),
            (15_000, 30_000),
        ];
        for (low_ms, high_ms) in bounds_ms {
            assert_eq!(least.next(0), Duration::from_millis(low_ms));
            assert_eq!(most.next(u32::MAX), Duration::from_millis(high_ms));
        }
        for _ in 0..100 {
            assert_eq!(most.next(u32::MAX), Duration::from_secs(30));
        }
    }
}
