//! Datagrams: on their way, where they are lost, doubled, delayed, overtaken, cut short and grow tails; in the kernel's
//! buffer; and, once the server sends some, the check that they are right.

use super::pipe::Clock;
use crate::chance::Chance;
use crate::model::{TapHandle, WaitingVoice};
use crate::wire;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use voiceapp_server::event::{Now, UdpPath};
use voiceapp_server::limits::DATAGRAM_SLOT_BYTES;
use voiceapp_server::protocol::VoiceDatagram;
use voiceapp_server::simulation::bounds::{
    DATAGRAMS_PER_BATCH, DATAGRAMS_PER_WORK_UNIT, DATAGRAMS_TOGETHER_MIN, DELIVERIES_PER_WORK_UNIT,
    RECEIVES_PER_POLL, sent_per_poll_max, waiting_max,
};
use voiceapp_server::simulation::{DatagramSocket, Queued, Received, Seals, Slots};

/// The server's own addresses; None where the system does not tell which was spoken to.
pub const SERVER_ADDRESSES: [Option<IpAddr>; 4] = [
    None,
    Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))),
    Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
];

/// How many of those whose voice is sealed a frame is sealed for.
const SEALED_FOR: usize = 8;

/// How often, in a hundred, each thing happens to a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub struct AirFaults {
    pub loss: usize,
    pub doubling: usize,
    pub delay: usize,
    pub damage: usize,
}

/// A datagram that has arrived.
pub struct Arrival {
    pub from: UdpPath,
    pub bytes: Vec<u8>,
    pub at: Instant,
    stamp_ns: u64,
    pub has_stamp: bool,
}

/// What went out, for those who want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Voice { frame: Vec<u8>, to: Vec<UdpPath> },
    Answer { datagram: Vec<u8>, to: UdpPath },
}

/// See the [module](self).
pub struct Air {
    chance: Chance,
    start: Instant,
    /// How far the wall clock is ahead of the time, in milliseconds.
    pub wall_ms: u64,
    pub faults: AirFaults,
    /// By time of arrival; the serial number keeps what arrives at one moment in order.
    in_flight: BTreeMap<(Instant, u64), (UdpPath, Vec<u8>)>,
    last_serial: u64,
    last_port: u16,
    queue: VecDeque<Arrival>,
    pub queue_max: usize,
    /// Received, and not examined yet.
    pub examined: VecDeque<Arrival>,
    /// Datagrams came where there were none.
    pub has_edge: bool,
    pub voice_age: Duration,
    /// Whether the wall clock goes with the time, so that the age of all that is sent is known.
    pub is_clock_steady: bool,
    /// Datagrams that went to at least one other.
    pub relayed: u64,
    pub taken: u64,
    pub sent: u64,
    pub answered: u64,
    /// Addresses that were asked because of voice, which is sent on as well.
    pub asked: u64,
    /// Sealed answers, on their way to clients.
    pub mail: Vec<(SocketAddr, Vec<u8>)>,
    pub records: bool,
    pub record: Vec<Sent>,
    // In the present poll.
    receives: usize,
    received: usize,
    deliveries: usize,
    sent_in_poll: usize,
    /// Whether nothing is left, as far as the port was told.
    pub is_told_empty: bool,
}

impl Air {
    pub fn new(
        now: Now,
        chance: Chance,
        faults: AirFaults,
        queue_max: usize,
        voice_age: Duration,
    ) -> Self {
        Air {
            chance,
            start: now.instant,
            wall_ms: now.unix_ms,
            faults,
            in_flight: BTreeMap::new(),
            last_serial: 0,
            last_port: 1_024,
            queue: VecDeque::new(),
            queue_max,
            examined: VecDeque::new(),
            has_edge: false,
            voice_age,
            is_clock_steady: true,
            relayed: 0,
            taken: 0,
            sent: 0,
            answered: 0,
            asked: 0,
            mail: Vec::new(),
            records: false,
            record: Vec::new(),
            receives: 0,
            received: 0,
            deliveries: 0,
            sent_in_poll: 0,
            is_told_empty: true,
        }
    }

    /// Somebody sends a datagram, that seems to come from this peer, who may be forged.
    pub fn send(&mut self, now: Instant, from: UdpPath, bytes: &[u8]) {
        if self.chance.percent(self.faults.loss) {
            return;
        }
        let copies = 1 + usize::from(self.chance.percent(self.faults.doubling));
        for _ in 0..copies {
            let mut copy = bytes.to_vec();
            if self.chance.percent(self.faults.damage) {
                damage(&mut copy, &mut self.chance);
            }
            // The server receives into slots of this size.
            copy.truncate(DATAGRAM_SLOT_BYTES);
            let delay_ms = match self.chance.percent(self.faults.delay) {
                true => self.chance.below(200) as u64,
                false => 0,
            };
            self.last_serial += 1;
            let key = (now + Duration::from_millis(delay_ms), self.last_serial);
            self.in_flight.insert(key, (from, copy));
        }
    }

