//! Statistics of what arrives from one speaker: losses, duplicates, disorder and jitter, computed
//! from sequence numbers and times of arrival.
//!
//! Nothing here has a socket, a clock or an output.

use super::SAMPLE_RATE;
use serde::Serialize;
use std::time::{Duration, Instant};

/// A user who is silent for this long has stopped speaking.
const TALK_PAUSE: Duration = Duration::from_millis(500);
/// A gap over this many datagrams (a minute of sound) is not a loss but a stream that began anew.
const GAP_MAX: u32 = 3_000;
/// No network delivers a copy so much later: the sender has begun anew.
const DUPLICATE_LATE_MAX_MS: f64 = 500.0;
/// How far behind the newest datagram a late one can still be told from a duplicate: the bits of
/// [`Stream::seen`].
const SEEN_BITS: u32 = u64::BITS;

/// Everything that arrived from one speaker.
#[derive(Default)]
pub struct Speaker {
    arrivals: Arrivals,
    stream: Option<Stream>,
    expects_gap: bool,
    talk: Option<Talk>,
    last_heard_at: Option<Instant>,
}

/// The counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Arrivals {
    /// All that came.
    pub datagrams: u64,
    /// The voice data in them.
    pub bytes: u64,
    /// Missing, going by their numbers.
    pub lost: u64,
    /// Came more than once.
    pub duplicates: u64,
    /// Came after one that was sent later.
    pub reordered: u64,
    /// How often the numbers began anew.
    pub restarts: u64,
    /// Smoothed, as in RFC 3550.
    pub jitter_ms: f64,
}

/// Where a datagram stands in the stream of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It begins one.
    First,
    /// It belongs to the present stream.
    Within,
    /// It was heard before.
    Duplicate,
}

/// How far a run of sequence numbers has come.
struct Stream {
    first: u32,
    newest: u32,
    /// Bit n is set if the datagram n before the newest was heard.
    seen: u64,
    /// The timestamp of the last datagram that was not a duplicate, and when it came, for the jitter.
    last: (u32, Instant),
}

/// Speech without a pause in it.
struct Talk {
    last_at: Instant,
    heard: u64,
    lost_before: u64,
}

impl Speaker {
    /// Counts one datagram, and returns its place and whether a talk begins with it.
    pub fn hear(
        &mut self,
        at: Instant,
        sequence: u32,
        timestamp: u32,
        data: &[u8],
    ) -> (Place, bool) {
        self.last_heard_at = Some(at);
        self.arrivals.datagrams += 1;
        self.arrivals.bytes += data.len() as u64;
        let lost_before = self.arrivals.lost;
        let place = self.place(at, sequence, timestamp);
        let talk = self.talk.get_or_insert(Talk {
            last_at: at,
            heard: 0,
            lost_before,
        });
        talk.last_at = at;
        talk.heard += 1;
        (place, talk.heard == 1)
    }

    fn place(&mut self, at: Instant, sequence: u32, timestamp: u32) -> Place {
        let counts = &mut self.arrivals;
        let Some(stream) = &mut self.stream else {
            self.stream = Some(Stream::new(at, sequence, timestamp));
            return Place::First;
        };
        // The distance on the circle of sequence numbers, so that a wrap at 2^32 is one step ahead.
        let ahead = sequence.wrapping_sub(stream.newest) as i32;
        let distance = ahead.unsigned_abs();
        if std::mem::take(&mut self.expects_gap) && ahead != 1 {
            self.stream = Some(Stream::new(at, sequence, timestamp));
            return Place::First;
        }
        // No copy comes as late as a pause: a datagram that is behind after one, and fills no gap,
        // began anew.
        let is_restart = match &self.talk {
            _ if ahead > 0 => distance > GAP_MAX,
            _ if distance >= SEEN_BITS => true,
            Some(_) => {
                let late_ms = stream.deviation_ms(at, timestamp);
                stream.has_seen(distance) && late_ms > DUPLICATE_LATE_MAX_MS
            }
            None => !stream.has_gap_at(distance),
        };
        if is_restart {
            counts.restarts += 1;
            self.stream = Some(Stream::new(at, sequence, timestamp));
            return Place::First;
        }
        if ahead > 0 {
            counts.lost += u64::from(distance - 1);
            stream.seen = stream.seen.checked_shl(distance).unwrap_or(0) | 1;
            stream.newest = sequence;
        } else if stream.has_seen(distance) {
            counts.duplicates += 1;
            return Place::Duplicate;
        } else {
            counts.reordered += 1;
            stream.seen |= 1 << distance;
            let before_first = stream.first.wrapping_sub(sequence) as i32;
            if before_first > 0 {
                // It came before the first one heard, and so did those between the two.
                counts.lost += u64::from(before_first.unsigned_abs() - 1);
                stream.first = sequence;
            } else {
                counts.lost -= 1;
            }
        }
        // RFC 3550, section 6.4.1: J += (|D| - J) / 16. A pause has no timing, and changes nothing.
        if self.talk.is_some() {
            let deviation_ms = stream.deviation_ms(at, timestamp).abs();
            counts.jitter_ms += (deviation_ms - counts.jitter_ms) / 16.0;
        }
        stream.last = (timestamp, at);
        Place::Within
    }

