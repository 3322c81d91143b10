use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::spec::{Compiled, ScheduleSpec};
use crate::timetable::Timetable;

/// A schedule under a virtual clock. Times are seconds since its beginning.
struct Simulation {
    times: Timetable,
    policies: Policies,
    state: State,
    now_s: i64,
    /// How long a run takes, and how it ends.
    run: (i64, RunEnd),
    ends: BTreeMap<i64, Vec<(RunId, RunEnd)>>,
    story: Vec<String>,
}

const BEGIN: i64 = 1_700_000_040; // A full minute.

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).unwrap()
}

/// The time in minutes if it is whole, and else in seconds.
fn show(time: Timestamp) -> String {
    let second = time.as_second() - BEGIN;
    if second % 60 == 0 { (second / 60).to_string() } else { format!("{second}s") }
}

fn show_run(run: RunId) -> String {
    match run.origin {
        Origin::Tick => show(run.nominal),
        Origin::Trigger(number) => format!("{}t{number}", show(run.nominal)),
        Origin::Backfill(number) => format!("{}b{number}", show(run.nominal)),
    }
}

impl Simulation {
    fn new(policies: Policies, run: (i64, RunEnd)) -> Self {
        let spec = ScheduleSpec { cron_string: vec!["* * * * *".into()], ..Default::default() };
        Self {
            times: Compiled::compile(&spec).unwrap().into(),
            policies,
            state: State::new(at(0)),
            now_s: 0,
            run,
            ends: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    fn apply(&mut self, input: Input) {
        let schedule = schedule(&self.times, &self.policies);
        // What was decided is the same after a crash: state is stored and read again.
        let small = self.state.gate().waiting() < 50;
        let stored = small.then(|| serde_json::to_string(&self.state).unwrap());
        let decisions = self.state.apply(&schedule, input.clone());
        if let Some(stored) = stored {
            let mut again: State = serde_json::from_str(&stored).unwrap();
            assert_eq!(again.apply(&schedule, input), decisions);
            assert_eq!(again, self.state);
        }
        for decision in decisions {
            self.carry_out(decision);
        }
    }

    fn carry_out(&mut self, decision: Decision) {
        let now = show(at(self.now_s));
        let line = match decision {
            Decision::Start { run, watched, .. } => {
                if watched {
                    let end = self.now_s + self.run.0;
                    self.ends.entry(end).or_default().push((run, self.run.1));
                }
                format!("start {}", show_run(run))
            }
            Decision::Cancel(run) => {
                self.end_early(run, 5, RunEnd::Cancelled);
                format!("cancel {}", show_run(run))
            }
            Decision::Terminate(run) => {
                self.end_early(run, 0, RunEnd::Terminated);
                format!("terminate {}", show_run(run))
            }
            Decision::Skipped { reason, first, last, count: 1, .. } => {
                assert_eq!(first, last);
                format!("skip {} {reason:?}", show(first))
            }
            Decision::Skipped { reason, first, last, count, .. } => {
                format!("skip {}-{} x{count} {reason:?}", show(first), show(last))
            }
            Decision::PausedByFailure(run) => format!("pause {}", show_run(run)),
            Decision::BackfillDone { number, taken, cut } => {
                format!("backfill {number} done {taken}{}", if cut { " cut" } else { "" })
            }
            Decision::Stopped => "stopped".to_owned(),
            Decision::ConditionFailed(why) => format!("condition: {why}"),
            Decision::BackfillRefused => "backfill refused".to_owned(),
        };
        self.story.push(format!("{now}: {line}"));
    }

    fn end_early(&mut self, run: RunId, delay_s: i64, end: RunEnd) {
        self.ends.values_mut().for_each(|ends| ends.retain(|(other, _)| *other != run));
        self.ends.entry(self.now_s + delay_s).or_default().push((run, end));
    }

    /// Runs until `until_s`: whatever comes first, the end of a run or what is due.
    fn until(&mut self, until_s: i64) {
        loop {
            let schedule = schedule(&self.times, &self.policies);
            let due_s = self.state.next_due(&schedule).map(|due| due.as_second() - BEGIN);
            let end_s = self.ends.first_key_value().map(|(&end, _)| end);
            let next_s = due_s.into_iter().chain(end_s).min().filter(|&next| next <= until_s);
            let Some(next_s) = next_s else { break };
            self.now_s = self.now_s.max(next_s);
            if end_s == Some(next_s) {
                for (run, end) in self.ends.remove(&next_s).unwrap_or_default() {
                    self.apply(Input::Ended { run, end, at: at(self.now_s) });
                }
            } else {
                self.apply(Input::Time(at(self.now_s)));
            }
        }
        self.now_s = until_s;
    }

    fn story(self) -> String {
        self.story.join(", ")
    }
}

fn schedule<'s>(times: &'s Timetable, policies: &'s Policies) -> Schedule<'s> {
    Schedule { times, policies, seed: "test", suspended: false, conditions: None }
}

fn overlap(overlap: OverlapPolicy) -> Policies {
    Policies { overlap, ..Policies::default() }
}

const FAST: (i64, RunEnd) = (10, RunEnd::Completed);
const SLOW: (i64, RunEnd) = (150, RunEnd::Completed);
const FAILING: (i64, RunEnd) = (90, RunEnd::Failed);

#[test]
fn runs_that_end_in_time_are_the_same_under_every_policy() {
    use OverlapPolicy::*;
    for policy in [Skip, BufferOne, BufferAll, CancelOther, TerminateOther, AllowAll] {
        let mut simulation = Simulation::new(overlap(policy), FAST);
        simulation.until(190);
        assert_eq!(simulation.story(), "1: start 1, 2: start 2, 3: start 3", "{policy:?}");
    }
}

#[test]
fn slow_runs_meet_the_overlap_policy() {
    let check = |policy, run, expected: &str| {
        let mut simulation = Simulation::new(overlap(policy), run);
        simulation.until(330);
        assert_eq!(simulation.story(), expected, "{policy:?}");
    };
    // The run of minute 1 lasts until 210 s, that of minute 4 until 390 s.
    check(
        OverlapPolicy::Skip,
        SLOW,
        "1: start 1, 2: skip 2 Overlap, 3: skip 3 Overlap, 4: start 4, 5: skip 5 Overlap",
    );
    check(
        OverlapPolicy::BufferOne,
        SLOW,
        "1: start 1, 3: skip 3 Overlap, 210s: start 2, 5: skip 5 Overlap",
    );
    check(OverlapPolicy::BufferAll, SLOW, "1: start 1, 210s: start 2");
    check(
        OverlapPolicy::CancelOther,
        SLOW,
        "1: start 1, 2: cancel 1, 125s: start 2, 3: cancel 2, 185s: start 3, 4: cancel 3, \
         245s: start 4, 5: cancel 4, 305s: start 5",
    );
    check(
        OverlapPolicy::TerminateOther,
        SLOW,
        "1: start 1, 2: terminate 1, 2: start 2, 3: terminate 2, 3: start 3, 4: terminate 3, \
         4: start 4, 5: terminate 4, 5: start 5",
    );
    check(
        OverlapPolicy::AllowAll,
        SLOW,
        "1: start 1, 2: start 2, 3: start 3, 4: start 4, 5: start 5",
    );
    // How a run ended does not matter to those that wait.
    check(
        OverlapPolicy::BufferAll,
        FAILING,
        "1: start 1, 150s: start 2, 4: start 3, 330s: start 4",
    );
    check(
        OverlapPolicy::Skip,
        FAILING,
        "1: start 1, 2: skip 2 Overlap, 3: start 3, 4: skip 4 Overlap, 5: start 5",
    );
}

#[test]
fn of_several_that_want_to_replace_a_run_the_latest_counts() {
    let mut simulation =
        Simulation::new(overlap(OverlapPolicy::CancelOther), (1_000, RunEnd::Completed));
    simulation.until(60);
    simulation.apply(Input::Trigger { at: at(61), overlap: None });
    simulation.apply(Input::Trigger { at: at(62), overlap: None });
    // A stronger wish is told as well, a second one of the same kind is not.
    simulation.apply(Input::Trigger { at: at(63), overlap: Some(OverlapPolicy::TerminateOther) });
    simulation.until(70);
    assert_eq!(
        simulation.story(),
        "1: start 1, 1: cancel 1, 1: skip 61s Overlap, 1: skip 62s Overlap, 1: terminate 1, \
         1: start 63st3"
    );
}

#[test]
fn ticks_of_a_downtime_are_made_up_for_within_the_window() {
    let check = |catch_up, window_min, expected: &str| {
        let policies = Policies {
            catch_up,
            catch_up_window: SignedDuration::from_mins(window_min),
            ..overlap(OverlapPolicy::BufferAll)
        };
        let mut simulation = Simulation::new(policies, (0, RunEnd::Completed));
        // Down until 25 seconds after minute 6.
        simulation.now_s = 385;
        simulation.until(430);
        assert_eq!(simulation.story(), expected, "{catch_up:?}");
    };
    check(CatchUp::None, 60, "385s: skip 1-6 x6 CatchUpLimit, 7: start 7");
    check(CatchUp::Latest, 60, "385s: skip 1-5 x5 CatchUpLimit, 385s: start 6, 7: start 7");
    check(
        CatchUp::Latest,
        3,
        "385s: skip 1-3 x3 CatchUpWindow, 385s: skip 4-5 x2 CatchUpLimit, 385s: start 6, 7: start 7",
    );
    check(
        CatchUp::All(2),
        60,
        "385s: skip 1-4 x4 CatchUpLimit, 385s: start 5, 385s: start 6, 7: start 7",
    );
    check(
        CatchUp::All(50),
        3,
        "385s: skip 1-3 x3 CatchUpWindow, 385s: start 4, 385s: start 5, 385s: start 6, 7: start 7",
    );
}

#[test]
fn a_tick_is_taken_once_whatever_the_clock_does() {
    let mut simulation = Simulation::new(Policies::default(), (0, RunEnd::Completed));
    simulation.until(60);
    for second in [30, 60, 0, 61] {
        simulation.apply(Input::Time(at(second)));
    }
    assert_eq!(simulation.story(), "1: start 1");
}

#[test]
fn a_long_downtime_is_taken_in_pieces() {
    let mut simulation = Simulation::new(Policies::default(), (0, RunEnd::Completed));
    simulation.now_s = 60 * 25_000 + 30;
    simulation.until(60 * 25_000 + 30);
    assert_eq!(simulation.state.counters().missed_catch_up, 24_999);
    assert_eq!(simulation.state.counters().actions, 1);
}

#[test]
fn ticks_during_a_pause_do_not_come_back() {
    let mut simulation = Simulation::new(Policies::default(), FAST);
    simulation.until(70);
    simulation.apply(Input::Pause { note: "maintenance".to_owned() });
    assert_eq!(simulation.state.paused(), Some("maintenance"));
    simulation.until(190);
    simulation.apply(Input::Trigger { at: at(190), overlap: None });
    simulation.apply(Input::Resume { now: at(190) });
    simulation.until(250);
    assert_eq!(
        simulation.story(),
        "1: start 1, 190s: start 190st1, 190s: skip 2-3 x2 Paused, 4: start 4"
    );
}

#[test]
fn a_failure_pauses_if_it_is_to_and_a_stop_does_not() {
    let policies = Policies { pause_on_failure: true, ..overlap(OverlapPolicy::BufferAll) };
    let mut simulation = Simulation::new(policies.clone(), FAILING);
    simulation.until(250);
    // The start that waited is passed over as well.
    assert_eq!(simulation.story(), "1: start 1, 150s: pause 1, 150s: skip 2 Paused");
    let mut simulation = Simulation::new(policies, (10, RunEnd::Cancelled));
    simulation.until(130);
    assert_eq!(simulation.story(), "1: start 1, 2: start 2");
}

#[test]
fn limited_actions_are_used_up_by_ticks_alone() {
    let mut simulation = Simulation::new(Policies::default(), FAST);
    simulation.apply(Input::LimitActions(Some(2)));
    simulation.apply(Input::Trigger { at: at(0), overlap: None });
    simulation.until(190);
    assert_eq!(simulation.story(), "0: start 0t1, 1: start 1, 2: start 2, 3: skip 3 NoActionsLeft");
}

#[test]
fn a_backfill_takes_both_ends_of_its_period_and_ignores_pauses() {
    let mut simulation =
        Simulation::new(overlap(OverlapPolicy::BufferAll), (10, RunEnd::Completed));
    simulation.apply(Input::Pause { note: String::new() });
    let backfill = Backfill { start: at(-180), end: at(-60), overlap: None, max: 50 };
    simulation.apply(Input::Backfill(backfill));
    simulation.apply(Input::Backfill(Backfill { max: 1, ..backfill }));
    simulation.until(45);
    assert_eq!(
        simulation.story(),
        "0: start -3b1, 0: backfill 1 done 3, 0: backfill 2 done 1 cut, 10s: start -2b1, \
         20s: start -1b1, 30s: start -3b2"
    );
}

#[test]
fn a_large_backfill_waits_for_room_and_leaves_some_to_ticks() {
    let mut simulation =
        Simulation::new(overlap(OverlapPolicy::BufferAll), (100_000, RunEnd::Completed));
    let backfill = Backfill { start: at(-60 * 2_000), end: at(-60), overlap: None, max: 5_000 };
    simulation.apply(Input::Backfill(backfill));
    for _ in 0..200 {
        simulation.apply(Input::Time(at(0)));
    }
    assert_eq!(simulation.state.gate().waiting(), BUFFER_MAX / 2);
    simulation.until(60 * 600);
    assert_eq!(simulation.state.gate().waiting(), BUFFER_MAX);
    assert_eq!(simulation.state.counters().buffer_dropped, 100);
    assert_eq!(simulation.story[..2], ["0: start -2000b1", "501: skip 501 BufferFull"]);
}

#[test]
fn the_next_run_knows_how_the_last_ones_ended() {
    let mut simulation = Simulation::new(Policies::default(), FAST);
    let (times, policies) = (simulation.times.clone(), simulation.policies.clone());
    let schedule = schedule(&times, &policies);
    let mut ends = [RunEnd::Completed, RunEnd::Failed, RunEnd::Completed].into_iter();
    let mut seen = Vec::new();
    for minute in 1..=4 {
        for decision in simulation.state.apply(&schedule, Input::Time(at(60 * minute))) {
            let Decision::Start { run, last_completion, last_failure, .. } = decision else {
                panic!("{decision:?}");
            };
            seen.push((last_completion.map(show_run), last_failure.map(show_run)));
            let Some(end) = ends.next() else { continue };
            let at = at(60 * minute);
            simulation.state.apply(&schedule, Input::Ended { run, end, at });
            // Told twice, or of a run that nobody knows, it changes nothing.
            simulation.state.apply(&schedule, Input::Ended { run, end: RunEnd::Failed, at });
        }
    }
    let run = |minute: &str| Some(minute.to_owned());
    assert_eq!(seen, [(None, None), (run("1"), None), (run("1"), run("2")), (run("3"), None)]);
}

#[test]
fn a_change_of_the_schedule_brings_no_ticks_of_the_time_before() {
    let mut simulation = Simulation::new(Policies::default(), FAST);
    simulation.until(70);
    let spec = ScheduleSpec { cron_string: vec!["*/30 * * * * * *".into()], ..Default::default() };
    simulation.now_s = 100;
    simulation.times = Compiled::compile(&spec).unwrap().into();
    simulation.apply(Input::Changed { now: at(100) });
    simulation.until(155);
    // Second 90 was before the change.
    assert_eq!(simulation.story(), "1: start 1, 2: start 2, 150s: start 150s");
}
