//! What is sealed comes out as it went in, once, and nothing else comes out at all.

use super::*;
use crate::VoiceSecrets;
use crate::tests::random::Random;
use crate::{KeyId, SEAL_OVERHEAD_BYTES, SealedDatagram, SealedDatagramError, Secret, Suite};
use std::collections::BTreeSet;

const KEY_ID: KeyId = KeyId(0x0a0b_0c0d);
const SECRET: Secret = Secret([7; 32]);
const SUITES: [Suite; 3] = [
    Suite::Aes128GcmSha256,
    Suite::Aes256GcmSha384,
    Suite::ChaCha20Poly1305Sha256,
];
const EPOCH: u64 = 1 << EPOCH_BITS;

fn sealer(suite: Suite) -> Sealer {
    Sealer::new(suite, KEY_ID, SECRET)
}

fn opener(suite: Suite) -> ServerOpener {
    Opener::new(suite, KEY_ID, SECRET)
}

/// A frame sealed with so many zeros behind it.
fn sealed(sealer: &mut Sealer, frame: &[u8], zeros: usize) -> Vec<u8> {
    let mut datagram = vec![0xee; frame.len() + zeros + SEAL_OVERHEAD_BYTES];
    sealer.seal(frame, &mut datagram).expect("there is room");
    datagram
}

fn counter_of(datagram: &[u8]) -> u64 {
    let view = SealedDatagram::check(datagram);
    view.expect("it is a sealed datagram").counter()
}

/// What comes of a datagram, and whether it is the newest.
fn open<const WORDS: usize>(
    opener: &mut Opener<WORDS>,
    datagram: &[u8],
) -> Result<(Vec<u8>, bool), OpenError> {
    let mut copy = datagram.to_vec();
    let opened = opener.open(&mut copy)?;
    Ok((opened.inside.to_vec(), opened.is_newest))
}

#[test]
fn what_is_sealed_comes_out_as_it_was_with_zeros_behind_it() {
    for suite in SUITES {
        let (mut sealer, mut opener) = (sealer(suite), opener(suite));
        for (number, zeros) in [0, 1, 15, 16, 128].into_iter().enumerate() {
            let frame = vec![number as u8 + 1; 100 * number];
            let datagram = sealed(&mut sealer, &frame, zeros);
            assert_eq!(counter_of(&datagram), number as u64);
            let hidden = datagram
                .windows(8)
                .all(|part| part != &[number as u8 + 1; 8][..]);
            assert!(hidden, "the frame shows");
            let inside = [frame, vec![0; zeros]].concat();
            assert_eq!(open(&mut opener, &datagram), Ok((inside, true)));
        }
    }
}

/// The tables of vectors in the document, which were made by another implementation.
#[test]
fn keys_and_datagrams_are_those_of_the_document() {
    fn bytes(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2);
        let pairs = pairs.map(|pair| std::str::from_utf8(pair).expect("they are digits"));
        let byte = |pair| u8::from_str_radix(pair, 16).expect("they are hexadecimal");
        pairs.map(byte).collect()
    }
    let exported = std::array::from_fn(|place| place as u8);
    let secrets = |suite: &str| {
        let number = u16::from_str_radix(suite.trim_start_matches("0x"), 16);
        let suite = Suite::of(number.expect("it is a number")).expect("it is a suite");
        VoiceSecrets::of(KEY_ID, suite, &exported)
    };
    let text = include_str!("../../../docs/protocol.md");
    let rows = text.lines().filter_map(|line| {
        let cells = line.strip_prefix("| 0x13")?.strip_suffix(" |")?;
        let cells = cells.split(" | ").map(str::to_owned);
        <[String; 5]>::try_from(cells.collect::<Vec<_>>()).ok()
    });
    let (mut keys, mut datagrams) = (0, 0);
    for [suite, way, number, fourth, fifth] in rows {
        let secrets = secrets(&format!("0x13{suite}"));
        let suite = secrets.suite;
        let secret = match &*way {
            "c→s" => secrets.to_server,
            "s→c" => secrets.to_client,
            _ => panic!("{way} is no way"),
        };
        if fifth.len() == 24 {
            let epoch = number.parse().expect("an epoch is a number");
            let material = epoch::Material::expand(suite, &secret, epoch);
            assert_eq!(material.key(), bytes(&fourth), "{suite:?} {epoch}");
            assert_eq!(material.iv(), *bytes(&fifth), "{suite:?} {epoch}");
            keys += 1;
            continue;
        }
        let counter = number.parse().expect("a counter is a number");
        let (inside, datagram) = (bytes(&fourth), bytes(&fifth));
        let frame_len = 3 + usize::from(inside[1]) * 256 + usize::from(inside[2]);
        let mut sealer = Sealer::new(suite, KEY_ID, secret).starting_at(counter);
        let made = sealed(&mut sealer, &inside[..frame_len], inside.len() - frame_len);
        assert_eq!(made, datagram, "{suite:?} {counter}");
        let mut opener = ServerOpener::new(suite, KEY_ID, secret);
        assert_eq!(open(&mut opener, &datagram), Ok((inside, true)));
        datagrams += 1;
    }
    assert_eq!((keys, datagrams), (9, 9));
}

