//! `TRIPLINE_SEEDS=20000` runs as many seeds; `TRIPLINE_SEED=17` runs one and prints it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tripline::engine::mistakes::{Mistake, Mistakes};
use tripline_tests::simulation::{self, Summary};

/// After so many seeds that failed no more are run.
const MOST_FAILURES: usize = 20;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn seeds() -> std::ops::Range<u64> {
    match number("TRIPLINE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("TRIPLINE_SEEDS").unwrap_or(200) + 1,
    }
}

#[test]
fn no_seed_loses_or_doubles_anything() {
    let seeds = seeds();
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let (sum, runs) = (Mutex::new(Summary::default()), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for thread in 0..threads {
            let (seeds, sum, runs, failed) = (seeds.clone(), &sum, &runs, &failed);
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % threads == thread) {
                    match simulation::run(seed, Mistakes::default()) {
                        Ok(summary) => add(&mut sum.lock().unwrap(), summary),
                        Err(violation) => {
                            let mut failed = failed.lock().unwrap();
                            failed.push(format!("seed {seed}: {violation}"));
                            if failed.len() >= MOST_FAILURES {
                                return;
                            }
                        }
                    }
                    runs.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{}\nrun one alone: TRIPLINE_SEED=N cargo test --release -p tripline-tests --test simulation",
        failed.join("\n")
    );
    let (sum, runs) = (sum.into_inner().unwrap(), runs.into_inner());
    println!(
        "simulation: {runs} seeds, {} records, {} actions, {} duplicates, {} dead letters, {} crashes, {} plans, {} ticks, {} skipped, {} ends of runs",
        sum.records,
        sum.actions,
        sum.duplicates,
        sum.dead_letters,
        sum.crashes,
        sum.plans,
        sum.ticks,
        sum.skipped,
        sum.ended
    );
    println!("simulation: {:?}", sum.rules);
    println!("simulation: {:?}", sum.controls);
    if number("TRIPLINE_SEED").is_none() {
        assert!(
            sum.actions > runs && sum.duplicates > 0 && sum.dead_letters > 0 && sum.crashes > 0
        );
        assert!(sum.ticks > runs && sum.skipped > runs && sum.ended > runs / 2);
        let rules = sum.rules;
        let least = rules.superseded.min(rules.overlapped).min(rules.follow_ups);
        let of = sum.controls;
        let least_of = [of.pauses, of.frozen, of.replayed, of.rounds, of.given_up];
        assert!(least_of.iter().all(|count| *count > runs / 50), "{of:?}");
        assert!(of.trimmed > runs && of.parked > runs / 100, "{of:?}");
        assert!(of.commands > runs / 2, "{of:?}");
        assert!(least > runs / 10 && rules.limited.min(rules.in_lanes) > runs, "{rules:?}");
    }
}

fn add(sum: &mut Summary, one: Summary) {
    sum.records += one.records;
    sum.actions += one.actions;
    sum.duplicates += one.duplicates;
    sum.dead_letters += one.dead_letters;
    sum.crashes += one.crashes;
    sum.ticks += one.ticks;
    sum.skipped += one.skipped;
    sum.ended += one.ended;
    sum.plans += one.plans;
    sum.rules.superseded += one.rules.superseded;
    sum.rules.overlapped += one.rules.overlapped;
    sum.rules.follow_ups += one.rules.follow_ups;
    sum.rules.limited += one.rules.limited;
    sum.rules.in_lanes += one.rules.in_lanes;
    sum.controls.add(&one.controls);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=10 {
        let first = simulation::run(seed, Mistakes::default());
        assert_eq!(first, simulation::run(seed, Mistakes::default()), "seed {seed}");
    }
}

fn caught(mistake: Mistake, expected: &str) {
    for seed in 1..=1000 {
        if let Err(violation) = simulation::run(seed, Mistakes::make(mistake)) {
            println!("{mistake:?} is caught at seed {seed}: {violation}");
            assert!(violation.0.contains(expected), "caught for another reason: {violation}");
            return;
        }
    }
    panic!("{mistake:?} was not caught in 1000 seeds");
}

#[test]
fn a_checkpoint_before_its_actions_is_caught() {
    caught(Mistake::CheckpointBeforeActions, "");
}

#[test]
fn an_acknowledgement_before_the_event_is_durable_is_caught() {
    caught(Mistake::AcknowledgeBeforeDurable, "was accepted and is not in the log");
}

#[test]
fn a_missing_dedup_is_caught() {
    caught(Mistake::NoDedup, "");
}

#[test]
fn a_replay_under_the_wrong_plan_is_caught() {
    caught(Mistake::WrongPlan, "");
}

#[test]
fn forgotten_ticks_are_caught() {
    caught(Mistake::ForgetTicks, "tick");
}

#[test]
fn forgotten_ends_of_runs_are_caught() {
    caught(Mistake::ForgetEnds, "no end");
}

#[test]
fn pauses_that_a_restart_forgets_are_caught() {
    caught(Mistake::ForgetPauses, "was paused from");
}

#[test]
fn freeze_windows_that_are_passed_over_are_caught() {
    caught(Mistake::IgnoreFreeze, "was called at");
}

#[test]
fn a_checkpoint_that_knows_the_evaluator_s_actions_alone_is_caught() {
    caught(Mistake::StaleMarks, "was closed 2 times");
}

#[test]
fn actions_that_are_appended_again_and_not_carried_out_are_caught() {
    caught(Mistake::NotOffered, "was never closed");
}

#[test]
fn a_replay_that_does_again_what_was_done_is_caught() {
    caught(Mistake::RepeatReplay, "");
}

#[test]
fn trimming_what_is_needed_is_caught() {
    caught(Mistake::TrimNeeded, "");
}

#[test]
fn parking_without_a_dead_letter_is_caught() {
    caught(Mistake::ParkWithoutLetter, "there is no dead letter");
}

#[test]
fn commands_to_schedules_that_are_passed_over_are_caught() {
    caught(Mistake::IgnoreCommands, "");
}