    /// The counts so far.
    pub fn arrivals(&self) -> Arrivals {
        self.arrivals
    }

    /// The next datagram need not follow the last: what was not sent to us, or not said, is not
    /// lost. It may follow, as the first after a gap can come before the news of the gap.
    pub fn expect_gap(&mut self) {
        self.expects_gap = true;
    }

    /// When the last datagram came.
    pub fn last_heard_at(&self) -> Option<Instant> {
        self.last_heard_at
    }

    /// When the talk is over, unless more of it is heard.
    pub fn pause_at(&self) -> Option<Instant> {
        self.talk.as_ref().map(|talk| talk.last_at + TALK_PAUSE)
    }

    /// Ends a talk that has been silent for long enough, and returns its datagrams heard and lost.
    pub fn end_talk(&mut self, now: Instant) -> Option<(u64, u64)> {
        if self.pause_at()? > now {
            return None;
        }
        let talk = self.talk.take()?;
        // A late datagram may have filled a gap from before.
        Some((
            talk.heard,
            self.arrivals.lost.saturating_sub(talk.lost_before),
        ))
    }
}

impl Stream {
    fn new(at: Instant, sequence: u32, timestamp: u32) -> Self {
        Stream {
            first: sequence,
            newest: sequence,
            seen: 1,
            last: (timestamp, at),
        }
    }

    /// Whether the datagram so far behind the newest is missing.
    fn has_gap_at(&self, distance: u32) -> bool {
        let is_after_first = self.newest.wrapping_sub(self.first) > distance;
        is_after_first && !self.has_seen(distance)
    }

    /// Whether the datagram so far behind the newest, less than [`SEEN_BITS`], was heard.
    fn has_seen(&self, distance: u32) -> bool {
        self.seen & (1 << distance) != 0
    }