#[test]
fn what_follows_the_datagram_is_not_its_business() {
    let (mut sealer, mut opener) = (sealer(SUITES[0]), opener(SUITES[0]));
    let mut datagram = sealed(&mut sealer, b"frame", 0);
    datagram.extend_from_slice(b"more");
    assert_eq!(open(&mut opener, &datagram), Ok((b"frame".to_vec(), true)));
}

#[test]
fn one_frame_sealed_twice_is_two_datagrams() {
    for suite in SUITES {
        let mut sealer = sealer(suite);
        let twice = [(); 2].map(|()| sealed(&mut sealer, &[0; 64], 0));
        assert_ne!(twice[0][15..], twice[1][15..]);
        // The same state makes the same bytes.
        assert_eq!(sealed(&mut self::sealer(suite), &[0; 64], 0), twice[0]);
    }
}

#[test]
fn cut_anywhere_or_with_any_bit_flipped_it_is_refused_and_the_whole_one_still_opens() {
    for suite in SUITES {
        let mut opener = opener(suite);
        let datagram = sealed(&mut sealer(suite), b"a frame of voice", 3);
        for len in 0..datagram.len() {
            let result = open(&mut opener, &datagram[..len]);
            assert!(matches!(result, Err(OpenError::Datagram(_))), "{len} bytes");
            // Shorter by its own word as well.
            let mut lying = datagram[..len].to_vec();
            if let Some(payload_len) = len.checked_sub(3) {
                lying[1..3].copy_from_slice(&(payload_len as u16).to_be_bytes());
            }
            let expected = match len < SEAL_OVERHEAD_BYTES {
                true => OpenError::Datagram(SealedDatagramError::Malformed),
                false => OpenError::NotAuthentic,
            };
            assert_eq!(open(&mut opener, &lying), Err(expected), "{len} bytes");
        }
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = open(&mut opener, &flipped).expect_err("it is not what was sealed");
            let is_right = match bit / 8 {
                0..3 => matches!(error, OpenError::Datagram(_) | OpenError::NotAuthentic),
                3..7 => error == OpenError::OtherKey,
                7..15 => matches!(error, OpenError::NotAuthentic | OpenError::OutOfReach),
                _ => error == OpenError::NotAuthentic,
            };
            assert!(is_right, "bit {bit}: {error}");
        }
        assert!(open(&mut opener, &datagram).is_ok(), "nothing of it stays");
        assert_eq!(open(&mut opener, &datagram), Err(OpenError::Replayed));
    }
}

#[test]
fn another_secret_suite_or_direction_opens_nothing() {
    for (suite, other) in SUITES.into_iter().zip([SUITES[1], SUITES[2], SUITES[0]]) {
        let datagram = sealed(&mut sealer(suite), b"frame", 0);
        let mut openers = [
            ServerOpener::new(suite, KEY_ID, Secret([8; 32])),
            ServerOpener::new(other, KEY_ID, SECRET),
        ];
        for opener in &mut openers {
            assert_eq!(open(opener, &datagram), Err(OpenError::NotAuthentic));
        }
        let mut of_another = ServerOpener::new(suite, KeyId(1), SECRET);
        assert_eq!(open(&mut of_another, &datagram), Err(OpenError::OtherKey));
    }
}

