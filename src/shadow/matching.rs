//! Which workflow is that of which firing.
//!
//! Argo Events gives a workflow the time at which its trigger acted, and not its event. So a
//! firing and a workflow belong together where they are equal and the workflow came later; of
//! what is left, where they differ least, the workflow came soon, and in its turn: a trigger
//! acts on its events in their order, or nearly so, since it acts in the background.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use tripline_event::Timestamp;

use super::{LATE, SKEW};
use crate::backtest::report::compared;

/// How many workflows after a firing are looked at for one that differs least.
const NEAREST: usize = 8;
/// How many places a workflow may be out of its turn.
const DISORDER: usize = 4;

/// A value that is another one in Argo Events' workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Where.
    pub path: String,
    /// As Argo Events has it.
    pub argo_events: String,
    /// As Tripline would have it.
    pub tripline: String,
}

/// A firing or a workflow of one trigger.
pub struct Side<'a> {
    /// When.
    pub at: Timestamp,
    /// What is compared; for a firing that fails, the reason.
    pub object: Result<&'a Value, &'a str>,
    /// A firing that may have a workflow which differs: Argo Events has seen its events.
    pub may_differ: bool,
}

/// What belongs together: places in the two lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Equal: a firing and a workflow.
    pub equal: Vec<(usize, usize)>,
    /// Different: a firing and a workflow.
    pub different: Vec<(usize, usize, Vec<Difference>)>,
    /// Firings without a workflow.
    pub missing: Vec<usize>,
    /// Workflows without a firing.
    pub extra: Vec<usize>,
}

/// Finds what belongs together. The times of `firings` must not go back.
pub fn pair(firings: &[Side<'_>], workflows: &[Side<'_>]) -> Pairs {
    let mut pairs = Pairs::default();
    let mut free: HashMap<String, BTreeSet<(Timestamp, usize)>> = HashMap::new();
    for (at, workflow) in workflows.iter().enumerate() {
        free.entry(key(workflow)).or_default().insert((workflow.at, at));
    }
    let mut left = Vec::new();
    // The latest first, each with the earliest after it: what fits a later one fits an
    // earlier one too, and not the other way round.
    for (place, firing) in firings.iter().enumerate().rev() {
        let fits = firing.object.ok().and_then(|_| free.get_mut(&key(firing)));
        let found = fits.and_then(|free| {
            let found = *free.range((earliest(firing), 0)..).next()?;
            free.remove(&found);
            Some(found.1)
        });
        match found {
            Some(workflow) => pairs.equal.push((place, workflow)),
            None => left.push(place),
        }
    }
    let found: HashSet<String> =
        pairs.equal.iter().map(|(_, workflow)| key(&workflows[*workflow])).collect();
    let mut others = BTreeSet::new();
    for (key, free) in free {
        // What is just like one that was found is another of its kind, and differs in nothing.
        match found.contains(&key) {
            true => pairs.extra.extend(free.into_iter().map(|(_, workflow)| workflow)),
            false => others.extend(free),
        }
    }
    differing(firings, workflows, left, others, &mut pairs);
    pairs.equal.sort_unstable();
    pairs.different.sort_unstable_by_key(|(firing, _, _)| *firing);
    pairs.missing.sort_unstable();
    pairs.extra.sort_unstable();
    pairs
}

fn key(side: &Side<'_>) -> String {
    side.object.map(Value::to_string).unwrap_or_default()
}

fn earliest(firing: &Side<'_>) -> Timestamp {
    firing.at.checked_sub(SKEW).unwrap_or(Timestamp::MIN)
}

