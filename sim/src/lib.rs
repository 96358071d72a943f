//! The simulator of voiceapp-server: everything that the loop does in production, with the kernel, the network and the
//! clients made up, and a plain model of the protocol that sees every input and every output.
//!
//! There is one of each. `chance` is where every decision comes from: a seed, or the bytes of a fuzzer. `odds` says
//! what kind of run it is. `kernel` has the connections, the listening socket and the datagrams, as unkind as a kernel
//! may be. `client` is the client: what it writes, and what it makes of what it reads; some ask for
//! capabilities, and some seal their voice, with what is in `keys`. `model` is the oracle: what
//! the server must do, told as plainly as the protocol tells it. `world` moves the time, drives the loop, and looks at
//! everything after each turn. The loop is the server's own, by its feature `simulation`.
//!
//! Three ways drive it. **Seeds** (`seeds.rs`): fixed ones that must run into all that is listed there, fresh ones, and
//! from the environment `SIM_SEED=n` (this one alone, with its last steps if it fails), `SIM_SECONDS=n` (fresh ones for
//! so long) and `SIM_STEPS=n` (the length of every run). **Bytes** (`corpus.rs`, and `fuzz/`): the same runs, decided by
//! a fuzzer. **Stories** (`stories/`): no odds at all, and what happens is told, sentence by sentence.
//!
//! # To add something
//!
//! - **A packet**: its id and fields in `wire.rs`; what a server makes of it in `model.rs` (`Model::packet`), or in
//!   `model/voice.rs` if it is a datagram; what a client makes of it in `client/picture.rs`; a story.
//! - **What a client does**: a variant of `odds::Action` with its weights, and its arm in `world/actions.rs`.
//! - **A kind of client**, such as one that asks for extensions: a field of `client::Client` that `World::connect` draws,
//!   and what it writes in `Client::request`; in the model, a field of its `Connection`.
//! - **A fault**: a field of `kernel::pipe::Faults`, `kernel::air::AirFaults` or `odds::Odds`, drawn in `Odds::draw`, and
//!   set to nothing in `World::settle`, as everything must come to rest without it.
//! - **An input of the switchboard**: a variant of `Input` in the server's `switchboard/watch.rs`, where the switchboard
//!   says that it was given one, and its arm in `model/tap.rs`.
//! - **A limit**: draw it in `odds.rs`, and follow it in the model. What it refuses goes to the list in `seeds.rs`.
//! - **A story**: a test in `stories/`, with the words of `story.rs`.
//!
//! Whatever is odd about a run that fails is printed first: its seed, and all its odds.
//!
//! The library is empty unless it is tested or fuzzed, so that no program is built with the server's feature.

#![cfg(any(test, feature = "fuzz"))]
#![allow(missing_docs, reason = "nobody but the tests and the fuzzer has it")]

mod chance;
mod client;
mod codec;
#[cfg(test)]
mod corpus;
mod kernel;
#[cfg(feature = "encryption")]
mod keys;
#[cfg(not(feature = "encryption"))]
#[path = "no_keys.rs"]
mod keys;
mod model;
mod odds;
mod runs;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod story;
mod wire;
mod world;

/// A fuzzer's target: its name, which is also that of its folder of files, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const SPLITTER: Target = ("splitter", codec::splitter::run);
pub const DECODERS: Target = ("decoders", codec::decoders::run);
#[cfg(feature = "encryption")]
pub const SEALING: Target = ("sealing", codec::sealing::run);
pub const WORLD: Target = ("world", |bytes| {
    runs::run_bytes(bytes);
});
