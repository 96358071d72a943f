//! Recordings: what is read back of them, whatever happens to the program that writes them.

use super::*;

/// Frame `number` of a sound of which 16 bits hold all.
fn steps(number: usize) -> Sound {
    std::array::from_fn(|index| {
        let step = (number * FRAME_SAMPLES + index) * 7919 % 65_535;
        (step as f32 - 32_767.0) / 32_767.0
    })
}

#[test]
fn a_recording_read_back_is_what_was_written() {
    let scratch = Scratch::holding(&[1; 1_000_000]);
    let mut recording = Recording::create(&scratch.0).unwrap();
    for number in 0..70 {
        recording.write(&steps(number)).unwrap();
    }
    recording.finish().unwrap();
    assert_eq!(fs::metadata(&scratch.0).unwrap().len(), 44 + 70 * 1920);
    let mut file = scratch.open().unwrap();
    assert_eq!(file.duration(), Duration::from_millis(1400));
    for number in 0..70 {
        assert_eq!(
            file.next_frame().unwrap(),
            Some(steps(number)),
            "frame {number}"
        );
    }
    assert!(file.next_frame().unwrap().is_none());
    // hound judges the file too, since the reader above is a lenient one.
    let reader = hound::WavReader::open(&scratch.0).unwrap();
    assert_eq!(reader.spec(), spec(1, 48_000, 16, false));
    assert_eq!(reader.duration(), 70 * 960);
}

#[test]
fn samples_are_rounded_and_clamped() {
    let cases = [
        (0.0, 0),
        (1.0, 32_767),
        (-1.0, -32_767),
        (1.5, 32_767),
        (-9.0, -32_767),
        (f32::NAN, 0),
        (f32::INFINITY, 32_767),
        (f32::NEG_INFINITY, -32_767),
        (0.6 / 32_767.0, 1),
        (-0.6 / 32_767.0, -1),
        (0.4 / 32_767.0, 0),
    ];
    let mut sound = [0.0; FRAME_SAMPLES];
    for (sample, (value, _)) in sound.iter_mut().zip(cases) {
        *sample = value;
    }
    let scratch = Scratch::new();
    let mut recording = Recording::create(&scratch.0).unwrap();
    recording.write(&sound).unwrap();
    recording.finish().unwrap();
    let mut reader = hound::WavReader::open(&scratch.0).unwrap();
    for ((value, expected), sample) in cases.into_iter().zip(reader.samples::<i16>()) {
        assert_eq!(sample.unwrap(), expected, "{value}");
    }
}

#[test]
fn the_file_of_a_killed_program_is_valid() {
    for (written, kept) in [(0, 0), (49, 0), (50, 50), (99, 50), (100, 100), (120, 100)] {
        let scratch = Scratch::new();
        let mut recording = Recording::create(&scratch.0).unwrap();
        for number in 0..written {
            recording.write(&steps(number)).unwrap();
        }
        // A program that is killed writes neither its buffers nor the header.
        std::mem::forget(recording);
        let reader = hound::WavReader::open(&scratch.0).unwrap();
        assert_eq!(
            reader.duration() as usize,
            kept * FRAME_SAMPLES,
            "{written} frames"
        );
        if kept > 0 {
            let mut file = scratch.open().unwrap();
            for number in 0..kept {
                assert_eq!(file.next_frame().unwrap(), Some(steps(number)));
            }
            assert!(file.next_frame().unwrap().is_none());
        }
    }
}

#[test]
fn a_full_recording_refuses_more_and_stays_valid() {
    let scratch = Scratch::new();
    let mut recording = Recording::with_limit(&scratch.0, 3 * 1920 + 1919).unwrap();
    for number in 0..3 {
        recording.write(&steps(number)).unwrap();
    }
    for _ in 0..2 {
        let error = recording.write(&steps(3)).unwrap_err().to_string();
        assert!(
            error.contains("full: a WAV file ends at 7679 bytes"),
            "{error}"
        );
    }
    recording.finish().unwrap();
    let sound = read_all(&mut scratch.open().unwrap());
    assert_eq!(sound, [steps(0), steps(1), steps(2)].concat());
}
