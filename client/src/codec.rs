//! Opus, 48 kHz and mono, in frames of 20 ms at a variable rate, as in the existing clients.

use super::fade::{FADE_SAMPLES, fade};
use super::{FRAME_SAMPLES, SAMPLE_RATE, Sound};
use ropus::{Channels, DecodeMode, OPUS_APPLICATION_AUDIO, OpusEncoder};

/// The rate of the existing clients, in bits a second.
pub const BITRATE: u32 = 96_000;
/// The rates of Opus (RFC 6716, section 2.1.1).
pub const BITRATES: std::ops::RangeInclusive<u32> = 6_000..=510_000;
/// The longest frame (RFC 6716, section 3.4).
const PACKET_BYTES_MAX: usize = 1_275;
/// 120 ms, the most in one packet.
const PACKET_SAMPLES_MAX: usize = 6 * FRAME_SAMPLES;
/// Two steps of 16 bits: what dithering leaves of silence. Opus does not know that it is inaudible,
/// and spends as many bytes on it as on music.
const SILENCE_PEAK: f32 = 2.0 / 32_768.0;
/// So many frames of silence end a talk. They take what the encoder still held, and leave nothing
/// in a decoder that could be heard in the next talk.
const TAIL_FRAMES: u32 = 2;

/// The library's own typed encoder cannot switch prediction off, so this uses the one below it.
pub struct Encoder {
    opus: OpusEncoder,
    state: State,
    has_fresh_state: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Silent,
    Saying,
    /// So many more frames of silence.
    Ending(u32),
}

/// How to encode the next 20 ms of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As they are.
    No,
    /// They follow sound that is not sent.
    In,
    /// What follows them is not sent.
    Out,
}

impl Encoder {
    /// `bitrate` is one of [`BITRATES`].
    pub fn new(bitrate: u32) -> Self {
        let opus = OpusEncoder::new(SAMPLE_RATE as i32, 1, OPUS_APPLICATION_AUDIO);
        let mut opus = opus.expect("Opus has this rate");
        let outcomes = [opus.set_bitrate(bitrate as i32), opus.set_vbr(1)];
        assert_eq!(outcomes, [0, 0], "Opus has this bitrate");
        Encoder {
            opus,
            state: State::Silent,
            has_fresh_state: true,
        }
    }

    /// The next 20 ms as a packet, or none if nothing is to be sent of them. A talk between two
    /// silences needs nothing from before, and leaves nothing behind: listeners may have a decoder
    /// that knows the last talk, or one that knows nothing.
    pub fn next(&mut self, sound: Option<(&Sound, Cut)>) -> Option<Vec<u8>> {
        if let Some((sound, cut)) = sound {
            if self.state == State::Silent {
                self.opus.reset();
                self.has_fresh_state = true;
            }
            self.state = State::Saying;
            let mut sound = *sound;
            match cut {
                Cut::No => {}
                Cut::In => fade(&mut sound[..FADE_SAMPLES], 0.0, 1.0),
                Cut::Out => fade(&mut sound[FRAME_SAMPLES - FADE_SAMPLES..], 1.0, 0.0),
            }
            return Some(self.encode(&sound));
        }
        let left = match self.state {
            State::Silent => return None,
            State::Saying => TAIL_FRAMES,
            State::Ending(left) => left,
        };
        self.state = match left {
            1 => State::Silent,
            left => State::Ending(left - 1),
        };
        Some(self.encode(&[0.0; FRAME_SAMPLES]))
    }

    /// Ends the last talk without a tail.
    pub fn stop(&mut self) {
        self.state = State::Silent;
    }