/// The window against the set of all counters that it was told of.
#[test]
fn a_window_is_the_set_of_what_was_seen_as_far_as_it_reaches() {
    fn compare<const WORDS: usize>(seed: u64) {
        let mut random = Random(seed);
        let width = ReplayWindow::<WORDS>::WIDTH;
        let mut window = ReplayWindow::<WORDS>::new();
        let mut seen = BTreeSet::new();
        for _ in 0..20_000 {
            let next = seen.last().map_or(0u64, |highest| highest + 1);
            // Mostly about the window's two ends, and at times far beyond them.
            let reach = match random.below(20) {
                0 => 3 * width,
                1 => width + 2,
                _ => 5,
            };
            let anchor = match random.below(4) {
                0 => next.saturating_sub(width),
                _ => next,
            };
            let low = anchor.saturating_sub(reach);
            let counter = low + random.next() % (anchor + reach + 1 - low);
            let expected = if counter >= next {
                Place::Highest
            } else if seen.contains(&counter) && next - counter <= width {
                Place::Seen
            } else if next - counter > width {
                Place::TooOld
            } else {
                Place::Within
            };
            assert_eq!(window.place(counter), expected, "{counter} before {next}");
            // What is not authentic is not noted.
            if random.below(3) > 0 {
                window.note(counter);
                if expected != Place::TooOld {
                    seen.insert(counter);
                }
            }
        }
    }
    for seed in 0..8 {
        compare::<1>(seed);
        compare::<2>(seed);
        compare::<16>(seed);
    }
    assert_eq!(
        (ReplayWindow::<2>::WIDTH, ReplayWindow::<16>::WIDTH),
        (128, 1_024)
    );
}

#[test]
fn reordered_datagrams_open_once_each_as_far_as_the_window_reaches() {
    fn hear<const WORDS: usize>(width: usize) {
        let mut sealer = sealer(SUITES[0]);
        let mut opener = Opener::<WORDS>::new(SUITES[0], KEY_ID, SECRET);
        let all: Vec<_> = (0..=width).map(|_| sealed(&mut sealer, b"f", 0)).collect();
        assert!(open(&mut opener, &all[width]).is_ok_and(|(_, is_newest)| is_newest));
        assert_eq!(open(&mut opener, &all[0]), Err(OpenError::OutOfReach));
        for datagram in all[1..width].iter().rev() {
            assert!(open(&mut opener, datagram).is_ok_and(|(_, is_newest)| !is_newest));
            assert_eq!(open(&mut opener, datagram), Err(OpenError::Replayed));
        }
    }
    hear::<2>(128);
    hear::<16>(1_024);
}

#[test]
fn the_epoch_changes_by_itself_and_those_beside_it_are_accepted_and_no_others() {
    for suite in SUITES {
        let from = |counter| sealer(suite).starting_at(counter);
        let mut opener = opener(suite);
        let mut first = from(EPOCH - 2);
        let late = sealed(&mut first, b"late", 0);
        let last = sealed(&mut first, b"last", 0);
        let next = sealed(&mut first, b"next", 0);
        assert_eq!(counter_of(&next), EPOCH);
        let second_next = sealed(&mut from(2 * EPOCH), b"too early", 0);
        assert_eq!(open(&mut opener, &second_next), Err(OpenError::OutOfReach));
        assert!(open(&mut opener, &last).is_ok());

        // What only claims to be of the next epoch does not begin it.
        let mut forged = next.clone();
        forged[20] ^= 1;
        assert_eq!(open(&mut opener, &forged), Err(OpenError::NotAuthentic));
        assert_eq!(open(&mut opener, &second_next), Err(OpenError::OutOfReach));
        assert!(open(&mut opener, &next).is_ok_and(|(_, is_newest)| is_newest));
        // The one before still counts.
        assert!(open(&mut opener, &late).is_ok_and(|(_, is_newest)| !is_newest));
        assert!(open(&mut opener, &second_next).is_ok());
        assert!(open(&mut opener, &sealed(&mut from(2 * EPOCH + 1), b"go on", 0)).is_ok());
        let old = sealed(&mut from(EPOCH + 9), b"old", 0);
        assert_eq!(open(&mut opener, &old), Err(OpenError::OutOfReach));
    }
}

/// A frame under the keys of two epochs has nothing in common but its header.
#[test]
fn each_epoch_has_its_own_key() {
    let mut with_key_0 = sealer(SUITES[0]);
    let datagram = sealed(&mut with_key_0, &[0; 64], 0);
    let mut renumbered = datagram.clone();
    renumbered[7..15].copy_from_slice(&EPOCH.to_be_bytes());
    let mut opener = opener(SUITES[0]);
    assert_eq!(open(&mut opener, &renumbered), Err(OpenError::NotAuthentic));
    assert!(open(&mut opener, &datagram).is_ok());
}

