//! One client and its one connection: what it writes, and how it reads.

use super::picture::{Picture, Sent, message};
use super::pipe::Pipe;
use super::random::{Digest, Random};
use crate::event::UserId;
use crate::limits::PENDING_BYTES;
use crate::protocol::Packet;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

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

pub struct Client {
    pub pipe: Rc<RefCell<Pipe>>,
    pub address: SocketAddr,
    pub name: String,
    /// What it has to write and could not yet.
    pub unsent: Vec<u8>,
    pub writing: Manner,
    pub reading: Manner,
    pub wants_to_finish: bool,
    /// It is gone, and looks at nothing any more.
    pub is_gone: bool,
    pub has_written_malformed: bool,
    pub has_written_much: bool,
    /// Whether the server knew it as a stranger before the present turn.
    pub was_stranger: bool,
    /// What was queued for it before the present turn, if its buffer was full.
    pub queued_while_full: Option<usize>,
    pub picture: Picture,
    last_request: u64,
}

impl Client {
    pub fn new(pipe: Rc<RefCell<Pipe>>, address: SocketAddr) -> Self {
        let serial = pipe.borrow().serial;
        Client {
            pipe,
            address,
            name: format!("c{serial}"),
            unsent: Vec::new(),
            writing: Manner::AtOnce,
            reading: Manner::AtOnce,
            wants_to_finish: false,
            is_gone: false,
            has_written_malformed: false,
            has_written_much: false,
            was_stranger: true,
            queued_while_full: None,
            picture: Picture::default(),
            last_request: serial << 32,
        }
    }

    /// Where its voice comes from, before and after its NAT has changed its mind.
    pub fn voice_addresses(&self) -> [SocketAddr; 2] {
        let mut other = self.address;
        other.set_port(other.port() + 20_000);
        [self.address, other]
    }

    /// Whether it may still do things.
    pub fn is_active(&self) -> bool {
        let pipe = self.pipe.borrow();
        let can_act = !(pipe.is_broken || pipe.is_dropped || pipe.line.is_cut());
        can_act && !(self.wants_to_finish || self.is_gone)
    }

    pub fn request(&mut self, sent: Sent) {
        self.last_request += 1;
        let request_id = self.last_request;
        let text;
        let packet = match &sent {
            Sent::LogIn { name, .. } => Packet::LoginRequest {
                request_id,
                username: name,
                asked: None,
            },
            Sent::Join => Packet::JoinVoiceChannelRequest { request_id },
            Sent::Leave => Packet::LeaveVoiceChannelRequest { request_id },
            Sent::Ping => Packet::PingRequest { request_id },
            Sent::Mute(is_muted) => Packet::UserMuteState {
                user_id: UserId(request_id),
                is_muted: *is_muted,
            },
            Sent::Chat { number, .. } => {
                text = match self.picture.messages[*number] {
                    0 => String::new(),
                    len => message(*number, len),
                };
                Packet::ChatMessageRequest {
                    request_id,
                    message: &text,
                }
            }
        };
        let before = self.unsent.len();
        packet.encode(&mut self.unsent).expect("it is not too long");
        self.has_written_much |= self.unsent.len() - before > PENDING_BYTES;
        self.picture.wrote(request_id, sent);
    }

    /// A message of about this length; an empty one is refused, and so is one over the bound.
    pub fn chat(&mut self, len: usize, is_limited: bool) {
        let number = self.picture.messages.len();
        let len = match len {
            0 => 0,
            len => message(number, len).len(),
        };
        self.picture.messages.push(len);
        let may_fail = is_limited || len == 0 || len > crate::limits::CHAT_BYTES_MAX;
        self.request(Sent::Chat { number, may_fail });
    }

    /// A frame that the server can make nothing of.
    pub fn write_frame(&mut self, id: u8, len: usize) {
        let announced = u16::try_from(len).expect("it fits into a frame");
        self.unsent.push(id);
        self.unsent.extend(announced.to_be_bytes());
        self.unsent.resize(self.unsent.len() + len, 0xA5);
        self.has_written_much |= len + 3 > PENDING_BYTES;
    }

    /// Ends its half of the connection when all is written.
    fn finish(&mut self) {
        if self.wants_to_finish && self.unsent.is_empty() {
            self.pipe
                .borrow_mut()
                .change(|pipe| pipe.is_finished = true);
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

    /// Writes and reads what it can, in its manner. Says whether that was anything.
    pub fn pump(&mut self, random: &mut Random, digest: &mut Digest) -> Pumped {
        if self.is_gone {
            return Pumped::default();
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
        if read > 1 && random.percent(10) {
            read = random.between(1, read);
        }
        let bytes = pipe.read_by_client(read);
        drop(pipe);
        if !is_cut {
            self.finish();
        }
        let has_logged_in = read > 0 && self.picture.receive(&bytes, digest);
        Pumped {
            has_moved: written + read > 0,
            has_logged_in,
        }
    }
}

/// What came of a [`Client::pump`].
#[derive(Default)]
pub struct Pumped {
    pub has_moved: bool,
    pub has_logged_in: bool,
}
