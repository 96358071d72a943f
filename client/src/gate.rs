//! Decides which sound of a microphone is sent: what is loud enough to be speech, and what comes
//! soon after it; or what comes while a key is on.

use super::codec::Cut;
use super::{FRAME_SAMPLES, Sound};

/// Decibels, relative to full scale, at which sound counts as speech by default. A quiet room is at
/// -60 or less through a headset's microphone, and speech at -35 or more.
pub const THRESHOLD_DB: f32 = -50.0;
/// Speech continues while it is no quieter than this below the threshold: one word is not as loud
/// as the next.
const HYSTERESIS_DB: f32 = 6.0;
/// And for so many frames more, half a second: words end softly, and have pauses between them.
const HANGOVER_FRAMES: u32 = 25;

/// Lets speech through.
pub struct Gate {
    /// None if sound of any loudness is sent.
    threshold_db: Option<f32>,
    /// None if there is no key.
    is_key_on: Option<bool>,
    /// Frames until it closes.
    frames_left: u32,
    is_open: bool,
}

impl Gate {
    /// A key is off at first.
    pub fn new(threshold_db: Option<f32>, has_key: bool) -> Self {
        Gate {
            threshold_db,
            is_key_on: has_key.then_some(false),
            frames_left: 0,
            is_open: false,
        }
    }

    /// Turns the key, and returns whether it is on. None if there is none.
    pub fn turn_key(&mut self) -> Option<bool> {
        self.is_key_on = self.is_key_on.map(|it| !it);
        self.is_key_on
    }

    /// Whether and how to send the next 20 ms, if they would be heard.
    pub fn look_at(&mut self, sound: &Sound, is_heard: bool) -> Option<Cut> {
        let was_open = self.is_open;
        self.is_open = is_heard && self.is_key_on.unwrap_or(true) && self.is_speech(sound);
        match (was_open, self.is_open) {
            (false, false) => None,
            (false, true) => Some(Cut::In),
            (true, false) => Some(Cut::Out),
            (true, true) => Some(Cut::No),
        }
    }

    fn is_speech(&mut self, sound: &Sound) -> bool {
        let Some(threshold_db) = self.threshold_db else {
            return true;
        };
        let closes_below_db = match self.is_open {
            true => threshold_db - HYSTERESIS_DB,
            false => threshold_db,
        };
        if level_db(sound) >= closes_below_db {
            self.frames_left = HANGOVER_FRAMES;
            return true;
        }
        self.frames_left = self.frames_left.saturating_sub(1);
        self.is_open && self.frames_left > 0
    }
}

/// The power of the sound, relative to that of a constant at full scale.
fn level_db(sound: &Sound) -> f32 {
    let power: f32 = sound.iter().map(|it| it * it).sum();
    10.0 * (power / FRAME_SAMPLES as f32).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of frames at these levels, a letter each: silence, in, out, or as it is.
    fn cuts(gate: &mut Gate, levels_db: &[f32], is_heard: bool) -> String {
        let mut letters = String::new();
        for level_db in levels_db {
            let sound = [10f32.powf(level_db / 20.0); FRAME_SAMPLES];
            letters.push(match gate.look_at(&sound, is_heard) {
                None => '.',
                Some(Cut::In) => 'i',
                Some(Cut::Out) => 'o',
                Some(Cut::No) => 'a',
            });
        }
        letters
    }

    #[test]
    fn speech_opens_it_and_it_closes_some_time_after() {
        let mut gate = Gate::new(Some(-50.0), false);
        assert_eq!(cuts(&mut gate, &[-90.0, -51.0, -49.0, -30.0], true), "..ia");
        // As loud as would not have opened it, it goes on for as long as that lasts.
        assert_eq!(cuts(&mut gate, &[-55.0; 100], true), "a".repeat(100));
        let after = cuts(&mut gate, &[-57.0; 30], true);
        assert_eq!(after, "a".repeat(24) + "o.....");
        // A pause between two words does not close it.
        assert_eq!(cuts(&mut gate, &[-30.0], true), "i");
        assert_eq!(cuts(&mut gate, &[-90.0; 24], true), "a".repeat(24));
        assert_eq!(cuts(&mut gate, &[-30.0], true), "a");
        // Nobody hears it.
        assert_eq!(cuts(&mut gate, &[-30.0; 2], false), "o.");
        assert_eq!(cuts(&mut gate, &[-30.0; 2], true), "ia");
    }

    #[test]
    fn without_a_threshold_all_is_said_and_a_key_decides() {
        let silence = [f32::NEG_INFINITY; 2];
        let mut gate = Gate::new(None, false);
        assert_eq!(cuts(&mut gate, &silence, true), "ia");
        assert_eq!(gate.turn_key(), None);
        let mut gate = Gate::new(None, true);
        assert_eq!(cuts(&mut gate, &[-10.0; 2], true), "..");
        assert_eq!(gate.turn_key(), Some(true));
        assert_eq!(cuts(&mut gate, &silence, true), "ia");
        assert_eq!(gate.turn_key(), Some(false));
        assert_eq!(cuts(&mut gate, &silence, true), "o.");
    }
}
