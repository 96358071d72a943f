//! The sending half: messages are collected and handed over many at a time, each with one datagram
//! or with several for one recipient.

use super::hand_over::{Single, may_be_the_segments, piece_of, send_all};
use super::sealed::Arena;
use super::{Headers, set_option};
use crate::event::UdpPath;
use crate::limits::{PIECES_PER_CALL, SEGMENT_REFUSALS_MAX, SENDS_PER_CALL};
use crate::protocol::SEAL_OVERHEAD_BYTES;
use crate::udp::groups::Groups;
use crate::udp::{Queued, Seals, Traffic};
use log::warn;
use mio::net::UdpSocket;
use std::io;
use std::os::fd::AsRawFd;

/// What a queued message is, in case it must be sent in another way.
#[derive(Clone, Copy)]
pub(super) enum Message {
    /// One datagram.
    One,
    /// What a group has for the listener at this place.
    Group {
        datagrams: usize,
        group: usize,
        listener: usize,
    },
    /// Datagrams of one length that lie side by side, sealed for the listener at this place.
    Sealed {
        datagrams: usize,
        start: usize,
        datagram_len: usize,
        listener: usize,
    },
}

/// The sending half: see the [module](self).
pub(in crate::udp) struct Outbound {
    pub(super) headers: Headers<SENDS_PER_CALL>,
    pub(super) messages: [Message; SENDS_PER_CALL],
    pub(super) queued: usize,
    pub(super) pieces: Box<[libc::iovec; PIECES_PER_CALL]>,
    pieces_used: usize,
    is_ipv6: bool,
    /// Whether several datagrams for one recipient go as one message: until the kernel refuses
    /// that.
    coalesces: bool,
    /// Such messages that were refused in a row.
    refusals: u32,
    groups: Groups,
    pub(super) arena: Arena,
    single: Single,
}

// SAFETY: the raw pointers in the headers and pieces are written before each use.
unsafe impl Send for Outbound {}

/// What is sent, and to whom: borrowed for as long as messages are queued that point into it.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) frames: &'a [Queued<'a>],
    pub(super) listeners: &'a [UdpPath],
    /// What is planned to go together, if anything is.
    pub(super) groups: Option<&'a Groups>,
    /// Where sealed datagrams lie.
    pub(super) sealed: &'a [u8],
}

/// Whether this kernel supports `UDP_SEGMENT` (Linux 4.18). Setting it to 0 changes nothing.
pub(in crate::udp) fn knows_segments(socket: &std::net::UdpSocket) -> io::Result<()> {
    set_option(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, 0)
}

impl Outbound {
    pub(in crate::udp) fn new(is_ipv6: bool, coalesces: bool) -> Self {
        Outbound {
            headers: Headers::new(),
            messages: [Message::One; SENDS_PER_CALL],
            queued: 0,
            pieces: Box::new([piece_of(&[]); PIECES_PER_CALL]),
            pieces_used: 0,
            is_ipv6,
            coalesces,
            refusals: 0,
            groups: Groups::new(),
            arena: Arena::new(),
            single: Single::new(is_ipv6),
        }
    }

    #[cfg(test)]
    pub(in crate::udp) fn coalesces(&self) -> bool {
        self.coalesces
    }

