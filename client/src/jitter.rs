//! A jitter buffer: voice datagrams go in as the network brings them, and come out one step at a
//! time, in order, late enough that most have arrived and no later.
//!
//! It owns the datagrams of one speaker that wait for their turn, and decides what each step is. It
//! decodes nothing, and has no clock: the caller says when each datagram arrived, and when each
//! step is.
//!
//! Its rules, all of them, with the names of their numbers here and in jitter/transits.rs. What
//! follows from them, step by step, is in `jitter/vectors.txt`, for this buffer and for any other
//! that keeps these rules.
//!
//! - **Order.** Sequence numbers and timestamps go round in circles: what counts is the distance to
//!   the newest. A datagram whose turn is over is late, and not played. Of more than `WAITING_MAX`
//!   the oldest is dropped.
//! - **A talk** begins with the first datagram that comes while nothing is played, and is collected
//!   for as long as the last talk's depth. It ends when there was nothing to play for more than
//!   `DRY_STEPS_MAX` steps.
//! - **A run** is what one decoder plays: a talk, or the part of one from where the numbers began
//!   anew, or went on by more than `HOLE_MAX`, which is no loss. It follows on the run before,
//!   whose rest is played first; its first datagram is taken to have been on the way for as long as
//!   the last before it.
//! - **Transit** is arrival less timestamp: how long a datagram was on the way, but for a constant.
//!   The depth of one that is played is the time since its timestamp less the least transit of the
//!   last `ARRIVALS`.
//! - **The depth that is wanted** is a frame more than what all but one in `LATE_ONE_IN` of the
//!   last arrivals took longer than the least, within `DEPTH_MIN_US` and `DEPTH_MAX_US`; while
//!   there are few, no less than in the last talk. No depth makes up for a network that stood still
//!   for longer than the greatest one: what took that long does not count, nor do those behind it,
//!   up to the first that took no less time than the one before it.
//! - **Nothing waits**: the first step is concealed, and those after it are silent.
//! - **A pause** is where nothing has waited for a step or more, or where the timestamp goes on by
//!   more than a frame although no number is missing, as the speaker was silent. In a pause depth
//!   costs nothing: it is waited until all but a frame of the depth that is wanted is there.
//! - **A hole** is concealed, step by step.
//! - **Too little depth**, by a frame: a step is concealed in which nothing is taken, every
//!   `GROW_EVERY` steps at most.
//! - **Too much depth**, by a frame and `SLACK_US`: two datagrams are put into the time of one,
//!   every `SHRINK_EVERY` steps at most.
//! - **Far too much depth**, by `FAR_US`: the buffer goes to the live edge. All datagrams that are
//!   due are put into the time of one, in a pause or where the sound is quiet, and after
//!   `PATIENCE_STEPS` in any case.
//!
//! The player of the steps must avoid clicks: the first of several datagrams in one step fades into
//! the last, sound after silence fades in, and a silent step after sound is 20 ms of concealment
//! that fade out.

use super::FRAME;
use arrival::Newest;
use std::collections::BTreeMap;
use std::time::Instant;
use transits::Transits;

mod arrival;
mod steps;
mod transits;

pub use steps::{Counts, Datagram, Step};

#[cfg(test)]
mod tests;

const FRAME_US: i64 = FRAME.as_micros() as i64;
/// More depth is taken at most every so many steps, so that one gust does not stop the sound.
const GROW_EVERY: u32 = 5;
/// And given back more slowly, as that can be heard.
const SHRINK_EVERY: u32 = 25;
/// So much more than the depth that is wanted is left alone.
const SLACK_US: i64 = FRAME_US / 2;
/// So much more than that is far too much: the listener would talk into the others' words for
/// seconds, if it were given back only step by step.
const FAR_US: i64 = 5 * FRAME_US;
/// So many steps may pass until the sound is quiet, before it is cut in any case: 200 ms.
const PATIENCE_STEPS: u32 = 10;
/// Without anything to play for so many steps, the talk is over.
const DRY_STEPS_MAX: u32 = 10;
/// A longer hole than this is no loss: the sender has skipped something.
const HOLE_MAX: i64 = 10;
/// So much may wait, twice the greatest depth and more: datagrams.
const WAITING_MAX: usize = 64;

