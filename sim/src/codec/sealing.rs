//! Sealing and opening with fixed keys: whatever is lost, doubled, reordered, cut, changed or made up, what is opened was
//! sealed, comes out as it went in, and comes out once.

use crate::chance::Chance;
use std::collections::BTreeSet;
use voiceapp_server::protocol::sealing::{EPOCH_BITS, OpenError, Opener, Sealer};
use voiceapp_server::protocol::{
    KeyId, SEAL_OVERHEAD_BYTES, SEALED_HEADER_BYTES, SealedDatagram, Secret, Suite,
};

const KEY_ID: KeyId = KeyId(0x0102_0304);
const SECRET: Secret = Secret([5; 32]);
const SUITES: [Suite; 3] = [
    Suite::Aes128GcmSha256,
    Suite::Aes256GcmSha384,
    Suite::ChaCha20Poly1305Sha256,
];
/// As wide as a server's.
const WIDTH: u64 = 128;
/// More only cost time.
const STEPS_MAX: usize = 400;

/// A datagram on its way, and what is in it.
struct Sealed {
    datagram: Vec<u8>,
    counter: u64,
    inside: Vec<u8>,
}

/// What an opener must do, as plainly as the protocol tells it.
#[derive(Default)]
struct Model {
    opened: BTreeSet<u64>,
}

impl Model {
    /// Whether an authentic datagram with this counter is opened, and as the newest.
    fn expect(&mut self, counter: u64) -> Result<bool, OpenError> {
        let highest = self.opened.last().copied();
        if highest.is_some_and(|highest| highest + 1 > counter + WIDTH) {
            return Err(OpenError::OutOfReach);
        }
        if self.opened.contains(&counter) {
            return Err(OpenError::Replayed);
        }
        // The first epoch is the current one before anything came.
        let current = highest.unwrap_or(0) >> EPOCH_BITS;
        if (counter >> EPOCH_BITS).abs_diff(current) > 1 {
            return Err(OpenError::OutOfReach);
        }
        self.opened.insert(counter);
        Ok(highest.is_none_or(|highest| counter > highest))
    }
}

pub fn run(data: &[u8]) {
    let mut input = Chance::of_bytes(data);
    let suite = input.pick(&SUITES);
    let mut sealer = Sealer::new(suite, KEY_ID, SECRET);
    let mut opener = Opener::<2>::new(suite, KEY_ID, SECRET);
    let mut model = Model::default();
    let mut sent: Vec<Sealed> = Vec::new();
    for _ in 0..STEPS_MAX {
        if input.is_over() {
            break;
        }
        match input.below(8) {
            0..=2 => sent.push(seal(&mut input, &mut sealer, &sent)),
            3 => sealer = pass_over(&mut input, sealer),
            4 | 5 if !sent.is_empty() => {
                let at = pick_late(&mut input, sent.len());
                let Sealed {
                    datagram,
                    counter,
                    inside,
                } = &sent[at];
                let mut copy = datagram.clone();
                let more = input.below(3);
                copy.extend(input.bytes(more));
                let expected = model.expect(*counter);
                let opened = opener.open(&mut copy);
                let opened = opened.map(|opened| (opened.inside.to_vec(), opened.is_newest));
                assert_eq!(
                    opened,
                    expected.map(|is_newest| (inside.clone(), is_newest))
                );
            }
            6 if !sent.is_empty() => {
                let at = pick_late(&mut input, sent.len());
                let mut changed = sent[at].datagram.clone();
                change(&mut input, &mut changed);
                refuse(&mut opener, changed, &sent);
            }
            _ => {
                let len = input.below(64);
                let made_up = input.bytes(len);
                refuse(&mut opener, made_up, &sent);
            }
        }
    }
}

fn seal(input: &mut Chance, sealer: &mut Sealer, sent: &[Sealed]) -> Sealed {
    let len = input.below(300);
    let frame = input.bytes(len);
    let zeros = input.below(129);
    let mut datagram = vec![0xee; frame.len() + zeros + SEAL_OVERHEAD_BYTES];
    sealer.seal(&frame, &mut datagram).expect("there is room");
    let view = SealedDatagram::check(&*datagram).expect("it is a sealed datagram");
    let counter = view.counter();
    assert_eq!((view.key_id(), view.frame()), (KEY_ID, &*datagram));
    assert!(
        sent.last().is_none_or(|last| counter > last.counter),
        "a counter comes again"
    );
    let mut inside = frame;
    inside.resize(inside.len() + zeros, 0);
    Sealed {
        counter,
        inside,
        datagram,
    }
}

/// Goes on a little later, at the window's edge, or near the end of an epoch.
fn pass_over(input: &mut Chance, sealer: Sealer) -> Sealer {
    let next = voiceapp_server::protocol::sealing::COUNTER_LIMIT - sealer.left();
    let to = match input.below(4) {
        0 => ((next >> EPOCH_BITS) + 1) << EPOCH_BITS,
        1 => (((next >> EPOCH_BITS) + 1) << EPOCH_BITS) - 3,
        // To either side of the window's edge.
        2 => next + WIDTH - 3 + input.below(4) as u64,
        _ => next + input.below(16) as u64,
    };
    sealer.starting_at(to)
}

/// One of the last mostly, as the others are behind the window.
fn pick_late(input: &mut Chance, len: usize) -> usize {
    match input.below(4) {
        0 => input.below(len),
        _ => len - 1 - input.below(len.min(8)),
    }
}

fn change(input: &mut Chance, datagram: &mut Vec<u8>) {
    let at = input.below(datagram.len());
    match input.below(4) {
        0 => datagram.truncate(at),
        1 => datagram[at] ^= 1 << input.below(8),
        2 => datagram[at] = input.below(256) as u8,
        // Another counter under the same seal.
        _ => datagram[SEALED_HEADER_BYTES - 1] ^= 1 << input.below(8),
    }
}

/// Nothing comes of what was not sealed, whatever it says of itself.
fn refuse(opener: &mut Opener<2>, mut datagram: Vec<u8>, sent: &[Sealed]) {
    let is_sealed = SealedDatagram::check(&*datagram)
        .is_ok_and(|view| sent.iter().any(|it| it.datagram == view.frame()));
    if !is_sealed {
        let opened = opener.open(&mut datagram);
        assert!(opened.is_err(), "what nobody has sealed is opened");
    }
}