    /// Sends each frame to every listener but its sender, and sealed to those who have a seal.
    pub(in crate::udp) fn send(
        &mut self,
        socket: &UdpSocket,
        frames: &[Queued<'_>],
        listeners: &[UdpPath],
        seals: &mut dyn Seals,
        traffic: &mut Traffic,
    ) {
        // Nothing is left over, unless a panic came between.
        self.forget_queued();
        // The plan is borrowed while messages are queued, and put back for its memory.
        let mut groups = std::mem::take(&mut self.groups);
        let may_coalesce = self.coalesces && frames.len() > 1;
        let overhead = match seals.paths().is_empty() {
            true => 0,
            false => SEAL_OVERHEAD_BYTES,
        };
        if may_coalesce {
            groups.plan(frames, overhead);
        }
        let planned = may_coalesce.then_some(&groups);
        let batch = Batch {
            frames,
            listeners,
            groups: planned,
            sealed: &[],
        };
        if let Some(groups) = planned {
            for group in 0..groups.len() {
                self.send_group(socket, batch, groups, group, traffic);
            }
        } else {
            for frame in frames {
                for (place, listener) in listeners.iter().enumerate() {
                    if place != frame.sender {
                        self.make_room(socket, batch, 1, traffic);
                        self.queue_one(frame.frame, listener);
                    }
                }
            }
        }
        self.flush(socket, batch, traffic);
        if overhead > 0 {
            self.send_sealed(socket, frames, planned, seals, traffic);
        }
        self.groups = groups;
    }

    /// Sends one datagram, outside any batch.
    pub(in crate::udp) fn send_one(
        &mut self,
        socket: &UdpSocket,
        bytes: &[u8],
        to: &UdpPath,
        traffic: &mut Traffic,
    ) {
        self.single.send(socket, bytes, to, traffic);
    }

    fn send_group(
        &mut self,
        socket: &UdpSocket,
        batch: Batch<'_>,
        groups: &Groups,
        group: usize,
        traffic: &mut Traffic,
    ) {
        for (place, listener) in batch.listeners.iter().enumerate() {
            let mut frames = groups.frames_for(group, place);
            let (first, rest) = (frames.next(), frames.count());
            match (first, rest) {
                (None, _) => {}
                (Some(frame), 0) => {
                    self.make_room(socket, batch, 1, traffic);
                    self.queue_one(batch.frames[frame].frame, listener);
                }
                (Some(_), rest) => {
                    let pieces = groups.pieces_for(group, place).count();
                    self.make_room(socket, batch, pieces, traffic);
                    let before = self.pieces_used;
                    for piece in groups.pieces_for(group, place) {
                        self.add_piece(piece);
                    }
                    let message = Message::Group {
                        datagrams: rest + 1,
                        group,
                        listener: place,
                    };
                    let segment_len = Some(groups.segment_len(group) as u16);
                    let pieces = self.pieces_used - before;
                    self.fill_header(message, pieces, listener, segment_len);
                }
            }
        }
    }

    /// Flushes if there is no room for one more message of so many pieces.
    fn make_room(
        &mut self,
        socket: &UdpSocket,
        batch: Batch<'_>,
        pieces: usize,
        traffic: &mut Traffic,
    ) {
        if self.queued == SENDS_PER_CALL || self.pieces_used + pieces > PIECES_PER_CALL {
            self.flush(socket, batch, traffic);
        }
    }

    /// Fills the next header with one datagram. The caller flushes while it still borrows `bytes`.
    fn queue_one(&mut self, bytes: &[u8], to: &UdpPath) {
        self.add_piece(bytes);
        self.fill_header(Message::One, 1, to, None);
    }

    fn add_piece(&mut self, bytes: &[u8]) {
        self.pieces[self.pieces_used] = piece_of(bytes);
        self.pieces_used += 1;
    }

    /// Fills the next header, with the pieces that were added last.
    fn fill_header(&mut self, message: Message, pieces: usize, to: &UdpPath, segment: Option<u16>) {
        let place = self.queued;
        self.queue_without_piece(message, to, segment);
        let header = &mut self.headers.headers[place].msg_hdr;
        header.msg_iov = &raw mut self.pieces[self.pieces_used - pieces];
        header.msg_iovlen = pieces as _;
    }

    /// Fills the next header except for its pieces, which the caller writes before it is sent.
    pub(super) fn queue_without_piece(
        &mut self,
        message: Message,
        to: &UdpPath,
        segment: Option<u16>,
    ) {
        let place = self.queued;
        self.queued += 1;
        self.messages[place] = message;
        self.headers.write(place, to, self.is_ipv6, segment);
    }

    /// Sends what is queued. What the kernel refuses is counted and passed over, and the rest goes
    /// out.
    pub(super) fn flush(&mut self, socket: &UdpSocket, batch: Batch<'_>, traffic: &mut Traffic) {
        let mut done = 0;
        while done < self.queued {
            match self.hand_over(socket, done) {
                Ok(count) => {
                    let sent = &self.messages[done..done + count];
                    let datagrams: usize = sent.iter().map(|message| message.datagrams()).sum();
                    let taken = &self.headers.headers[done..done + count];
                    let bytes = taken.iter().map(|header| header.msg_len as usize).sum();
                    traffic.count_sent(datagrams, bytes);
                    if datagrams > count {
                        self.refusals = 0;
                    }
                    done += count;
                }
                Err(error) => {
                    let message = self.messages[done];
                    done += 1;
                    if message.datagrams() > 1 && may_be_the_segments(&error) {
                        self.send_apart(socket, batch, message, &error, traffic);
                    } else {
                        traffic.count_failures(&error, message.datagrams() as u64);
                    }
                }
            }
        }
        self.forget_queued();
    }

    /// Sends the datagrams of a refused message one by one. If that works, the kernel refused the
    /// segments, and after some of these no more are tried. Otherwise it refused the destination.
    fn send_apart(
        &mut self,
        socket: &UdpSocket,
        batch: Batch<'_>,
        message: Message,
        error: &io::Error,
        traffic: &mut Traffic,
    ) {
        let before = traffic.datagrams_sent;
        match message {
            Message::One => {}
            Message::Group {
                group, listener, ..
            } => {
                let numbers = batch
                    .groups
                    .map(|groups| groups.frames_for(group, listener));
                for number in numbers.into_iter().flatten() {
                    let (bytes, to) = (batch.frames[number].frame, &batch.listeners[listener]);
                    self.single.send(socket, bytes, to, traffic);
                }
            }
            Message::Sealed {
                datagrams,
                start,
                datagram_len,
                listener,
            } => {
                let sealed = &batch.sealed[start..start + datagrams * datagram_len];
                for bytes in sealed.chunks(datagram_len) {
                    let to = &batch.listeners[listener];
                    self.single.send(socket, bytes, to, traffic);
                }
            }
        }
        let is_too_long = error.raw_os_error() == Some(libc::EMSGSIZE);
        if traffic.datagrams_sent == before || is_too_long {
            return;
        }
        self.refusals += 1;
        if self.refusals >= SEGMENT_REFUSALS_MAX && self.coalesces {
            self.coalesces = false;
            warn!(
                "the system refuses several datagrams in one message, sending each by itself: \
                 {error}"
            );
        }
    }

    /// Hands the queued messages from `first` on to the kernel, and returns how many it took: at
    /// least one, or it is an error of the first.
    fn hand_over(&mut self, socket: &UdpSocket, first: usize) -> io::Result<usize> {
        // SAFETY: the headers point to pieces that were added with them, and these to frames and
        // staged bytes that the caller which queued them still borrows.
        unsafe { send_all(socket, &mut self.headers.headers[first..self.queued]) }
    }

    fn forget_queued(&mut self) {
        self.queued = 0;
        self.pieces_used = 0;
    }
}

impl Message {
    fn datagrams(self) -> usize {
        match self {
            Message::One => 1,
            Message::Group { datagrams, .. } | Message::Sealed { datagrams, .. } => datagrams,
        }
    }
}
