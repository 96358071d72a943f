//! The voice port on a simulated socket: datagrams that wait in a kernel's buffer, and a check of
//! everything that is sent and of every look.

use super::pipe::{Clock, Pipe};
use super::random::Random;
use crate::cause::{Cause, CauseKind, Counters};
use crate::event::{Now, UdpPath, UserId};
use crate::limits::{
    DATAGRAMS_PER_BATCH, DATAGRAMS_PER_WORK_UNIT, DATAGRAMS_TOGETHER_MIN, DELIVERIES_PER_WORK_UNIT,
    Limits, RECEIVES_PER_POLL, sent_per_poll_max, waiting_max,
};
use crate::protocol::VoiceDatagram;
use crate::server::core::Voice;
use crate::server::voice::VoicePort;
use crate::switchboard::Switchboard;
use crate::udp::{DatagramSocket, Queued, Received, Seals, Slots};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The server's voice port, and an address of its machine.
const PORT: u16 = 9_002;
const OWN_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 0));

/// Who speaks from an address: no two clients have the same.
#[derive(Clone)]
struct Speaker {
    pipe: Rc<RefCell<Pipe>>,
    user_id: u64,
}

/// What was sent, by its sequence number.
#[derive(Clone, Copy)]
struct Arrival {
    at: Instant,
    user_id: Option<u64>,
}

/// The simulated socket.
pub struct FakeSocket {
    random: Random,
    clock: Clock,
    /// The kernel's buffer, with the time stamps.
    queue: VecDeque<(SocketAddr, Vec<u8>, u64)>,
    queue_max: usize,
    speakers: BTreeMap<SocketAddr, Speaker>,
    arrivals: BTreeMap<u32, Arrival>,
    /// The last of each user's that was sent on.
    last_heard: BTreeMap<u64, u32>,
    next_sequence: u32,
    /// Datagrams came where there were none.
    pub has_edge: bool,
    /// Datagrams that went to at least one other.
    pub relayed: u64,
    voice_age: Duration,
    /// Whether the wall clock goes with the time, so that the age of all that is sent is known.
    pub is_clock_steady: bool,
    taken: u64,
    sent: u64,
    answers: u64,
    /// In the present look.
    receives: usize,
    received: usize,
    deliveries: usize,
    sent_in_look: usize,
    /// Whether nothing is left, as far as the port was told.
    is_told_empty: bool,
    may_have_more: bool,
}

impl FakeSocket {
    /// Somebody who has logged in will use these addresses.
    pub fn know(&mut self, addresses: [SocketAddr; 2], user_id: u64, pipe: &Rc<RefCell<Pipe>>) {
        let pipe = pipe.clone();
        let speaker = Speaker { pipe, user_id };
        for address in addresses {
            self.speakers.insert(address, speaker.clone());
        }
    }

    pub fn forget(&mut self, addresses: [SocketAddr; 2]) {
        for address in addresses {
            self.speakers.remove(&address);
        }
    }

    pub fn arrive(&mut self, source: SocketAddr, datagram: Vec<u8>, stamp_ns: u64) {
        self.has_edge |= self.queue.is_empty();
        if self.queue.len() < self.queue_max {
            self.queue.push_back((source, datagram, stamp_ns));
        }
    }

    /// The same with a frame of voice.
    pub fn speak(&mut self, source: SocketAddr, stamp_ns: u64) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let user_id = self.speakers.get(&source).map(|it| it.user_id);
        let at = self.clock.get();
        self.arrivals.insert(sequence, Arrival { at, user_id });
        let mut datagram = vec![0x61, 0, 116];
        datagram.resize(119, 0);
        datagram[11..15].copy_from_slice(&sequence.to_be_bytes());
        self.arrive(source, datagram, stamp_ns);
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn speaker(&self, address: &SocketAddr) -> Option<&Speaker> {
        let speaker = self.speakers.get(address);
        speaker.filter(|it| !it.pipe.borrow().is_dropped)
    }
}

impl DatagramSocket for FakeSocket {
    fn receive(&mut self, slots: &mut Slots) {
        self.receives += 1;
        slots.begin();
        assert!(
            slots.free_count() >= DATAGRAMS_PER_BATCH,
            "no room for them"
        );
        while slots.fresh().len() < DATAGRAMS_PER_BATCH {
            let Some((remote, bytes, stamp_ns)) = self.queue.pop_front() else {
                break;
            };
            let slot = slots.free_bytes(0).expect("there is room");
            slot[..bytes.len()].copy_from_slice(&bytes);
            slots.fill(Received {
                len: bytes.len(),
                arrived_ns: self.random.percent(95).then_some(stamp_ns),
                path: UdpPath {
                    remote,
                    local: None,
                },
            });
        }
        self.may_have_more = slots.fresh().len() == DATAGRAMS_PER_BATCH;
        self.is_told_empty = !self.may_have_more;
        self.received += slots.fresh().len();
        self.taken += slots.fresh().len() as u64;
    }

    fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    fn send(&mut self, frames: &[Queued<'_>], listeners: &[UdpPath], seals: &mut dyn Seals) {
        assert!(seals.paths().is_empty(), "nobody here was granted a seal");
        self.sent_in_look += frames.len();
        let most = sent_per_poll_max(listeners.len());
        assert!(self.sent_in_look <= most, "sent for too long");
        assert!(!frames.is_empty());
        let mut deliveries = 0;
        for frame in frames {
            let voice = VoiceDatagram::check(frame.frame).expect("listeners can read it");
            let UserId(user_id) = voice.user_id();
            let from = listeners[frame.sender].remote;
            let speaker = self.speaker(&from).expect("who has gone is heard");
            assert_eq!(speaker.user_id, user_id, "somebody else's voice");
            for (place, to) in listeners.iter().enumerate() {
                let listener = self.speaker(&to.remote);
                let listener = listener.expect("voice for someone who has gone");
                let is_own = listener.user_id == user_id;
                assert_eq!(is_own, place == frame.sender, "someone hears themselves");
            }
            let sequence = u32::from_be_bytes(frame.frame[11..15].try_into().expect("four"));
            let arrival = self.arrivals.remove(&sequence).expect("it is sent once");
            assert!(arrival.user_id.is_none_or(|id| id == user_id));
            let age = self.clock.get().duration_since(arrival.at);
            let has_stamp = frame.arrived_ns.is_some();
            let slack = Duration::from_millis(2);
            assert!(
                !self.is_clock_steady || !has_stamp || age <= self.voice_age + slack,
                "{age:?} old"
            );
            let last = self.last_heard.insert(user_id, sequence);
            assert!(last.is_none_or(|last| last < sequence), "out of order");
            deliveries += listeners.len() - 1;
            self.relayed += u64::from(listeners.len() > 1);
        }
        self.sent += frames.len() as u64;
        self.deliveries += deliveries;
    }

    fn answer(&mut self, datagram: &[u8], to: &UdpPath) {
        self.answers += 1;
        let is_bound = datagram[11] != 0;
        assert!(
            !is_bound || self.speaker(&to.remote).is_some(),
            "a dead token"
        );
        assert!(!is_bound || to.remote != (OWN_IP, PORT).into(), "a circle");
    }

    fn may_be_own(&self, ip: IpAddr) -> bool {
        ip == OWN_IP
    }
}

/// The voice port, watched.
pub struct WatchedVoice(pub VoicePort<FakeSocket>);

impl WatchedVoice {
    pub fn new(seed: u64, now: Now, clock: &Clock, limits: Limits, queue_max: usize) -> Self {
        let socket = FakeSocket {
            random: Random::new(seed),
            clock: clock.clone(),
            queue: VecDeque::new(),
            queue_max,
            speakers: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            last_heard: BTreeMap::new(),
            next_sequence: 0,
            has_edge: false,
            relayed: 0,
            voice_age: limits.voice_age,
            is_clock_steady: true,
            taken: 0,
            sent: 0,
            answers: 0,
            receives: 0,
            received: 0,
            deliveries: 0,
            sent_in_look: 0,
            is_told_empty: true,
            may_have_more: false,
        };
        WatchedVoice(VoicePort::new(now, socket, PORT, limits))
    }

    /// The address that would make voice go in circles.
    pub fn own_address() -> SocketAddr {
        (OWN_IP, PORT).into()
    }

    /// Every datagram that was taken from the kernel was sent on, answered, counted as dropped, or waits.
    pub fn check_books(&self, switchboard: &Switchboard) {
        let mut counters = self.0.counters.clone();
        counters.add(&switchboard.counters());
        let socket = &self.0.socket;
        let done = socket.sent + socket.answers + dropped(&counters);
        assert_eq!(
            socket.taken,
            done + self.0.waiting() as u64,
            "lost silently"
        );
    }
}

/// Datagrams that were dropped without an answer.
fn dropped(counters: &Counters) -> u64 {
    let answered = [Cause::VoiceAuthUnknownToken, Cause::VoiceAuthElsewhere];
    let causes = counters
        .occurred()
        .filter(|(cause, _)| cause.kind() == CauseKind::Datagram && !answered.contains(cause));
    causes.map(|(_, count)| count).sum()
}

impl Voice for WatchedVoice {
    fn poll(&mut self, now: Now, switchboard: &mut Switchboard) -> usize {
        let socket = &mut self.0.socket;
        (socket.receives, socket.received) = (0, 0);
        (socket.deliveries, socket.sent_in_look) = (0, 0);
        let work = self.0.poll(now, switchboard);
        let socket = &self.0.socket;
        assert!(socket.receives > 0, "nobody looked");
        assert!(socket.receives <= RECEIVES_PER_POLL, "looked for too long");
        let waiting = self.0.waiting();
        let listeners = switchboard.relay().listener_count();
        assert!(waiting <= waiting_max(listeners), "too many wait");
        assert!(
            waiting == 0
                || socket.sent_in_look + DATAGRAMS_TOGETHER_MIN > sent_per_poll_max(listeners),
            "left without a reason"
        );
        assert_eq!(self.0.is_ready(), waiting > 0 || !socket.is_told_empty);
        let units = socket.received / DATAGRAMS_PER_WORK_UNIT;
        assert_eq!(work, units + socket.deliveries / DELIVERIES_PER_WORK_UNIT);
        self.check_books(switchboard);
        work
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}