    fn encode(&mut self, sound: &Sound) -> Vec<u8> {
        let is_silence = sound.iter().all(|it| it.abs() <= SILENCE_PEAK);
        let silence = [0.0; FRAME_SAMPLES];
        let sound = if is_silence { &silence } else { sound };
        // Without prediction, a frame needs none before it.
        let is_first = std::mem::take(&mut self.has_fresh_state);
        let outcome = self.opus.set_prediction_disabled(is_first.into());
        assert_eq!(outcome, 0, "Opus can do without prediction");
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let room = PACKET_BYTES_MAX as i32;
        let len = self
            .opus
            .encode_float(sound, FRAME_SAMPLES as i32, &mut packet, room);
        packet.truncate(len.expect("any frame of this size fits into a packet of that") as usize);
        packet
    }
}

/// Decodes the Opus packets of one speaker.
pub struct Decoder(ropus::Decoder);

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new()
    }
}

impl Decoder {
    /// A decoder that has heard nothing.
    pub fn new() -> Self {
        let decoder = ropus::Decoder::new(SAMPLE_RATE, Channels::Mono);
        Decoder(decoder.expect("Opus has this rate"))
    }

    /// Appends the sound in a packet, 2.5 to 120 ms of it. A packet that is not valid is concealed.
    pub fn decode(&mut self, packet: &[u8], sound: &mut Vec<f32>) {
        let before = sound.len();
        sound.resize(before + PACKET_SAMPLES_MAX, 0.0);
        let room = &mut sound[before..];
        match self.0.decode_float(packet, room, DecodeMode::Normal) {
            // Without at least two bytes there is no sound in it, and the decoder would make up all
            // of the room.
            Ok(len @ 1..) if packet.len() > 1 => sound.truncate(before + len),
            _ => {
                sound.truncate(before);
                self.conceal(sound);
            }
        }
    }

