//! One user's way in: connect, shake hands where TLS is asked for, log in, prove the UDP address, join
//! voice, each step when the answer to the one before it has come. After that the TCP side is read
//! and discarded, so that the server never has to wait for it.
//!
//! It owns the user's sockets and never blocks.

use super::options::{Options, Receivers, Secure, Side};
use super::voice_socket::VoiceSocket;
use super::wire::Wire;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use voiceapp_protocol::sealing::ClientOpener;
use voiceapp_protocol::{Asked, Caps, FrameBuffer, Packet, VoiceToken};

mod answers;

pub use answers::LOGIN_REFUSED;

const LOGIN: u64 = 1;
const PROOF: u64 = 2;
const JOIN: u64 = 3;
const LEAVE: u64 = 4;
/// A datagram may be lost, so the proof is sent again after this long.
const PROOF_INTERVAL: Duration = Duration::from_millis(250);
/// How long any one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What follows the end of a connection before its login.
const ENDED_EARLY: &str = ": the server needs --max-connections-per-address 0 and --max-connection-rate 0 where many connect \
                           from one address (--help shows all that a crowd needs)";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    Connecting,
    ShakingHands,
    LoggingIn,
    Proving,
    Joining,
    Leaving,
    Ready,
    /// The server closed the connection after all that.
    Lost,
}

pub struct User {
    /// In the whole crowd, among those of the same kind.
    pub index: usize,
    /// Of which kind: sealed or not.
    pub kind: Side,
    /// Whether the user joins voice at once.
    joins: bool,
    /// Whether the user is in voice, or will be by the next answer.
    pub is_in_voice: bool,
    /// The id that the server gave.
    pub id: u64,
    pub stage: Stage,
    pub started: Instant,
    tcp: TcpStream,
    wire: Wire,
    voice: Arc<VoiceSocket>,
    /// What opens what is received, if the user is of the sealed kind.
    pub opener: Option<Box<ClientOpener>>,
    floor: Option<Arc<VoiceSocket>>,
    inbound: FrameBuffer,
    token: VoiceToken,
    /// When the stage began.
    since: Instant,
    asked: Instant,
}

