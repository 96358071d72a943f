//! Sending to those whose datagrams are sealed: what goes to one listener is sealed side by side, so that it
//! can be one message, and as many messages as fit go to the kernel together.

use super::hand_over::piece_of;
use super::outbound::{Batch, Message, Outbound};
use crate::cause::UdpFailed;
use crate::limits::{SEALED_BYTES_PER_CALL, SENDS_PER_CALL};
use crate::protocol::SEAL_OVERHEAD_BYTES;
use crate::udp::groups::Groups;
use crate::udp::{Queued, Seals, Traffic};
use mio::net::UdpSocket;
use std::mem;

/// Where sealed datagrams lie until the kernel has them.
pub(super) struct Arena {
    bytes: Vec<u8>,
    used: usize,
}

impl Arena {
    pub(super) fn new() -> Self {
        Arena {
            bytes: vec![0; SEALED_BYTES_PER_CALL],
            used: 0,
        }
    }

    /// Seals one more datagram that holds so many bytes, frame and zeros. Where that cannot be done the
    /// datagram is counted as lost.
    fn seal(
        &mut self,
        seals: &mut dyn Seals,
        listener: usize,
        frame: &[u8],
        inside_len: usize,
        traffic: &mut Traffic,
    ) {
        let end = self.used + inside_len + SEAL_OVERHEAD_BYTES;
        if seals.seal(listener, frame, &mut self.bytes[self.used..end]) {
            self.used = end;
        } else {
            traffic.counters.count(UdpFailed::Exhausted);
        }
    }
}

impl Outbound {
    /// Sends each frame to every sealed listener but its sender, in the groups that were planned for all, if
    /// there are any.
    pub(super) fn send_sealed(
        &mut self,
        socket: &UdpSocket,
        frames: &[Queued<'_>],
        groups: Option<&Groups>,
        seals: &mut dyn Seals,
        traffic: &mut Traffic,
    ) {
        // It is borrowed while messages are queued, and put back.
        let mut arena = mem::replace(
            &mut self.arena,
            Arena {
                bytes: Vec::new(),
                used: 0,
            },
        );
        // After a panic it may have been lost.
        arena.bytes.resize(SEALED_BYTES_PER_CALL, 0);
        arena.used = 0;
        let listeners = seals.paths().len();
        if let Some(groups) = groups {
            for group in 0..groups.len() {
                for listener in 0..listeners {
                    let numbers = || groups.sealed_frames_for(group, listener);
                    let (count, Some(first)) = (numbers().count(), numbers().next()) else {
                        continue;
                    };
                    let inside_len = match count {
                        1 => frames[first].frame.len(),
                        _ => groups.segment_len(group),
                    };
                    let len = inside_len + SEAL_OVERHEAD_BYTES;
                    self.make_sealed_room(socket, &mut arena, count * len, seals, traffic);
                    let start = arena.used;
                    for number in numbers() {
                        let frame = frames[number].frame;
                        arena.seal(seals, listener, frame, inside_len, traffic);
                    }
                    self.queue_sealed(&arena, start, len, listener, seals);
                }
            }
        } else {
            for frame in frames {
                let len = frame.frame.len() + SEAL_OVERHEAD_BYTES;
                for listener in (0..listeners).filter(|&place| place != frame.sealed_sender) {
                    self.make_sealed_room(socket, &mut arena, len, seals, traffic);
                    let start = arena.used;
                    arena.seal(seals, listener, frame.frame, frame.frame.len(), traffic);
                    self.queue_sealed(&arena, start, len, listener, seals);
                }
            }
        }
        self.flush_sealed(socket, &mut arena, seals, traffic);
        self.arena = arena;
    }

    /// Flushes if there is no room for one more message of so many bytes.
    fn make_sealed_room(
        &mut self,
        socket: &UdpSocket,
        arena: &mut Arena,
        len: usize,
        seals: &dyn Seals,
        traffic: &mut Traffic,
    ) {
        if self.queued == SENDS_PER_CALL || arena.used + len > arena.bytes.len() {
            self.flush_sealed(socket, arena, seals, traffic);
        }
    }

    /// Queues what has been sealed for a listener from this place on, if anything was.
    fn queue_sealed(
        &mut self,
        arena: &Arena,
        start: usize,
        datagram_len: usize,
        listener: usize,
        seals: &dyn Seals,
    ) {
        let datagrams = (arena.used - start) / datagram_len;
        if datagrams == 0 {
            return;
        }
        let message = Message::Sealed {
            datagrams,
            start,
            datagram_len,
            listener,
        };
        let segment_len = (datagrams > 1).then_some(datagram_len as u16);
        self.queue_without_piece(message, &seals.paths()[listener], segment_len);
    }

    /// Sends what is queued. Only now that nothing more is written into the arena do the pieces point
    /// there.
    fn flush_sealed(
        &mut self,
        socket: &UdpSocket,
        arena: &mut Arena,
        seals: &dyn Seals,
        traffic: &mut Traffic,
    ) {
        for place in 0..self.queued {
            if let Message::Sealed {
                datagrams,
                start,
                datagram_len,
                ..
            } = self.messages[place]
            {
                let bytes = &arena.bytes[start..start + datagrams * datagram_len];
                self.pieces[place] = piece_of(bytes);
                let header = &mut self.headers.headers[place].msg_hdr;
                header.msg_iov = &raw mut self.pieces[place];
                header.msg_iovlen = 1;
            }
        }
        let batch = Batch {
            frames: &[],
            listeners: seals.paths(),
            groups: None,
            sealed: &arena.bytes,
        };
        self.flush(socket, batch, traffic);
        arena.used = 0;
    }
}
