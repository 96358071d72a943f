//! The one client and its one connection: what it writes, and how it reads.

pub mod junk;
pub mod picture;

use crate::chance::Chance;
use crate::kernel::pipe::Pipe;
use crate::keys::Keys;
use crate::model::{Facts, TapHandle};
use crate::wire::{self, Payload};
use picture::{Picture, Sent};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use voiceapp_server::event::UdpPath;
use voiceapp_server::simulation::bounds::PENDING_BYTES;

/// How much a client reads or writes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    AtOnce,
    /// At most so many bytes.
    Slowly(usize),
    NotAtAll,
}

impl Manner {
    fn share(self, len: usize) -> usize {
        match self {
            Manner::AtOnce => len,
            Manner::Slowly(most) => len.min(most),
            Manner::NotAtAll => 0,
        }
    }
}

/// What a client asks for on TCP.
#[derive(Debug)]
pub enum Request {
    LogIn(String),
    Join,
    Leave,
    Chat(String),
    Ping,
}

pub struct Client {
    pub pipe: Rc<RefCell<Pipe>>,
    pub address: SocketAddr,
    pub name: String,
    /// Where its voice comes from, and the server's address that it has dialled.
    pub voice: SocketAddr,
    pub dialled: Option<IpAddr>,
    /// What it has to write and could not yet.
    pub unsent: Vec<u8>,
    pub writing: Manner,
    pub reading: Manner,
    pub wants_to_finish: bool,
    /// It is gone, and looks at nothing any more.
    pub is_gone: bool,
    pub has_written_malformed: bool,
    /// The first byte that it has written, which decides what the server takes it for.
    pub first_byte: Option<u8>,
    pub has_written_much: bool,
    /// Whether the server knew it as a stranger before the present turn.
    pub was_stranger: bool,
    /// What was queued for it before the present turn, if its buffer was full.
    pub queued_while_full: Option<usize>,
    /// What its handshake has shown, where its connection is encrypted.
    pub facts: Facts,
    /// The keys for its voice, where it may be sealed.
    pub keys: Option<Keys>,
    pub picture: Picture,
}

impl Client {
    pub fn new(pipe: Rc<RefCell<Pipe>>, address: SocketAddr, voice: SocketAddr) -> Self {
        let name = format!("c{}", pipe.borrow().serial);
        Client {
            pipe,
            address,
            name,
            voice,
            dialled: None,
            unsent: Vec::new(),
            writing: Manner::AtOnce,
            reading: Manner::AtOnce,
            wants_to_finish: false,
            is_gone: false,
            has_written_malformed: false,
            first_byte: None,
            has_written_much: false,
            was_stranger: true,
            queued_while_full: None,
            facts: Facts::default(),
            keys: None,
            picture: Picture::default(),
        }
    }

    /// Where its datagrams come from.
    pub fn path(&self) -> UdpPath {
        UdpPath {
            remote: self.voice,
            local: self.dialled,
        }
    }

    /// Whether it was granted that its voice is sealed.
    pub fn is_sealed(&self) -> bool {
        self.picture.key_id.is_some() && self.keys.is_some()
    }

    /// Whether it may still do things.
    pub fn is_active(&self) -> bool {
        let pipe = self.pipe.borrow();
        let can_act = !(pipe.is_broken || pipe.is_dropped || pipe.line.is_cut());
        can_act && !(self.wants_to_finish || self.is_gone)
    }

    fn write(&mut self, frame: &[u8]) {
        self.has_written_much |= frame.len() > PENDING_BYTES;
        self.first_byte = self.first_byte.or(frame.first().copied());
        self.unsent.extend_from_slice(frame);
    }

