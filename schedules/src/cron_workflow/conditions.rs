//! `when` and `stopStrategy`.

use std::collections::BTreeMap;

use tripline_config::FieldPath;

use super::{CronWorkflowSpec, Metadata};
use crate::expression::{Environment, Expression, Template, Value};
use crate::policy::{Conditions, Facts};
use crate::spec::SpecError;

/// The conditions of a CronWorkflow.
#[derive(Clone, Debug)]
pub(super) struct CronConditions {
    when: Option<Template>,
    stop: Option<Expression>,
    /// What `cronworkflow` has that does not change.
    fixed: BTreeMap<String, Value>,
}

impl CronConditions {
    /// The conditions; none where there are none. What is wrong is added to `errors`.
    pub fn compile(
        metadata: &Metadata,
        spec: &CronWorkflowSpec,
        root: &FieldPath,
        errors: &mut Vec<SpecError>,
    ) -> Option<Self> {
        let mut wrong = |path: FieldPath, message: String| {
            let help = "names are `cronworkflow.` and `name`, `namespace`, `labels`, \
                        `annotations`, `failed`, `succeeded`, `lastScheduledTime`";
            errors.push(SpecError::new(path, message).help(help));
        };
        let when = spec.when.as_deref().filter(|text| !text.trim().is_empty());
        let when = when.and_then(|text| {
            Template::parse(text).map_err(|message| wrong(root.key("when"), message)).ok()
        });
        let stop = spec.stop_strategy.as_ref().and_then(|stop| {
            let path = root.key("stopStrategy").key("expression");
            Expression::parse(&stop.expression).map_err(|message| wrong(path, message)).ok()
        });
        let conditions = Self { when, stop, fixed: fixed(metadata) };
        // What cannot be evaluated before the first run never will be, or not as it is meant.
        let first = Facts {
            now: jiff::Timestamp::UNIX_EPOCH,
            last_scheduled: None,
            succeeded: 0,
            failed: 0,
        };
        if let Err(message) = conditions.stop(&first) {
            wrong(root.key("stopStrategy").key("expression"), message);
        }
        let any = conditions.when.is_some() || conditions.stop.is_some();
        any.then_some(conditions)
    }

    fn environment(&self, facts: &Facts) -> Environment {
        let mut cron = self.fixed.clone();
        #[expect(clippy::cast_precision_loss, reason = "there are fewer runs than 2^53")]
        let number = |count: u64| Value::Number(count as f64);
        cron.insert("succeeded".to_owned(), number(facts.succeeded));
        cron.insert("failed".to_owned(), number(facts.failed));
        let last = facts.last_scheduled.map_or(Value::Nil, Value::Time);
        cron.insert("lastScheduledTime".to_owned(), last);
        Environment {
            names: BTreeMap::from([("cronworkflow".to_owned(), Value::Map(cron))]),
            now: facts.now,
        }
    }
}

fn fixed(metadata: &Metadata) -> BTreeMap<String, Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    let map = |map: &BTreeMap<String, String>| {
        let json = serde_json::json!(map).to_string();
        let mut values: BTreeMap<String, Value> =
            map.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        // `cronworkflow.labels.json` is the whole of them.
        values.entry("json".to_owned()).or_insert(Value::Text(json));
        Value::Map(values)
    };
    BTreeMap::from([
        ("name".to_owned(), text(&metadata.name)),
        ("namespace".to_owned(), text(&metadata.namespace)),
        ("labels".to_owned(), map(&metadata.labels)),
        ("annotations".to_owned(), map(&metadata.annotations)),
    ])
}

impl Conditions for CronConditions {
    fn when(&self, facts: &Facts) -> Result<bool, String> {
        let Some(when) = &self.when else { return Ok(true) };
        when.holds(&self.environment(facts)).map_err(|why| format!("`when`: {why}"))
    }

    fn stop(&self, facts: &Facts) -> Result<bool, String> {
        let Some(stop) = &self.stop else { return Ok(false) };
        stop.holds(&self.environment(facts)).map_err(|why| format!("`stopStrategy`: {why}"))
    }
}
