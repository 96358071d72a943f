//! A client that can move: `tests/network/run` commands it, line by line, to speak, to continue
//! from another address, to prove that address and to count what it receives where.
//!
//! ```text
//! talker NAME SERVER:PORT VOICE_PORT ADDRESS
//! ```
//!
//! It logs in, enters the voice channel, and speaks and listens on a UDP socket at its own ADDRESS.
//! Then it executes the lines of its standard input:
//!
//! ```text
//! move ADDRESS   from now on, speak and listen on a new socket there; the earlier ones are kept
//!                open, to see what still comes to them
//! prove          ask with a VoiceAuthRequest, and again until it is answered
//! speak          speak 50 datagrams a second from now on
//! count WORD     tell what was heard since the last count, on the newest socket and on earlier ones
//! say TEXT       say it to everyone
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use voiceapp_protocol::{Frame, FrameBuffer, Packet, UserId, VoiceToken};

const VOICE_INTERVAL: Duration = Duration::from_millis(20);
/// 20 ms at 48 kHz.
const VOICE_SAMPLES: u32 = 960;
const VOICE: [u8; 160] = [0x5a; 160];
/// A lost request or answer is repeated this much later.
const PROOF_WAIT: Duration = Duration::from_millis(500);
/// A bad network loses the first packets of a connection too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the reading threads deliver.
enum Input {
    Line(String),
    Received(Vec<u8>),
    /// A datagram, and the number of the socket that it came to.
    Datagram(usize, Vec<u8>),
    Lost(String),
}

