//! One user's way in: connect, log in, prove the UDP address, join voice, each step when the answer
//! to the one before it has come. After that the TCP side is read and discarded, so that the server
//! never has to wait for it.
//!
//! It owns the user's sockets and never blocks.

use super::options::{Options, Receivers};
use super::sys;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use voiceapp_protocol::{Frame, FrameBuffer, Packet, VoiceToken, id};

const LOGIN: u64 = 1;
const PROOF: u64 = 2;
const JOIN: u64 = 3;
/// A datagram may be lost, so the proof is sent again after this long.
const PROOF_INTERVAL: Duration = Duration::from_millis(250);
/// How long any one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The protocol does not say why.
pub const LOGIN_REFUSED: &str = "the login was refused: the server needs --max-users for everyone, and --max-login-rate 0, \
                                 --max-broadcast-bandwidth 0 and --max-broadcast-bandwidth-per-address 0 for many \
                                 logins at once (--help shows all that a crowd needs)";
/// What follows the end of a connection before its login.
const ENDED_EARLY: &str = ": the server needs --max-connections-per-address 0 and --max-connection-rate 0 where many connect \
                           from one address (--help shows all that a crowd needs)";

/// The two servers that a user's datagrams can go through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Server,
    Floor,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    Connecting,
    LoggingIn,
    Proving,
    Joining,
    Ready,
    /// The server closed the connection after all that.
    Lost,
}

