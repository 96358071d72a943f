//! A client of the encrypted port: blocking, like the plain one.

#[path = "../common/tls_client.rs"]
mod tls_client;

use crate::client::{PATIENCE, Place, encoded};
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use voiceapp_server::protocol::{Asked, FrameBuffer, Packet};

pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub struct Secure {
    pub tls: StreamOwned<ClientConnection, TcpStream>,
    frames: FrameBuffer,
    pub id: u64,
}

impl Secure {
    pub fn connect(place: Place) -> Secure {
        Secure::dial(place, HERE, &[b"voiceapp/1"])
    }

    /// Connects from this address of the machine, with these application protocols. The handshake comes with the
    /// first that is sent or received.
    pub fn dial(place: Place, from: IpAddr, protocols: &[&[u8]]) -> Secure {
        Secure {
            tls: StreamOwned::new(tls_client::client(protocols), dial(place, from)),
            frames: FrameBuffer::new(),
            id: 0,
        }
    }

    pub fn log_in(place: Place, name: &str) -> Secure {
        Secure::connect(place).logged_in(name)
    }

    pub fn logged_in(self, name: &str) -> Secure {
        self.logged_in_asking(name, None)
    }

    pub fn logged_in_asking(mut self, name: &str, asked: Option<Asked<'_>>) -> Secure {
        self.send(&Packet::LoginRequest {
            request_id: 1,
            username: name,
            asked,
        });
        self.id = self.next(|packet| match packet {
            Packet::LoginResponse { id, .. } => id.0,
            other => panic!("not an answer to the login: {other:?}"),
        });
        self
    }

    pub fn send(&mut self, packet: &Packet<'_>) {
        self.tls.write_all(&encoded(packet)).expect("it is sent");
    }

    pub fn next<T>(&mut self, look: impl FnOnce(Packet<'_>) -> T) -> T {
        while !self.frames.has_frame() {
            let mut bytes = [0; 4_096];
            let len = self.tls.read(&mut bytes).expect("something comes");
            assert!(len > 0, "the server closed the connection");
            self.frames.extend(&bytes[..len]);
        }
        let frame = self.frames.next_frame().expect("there is one");
        look(frame.parse().expect("servers send packets"))
    }

    /// Says something, and hears it, whatever else comes before.
    pub fn chat(&mut self, said: &str) {
        self.send(&Packet::ChatMessageRequest {
            request_id: 2,
            message: said,
        });
        while !self.next(|packet| match packet {
            Packet::UserSentMessage { message, .. } => message == said,
            _ => false,
        }) {}
    }

    /// How it ends: in order, or with an error.
    pub fn end(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4_096];
        while self.tls.read(&mut bytes)? > 0 {}
        Ok(())
    }
}

/// A connection from this address.
pub fn dial(place: Place, from: IpAddr) -> TcpStream {
    let address = SocketAddr::new(place.ip, place.tcp_port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)
        .expect("there are descriptors");
    socket
        .bind(&SocketAddr::new(from, 0).into())
        .expect("it is the machine's own");
    socket.connect(&address.into()).expect("the server listens");
    let tcp = TcpStream::from(socket);
    tcp.set_nodelay(true).expect("it is connected");
    tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
    tcp.set_write_timeout(Some(PATIENCE)).expect("not zero");
    tcp
}

/// What a client sends first.
pub fn hello() -> Vec<u8> {
    let mut client = tls_client::client(&[]);
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("it is memory");
    hello
}

/// Reads on until the server has closed the connection.
pub fn expect_end(tcp: &mut TcpStream) {
    let mut bytes = [0; 4_096];
    loop {
        match tcp.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            // A signal interrupts a read that has a timeout.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("it goes on: {error}"),
        }
    }
}
