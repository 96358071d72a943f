//! Slots that received datagrams lie in until they are sent on or dropped. Allocated once.

use crate::event::UdpPath;
use crate::limits::{DATAGRAM_SLOT_BYTES, DATAGRAMS_PER_BATCH};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

/// What is known of a datagram beside its bytes.
#[derive(Clone, Copy)]
pub struct Received {
    /// Its length, as far as it fits into a slot.
    pub len: usize,
    /// When it arrived at the machine, in nanoseconds since the Unix epoch, if that is known.
    pub arrived_ns: Option<u64>,
    /// Where it came from.
    pub path: UdpPath,
}

/// Slots, each free or with a datagram in it.
pub struct Slots {
    bytes: Box<[[u8; DATAGRAM_SLOT_BYTES]]>,
    received: Box<[Received]>,
    /// Where in its slot each begins.
    starts: Box<[usize]>,
    /// The last one is used next, so that a quiet server uses the same few over and over.
    free: Vec<usize>,
    /// What the last call has received.
    fresh: Vec<usize>,
}

impl Slots {
    /// So many, all of them free.
    pub(crate) fn new(count: usize) -> Self {
        let nothing = Received {
            len: 0,
            arrived_ns: None,
            path: UdpPath {
                remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
                local: None,
            },
        };
        Slots {
            bytes: vec![[0; DATAGRAM_SLOT_BYTES]; count].into(),
            received: vec![nothing; count].into(),
            starts: vec![0; count].into(),
            free: (0..count).rev().collect(),
            fresh: Vec::with_capacity(DATAGRAMS_PER_BATCH),
        }
    }

    /// Begins to receive.
    pub fn begin(&mut self) {
        self.fresh.clear();
    }

    /// The bytes of the slot that would be filled so many after the next, if so many are free.
    pub fn free_bytes(&mut self, after: usize) -> Option<&mut [u8; DATAGRAM_SLOT_BYTES]> {
        let place = self.free.len().checked_sub(after + 1)?;
        Some(&mut self.bytes[self.free[place]])
    }

    /// The next free slot has been filled.
    pub fn fill(&mut self, received: Received) {
        let slot = self.free.pop().expect("a free slot has been filled");
        self.received[slot] = received;
        self.starts[slot] = 0;
        self.fresh.push(slot);
    }

    /// The slots that have been filled since the last [beginning](Self::begin).
    pub fn fresh(&self) -> &[usize] {
        &self.fresh
    }

    /// How many are free.
    #[cfg(feature = "simulation")]
    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// What lies in a slot.
    pub(crate) fn datagram(&mut self, slot: usize) -> (Received, &mut [u8]) {
        let (received, start) = (self.received[slot], self.starts[slot]);
        (received, &mut self.bytes[slot][start..start + received.len])
    }

    /// The same, to be read.
    pub(crate) fn look(&self, slot: usize) -> (Received, &[u8]) {
        let (received, start) = (self.received[slot], self.starts[slot]);
        (received, &self.bytes[slot][start..start + received.len])
    }

    /// Keeps only this part of what lies in a slot.
    pub(crate) fn narrow(&mut self, slot: usize, part: Range<usize>) {
        debug_assert!(part.start <= part.end && part.end <= self.received[slot].len);
        self.received[slot].len = part.len();
        self.starts[slot] += part.start;
    }

    /// Frees a slot.
    pub(crate) fn release(&mut self, slot: usize) {
        debug_assert!(!self.free.contains(&slot), "it is free already");
        self.free.push(slot);
    }
}
