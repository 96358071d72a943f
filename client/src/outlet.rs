//! Sound on its way to a reader with a pace of its own: a sound card that is a little slow, or a
//! program that was held up. What finds no room is merged into what comes next, so that the sound
//! gets shorter and does not click.

use super::Sound;
use super::fade::cross_fade;

/// Stands between sound that is made every 20 ms and its reader.
#[derive(Default)]
pub struct Outlet {
    /// What found no room.
    held: Option<Box<Sound>>,
    shortened: u64,
}

impl Outlet {
    /// Offers the next 20 ms to `take`, which returns whether it had room for them.
    pub fn offer(&mut self, mut sound: Sound, mut take: impl FnMut(&Sound) -> bool) {
        match self.held.take() {
            Some(held) if !take(&held) => {
                cross_fade(&held[..], &mut sound);
                self.shortened += 1;
                self.held = Some(Box::new(sound));
            }
            _ => self.held = (!take(&sound)).then(|| Box::new(sound)),
        }
    }

    /// By how many frames the sound was shortened.
    pub fn shortened(&self) -> u64 {
        self.shortened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FRAME_SAMPLES;
    use std::f32::consts::TAU;

    #[test]
    fn a_reader_that_was_held_up_hears_no_click() {
        let mut outlet = Outlet::default();
        let mut taken: Vec<f32> = Vec::new();
        let mut frames_taken = 0;
        for frame in 0..200 {
            let sound = std::array::from_fn(|place| {
                let phase = (frame * FRAME_SAMPLES + place) as f32 * 307.0 / 48_000.0;
                0.5 * (TAU * phase.fract()).sin()
            });
            // It takes nothing for 0.3 s, and every tenth frame is too much for it later.
            let has_room = !(50..65).contains(&frame) && (frame < 100 || frame % 10 > 0);
            outlet.offer(sound, |sound| {
                if has_room {
                    taken.extend(sound);
                    frames_taken += 1;
                }
                has_room
            });
        }
        // What is held when there is room again is not lost.
        assert_eq!(frames_taken, 200 - outlet.shortened());
        assert_eq!(outlet.shortened(), 14);
        let step = 0.5 * TAU * 307.0 / 48_000.0;
        let steps = taken.windows(2).map(|it| (it[1] - it[0]).abs());
        let loudest = steps.fold(0.0, f32::max);
        assert!(loudest < 1.2 * step, "{loudest} of {step}");
    }
}
