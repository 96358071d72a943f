//! The body is shared with the tests: see `tests/corpus/targets/switchboard.rs`.

#![no_main]

#[path = "../../tests/corpus/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::SWITCHBOARD.1(data));
