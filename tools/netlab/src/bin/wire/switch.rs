//! What the bad wire does to frames: where each goes, when it arrives and how often, decided by a
//! seed. It has no device and no clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

/// Frames under way at most, as a queue of `netem` would have it.
const UNDER_WAY_MAX: usize = 10_000;
/// Two addresses of a length of 6 and a type: anything shorter is not a frame.
const HEADER_BYTES: usize = 14;

/// How bad the wire is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Harm {
    /// Of all frames, 0 to 1.
    pub loss: f64,
    pub duplicates: f64,
    pub delay: Duration,
    /// Each frame's delay is up to this much more or less.
    pub jitter: Duration,
}

/// The counts. A frame to several ports counts once for each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub frames: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub overflowed: u64,
}

/// A frame that arrives at a port at its time. The number keeps those of one time in order.
type Flight = (Instant, u64, usize, Vec<u8>);

/// A switch that learns where its stations are, and the frames under way in it.
pub struct Switch {
    harm: Harm,
    ports: usize,
    random: u64,
    stations: HashMap<[u8; 6], usize>,
    under_way: BinaryHeap<Reverse<Flight>>,
    flights: u64,
    pub counts: Counts,
}

impl Switch {
    pub fn new(ports: usize, harm: Harm, seed: u64) -> Self {
        Switch {
            harm,
            ports,
            random: seed,
            stations: HashMap::new(),
            under_way: BinaryHeap::new(),
            flights: 0,
            counts: Counts::default(),
        }
    }

    /// Takes a frame that came in at a port.
    pub fn take(&mut self, now: Instant, from: usize, frame: &[u8]) {
        if frame.len() < HEADER_BYTES {
            return;
        }
        let (destination, source) = (address(&frame[..6]), address(&frame[6..12]));
        self.stations.insert(source, from);
        // The lowest bit of the first byte marks a frame for many; it and a frame for a station
        // that was not seen yet go everywhere.
        let known = self.stations.get(&destination).copied();
        match known.filter(|_| destination[0] & 1 == 0) {
            Some(to) if to == from => {}
            Some(to) => self.carry(now, to, frame),
            None => (0..self.ports)
                .filter(|&to| to != from)
                .for_each(|to| self.carry(now, to, frame)),
        }
    }

    /// The next frame that has arrived, and its port.
    pub fn deliver(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((_, _, to, frame)) = self.under_way.pop()?;
        Some((to, frame))
    }

    /// When the next frame arrives.
    pub fn next_at(&self) -> Option<Instant> {
        let Reverse((at, ..)) = self.under_way.peek()?;
        Some(*at)
    }

    fn carry(&mut self, now: Instant, to: usize, frame: &[u8]) {
        self.counts.frames += 1;
        if self.draw() < self.harm.loss {
            self.counts.lost += 1;
            return;
        }
        self.send(now, to, frame);
        if self.draw() < self.harm.duplicates {
            self.counts.duplicated += 1;
            self.send(now, to, frame);
        }
    }

    fn send(&mut self, now: Instant, to: usize, frame: &[u8]) {
        if self.under_way.len() == UNDER_WAY_MAX {
            self.counts.overflowed += 1;
            return;
        }
        let delay = self.harm.delay + self.harm.jitter.mul_f64(2.0 * self.draw());
        let at = now + delay.saturating_sub(self.harm.jitter);
        self.flights += 1;
        let flight = (at, self.flights, to, frame.to_vec());
        self.under_way.push(Reverse(flight));
    }

    /// A number from 0 to below 1: SplitMix64, of which the upper 53 bits fill a double.
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn address(bytes: &[u8]) -> [u8; 6] {
    let mut address = [0; 6];
    address.copy_from_slice(bytes);
    address
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: u64| 100.0 * part as f64 / self.frames.max(1) as f64;
        let (lost, duplicated) = (percent(self.lost), percent(self.duplicated));
        write!(
            f,
            "{} frames, {lost:.1} % lost, {duplicated:.1} % duplicated",
            self.frames
        )?;
        match self.overflowed {
            0 => Ok(()),
            overflowed => write!(f, ", {overflowed} that did not fit into the wire"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYONE: u8 = 0xff;

    fn frame(to: u8, from: u8) -> Vec<u8> {
        let mut frame = vec![to; 6];
        frame.extend([from; 6]);
        frame.extend([8, 0]);
        frame
    }

    /// The ports that get this frame, in the order of its arrival.
    fn ports(switch: &mut Switch, from: usize, frame: &[u8]) -> Vec<usize> {
        let now = Instant::now();
        switch.take(now, from, frame);
        let later = now + Duration::from_secs(1);
        std::iter::from_fn(|| switch.deliver(later))
            .map(|(to, _)| to)
            .collect()
    }

    #[test]
    fn frames_go_where_their_station_was_seen() {
        let mut switch = Switch::new(3, Harm::default(), 1);
        assert_eq!(ports(&mut switch, 0, &frame(EVERYONE, 2)), [1, 2]);
        assert_eq!(ports(&mut switch, 1, &frame(2, 4)), [0]);
        assert_eq!(ports(&mut switch, 0, &frame(4, 2)), [1]);
        assert_eq!(ports(&mut switch, 0, &frame(6, 2)), [1, 2], "not seen yet");
        assert_eq!(ports(&mut switch, 0, &frame(2, 2)), [], "its own port");
        assert_eq!(ports(&mut switch, 0, &[0; 13]), [], "no frame");
    }

    #[test]
    fn harm_is_done_as_often_as_was_asked_for_and_the_same_for_one_seed() {
        let harm = Harm {
            loss: 0.05,
            duplicates: 0.02,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(15),
        };
        let carry = |seed| {
            let mut switch = Switch::new(2, harm, seed);
            let start = Instant::now();
            (0..9_000).for_each(|_| switch.take(start, 0, &frame(EVERYONE, 2)));
            let (first, all) = (switch.next_at().unwrap() - start, switch.under_way.len());
            assert!((5..7).contains(&first.as_millis()), "{first:?}");
            let end = start + Duration::from_millis(35);
            let arrived = std::iter::from_fn(|| switch.deliver(end)).count();
            assert_eq!(arrived, all);
            switch.counts
        };
        let counts = carry(7);
        assert!((360..540).contains(&counts.lost), "{counts:?}");
        assert!((120..240).contains(&counts.duplicated), "{counts:?}");
        assert_eq!(counts.overflowed, 0);
        assert_eq!(counts, carry(7));
        assert_ne!(counts, carry(8));
    }
}
