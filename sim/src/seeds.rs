//! Seeds: fixed ones, which must run into all that is listed, fresh ones, and those that the environment asks for.

use crate::chance::Chance;
use crate::odds::{Odds, Scale};
use crate::runs::{Wish, run_seed};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};
use voiceapp_server::cause::{Cause, Counters};

/// Few, dozens, and a crowd.
const FIXED_SEEDS: [u64; 9] = [40, 15, 23, 72, 29, 4, 8, 21, 69];
/// What those must run into, so that they do not come to miss it one day without anyone noticing.
const MUST_OCCUR: [Cause; 53] = [
    Cause::VoiceUnknownSource,
    Cause::VoiceNotInChannel,
    Cause::VoiceMuted,
    Cause::VoiceTooFast,
    Cause::VoiceTooFastFromAddress,
    Cause::VoiceTooLate,
    Cause::DatagramMalformed,
    Cause::DatagramUnknownId,
    Cause::DatagramTooLong,
    Cause::VoiceAuthUnknownToken,
    Cause::VoiceAuthElsewhere,
    Cause::VoiceAuthUnanswered,
    Cause::VoiceAuthBanned,
    Cause::VoiceAuthOwnAddress,
    Cause::VoiceAuthNotSealed,
    Cause::VoiceAuthTaken,
    Cause::VoiceNotSealed,
    Cause::SealUnknownKey,
    Cause::SealNotAuthentic,
    Cause::SealReplayed,
    Cause::SealOutOfReach,
    Cause::SealUnopened,
    Cause::SealPathWrong,
    Cause::SealPathUnchallenged,
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
    Cause::RefusedNoDescriptors,
    Cause::AcceptPaused,
    Cause::AcceptFailed,
    Cause::ClosedByPeer,
    Cause::ClosedBroken,
    Cause::ClosedMalformed,
    Cause::ClosedLoginRefused,
    Cause::ClosedTooSlow,
    Cause::ClosedStalled,
    Cause::ClosedVanished,
    Cause::ClosedBanned,
    Cause::ClosedCrowdedOut,
    Cause::ClosedLoginDeadline,
];
const FRESH_SEEDS: usize = 2;

#[test]
fn fixed_seeds() {
    if is_asked_for_something_else() {
        return;
    }
    let mut counters = Counters::new();
    let mut relayed = 0;
    for seed in FIXED_SEEDS {
        let summary = run_seed(seed, wish(false));
        counters.add(&summary.counters);
        relayed += summary.relayed;
    }
    if variable("SIM_STEPS").is_none() {
        assert!(relayed > 100, "hardly anyone was heard: {relayed}");
        let missed = MUST_OCCUR.iter().filter(|&&cause| counters.get(cause) == 0);
        assert_eq!(missed.collect::<Vec<_>>(), [] as [&Cause; 0]);
    }
}

#[test]
fn fresh_seeds() {
    if is_asked_for_something_else() {
        return;
    }
    let mut seeds = Chance::Seed(fresh_seed());
    let mut left = FRESH_SEEDS;
    while left > 0 {
        let seed = seeds.next();
        // A crowd takes as long as all the others.
        if Odds::draw(&mut Chance::Seed(seed)).scale != Scale::Hundreds {
            println!("fresh seed {seed}");
            run_seed(seed, wish(false));
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
    assert_eq!(run_seed(seed, wish(false)), run_seed(seed, wish(true)));
}

#[test]
fn what_the_environment_asks_for() {
    if let Some(seed) = variable("SIM_SEED") {
        let summary = run_seed(seed, wish(true));
        println!("seed {seed}: {summary:x?}");
    }
    if let Some(seconds) = variable("SIM_SECONDS") {
        run_for(Duration::from_secs(seconds));
    }
}

fn run_for(duration: Duration) {
    let start = Instant::now();
    let mut seeds = Chance::Seed(fresh_seed());
    let (mut runs, mut steps, mut turns, mut inputs, mut relayed) = (0, 0, 0, 0, 0);
    let mut counters = Counters::new();
    while start.elapsed() < duration {
        let summary = run_seed(seeds.next(), wish(false));
        runs += 1;
        steps += summary.steps;
        turns += summary.turns;
        inputs += summary.inputs;
        relayed += summary.relayed;
        counters.add(&summary.counters);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{runs} runs, {steps} steps, {turns} turns, {inputs} inputs in {seconds:.1} s: {:.0} inputs a \
         second; {relayed} voice datagrams relayed",
        inputs as f64 / seconds
    );
    for (cause, count) in counters.occurred() {
        println!("{}: {count}", cause.name());
    }
}

fn is_asked_for_something_else() -> bool {
    variable("SIM_SEED").is_some() || variable("SIM_SECONDS").is_some()
}

fn wish(with_log: bool) -> Wish {
    Wish {
        steps: variable("SIM_STEPS"),
        with_log,
    }
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