pub struct User {
    /// In the whole crowd.
    pub index: usize,
    /// The id that the server gave.
    pub id: u64,
    pub stage: Stage,
    pub started: Instant,
    tcp: TcpStream,
    voice: Arc<UdpSocket>,
    floor: Option<Arc<UdpSocket>>,
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
        options: &Options,
        floor: Option<SocketAddr>,
        registry: &Registry,
        token: usize,
    ) -> io::Result<Self> {
        let mut tcp = TcpStream::connect(options.server)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut tcp, Token(token), both)?;
        let voice_address = SocketAddr::new(options.server.ip(), options.voice_port);
        let voice = open(voice_address, options.receivers)?;
        listen(registry, &voice, token + 1)?;
        let floor = floor
            .map(|address| open(address, options.receivers))
            .transpose()?;
        if let (Some(socket), Receivers::Read) = (&floor, options.receivers) {
            listen(registry, socket, token + 2)?;
        }
        let now = Instant::now();
        Ok(User {
            index,
            id: 0,
            stage: Stage::Connecting,
            started: now,
            tcp,
            voice: Arc::new(voice),
            floor: floor.map(Arc::new),
            inbound: FrameBuffer::new(),
            token: VoiceToken(0),
            since: now,
            asked: now,
        })
    }

    pub fn socket(&self, side: Side) -> &Arc<UdpSocket> {
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
            let username = format!("crowd-{}", self.index);
            self.write(&Packet::LoginRequest {
                request_id: LOGIN,
                username: &username,
                asked: None,
            })?;
            self.enter(Stage::LoggingIn);
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
                    self.inbound.extend(&scratch[..len]);
                    self.handle_frames()?;
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

    /// Disconnects. The server closes the connection when it has seen that.
    pub fn leave(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    fn handle_end(&mut self, why: &io::Error) -> Result<(), String> {
        if matches!(self.stage, Stage::Ready | Stage::Lost) {
            self.stage = Stage::Lost;
            return Ok(());
        }
        let is_early = matches!(self.stage, Stage::Connecting | Stage::LoggingIn);
        // A server that accepts no connection at all is another matter.
        let is_ended = why.kind() != ErrorKind::ConnectionRefused;
        let hint = if is_early && is_ended {
            ENDED_EARLY
        } else {
            ""
        };
        Err(self.trouble(&format!("{why}{hint}")))
    }

    fn handle_frames(&mut self) -> Result<(), String> {
        let mut inbound = std::mem::take(&mut self.inbound);
        while let Some(frame) = inbound.next_frame() {
            // Events come by the million when a crowd logs in, and this crowd needs none of them.
            if frame.id < id::USER_JOINED_SERVER {
                self.handle_answer(frame)?;
            }
        }
        self.inbound = inbound;
        Ok(())
    }

    fn handle_answer(&mut self, frame: Frame<'_>) -> Result<(), String> {
        match (self.stage, frame.parse()) {
            (
                Stage::LoggingIn,
                Ok(Packet::LoginResponse {
                    request_id: LOGIN,
                    id,
                    voice_token,
                    participants,
                    ..
                }),
            ) => {
                if id.0 == 0 {
                    return Err(self.trouble(LOGIN_REFUSED));
                }
                // A list that was too long for one answer continues in events, so that only its
                // beginning can be checked.
                if participants.is_empty() {
                    return Err(self.trouble("the login was answered with a list of nobody"));
                }
                (self.id, self.token) = (id.0, voice_token);
                self.enter(Stage::Proving);
                self.ask_proof(Instant::now());
                Ok(())
            }
            (
                Stage::Joining,
                Ok(Packet::JoinVoiceChannelResponse {
                    request_id: JOIN,
                    success: true,
                    ..
                }),
            ) => {
                self.enter(Stage::Ready);
                Ok(())
            }
            (_, Ok(_)) => Err(self.trouble(&format!("unexpected answer 0x{:02x}", frame.id))),
            (_, Err(error)) => Err(self.trouble(&error.to_string())),
        }
    }

    /// A datagram came while the address was being proved.
    pub fn handle_proof(&mut self, registry: &Registry, options: &Options) -> Result<(), String> {
        let mut buffer = [0; 64];
        while let Ok(len) = self.voice.recv(&mut buffer) {
            let answer = Frame::first_of(&buffer[..len]).ok();
            match answer.and_then(|frame| frame.parse().ok()) {
                Some(Packet::VoiceAuthResponse {
                    request_id: PROOF,
                    success: true,
                }) if self.stage == Stage::Proving => {
                    if options.receivers == Receivers::Ignore {
                        let _ = registry.deregister(&mut SourceFd(&self.voice.as_raw_fd()));
                    }
                    self.write(&Packet::JoinVoiceChannelRequest { request_id: JOIN })?;
                    self.enter(Stage::Joining);
                }
                Some(Packet::VoiceAuthResponse { success: false, .. }) => {
                    return Err(self.trouble("the voice token was refused"));
                }
                _ => {} // a second answer to a question asked twice
            }
        }
        Ok(())
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

    fn ask_proof(&mut self, now: Instant) {
        self.asked = now;
        let mut bytes = Vec::new();
        let question = Packet::VoiceAuthRequest {
            request_id: PROOF,
            voice_token: self.token,
        };
        if question.encode(&mut bytes).is_ok() {
            // One that isn't sent is like one that is lost.
            let _ = self.voice.send(&bytes);
        }
    }

    /// A request is smaller than any socket's buffer, and none is sent before the last was answered.
    fn write(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let mut bytes = Vec::new();
        packet
            .encode(&mut bytes)
            .map_err(|error| self.trouble(&error.to_string()))?;
        match self.tcp.write_all(&bytes) {
            Ok(()) => Ok(()),
            Err(error) => self.handle_end(&error),
        }
    }

    fn trouble(&self, what: &str) -> String {
        format!("user {} while {:?}: {what}", self.index, self.stage)
    }
}

/// A socket that only this address can send to, as in the clients.
fn open(address: SocketAddr, receivers: Receivers) -> io::Result<UdpSocket> {
    let any: IpAddr = if address.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    match receivers {
        Receivers::Read => {
            sys::set_large_receive_buffer(&socket)?;
            sys::set_timestamps(&socket)?;
        }
        Receivers::Ignore => sys::set_smallest_receive_buffer(&socket)?,
    }
    Ok(socket)
}

fn listen(registry: &Registry, socket: &UdpSocket, token: usize) -> io::Result<()> {
    let descriptor = socket.as_raw_fd();
    registry.register(&mut SourceFd(&descriptor), Token(token), Interest::READABLE)
}
