//! How long the last datagrams were on the way, and how deep a jitter buffer has to be for that.

use super::FRAME_US;
use std::collections::VecDeque;

/// The least depth: a datagram plays this long after the fastest way through the network. One frame
/// is lost to the pace of the steps themselves, and one is for what no network is without.
const DEPTH_MIN_US: i64 = 2 * FRAME_US;
/// The greatest. Listeners who hear half a second late cannot converse.
const DEPTH_MAX_US: i64 = 25 * FRAME_US;
/// Depth is found from so many of the last arrivals: 5 s.
const ARRIVALS: usize = 250;
/// Of the arrivals, one in so many may be too late.
const LATE_ONE_IN: usize = 40;

pub struct Transits {
    /// Arrival less timestamp, of the last arrivals of this talk.
    last_us: VecDeque<i64>,
    /// The depth that was wanted when the last talk ended.
    usual_depth_us: i64,
}

impl Transits {
    pub fn new() -> Self {
        Transits {
            last_us: VecDeque::new(),
            usual_depth_us: DEPTH_MIN_US,
        }
    }

    pub fn note(&mut self, transit_us: i64) {
        self.last_us.push_back(transit_us);
        if self.last_us.len() <= ARRIVALS {
            return;
        }
        let least_us = self.least_us().unwrap_or(transit_us);
        let mut gone_us = self.last_us.pop_front().unwrap_or(transit_us);
        // What it held up goes with it.
        if gone_us - least_us > DEPTH_MAX_US {
            while let Some(next_us) = self.last_us.front().filter(|it| **it < gone_us) {
                gone_us = *next_us;
                self.last_us.pop_front();
            }
        }
    }

    /// Forgets all of them, and gives the depth for the start of the next talk.
    pub fn end_talk(&mut self) -> i64 {
        self.usual_depth_us = self.wanted_depth_us();
        self.last_us.clear();
        self.usual_depth_us
    }

    pub fn last_us(&self) -> Option<i64> {
        self.last_us.back().copied()
    }

    pub fn least_us(&self) -> Option<i64> {
        self.last_us.iter().copied().min()
    }

    /// So deep that hardly any arrival of late would have been too late.
    pub fn wanted_depth_us(&self) -> i64 {
        let Some(least_us) = self.least_us() else {
            return self.usual_depth_us;
        };
        let mut sorted = self.those_that_count(least_us);
        sorted.sort_unstable();
        let place = (sorted.len() - sorted.len() / LATE_ONE_IN).saturating_sub(1);
        let most_us = sorted.get(place).map_or(0, |it| it - least_us);
        let depth_us = (most_us + FRAME_US).clamp(DEPTH_MIN_US, DEPTH_MAX_US);
        // The first few say little.
        if sorted.len() < ARRIVALS / 5 {
            depth_us.max(self.usual_depth_us)
        } else {
            depth_us
        }
    }

    /// Those that no network held up for longer than any depth could make up for.
    fn those_that_count(&self, least_us: i64) -> Vec<i64> {
        let mut before_us = i64::MIN;
        let mut is_held_up = false;
        let mut counting = Vec::with_capacity(self.last_us.len());
        for transit_us in self.last_us.iter().copied() {
            let is_hopeless = transit_us - least_us > DEPTH_MAX_US;
            is_held_up = is_hopeless || is_held_up && transit_us < before_us;
            before_us = transit_us;
            if !is_held_up {
                counting.push(transit_us);
            }
        }
        counting
    }
}
