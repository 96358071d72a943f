//! The sockets under a session: connected, read by two threads, and written to.

use super::session::Session;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod dial;
mod server;

pub use server::{Server, parse_port};

const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// When no datagram has come for this long, the thread that reads them checks whether the link is
/// over, and whether the way to the server has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A new way is not left for this long, should the system alternate between ways.
const ROUTE_STAYS: Duration = Duration::from_secs(3);
/// The first wait of a row doubles up to this, in milliseconds.
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 30_000;

/// What the reading threads deliver, with the time at which it came.
pub enum Arrival {
    /// Bytes of the TCP stream.
    Bytes(Vec<u8>, Instant),
    /// One UDP datagram.
    Datagram(Vec<u8>, Instant),
    /// Nothing listens where our datagrams go.
    VoiceClosed,
    /// Our datagrams would come from another address now.
    Moved,
    /// The connection was closed, with the message to show.
    Lost(String),
}

/// A connection to a server: a TCP and a UDP socket.
pub struct Link {
    tcp: TcpStream,
    voice: VoiceSocket,
    voice_address: SocketAddr,
    /// Where what is read goes, once the link is started.
    deliver: Option<Deliver>,
}

/// False if nothing takes it any more.
type Deliver = Arc<dyn Fn(Arrival) -> bool + Send + Sync>;

/// A UDP socket that is connected, and so keeps the local address that it had then.
struct VoiceSocket {
    udp: UdpSocket,
    is_over: Arc<AtomicBool>,
}

impl Link {
    /// Connects to the host's address that answers first. If that takes long, `say` receives what
    /// is being done.
    pub fn connect(server: &Server, say: impl FnMut(String)) -> Result<Self, String> {
        let tcp = dial::connect(&server.host, server.port, say)?;
        let address = tcp.peer_addr();
        address
            .and_then(|address| Link::over(tcp, address, server.voice_port))
            .map_err(|error| format!("cannot use the connection to {server}: {error}"))
    }

    fn over(tcp: TcpStream, address: SocketAddr, voice_port: u16) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut voice_address = address;
        voice_address.set_port(voice_port);
        Ok(Link {
            tcp,
            voice: VoiceSocket::connect(voice_address)?,
            voice_address,
            deliver: None,
        })
    }

    /// Where voice goes.
    pub fn voice_address(&self) -> SocketAddr {
        self.voice_address
    }

    /// Starts the threads that read. They end when nothing takes what they deliver. `Lost` is the
    /// last delivery.
    pub fn start(
        &mut self,
        deliver: impl Fn(Arrival) -> bool + Send + Sync + 'static,
    ) -> io::Result<()> {
        let deliver: Deliver = Arc::new(deliver);
        self.deliver = Some(deliver.clone());
        self.voice.start(deliver.clone())?;
        let tcp = self.tcp.try_clone()?;
        thread::spawn(move || read_stream(tcp, &*deliver));
        Ok(())
    }

    /// Sends and receives by the present way to the server. If there is none, nothing changes.
    pub fn renew_voice(&mut self) -> io::Result<()> {
        let voice = VoiceSocket::connect(self.voice_address)?;
        if let Some(deliver) = &self.deliver {
            voice.start(deliver.clone())?;
        }
        self.voice = voice;
        Ok(())
    }

    /// Sends what the session has queued, and returns how many datagrams the network did not take:
    /// a lost datagram is not an error.
    pub fn flush(&mut self, session: &mut Session) -> Result<u64, String> {
        let bytes = session.take_outbound();
        if !bytes.is_empty() {
            self.tcp
                .write_all(&bytes)
                .map_err(|error| lost_because(&error))?;
        }
        let mut untaken = 0;
        while let Some(datagram) = session.next_datagram() {
            untaken += u64::from(self.voice.udp.send(&datagram).is_err());
        }
        Ok(untaken)
    }
}

impl Drop for Link {
    /// Ends the thread that reads as well.
    fn drop(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

impl VoiceSocket {
    fn connect(to: SocketAddr) -> io::Result<Self> {
        let udp = match to {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        udp.connect(to)?;
        udp.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(VoiceSocket {
            udp,
            is_over: Arc::default(),
        })
    }

    fn start(&self, deliver: Deliver) -> io::Result<()> {
        let (udp, is_over) = (self.udp.try_clone()?, self.is_over.clone());
        thread::spawn(move || read_datagrams(&udp, &is_over, &*deliver));
        Ok(())
    }
}

impl Drop for VoiceSocket {
    /// Ends the thread that reads as well: a UDP socket cannot be shut down, so a flag stops it.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Whether datagrams to where this socket is connected would now come from another address than its
/// own.
fn has_moved(udp: &UdpSocket) -> bool {
    let is_elsewhere = || -> io::Result<bool> {
        let now = VoiceSocket::connect(udp.peer_addr()?)?.udp.local_addr()?;
        Ok(now.ip() != udp.local_addr()?.ip())
    };
    // Without a way there is no better one.
    is_elsewhere().unwrap_or(false)
}

fn read_stream(mut tcp: TcpStream, deliver: &dyn Fn(Arrival) -> bool) {
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

fn read_datagrams(udp: &UdpSocket, is_over: &AtomicBool, deliver: &dyn Fn(Arrival) -> bool) {
    let mut buffer = [0; 65_536];
    let start = Instant::now();
    let mut is_told = false;
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
            // Nothing came.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if is_told || start.elapsed() < ROUTE_STAYS || !has_moved(udp) {
                    continue;
                }
                is_told = true;
                Arrival::Moved
            }
            // News of one datagram that was lost, perhaps through a firewall (PermissionDenied):
            // the next may get through.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Interrupted
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

/// How long to wait before reconnecting: hardly at first, and ever longer, with a random share, so
/// that a server that comes back does not meet all of its clients at once.
#[derive(Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A row that has not begun.
    pub fn new() -> Self {
        Backoff::default()
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
    fn a_socket_knows_whether_its_way_is_still_the_one() {
        let to = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let to = to.local_addr().expect("it is bound");
        let here = VoiceSocket::connect(to).expect("there is a way");
        assert!(!has_moved(&here.udp));
        // As if this had been our address, and were not any more.
        let Ok(elsewhere) = UdpSocket::bind(("127.0.0.2", 0)) else {
            return;
        };
        elsewhere.connect(to).expect("there is a way");
        assert!(has_moved(&elsewhere));
    }

    #[test]
    fn a_link_that_is_over_leaves_no_thread_behind() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let server = Server {
            port: listener.local_addr().expect("it is bound").port(),
            ..Server::default()
        };
        let mut link = Link::connect(&server, |_| {}).expect("it listens");
        let tracker = Arc::new(());
        let held = tracker.clone();
        link.start(move |_| Arc::strong_count(&held) > 0)
            .expect("there are descriptors");
        link.renew_voice().expect("there is a way");
        drop(link);
        while Arc::strong_count(&tracker) > 1 {
            thread::yield_now();
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