/// Pairs what is left: those first that differ least, and of these the nearest.
fn differing(
    firings: &[Side<'_>],
    workflows: &[Side<'_>],
    left: Vec<usize>,
    mut free: BTreeSet<(Timestamp, usize)>,
    pairs: &mut Pairs,
) {
    let turns = Turns::of(&pairs.equal, workflows);
    let mut candidates = Vec::new();
    for &place in left.iter().filter(|place| firings[**place].may_differ) {
        let firing = &firings[place];
        let latest = firing.at.checked_add(LATE).unwrap_or(Timestamp::MAX);
        for &(at, workflow) in
            free.range((earliest(firing), 0)..=(latest, usize::MAX)).take(NEAREST)
        {
            let turn = turns.apart(place, (at, workflow));
            if turn > DISORDER {
                continue;
            }
            let found = differences(&workflows[workflow], firing);
            let delay = at.duration_since(firing.at).abs();
            // What is not created at all differs in everything.
            let weight = firing.object.map_or(usize::MAX, |_| found.len());
            candidates.push(((weight, turn, delay, place, workflow), found));
        }
    }
    candidates.sort_by_key(|(order, _)| *order);
    let mut left: BTreeSet<usize> = left.into_iter().collect();
    for ((_, _, _, firing, workflow), found) in candidates {
        let both = left.contains(&firing) && free.contains(&(workflows[workflow].at, workflow));
        if both {
            left.remove(&firing);
            free.remove(&(workflows[workflow].at, workflow));
            pairs.different.push((firing, workflow, found));
        }
    }
    pairs.missing.extend(left);
    pairs.extra.extend(free.into_iter().map(|(_, workflow)| workflow));
}

/// The order in which a trigger has acted, by what is known to belong together.
struct Turns {
    firings: Vec<usize>,
    workflows: Vec<(Timestamp, usize)>,
}

impl Turns {
    fn of(equal: &[(usize, usize)], workflows: &[Side<'_>]) -> Self {
        let mut turns = Self {
            firings: equal.iter().map(|(firing, _)| *firing).collect(),
            workflows: equal.iter().map(|(_, of)| (workflows[*of].at, *of)).collect(),
        };
        turns.firings.sort_unstable();
        turns.workflows.sort_unstable();
        turns
    }

    /// How many acted between the turn of a firing and that of a workflow.
    fn apart(&self, firing: usize, workflow: (Timestamp, usize)) -> usize {
        let before = self.firings.partition_point(|of| *of < firing);
        before.abs_diff(self.workflows.partition_point(|of| *of < workflow))
    }
}

/// What is otherwise in Argo Events' workflow.
fn differences(workflow: &Side<'_>, firing: &Side<'_>) -> Vec<Difference> {
    match (workflow.object, firing.object) {
        (Ok(workflow), Ok(firing)) => {
            let found = compared(workflow, firing).into_iter();
            let one = |of: crate::backtest::report::Difference| Difference {
                path: of.path,
                argo_events: of.now,
                tripline: of.then,
            };
            found.map(one).collect()
        }
        (_, firing) => {
            let fails = firing.err().unwrap_or_default();
            let (path, argo_events) = (String::new(), "a workflow".to_owned());
            vec![Difference { path, argo_events, tripline: format!("a dead letter: {fails}") }]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Firings or workflows at seconds, with the value of a parameter.
    fn sides(values: &[(i64, &str)]) -> Vec<(Timestamp, Value)> {
        let one = |(at, value): &(i64, &str)| {
            let parameters = json!([{"name": "sha", "value": value}]);
            let at = Timestamp::from_second(1_800_000_000 + at).unwrap();
            (at, json!({"spec": {"arguments": {"parameters": parameters}}}))
        };
        values.iter().map(one).collect()
    }

    fn of(all: &[(Timestamp, Value)]) -> Vec<Side<'_>> {
        all.iter()
            .map(|(at, object)| Side { at: *at, object: Ok(object), may_differ: true })
            .collect()
    }

    fn paired(firings: &[(i64, &str)], workflows: &[(i64, &str)]) -> Pairs {
        let (firings, workflows) = (sides(firings), sides(workflows));
        pair(&of(&firings), &of(&workflows))
    }

    /// What is equal, different, missing and extra.
    type Places = (Vec<(usize, usize)>, Vec<(usize, usize)>, Vec<usize>, Vec<usize>);

    fn places(firings: &[(i64, &str)], workflows: &[(i64, &str)]) -> Places {
        let Pairs { equal, different, missing, extra } = paired(firings, workflows);
        let different = different.into_iter().map(|(firing, workflow, _)| (firing, workflow));
        (equal, different.collect(), missing, extra)
    }

    #[test]
    fn each_firing_finds_its_workflow() {
        for (what, firings, workflows, expected) in [
            (
                "each its own, in any order",
                vec![(0, "a"), (1, "b"), (2, "c")],
                vec![(3, "c"), (3, "a"), (4, "b")],
                (vec![(0, 1), (1, 2), (2, 0)], vec![], vec![], vec![]),
            ),
            (
                "a workflow may come hours later",
                vec![(0, "a")],
                vec![(9_000, "a")],
                (vec![(0, 0)], vec![], vec![], vec![]),
            ),
            (
                "and not before its event, but for what clocks are apart",
                vec![(0, "a"), (10, "b")],
                vec![(-4, "a"), (0, "b")],
                (vec![(0, 0)], vec![], vec![1], vec![1]),
            ),
            (
                "of two that are equal, the one is missing that had no workflow after it",
                vec![(0, "a"), (100, "a"), (200, "a")],
                vec![(1, "a"), (101, "a")],
                (vec![(0, 0), (1, 1)], vec![], vec![2], vec![]),
            ),
            (
                "the first of two that are equal is missing",
                vec![(0, "a"), (100, "a")],
                vec![(101, "a")],
                (vec![(1, 0)], vec![], vec![0], vec![]),
            ),
            (
                "one that differs is the nearest after its event",
                vec![(0, "a"), (10, "b"), (20, "c")],
                vec![(0, "a"), (10, "x"), (20, "c")],
                (vec![(0, 0), (2, 2)], vec![(1, 1)], vec![], vec![]),
            ),
            (
                "one that differs and comes late is another one",
                vec![(0, "a")],
                vec![(61, "x")],
                (vec![], vec![], vec![0], vec![0]),
            ),
            (
                "one that is out of its turn is another one",
                vec![(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e"), (5, "f")],
                vec![(1, "b"), (2, "c"), (3, "d"), (4, "e"), (5, "f"), (6, "x")],
                (vec![(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)], vec![], vec![0], vec![5]),
            ),
            (
                "one that is just like another is not the one that is missing",
                vec![(0, "a"), (1, "b")],
                vec![(0, "a"), (1, "a")],
                (vec![(0, 0)], vec![], vec![1], vec![1]),
            ),
            ("none", vec![], vec![(0, "a")], (vec![], vec![], vec![], vec![0])),
        ] {
            assert_eq!(places(&firings, &workflows), expected, "{what}");
        }
    }

    #[test]
    fn what_argo_events_has_not_seen_has_no_workflow_that_differs() {
        let (firings, workflows) = (sides(&[(0, "a")]), sides(&[(1, "b")]));
        let firing = Side { at: firings[0].0, object: Ok(&firings[0].1), may_differ: false };
        let workflow = Side { at: workflows[0].0, object: Ok(&workflows[0].1), may_differ: true };
        let pairs = pair(&[firing], &[workflow]);
        assert_eq!((pairs.missing, pairs.extra), (vec![0], vec![0]));
    }

    #[test]
    fn what_differs_is_named() {
        let pairs = paired(&[(0, "a")], &[(1, "b")]);
        let [(0, 0, found)] = pairs.different.as_slice() else { panic!("{pairs:?}") };
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(only.path, "spec.arguments.parameters.0.value");
        assert_eq!((only.argo_events.as_str(), only.tripline.as_str()), (r#""b""#, r#""a""#));
    }

    #[test]
    fn a_firing_that_fails_differs_from_a_workflow_that_is_there() {
        let workflows = sides(&[(1, "b")]);
        let at = workflows[0].0;
        let firings = [Side { at, object: Err("no sha"), may_differ: true }];
        let pairs = pair(&firings, &[Side { at, object: Ok(&workflows[0].1), may_differ: true }]);
        assert_eq!(pairs.different[0].2[0].tripline, "a dead letter: no sha");
        let alone = pair(&firings, &[]);
        assert_eq!(alone.missing, [0]);
    }
}