    /// Appends what may have been in a packet that was lost, 20 ms.
    pub fn conceal(&mut self, sound: &mut Vec<f32>) {
        let before = sound.len();
        sound.resize(before + FRAME_SAMPLES, 0.0);
        let room = &mut sound[before..];
        // If the decoder cannot make it up, it is silence.
        if let Err(_) | Ok(0) = self.0.decode_float(&[], room, DecodeMode::Normal) {
            room.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither of these has a period of a frame.
    fn noise(place: usize) -> f32 {
        let mixed = (place as u32).wrapping_mul(0x9e37_79b1).rotate_left(13);
        mixed.wrapping_mul(0x85eb_ca6b) as f32 / u32::MAX as f32 * 2.0 - 1.0
    }

    fn buzz(place: usize) -> f32 {
        if (place / 50).is_multiple_of(2) {
            1.0
        } else {
            -1.0
        }
    }

    fn sound(frame: usize, amplitude: f32, shape: fn(usize) -> f32) -> Sound {
        std::array::from_fn(|place| amplitude * shape(frame * FRAME_SAMPLES + place))
    }

    #[test]
    fn silence_takes_three_bytes_even_if_it_is_dithered() {
        let dithered = |place| (noise(place) * 1.4).round() / 32_768.0;
        for silence in [|_| 0.0, dithered] {
            let mut encoder = Encoder::new(BITRATE);
            let mut len = |frame, amplitude, shape| {
                let sound = sound(frame, amplitude, shape);
                encoder
                    .next(Some((&sound, Cut::No)))
                    .map_or(0, |it| it.len())
            };
            assert_eq!([0, 1, 2].map(|frame| len(frame, 1.0, silence)), [3; 3]);
            assert!((0..20).all(|frame| len(frame, 0.5, noise) > 200));
            // A high-pass filter takes some frames to come to rest.
            let after: Vec<usize> = (0..20).map(|frame| len(frame, 1.0, silence)).collect();
            assert_eq!(after[10..], [3; 10]);
        }
    }

    #[test]
    fn what_is_said_leaves_nothing_in_what_is_said_next() {
        enum Knows {
            Last,
            LastConcealed,
            Nothing,
        }
        for bitrate in [16_000, 32_000, BITRATE] {
            for loud in [noise, buzz] {
                for knows in [Knows::Last, Knows::LastConcealed, Knows::Nothing] {
                    let mut encoder = Encoder::new(bitrate);
                    let mut decoder = Decoder::new();
                    for frame in 0..30 {
                        let sound = sound(frame, 0.9, loud);
                        let packet = encoder.next(Some((&sound, Cut::No)));
                        decoder.decode(&packet.expect("it is said"), &mut Vec::new());
                    }
                    let mut ending = 0;
                    while let Some(packet) = encoder.next(None) {
                        decoder.decode(&packet, &mut Vec::new());
                        ending += 1;
                    }
                    assert_eq!(ending, TAIL_FRAMES);
                    match knows {
                        Knows::Last => {}
                        Knows::LastConcealed => decoder.conceal(&mut Vec::new()),
                        Knows::Nothing => decoder = Decoder::new(),
                    }
                    let mut heard = Vec::new();
                    for frame in 0..20 {
                        let sound = sound(frame, 0.01, buzz);
                        let packet = encoder.next(Some((&sound, Cut::In)));
                        decoder.decode(&packet.expect("it is said"), &mut heard);
                    }
                    let peak = heard.iter().fold(0.0f32, |peak, it| peak.max(it.abs()));
                    assert!(peak < 0.08, "{bitrate}: {peak}");
                }
            }
        }
    }

    #[test]
    fn what_was_cut_off_is_not_in_what_is_said_next() {
        let mut encoder = Encoder::new(BITRATE);
        for frame in 0..30 {
            encoder.next(Some((&sound(frame, 0.9, buzz), Cut::No)));
        }
        encoder.stop();
        assert_eq!(encoder.next(None), None);
        let mut heard = Vec::new();
        let packet = encoder.next(Some((&sound(0, 0.01, buzz), Cut::In)));
        Decoder::new().decode(&packet.expect("it is said"), &mut heard);
        let peak = heard.iter().fold(0.0f32, |peak, it| peak.max(it.abs()));
        assert!(peak < 0.03, "{peak}");
    }

    #[test]
    fn a_tone_keeps_its_level_at_any_bitrate() {
        let tone = |place: usize| (place as f32 * 0.0654).sin();
        for bitrate in [6_000, 24_000, 64_000, 510_000] {
            let mut encoder = Encoder::new(bitrate);
            let (mut decoder, mut heard, mut bytes) = (Decoder::new(), Vec::new(), 0);
            for frame in 0..50 {
                let packet = encoder.next(Some((&sound(frame, 0.3, tone), Cut::No)));
                let packet = packet.expect("it is said");
                bytes += packet.len();
                decoder.decode(&packet, &mut heard);
            }
            let power: f32 = heard[24_000..].iter().map(|it| it * it).sum::<f32>() / 24_000.0;
            let amplitude = (2.0 * power).sqrt();
            assert!((0.25..0.35).contains(&amplitude), "{bitrate}: {amplitude}");
            let sent = bytes as f32 * 8.0 / bitrate as f32;
            assert!((0.3..1.3).contains(&sent), "{bitrate}: {sent}");
        }
    }

    #[test]
    fn a_packet_that_is_none_sounds_for_as_long_as_one_that_was_lost() {
        let mut decoder = Decoder::new();
        for packet in [&b""[..], b"\xf8", b"\xff\xff\xff", b"\xfb\x00"] {
            let mut sound = vec![0.5];
            decoder.decode(packet, &mut sound);
            assert_eq!(sound.len(), 1 + FRAME_SAMPLES, "{packet:?}");
            assert_eq!(sound[0], 0.5);
        }
    }

    #[test]
    fn any_bytes_decode_to_some_sound() {
        let mut decoder = Decoder::new();
        let mut number = 1u32;
        for round in 0..2_000 {
            let mut packet = vec![0; round % 300];
            for byte in &mut packet {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (number >> 24) as u8;
            }
            let mut sound = Vec::new();
            decoder.decode(&packet, &mut sound);
            assert!(
                (1..=PACKET_SAMPLES_MAX).contains(&sound.len()),
                "{packet:?}"
            );
            assert!(sound.iter().all(|it| it.abs() <= 1.0), "{packet:?}");
        }
    }
}
