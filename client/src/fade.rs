//! Sound that comes, goes and gives way to other sound without a click.

/// What is cut comes and goes over so many samples, 5 ms.
pub const FADE_SAMPLES: usize = 240;

pub fn fade(sound: &mut [f32], from: f32, to: f32) {
    let step = (to - from) / sound.len().max(1) as f32;
    for (place, sample) in sound.iter_mut().enumerate() {
        *sample *= from + step * place as f32;
    }
}

/// Moves from `first` to what is in `second` while both last.
pub fn cross_fade(first: &[f32], second: &mut [f32]) {
    let len = first.len().min(second.len());
    fade(&mut second[..len], 0.0, 1.0);
    for (place, (second, first)) in second.iter_mut().zip(first).enumerate() {
        *second += first * (1.0 - place as f32 / len as f32);
    }
}
