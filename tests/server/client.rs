//! A client for tests: blocking, and patient enough for a slow machine.

use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use voiceapp_server::event::{UserId, VoiceToken};
use voiceapp_server::protocol::{FrameBuffer, Packet, VoiceDatagram};

/// How long anything may take before a test fails rather than hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server is, as one of its addresses.
#[derive(Clone, Copy)]
pub struct Place {
    pub ip: IpAddr,
    pub tcp_port: u16,
    pub udp_port: u16,
}

pub struct Client {
    pub tcp: TcpStream,
    pub udp: UdpSocket,
    pub id: UserId,
    pub token: VoiceToken,
    frames: FrameBuffer,
    last_request: u64,
}

impl Client {
    pub fn connect(place: Place) -> Client {
        Client::dial(place, |_| Ok(()))
    }

    /// Connects from this address of the machine. On Linux, all of 127.0.0.0/8 is.
    #[cfg(target_os = "linux")]
    pub fn connect_from(place: Place, from: IpAddr) -> Client {
        Client::dial(place, |socket| {
            socket.bind(&SocketAddr::new(from, 0).into())
        })
    }

    /// Connects with a socket that holds little of what was not read yet, and for which the server's
    /// end does not hold more than some 40 KB: usually it is megabytes on loopback, because segments
    /// are so large there.
    #[cfg(target_os = "linux")]
    pub fn connect_with_little_room(place: Place) -> Client {
        Client::dial(place, |socket| {
            socket.set_recv_buffer_size(1_024)?;
            socket.set_tcp_mss(400)
        })
    }

