//! The kinds of trouble that a storm is made of. Each function is one thread's work, which goes on until the storm is over
//! or the server refuses; it blocks, and keeps to its rate without ever catching up in a burst.

use super::field::{Field, count};
use super::sys;
use super::user::LOGIN_REFUSED;
use super::voice::scramble;
use super::wire::Wire;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};
use voiceapp_protocol::{FrameBuffer, Packet, UserId, VoiceToken};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reader does not read before another takes its place.
const SLOW_READER_LIFE: Duration = Duration::from_secs(5);
/// How often half-open connections are checked.
const SWEEP_INTERVAL: Duration = Duration::from_millis(200);
const JUNK_BYTES_MAX: u64 = 2_000;

/// Lets something happen so many times a second.
struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        Pace {
            interval: Duration::from_secs_f64(1.0 / per_second),
            next: Instant::now(),
        }
    }

    fn wait(&mut self) {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next = (self.next + self.interval).max(Instant::now());
    }
}

/// A user of TCP alone, who waits for answers.
struct Guest {
    tcp: TcpStream,
    token: VoiceToken,
    inbound: FrameBuffer,
    buffer: Vec<u8>,
}

impl Guest {
    fn log_in(field: &Field, username: &str) -> io::Result<Self> {
        let any = match field.server {
            SocketAddr::V4(_) => [0; 4].into(),
            SocketAddr::V6(_) => [0; 16].into(),
        };
        Guest::log_in_from(field, any, username)
    }

    fn log_in_from(field: &Field, own: IpAddr, username: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(field.server), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(own, 0).into())?;
        socket.connect_timeout(&field.server.into(), ANSWER_TIMEOUT)?;
        let tcp = TcpStream::from(socket);
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut guest = Guest {
            tcp,
            token: VoiceToken(0),
            inbound: FrameBuffer::new(),
            buffer: vec![0; 64 * 1024],
        };
        let request = Packet::LoginRequest {
            request_id: 1,
            username,
            asked: None,
        };
        if guest.ask(&request)? {
            count(&field.logins);
            return Ok(guest);
        }
        Err(io::Error::other(LOGIN_REFUSED))
    }

    /// Sends a request and reads until it is answered. Returns whether the answer was yes.
    fn ask(&mut self, request: &Packet<'_>) -> io::Result<bool> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes).map_err(io::Error::other)?;
        self.tcp.write_all(&bytes)?;
        loop {
            while let Some(frame) = self.inbound.next_frame() {
                match frame.parse() {
                    Ok(Packet::LoginResponse {
                        id, voice_token, ..
                    }) => {
                        self.token = voice_token;
                        return Ok(id.0 != 0);
                    }
                    Ok(Packet::JoinVoiceChannelResponse { success, .. }) => return Ok(success),
                    Ok(Packet::ChatMessageResponse { success, .. }) => return Ok(success),
                    _ => {}
                }
            }
            match self.tcp.read(&mut self.buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => self.inbound.extend(&self.buffer[..len]),
            }
        }
    }
}

/// Sends a message as soon as the last one was answered, at most so often.
pub fn chat(field: &Field, per_second: f64, len: usize) -> io::Result<()> {
    let mut guest = Guest::log_in(field, "storm-chat")?;
    let message = "storm ".repeat(len.div_ceil(6));
    let mut pace = Pace::new(per_second);
    while field.goes_on() {
        pace.wait();
        let request = Packet::ChatMessageRequest {
            request_id: 2,
            message: &message[..len],
        };
        match guest.ask(&request)? {
            true => count(&field.messages),
            false => count(&field.refused),
        }
    }
    Ok(())
}

/// Logs in and leaves.
pub fn log_in_and_out(field: &Field, per_second: f64) -> io::Result<()> {
    let mut pace = Pace::new(per_second);
    while field.goes_on() {
        pace.wait();
        drop(Guest::log_in(field, "storm-login")?);
    }
    Ok(())
}

/// Connects, shakes hands, and goes as soon as that is over.
pub fn shake_hands(field: &Field, per_second: f64) -> io::Result<()> {
    let mut pace = Pace::new(per_second);
    let mut buffer = [0; 4_096];
    while field.goes_on() {
        pace.wait();
        let mut tcp = TcpStream::connect_timeout(&field.server, ANSWER_TIMEOUT)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let (mut wire, hello) = Wire::secure(field.server).map_err(io::Error::other)?;
        tcp.write_all(&hello)?;
        let mut inbound = FrameBuffer::new();
        while !wire.is_ready() {
            let len = match tcp.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => len,
            };
            let received = wire.receive(&buffer[..len], &mut inbound);
            tcp.write_all(&received.map_err(io::Error::other)?)?;
        }
        tcp.write_all(&wire.close().map_err(io::Error::other)?)?;
        count(&field.handshakes);
    }
    Ok(())
}