impl User {
    /// Opens the sockets and starts to connect. The events come with three tokens from `token` on: TCP, and the sockets
    /// towards the server and the floor.
    pub fn connect(
        index: usize,
        kind: Side,
        options: &Options,
        floor: Option<SocketAddr>,
        registry: &Registry,
        token: usize,
    ) -> io::Result<Self> {
        let mut tcp = TcpStream::connect(options.server)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut tcp, Token(token), both)?;
        let voice_address = SocketAddr::new(options.server.ip(), options.voice_port);
        let voice = VoiceSocket::open(voice_address, options.receivers)?;
        listen(registry, &voice, token + 1)?;
        let floor = floor
            .map(|address| VoiceSocket::open(address, options.receivers))
            .transpose()?;
        if let (Some(socket), Receivers::Read) = (&floor, options.receivers) {
            listen(registry, socket, token + 2)?;
        }
        let now = Instant::now();
        Ok(User {
            index,
            kind,
            joins: options.secure != Secure::Both,
            is_in_voice: false,
            id: 0,
            stage: Stage::Connecting,
            started: now,
            tcp,
            wire: Wire::plain(),
            voice: Arc::new(voice),
            opener: None,
            floor: floor.map(Arc::new),
            inbound: FrameBuffer::new(),
            token: VoiceToken(0),
            since: now,
            asked: now,
        })
    }

    pub fn socket(&self, side: Side) -> &Arc<VoiceSocket> {
        match (side, &self.floor) {
            (Side::Floor, Some(socket)) => socket,
            _ => &self.voice,
        }
    }

    /// TCP is ready.
    pub fn handle_tcp(&mut self, is_closing: bool, scratch: &mut [u8]) -> Result<(), String> {
        if self.stage == Stage::Connecting {
            match self.tcp.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => return self.handle_end(&error),
            }
            if self.tcp.peer_addr().is_err() {
                return Ok(()); // not yet
            }
            let _ = self.tcp.set_nodelay(true);
            match self.kind {
                Side::Sealed => self.shake_hands()?,
                _ => self.log_in()?,
            }
        }
        loop {
            match self.tcp.read(scratch) {
                Ok(0) => {
                    let why = io::Error::new(
                        ErrorKind::ConnectionAborted,
                        "the server closed the connection",
                    );
                    return self.handle_end(&why);
                }
                Ok(len) => {
                    self.handle_bytes(&scratch[..len])?;
                    // A short read has emptied the socket, and what comes later makes an event of
                    // its own.
                    if len < scratch.len() && !is_closing {
                        return Ok(());
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::Interrupted => {}
                    _ => return self.handle_end(&error),
                },
            }
        }
    }

    /// Joins voice, or leaves it.
    pub fn set_in_voice(&mut self, is_in_voice: bool) -> Result<(), String> {
        let (stage, request) = match is_in_voice {
            true => {
                let request_id = JOIN;
                let request = Packet::JoinVoiceChannelRequest { request_id };
                (Stage::Joining, request)
            }
            false => {
                let request_id = LEAVE;
                let request = Packet::LeaveVoiceChannelRequest { request_id };
                (Stage::Leaving, request)
            }
        };
        self.is_in_voice = is_in_voice;
        self.enter(stage);
        self.write(&request)
    }

    /// Disconnects. The server closes the connection when it has seen that.
    pub fn leave(&mut self) {
        let _ = self.wire.close().map(|bytes| self.tcp.write_all(&bytes));
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    fn handle_end(&mut self, why: &io::Error) -> Result<(), String> {
        if matches!(self.stage, Stage::Ready | Stage::Lost) {
            self.stage = Stage::Lost;
            return Ok(());
        }
        let is_early = matches!(
            self.stage,
            Stage::Connecting | Stage::ShakingHands | Stage::LoggingIn
        );
        // A server that accepts no connection at all is another matter.
        let is_ended = why.kind() != ErrorKind::ConnectionRefused;
        let hint = if is_early && is_ended {
            ENDED_EARLY
        } else {
            ""
        };
        Err(self.trouble(&format!("{why}{hint}")))
    }

    fn shake_hands(&mut self) -> Result<(), String> {
        let server = self.tcp.peer_addr();
        let server = server.map_err(|error| self.trouble(&error.to_string()))?;
        let (wire, hello) = Wire::secure(server).map_err(|error| self.trouble(&error))?;
        self.wire = wire;
        self.enter(Stage::ShakingHands);
        self.send(&hello)
    }

    fn log_in(&mut self) -> Result<(), String> {
        let (username, asked) = match self.kind {
            Side::Sealed => {
                let asked = Asked {
                    caps: Caps::EXTENDED | Caps::SEALED,
                    ..Asked::default()
                };
                (format!("crowd-sealed-{}", self.index), Some(asked))
            }
            _ => (format!("crowd-{}", self.index), None),
        };
        self.enter(Stage::LoggingIn);
        self.write(&Packet::LoginRequest {
            request_id: LOGIN,
            username: &username,
            asked,
        })
    }

    fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let received = self.wire.receive(bytes, &mut self.inbound);
        let answer = received.map_err(|error| self.trouble(&error))?;
        self.send(&answer)?;
        if self.stage == Stage::ShakingHands && self.wire.is_ready() {
            self.log_in()?;
        }
        self.handle_frames()
    }

    /// Asks again, and gives up, as time passes.
    pub fn handle_tick(&mut self, now: Instant) -> Result<(), String> {
        if matches!(self.stage, Stage::Ready | Stage::Lost) {
            return Ok(());
        }
        if now.duration_since(self.since) > ANSWER_TIMEOUT {
            return Err(self.trouble(match self.stage {
                Stage::Proving => "no answer on UDP (is the voice port right?)",
                _ => "no answer",
            }));
        }
        if self.stage == Stage::Proving && now.duration_since(self.asked) > PROOF_INTERVAL {
            self.ask_proof(now);
        }
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.since = Instant::now();
    }

    /// A request is smaller than any socket's buffer, and none is sent before the last was answered.
    fn write(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let mut bytes = Vec::new();
        packet
            .encode(&mut bytes)
            .map_err(|error| self.trouble(&error.to_string()))?;
        let bytes = self.wire.send(bytes);
        let bytes = bytes.map_err(|error| self.trouble(&error))?;
        self.send(&bytes)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.tcp.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) => self.handle_end(&error),
        }
    }

    fn trouble(&self, what: &str) -> String {
        format!("user {} while {:?}: {what}", self.index, self.stage)
    }
}

fn listen(registry: &Registry, socket: &VoiceSocket, token: usize) -> io::Result<()> {
    let descriptor = socket.as_raw_fd();
    registry.register(&mut SourceFd(&descriptor), Token(token), Interest::READABLE)
}
