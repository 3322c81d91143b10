//! Compares what was sent and acknowledged with what came out at the other end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something that came out: a workflow, or a request at a sink.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    /// The id of the event that led to it.
    pub event: String,
    /// The id of the action that it was done for.
    pub action: String,
    /// The correlation id that it carries.
    pub correlation: String,
}

/// How often an action may be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Exactly once: workflows.
    Once,
    /// At least once, each time with the same action id: requests.
    AtLeastOnce,
}

/// What went in.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The correlation id of every event that was sent, by the event's id.
    pub events: BTreeMap<String, String>,
    /// The ids of those that were answered 200.
    pub acknowledged: BTreeSet<String>,
}

/// What is wrong. Empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Events that were acknowledged, and for which nothing came out.
    pub lost: BTreeSet<String>,
    /// Events for which more came out than may.
    pub doubled: BTreeSet<String>,
    /// What came out for an event that was never sent.
    pub unknown: BTreeSet<String>,
    /// Events for which something came out with another event's action or correlation id.
    pub mixed_up: BTreeSet<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets = [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("unknown", &self.unknown),
            ("mixed up", &self.mixed_up),
        ];
        for (index, (name, set)) in sets.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{} {name}", set.len())?;
            let some: Vec<&str> = set.iter().take(3).map(String::as_str).collect();
            if !some.is_empty() {
                write!(f, " ({}{})", some.join(" "), if set.len() > 3 { " …" } else { "" })?;
            }
        }
        Ok(())
    }
}

/// What is wrong with these deliveries.
pub fn check(sent: &Sent, deliveries: &[Delivery], times: Times) -> Findings {
    let mut findings = Findings::default();
    let mut actions: BTreeMap<&str, &str> = BTreeMap::new();
    let mut events: BTreeMap<&str, &str> = BTreeMap::new();
    for Delivery { event, action, correlation } in deliveries {
        match sent.events.get(event) {
            None => drop(findings.unknown.insert(event.clone())),
            Some(expected) if expected != correlation => {
                findings.mixed_up.insert(event.clone());
            }
            Some(_) => {}
        }
        if *events.entry(action).or_insert(event) != event {
            findings.mixed_up.insert(event.clone());
        }
        if let Some(first) = actions.insert(event, action)
            && (times == Times::Once || first != action)
        {
            findings.doubled.insert(event.clone());
        }
    }
    let lost = sent.acknowledged.iter().filter(|event| !actions.contains_key(event.as_str()));
    findings.lost.extend(lost.cloned());
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten events, all acknowledged but the last; each delivered once, the last too.
    fn all_well() -> (Sent, Vec<Delivery>) {
        let mut sent = Sent::default();
        let mut deliveries = Vec::new();
        for number in 0..10 {
            sent.events.insert(format!("e-{number}"), format!("c-{number}"));
            sent.acknowledged.extend((number < 9).then(|| format!("e-{number}")));
            deliveries.push(delivery(number));
        }
        (sent, deliveries)
    }

    fn delivery(number: u32) -> Delivery {
        Delivery {
            event: format!("e-{number}"),
            action: format!("a-{number}"),
            correlation: format!("c-{number}"),
        }
    }

    fn found(change: impl FnOnce(&mut Vec<Delivery>), times: Times) -> String {
        let (sent, mut deliveries) = all_well();
        change(&mut deliveries);
        let findings = check(&sent, &deliveries, times);
        assert_eq!(findings.is_empty(), findings == Findings::default());
        findings.to_string()
    }

    #[test]
    fn what_is_removed_doubled_added_or_mixed_up_is_found() {
        use Times::{AtLeastOnce, Once};
        const WELL: &str = "0 lost, 0 doubled, 0 unknown, 0 mixed up";
        assert_eq!(found(|_| {}, Once), WELL);
        assert_eq!(found(|_| {}, AtLeastOnce), WELL);
        assert_eq!(
            found(|all| drop(all.remove(4)), Once),
            "1 lost (e-4), 0 doubled, 0 unknown, 0 mixed up"
        );
        assert_eq!(
            found(|all| all.clear(), AtLeastOnce),
            "9 lost (e-0 e-1 e-2 …), 0 doubled, 0 unknown, 0 mixed up"
        );
        // It was never acknowledged: it may be there or not.
        assert_eq!(found(|all| drop(all.remove(9)), Once), WELL);
        assert_eq!(
            found(|all| all.push(delivery(4)), Once),
            "0 lost, 1 doubled (e-4), 0 unknown, 0 mixed up"
        );
        assert_eq!(found(|all| all.push(delivery(4)), AtLeastOnce), WELL);
        let other = Delivery { action: "a-other".into(), ..delivery(4) };
        assert_eq!(
            found(|all| all.push(other), AtLeastOnce),
            "0 lost, 1 doubled (e-4), 0 unknown, 0 mixed up"
        );
        assert_eq!(
            found(|all| all.push(delivery(10)), Once),
            "0 lost, 0 doubled, 1 unknown (e-10), 0 mixed up"
        );
        assert_eq!(
            found(|all| all[4].action = "a-5".into(), Once),
            "0 lost, 0 doubled, 0 unknown, 1 mixed up (e-5)"
        );
        assert_eq!(
            found(|all| all[4].correlation = "c-5".into(), Once),
            "0 lost, 0 doubled, 0 unknown, 1 mixed up (e-4)"
        );
    }
}
