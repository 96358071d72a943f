//! What is fuzzed. Each target takes any bytes at all, reads from them what is to happen, and
//! panics where the server does something else than a plain model of the protocol says.
//!
//! `cargo fuzz` finds the bytes (see `fuzz/`), and `tests/corpus` plays the worthwhile ones again
//! without it. Both use these modules, which need nothing but the server itself.

#![allow(
    dead_code,
    reason = "each fuzzed binary runs one of the targets and has them all"
)]

mod bucket;
mod clock;
mod decoders;
mod input;
mod people;
mod relay;
mod rooms;
mod server;
mod splitter;
mod switchboard;
mod traffic;
mod view;
mod wire;

/// A target's name, which is also that of its folder of files, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const SPLITTER: Target = ("splitter", splitter::run);
pub const DECODERS: Target = ("decoders", decoders::run);
pub const RELAY: Target = ("relay", relay::run);
pub const SWITCHBOARD: Target = ("switchboard", switchboard::run);

pub const ALL: [Target; 4] = [SPLITTER, DECODERS, RELAY, SWITCHBOARD];
