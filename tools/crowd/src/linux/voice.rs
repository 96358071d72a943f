//! The voice datagrams of a crowd: how they are made, how they are read again, and what became of each stream.
//!
//! The data of each begins with a stamp (which run, which round, which speaker, when it was sent), and the rest is filler of
//! the length that was asked for. Nothing here knows a socket.

use super::options::Payload;
use std::ops::Range;
use voiceapp_protocol::sealing::ClientOpener;
use voiceapp_protocol::{Frame, Packet, VoiceDatagram};
use voiceapp_protocol::{SEAL_OVERHEAD_BYTES, VOICE_FRAME_BYTES_MAX, VOICE_HEADER_BYTES};

/// Where a stamp's fields lie in a datagram's data.
const RUN: Range<usize> = 0..4;
const ROUND: Range<usize> = 4..8;
const SPEAKER: Range<usize> = 8..12;
const TIME: Range<usize> = 12..STAMP_BYTES;
/// What a stamp takes of a datagram's data.
pub const STAMP_BYTES: usize = 20;
/// Sound in one datagram, in samples at 48 kHz: 20 ms, as Opus has it.
const SAMPLES: u32 = 960;
/// The filler isn't zero, so that it can't be taken for padding.
const FILLER: u8 = 0xA5;

/// Makes one datagram after the other in the same memory.
pub struct Maker {
    bytes: [u8; VOICE_FRAME_BYTES_MAX],
}

impl Maker {
    /// For a run of this number, which tells its datagrams from those of other people.
    pub fn new(run: u32) -> Self {
        let mut bytes = [FILLER; VOICE_FRAME_BYTES_MAX];
        bytes[VOICE_HEADER_BYTES..][RUN].copy_from_slice(&run.to_be_bytes());
        Maker { bytes }
    }

    /// A datagram with the time that `now_ns` gives when all else is done.
    pub fn make(
        &mut self,
        payload: Payload,
        round: u32,
        speaker: u32,
        sequence: u32,
        now_ns: impl FnOnce() -> u64,
    ) -> &[u8] {
        let data_len = data_len(payload, speaker, sequence);
        let bytes = &mut self.bytes[..VOICE_HEADER_BYTES + data_len];
        let mut voice = VoiceDatagram::init(&mut *bytes).expect("options bound the data");
        voice.set_sequence(sequence);
        voice.set_timestamp(sequence.wrapping_mul(SAMPLES));
        let stamp = &mut bytes[VOICE_HEADER_BYTES..];
        stamp[ROUND].copy_from_slice(&round.to_be_bytes());
        stamp[SPEAKER].copy_from_slice(&speaker.to_be_bytes());
        stamp[TIME].copy_from_slice(&now_ns().to_be_bytes());
        bytes
    }
}

/// How much data a speaker's datagram has: always the same for the same one, so that runs can be compared.
fn data_len(payload: Payload, speaker: u32, sequence: u32) -> usize {
    match payload {
        Payload::Bytes(len) => len,
        Payload::Opus => {
            let seed = u64::from(speaker) << 32 | u64::from(sequence);
            120 + (scramble(seed) % 121) as usize
        }
    }
}

/// A number that looks random and depends on `seed` alone (splitmix64).
pub fn scramble(seed: u64) -> u64 {
    let mut it = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    it ^ (it >> 31)
}

/// What came in on a user's voice socket.
#[derive(Debug, PartialEq)]
pub enum Received {
    Voice(Heard),
    /// The address is proved twice, as the first answer took its time.
    OfProof,
    /// Unreadable for any client of the protocol.
    Unreadable,
}

/// Voice as it was received.
#[derive(Debug, PartialEq)]
pub struct Heard {
    pub user_id: u64,
    pub sequence: u32,
    /// None if it comes from no crowd.
    pub stamp: Option<Stamp>,
    /// Whether everything that follows the frame is zero.
    pub is_padding_clean: bool,
}

/// What a crowd writes into its datagrams. Other people's data may look like one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    pub run: u32,
    pub round: u32,
    pub speaker: u32,
    pub sent_ns: u64,
}

