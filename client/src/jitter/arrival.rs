//! A datagram that comes into a jitter buffer: its number, which does not go round in circles, and its place
//! among those that wait.

use super::{Datagram, HOLE_MAX, JitterBuffer, Phase, WAITING_MAX, Waiting};
use std::time::Instant;

/// The datagram with the highest number, as it came and unwrapped.
#[derive(Clone, Copy, Default)]
pub(super) struct Newest {
    sequence: u32,
    timestamp: u32,
    pub(super) number: i64,
    samples: i64,
}

impl Newest {
    /// How far this number is ahead, or behind if it is negative.
    fn distance_to(&self, sequence: u32) -> i64 {
        i64::from(sequence.wrapping_sub(self.sequence) as i32)
    }

    /// The number of a datagram and its timestamp in microseconds. It may be the newest from now on.
    fn place(&mut self, sequence: u32, timestamp: u32) -> (i64, i64) {
        let ahead = self.distance_to(sequence);
        let number = self.number + ahead;
        let later = timestamp.wrapping_sub(self.timestamp) as i32;
        let samples = self.samples + i64::from(later);
        if ahead >= 0 {
            *self = Newest {
                sequence,
                timestamp,
                number,
                samples,
            };
        }
        (number, samples * 1_000 / 48)
    }
}

impl JitterBuffer {
    /// Adds a datagram that is not a duplicate. It may be the first of a stream that begins anew.
    pub fn push(
        &mut self,
        at: Instant,
        (sequence, timestamp): (u32, u32),
        is_first: bool,
        data: &[u8],
    ) {
        let at_us = self.micros(at);
        if matches!(self.phase, Phase::Idle) {
            self.begin_run(sequence, timestamp, 0, 0);
            (self.next, self.first_of_run) = (i64::MIN, i64::MIN);
            let until_us = at_us + self.transits.end_talk();
            self.phase = Phase::Filling { until_us };
        }
        if (is_first || self.newest.distance_to(sequence) > HOLE_MAX + 1)
            && let Some(last_us) = self.transits.last_us()
        {
            let samples = (at_us - last_us) * 48 / 1_000;
            self.first_of_run = self.newest.number + 1;
            self.begin_run(sequence, timestamp, self.first_of_run, samples);
        }
        let (number, timestamp_us) = self.newest.place(sequence, timestamp);
        self.transits.note(at_us - timestamp_us);
        if number < self.next || number < self.first_of_run {
            self.counts.late += 1;
            return;
        }
        let datagram = Datagram {
            run: self.run,
            data: data.to_vec(),
        };
        let waiting = Waiting {
            timestamp_us,
            datagram,
        };
        self.waiting.insert(number, waiting);
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_first();
            self.counts.dropped += 1;
            // A datagram whose turn has thus passed is not waited for.
            let first = self.waiting.keys().next().copied();
            self.next = self.next.max(first.unwrap_or(number));
        }
    }

    fn begin_run(&mut self, sequence: u32, timestamp: u32, number: i64, samples: i64) {
        self.run = self.run.wrapping_add(1);
        self.newest = Newest {
            sequence,
            timestamp,
            number,
            samples,
        };
    }
}
