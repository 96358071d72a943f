//! One client: where it sits, what it writes, and what ends with its connection, its [`Session`].

use crate::session::{Sent, Session};
use crate::wire::{self, Payload};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::protocol::VoiceDatagram;

/// What a client asks for on TCP.
pub enum Request {
    LogIn(String),
    Join,
    Leave,
    Chat(String),
    Ping,
}

/// A VoiceAuthRequest that waits for its answer.
pub struct Proof {
    pub request_id: u64,
    pub datagram: Vec<u8>,
    pub again_at: Duration,
}

pub struct Client {
    pub connection: Option<ConnectionId>,
    /// Where it connects from.
    pub ip: IpAddr,
    /// Written, and not yet with the server.
    pub unsent: Vec<u8>,
    pub address: SocketAddr,
    /// The server's address that this client has dialled.
    pub server_address: Option<IpAddr>,
    /// Someone else may have bound this client's address, or it may have bound it for someone else:
    /// what is heard here says nothing about this client.
    pub shares_address: bool,
    pub proof: Option<Proof>,
    /// Tokens of sessions that are over, or that this client has given up.
    pub departed_tokens: Vec<u64>,
    pub sequence: u32,
    /// Voice datagrams that the server has sent to its address.
    pub heard: usize,
    pub session: Session,
}

impl Client {
    pub fn new(
        ip: IpAddr,
        address: SocketAddr,
        server_address: Option<IpAddr>,
        keeps_list: bool,
    ) -> Self {
        Client {
            connection: None,
            ip,
            unsent: Vec::new(),
            address,
            server_address,
            shares_address: false,
            proof: None,
            departed_tokens: Vec::new(),
            sequence: 0,
            heard: 0,
            session: Session::new(keeps_list),
        }
    }

    pub fn connected(&mut self, connection: ConnectionId) {
        self.connection = Some(connection);
        self.sequence = 0;
    }

    /// The connection is over, or given up.
    pub fn disconnected(&mut self) {
        if self.session.id.is_some() {
            self.departed_tokens.push(self.session.token);
        }
        self.connection = None;
        self.unsent.clear();
        self.proof = None;
        self.session = Session::new(self.session.keeps_list);
    }

    /// Writes a request, which then waits for its answer.
    ///
    /// `tail` follows the known fields, as a later version of the protocol may have it. Behind a name it is
    /// too short for capabilities: these clients ask for nothing.
    pub fn request(&mut self, request: Request, request_id: u64, tail: &[u8]) {
        let (packet_id, response, text) = match request {
            Request::LogIn(name) => (wire::LOGIN_REQUEST, wire::LOGIN_RESPONSE, Some(name)),
            Request::Join => (wire::JOIN_REQUEST, wire::JOIN_RESPONSE, None),
            Request::Leave => (wire::LEAVE_REQUEST, wire::LEAVE_RESPONSE, None),
            Request::Chat(message) => (wire::CHAT_REQUEST, wire::CHAT_RESPONSE, Some(message)),
            Request::Ping => (wire::PING_REQUEST, wire::PING_RESPONSE, None),
        };
        let tail = match packet_id {
            wire::LOGIN_REQUEST => &tail[..tail.len().min(3)],
            _ => tail,
        };
        let mut payload = Payload::new().u64(request_id);
        if let Some(text) = &text {
            payload = payload.string(text.as_bytes());
        }
        self.unsent.extend(payload.bytes(tail).frame(packet_id));
        let text = text.unwrap_or_default();
        self.session
            .wrote(Sent::Request(response, request_id, text));
    }

    /// Writes bytes that are not a frame: from here on it cannot know what the server makes of what
    /// it writes.
    pub fn write_noise(&mut self, noise: &[u8]) {
        self.unsent.extend_from_slice(noise);
        self.session.garble();
    }

    pub fn mute(&mut self, claimed_id: u64, is_muted: bool, as_byte: u8) {
        let state = Payload::new().u64(claimed_id).bytes(&[as_byte]);
        self.unsent.extend(state.frame(wire::USER_MUTE_STATE));
        self.session.wrote(Sent::Mute(is_muted));
    }

    /// The server sends a voice datagram to this client's address. Of a speaker whose last change of
    /// state it still owes to the others, they know little.
    pub fn hear(&mut self, datagram: &[u8], is_owed: bool) {
        let voice = VoiceDatagram::check(datagram).expect("a client is sent what it can read");
        assert_eq!(voice.frame().len(), datagram.len(), "bytes after the frame");
        self.heard += 1;
        if !self.shares_address {
            self.session.hear(voice.user_id().0, is_owed);
        }
    }
}