    /// Whatever is due arrives.
    pub fn arrive(&mut self, now: Instant) {
        while let Some(next) = self.in_flight.first_entry().filter(|it| it.key().0 <= now) {
            let at = next.key().0;
            let (from, bytes) = next.remove();
            self.has_edge |= self.queue.is_empty();
            if self.queue.len() < self.queue_max {
                let stamp_ns = {
                    let ms = self
                        .wall_ms
                        .wrapping_add((at - self.start).as_millis() as u64);
                    ms.saturating_mul(1_000_000)
                        + u64::from((at - self.start).subsec_nanos() % 1_000_000)
                };
                self.queue.push_back(Arrival {
                    from,
                    bytes,
                    at,
                    stamp_ns,
                    has_stamp: self.chance.percent(95),
                });
            }
        }
    }

    /// Whether nothing is left behind in the kernel.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|((at, _), _)| *at)
    }

    /// An address that nobody has had before: of its own, behind a NAT that others are behind too, or in an
    /// IPv6 network of which others are.
    pub fn fresh_address(&mut self, chance: &mut Chance) -> SocketAddr {
        self.last_port = self.last_port.checked_add(1).expect("too many moves");
        let own = u32::from(self.last_port);
        let ip: IpAddr = match chance.below(5) {
            0 | 1 => Ipv4Addr::from_bits(0x0A00_0000 | own).into(),
            2 => Ipv4Addr::new(198, 51, 100, chance.below(4) as u8).into(),
            3 => Ipv6Addr::from_bits(0x2001_0db8_0001_u128 << 80 | u128::from(own)).into(),
            _ => {
                Ipv6Addr::from_bits(0x2001_0db8_0002_u128 << 80 | u128::from(own) << 64 | 1).into()
            }
        };
        SocketAddr::new(ip, self.last_port)
    }

    pub fn begin_poll(&mut self) {
        (self.receives, self.received) = (0, 0);
        (self.deliveries, self.sent_in_poll) = (0, 0);
    }

    /// Whether a poll was as long as it may be, and no shorter.
    pub fn end_poll(&mut self, work: usize, waiting: usize, listeners: usize) {
        assert!(self.examined.is_empty(), "received, and not examined");
        assert!(self.receives > 0, "nobody asked the kernel");
        assert!(self.receives <= RECEIVES_PER_POLL, "asked for too long");
        assert!(waiting <= waiting_max(listeners), "too many wait");
        let is_full = self.sent_in_poll + DATAGRAMS_TOGETHER_MIN > sent_per_poll_max(listeners);
        assert!(waiting == 0 || is_full, "left without a reason");
        let units = self.received / DATAGRAMS_PER_WORK_UNIT;
        assert_eq!(work, units + self.deliveries / DELIVERIES_PER_WORK_UNIT);
    }

    /// Looks at one frame that is sent, of which so long ago something was received and not sent.
    fn check_frame(&mut self, now: Instant, frame: &Queued<'_>, line: &mut VecDeque<WaitingVoice>) {
        // What is before it was shed, or too old.
        let place = line.iter().position(|it| it.frame == frame.frame);
        let place = place.expect("voice is sent once, in order, and as it came");
        let waited = line.drain(..=place).next_back().expect("it is there");
        let age = now.duration_since(waited.arrived_at);
        let is_known = self.is_clock_steady && waited.has_stamp;
        let slack = Duration::from_millis(2);
        assert!(!is_known || age <= self.voice_age + slack, "{age:?} old");
    }
}

/// Whether these are the ones who are to hear.
fn check_listeners(listeners: &[UdpPath], expected: &[(UdpPath, u64)]) {
    let mut sorted = listeners.to_vec();
    sorted.sort_by_key(|peer| peer.remote);
    assert!(
        expected.iter().map(|(peer, _)| peer).eq(&sorted),
        "who hears it"
    );
}

fn damage(bytes: &mut Vec<u8>, chance: &mut Chance) {
    match chance.below(3) {
        0 => bytes.truncate(chance.below(bytes.len() + 1)),
        1 => {
            let tail_len = chance.between(1, 40);
            bytes.extend(chance.bytes(tail_len));
        }
        _ => {
            if !bytes.is_empty() {
                let place = chance.below(bytes.len());
                bytes[place] ^= 1 << chance.below(8);
            }
        }
    }
}

/// The server's end.
pub struct FakeSocket {
    pub tap: TapHandle,
    pub clock: Clock,
}

