//! Live sound, whose clock is not ours: a microphone that delivers a percent more or less than 48,000
//! samples in a second is brought to our pace by changing its rate a little, so that no sound piles up
//! and none is missing.
//!
//! How fast it is shows in what waits: the least of a second, as sound comes in larger pieces than
//! it goes.

use super::{FRAME_SAMPLES, SAMPLE_RATE, Sound};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Adjustable, Async, FixedAsync, Resampler, SincInterpolationParameters};
use rubato::{SincInterpolationType, WindowFunction};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::Poll;

/// So much may wait here, half a second. Anything with more at once is a file and not a microphone,
/// and waits in its pipe.
const WAITING_MAX: usize = SAMPLE_RATE as usize / 2;
/// The least that should wait, 10 ms.
const TARGET: f64 = SAMPLE_RATE as f64 / 100.0;
/// Frames until the rate is looked at again: a second.
const WINDOW_FRAMES: u32 = 50;
/// The clocks of sound cards differ by less than a percent, and four do not change how a voice
/// sounds.
const RATE_MAX: f64 = 0.04;
/// Of what is too much, a third is taken within a second; and some more in each second from then on, until
/// the rate is that of the microphone. The two are chosen so that it comes to rest without swinging.
const PROPORTIONAL: f64 = 0.3;
const INTEGRAL: f64 = 0.045;
/// What a stall has left, in samples, says nothing about the clock.
const TELLING_MAX: f64 = SAMPLE_RATE as f64 / 10.0;
/// Its filter delays by half of that, 0.7 ms.
const TAPS: usize = 64;
const OVERSAMPLING: usize = 512;

pub struct Microphone {
    sounds: Receiver<Sound>,
    has_ended: bool,
    waiting: Vec<f32>,
    resampler: Async<f32>,
    clock: Clock,
}

/// How much faster than ours another clock is, estimated from what waits.
struct Clock {
    /// Negative for what was missing.
    least_waiting: i64,
    frames: u32,
    drift: f64,
    has_begun: bool,
}

impl Microphone {
    /// It has ended when the sender is gone.
    pub fn new(sounds: Receiver<Sound>) -> Self {
        let shape = SincInterpolationParameters::new(TAPS, WindowFunction::BlackmanHarris2)
            .oversampling_factor(OVERSAMPLING)
            .interpolation(SincInterpolationType::Linear);
        let bound = 1.0 + 2.0 * RATE_MAX;
        let resampler = Async::new_sinc(1.0, bound, &shape, FRAME_SAMPLES, 1, FixedAsync::Output);
        let resampler = resampler.expect("the shape is a usual one");
        // What the filter takes at first, and what should wait.
        let reserve = resampler.input_frames_next() - FRAME_SAMPLES + TARGET as usize;
        Microphone {
            sounds,
            has_ended: false,
            waiting: vec![0.0; reserve],
            resampler,
            clock: Clock::new(),
        }
    }

    /// The next 20 ms by our clock, pending if they have not come, and none at the end.
    pub fn next(&mut self) -> Poll<Option<Sound>> {
        self.collect();
        let needed = self.resampler.input_frames_next();
        if self.waiting.len() < needed {
            if !self.has_ended {
                let missing = needed as i64 - self.waiting.len() as i64;
                self.clock.note_waiting(-missing);
                return Poll::Pending;
            }
            if self.waiting.is_empty() {
                return Poll::Ready(None);
            }
            self.waiting.resize(needed, 0.0);
        }
        let mut sound = [0.0; FRAME_SAMPLES];
        let input = InterleavedSlice::new(&self.waiting[..needed], 1, needed);
        let output = InterleavedSlice::new_mut(&mut sound, 1, FRAME_SAMPLES);
        let (Ok(input), Ok(mut output)) = (input, output) else {
            unreachable!("both have that length");
        };
        self.resampler
            .process_into_buffer(&input, &mut output, None)
            .expect("it has what it asked for, and room for a frame");
        self.waiting.drain(..needed);
        self.clock.note_waiting(self.waiting.len() as i64);
        if let Some(rate) = self.clock.next_rate() {
            // Faster is fewer samples out for as many in.
            self.resampler
                .set_resample_ratio_relative(1.0 / (1.0 + rate), true)
                .expect("it is within the bound");
        }
        Poll::Ready(Some(sound))
    }

    fn collect(&mut self) {
        while self.waiting.len() < WAITING_MAX && !self.has_ended {
            match self.sounds.try_recv() {
                Ok(sound) => self.waiting.extend(sound),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.has_ended = true,
            }
        }
    }
}

impl Clock {
    fn new() -> Self {
        Clock {
            least_waiting: i64::MAX,
            frames: 0,
            drift: 0.0,
            has_begun: false,
        }
    }

    fn note_waiting(&mut self, samples: i64) {
        // Before the first frame nothing is late.
        if self.has_begun {
            self.least_waiting = self.least_waiting.min(samples);
        }
    }

