//! The body is the simulator's, and shared with its tests.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| voiceapp_sim::SEALING.1(data));