    /// By how much this datagram and the last came further apart than they were sent; closer is negative.
    fn deviation_ms(&self, at: Instant, timestamp: u32) -> f64 {
        let (last_timestamp, last_at) = self.last;
        let samples = timestamp.wrapping_sub(last_timestamp) as i32;
        let sent_ms = f64::from(samples) * 1e3 / f64::from(SAMPLE_RATE);
        let came_ms = at.duration_since(last_at).as_secs_f64() * 1e3;
        came_ms - sent_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears datagrams written as `millisecond:sequence`, and ends talks as the client's timer
    /// does.
    fn heard(arrivals: &str) -> Speaker {
        let start = Instant::now();
        let mut speaker = Speaker::default();
        for arrival in arrivals.split(' ') {
            let (ms, sequence) = arrival.split_once(':').expect("a colon");
            let at = start + Duration::from_millis(ms.parse().expect("a time"));
            speaker.end_talk(at);
            let sequence: u32 = sequence.parse().expect("a number");
            speaker.hear(at, sequence, sequence.wrapping_mul(960), b"voice");
        }
        speaker
    }

    #[test]
    fn sequence_numbers_tell_what_happened_on_the_way() {
        // Expected: lost, duplicates, reordered, restarts.
        let table = [
            ("in order", "0:0 20:1 40:2", [0, 0, 0, 0]),
            ("starts anywhere", "0:9000 20:9001", [0, 0, 0, 0]),
            ("a gap", "0:0 80:4", [3, 0, 0, 0]),
            ("a gap that fills", "0:0 40:2 41:1", [0, 0, 1, 0]),
            ("filled twice", "0:0 40:2 41:1 42:1", [0, 1, 1, 0]),
            ("doubled", "0:5 1:5 20:6 21:5", [0, 2, 0, 0]),
            ("late before the first", "0:9 1:7", [1, 0, 1, 0]),
            ("and that gap fills", "0:9 1:7 2:8", [0, 0, 2, 0]),
            ("wraps", "0:4294967295 20:0 40:1", [0, 0, 0, 0]),
            (
                "late around the wrap",
                "0:4294967295 40:1 41:0",
                [0, 0, 1, 0],
            ),
            ("a gap beyond memory", "0:0 400:100", [99, 0, 0, 0]),
            ("a loss longer than a pause", "0:0 900:45", [44, 0, 0, 0]),
            ("starts again", "0:4000 20:4001 40:0", [0, 0, 0, 1]),
            (
                "before the first, after a pause",
                "0:100 900:90 920:91",
                [0, 0, 0, 1],
            ),
            ("soon, after a pause", "0:0 20:1 900:0 920:1", [0, 0, 0, 1]),
            (
                "soon, after less than a pause",
                "0:0 560:28 700:0 720:1",
                [27, 0, 0, 1],
            ),
            ("goes on after a pause", "0:0 900:1 920:2", [0, 0, 0, 0]),
            (
                "a gap that fills after one",
                "0:0 40:2 900:1 920:3",
                [0, 0, 1, 0],
            ),
            ("too far to be lost", "0:0 20:1000000", [0, 0, 0, 1]),
            ("half the circle away", "0:0 20:2147483648", [0, 0, 0, 1]),
        ];
        for (what, arrivals, expected) in table {
            let it = heard(arrivals).arrivals;
            let counted = [it.lost, it.duplicates, it.reordered, it.restarts];
            assert_eq!(counted, expected, "{what}");
        }
    }

    #[test]
    fn a_gap_that_was_announced_is_no_loss() {
        for (sequence, place) in [(700, Place::First), (0, Place::First), (2, Place::Within)] {
            let mut speaker = heard("0:0 20:1");
            speaker.expect_gap();
            assert_eq!(speaker.hear(Instant::now(), sequence, 0, b"voice").0, place);
            let counts = speaker.arrivals;
            assert_eq!((counts.lost, counts.restarts), (0, 0));
            // It was one gap, and no more.
            speaker.hear(Instant::now(), sequence + 3, 0, b"voice");
            assert_eq!(speaker.arrivals.lost, 2);
        }
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let table = [
            ("even", "0:0 20:1 40:2", 0.0),
            ("a loss is no jitter", "0:0 20:1 80:4", 0.0),
            ("a pause is no jitter", "0:0 20:1 3000:2 3020:3", 0.0),
            ("a duplicate is no jitter", "0:0 15:0 20:1", 0.0),
            ("16 ms late once", "0:0 36:1", 1.0),
            ("and on time again", "0:0 36:1 40:2", 1.0 + 15.0 / 16.0),
            ("too early counts too", "0:0 4:1", 1.0),
            ("reordered", "0:0 40:2 40:1", 20.0 / 16.0),
        ];
        for (what, arrivals, expected) in table {
            let jitter_ms = heard(arrivals).arrivals.jitter_ms;
            assert!((jitter_ms - expected).abs() < 1e-9, "{what}: {jitter_ms}");
        }
    }

    #[test]
    fn a_talk_ends_with_a_pause_and_has_its_own_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut speaker = Speaker::default();
        assert_eq!(speaker.hear(at(0), 0, 0, b""), (Place::First, true));
        assert_eq!(speaker.hear(at(60), 3, 0, b""), (Place::Within, false));
        assert_eq!(speaker.end_talk(at(559)), None);
        assert_eq!(speaker.end_talk(at(560)), Some((2, 2)));
        assert_eq!(speaker.end_talk(at(9_000)), None);
        assert_eq!(speaker.hear(at(9_000), 4, 0, b""), (Place::Within, true));
        assert_eq!(speaker.end_talk(at(9_500)), Some((1, 0)));
    }
}
