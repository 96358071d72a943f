//! The simulation of the loop: everything that [`Core`](super::core::Core) does, on streams, a
//! listener and a voice socket that fail in every way in which the kernel's may. One seed decides a
//! run.
//!
//! `cargo test --lib` runs some fixed seeds and a few fresh ones. From the environment:
//! `LOOP_SEED=n` runs this seed alone and prints the last steps if it fails, and `LOOP_SECONDS=n`
//! runs fresh seeds for so long; add `-- --nocapture` to see the figures.

mod actions;
mod checks;
mod client;
mod line;
mod listener;
mod picture;
mod pipe;
mod plan;
// The one that the other simulation has; some of it only that needs.
#[allow(dead_code)]
#[path = "../../tests/simulation/random.rs"]
mod random;
mod rest;
mod voice;
mod world;

use crate::cause::{Cause, Counters};
use plan::Scale;
use random::Random;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use world::World;

/// The second-last spends every budget, and the last has more long frames than strangers may.
const FIXED_SEEDS: [u64; 6] = [3, 5, 1, 11, 6, 160];
/// What those must run into, so that they do not come to miss it one day without anyone noticing.
const MUST_OCCUR: [Cause; 10] = [
    Cause::ClosedByPeer,
    Cause::ClosedBroken,
    Cause::ClosedMalformed,
    Cause::ClosedTooSlow,
    Cause::ClosedStalled,
    Cause::ClosedVanished,
    Cause::ClosedCrowdedOut,
    Cause::ClosedLoginDeadline,
    Cause::AcceptPaused,
    Cause::RefusedNoDescriptors,
];
const FRESH_SEEDS: usize = 2;

/// What a run was.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    steps: u64,
    turns: u64,
    events: u64,
    relayed: u64,
    digest: u64,
    counters: Counters,
}

#[test]
fn fixed_seeds() {
    if is_asked_for_something_else() {
        return;
    }
    let mut counters = Counters::new();
    for seed in FIXED_SEEDS {
        counters.add(&run(seed, false).counters);
    }
    let missed = MUST_OCCUR.iter().filter(|&&cause| counters.get(cause) == 0);
    assert_eq!(missed.collect::<Vec<_>>(), [] as [&Cause; 0]);
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
        // Hundreds take as long as all the others.
        if Scale::of(seed) != Scale::Hundreds {
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
    let seed = FIXED_SEEDS[0];
    assert_eq!(run(seed, false), run(seed, true));
}

#[test]
fn what_the_environment_asks_for() {
    if let Some(seed) = variable("LOOP_SEED") {
        let summary = run(seed, true);
        println!("seed {seed}: {summary:x?}");
    }
    if let Some(seconds) = variable("LOOP_SECONDS") {
        run_for(Duration::from_secs(seconds));
    }
}

fn run_for(duration: Duration) {
    let start = Instant::now();
    let mut seeds = Random::new(fresh_seed());
    let (mut runs, mut steps, mut turns, mut events, mut relayed) = (0, 0, 0, 0, 0);
    let mut counters = Counters::new();
    while start.elapsed() < duration {
        let summary = run(seeds.next(), false);
        runs += 1;
        steps += summary.steps;
        turns += summary.turns;
        events += summary.events;
        relayed += summary.relayed;
        counters.add(&summary.counters);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{runs} runs, {steps} steps, {turns} turns in {seconds:.1} s: {:.0} steps and {:.0} turns a \
         second; {events} events read, {relayed} voice datagrams relayed",
        steps as f64 / seconds,
        turns as f64 / seconds
    );
    for (cause, count) in counters.occurred() {
        println!("{}: {count}", cause.name());
    }
}

/// Runs one seed. A failure says where it was, and how to see it again.
fn run(seed: u64, with_log: bool) -> Summary {
    let mut world = World::new(seed, with_log);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(panic) = result {
        for line in &world.log.lines {
            eprintln!("{line}");
        }
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        panic!(
            "seed {seed} failed at step {}: {}\nto see it again: \
             LOOP_SEED={seed} cargo test --lib simulation -- --nocapture",
            world.step,
            text.unwrap_or("a panic without a message"),
        );
    }
    let mut counters = world.core.switchboard.counters();
    counters.add(&world.core.counters);
    counters.add(&world.core.voice.0.counters);
    Summary {
        steps: world.step,
        turns: world.turns,
        events: world.events,
        relayed: world.core.voice.0.socket.relayed,
        digest: world.digest.value(),
        counters,
    }
}

fn is_asked_for_something_else() -> bool {
    variable("LOOP_SEED").is_some() || variable("LOOP_SECONDS").is_some()
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, and not {value:?}")))
}

/// The one thing that a seed does not decide.
fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
