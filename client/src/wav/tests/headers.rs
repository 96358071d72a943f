//! Headers of all kinds: those of other programs, those that are refused, and those that are broken.

use super::*;

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