/// The whole state of the client.
struct Talker {
    tcp: TcpStream,
    voice_address: SocketAddr,
    inputs: Sender<Input>,
    /// The newest is the one that speaks.
    sockets: Vec<UdpSocket>,
    token: VoiceToken,
    last_request_id: u64,
    /// The proof under way, and when to ask again.
    proof: Option<(u64, Instant)>,
    /// When the next datagram is due, once it speaks.
    speak_at: Option<Instant>,
    sequence: u32,
    /// Voice heard on the newest socket and on earlier ones since the last count.
    heard: [u64; 2],
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("talker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, server, voice_port, address] = arguments.as_slice() else {
        return Err("usage: talker NAME SERVER:PORT VOICE_PORT ADDRESS".into());
    };
    let server: SocketAddr = server.parse()?;
    let tcp = TcpStream::connect_timeout(&server, CONNECT_TIMEOUT)?;
    tcp.set_nodelay(true)?;
    let (inputs, inbox) = channel();
    let (tcp_reader, tcp_inputs, lines) = (tcp.try_clone()?, inputs.clone(), inputs.clone());
    thread::spawn(move || read_stream(tcp_reader, &tcp_inputs));
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if lines.send(Input::Line(line)).is_err() {
                return;
            }
        }
    });
    let mut talker = Talker {
        tcp,
        voice_address: SocketAddr::new(server.ip(), voice_port.parse()?),
        inputs,
        sockets: Vec::new(),
        token: VoiceToken(0),
        last_request_id: 0,
        proof: None,
        speak_at: None,
        sequence: 0,
        heard: [0; 2],
    };
    talker.move_to(address)?;
    let request_id = talker.next_request_id();
    talker.send(&Packet::LoginRequest {
        request_id,
        username: name,
        asked: None,
    })?;
    let mut inbound = FrameBuffer::new();
    loop {
        talker.do_what_is_due()?;
        let wait = talker.wake_at().map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        });
        match inbox.recv_timeout(wait) {
            Ok(Input::Line(line)) => talker.obey(&line)?,
            Ok(Input::Received(bytes)) => {
                inbound.extend(&bytes);
                while let Some(frame) = inbound.next_frame() {
                    talker.handle_packet(&frame.parse()?)?;
                }
            }
            Ok(Input::Datagram(socket, bytes)) => talker.handle_datagram(socket, &bytes)?,
            Ok(Input::Lost(what)) => return Err(what.into()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

impl Talker {
    fn obey(&mut self, line: &str) -> Outcome<()> {
        let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "move" => self.move_to(argument),
            "prove" => {
                self.proof = Some((self.next_request_id(), Instant::now()));
                Ok(())
            }
            "speak" => {
                self.speak_at = Some(Instant::now());
                Ok(())
            }
            "count" => {
                let [newest, earlier] = std::mem::take(&mut self.heard);
                say(&format!("count {argument}: {newest} {earlier}"))
            }
            "say" => {
                let request_id = self.next_request_id();
                self.send(&Packet::ChatMessageRequest {
                    request_id,
                    message: argument,
                })
            }
            _ => Err(format!("there is no command {command:?}").into()),
        }
    }

    fn move_to(&mut self, address: &str) -> Outcome<()> {
        let address: IpAddr = address.parse()?;
        let socket = UdpSocket::bind((address, 0))?;
        // As in real clients: what comes from another address of the server is not received.
        socket.connect(self.voice_address)?;
        let (reader, inputs, number) =
            (socket.try_clone()?, self.inputs.clone(), self.sockets.len());
        thread::spawn(move || read_datagrams(&reader, number, &inputs));
        say(&format!("speaks from {}", socket.local_addr()?))?;
        self.sockets.push(socket);
        Ok(())
    }

    fn handle_packet(&mut self, packet: &Packet<'_>) -> Outcome<()> {
        match *packet {
            Packet::LoginResponse { id: UserId(0), .. } => Err("the login was refused".into()),
            Packet::LoginResponse {
                id, voice_token, ..
            } => {
                self.token = voice_token;
                say(&format!("logged in as user {id}"))?;
                let request_id = self.next_request_id();
                self.send(&Packet::JoinVoiceChannelRequest { request_id })
            }
            Packet::JoinVoiceChannelResponse { success: true, .. } => say("in voice"),
            Packet::UserSentMessage {
                user_id, message, ..
            } => say(&format!("<user {user_id}> {message}")),
            _ => Ok(()),
        }
    }

    fn handle_datagram(&mut self, socket: usize, datagram: &[u8]) -> Outcome<()> {
        let newest = self.sockets.len() - 1;
        let frame = Frame::first_of(datagram)?;
        match frame.parse()? {
            // All of them say the same, byte for byte.
            Packet::VoiceData { data, .. } if data != VOICE => {
                return Err("voice came otherwise than it was spoken".into());
            }
            Packet::VoiceData { .. } => self.heard[usize::from(socket != newest)] += 1,
            Packet::VoiceAuthResponse {
                request_id,
                success: true,
            } if self.proof.is_some_and(|(asked, _)| asked == request_id) => {
                self.proof = None;
                say(&format!("proven {}", self.sockets[socket].local_addr()?))?;
            }
            // The answer to a request that was sent twice.
            Packet::VoiceAuthResponse { success: true, .. } => {}
            packet => return Err(format!("an unexpected datagram: {packet:?}").into()),
        }
        Ok(())
    }

    fn do_what_is_due(&mut self) -> Outcome<()> {
        let now = Instant::now();
        if let Some((request_id, at)) = self.proof
            && at <= now
        {
            self.proof = Some((request_id, now + PROOF_WAIT));
            let voice_token = self.token;
            self.speak(&Packet::VoiceAuthRequest {
                request_id,
                voice_token,
            })?;
        }
        while let Some(at) = self.speak_at.filter(|&at| at <= now) {
            self.speak_at = Some(at + VOICE_INTERVAL);
            self.speak(&Packet::VoiceData {
                user_id: UserId(0),
                sequence: self.sequence,
                timestamp: self.sequence.wrapping_mul(VOICE_SAMPLES),
                data: &VOICE,
            })?;
            self.sequence += 1;
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        let proof_at = self.proof.map(|(_, at)| at);
        proof_at.into_iter().chain(self.speak_at).min()
    }

    fn next_request_id(&mut self) -> u64 {
        self.last_request_id += 1;
        self.last_request_id
    }

    fn send(&mut self, packet: &Packet<'_>) -> Outcome<()> {
        let mut frame = Vec::new();
        packet.encode(&mut frame)?;
        Ok(self.tcp.write_all(&frame)?)
    }

    fn speak(&self, packet: &Packet<'_>) -> Outcome<()> {
        let mut datagram = Vec::new();
        packet.encode(&mut datagram)?;
        // A datagram that the network does not take is lost, as others are.
        let _ = self.sockets[self.sockets.len() - 1].send(&datagram);
        Ok(())
    }
}

/// A terminal or pipe that went away ends the client.
fn say(line: &str) -> Outcome<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

fn read_stream(mut tcp: TcpStream, inputs: &Sender<Input>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let input = match tcp.read(&mut buffer) {
            Ok(0) => Input::Lost("the server closed the connection".to_owned()),
            Ok(len) => Input::Received(buffer[..len].to_vec()),
            Err(error) => Input::Lost(format!("the connection broke: {error}")),
        };
        let is_last = matches!(input, Input::Lost(_));
        if inputs.send(input).is_err() || is_last {
            return;
        }
    }
}

fn read_datagrams(socket: &UdpSocket, number: usize, inputs: &Sender<Input>) {
    let mut buffer = [0; 4_096];
    loop {
        let input = match socket.recv(&mut buffer) {
            Ok(len) => Input::Datagram(number, buffer[..len].to_vec()),
            Err(error) => Input::Lost(format!("voice broke: {error}")),
        };
        let is_last = matches!(input, Input::Lost(_));
        if inputs.send(input).is_err() || is_last {
            return;
        }
    }
}
