//! Runs by seeds and by bytes, and what is printed when one fails: its odds first, then the last things that happened.

use crate::chance::Chance;
use crate::odds::Odds;
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind};
use voiceapp_server::cause::Counters;

/// What a run was.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    pub steps: u64,
    pub turns: u64,
    /// What the switchboard was given to handle.
    pub inputs: u64,
    /// Voice datagrams that went to at least one other user.
    pub relayed: u64,
    pub digest: u64,
    pub counters: Counters,
}

/// How a run is to be made.
#[derive(Clone, Copy, Default)]
pub struct Wish {
    pub steps: Option<u64>,
    pub with_log: bool,
}

/// Runs one seed. A failure says where it was, and how to see it again.
#[cfg(test)]
pub fn run_seed(seed: u64, wish: Wish) -> Summary {
    let hint =
        format!("to see it again: SIM_SEED={seed} cargo test -p voiceapp-sim seeds -- --nocapture");
    run(Chance::Seed(seed), wish, &format!("seed {seed}"), &hint)
}

/// Runs some bytes, whatever they are.
pub fn run_bytes(bytes: &[u8]) -> Summary {
    let wish = Wish {
        steps: Some(300),
        with_log: false,
    };
    run(Chance::of_bytes(bytes), wish, "these bytes", "")
}

fn run(mut chance: Chance, wish: Wish, what: &str, hint: &str) -> Summary {
    let mut odds = Odds::draw(&mut chance);
    odds.steps = wish.steps.unwrap_or(odds.steps);
    let mut world = World::new(chance, odds);
    world.log.is_kept = wish.with_log;
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(panic) = result {
        eprintln!("{what} has these odds: {:?}", world.odds);
        for line in &world.log.lines {
            eprintln!("{line}");
        }
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("a panic without a message");
        panic!("{what} failed at step {}: {text}\n{hint}", world.step);
    }
    let tap = world.tap.get();
    Summary {
        steps: world.step,
        turns: world.turns,
        inputs: tap.inputs,
        relayed: tap.air.relayed,
        digest: world.digest.0,
        counters: world.core.counters(),
    }
}
