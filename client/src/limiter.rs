//! Keeps a mix within full scale by turning it down where it would go over, and up again slowly, so
//! that nothing is clipped.

use super::{FRAME_SAMPLES, Sound};

/// 2.5 ms: the gain moves from block to block in a straight line, and the sound is late by one.
const BLOCK: usize = 120;
/// A little below full scale, so that rounding does not matter.
const CEILING: f32 = 0.999;
/// The gain comes back by at most this in a block: 0.5 dB in 50 ms.
const RELEASE: f32 = 1.003;

/// Keeps a sum of voices below full scale, by turning it down before it gets too loud.
pub struct Limiter {
    /// The last block of the last frame, whose gain had to wait for what comes after it.
    held: [f32; BLOCK],
    /// The gain at the start of `held`, and the most that all of it can bear.
    gain: f32,
    held_most: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Limiter::new()
    }
}

impl Limiter {
    /// A limiter that has heard nothing.
    pub fn new() -> Self {
        Limiter {
            held: [0.0; BLOCK],
            gain: 1.0,
            held_most: 1.0,
        }
    }

    /// Whether it holds nothing but silence.
    pub fn is_done(&self) -> bool {
        self.held == [0.0; BLOCK]
    }

    /// Takes a frame of any loudness, and gives one within full scale, later by a block.
    pub fn limit(&mut self, sound: &Sound) -> Sound {
        let mut limited = [0.0; FRAME_SAMPLES];
        for (block, out) in sound
            .chunks_exact(BLOCK)
            .zip(limited.chunks_exact_mut(BLOCK))
        {
            let peak = block.iter().fold(0.0f32, |peak, it| peak.max(it.abs()));
            let most = if peak > CEILING { CEILING / peak } else { 1.0 };
            // At a border between two blocks neither may go over, and on a straight line between two
            // such borders nothing in the block does.
            let end = (self.gain * RELEASE).min(self.held_most).min(most);
            let step = (end - self.gain) / BLOCK as f32;
            for (place, (out, held)) in out.iter_mut().zip(self.held).enumerate() {
                *out = held * (self.gain + step * place as f32);
            }
            self.held.copy_from_slice(block);
            (self.gain, self.held_most) = (end, most);
        }
        limited
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    /// A tone through a limiter, with so many frames at each of these amplitudes.
    fn limited(frames: usize, amplitudes: &[f32]) -> Vec<f32> {
        let mut limiter = Limiter::new();
        let mut out = Vec::new();
        let mut place = 0;
        for amplitude in amplitudes {
            for _ in 0..frames {
                let sound = std::array::from_fn(|at| {
                    amplitude * (TAU * 440.0 * (place + at) as f32 / 48_000.0).sin()
                });
                place += FRAME_SAMPLES;
                out.extend(limiter.limit(&sound));
            }
        }
        out
    }

    fn peak(sound: &[f32]) -> f32 {
        sound.iter().fold(0.0, |peak, it| peak.max(it.abs()))
    }

    #[test]
    fn what_is_within_full_scale_passes_as_it_is() {
        let out = limited(5, &[0.99]);
        for (place, it) in out[BLOCK..].iter().enumerate() {
            assert_eq!(*it, 0.99 * (TAU * 440.0 * place as f32 / 48_000.0).sin());
        }
    }

    #[test]
    fn nothing_goes_over_and_the_gain_comes_back() {
        for loud in [1.1, 2.0, 30.0] {
            let out = limited(150, &[0.5, loud, 0.5]);
            assert!(peak(&out) <= 1.0, "{loud}");
            let third = out.len() / 3;
            // The loud part is loud, and not merely quiet enough.
            let loud_part = &out[third + FRAME_SAMPLES..2 * third];
            assert!(peak(loud_part) > 0.99, "{loud}");
            let end = &out[out.len() - FRAME_SAMPLES..];
            assert!((peak(end) - 0.5).abs() < 0.01, "{loud}: {}", peak(end));
        }
    }

    #[test]
    fn one_sample_does_not_get_through() {
        let mut limiter = Limiter::new();
        let mut out = Vec::new();
        for place in [0, BLOCK - 1, BLOCK, FRAME_SAMPLES - 1] {
            let mut sound = [0.0; FRAME_SAMPLES];
            sound[place] = -40.0;
            out.extend(limiter.limit(&sound));
        }
        out.extend(limiter.limit(&[0.0; FRAME_SAMPLES]));
        assert!(peak(&out) <= 1.0);
        assert_eq!(out.iter().filter(|it| **it < -0.99).count(), 4);
    }
}