    /// Connects with a socket that was prepared for it.
    fn dial(place: Place, prepare: impl FnOnce(&Socket) -> io::Result<()>) -> Client {
        let address = SocketAddr::new(place.ip, place.tcp_port);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)
            .expect("there are descriptors");
        prepare(&socket).expect("the system knows how");
        socket.connect(&address.into()).expect("the server listens");
        let tcp = TcpStream::from(socket);
        tcp.set_nodelay(true).expect("it is connected");
        tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        tcp.set_write_timeout(Some(PATIENCE)).expect("not zero");
        let own = tcp.local_addr().expect("it is connected").ip();
        let udp = UdpSocket::bind((own, 0)).expect("there are free ports");
        udp.connect((place.ip, place.udp_port))
            .expect("the address exists");
        udp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Client {
            tcp,
            udp,
            id: UserId(0),
            token: VoiceToken(0),
            frames: FrameBuffer::new(),
            last_request: 0,
        }
    }

    /// Connects and logs in. What else comes with the response is left to be read.
    pub fn log_in(place: Place, name: &str) -> Client {
        Client::connect(place).logged_in(name)
    }

    /// Logs in. The id is 0 if that is refused.
    pub fn logged_in(mut self, name: &str) -> Client {
        let request_id = self.request_id();
        self.send(&Packet::LoginRequest {
            request_id,
            username: name,
            asked: None,
        });
        let (id, token) = self.next(|packet| match packet {
            Packet::LoginResponse {
                request_id: answered,
                id,
                voice_token,
                ..
            } if answered == request_id => (id, voice_token),
            other => panic!("not an answer to the login: {other:?}"),
        });
        self.id = id;
        self.token = token;
        self
    }

    /// Closes the connection so that the server hears of it as a reset.
    #[cfg(target_os = "linux")]
    pub fn reset(self) {
        socket2::SockRef::from(&self.tcp)
            .set_linger(Some(Duration::ZERO))
            .expect("it is a socket");
    }

    pub fn request_id(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    pub fn send(&mut self, packet: &Packet<'_>) {
        self.tcp.write_all(&encoded(packet)).expect("it is sent");
    }

    /// The next packet from the server, looked at where it lies.
    pub fn next<T>(&mut self, look: impl FnOnce(Packet<'_>) -> T) -> T {
        loop {
            // Looking twice pleases the borrow checker.
            if self.frames.has_frame() {
                let frame = self.frames.next_frame().expect("there is one");
                return look(frame.parse().expect("servers send packets"));
            }
            assert!(self.receive(), "the server closed the connection");
        }
    }

    pub fn expect(&mut self, expected: Packet<'_>) {
        self.next(|packet| assert_eq!(packet, expected));
    }

    /// Reads packets until this one comes.
    pub fn await_packet(&mut self, expected: Packet<'_>) {
        while !self.next(|packet| packet == expected) {}
    }

    /// Whether a whole frame comes before the end of the connection.
    #[cfg(target_os = "linux")]
    pub fn is_answered(&mut self) -> bool {
        while !self.frames.has_frame() {
            if !self.receive() {
                return false;
            }
        }
        true
    }

    /// Reads on until the server has closed the connection.
    pub fn expect_end(&mut self) {
        while self.receive() {}
    }

    /// Takes bytes that were read past this client, to be looked at with what comes next.
    #[cfg(target_os = "linux")]
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.frames.extend(bytes);
    }

    /// Reads once; false at the end of the connection.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 65_536];
        match self.tcp.read(&mut bytes) {
            Ok(0) => false,
            Ok(len) => {
                self.frames.extend(&bytes[..len]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            // A process that was stopped and goes on finds its calls with a timeout interrupted.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.receive(),
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// A ping and its answer: whatever was sent before has been handled, and nothing else has come.
    pub fn expect_quiet(&mut self) {
        let request_id = self.request_id();
        self.send(&Packet::PingRequest { request_id });
        self.expect(Packet::PingResponse { request_id });
    }

    /// Says something, and hears it.
    #[cfg(target_os = "linux")]
    pub fn chat(&mut self, said: &str) {
        let request_id = self.request_id();
        self.send(&Packet::ChatMessageRequest {
            request_id,
            message: said,
        });
        self.expect(Packet::ChatMessageResponse {
            request_id,
            success: true,
            reason: None,
        });
        self.next(|packet| match packet {
            Packet::UserSentMessage { message, .. } => assert_eq!(message, said),
            other => panic!("not what was said: {other:?}"),
        });
    }

    /// Gets ready to hear and be heard.
    pub fn enter_voice(&mut self) {
        self.prove();
        self.join();
    }

    /// Proves this client's address, asking again in case a datagram is lost.
    pub fn prove(&mut self) {
        let request_id = self.request_id();
        let answer = self.authenticate(request_id, self.token);
        assert_eq!(
            answer,
            encoded(&Packet::VoiceAuthResponse {
                request_id,
                success: true,
            })
        );
    }

    /// Asks for what [`prove`](Self::prove) does, and leaves the answer to be read.
    pub fn ask_for_proof(&self) {
        let question = encoded(&Packet::VoiceAuthRequest {
            request_id: 0,
            voice_token: self.token,
        });
        self.udp.send(&question).expect("it is sent");
    }

    pub fn authenticate(&mut self, request_id: u64, voice_token: VoiceToken) -> Vec<u8> {
        self.udp
            .send(&encoded(&Packet::VoiceAuthRequest {
                request_id,
                voice_token,
            }))
            .expect("it is sent");
        self.datagram()
    }

    pub fn join(&mut self) {
        let request_id = self.request_id();
        self.send(&Packet::JoinVoiceChannelRequest { request_id });
        self.expect(Packet::JoinVoiceChannelResponse {
            request_id,
            success: true,
            reason: None,
        });
    }

    pub fn speak(&self, sequence: u32, data: &[u8]) {
        let datagram = encoded(&Packet::VoiceData {
            user_id: UserId(0),
            sequence,
            timestamp: sequence.wrapping_mul(960),
            data,
        });
        self.udp.send(&datagram).expect("it is sent");
    }

    /// The next datagram from the server.
    pub fn datagram(&self) -> Vec<u8> {
        let mut bytes = [0; 4_096];
        loop {
            match self.udp.recv(&mut bytes) {
                Ok(len) => return bytes[..len].to_vec(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no datagram came: {error}"),
            }
        }
    }

    /// Whether a datagram has come that nobody has looked at yet.
    pub fn has_datagram(&self) -> bool {
        self.udp.set_nonblocking(true).expect("it is a socket");
        let peeked = self.udp.peek(&mut [0; 1]);
        self.udp.set_nonblocking(false).expect("it is a socket");
        peeked.is_ok()
    }

    /// Expects voice: from whom, with which number, and what.
    pub fn expect_voice(&self, from: UserId, sequence: u32, data: &[u8]) {
        let datagram = self.datagram();
        let voice = VoiceDatagram::check(&datagram[..]).expect("it is voice");
        assert_eq!(
            (voice.user_id(), voice.sequence(), voice.data()),
            (from, sequence, data)
        );
        assert_eq!(voice.frame().len(), datagram.len());
    }
}

pub fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).expect("it fits");
    bytes
}