    /// Writes a request, which then waits for its answer. `tail` follows the known fields, as a newer or a
    /// later version of the protocol has it.
    pub fn request(&mut self, request_id: u64, request: Request, tail: &[u8]) {
        let (packet_id, response, text) = match request {
            Request::LogIn(name) => (wire::LOGIN_REQUEST, wire::LOGIN_RESPONSE, Some(name)),
            Request::Join => (wire::JOIN_REQUEST, wire::JOIN_RESPONSE, None),
            Request::Leave => (wire::LEAVE_REQUEST, wire::LEAVE_RESPONSE, None),
            Request::Chat(message) => (wire::CHAT_REQUEST, wire::CHAT_RESPONSE, Some(message)),
            Request::Ping => (wire::PING_REQUEST, wire::PING_RESPONSE, None),
        };
        let mut payload = Payload::new().u64(request_id);
        if let Some(text) = &text {
            payload = payload.string(text.as_bytes());
        }
        self.write(&payload.bytes(tail).frame(packet_id));
        let text = text.unwrap_or_default();
        self.picture
            .wrote(Sent::Request(response, request_id, text));
    }

    pub fn mute(&mut self, claimed_id: u64, is_muted: bool, as_byte: u8) {
        let state = Payload::new().u64(claimed_id).bytes(&[as_byte]);
        self.write(&state.frame(wire::USER_MUTE_STATE));
        self.picture.wrote(Sent::Mute(is_muted));
    }

    /// Writes whole frames that no client should.
    pub fn write_odd(&mut self, frame: &[u8]) {
        self.write(frame);
    }

    /// Writes bytes that are not a frame: from here on it cannot know what the server makes of what it
    /// writes.
    pub fn write_noise(&mut self, noise: &[u8]) {
        self.write(noise);
        self.has_written_malformed = true;
        self.has_written_much = true;
        self.picture.garble();
    }

    /// Ends its half of the connection when all is written.
    fn finish(&mut self) {
        if self.wants_to_finish && self.unsent.is_empty() {
            let mut pipe = self.pipe.borrow_mut();
            pipe.change(|pipe| pipe.is_finished = true);
        }
    }

    /// Closes the connection without looking at what is left.
    pub fn vanish(&mut self, with_reset: bool) {
        self.is_gone = true;
        self.unsent.clear();
        self.pipe.borrow_mut().change(|pipe| {
            pipe.is_finished = true;
            pipe.is_abandoned = true;
            pipe.is_broken |= with_reset;
        });
    }

    /// Writes and reads what it can, in its manner. What it reads must be what the server was to send, in
    /// order and without a gap. Says whether that was anything.
    pub fn pump(&mut self, chance: &mut Chance, tap: &TapHandle) -> bool {
        if self.is_gone {
            return false;
        }
        let mut pipe = self.pipe.borrow_mut();
        if pipe.is_broken || pipe.is_dropped {
            self.unsent.clear();
        }
        let mut written = 0;
        let is_cut = pipe.line.is_cut();
        if !self.unsent.is_empty() && !is_cut {
            let writing = match self.writing {
                Manner::NotAtAll if self.wants_to_finish => Manner::Slowly(100),
                writing => writing,
            };
            let share = writing.share(self.unsent.len());
            written = pipe.write_from_client(&self.unsent[..share]);
            self.unsent.drain(..written);
        }
        // Who is ended still reads what was written before.
        let reading = match pipe.is_dropped {
            true => Manner::AtOnce,
            false => self.reading,
        };
        let mut read = reading.share(pipe.arrived());
        if read > 1 && chance.percent(10) {
            read = chance.between(1, read);
        }
        let bytes = pipe.read_by_client(read);
        let token = pipe.token;
        drop(pipe);
        if !is_cut {
            self.finish();
        }
        if read > 0 {
            let mut tap = tap.get();
            let unread = token.and_then(|token| tap.unread.get_mut(&token));
            let unread = unread.expect("only who was taken in is sent something");
            assert!(read <= unread.len(), "more than was to be sent");
            assert!(
                unread.take(read) == bytes,
                "{} was sent something else",
                self.name
            );
            drop(tap);
            self.picture.receive(&bytes);
        }
        written + read > 0
    }
}