#[test]
fn counters_rise_across_epochs_and_end_before_they_repeat() {
    let mut sealer = sealer(SUITES[0]).starting_at(EPOCH - 100);
    let counters: Vec<u64> = (0..200)
        .map(|_| counter_of(&sealed(&mut sealer, b"f", 0)))
        .collect();
    assert!(counters.iter().copied().eq(EPOCH - 100..EPOCH + 100));
    // It never goes back, whatever is asked of it.
    sealer = sealer.starting_at(3);
    assert_eq!(counter_of(&sealed(&mut sealer, b"f", 0)), EPOCH + 100);

    let mut sealer = sealer.starting_at(COUNTER_LIMIT - 1);
    assert_eq!(sealer.left(), 1);
    let last = sealed(&mut sealer, b"the last", 0);
    assert_eq!(counter_of(&last), COUNTER_LIMIT - 1);
    let mut datagram = [0; 40];
    for _ in 0..3 {
        assert_eq!(sealer.seal(b"f", &mut datagram), Err(SealError::Exhausted));
        assert_eq!(sealer.left(), 0);
    }
    // Nor is there an epoch beyond.
    let mut beyond = last.clone();
    beyond[7..15].copy_from_slice(&u64::MAX.to_be_bytes());
    assert_eq!(
        open(&mut opener(SUITES[0]), &beyond),
        Err(OpenError::OutOfReach)
    );
}

#[test]
fn a_buffer_of_the_wrong_length_spends_no_counter() {
    let mut sealer = sealer(SUITES[0]);
    for len in [0, 3, SEAL_OVERHEAD_BYTES + 4] {
        assert_eq!(
            sealer.seal(b"frame", &mut vec![0; len]),
            Err(SealError::Length)
        );
    }
    for len in [0, SEAL_OVERHEAD_BYTES - 1, 65_539] {
        let result = sealer.seal_in_place(&mut vec![0; len]);
        assert_eq!(result, Err(SealError::Length));
    }
    assert!(sealer.seal_in_place(&mut vec![0; 65_538]).is_ok());
    assert_eq!(counter_of(&sealed(&mut sealer, b"frame", 0)), 1);
}

/// Lost, doubled, reordered, forged and cut datagrams over an edge of epochs: what comes out went in, once
/// each, and what should come out does.
#[test]
fn through_an_unkind_network_each_frame_comes_once_or_not_at_all() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let suite = SUITES[random.below(3)];
        let mut sealer = sealer(suite);
        let mut opener = opener(suite);
        // An opener follows from epoch to epoch.
        let begin = EPOCH * random.below(3) as u64;
        for epoch in 0..begin >> EPOCH_BITS {
            sealer = sealer.starting_at((epoch + 1) * EPOCH - 1);
            assert!(open(&mut opener, &sealed(&mut sealer, b"f", 0)).is_ok());
        }
        sealer = sealer.starting_at(begin + EPOCH - 300);
        let mut network: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut heard = BTreeSet::new();
        let mut newest = 0;
        for number in 0u64..1_000 {
            let frame = [&number.to_be_bytes()[..], &[number as u8; 40]].concat();
            network.push((number, sealed(&mut sealer, &frame, random.below(20))));
            while network.len() > random.below(200) {
                let place = random.below(network.len());
                let (number, mut datagram) = match random.below(4) {
                    0 => network[place].clone(),
                    _ => network.remove(place),
                };
                let is_damaged = random.below(4) == 0;
                match random.below(3) {
                    _ if !is_damaged => {}
                    0 => datagram.truncate(random.below(datagram.len())),
                    _ => {
                        let bit = random.below(datagram.len() * 8);
                        datagram[bit / 8] ^= 1 << (bit % 8);
                    }
                }
                let result = open(&mut opener, &datagram);
                if is_damaged || heard.contains(&number) || number + 128 <= newest {
                    assert!(result.is_err(), "{number} of seed {seed}");
                    continue;
                }
                let (inside, is_newest) =
                    result.unwrap_or_else(|error| panic!("{number}: {error}"));
                assert_eq!(inside[..8], number.to_be_bytes());
                assert_eq!(is_newest, heard.is_empty() || number > newest);
                heard.insert(number);
                newest = newest.max(number);
            }
        }
        assert!(heard.len() > 500, "seed {seed}: {}", heard.len());
    }
}