/// Datagrams of one speaker: they come in any order and leave in order, one every 20 ms.
pub struct JitterBuffer {
    /// The first arrival, from which all times are counted.
    epoch: Option<Instant>,
    waiting: BTreeMap<i64, Waiting>,
    phase: Phase,
    run: u32,
    newest: Newest,
    /// The one whose turn is next.
    next: i64,
    /// Nothing before it can come any more: another run has it.
    first_of_run: i64,
    transits: Transits,
    /// Steps since the depth was last changed.
    since_change: u32,
    /// Steps with far too much depth.
    far_steps: u32,
    /// When the last datagram was played, less its timestamp.
    offset_us: i64,
    /// The timestamp of the one that was played last.
    played_us: i64,
    counts: Counts,
}

struct Waiting {
    timestamp_us: i64,
    datagram: Datagram,
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

impl Default for JitterBuffer {
    fn default() -> Self {
        JitterBuffer::new()
    }
}

impl JitterBuffer {
    /// A buffer to which nothing has come.
    pub fn new() -> Self {
        JitterBuffer {
            epoch: None,
            waiting: BTreeMap::new(),
            phase: Phase::Idle,
            run: 0,
            newest: Newest::default(),
            next: 0,
            first_of_run: 0,
            transits: Transits::new(),
            since_change: 0,
            far_steps: 0,
            offset_us: 0,
            played_us: 0,
            counts: Counts::default(),
        }
    }

    /// What to play for the next 20 ms. Quiet sound can be cut.
    pub fn step(&mut self, now: Instant, is_quiet: bool) -> Step {
        let now_us = self.micros(now);
        let Some((dry, is_start)) = self.begin_step(now_us) else {
            return Step::Silence;
        };
        let Some((first, timestamp_us)) = self.first_waiting() else {
            return self.run_dry(dry + 1);
        };
        let hole = first - self.next;
        let silent = match hole == 0 && !is_start {
            true => ((timestamp_us - self.played_us) / FRAME_US - 1).max(0),
            false => 0,
        };
        let is_pause = dry > 0 || silent > 0;
        // By how much more depth the datagram whose turn it is would play than is wanted.
        let mut surplus_us = self.surplus_us(now_us - timestamp_us);
        if !is_pause {
            surplus_us += hole * FRAME_US;
        } else if surplus_us <= -FRAME_US {
            let dry = dry + u32::from(dry > 0);
            self.phase = Phase::Playing { dry };
            return Step::Silence;
        }
        self.note_filled(dry, hole, silent);
        if self.is_to_cut(surplus_us, is_pause || is_start || is_quiet) {
            return self.go_to_live_edge(now_us);
        }
        if !is_pause && !is_start && self.conceals(surplus_us, hole) {
            return Step::Conceal;
        }
        self.play(now_us, first, surplus_us)
    }

    /// For how many steps there was nothing to play, and whether a talk starts to play. None if there is nothing
    /// to play now.
    fn begin_step(&mut self, now_us: i64) -> Option<(u32, bool)> {
        let (dry, is_start) = match self.phase {
            Phase::Idle => return None,
            Phase::Filling { until_us } if now_us < until_us => return None,
            Phase::Filling { .. } => {
                let first = self.waiting.keys().next().copied();
                self.next = first.unwrap_or(self.newest.number);
                self.since_change = 0;
                (0, true)
            }
            Phase::Playing { dry } => (dry, false),
        };
        self.phase = Phase::Playing { dry: 0 };
        self.since_change = self.since_change.saturating_add(1);
        Some((dry, is_start))
    }

    /// Whether there is far too much depth, and it can be cut here, or has been there for long.
    fn is_to_cut(&mut self, surplus_us: i64, can_cut: bool) -> bool {
        self.far_steps = match surplus_us >= FAR_US {
            true => self.far_steps + 1,
            false => 0,
        };
        self.far_steps > 0 && (can_cut || self.far_steps > PATIENCE_STEPS)
    }

