use super::*;
use std::f64::consts::TAU;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A path of its own in the temporary directory, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wav-test-{}-{count}.wav", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn holding(bytes: &[u8]) -> Self {
        let scratch = Self::new();
        fs::write(&scratch.0, bytes).unwrap();
        scratch
    }

    fn open(&self) -> Result<WavFile, WavError> {
        WavFile::open(&self.0)
    }

    fn error(&self) -> String {
        self.open().map(|_| ()).unwrap_err().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn read_all(file: &mut WavFile) -> Vec<f32> {
    let mut all = Vec::new();
    while let Some(sound) = file.next_frame().unwrap() {
        all.extend(sound);
    }
    all
}

/// Has hound write what `sample` gives for each index and channel.
fn write_hound(path: &Path, spec: WavSpec, length: u32, sample: impl Fn(u32, u16) -> f32) {
    let mut writer = WavWriter::create(path, spec).unwrap();
    for index in 0..length {
        for channel in 0..spec.channels {
            let value = sample(index, channel);
            match (spec.sample_format, spec.bits_per_sample) {
                (SampleFormat::Float, _) => writer.write_sample(value).unwrap(),
                (SampleFormat::Int, bits) => {
                    let scale = 2_f32.powi(i32::from(bits) - 1) - 1.0;
                    writer.write_sample((value * scale).round() as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
}

fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16, is_float: bool) -> WavSpec {
    let sample_format = if is_float {
        SampleFormat::Float
    } else {
        SampleFormat::Int
    };
    WavSpec {
        channels,
        sample_rate,
        bits_per_sample,
        sample_format,
    }
}

fn chunk(name: &[u8; 4], length: u32, content: &[u8]) -> Vec<u8> {
    [&name[..], &length.to_le_bytes(), content].concat()
}

fn format_chunk(encoding: u16, channels: u16, rate_hz: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut content = Vec::new();
    content.extend(encoding.to_le_bytes());
    content.extend(channels.to_le_bytes());
    content.extend(rate_hz.to_le_bytes());
    content.extend((rate_hz * u32::from(block)).to_le_bytes());
    content.extend(block.to_le_bytes());
    content.extend(bits.to_le_bytes());
    content
}

/// A file of `chunks`, with the length that a RIFF header should have.
fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    [
        b"RIFF",
        &(body.len() as u32 + 4).to_le_bytes()[..],
        b"WAVE",
        &body,
    ]
    .concat()
}

/// A 48 kHz mono 16-bit file of `data`, whose header claims `data_len` bytes.
fn plain(data_len: u32, data: &[u8]) -> Vec<u8> {
    riff(&[
        chunk(b"fmt ", 16, &format_chunk(1, 1, 48_000, 16)),
        chunk(b"data", data_len, data),
    ])
}

/// The tone of the tests: 1 kHz of amplitude 0.5, from phase 0 at time 0 on.
fn tone(index: f64, rate_hz: f64) -> f64 {
    0.5 * (TAU * 1000.0 * index / rate_hz).sin()
}

/// The amplitude of a tone in `sound` and by how many samples it comes late.
fn measure(sound: &[f32], first_index: usize, hz: f64) -> (f64, f64) {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (index, &sample) in sound.iter().enumerate() {
        let phase = TAU * hz * (first_index + index) as f64 / 48_000.0;
        sine += f64::from(sample) * phase.sin();
        cosine += f64::from(sample) * phase.cos();
    }
    let late = (-cosine).atan2(sine) / TAU * 48_000.0 / hz;
    (2.0 * sine.hypot(cosine) / sound.len() as f64, late)
}

fn check_tone(rate_hz: u32, channels: u16, bits: u16, is_float: bool) {
    let case = format!("{rate_hz} Hz, {channels} channels, {bits} bits, float {is_float}");
    let scratch = Scratch::new();
    let length = rate_hz * 2 / 5 + rate_hz / 77;
    // The two channels differ, so that only their mean has the right level.
    write_hound(
        &scratch.0,
        spec(channels, rate_hz, bits, is_float),
        length,
        |index, channel| {
            let gain = if channels == 1 {
                1.0
            } else {
                [1.6, 0.4][usize::from(channel)]
            };
            gain * tone(f64::from(index), f64::from(rate_hz)) as f32
        },
    );
    let mut file = scratch.open().unwrap();
    let seconds = f64::from(length) / f64::from(rate_hz);
    assert!(
        (file.duration().as_secs_f64() - seconds).abs() < 1e-6,
        "{case}"
    );

    let sound = read_all(&mut file);
    let expected = (seconds * 48_000.0).round() as usize;
    assert_eq!(
        sound.len(),
        expected.div_ceil(FRAME_SAMPLES) * FRAME_SAMPLES,
        "{case}"
    );
    let end = sound.iter().rposition(|&sample| sample != 0.0).unwrap() + 1;
    assert!(
        end.abs_diff(expected) <= 2,
        "{case}: {end} samples instead of {expected}"
    );

    // A whole number of periods, so that the measures are exact.
    let (level, late) = measure(&sound[4800..14_400], 4800, 1000.0);
    assert!(
        (20.0 * (level / 0.5).log10()).abs() < 0.1,
        "{case}: level {level}"
    );
    assert!(late.abs() < 1.0, "{case}: {late} samples late");
    // Neighbouring frequencies hold nothing, so that the tone is neither bent nor broken.
    for hz in [900.0, 1100.0, 2000.0, 7000.0] {
        let (level, _) = measure(&sound[4800..14_400], 4800, hz);
        assert!(level < 1e-4, "{case}: {level} at {hz} Hz");
    }
    // The measures are blind to whole periods; the edges, less a bit of ringing, are not.
    let edge = 48_000_usize.div_ceil(rate_hz as usize) * 4;
    for index in (edge..480).chain(end - 480..end - edge) {
        let wrong = f64::from(sound[index]) - tone(index as f64, 48_000.0);
        assert!(
            wrong.abs() < 0.05,
            "{case}: sample {index} of {end} is off by {wrong}"
        );
    }
}

#[test]
fn tones_keep_frequency_level_length_and_start() {
    for rate_hz in [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000] {
        for channels in [1, 2] {
            for (bits, is_float) in [(16, false), (32, true)] {
                check_tone(rate_hz, channels, bits, is_float);
            }
        }
    }
    for rate_hz in [8001, 12_347, 47_999, 48_001, 88_200, 191_999, 192_000] {
        check_tone(rate_hz, 1, 16, false);
    }
    for bits in [24, 32] {
        check_tone(48_000, 2, bits, false);
        check_tone(44_100, 1, bits, false);
    }
}

#[test]
fn only_what_48_khz_can_hold_passes() {
    let cases = [
        (44_100, 18_000.0, 18_000.0, 0.5),
        (96_000, 20_000.0, 20_000.0, 0.5),
        (192_000, 22_000.0, 22_000.0, 0.5),
        (96_000, 26_000.0, 22_000.0, 0.0),
        (192_000, 26_000.0, 22_000.0, 0.0),
        (192_000, 90_000.0, 6_000.0, 0.0),
    ];
    for (rate_hz, hz, found_hz, expected) in cases {
        let scratch = Scratch::new();
        write_hound(
            &scratch.0,
            spec(1, rate_hz, 32, true),
            rate_hz / 4,
            |index, _| (0.5 * (TAU * hz * f64::from(index) / f64::from(rate_hz)).sin()) as f32,
        );
        let sound = read_all(&mut scratch.open().unwrap());
        let (level, _) = measure(&sound[2400..7200], 2400, found_hz);
        assert!(
            (level - expected).abs() < 0.005,
            "{hz} Hz at {rate_hz} Hz: {level}"
        );
    }
}

#[test]
fn short_sounds_have_their_length() {
    for rate_hz in [8000, 44_100, 48_000, 192_000] {
        for length in [
            1, 2, 159, 160, 161, 881, 882, 883, 959, 960, 961, 1920, 3840, 3841,
        ] {
            let scratch = Scratch::new();
            write_hound(&scratch.0, spec(1, rate_hz, 16, false), length, |_, _| 0.25);
            let frames = read_all(&mut scratch.open().unwrap()).len() / FRAME_SAMPLES;
            let expected = (u64::from(length) * 50).div_ceil(u64::from(rate_hz));
            assert_eq!(frames as u64, expected, "{length} samples at {rate_hz} Hz");
        }
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let ok = chunk(b"fmt ", 16, &format_chunk(1, 1, 48_000, 16));
    let data = chunk(b"data", 8, &[1; 8]);
    let of = |encoding, channels, rate_hz, bits| {
        let format = format_chunk(encoding, channels, rate_hz, bits);
        riff(&[chunk(b"fmt ", 16, &format), data.clone()])
    };
    let mut unpacked = format_chunk(1, 1, 48_000, 16);
    unpacked[12] = 4;
    let cases = [
        (Vec::new(), "not a WAV file"),
        (b"RIFF".to_vec(), "not a WAV file"),
        (b"OggS, which is not RIFF".to_vec(), "not a WAV file"),
        (riff(&[]), "no sound is found"),
        (riff(std::slice::from_ref(&ok)), "no sound is found"),
        (
            riff(&[chunk(b"LIST", 0xFFFF_FFFF, b"x"), data.clone()]),
            "no sound is found",
        ),
        (riff(&[data.clone(), ok.clone()]), "before its format"),
        (
            riff(&[chunk(b"fmt ", 4, &[1, 0, 1, 0]), data.clone()]),
            "it holds 0-bit",
        ),
        (plain(0, &[]), "holds no sound"),
        (plain(1, &[7]), "holds no sound"),
        (
            riff(&[
                ok.clone(),
                chunk(b"data", 0, &[]),
                chunk(b"LIST", 4, b"INFO"),
            ]),
            "no sound",
        ),
        (
            plain(8, &[1; 7]),
            "truncated: its header says 8 bytes of sound, 7 are there",
        ),
        (plain(0x7FFE_FFFF, &[1; 8]), "truncated"),
        (of(1, 1, 48_000, 20), "20-bit integer"),
        (of(1, 1, 48_000, 8), "8-bit integer"),
        (of(3, 1, 48_000, 64), "64-bit float"),
        (of(7, 1, 8000, 8), "8-bit mu-law"),
        (of(85, 2, 44_100, 0), "unknown (format 85)"),
        (of(1, 6, 48_000, 16), "6 channels"),
        (of(1, 0, 48_000, 16), "0 channels"),
        (of(1, 1, 4000, 16), "4000 Hz"),
        (of(1, 1, 7999, 16), "7999 Hz"),
        (of(1, 1, 192_001, 16), "192001 Hz"),
        (
            riff(&[chunk(b"fmt ", 16, &unpacked), data.clone()]),
            "4 bytes for all channels",
        ),
    ];
    for (bytes, expected) in cases {
        let scratch = Scratch::holding(&bytes);
        let error = scratch.error();
        assert!(error.starts_with(&format!("cannot read {}: ", scratch.0.display())));
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert!(
            !error.contains("it holds ")
                || error.contains("no sound")
                || error.contains("supported are 16-, 24-"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn headers_of_other_programs_are_read() {
    let format = format_chunk(1, 1, 48_000, 16);
    let ok = chunk(b"fmt ", 16, &format);
    let long = chunk(b"fmt ", 18, &[&format[..], &[0, 0]].concat());
    let mut extensible = format_chunk(0xFFFE, 1, 48_000, 16);
    extensible.extend([22, 0, 16, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 16, 0]);
    extensible.extend([128, 0, 0, 170, 0, 56, 155, 113]);
    let list = chunk(b"LIST", 3, b"odd and padded"[..4].as_ref());
    let samples: [u8; 6] = [0xFF, 0x7F, 0x01, 0x80, 0, 0x40];
    let data = chunk(b"data", 6, &samples);
    let mut no_length = plain(0, &samples);
    no_length[4..8].fill(0);
    let mut hound_killed = plain(0, &samples);
    hound_killed[4..8].copy_from_slice(&36_u32.to_le_bytes());
    let files = [
        ("plain", plain(6, &samples)),
        ("ffmpeg to a pipe", plain(0xFFFF_FFFF, &samples)),
        ("sox to a pipe", plain(0x7FFF_F000, &samples)),
        ("arecord to a pipe", plain(0x8000_0000, &samples)),
        (
            "a streamed half sample",
            plain(0xFFFF_FFFF, &[&samples[..], &[9]].concat()),
        ),
        ("no lengths", no_length),
        ("only the length of the header", hound_killed),
        ("an odd length", plain(7, &[&samples[..], &[9]].concat())),
        ("cbSize", riff(&[long, data.clone()])),
        (
            "extensible",
            riff(&[chunk(b"fmt ", 40, &extensible), data.clone()]),
        ),
        (
            "chunks around",
            riff(&[list.clone(), ok.clone(), list.clone(), data.clone(), list]),
        ),
        (
            "chunks behind",
            riff(&[ok, data, chunk(b"id3 ", 4, &[5; 4])]),
        ),
    ];
    for (name, bytes) in files {
        let sound = read_all(&mut Scratch::holding(&bytes).open().expect(name));
        assert_eq!(sound[..3], [1.0, -1.0, 16_384.0 / 32_767.0], "{name}");
        assert!(sound[3..].iter().all(|&sample| sample == 0.0), "{name}");
        assert_eq!(sound.len(), FRAME_SAMPLES, "{name}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let missing = Scratch::new();
    assert!(
        missing.error().contains("No such file"),
        "{}",
        missing.error()
    );
    let inside = missing.0.join("x.wav");
    let error = Recording::create(&inside)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("cannot write {}: ", inside.display())),
        "{error}"
    );

    let mut paths = vec![std::env::temp_dir()];
    if cfg!(unix) {
        paths.push("/dev/null".into());
    }
    for path in paths {
        let error = WavFile::open(&path).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
        let error = Recording::create(&path)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn floats_come_out_finite_and_within_full_scale() {
    let values = [
        f32::NAN,
        f32::INFINITY,
        -f32::INFINITY,
        2.0,
        -3.0,
        f32::MAX,
        0.5,
        -0.0,
    ];
    let expected = [0.0, 0.0, 0.0, 1.0, -1.0, 1.0, 0.5, 0.0];
    for channels in [1, 2] {
        let scratch = Scratch::new();
        let spec = spec(channels, 48_000, 32, true);
        write_hound(&scratch.0, spec, 8, |index, _| values[index as usize]);
        assert_eq!(read_all(&mut scratch.open().unwrap())[..8], expected);
    }
    for rate_hz in [44_100, 96_000] {
        let scratch = Scratch::new();
        let value = |index, _| values[index as usize % values.len()];
        write_hound(&scratch.0, spec(2, rate_hz, 32, true), rate_hz / 10, value);
        let sound = read_all(&mut scratch.open().unwrap());
        assert!(
            sound.iter().all(|sample| sample.abs() <= 1.0),
            "{rate_hz} Hz"
        );
    }
}

#[test]
fn one_bad_float_does_not_spread() {
    let scratch = Scratch::new();
    write_hound(&scratch.0, spec(1, 44_100, 32, true), 44_100, |index, _| {
        if index == 20_000 {
            f32::NAN
        } else {
            tone(f64::from(index), 44_100.0) as f32
        }
    });
    let sound = read_all(&mut scratch.open().unwrap());
    let wrong =
        |index: &usize| (f64::from(sound[*index]) - tone(*index as f64, 48_000.0)).abs() > 0.05;
    let count = (480..47_500).filter(wrong).count();
    assert!(count <= 24, "{count} samples are wrong");
}

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

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let whole = plain(8, &[1; 8]);
    for length in 0..whole.len() {
        let scratch = Scratch::holding(&whole[..length]);
        let outcome = scratch.open().and_then(|mut file| file.next_frame());
        assert!(outcome.is_err(), "{length}");
    }
    // A file that is cut while it is read, too.
    let scratch = Scratch::new();
    write_hound(&scratch.0, spec(1, 44_100, 16, false), 44_100, |_, _| 0.5);
    let mut file = scratch.open().unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&scratch.0)
        .unwrap()
        .set_len(40_000)
        .unwrap();
    let error = std::iter::from_fn(|| file.next_frame().transpose()).find_map(Result::err);
    let error = error.expect("an error").to_string();
    assert!(error.contains("the sound breaks off"), "{error}");
    assert!(file.next_frame().unwrap().is_none());
}

#[test]
fn no_mutation_of_a_header_makes_it_panic_or_run_on() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut seeds = vec![plain(40, &[3; 40])];
    for (channels, rate_hz, bits, is_float) in [(2, 8000, 32, true), (1, 44_100, 16, false)] {
        let scratch = Scratch::new();
        let spec = spec(channels, rate_hz, bits, is_float);
        write_hound(&scratch.0, spec, 20, |_, _| 0.5);
        seeds.push(fs::read(&scratch.0).unwrap());
    }
    let (mut opened, mut refused) = (0, 0);
    for round in 0..1000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            bytes[at] = [random(256) as u8, bytes[at] ^ (1 << random(8))][random(2)];
        }
        let scratch = Scratch::holding(&bytes);
        let Ok(mut file) = scratch.open() else {
            refused += 1;
            continue;
        };
        opened += 1;
        // The files hold 100 samples at most, which are less than 20 ms at any rate.
        let frames = (0..5).map_while(|_| file.next_frame().ok().flatten());
        assert!(frames.count() <= 1, "{bytes:?}");
    }
    assert!(
        opened > 100 && refused > 100,
        "{opened} opened, {refused} refused"
    );
}
