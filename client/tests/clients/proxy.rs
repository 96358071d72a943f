//! A small bad network for datagrams on their way to a client: it loses some, and delays each by a
//! time of its own, so that they overtake each other. One seed decides it all.

use crate::PATIENCE;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use voiceapp_protocol::{SealedDatagram, VoiceDatagram};

const LOST_PER_CENT: u64 = 5;
const DELAY_MAX: Duration = Duration::from_millis(100);

/// The network itself, in whatever time it is told.
pub struct BadNetwork {
    lost_per_cent: u64,
    random: u64,
    /// By when they arrive, and in the order of their coming.
    under_way: BTreeMap<(Instant, u64), Vec<u8>>,
    count: u64,
    pub fate: Fate,
}

/// What became of voice, by sequence number, or by counter where it is sealed.
#[derive(Clone, Default)]
pub struct Fate {
    pub lost: Vec<u32>,
    pub delivered: Vec<u32>,
}

impl Fate {
    /// How many were lost between those that were delivered: of others a receiver cannot know.
    pub fn noticeable_losses(&self) -> u64 {
        let (Some(first), Some(last)) = (self.delivered.iter().min(), self.delivered.iter().max())
        else {
            return 0;
        };
        let between = self.lost.iter().filter(|it| (first..last).contains(it));
        between.count() as u64
    }

    /// How many were spoken from the first to the last that was delivered.
    pub fn span(&self) -> u64 {
        let (first, last) = (self.delivered.iter().min(), self.delivered.iter().max());
        first
            .zip(last)
            .map_or(0, |(first, last)| u64::from(last - first) + 1)
    }

    /// How many were delivered after one with a higher number.
    pub fn overtaken(&self) -> u64 {
        let mut newest = None;
        let is_overtaken = |it: &&u32| {
            let is_overtaken = newest.is_some_and(|newest| newest > **it);
            newest = newest.max(Some(**it));
            is_overtaken
        };
        self.delivered.iter().filter(is_overtaken).count() as u64
    }
}

impl BadNetwork {
    pub fn new(seed: u64) -> Self {
        BadNetwork {
            lost_per_cent: LOST_PER_CENT,
            random: seed,
            under_way: BTreeMap::new(),
            count: 0,
            fate: Fate::default(),
        }
    }

    /// Takes a datagram. What is no voice passes at once.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        let mut arrives_at = now;
        if let Some(number) = number_of_voice(datagram) {
            if self.next_random() % 100 < self.lost_per_cent {
                self.fate.lost.push(number);
                return;
            }
            let delay_us = self.next_random() % (DELAY_MAX.as_micros() as u64 + 1);
            arrives_at += Duration::from_micros(delay_us);
        }
        self.count += 1;
        let key = (arrives_at, self.count);
        self.under_way.insert(key, datagram.to_vec());
    }

    /// Gives the next datagram that has arrived by now.
    pub fn receive(&mut self, now: Instant) -> Option<(Instant, Vec<u8>)> {
        let entry = self.under_way.first_entry()?;
        let at = entry.key().0;
        if at > now {
            return None;
        }
        let datagram = entry.remove();
        self.fate.delivered.extend(number_of_voice(&datagram));
        Some((at, datagram))
    }

    /// splitmix64, as published by Vigna.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.random;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }
}

/// The number of a datagram of voice. What is sealed can be told from answers by its length alone.
fn number_of_voice(datagram: &[u8]) -> Option<u32> {
    const SEALED_ANSWER_BYTES: usize = 43;
    if let Ok(sealed) = SealedDatagram::check(datagram) {
        let is_voice = sealed.frame().len() > SEALED_ANSWER_BYTES;
        return is_voice.then_some(sealed.counter() as u32);
    }
    let voice = VoiceDatagram::check(datagram).ok()?;
    Some(voice.sequence())
}

