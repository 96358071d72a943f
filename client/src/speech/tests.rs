//! Speeches at their pace: on time, late, live and cut off.

use super::*;
use crate::codec::BITRATE;
use std::sync::mpsc::sync_channel;

/// Takes all that is due, and tells how much that was.
fn take(speech: &mut Speech, now: Instant) -> u32 {
    let mut frames = 0;
    while let Ok(Said::Frame(..)) = speech.next(now, true) {
        frames += 1;
    }
    frames
}

fn speech() -> Speech {
    Speech::new(BITRATE, Gate::new(None, false))
}

#[test]
fn a_tone_keeps_its_pace_whenever_it_is_looked_after() {
    let start = Instant::now();
    let mut speech = speech();
    speech.start(start, Source::tone(Duration::from_secs(20)));
    let mut frames = 0;
    let mut now = start;
    let mut step_ms = 1;
    while speech.is_speaking() {
        frames += take(&mut speech, now);
        let elapsed = now - start;
        // Two more frames end it.
        assert_eq!(frames, (elapsed.as_millis() / 20 + 1).min(1_002) as u32);
        // Late by 1 to 480 ms: lateness does not add up.
        step_ms = step_ms * 7 % 479 + 1;
        now += Duration::from_millis(step_ms);
    }
}

#[test]
fn who_is_very_late_does_not_make_up_for_it() {
    let start = Instant::now();
    let mut speech = speech();
    speech.start(start, Source::tone(Duration::from_secs(10)));
    assert_eq!(take(&mut speech, start), 1);
    let later = start + Duration::from_secs(5);
    assert_eq!(take(&mut speech, later), 1);
    assert_eq!(speech.wake_at(), Some(later + FRAME));
}

#[test]
fn live_sound_goes_out_as_it_comes_and_a_pause_is_no_end() {
    let start = Instant::now();
    let (sender, sounds) = sync_channel(100);
    let mut speech = speech();
    speech.start(start, Source::live(sounds));
    assert!(speech.is_live());
    assert_eq!(take(&mut speech, start), 0);
    assert_eq!(speech.wake_at(), None, "it has to come first");
    for _ in 0..3 {
        sender
            .send([0.0; FRAME_SAMPLES])
            .expect("it is listened to");
    }
    // What has come at once goes out at its pace.
    let later = start + Duration::from_secs(3);
    assert_eq!(take(&mut speech, later), 1);
    assert_eq!(speech.wake_at(), Some(later + FRAME));
    assert_eq!(take(&mut speech, later + FRAME), 1);
    assert_eq!(take(&mut speech, later + 2 * FRAME), 1);
    assert_eq!(take(&mut speech, later + 20 * FRAME), 0);
    // Nor after a short pause.
    for _ in 0..3 {
        sender
            .send([0.0; FRAME_SAMPLES])
            .expect("it is listened to");
    }
    assert_eq!(take(&mut speech, later + 20 * FRAME), 1);
    assert_eq!(take(&mut speech, later + 22 * FRAME), 2);
    assert_eq!(take(&mut speech, later + 23 * FRAME), 0);
    assert!(speech.is_speaking());
    drop(sender);
    // What waited, and what ends it.
    for frame in 30..33 {
        assert_eq!(take(&mut speech, later + frame * FRAME), 1);
    }
    let end = speech.next(later + 33 * FRAME, true);
    assert_eq!(end, Ok(Said::Ended));
    assert!(!speech.is_speaking());
}

#[test]
fn a_tone_has_its_length_and_fades_at_both_ends() {
    let mut tone = match Source::tone(Duration::from_millis(50)) {
        Source::Tone(tone) => tone,
        _ => unreachable!(),
    };
    let sound: Vec<f32> = std::iter::from_fn(|| tone.next()).flatten().collect();
    assert_eq!(sound.len(), 3 * FRAME_SAMPLES);
    let peak = |from: usize, to: usize| {
        sound[from..to]
            .iter()
            .fold(0.0f32, |peak, it| peak.max(it.abs()))
    };
    assert!((peak(240, 2_160) - 0.25).abs() < 0.001);
    assert!(peak(0, 24) < 0.03 && peak(2_376, 2_400) < 0.03);
    assert_eq!(peak(2_400, 2_880), 0.0);
}