impl Received {
    /// Reads what is sealed, and only that. Nothing but zeros inside the seal makes a datagram longer.
    pub fn open(datagram: &mut [u8], opener: &mut ClientOpener) -> Self {
        let len = datagram.len();
        let Ok(opened) = opener.open(datagram) else {
            return Received::Unreadable;
        };
        let is_whole = opened.inside.len() + SEAL_OVERHEAD_BYTES == len;
        match Received::read(opened.inside) {
            Received::Voice(heard) => Received::Voice(Heard {
                is_padding_clean: heard.is_padding_clean && is_whole,
                ..heard
            }),
            other => other,
        }
    }

    pub fn read(datagram: &[u8]) -> Self {
        let Ok(voice) = VoiceDatagram::check(datagram) else {
            let frame = Frame::first_of(datagram).ok();
            return match frame.and_then(|frame| frame.parse().ok()) {
                Some(
                    Packet::VoiceAuthResponse { success: true, .. } | Packet::PathChallenge { .. },
                ) => Received::OfProof,
                _ => Received::Unreadable,
            };
        };
        let padding = &datagram[voice.frame().len()..];
        Received::Voice(Heard {
            user_id: voice.user_id().0,
            sequence: voice.sequence(),
            stamp: Stamp::read(voice.data()),
            is_padding_clean: padding.iter().all(|byte| *byte == 0),
        })
    }
}

impl Stamp {
    fn read(data: &[u8]) -> Option<Self> {
        let number =
            |field: Range<usize>| Some(u32::from_be_bytes(data.get(field)?.try_into().ok()?));
        Some(Stamp {
            run: number(RUN)?,
            round: number(ROUND)?,
            speaker: number(SPEAKER)?,
            sent_ns: u64::from_be_bytes(data.get(TIME)?.try_into().ok()?),
        })
    }
}

/// The place of a datagram in its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// After all that were heard before it.
    Next,
    /// Before some of them: it was overtaken.
    Overtaken,
    /// It was received before.
    Again,
}

/// What one receiver has received of one speaker. What is missing needs no count: it is what was
/// sent less what was received.
#[derive(Clone, Copy, Default)]
pub struct Stream {
    highest: u32,
    /// Of the 64 sequence numbers that end with the highest, which were heard: bit 0 is the highest. 0 before the first.
    heard: u64,
}