    /// Whether a step is concealed for more depth, or for one of so many that are missing.
    fn conceals(&mut self, surplus_us: i64, hole: i64) -> bool {
        let is_too_shallow = surplus_us <= -FRAME_US && self.since_change >= GROW_EVERY;
        if is_too_shallow {
            self.since_change = 0;
            self.counts.stretched += 1;
        } else if hole > 0 {
            self.next += 1;
        } else {
            return false;
        }
        self.counts.concealed += 1;
        true
    }

    /// Plays the first that waits, and the second with it if there is too much depth.
    fn play(&mut self, now_us: i64, first: i64, surplus_us: i64) -> Step {
        let Some(first) = self.take(now_us, first) else {
            return Step::Silence;
        };
        let is_too_deep = surplus_us >= FRAME_US + SLACK_US && self.since_change >= SHRINK_EVERY;
        if !is_too_deep {
            return Step::Play(first);
        }
        match self.take(now_us, self.next) {
            Some(second) => {
                self.since_change = 0;
                self.counts.shortened += 1;
                Step::Merge(vec![first, second])
            }
            None => Step::Play(first),
        }
    }

    /// How long after the fastest way through the network a datagram is played: milliseconds.
    pub fn depth_ms(&self) -> u32 {
        let depth_us = match (self.phase, self.transits.least_us()) {
            (Phase::Playing { .. }, Some(least_us)) => self.offset_us - least_us,
            _ => self.transits.wanted_depth_us(),
        };
        (depth_us.max(0) / 1_000) as u32
    }

    /// What became of the datagrams so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether there is nothing to play and nothing to wait for.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    fn first_waiting(&self) -> Option<(i64, i64)> {
        let (number, waiting) = self.waiting.first_key_value()?;
        Some((*number, waiting.timestamp_us))
    }

    fn take(&mut self, now_us: i64, number: i64) -> Option<Datagram> {
        let waiting = self.waiting.remove(&number)?;
        self.next = number + 1;
        self.counts.played += 1;
        self.played_us = waiting.timestamp_us;
        self.offset_us = now_us - waiting.timestamp_us;
        Some(waiting.datagram)
    }

    /// Takes all that is due by the depth that is wanted, and the one after it.
    fn go_to_live_edge(&mut self, now_us: i64) -> Step {
        (self.since_change, self.far_steps) = (0, 0);
        let mut taken = Vec::new();
        while let Some((first, timestamp_us)) = self.first_waiting() {
            let missing = (first - self.next).max(0);
            let surplus_us = self.surplus_us(now_us - timestamp_us);
            taken.extend(self.take(now_us, first));
            if surplus_us < FRAME_US {
                break;
            }
            self.counts.shortened += 1 + missing as u64;
        }
        Step::Merge(taken)
    }

    fn run_dry(&mut self, dry: u32) -> Step {
        self.phase = Phase::Playing { dry };
        match dry {
            1 => Step::Conceal,
            dry if dry > DRY_STEPS_MAX => {
                self.phase = Phase::Idle;
                Step::Silence
            }
            _ => Step::Silence,
        }
    }

    /// Records so many steps in which there was nothing to play, where so many were missing, or
    /// where the speaker was silent for so many. Of the first two something was heard. At the end
    /// of a talk nothing was missing, and nothing is recorded.
    fn note_filled(&mut self, dry: u32, missing: i64, silent: i64) {
        let dry = i64::from(dry);
        if dry > 0 && silent == 0 {
            self.counts.concealed += dry.min(2) as u64;
        }
        if dry > 0 {
            let more = dry - missing - silent.min(dry);
            self.counts.stretched += more.max(0) as u64;
            self.counts.shortened += (-more).max(0) as u64;
        }
    }

    /// By how much more depth than is wanted a datagram plays, if it does so this much after its
    /// timestamp.
    fn surplus_us(&self, offset_us: i64) -> i64 {
        let least_us = self.transits.least_us();
        least_us.map_or(0, |it| offset_us - it - self.transits.wanted_depth_us())
    }

    fn micros(&mut self, at: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(at);
        match at.checked_duration_since(epoch) {
            Some(after) => after.as_micros() as i64,
            None => -(epoch.duration_since(at).as_micros() as i64),
        }
    }
}
