//! The fuzzer's corpus, played again without a fuzzer: every committed file, and some mutations of them that are the same
//! every time.
//!
//! `corpus/` has a folder for every target. The inputs with a word for a name were made by hand; the others, `found_…`,
//! are those that `cargo fuzz` (see `fuzz/`) found and that add most to what is reached. An input that fails here can
//! be handed to it, too.

#[cfg(feature = "encryption")]
use crate::SEALING;
use crate::chance::Chance;
use crate::{DECODERS, SPLITTER, Target, WORLD};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The longest that a mutation may get.
const BYTES_MAX: usize = 4_096;

#[test]
fn splitter() {
    replay(SPLITTER, 1_500);
}

#[test]
fn decoders() {
    replay(DECODERS, 1_500);
}

#[cfg(feature = "encryption")]
#[test]
fn sealing() {
    replay(SEALING, 1_500);
}

#[test]
fn world() {
    replay(WORLD, 100);
}

fn replay(target: Target, mutations: usize) {
    let files = files_of(target);
    for (name, bytes) in &files {
        play(target, name, bytes);
    }
    let mut chance = Chance::Seed(0);
    for number in 0..mutations {
        let (name, bytes) = &files[chance.below(files.len())];
        let (_, other) = &files[chance.below(files.len())];
        let mutant = mutate(&mut chance, bytes, other);
        play(target, &format!("mutation {number} of {name}"), &mutant);
    }
}

/// The committed inputs of a target, in the order of their names.
fn files_of((name, _): Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("corpus").join(name);
    let entries = fs::read_dir(&folder).expect("every target has a folder");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name().into_string().expect("names are plain");
            (name, fs::read(entry.path()).expect("files can be read"))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Runs one input. If it fails, it is left where the fuzzer can take it from.
fn play((target, run): Target, name: &str, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
        let file = std::env::temp_dir().join(format!("voiceapp-failed-{target}"));
        let file = file.display().to_string();
        fs::write(&file, bytes).expect("there is a folder for that");
        panic!(
            "{target} fails with {name}; to see it again: cargo +nightly fuzz run -s none {target} {file}"
        );
    }
}

/// One to eight of what a fuzzer does to bytes as well.
fn mutate(chance: &mut Chance, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let mut mutant = bytes.to_vec();
    for _ in 0..=chance.below(8) {
        let at = chance.below(mutant.len() + 1);
        let end = at + chance.below(mutant.len() - at + 1).min(64);
        match chance.below(7) {
            0 => mutant.insert(at, chance.next() as u8),
            1 if at < mutant.len() => mutant[at] ^= 1 << chance.below(8),
            2 if at < mutant.len() => mutant[at] = chance.next() as u8,
            3 => drop(mutant.drain(at..end)),
            4 => {
                let block = mutant[at..end].to_vec();
                mutant.splice(at..at, block);
            }
            5 => {
                let from = chance.below(other.len() + 1);
                mutant.truncate(at);
                mutant.extend_from_slice(&other[from..]);
            }
            _ => {
                let from = chance.below(other.len() + 1);
                let to = from + chance.below(other.len() - from + 1).min(64);
                mutant.splice(at..at, other[from..to].iter().copied());
            }
        }
        mutant.truncate(BYTES_MAX);
    }
    mutant
}
