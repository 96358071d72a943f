//! The body is shared with the tests: see `tests/corpus/targets/decoders.rs`.

#![no_main]

#[path = "../../tests/corpus/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::DECODERS.1(data));
