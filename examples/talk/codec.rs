//! Opus as the existing clients have it: 48 kHz, mono, 20 ms, 96 kbit/s of variable rate.

use super::{FRAME_SAMPLES, SAMPLE_RATE, Sound};
use ropus::{Application, Bitrate, Channels, DecodeMode};

const BITRATE: u32 = 96_000;
/// The most that one frame can have (RFC 6716, section 3.4).
const PACKET_BYTES_MAX: usize = 1_275;
/// 120 ms, the most that one packet can hold.
const PACKET_SAMPLES_MAX: usize = 6 * FRAME_SAMPLES;

pub struct Encoder(ropus::Encoder);

impl Encoder {
    pub fn new() -> Self {
        let builder = ropus::Encoder::builder(SAMPLE_RATE, Channels::Mono, Application::Audio);
        let encoder = builder.bitrate(Bitrate::Bits(BITRATE)).vbr(true).build();
        Encoder(encoder.expect("Opus has this rate"))
    }

    /// The frame as a packet.
    pub fn encode(&mut self, sound: &Sound) -> Vec<u8> {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let len = self.0.encode_float(sound, &mut packet);
        packet.truncate(len.expect("any frame of this size fits into a packet of that"));
        packet
    }
}

pub struct Decoder(ropus::Decoder);

impl Decoder {
    pub fn new() -> Self {
        let decoder = ropus::Decoder::new(SAMPLE_RATE, Channels::Mono);
        Decoder(decoder.expect("Opus has this rate"))
    }

    /// Appends the sound in a packet, 2.5 to 120 ms of it. A packet that is none is concealed.
    pub fn decode(&mut self, packet: &[u8], sound: &mut Vec<f32>) {
        let before = sound.len();
        sound.resize(before + PACKET_SAMPLES_MAX, 0.0);
        let room = &mut sound[before..];
        match self.0.decode_float(packet, room, DecodeMode::Normal) {
            // Without at least two bytes there is no sound in it, and all of the room would be made up.
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
        // If nothing can be made up, it is silence.
        if let Err(_) | Ok(0) = self.0.decode_float(&[], room, DecodeMode::Normal) {
            room.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
