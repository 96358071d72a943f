//! What an ear would say of a recording, in figures.

use std::f64::consts::{SQRT_2, TAU};

/// 5 ms: five periods of a tone of 1 kHz.
pub const WINDOW: usize = 240;

/// Where a tone is in a recording, and what it is like.
#[derive(Debug)]
pub struct Tone {
    /// From the first to the last sample that belongs to it.
    pub start: usize,
    pub end: usize,
    pub frequency: f64,
    /// Of its middle.
    pub amplitude: f64,
    /// The amplitude of each window from start to end.
    pub windows: Vec<f64>,
}

impl Tone {
    /// Finds the tone of about this amplitude. It is there where half of that is.
    pub fn find(sound: &[f32], amplitude: f64) -> Self {
        let is_there = |window: &[f32]| amplitude_of(window) > amplitude / 2.0;
        // In steps of a millisecond, each looked at with the 5 ms from there on.
        let steps: Vec<bool> = sound.windows(WINDOW).step_by(48).map(is_there).collect();
        let first = steps.iter().position(|it| *it).expect("there is a tone");
        let last = steps.iter().rposition(|it| *it).expect("there is a tone");
        // A window is half full where the tone begins, and where it ends.
        let (start, end) = (first * 48 + WINDOW / 2, last * 48 + WINDOW / 2);
        let tone = &sound[start..end];
        let middle = &tone[tone.len() / 4..tone.len() * 3 / 4];
        Tone {
            start,
            end,
            frequency: frequency_of(middle),
            amplitude: amplitude_of(middle),
            windows: tone.chunks_exact(WINDOW).map(amplitude_of).collect(),
        }
    }

    pub fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 48_000.0
    }

    /// For how long it can be heard, without gaps in it.
    pub fn audible_seconds(&self, amplitude: f64) -> f64 {
        let audible = self.windows.iter().filter(|it| **it > amplitude / 2.0);
        audible.count() as f64 * WINDOW as f64 / 48_000.0
    }
}

pub fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

/// Whether somewhere, for ten periods, the sound is this tone and nothing else.
pub fn has_tone(sound: &[f32], frequency: f64, amplitude: f64) -> bool {
    let len = (10.0 * 48_000.0 / frequency).round() as usize;
    let is_tone = |window: &[f32]| {
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (place, sample) in window.iter().enumerate() {
            let phase = TAU * frequency * place as f64 / 48_000.0;
            sine += f64::from(*sample) * phase.sin();
            cosine += f64::from(*sample) * phase.cos();
        }
        let found = 2.0 * f64::hypot(sine, cosine) / len as f64;
        let level = |it: f64| decibels(it / amplitude).abs();
        level(found) < 1.0 && level(amplitude_of(window)) < 1.0
    };
    sound.windows(len).step_by(len / 4).any(is_tone)
}

/// Of a sine with that power.
fn amplitude_of(sound: &[f32]) -> f64 {
    let power: f64 = sound.iter().map(|it| f64::from(*it).powi(2)).sum();
    (power / sound.len() as f64).sqrt() * SQRT_2
}

/// From the first to the last time that it crosses zero upwards.
fn frequency_of(sound: &[f32]) -> f64 {
    let crossings: Vec<f64> = sound
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(place, pair)| place as f64 + f64::from(-pair[0] / (pair[1] - pair[0])))
        .collect();
    let (Some(first), Some(last)) = (crossings.first(), crossings.last()) else {
        return 0.0;
    };
    (crossings.len() - 1) as f64 * 48_000.0 / (last - first)
}

#[test]
fn a_tone_is_found_and_measured() {
    let sound: Vec<f32> = (0..96_000)
        .map(|place| match place {
            24_000..72_000 => 0.3 * (f64::from(place) * 997.0 / 7_639.437_268).sin() as f32,
            _ => 0.001,
        })
        .collect();
    let tone = Tone::find(&sound, 0.3);
    assert!(tone.start.abs_diff(24_000) < 96, "{}", tone.start);
    assert!(tone.end.abs_diff(72_000) < 96, "{}", tone.end);
    assert!((tone.frequency - 997.0).abs() < 0.1, "{}", tone.frequency);
    assert!(decibels(tone.amplitude / 0.3).abs() < 0.1);
    assert!((tone.audible_seconds(0.3) - 1.0).abs() < 0.01);
    assert!(has_tone(&sound, 997.0, 0.3));
    for (frequency, amplitude) in [(880.0, 0.3), (997.0, 0.2), (997.0, 0.4)] {
        assert!(
            !has_tone(&sound, frequency, amplitude),
            "{frequency} Hz, {amplitude}"
        );
    }
}
