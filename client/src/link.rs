//! The sockets under a session: connected, read by two threads, and written to. What goes over TCP is
//! encrypted, unless the user asks for a connection in clear: nothing else makes it one.
//!
//! ```text
//! server   what the user names          dial     the first address that answers
//! secure   the handshake on a socket    tls      TLS, without a socket
//! voice    UDP                          backoff  when to try again
//! ```

use super::event::{ConnectionState, Event};
use super::protection::{Encryption, Protection};
use super::session::{Exporter, Session};
use super::trust::{Refusal, Trust};
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

mod backoff;
mod dial;
#[cfg(not(feature = "encryption"))]
mod no_tls;
#[cfg(feature = "encryption")]
mod secure;
mod server;
#[cfg(feature = "encryption")]
pub mod tls;
mod voice;

pub use backoff::Backoff;
#[cfg(not(feature = "encryption"))]
use no_tls::{Tls, shake_hands};
#[cfg(feature = "encryption")]
pub use secure::HandshakeFailure;
#[cfg(feature = "encryption")]
use secure::shake_hands;
pub use server::{Server, parse_port};
#[cfg(feature = "encryption")]
use tls::Tls;
use voice::VoiceSocket;

const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Nothing answers, or not as a server does.
    Unreachable(String),
    /// It could only be in clear, which the user has not asked for.
    NotEncrypted(String),
    /// The server's key is not trusted. To try again leads to nothing else.
    Untrusted(Box<Refusal>),
}

/// A connection to a server: a TCP and a UDP socket.
pub struct Link {
    tcp: TcpStream,
    tls: Option<Arc<Tls>>,
    state: ConnectionState,
    voice: VoiceSocket,
    voice_address: SocketAddr,
    /// Where what is read goes, once the link is started.
    deliver: Option<Deliver>,
    events: Vec<Event>,
}

/// False if nothing takes it any more.
type Deliver = Arc<dyn Fn(Arrival) -> bool + Send + Sync>;

/// A TCP connection that is encrypted.
struct Secured {
    tls: Tls,
    encryption: Encryption,
    /// What the user is to know of the server's key.
    events: Vec<Event>,
}

impl Link {
    /// Connects to the host's address that answers first, and encrypts what goes over TCP if the server's key
    /// is trusted. If that takes long, `say` receives what is being done.
    pub fn connect(
        server: &Server,
        trust: &Trust,
        mut say: impl FnMut(String),
    ) -> Result<Self, ConnectError> {
        let unusable = |error: io::Error| {
            ConnectError::Unreachable(format!("cannot use the connection to {server}: {error}"))
        };
        let mut tcp = dial::connect(&server.host, server.port, &mut say)
            .map_err(ConnectError::Unreachable)?;
        tcp.set_nodelay(true).map_err(unusable)?;
        tcp.set_write_timeout(Some(WRITE_TIMEOUT))
            .map_err(unusable)?;
        let secured = match server.is_plain {
            true => None,
            false => Some(shake_hands(&mut tcp, server, trust, &mut say)?),
        };
        Link::over(tcp, server, secured).map_err(unusable)
    }

    fn over(tcp: TcpStream, server: &Server, secured: Option<Secured>) -> io::Result<Self> {
        let mut voice_address = tcp.peer_addr()?;
        voice_address.set_port(server.voice_port);
        let (mut tls, mut encryption, mut events) = (None, None, Vec::new());
        if let Some(secured) = secured {
            tls = Some(Arc::new(secured.tls));
            encryption = Some(secured.encryption);
            events = secured.events;
        }
        let protection = Protection {
            is_tcp_encrypted: tls.is_some(),
            is_voice_encrypted: false,
        };
        Ok(Link {
            tcp,
            tls,
            state: ConnectionState {
                server: server.to_string(),
                protection,
                encryption,
            },
            voice: VoiceSocket::connect(voice_address)?,
            voice_address,
            deliver: None,
            events,
        })
    }

    /// Where voice goes.
    pub fn voice_address(&self) -> SocketAddr {
        self.voice_address
    }

