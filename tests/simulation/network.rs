//! The UDP network between the clients and the server, with everything that real ones do: datagrams
//! are lost, doubled, delayed, overtaken, cut short, and grow tails. Also the addresses that
//! clients have in it.

use crate::random::Random;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::DATAGRAM_SLOT_BYTES;

/// The server's own addresses; None where the system does not tell which was spoken to.
pub const SERVER_ADDRESSES: [Option<IpAddr>; 4] = [
    None,
    Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))),
    Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
];

#[derive(Clone)]
pub enum Datagram {
    /// Seems to come from this peer, who may have been forged.
    ToServer(UdpPath, Vec<u8>),
    ToClient(SocketAddr, Vec<u8>),
}

pub struct Network {
    /// By time of arrival; the serial number keeps what arrives at one moment in order.
    in_flight: BTreeMap<(Duration, u64), Datagram>,
    last_serial: u64,
    is_faulty: bool,
    /// Chances in a hundred, different in every run.
    loss: usize,
    doubling: usize,
    delay: usize,
    damage: usize,
    last_port: u16,
}

impl Network {
    pub fn new(random: &mut Random) -> Self {
        Network {
            in_flight: BTreeMap::new(),
            last_serial: 0,
            is_faulty: true,
            loss: random.pick(&[0, 2, 10, 30]),
            doubling: random.pick(&[0, 3, 20]),
            delay: random.pick(&[0, 20, 70]),
            damage: random.pick(&[0, 2, 10]),
            last_port: 1_024,
        }
    }

    /// From now on everything arrives, at once and as it was sent.
    pub fn stop_faults(&mut self) {
        self.is_faulty = false;
    }

    pub fn send(&mut self, now: Duration, datagram: Datagram, random: &mut Random) {
        if !self.is_faulty {
            return self.carry(now, datagram);
        }
        if random.percent(self.loss) {
            return;
        }
        let copies = if random.percent(self.doubling) { 2 } else { 1 };
        for _ in 0..copies {
            let mut copy = datagram.clone();
            if let Datagram::ToServer(_, bytes) = &mut copy
                && random.percent(self.damage)
            {
                damage(bytes, random);
            }
            let delay_ms = match random.percent(self.delay) {
                true => random.below(200) as u64,
                false => 0,
            };
            self.carry(now + Duration::from_millis(delay_ms), copy);
        }
    }

    /// The next datagram that has arrived by now.
    pub fn arrived(&mut self, now: Duration) -> Option<Datagram> {
        let next = self.in_flight.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }

    /// When everything that is under way will have arrived.
    pub fn quiet_at(&self) -> Option<Duration> {
        self.in_flight.last_key_value().map(|((at, _), _)| *at)
    }

    /// An address that nobody has had before: of its own, behind a NAT that others are behind too,
    /// or in an IPv6 network of which others are.
    pub fn fresh_address(&mut self, random: &mut Random) -> SocketAddr {
        self.last_port = self.last_port.checked_add(1).expect("too many moves");
        let port = self.last_port;
        let own = u32::from(port);
        let ip: IpAddr = match random.below(5) {
            0 | 1 => Ipv4Addr::from_bits(0x0A00_0000 | own).into(),
            2 => Ipv4Addr::new(198, 51, 100, random.below(4) as u8).into(),
            3 => Ipv6Addr::from_bits(0x2001_0db8_0001_u128 << 80 | u128::from(own)).into(),
            _ => {
                Ipv6Addr::from_bits(0x2001_0db8_0002_u128 << 80 | u128::from(own) << 64 | 1).into()
            }
        };
        SocketAddr::new(ip, port)
    }

    fn carry(&mut self, at: Duration, mut datagram: Datagram) {
        if let Datagram::ToServer(_, bytes) = &mut datagram {
            // The server receives into slots of this size.
            bytes.truncate(DATAGRAM_SLOT_BYTES);
        }
        self.last_serial += 1;
        self.in_flight.insert((at, self.last_serial), datagram);
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    match random.below(3) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => {
            let tail_len = random.between(1, 40);
            bytes.extend(random.bytes(tail_len));
        }
        _ => {
            if !bytes.is_empty() {
                let place = random.below(bytes.len());
                bytes[place] ^= 1 << random.below(8);
            }
        }
    }
}