    /// Records that a frame was taken, and returns the new rate if it is to change: by which share
    /// more should be taken.
    fn next_rate(&mut self) -> Option<f64> {
        self.has_begun = true;
        self.frames += 1;
        if self.frames < WINDOW_FRAMES {
            return None;
        }
        let least = std::mem::replace(&mut self.least_waiting, i64::MAX);
        self.frames = 0;
        if least >= (WAITING_MAX - 2 * FRAME_SAMPLES) as i64 {
            // A file comes as fast as it is taken.
            self.drift = 0.0;
            return Some(0.0);
        }
        let excess = least as f64 - TARGET;
        let in_seconds = excess / f64::from(SAMPLE_RATE);
        if excess.abs() < TELLING_MAX {
            // What is missing is heard: it is learnt from sooner.
            let weight = if least < 0 { 4.0 } else { 1.0 };
            self.drift += weight * INTEGRAL * in_seconds;
            self.drift = self.drift.clamp(-RATE_MAX, RATE_MAX);
        }
        Some((self.drift + PROPORTIONAL * in_seconds).clamp(-RATE_MAX, RATE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;
    use std::sync::mpsc::sync_channel;

    /// What comes in so many seconds of a tone of 440 Hz by a clock that is fast by this share, in pieces of so many
    /// frames. Then the most that waited in the second half, and the samples until it last ran dry.
    fn heard(seconds: u64, fast: f64, piece: u64) -> (Vec<f32>, usize, usize) {
        let (sender, sounds) = sync_channel(2 * piece as usize + 1);
        let mut microphone = Microphone::new(sounds);
        let samples_a_second = f64::from(SAMPLE_RATE) * (1.0 + fast);
        let (mut sent, mut most_waiting, mut dry_at) = (0, 0, 0);
        let mut sound = Vec::new();
        let mut due_us = 0;
        for now_us in (0..seconds * 1_000_000).step_by(500) {
            let made = (now_us as f64 * samples_a_second / 1e6) as u64;
            while sent + piece * FRAME_SAMPLES as u64 <= made {
                for _ in 0..piece {
                    let frame = std::array::from_fn(|place| {
                        let phase = (sent + place as u64) as f64 * 440.0 / samples_a_second;
                        (0.5 * (TAU * phase).sin()) as f32
                    });
                    sender.send(frame).expect("it is listened to");
                    sent += FRAME_SAMPLES as u64;
                }
            }
            if now_us < due_us {
                continue;
            }
            let Poll::Ready(frame) = microphone.next() else {
                dry_at = sound.len();
                due_us = now_us;
                continue;
            };
            sound.extend(frame.expect("it goes on"));
            due_us += 20_000;
            if now_us > seconds * 500_000 {
                most_waiting = most_waiting.max(microphone.waiting.len());
            }
        }
        (sound, most_waiting, dry_at)
    }

    #[test]
    fn a_clock_that_is_fast_or_slow_is_followed_without_a_click() {
        for (fast, piece, seconds) in [
            (0.0, 1, 10),
            (0.01, 6, 24),
            (-0.01, 6, 24),
            (0.03, 1, 40),
            (-0.03, 1, 40),
        ] {
            let what = format!("{fast} in pieces of {piece}");
            let (sound, most_waiting, dry_at) = heard(seconds, fast, piece);
            let half = seconds as usize * 24_000;
            assert!(dry_at < half, "{what}: dry at {dry_at}");
            let room = (piece as usize + 2) * FRAME_SAMPLES;
            assert!(most_waiting < room, "{what}: {most_waiting} waited");
            // The first of it is what waited at first.
            let step = (0.5 * TAU * 440.0 / 48_000.0) as f32;
            for (place, pair) in sound[2 * FRAME_SAMPLES..].windows(2).enumerate() {
                let is_smooth = (pair[1] - pair[0]).abs() < 1.06 * step;
                assert!(is_smooth, "{what}: a click at {place}, {pair:?}");
            }
            let late = &sound[half..];
            let crossings = late.windows(2).filter(|it| it[0] < 0.0 && it[1] >= 0.0);
            let hz = crossings.count() as f64 * 48_000.0 / late.len() as f64;
            assert!((hz - 440.0).abs() < 0.5, "{what}: {hz} Hz");
        }
    }

    #[test]
    fn a_file_comes_as_it_is() {
        let (sender, sounds) = sync_channel(1_000);
        for _ in 0..500 {
            sender
                .send([0.5; FRAME_SAMPLES])
                .expect("it is listened to");
        }
        drop(sender);
        let mut microphone = Microphone::new(sounds);
        let mut frames = 0;
        while let Poll::Ready(Some(_)) = microphone.next() {
            frames += 1;
            assert!(microphone.waiting.len() <= WAITING_MAX + FRAME_SAMPLES);
        }
        // The filter takes a little more at first than it gives.
        assert!((500..=501).contains(&frames), "{frames}");
    }
}