    /// What both ends can seal voice with, for a [session](Session::over) over this connection: only an encrypted
    /// one has it.
    pub fn exporter(&self) -> Option<Exporter> {
        let tls = self.tls.clone()?;
        Some(Box::new(move |key_id| tls.voice_secrets(key_id)))
    }

    /// The server, what is encrypted with this session, and how.
    pub fn state(&self, session: &Session) -> ConnectionState {
        let mut state = self.state.clone();
        state.protection.is_voice_encrypted = session.is_voice_encrypted();
        state
    }

    /// Takes what the user is to know of the server's key.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Sends voice to this port from now on.
    pub fn set_voice_port(&mut self, port: u16) -> io::Result<()> {
        self.voice_address.set_port(port);
        self.renew_voice()
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
        let (tcp, tls) = (self.tcp.try_clone()?, self.tls.clone());
        thread::spawn(move || read_stream(tcp, tls.as_deref(), &*deliver));
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
        let mut bytes = session.take_outbound();
        if !bytes.is_empty() {
            if let Some(tls) = &self.tls {
                bytes = tls.seal(&bytes)?;
            }
            self.tcp
                .write_all(&bytes)
                .map_err(|error| lost_because(&error))?;
        }
        let mut untaken = 0;
        while let Some(datagram) = session.next_datagram() {
            untaken += u64::from(!self.voice.send(&datagram));
        }
        Ok(untaken)
    }
}

impl Drop for Link {
    /// Ends the thread that reads as well.
    fn drop(&mut self) {
        if let Some(tls) = &self.tls {
            // Nobody waits for a server that takes nothing.
            let _ = self.tcp.set_nonblocking(true);
            let _ = self.tcp.write(&tls.close());
        }
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

impl Display for ConnectError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Unreachable(reason) | ConnectError::NotEncrypted(reason) => {
                f.write_str(reason)
            }
            ConnectError::Untrusted(refusal) => Display::fmt(refusal, f),
        }
    }
}

impl Error for ConnectError {}

fn read_stream(mut tcp: TcpStream, tls: Option<&Tls>, deliver: &dyn Fn(Arrival) -> bool) {
    let mut buffer = [0; 16 * 1024];
    // What came with the end of the handshake has been read already.
    let mut len = 0;
    loop {
        let (bytes, end) = match tls {
            Some(tls) => match tls.open(&buffer[..len]) {
                Ok(opened) => (opened.plaintext, opened.is_closed.then(closed)),
                Err(reason) => (Vec::new(), Some(reason)),
            },
            None => (buffer[..len].to_vec(), None),
        };
        if !bytes.is_empty() && !deliver(Arrival::Bytes(bytes, Instant::now())) {
            return;
        }
        let end = end.or_else(|| match read(&mut tcp, &mut buffer) {
            Ok(0) if tls.is_some() => Some("the connection to the server was cut off".into()),
            Ok(0) => Some(closed()),
            Ok(read) => {
                len = read;
                None
            }
            Err(error) => Some(lost_because(&error)),
        });
        if let Some(reason) = end {
            deliver(Arrival::Lost(reason));
            return;
        }
    }
}

fn read(tcp: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match tcp.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn closed() -> String {
    "the server closed the connection".into()
}

fn lost_because(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => closed(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "the server no longer answers".into(),
        _ => format!("the connection to the server broke: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[cfg(not(feature = "encryption"))]
    #[test]
    fn without_encryption_no_connection_is_made_unless_in_clear() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let server = Server {
            port: listener.local_addr().expect("it is bound").port(),
            ..Server::default()
        };
        let error = Link::connect(&server, &Trust::of_user(), |_| {}).err();
        assert!(matches!(error, Some(ConnectError::NotEncrypted(_))));
        let (mut tcp, _) = listener.accept().expect("it listens");
        assert_eq!(tcp.read(&mut [0]).expect("it is closed"), 0);
    }

    #[test]
    fn a_link_that_is_over_leaves_no_thread_behind() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let server = Server {
            port: listener.local_addr().expect("it is bound").port(),
            is_plain: true,
            ..Server::default()
        };
        let mut link = Link::connect(&server, &Trust::of_user(), |_| {}).expect("it listens");
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
}