/// The network between one client's UDP socket and a server's, in real time.
pub struct Proxy {
    pub port: u16,
    network: Arc<Mutex<BadNetwork>>,
    captured: Captured,
    is_done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Datagrams of both directions, as they came.
type Captured = Arc<Mutex<Vec<Vec<u8>>>>;

impl Proxy {
    /// One that delays and loses voice on its way to the client.
    pub fn start(server_port: u16, seed: u64) -> Self {
        Proxy::over(server_port, BadNetwork::new(seed))
    }

    /// One that delays it, and loses nothing.
    pub fn start_without_loss(server_port: u16, seed: u64) -> Self {
        let network = BadNetwork {
            lost_per_cent: 0,
            ..BadNetwork::new(seed)
        };
        Proxy::over(server_port, network)
    }

    fn over(server_port: u16, network: BadNetwork) -> Self {
        let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let (front, back) = (socket(), socket());
        back.connect((Ipv4Addr::LOCALHOST, server_port))
            .expect("it is an address");
        for socket in [&front, &back] {
            // So that the threads see that it is over.
            let patience = Some(Duration::from_millis(2));
            socket.set_read_timeout(patience).expect("it is not zero");
        }
        let port = front.local_addr().expect("it is bound").port();
        let network = Arc::new(Mutex::new(network));
        let captured = Captured::default();
        let capture = |captured: &Captured, datagram: &[u8]| {
            let mut captured = captured.lock().expect("nobody panics with it");
            captured.push(datagram.to_vec());
        };
        let is_done = Arc::new(AtomicBool::new(false));
        let client = Arc::new(Mutex::new(None));
        let to_server = {
            let (front, back) = (clone(&front), clone(&back));
            let (client, is_done) = (client.clone(), is_done.clone());
            let captured = captured.clone();
            move || {
                while !is_done.load(Ordering::Relaxed) {
                    let mut bytes = [0; 2_048];
                    if let Some((len, from)) = receive(&front, &mut bytes) {
                        *client.lock().expect("nobody panics with it") = Some(from);
                        capture(&captured, &bytes[..len]);
                        back.send(&bytes[..len]).expect("the server is there");
                    }
                }
            }
        };
        let to_client = {
            let (network, is_done) = (network.clone(), is_done.clone());
            let captured = captured.clone();
            move || {
                while !is_done.load(Ordering::Relaxed) {
                    let mut bytes = [0; 2_048];
                    let received = receive(&back, &mut bytes);
                    let now = Instant::now();
                    let mut network = network.lock().expect("nobody panics with it");
                    if let Some((len, _)) = received {
                        capture(&captured, &bytes[..len]);
                        network.send(now, &bytes[..len]);
                    }
                    let client: Option<SocketAddr> = *client.lock().expect("nobody panics with it");
                    while let (Some((_, datagram)), Some(client)) = (network.receive(now), client) {
                        front.send_to(&datagram, client).expect("there is room");
                    }
                }
            }
        };
        Proxy {
            port,
            network,
            captured,
            is_done,
            threads: vec![thread::spawn(to_server), thread::spawn(to_client)],
        }
    }

    /// All that has come by so far, in both directions.
    pub fn captured(&self) -> Vec<Vec<u8>> {
        let captured = self.captured.lock().expect("nobody panics with it");
        captured.clone()
    }

    /// What became of so many datagrams of voice, once each has arrived or been lost.
    pub fn fate_of(&self, datagrams: usize) -> Fate {
        let start = Instant::now();
        loop {
            let network = self.network.lock().expect("nobody panics with it");
            let fate = &network.fate;
            if fate.lost.len() + fate.delivered.len() == datagrams {
                return fate.clone();
            }
            drop(network);
            assert!(start.elapsed() < PATIENCE, "it stays under way");
            thread::yield_now();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok());
        }
    }
}

fn clone(socket: &UdpSocket) -> UdpSocket {
    socket.try_clone().expect("there are descriptors")
}

/// None if nothing came for a while.
fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(bytes) {
        Ok(received) => Some(received),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => None,
            // A client that has ended.
            ErrorKind::ConnectionRefused => None,
            _ => panic!("{error}"),
        },
    }
}