impl Stream {
    pub fn note(&mut self, sequence: u32) -> Place {
        if self.heard == 0 {
            (self.highest, self.heard) = (sequence, 1);
            return Place::Next;
        }
        if sequence > self.highest {
            let ahead = sequence - self.highest;
            self.heard = self.heard.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = sequence;
            return Place::Next;
        }
        // One that comes 64 places late can't be told from a second copy. It is counted once, as overtaken.
        let bit = 1u64.checked_shl(self.highest - sequence).unwrap_or(0);
        if self.heard & bit != 0 {
            return Place::Again;
        }
        self.heard |= bit;
        Place::Overtaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voiceapp_protocol::sealing::Sealer;
    use voiceapp_protocol::{KeyId, Suite, UserId, VoiceSecrets};

    #[test]
    fn what_is_made_can_be_read() {
        let mut maker = Maker::new(2_000_000_000);
        let datagram = maker.make(Payload::Bytes(STAMP_BYTES), 7, 3, 9, || 12_345);
        assert_eq!(datagram.len(), 39);
        let expected = Heard {
            user_id: 0,
            sequence: 9,
            stamp: Some(Stamp {
                run: 2_000_000_000,
                round: 7,
                speaker: 3,
                sent_ns: 12_345,
            }),
            is_padding_clean: true,
        };
        assert_eq!(Received::read(datagram), Received::Voice(expected));
        assert_eq!(Received::read(&datagram[..38]), Received::Unreadable);
        assert_eq!(Received::read(&[]), Received::Unreadable);
    }

    #[test]
    fn what_others_send_is_voice_without_a_stamp() {
        let mut bytes = Vec::new();
        let packet = Packet::VoiceData {
            user_id: UserId(4),
            sequence: 5,
            timestamp: 6,
            data: &[0xf8; STAMP_BYTES - 1],
        };
        packet.encode(&mut bytes).expect("it is short");
        let Received::Voice(heard) = Received::read(&bytes) else {
            panic!("it is voice");
        };
        assert_eq!((heard.user_id, heard.stamp), (4, None));
    }

    #[test]
    fn an_answer_that_comes_late_is_no_fault() {
        for (success, expected) in [(true, Received::OfProof), (false, Received::Unreadable)] {
            let mut bytes = Vec::new();
            let request_id = 2;
            let answer = Packet::VoiceAuthResponse {
                request_id,
                success,
            };
            answer.encode(&mut bytes).expect("it is short");
            assert_eq!(Received::read(&bytes), expected);
        }
    }

    #[test]
    fn what_is_sealed_is_read_once_and_only_with_its_key() {
        let exported = std::array::from_fn(|place| place as u8);
        let secrets = VoiceSecrets::of(KeyId(3), Suite::Aes256GcmSha384, &exported);
        let mut sealer = Sealer::new(secrets.suite, KeyId(3), secrets.to_client);
        let opener = |secret| ClientOpener::new(secrets.suite, KeyId(3), secret);
        let mut maker = Maker::new(1);
        let frame = maker.make(Payload::Bytes(100), 1, 2, 3, || 4);
        let mut seal = |padding| {
            let mut datagram = vec![0; frame.len() + SEAL_OVERHEAD_BYTES + padding];
            sealer.seal(frame, &mut datagram).expect("there is room");
            datagram
        };
        let mut ours = opener(secrets.to_client);
        for padding in [0, 30] {
            let datagram = seal(padding);
            let Received::Voice(heard) = Received::open(&mut datagram.clone(), &mut ours) else {
                panic!("it is voice");
            };
            let stamp = heard.stamp.expect("it is ours");
            assert_eq!((stamp.speaker, heard.sequence), (2, 3));
            assert!(heard.is_padding_clean);
            let again = Received::open(&mut datagram.clone(), &mut ours);
            assert_eq!(again, Received::Unreadable);
        }
        let mut longer = seal(0);
        longer.push(0);
        let Received::Voice(heard) = Received::open(&mut longer, &mut ours) else {
            panic!("it is voice");
        };
        assert!(!heard.is_padding_clean);
        let mut theirs = opener(secrets.to_server);
        assert_eq!(
            Received::open(&mut seal(0), &mut theirs),
            Received::Unreadable
        );
        assert_eq!(
            Received::open(&mut frame.to_vec(), &mut ours),
            Received::Unreadable
        );
        assert_eq!(Received::read(&seal(0)), Received::Unreadable);
    }

    #[test]
    fn padding_is_looked_at() {
        let mut maker = Maker::new(1);
        let mut datagram = maker.make(Payload::Bytes(100), 1, 1, 1, || 1).to_vec();
        datagram.extend([0; 30]);
        let is_clean = |datagram: &[u8]| match Received::read(datagram) {
            Received::Voice(heard) => heard.is_padding_clean,
            other => panic!("{other:?}"),
        };
        assert!(is_clean(&datagram));
        datagram[140] = 1;
        assert!(!is_clean(&datagram));
    }

    #[test]
    fn opus_sizes_vary_and_repeat() {
        let sizes: Vec<_> = (0..10_000)
            .map(|it| data_len(Payload::Opus, 5, it))
            .collect();
        assert_eq!(sizes.iter().min(), Some(&120));
        assert_eq!(sizes.iter().max(), Some(&240));
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((175..=185).contains(&mean), "{mean}");
        assert_eq!(sizes[77], data_len(Payload::Opus, 5, 77));
    }

    #[test]
    fn a_stream_in_order_with_gaps() {
        let mut stream = Stream::default();
        for sequence in [0, 1, 2, 5, 6, 1_000, 1_001, u32::MAX] {
            assert_eq!(stream.note(sequence), Place::Next, "{sequence}");
        }
    }

    #[test]
    fn overtaken_and_repeated_datagrams_are_told_apart() {
        let mut stream = Stream::default();
        let table = [
            (10, Place::Next),
            (10, Place::Again),
            (12, Place::Next),
            (11, Place::Overtaken),
            (11, Place::Again),
            (9, Place::Overtaken),
            (10, Place::Again),
            (76, Place::Next),
            (13, Place::Overtaken),
            (13, Place::Again),
            (12, Place::Overtaken), // 64 places late: beyond what is remembered
        ];
        for (step, (sequence, place)) in table.into_iter().enumerate() {
            assert_eq!(stream.note(sequence), place, "step {step}");
        }
    }
}
