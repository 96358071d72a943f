//! A jitter buffer: voice datagrams go in as the network brings them, and come out one step for each
//! 20 ms, in order, late enough that most have arrived and no later.
//!
//! It owns the datagrams of one speaker that wait for their turn, and decides what each step is. It
//! decodes nothing, and has no clock: it is told when each datagram arrived, and when each step is.

use super::FRAME;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

#[cfg(test)]
mod tests;

const FRAME_US: i64 = FRAME.as_micros() as i64;
/// The least depth: a datagram plays this long after the fastest way through the network. One frame
/// is lost to the pace of the steps themselves, and one is for what no network is without.
const DEPTH_MIN_US: i64 = 2 * FRAME_US;
/// The greatest. Whoever hears half a second late can't converse.
const DEPTH_MAX_US: i64 = 25 * FRAME_US;
/// Depth is found from so many of the last arrivals: 5 s.
const ARRIVALS: usize = 250;
/// Of the arrivals, one in so many may be too late.
const LATE_ONE_IN: usize = 40;
/// More depth is taken at most every so many steps, so that one gust does not stop the sound.
const GROW_EVERY: u32 = 5;
/// And given back more slowly, as it is heard.
const SHRINK_EVERY: u32 = 25;
/// So much more than the depth that is wanted is left alone.
const SLACK_US: i64 = FRAME_US / 2;
/// Without anything to play for so many steps, the talk is over.
const DRY_STEPS_MAX: u32 = 10;
/// A longer hole than this was no loss: the sender has skipped something.
const HOLE_MAX: i64 = 10;
/// So much may wait, twice the greatest depth and more: datagrams.
const WAITING_MAX: usize = 64;

/// What the next 20 ms are to be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nobody speaks.
    Silence,
    /// This datagram.
    Play(Vec<u8>),
    /// What the decoder makes up in place of a datagram that has not come.
    Conceal,
    /// The same, fading: nothing more has come.
    FadeOut,
    /// Both of these in the time of one: there is more depth than is needed.
    Merge(Vec<u8>, Vec<u8>),
}

/// What became of a speaker's datagrams, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub played: u64,
    /// Came after their turn, and were not played.
    pub late: u64,
    /// Made up by the decoder, for whatever reason.
    pub concealed: u64,
    /// Took nobody's place, be it concealed or silent, and so made the sound longer.
    pub stretched: u64,
    /// Put into the time of another, or left out with what was lost, which made the sound shorter.
    pub shortened: u64,
    /// Not played for another reason: they came faster than that, or the talk began anew.
    pub dropped: u64,
}

pub struct JitterBuffer {
    /// The first arrival, from which all times are counted.
    epoch: Option<Instant>,
    waiting: BTreeMap<i64, Waiting>,
    phase: Phase,
    /// The highest sequence number, unwrapped.
    newest: i64,
    /// The one whose turn is next.
    next: i64,
    /// The newest timestamp, and the samples since the first of this talk that it stands for.
    newest_timestamp: (u32, i64),
    /// Arrival less timestamp of the last arrivals: how long each was on the way, but for a constant.
    transits_us: VecDeque<i64>,
    /// The depth that was wanted when the last talk ended, for the start of the next.
    usual_depth_us: i64,
    /// Steps since the depth was last changed.
    since_change: u32,
    /// When the last datagram was played, less its timestamp.
    offset_us: i64,
    counts: Counts,
}

struct Waiting {
    timestamp_us: i64,
    data: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Nobody speaks.
    Idle,
    /// The first datagrams of a talk are collected.
    Filling { until_us: i64 },
    /// `dry` is for how many steps there was nothing to play.
    Playing { dry: u32 },
}

impl JitterBuffer {
    pub fn new() -> Self {
        JitterBuffer {
            epoch: None,
            waiting: BTreeMap::new(),
            phase: Phase::Idle,
            newest: 0,
            next: 0,
            newest_timestamp: (0, 0),
            transits_us: VecDeque::new(),
            usual_depth_us: DEPTH_MIN_US,
            since_change: 0,
            offset_us: 0,
            counts: Counts::default(),
        }
    }

