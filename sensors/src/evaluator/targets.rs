//! Where the actions of a trigger are carried out: which clusters it names.

use std::collections::BTreeSet;

use tripline_config::{FieldPath, Problem};
use tripline_event::Event;

use crate::codes;
use crate::condition::Condition;
use crate::definition;
use crate::path::Path;

/// The longest name of a target that is kept of an event, in bytes.
const MAX_NAME_BYTES: usize = 253;

/// Where the actions of a trigger are carried out.
#[derive(Clone, Debug, Default)]
pub enum Targets {
    /// The trigger does not say: whoever carries out decides.
    #[default]
    Unnamed,
    /// In each of these; never empty.
    Named(Vec<String>),
    /// Where the event that completed the condition says. Whether that is allowed is for
    /// whoever carries out to check: an action that goes nowhere is a dead letter.
    FromEvent(Path),
}

impl Targets {
    /// The targets of `trigger`, which stands at `at`.
    pub(super) fn compile(
        trigger: &definition::Trigger,
        condition: &Condition,
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut error = |code: &str, at: FieldPath, message: String| {
            problems.push(Problem::error(code, at, message));
        };
        let mut seen = BTreeSet::new();
        for (index, name) in trigger.clusters.iter().enumerate() {
            let at = at.key("clusters").index(index);
            if name.is_empty() {
                error(codes::BAD_CLUSTER, at, "a cluster has a name".to_owned());
            } else if !seen.insert(name) {
                error(codes::NOT_UNIQUE, at, format!("cluster `{name}` is there twice"));
            }
        }
        let Some(from) = &trigger.cluster_from else {
            return match trigger.clusters.as_slice() {
                [] => Self::Unnamed,
                names => Self::Named(names.to_vec()),
            };
        };
        let from_at = at.key("clusterFrom");
        if !trigger.clusters.is_empty() {
            let message = "`clusters` and `clusterFrom` exclude each other".to_owned();
            error(codes::BAD_CLUSTER, from_at.clone(), message);
        }
        if from.allow.is_empty() {
            let message = "without a cluster in `allow` no event can name one".to_owned();
            error(codes::BAD_CLUSTER, from_at.key("allow"), message);
        }
        if condition.requires_and() {
            let message = "the condition needs several events, and which of them names the cluster \
                           is not said: `clusterFrom` is for conditions that one event completes";
            error(codes::BAD_CLUSTER, from_at.clone(), message.to_owned());
        }
        match Path::compile(&from.path) {
            Ok(path) if !from.path.is_empty() => Self::FromEvent(path),
            Ok(_) => {
                let message = "`clusterFrom` needs a path into the event's data".to_owned();
                error(codes::MISSING_FIELD, from_at.key("path"), message);
                Self::Unnamed
            }
            Err(why) => {
                error(codes::BAD_PATH, from_at.key("path"), why.to_string());
                Self::Unnamed
            }
        }
    }

    /// The target that `event` names; empty where it names none.
    pub(super) fn named_by(path: &Path, event: &Event) -> String {
        let found = event.data_text().and_then(|text| path.find(text));
        let mut name = found.map(|found| found.text().into_owned()).unwrap_or_default();
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
        name
    }
}
