//! The simulation: seeded clients, a faulty network and a virtual clock against the switchboard
//! that runs in production, with a plain model of the protocol as the oracle. One seed decides a
//! run, byte for byte.
//!
//! `cargo test --test simulation` runs some fixed seeds and a few fresh ones. From the environment:
//! `SIMULATION_SEED=n` runs this seed alone and prints the last steps if it fails,
//! `SIMULATION_STEPS=n` sets the length of every run, and `SIMULATION_SECONDS=n` runs fresh seeds
//! for so long; add `-- --nocapture` to see the figures.

mod actions;
mod bans;
mod bucket;
mod client;
mod datagrams;
mod finale;
mod inputs;
mod junk;
mod model;
mod model_broadcasts;
mod model_sources;
mod model_state;
mod model_voice;
mod network;
mod outputs;
mod plan;
mod random;
mod session;
mod wire;
mod world;

use plan::Scale;
use random::Random;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use voiceapp_server::cause::{Cause, Counters};
use world::World;

/// Some with few clients and some with hundreds.
const FIXED_SEEDS: [u64; 14] = [9, 10, 3, 8, 11, 12, 1, 4, 5, 7, 19, 23, 24, 30];
/// What those must run into, so that they do not come to miss it one day without anyone noticing.
const MUST_OCCUR: [Cause; 34] = [
    Cause::VoiceUnknownSource,
    Cause::VoiceNotInChannel,
    Cause::VoiceMuted,
    Cause::VoiceTooFast,
    Cause::VoiceTooFastFromAddress,
    Cause::DatagramMalformed,
    Cause::DatagramUnknownId,
    Cause::DatagramTooLong,
    Cause::VoiceAuthUnknownToken,
    Cause::VoiceAuthUnanswered,
    Cause::VoiceAuthBanned,
    Cause::LoginBadName,
    Cause::LoginServerFull,
    Cause::LoginTooFast,
    Cause::LoginRepeated,
    Cause::RequestBeforeLogin,
    Cause::ChatEmpty,
    Cause::ChatTooLong,
    Cause::ChatTooFast,
    Cause::BroadcastTooMuch,
    Cause::StateToldLater,
    Cause::FrameUnknownId,
    Cause::FrameUnexpectedId,
    Cause::RefusedBanned,
    Cause::RefusedTooOften,
    Cause::RefusedTooManyFromAddress,
    Cause::RefusedTooManyPending,
    Cause::ClosedByPeer,
    Cause::ClosedMalformed,
    Cause::ClosedLoginRefused,
    Cause::ClosedTooSlow,
    Cause::ClosedBanned,
    Cause::ClosedCrowdedOut,
    Cause::ClosedLoginDeadline,
];
const CROWD_SEED: u64 = 6;
const FRESH_SEEDS: usize = 2;

/// What a run was.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    steps: u64,
    inputs: u64,
    /// Voice datagrams that went to at least one other user.
    heard: u64,
    digest: u64,
    counters: Counters,
}

#[test]
fn fixed_seeds() {
    if is_asked_for_something_else() {
        return;
    }
    let mut counters = Counters::new();
    let mut heard = 0;
    for seed in FIXED_SEEDS {
        let summary = run(seed, false);
        counters.add(&summary.counters);
        heard += summary.heard;
    }
    if variable("SIMULATION_STEPS").is_none() {
        assert!(heard > 1_000, "hardly anyone was heard: {heard}");
        let missed = MUST_OCCUR.iter().filter(|&&cause| counters.get(cause) == 0);
        assert_eq!(missed.collect::<Vec<_>>(), [] as [&Cause; 0]);
    }
}

#[test]
fn a_crowd() {
    if is_asked_for_something_else() {
        return;
    }
    assert_eq!(Scale::of(CROWD_SEED), Scale::Crowd);
    let counters = run(CROWD_SEED, false).counters;
    assert!(counters.get(Cause::ClosedCrowdedOut) > 0);
}

#[test]
fn fresh_seeds() {
    if is_asked_for_something_else() {
        return;
    }
    let mut seeds = Random::new(fresh_seed());
    let mut left = FRESH_SEEDS;
    while left > 0 {
        let seed = seeds.next();
        // One crowd in a test run is enough: it takes as long as all the others.
        if Scale::of(seed) != Scale::Crowd {
            println!("fresh seed {seed}");
            run(seed, false);
            left -= 1;
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    if is_asked_for_something_else() {
        return;
    }
    let [one, other, ..] = FIXED_SEEDS;
    assert_eq!(run(one, false), run(one, true));
    assert_eq!(run(other, false), run(other, true));
}

#[test]
fn what_the_environment_asks_for() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        let summary = run(seed, true);
        println!(
            "seed {seed}: {} steps, digest {:#x}",
            summary.steps, summary.digest
        );
        print_counts(summary.heard, &summary.counters);
    }
    if let Some(seconds) = variable("SIMULATION_SECONDS") {
        run_for(Duration::from_secs(seconds));
    }
}

fn run_for(duration: Duration) {
    let start = Instant::now();
    let mut seeds = Random::new(fresh_seed());
    let (mut runs, mut steps, mut inputs, mut heard) = (0, 0, 0, 0);
    let mut counters = Counters::new();
    while start.elapsed() < duration {
        let summary = run(seeds.next(), false);
        runs += 1;
        steps += summary.steps;
        inputs += summary.inputs;
        heard += summary.heard;
        counters.add(&summary.counters);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{runs} runs, {steps} steps, {inputs} inputs in {seconds:.1} s: {:.0} steps and {:.0} inputs a second",
        steps as f64 / seconds,
        inputs as f64 / seconds
    );
    print_counts(heard, &counters);
}

/// What was refused, dropped and ended, to see that a run gets everywhere.
fn print_counts(heard: u64, counters: &Counters) {
    println!("voice datagrams relayed to someone: {heard}");
    for (cause, count) in counters.occurred() {
        println!("{}: {count}", cause.name());
    }
}

/// Runs one seed. A failure says where it was, and how to see it again.
fn run(seed: u64, with_trace: bool) -> Summary {
    let mut world = World::new(seed, variable("SIMULATION_STEPS"), with_trace);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(panic) = result {
        for line in world.trace() {
            eprintln!("{line}");
        }
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        panic!(
            "seed {seed} failed at step {} of {}: {}\nto see it again: \
             SIMULATION_SEED={seed} SIMULATION_STEPS={} cargo test --test simulation -- --nocapture",
            world.step,
            world.plan.steps,
            text.unwrap_or("a panic without a message"),
            world.plan.steps,
        );
    }
    Summary {
        steps: world.step,
        inputs: world.inputs,
        heard: world.heard,
        counters: world.switchboard.counters(),
        digest: world.digest.value(),
    }
}

fn is_asked_for_something_else() -> bool {
    variable("SIMULATION_SEED").is_some() || variable("SIMULATION_SECONDS").is_some()
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, and not {value:?}")),
    )
}

/// The one thing that a seed does not decide.
fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
