//! The listening socket: connections that wait, and a kernel that cannot always hand them over.

use super::pipe::{Clock, Pipe};
use super::stream::FakeStream;
use crate::chance::Chance;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;
use voiceapp_server::event::{ConnectionId, VoiceToken};
use voiceapp_server::simulation::Listener;

/// What a process gets that has too many descriptors open (`EMFILE` on Linux).
const OUT_OF_DESCRIPTORS: i32 = 24;

/// Who waits to be accepted.
pub struct Backlog {
    chance: Chance,
    clock: Clock,
    /// Who was handed over last.
    accepted: Option<Rc<RefCell<Pipe>>>,
    waiting: VecDeque<(Rc<RefCell<Pipe>>, SocketAddr)>,
    /// How often, in a hundred, each thing goes wrong.
    pub fault: usize,
    pub has_edge: bool,
    is_blocked: bool,
    /// Until when there are no descriptors, and whether there is not even one to refuse with.
    pub is_out_until: Option<Instant>,
    pub has_no_spare: bool,
    /// Whether the last attempt to refuse somebody failed for want of that one.
    pub is_stuck: bool,
}

impl Backlog {
    pub fn new(chance: Chance, fault: usize, clock: &Clock) -> Self {
        Backlog {
            chance,
            clock: clock.clone(),
            accepted: None,
            waiting: VecDeque::new(),
            fault,
            has_edge: false,
            is_blocked: false,
            is_out_until: None,
            has_no_spare: false,
            is_stuck: false,
        }
    }

    pub fn connect(&mut self, pipe: Rc<RefCell<Pipe>>, address: SocketAddr) {
        self.has_edge |= self.waiting.is_empty() && !self.is_blocked;
        self.waiting.push_back((pipe, address));
    }

    pub fn unblock(&mut self) {
        self.has_edge |= self.is_blocked && !self.waiting.is_empty();
        self.is_blocked = false;
    }

    /// Whether somebody could be accepted and nobody was told.
    pub fn is_ready(&self) -> bool {
        !self.waiting.is_empty() && !self.is_blocked
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// The server's side of the [`Backlog`].
pub struct FakeListener(pub Rc<RefCell<Backlog>>);

impl Listener for FakeListener {
    type Stream = FakeStream;

    fn accept(&mut self) -> io::Result<(FakeStream, SocketAddr)> {
        let backlog = &mut *self.0.borrow_mut();
        if backlog.chance.percent(backlog.fault) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if !backlog.is_ready() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if backlog.chance.percent(backlog.fault) {
            backlog.is_blocked = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let now = backlog.clock.get();
        if backlog.is_out_until.is_some_and(|until| now < until) {
            return Err(io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS));
        }
        let (pipe, address) = backlog.waiting.pop_front().expect("somebody waits");
        backlog.is_stuck = false;
        backlog.accepted = Some(pipe.clone());
        let stream = FakeStream(pipe.clone());
        if backlog.chance.percent(backlog.fault) {
            pipe.borrow_mut().is_broken = true;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok((stream, address))
    }

    fn refuse(&mut self) -> io::Result<SocketAddr> {
        let backlog = &mut *self.0.borrow_mut();
        backlog.is_stuck = backlog.has_no_spare;
        if backlog.is_stuck {
            return Err(io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS));
        }
        if backlog.chance.percent(backlog.fault) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let (pipe, address) = backlog.waiting.pop_front().expect("somebody waits");
        pipe.borrow_mut().was_refused = true;
        drop(FakeStream(pipe));
        Ok(address)
    }

    fn draw_token(&mut self) -> Option<VoiceToken> {
        let backlog = &mut *self.0.borrow_mut();
        if backlog.chance.percent(backlog.fault) {
            return None;
        }
        // It is not drawn, so that bytes that are used up do not give two the same.
        let pipe = backlog.accepted.as_ref().expect("somebody was accepted");
        let token = pipe.borrow().serial.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        pipe.borrow_mut().token = Some(token);
        Some(VoiceToken(token))
    }

    fn register(&mut self, id: ConnectionId, stream: &mut FakeStream) -> io::Result<()> {
        let backlog = &mut *self.0.borrow_mut();
        let mut pipe = stream.0.borrow_mut();
        pipe.register(id);
        if backlog.chance.percent(backlog.fault) {
            pipe.registration_failed = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }
}