    /// Takes a datagram that is no duplicate.
    pub fn push(&mut self, at: Instant, sequence: u32, timestamp: u32, data: &[u8]) {
        let at_us = self.micros(at);
        if matches!(self.phase, Phase::Idle) {
            self.newest = i64::from(sequence);
            self.next = i64::MIN;
            self.newest_timestamp = (timestamp, 0);
            self.transits_us.clear();
            let until_us = at_us + self.usual_depth_us;
            self.phase = Phase::Filling { until_us };
        }
        // Both go round in circles: what counts is the distance.
        let ahead = sequence.wrapping_sub(self.newest as u32) as i32;
        let number = self.newest + i64::from(ahead);
        let (newest, samples) = self.newest_timestamp;
        let samples = samples + i64::from(timestamp.wrapping_sub(newest) as i32);
        let timestamp_us = samples * 1_000 / 48;
        if number >= self.newest {
            self.newest = number;
            self.newest_timestamp = (timestamp, samples);
        }
        self.transits_us.push_back(at_us - timestamp_us);
        if self.transits_us.len() > ARRIVALS {
            self.transits_us.pop_front();
        }
        if number < self.next {
            self.counts.late += 1;
            return;
        }
        let data = data.to_vec();
        self.waiting.insert(number, Waiting { timestamp_us, data });
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_first();
            self.counts.dropped += 1;
            // Whose turn has thus passed is not waited for.
            self.next = self
                .next
                .max(self.waiting.keys().next().copied().unwrap_or(number));
        }
    }

    /// Forgets what waits: what comes next does not follow on it.
    pub fn restart(&mut self) {
        self.counts.dropped += self.waiting.len() as u64;
        self.waiting.clear();
        self.end_talk();
    }

    /// Says what to play for the next 20 ms.
    pub fn step(&mut self, now: Instant) -> Step {
        let now_us = self.micros(now);
        let dry = match self.phase {
            Phase::Idle => return Step::Silence,
            Phase::Filling { until_us } if now_us < until_us => return Step::Silence,
            Phase::Filling { .. } => {
                self.next = self.waiting.keys().next().copied().unwrap_or(self.newest);
                self.since_change = 0;
                0
            }
            Phase::Playing { dry } => dry,
        };
        self.phase = Phase::Playing { dry: 0 };
        self.since_change = self.since_change.saturating_add(1);
        let Some((first, timestamp_us)) = self.first_waiting() else {
            return self.run_dry(dry + 1);
        };
        let hole = first - self.next;
        // By how much more depth the datagram whose turn it is would play than is wanted.
        let offset_us = now_us - timestamp_us + hole * FRAME_US;
        if hole > HOLE_MAX {
            self.note_filled(dry.into());
            self.transits_us.clear();
            let until_us = now_us + self.usual_depth_us;
            self.phase = Phase::Filling { until_us };
            return Step::Silence;
        }
        let surplus_us = self.surplus_us(offset_us);
        if dry > 0 {
            // The time of what is missing has passed in silence, and depth costs nothing here.
            if surplus_us - hole * FRAME_US <= -FRAME_US {
                self.phase = Phase::Playing { dry: dry + 1 };
                return Step::Silence;
            }
            self.note_filled(i64::from(dry) - hole);
        } else if surplus_us <= -FRAME_US && self.since_change >= GROW_EVERY {
            self.since_change = 0;
            self.counts.concealed += 1;
            self.counts.stretched += 1;
            return Step::Conceal;
        } else if hole > 0 {
            self.next += 1;
            self.counts.concealed += 1;
            return Step::Conceal;
        }
        self.offset_us = now_us - timestamp_us;
        let data = self.take(first);
        let is_too_deep = surplus_us >= FRAME_US + SLACK_US;
        if is_too_deep && self.since_change >= SHRINK_EVERY && self.waiting.contains_key(&self.next)
        {
            self.since_change = 0;
            self.counts.shortened += 1;
            let second = self.take(self.next);
            return Step::Merge(data, second);
        }
        Step::Play(data)
    }

    /// How long after the fastest way through the network a datagram is played: milliseconds.
    pub fn depth_ms(&self) -> u32 {
        match (self.phase, self.transits_us.iter().min()) {
            (Phase::Playing { .. }, Some(least)) => {
                ((self.offset_us - least).max(0) / 1_000) as u32
            }
            _ => (self.usual_depth_us / 1_000) as u32,
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    fn first_waiting(&self) -> Option<(i64, i64)> {
        let (number, waiting) = self.waiting.first_key_value()?;
        Some((*number, waiting.timestamp_us))
    }

    fn take(&mut self, number: i64) -> Vec<u8> {
        self.next = number + 1;
        self.counts.played += 1;
        self.waiting
            .remove(&number)
            .map_or_else(Vec::new, |it| it.data)
    }

    fn run_dry(&mut self, dry: u32) -> Step {
        self.phase = Phase::Playing { dry };
        match dry {
            1 => {
                self.counts.concealed += 1;
                Step::Conceal
            }
            2 => {
                self.counts.concealed += 1;
                Step::FadeOut
            }
            dry if dry > DRY_STEPS_MAX => {
                // Two were made up for nothing.
                self.note_filled(2);
                self.end_talk();
                Step::Silence
            }
            _ => Step::Silence,
        }
    }

    /// Takes note of so many more steps than there were datagrams for, or fewer.
    fn note_filled(&mut self, more: i64) {
        self.counts.stretched += more.max(0) as u64;
        self.counts.shortened += (-more).max(0) as u64;
    }

    fn end_talk(&mut self) {
        if !matches!(self.phase, Phase::Idle) {
            self.usual_depth_us = self.wanted_depth_us();
            self.phase = Phase::Idle;
        }
    }

    /// By how much more depth than is wanted a datagram plays, if it does so this much after its
    /// timestamp.
    fn surplus_us(&self, offset_us: i64) -> i64 {
        match self.transits_us.iter().min() {
            Some(least) => offset_us - least - self.wanted_depth_us(),
            None => 0,
        }
    }

    /// So deep that hardly any arrival of late would have been too late.
    fn wanted_depth_us(&self) -> i64 {
        let mut sorted: Vec<i64> = self.transits_us.iter().copied().collect();
        sorted.sort_unstable();
        let (Some(least), Some(most)) = (
            sorted.first(),
            sorted.get((sorted.len() - sorted.len() / LATE_ONE_IN).saturating_sub(1)),
        ) else {
            return self.usual_depth_us;
        };
        let depth_us = (most - least + FRAME_US).clamp(DEPTH_MIN_US, DEPTH_MAX_US);
        // The first few say little.
        if sorted.len() < ARRIVALS / 5 {
            depth_us.max(self.usual_depth_us)
        } else {
            depth_us
        }
    }

    fn micros(&mut self, at: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(at);
        match at.checked_duration_since(epoch) {
            Some(after) => after.as_micros() as i64,
            None => -(epoch.duration_since(at).as_micros() as i64),
        }
    }
}