impl DatagramSocket for FakeSocket {
    fn receive(&mut self, slots: &mut Slots) {
        let air = &mut self.tap.get().air;
        air.arrive(self.clock.get());
        air.receives += 1;
        slots.begin();
        assert!(
            slots.free_count() >= DATAGRAMS_PER_BATCH,
            "no room for them"
        );
        while slots.fresh().len() < DATAGRAMS_PER_BATCH {
            let Some(arrival) = air.queue.pop_front() else {
                break;
            };
            let (len, path) = (arrival.bytes.len(), arrival.from);
            let slot = slots.free_bytes(0).expect("there is room");
            slot[..len].copy_from_slice(&arrival.bytes);
            slots.fill(Received {
                len,
                arrived_ns: arrival.has_stamp.then_some(arrival.stamp_ns),
                path,
            });
            air.examined.push_back(arrival);
        }
        air.is_told_empty = slots.fresh().len() < DATAGRAMS_PER_BATCH;
        air.received += slots.fresh().len();
        air.taken += slots.fresh().len() as u64;
    }

    fn may_have_more(&self) -> bool {
        !self.tap.get().air.is_told_empty
    }

    fn send(&mut self, frames: &[Queued<'_>], listeners: &[UdpPath], seals: &mut dyn Seals) {
        let tap = &mut *self.tap.get();
        let air = &mut tap.air;
        air.sent_in_poll += frames.len();
        let count = listeners.len() + seals.paths().len();
        let most = sent_per_poll_max(count);
        assert!(
            air.sent_in_poll <= most && !frames.is_empty(),
            "sent for too long"
        );
        let expected = tap.model.listeners(false);
        let sealed = tap.model.listeners(true);
        check_listeners(listeners, &expected);
        check_listeners(seals.paths(), &sealed);
        for frame in frames {
            let voice = VoiceDatagram::check(frame.frame).expect("listeners can read it");
            let id = voice.user_id().0;
            let sender = listeners.get(frame.sender).copied();
            let sealed_sender = seals.paths().get(frame.sealed_sender).copied();
            let is_own = match (sender, sealed_sender) {
                (Some(sender), None) => expected.contains(&(sender, id)),
                (None, Some(sender)) => sealed.contains(&(sender, id)),
                (None, None) => !sealed.iter().any(|(_, listener)| *listener == id),
                (Some(_), Some(_)) => false,
            };
            assert!(is_own, "somebody else's voice");
            let line = tap.voice.entry(id).or_default();
            air.check_frame(self.clock.get(), frame, line);
            let heard = count - usize::from(sender.or(sealed_sender).is_some());
            air.deliveries += heard;
            air.relayed += u64::from(heard > 0);
            let here = seals.paths().len();
            // With many, some of them will do.
            let first = match here > SEALED_FOR && !air.records {
                true => air.chance.below(here),
                false => 0,
            };
            let some = if air.records {
                here
            } else {
                SEALED_FOR.min(here)
            };
            for place in (first..first + some).map(|place| place % here) {
                if place != frame.sealed_sender {
                    let path = seals.paths()[place];
                    let zeros = air.chance.pick(&[0, 0, 1, 60]);
                    let mut datagram = vec![0; frame.frame.len() + 31 + zeros];
                    assert!(seals.seal(place, frame.frame, &mut datagram), "no seal");
                    let listener = sealed.iter().find(|(peer, _)| *peer == path);
                    let (_, listener) = listener.expect("it hears voice");
                    let key_id = tap.model.key_of(*listener);
                    let ear = tap.ears.get_mut(&key_id).expect("it has an ear");
                    let inside = ear.hear(&mut datagram);
                    let (voice, behind) = inside.split_at(frame.frame.len());
                    assert!(voice == frame.frame && behind.iter().all(|&it| it == 0));
                }
            }
            if air.records {
                let all = expected.iter().chain(&sealed).map(|(peer, _)| *peer);
                let senders = [sender, sealed_sender];
                let mut to: Vec<UdpPath> = all.filter(|it| !senders.contains(&Some(*it))).collect();
                to.sort_by_key(|peer| peer.remote);
                let frame = frame.frame.to_vec();
                air.record.push(Sent::Voice { frame, to });
            }
        }
        air.sent += frames.len() as u64;
    }

    fn answer(&mut self, datagram: &[u8], to: &UdpPath) {
        let tap = &mut *self.tap.get();
        let expected = tap.answers.pop_front().expect("somebody has asked");
        assert_eq!((datagram, to), (&*expected.0, &expected.1));
        tap.air.answered += u64::from(!datagram.is_empty());
        if datagram.first() == Some(&wire::SEALED) {
            tap.air.mail.push((to.remote, datagram.to_vec()));
        }
        if tap.air.records {
            let (datagram, to) = expected;
            tap.air.record.push(Sent::Answer { datagram, to });
        }
    }

    fn may_be_own(&self, ip: IpAddr) -> bool {
        ip == crate::model::OWN_IP
    }
}