/// Keeps some users logged in who never read a byte, each for some seconds, spread evenly over
/// time.
pub fn read_slowly(field: &Field, readers: usize) -> io::Result<()> {
    let mut bytes = Vec::new();
    let request = Packet::LoginRequest {
        request_id: 1,
        username: "storm-slow",
        asked: None,
    };
    request.encode(&mut bytes).map_err(io::Error::other)?;
    let mut connections = std::collections::VecDeque::new();
    let mut pace = Pace::new(readers as f64 / SLOW_READER_LIFE.as_secs_f64());
    while field.goes_on() {
        if connections.len() == readers {
            pace.wait();
            connections.pop_front();
        }
        let socket = Socket::new(Domain::for_address(field.server), Type::STREAM, None)?;
        // Little room, so that the server's own queue fills soon.
        sys::set_smallest_receive_buffer(&socket)?;
        socket.connect_timeout(&field.server.into(), ANSWER_TIMEOUT)?;
        (&socket).write_all(&bytes)?;
        connections.push_back(socket);
        count(&field.slow_readers);
    }
    Ok(())
}

/// Keeps connections that never send anything, and replaces those that the server has closed.
pub fn half_open(field: &Field, connections: usize) -> io::Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    while field.goes_on() {
        streams.retain_mut(|stream| {
            let result = stream.read(&mut [0; 64]);
            matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        while streams.len() < connections && field.goes_on() {
            let stream = TcpStream::connect_timeout(&field.server, ANSWER_TIMEOUT)?;
            stream.set_nonblocking(true)?;
            streams.push(stream);
            count(&field.half_open);
        }
        thread::sleep(SWEEP_INTERVAL);
    }
    Ok(())
}

/// Users in voice from an address of their own, if loopback has another: each sends a datagram with
/// one byte of voice so many times a second. They read nothing.
pub fn flood_with_voice(field: &Field, users: usize, per_second: f64) -> io::Result<()> {
    let own: IpAddr = match field.server.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => [127, 0, 0, 2].into(),
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    };
    let mut flooders = Vec::new();
    for _ in 0..users {
        let mut guest = Guest::log_in_from(field, own, "storm-voice")?;
        let udp = UdpSocket::bind((own, 0))?;
        udp.connect(field.voice)?;
        udp.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut proof = Vec::new();
        let request = Packet::VoiceAuthRequest {
            request_id: 1,
            voice_token: guest.token,
        };
        request.encode(&mut proof).map_err(io::Error::other)?;
        udp.send(&proof)?;
        udp.recv(&mut [0; 64])?;
        guest.ask(&Packet::JoinVoiceChannelRequest { request_id: 2 })?;
        udp.set_nonblocking(true)?;
        flooders.push((guest, udp));
    }
    let mut voice = Vec::new();
    let packet = Packet::VoiceData {
        user_id: UserId(0),
        sequence: 0,
        timestamp: 0,
        data: &[0],
    };
    packet.encode(&mut voice).map_err(io::Error::other)?;
    // Short sleeps are not exact, so that several go out at a time.
    const AT_ONCE: usize = 25;
    let mut pace = Pace::new(users as f64 * per_second / AT_ONCE as f64);
    for place in (0..users).cycle().step_by(AT_ONCE) {
        if !field.goes_on() {
            break;
        }
        pace.wait();
        for (_, udp) in flooders.iter().cycle().skip(place).take(AT_ONCE) {
            if udp.send(&voice).is_ok() {
                count(&field.flooded);
            }
        }
    }
    Ok(())
}

/// Sends random bytes of random lengths from many sockets whose addresses are not proved.
pub fn junk(field: &Field, sockets: usize, per_second: f64) -> io::Result<()> {
    let any: IpAddr = if field.voice.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let mut open = Vec::new();
    for _ in 0..sockets {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(field.voice)?;
        socket.set_nonblocking(true)?;
        open.push(socket);
    }
    let noise: Vec<u8> = (0..8_192u64)
        .flat_map(|it| scramble(it).to_ne_bytes())
        .collect();
    // Short sleeps are not exact, so that several go out at a time.
    const AT_ONCE: u64 = 10;
    let mut pace = Pace::new(per_second / AT_ONCE as f64);
    let mut number = 0u64;
    while field.goes_on() {
        pace.wait();
        for _ in 0..AT_ONCE {
            number += 1;
            let dice = scramble(number);
            let len = (dice % (JUNK_BYTES_MAX + 1)) as usize;
            let from = (dice >> 16) as usize % (noise.len() - JUNK_BYTES_MAX as usize);
            let socket = &open[number as usize % open.len()];
            if socket.send(&noise[from..from + len]).is_ok() {
                count(&field.junk);
            }
        }
    }
    Ok(())
}
