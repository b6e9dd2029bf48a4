//! A network under one seed: see `trade_core::testing::simulation`.
//!
//! One seed, with its trace: `TRADE_SIMULATION_SEED=7 cargo test -p trade-core --all-features --test simulation seed_of`.
//! Many, for an hour: `TRADE_SIMULATION_SECONDS=3600 cargo test --release -p trade-core --all-features --test simulation`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trade_core::testing::simulation::Simulation;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a whole number")))
}

/// Runs a seed, and tells how to repeat one that fails.
fn hold(seed: u64) {
    let held = std::panic::catch_unwind(|| Simulation::of_seed(seed).assert_holds());
    assert!(
        held.is_ok(),
        "repeat it with: TRADE_SIMULATION_SEED={seed} \
         cargo test -p trade-core --all-features --test simulation seed_of -- --nocapture"
    );
}

#[test]
fn whatever_befalls_a_network_it_holds() {
    for seed in 0..100 {
        hold(seed);
    }
}

/// From seeds that no run before this one had, one after the other, while there is time: a minute where the tests run
/// whole, and a second otherwise.
#[test]
fn as_many_seeds_as_there_is_time_for_hold() {
    let is_whole = std::env::var_os("TRADE_TEST_REQUIRE").is_some();
    let seconds = number("TRADE_SIMULATION_SECONDS").unwrap_or(if is_whole { 60 } else { 1 });
    let end = Instant::now() + Duration::from_secs(seconds);
    let first = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let first = u64::try_from(first).unwrap() << 16;
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let played = std::thread::scope(|scope| {
        let play = |thread| {
            let mut seeds = (first + thread..).step_by(usize::try_from(threads).unwrap());
            let seeds = seeds.by_ref().take_while(|_| Instant::now() < end);
            seeds.map(hold).count()
        };
        let players: Vec<_> = (0..threads).map(|thread| scope.spawn(move || play(thread))).collect();
        players.into_iter().map(|player| player.join().unwrap()).sum::<usize>()
    });
    println!("note: {played} seeds from {first} on hold, in {seconds} s");
    assert!(played > 0);
}

#[test]
fn the_same_seed_does_the_same_to_the_letter() {
    for seed in 0..20 {
        let simulation = Simulation::of_seed(seed);
        let (once, again) = (simulation.trace(), simulation.trace());
        // The first line that differs says more than both traces.
        for (number, (once, again)) in once.lines().zip(again.lines()).enumerate() {
            assert_eq!(once, again, "line {number} of seed {seed}");
        }
        assert_eq!(once, again);
    }
}

/// The seed of the environment, and what happens under it.
#[test]
fn seed_of_the_environment() {
    let seed = number("TRADE_SIMULATION_SEED").unwrap_or(0);
    let trace = Simulation::of_seed(seed).trace();
    assert!(trace.contains(" is answered by "));
    println!("{trace}");
}
