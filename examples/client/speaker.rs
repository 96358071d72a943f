//! What is heard of one speaker: losses, duplicates, disorder and jitter, told from sequence
//! numbers and times of arrival. And the recognisable payload that `/tone` speaks.
//!
//! Nothing here has a socket, a clock or an output.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

/// A usual voice datagram holds this much sound.
pub const VOICE_INTERVAL: Duration = Duration::from_millis(20);
/// Whoever is silent for this long has stopped speaking.
const TALK_PAUSE: Duration = Duration::from_millis(500);
/// A gap over this many datagrams (a minute of sound) is no loss but a stream that started anew.
const GAP_MAX: u32 = 3_000;
/// How far behind the newest datagram a late one is still told from a duplicate: the bits of
/// [`Stream::seen`].
const SEEN_BITS: u32 = u64::BITS;

/// Everything heard of one speaker.
#[derive(Default)]
pub struct Speaker {
    datagrams: u64,
    bytes: u64,
    tones: u64,
    lost: u64,
    duplicates: u64,
    reordered: u64,
    restarts: u64,
    jitter_ms: f64,
    stream: Option<Stream>,
    talk: Option<Talk>,
}

/// How far a run of sequence numbers has come.
struct Stream {
    first: u32,
    newest: u32,
    /// Bit n is set if the datagram n before the newest was heard.
    seen: u64,
    /// The last datagram that was not a duplicate, for the jitter.
    last: (u32, Instant),
}

/// Speech without a pause in it.
struct Talk {
    last_at: Instant,
    heard: u64,
    lost_before: u64,
}

impl Speaker {
    /// Counts one datagram, and tells whether a talk begins with it.
    pub fn hear(&mut self, at: Instant, sequence: u32, data: &[u8]) -> bool {
        self.datagrams += 1;
        self.bytes += data.len() as u64;
        self.tones += u64::from(is_tone(sequence, data));
        let lost_before = self.lost;
        self.place(at, sequence);
        let talk = self.talk.get_or_insert(Talk {
            last_at: at,
            heard: 0,
            lost_before,
        });
        talk.last_at = at;
        talk.heard += 1;
        talk.heard == 1
    }

    /// Finds the datagram's place in the stream of its sender.
    fn place(&mut self, at: Instant, sequence: u32) {
        let Some(stream) = &mut self.stream else {
            self.stream = Some(Stream::new(at, sequence));
            return;
        };
        // The distance on the circle of sequence numbers, so that a wrap at 2^32 is one step ahead.
        let ahead = sequence.wrapping_sub(stream.newest) as i32;
        let distance = ahead.unsigned_abs();
        // Nothing comes late or twice by as much as a pause: who is behind after one started again.
        let is_restart = match &self.talk {
            _ if ahead > 0 => distance > GAP_MAX,
            Some(_) => distance >= SEEN_BITS,
            None => true,
        };
        if is_restart {
            self.restarts += 1;
            self.stream = Some(Stream::new(at, sequence));
            return;
        }
        if ahead > 0 {
            self.lost += u64::from(distance - 1);
            stream.seen = stream.seen.checked_shl(distance).unwrap_or(0) | 1;
            stream.newest = sequence;
        } else if stream.seen & (1 << distance) != 0 {
            self.duplicates += 1;
            return;
        } else {
            self.reordered += 1;
            stream.seen |= 1 << distance;
            let before_first = stream.first.wrapping_sub(sequence) as i32;
            if before_first > 0 {
                // It came before the first one heard, and so did those between the two.
                self.lost += u64::from(before_first.unsigned_abs() - 1);
                stream.first = sequence;
            } else {
                self.lost -= 1;
            }
        }
        // RFC 3550, section 6.4.1: J += (|D| - J) / 16. A pause has no timing, and changes nothing.
        if self.talk.is_some() {
            self.jitter_ms += (stream.deviation_ms(at, sequence) - self.jitter_ms) / 16.0;
        }
        stream.last = (sequence, at);
    }

    /// Forgets where the stream stood: what was not sent to us, or not said, is not lost.
    pub fn expect_gap(&mut self) {
        self.stream = None;
    }

    /// When the talk is over, unless more of it is heard.
    pub fn pause_at(&self) -> Option<Instant> {
        self.talk.as_ref().map(|talk| talk.last_at + TALK_PAUSE)
    }

    /// Ends a talk that has been silent for long enough: datagrams heard and lost in it.
    pub fn end_talk(&mut self, now: Instant) -> Option<(u64, u64)> {
        if self.pause_at()? > now {
            return None;
        }
        let talk = self.talk.take()?;
        // A late datagram may have filled a gap from before.
        Some((talk.heard, self.lost.saturating_sub(talk.lost_before)))
    }
}

