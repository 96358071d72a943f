//! A user whose voice is sealed, for tests and benchmarks of a running server: TLS with whatever certificate it has,
//! and both directions of the seal.

#[path = "tls_client.rs"]
mod tls_client;

use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;
use voiceapp_server::event::{UserId, VoiceSecrets, VoiceToken};
use voiceapp_server::protocol::sealing::{ClientOpener, Sealer};
use voiceapp_server::protocol::{Asked, Caps, EXPORTER_LABEL, Frame, FrameBuffer, Packet};
use voiceapp_server::protocol::{KeyId, SEAL_OVERHEAD_BYTES, SECRET_BYTES, Suite};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Their voice leaves with the connection.
pub struct SealedUser {
    tls: StreamOwned<ClientConnection, TcpStream>,
    udp: UdpSocket,
    sealer: Sealer,
    opener: ClientOpener,
}

impl SealedUser {
    /// Logs in, proves an address, and joins voice.
    pub fn enter(ip: IpAddr, tcp_port: u16, udp_port: u16, name: &str) -> Self {
        let tcp = TcpStream::connect((ip, tcp_port)).expect("it listens");
        let udp = UdpSocket::bind((ip, 0)).expect("there are free ports");
        udp.connect((ip, udp_port)).expect("the address exists");
        udp.set_read_timeout(Some(PATIENCE))
            .expect("it is not zero");
        let mut tls = StreamOwned::new(tls_client::client(&[b"voiceapp/1"]), tcp);
        let asked = Asked {
            caps: Caps::EXTENDED | Caps::SEALED,
            ..Asked::default()
        };
        let login = Packet::LoginRequest {
            request_id: 1,
            username: name,
            asked: Some(asked),
        };
        tls.write_all(&encoded(&login)).expect("it is sent");
        let (mut key_id, mut voice_token) = (KeyId(0), VoiceToken(0));
        await_packet(&mut tls, |packet| match packet {
            Packet::LoginResponse {
                voice_token: token,
                granted: Some(granted),
                ..
            } => {
                voice_token = token;
                key_id = granted.key_id.expect("it is granted on TLS");
                true
            }
            _ => false,
        });
        let secrets = secrets_of(&tls.conn, key_id);
        let mut user = SealedUser {
            tls,
            udp,
            sealer: Sealer::new(secrets.suite, key_id, secrets.to_server),
            opener: ClientOpener::new(secrets.suite, key_id, secrets.to_client),
        };
        user.send(&Packet::VoiceAuthRequest {
            request_id: 2,
            voice_token,
        });
        let mut bytes = [0; 64];
        let inside = user.receive(&mut bytes);
        let value = match Frame::first_of(inside).map(|frame| frame.parse()) {
            Ok(Ok(Packet::PathChallenge { value })) => value,
            other => panic!("no challenge: {other:?}"),
        };
        user.send(&Packet::PathResponse { value });
        assert_eq!(user.receive(&mut bytes)[11], 1, "the address is theirs");
        let join = encoded(&Packet::JoinVoiceChannelRequest { request_id: 3 });
        user.tls.write_all(&join).expect("it is sent");
        await_packet(&mut user.tls, |packet| {
            matches!(packet, Packet::JoinVoiceChannelResponse { .. })
        });
        user
    }

    pub fn speak(&mut self, sequence: u32, data: &[u8]) {
        self.send(&Packet::VoiceData {
            user_id: UserId(0),
            sequence,
            timestamp: 0,
            data,
        });
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let frame = encoded(packet);
        let mut datagram = vec![0; frame.len() + SEAL_OVERHEAD_BYTES];
        let sealed = self.sealer.seal(&frame, &mut datagram);
        sealed.expect("there is room");
        self.udp.send(&datagram).expect("it is sent");
    }

    /// What is inside the next datagram, opened in this buffer.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> &'b [u8] {
        let len = self.udp.recv(buffer).expect("a datagram comes in time");
        let opened = self.opener.open(&mut buffer[..len]);
        opened.expect("it is for this user").inside
    }
}

fn secrets_of(connection: &ClientConnection, key_id: KeyId) -> VoiceSecrets {
    let suite = connection.negotiated_cipher_suite();
    let suite = suite.expect("the handshake is over").suite();
    let suite = Suite::of(suite.into()).expect("it is of TLS 1.3");
    let context = key_id.context();
    let exported = connection
        .export_keying_material([0; 2 * SECRET_BYTES], EXPORTER_LABEL, Some(&context))
        .expect("the handshake is over");
    VoiceSecrets::of(key_id, suite, &exported)
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).expect("it fits");
    bytes
}

/// Reads until a packet comes that is looked for. Nothing that matters is sent after it while this waits.
fn await_packet(from: &mut impl Read, mut is_it: impl FnMut(Packet<'_>) -> bool) {
    let mut frames = FrameBuffer::new();
    let mut bytes = [0; 4_096];
    loop {
        let len = from.read(&mut bytes).expect("the server is there");
        assert!(len > 0, "the server closed the connection");
        frames.extend(&bytes[..len]);
        while let Some(frame) = frames.next_frame() {
            if is_it(frame.parse().expect("servers send packets")) {
                return;
            }
        }
    }
}
