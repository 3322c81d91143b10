//! What differs from Argo Events, as `docs/compatibility.md` says it: the page is part of the
//! program. Here stands only how it is seen that an object is concerned.

use serde_json::Value;

/// The page.
const PAGE: &str = include_str!("../../docs/compatibility.md");

/// A row of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about, as it is written: `` `rateLimit` ``.
    pub what: String,
    /// Whether it is there: `yes`, `differs`, `not yet`.
    pub state: String,
    /// What there is to say.
    pub notes: String,
}

/// The rows of all tables of the page.
pub fn rows() -> Vec<Row> {
    let cells = |line: &str| -> Option<Row> {
        let inside = line.strip_prefix("| ")?.strip_suffix('|')?.trim_end();
        let mut cells = inside.splitn(3, " | ").map(|cell| plain(cell.trim()));
        let (what, state) = (cells.next()?, cells.next()?);
        let notes = cells.next().unwrap_or_default();
        let notes = notes.trim_matches('|').trim().to_owned();
        Some(Row { what, state: state.trim_end_matches('|').trim().to_owned(), notes })
    };
    PAGE.lines().filter_map(cells).filter(|row| !row.what.starts_with("---")).collect()
}

/// Text of a page for a terminal: links by their words, and bars without their escapes.
fn plain(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell;
    while let Some(begin) = rest.find('[') {
        let link = rest[begin..].find("](").and_then(|middle| {
            let end = rest[begin + middle..].find(')')?;
            Some((&rest[begin + 1..begin + middle], begin + middle + end + 1))
        });
        let Some((words, end)) = link else { break };
        text.push_str(&rest[..begin]);
        // `[page](filters.md)` says nothing without the page.
        if words != "page" {
            text.push_str(words);
        }
        rest = &rest[end..];
    }
    text.push_str(rest);
    let text = text.replace("\\|", "|");
    text.trim_start_matches(['.', ' ']).to_owned()
}

/// The row about `what`.
pub fn row(what: &str) -> Option<Row> {
    rows().into_iter().find(|row| row.what == what)
}

/// Where an object has something that differs: the fields, as they are written.
pub type Fields = fn(&Value) -> Vec<String>;

/// What differs for some sensors, and how it is seen.
pub const OF_SENSORS: &[(&str, Fields)] = &[
    ("`filters.data[].template`", |object| {
        dependencies(object, |dependency, at, found| {
            for (index, filter) in items(dependency.pointer("/filters/data")).enumerate() {
                if filter.get("template").is_some_and(|of| !of.is_null()) {
                    found.push(format!("{at}.filters.data[{index}].template"));
                }
            }
        })
    }),
    ("`filters.script` (Lua)", |object| {
        dependencies(object, |dependency, at, found| {
            if text(dependency.pointer("/filters/script")) {
                found.push(format!("{at}.filters.script"));
            }
        })
    }),
    ("`transform` (jq, Lua)", |object| {
        dependencies(object, |dependency, at, found| {
            if dependency.get("transform").is_some_and(|of| !of.is_null()) {
                found.push(format!("{at}.transform"));
            }
        })
    }),
    ("`dataTemplate`, `contextTemplate`", |object| {
        let mut found = Vec::new();
        let fields = ["dataTemplate", "contextTemplate"];
        search(object.pointer("/spec/triggers"), "spec.triggers", &fields, &mut found);
        found
    }),
    ("`dest` with an index far beyond the end of a list", |object| {
        let mut found = Vec::new();
        destinations(object.pointer("/spec/triggers"), "spec.triggers", &mut found);
        found
    }),
    ("`rateLimit`", |object| triggers_with(object, "rateLimit")),
    ("`atLeastOnce`", |object| triggers_with(object, "atLeastOnce")),
];

/// What differs for some event sources.
pub const OF_EVENT_SOURCES: &[(&str, Fields)] = &[("`filter.expression`", |object| {
    let mut found = Vec::new();
    search(object.get("spec"), "spec", &["expression"], &mut found);
    found.retain(|field| field.ends_with("filter.expression"));
    found
})];

/// What differs for every sensor.
pub const OF_ALL_SENSORS: &[&str] = &[
    "an event whose id is known",
    "half-met conditions over a restart or a change",
    "a trigger that fails for good",
];

/// What differs for every event source.
pub const OF_ALL_EVENT_SOURCES: &[&str] =
    &["event ids", "when upstream is answered", "a listener that has failed"];

/// What differs for every CronWorkflow.
pub const OF_ALL_CRON_WORKFLOWS: &[&str] =
    &["schedules: every instant at which the clocks show the time, once"];

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn text(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

fn dependencies(object: &Value, look: fn(&Value, &str, &mut Vec<String>)) -> Vec<String> {
    let mut found = Vec::new();
    for (index, dependency) in items(object.pointer("/spec/dependencies")).enumerate() {
        look(dependency, &format!("spec.dependencies[{index}]"), &mut found);
    }
    found
}

fn triggers_with(object: &Value, field: &str) -> Vec<String> {
    let triggers = items(object.pointer("/spec/triggers")).enumerate();
    let has = |value: &Value| !value.is_null() && *value != Value::Bool(false);
    let with = triggers.filter(|(_, trigger)| trigger.get(field).is_some_and(has));
    with.map(|(index, _)| format!("spec.triggers[{index}].{field}")).collect()
}

/// The fields of these names, wherever they stand.
fn search(value: Option<&Value>, at: &str, names: &[&str], found: &mut Vec<String>) {
    match value {
        Some(Value::Object(fields)) => {
            for (name, below) in fields {
                let at = format!("{at}.{name}");
                if names.contains(&name.as_str()) && text(Some(below)) {
                    found.push(at.clone());
                }
                search(Some(below), &at, names, found);
            }
        }
        Some(Value::Array(items)) => {
            for (index, below) in items.iter().enumerate() {
                search(Some(below), &format!("{at}[{index}]"), names, found);
            }
        }
        _ => {}
    }
}

/// Places of parameters with an index that is refused.
fn destinations(value: Option<&Value>, at: &str, found: &mut Vec<String>) {
    let mut all = Vec::new();
    search(value, at, &["dest"], &mut all);
    let is_large = |field: &String| {
        let pointer = field.strip_prefix("spec.triggers").unwrap_or_default();
        let pointer = pointer.replace('[', "/").replace(']', "").replace('.', "/");
        let dest = value.and_then(|value| value.pointer(&pointer)).and_then(Value::as_str);
        let mut parts = dest.unwrap_or_default().split('.');
        parts.any(|part| {
            part.parse().is_ok_and(|index: usize| index > tripline_sensors::set::MAX_INDEX)
        })
    };
    found.extend(all.into_iter().filter(is_large));
}