impl Stream {
    fn new(at: Instant, sequence: u32) -> Self {
        Stream {
            first: sequence,
            newest: sequence,
            seen: 1,
            last: (sequence, at),
        }
    }

    /// By how much this datagram and the last came further apart, or closer, than they were sent.
    fn deviation_ms(&self, at: Instant, sequence: u32) -> f64 {
        let (last_sequence, last_at) = self.last;
        let steps = sequence.wrapping_sub(last_sequence) as i32;
        let sent_ms = f64::from(steps) * VOICE_INTERVAL.as_secs_f64() * 1e3;
        let came_ms = at.duration_since(last_at).as_secs_f64() * 1e3;
        (came_ms - sent_ms).abs()
    }
}

impl Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Speaker {
            datagrams,
            bytes,
            tones,
            lost,
            duplicates,
            reordered,
            restarts,
            jitter_ms,
            ..
        } = self;
        write!(f, "{datagrams} datagrams ({tones} tone), {bytes} bytes")?;
        write!(f, ", {lost} lost, {duplicates} duplicate")?;
        write!(f, ", {reordered} reordered, {restarts} restarts")?;
        write!(f, ", jitter {jitter_ms:.2} ms")
    }
}

const TONE_MARK: &[u8] = b"voiceapp tone ";

/// The payload that `/tone` speaks: a mark, the sequence number, and filler to a length that varies
/// as that of Opus frames does. It is not sound.
pub fn tone_payload(sequence: u32) -> Vec<u8> {
    // Multiplying by a large odd number scatters neighbours; any would do.
    let scattered = sequence.wrapping_mul(0x9e37_79b1);
    let len = 120 + (scattered >> 16) as usize % 121;
    let mut data = TONE_MARK.to_vec();
    data.extend(sequence.to_be_bytes());
    while data.len() < len {
        data.push(scattered.to_le_bytes()[data.len() % 4]);
    }
    data
}

/// Whether this is, byte for byte, the tone that was sent under this number.
pub fn is_tone(sequence: u32, data: &[u8]) -> bool {
    data.starts_with(TONE_MARK) && data == tone_payload(sequence)
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
            speaker.hear(at, sequence.parse().expect("a number"), b"voice");
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
            ("soon, after a pause", "0:0 20:1 900:0 920:1", [0, 0, 0, 1]),
            ("goes on after a pause", "0:0 900:1 920:2", [0, 0, 0, 0]),
            ("too far to be lost", "0:0 20:1000000", [0, 0, 0, 1]),
            ("half the circle away", "0:0 20:2147483648", [0, 0, 0, 1]),
        ];
        for (what, arrivals, expected) in table {
            let s = heard(arrivals);
            let counted = [s.lost, s.duplicates, s.reordered, s.restarts];
            assert_eq!(counted, expected, "{what}");
        }
    }

    #[test]
    fn a_gap_that_was_announced_is_no_loss() {
        let mut speaker = heard("0:0 20:1");
        speaker.expect_gap();
        speaker.hear(Instant::now(), 700, b"voice");
        assert_eq!((speaker.lost, speaker.restarts), (0, 0));
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
            let jitter_ms = heard(arrivals).jitter_ms;
            assert!((jitter_ms - expected).abs() < 1e-9, "{what}: {jitter_ms}");
        }
    }

    #[test]
    fn a_talk_ends_with_a_pause_and_has_its_own_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut speaker = Speaker::default();
        assert!(speaker.hear(at(0), 0, b""));
        assert!(!speaker.hear(at(60), 3, b""));
        assert_eq!(speaker.end_talk(at(559)), None);
        assert_eq!(speaker.end_talk(at(560)), Some((2, 2)));
        assert_eq!(speaker.end_talk(at(9_000)), None);
        assert!(speaker.hear(at(9_000), 4, b""), "a new talk");
        assert_eq!(speaker.end_talk(at(9_500)), Some((1, 0)));
    }

    #[test]
    fn a_tone_is_recognised_only_whole() {
        for sequence in (0..1_000).chain([u32::MAX]) {
            let data = tone_payload(sequence);
            assert!((120..=240).contains(&data.len()));
            assert!(is_tone(sequence, &data));
            assert!(!is_tone(sequence.wrapping_add(1), &data));
            assert!(!is_tone(sequence, &data[..data.len() - 1]));
        }
        assert!(!is_tone(0, b""));
    }
}
