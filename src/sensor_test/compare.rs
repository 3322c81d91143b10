//! What fired, held against what was to fire.

use serde_json::Value;

use super::case::{Difference, Failure};
use super::expect::{Expected, Firing, Part};
use super::world::Fired;

/// The most characters of a value that a difference shows.
const MAX_SHOWN: usize = 300;

/// What is not as expected; none where all is. `lines` is what filters and conditions said,
/// where they were asked.
pub fn compare(expected: &Expected, fired: &[Fired], lines: Option<&[String]>) -> Vec<Failure> {
    let mut failures = match expected {
        Expected::Count(count) => counted(*count, fired),
        Expected::Firings(firings) => matched(firings, fired),
    };
    if let (Expected::Firings(firings), Some(lines), true) = (expected, lines, failures.is_empty())
    {
        failures.extend(firings.iter().filter_map(|firing| other_reason(firing, lines)));
    }
    for failure in &mut failures {
        failure.because = lines.unwrap_or_default().to_vec();
    }
    failures
}

fn counted(count: usize, fired: &[Fired]) -> Vec<Failure> {
    let dead = fired.iter().find_map(|fired| fired.rendered.as_ref().err().map(|e| (fired, e)));
    if let Some((fired, error)) = dead {
        let got = format!("{} is a dead letter: {error}", fired.action.trigger.trigger);
        return vec![failure(times("something", count), got)];
    }
    if fired.len() == count {
        Vec::new()
    } else {
        vec![failure(times("something", count), got(fired))]
    }
}

fn matched(firings: &[Firing], fired: &[Fired]) -> Vec<Failure> {
    let mut left: Vec<&Fired> = fired.iter().collect();
    let mut unmet: Vec<&Firing> = Vec::new();
    for firing in firings {
        for _ in 0..firing.times {
            match left.iter().position(|fired| differences(firing, fired).is_empty()) {
                Some(place) => drop(left.remove(place)),
                None => unmet.push(firing),
            }
        }
    }
    let mut failures = Vec::new();
    for firing in unmet {
        // The firing that was probably meant: the one with the fewest differences.
        let candidates = left.iter().enumerate().filter(|(_, fired)| names(firing, fired));
        let nearest = candidates.min_by_key(|(_, fired)| differences(firing, fired).len());
        let expected = described(firing);
        let Some((place, nearest)) = nearest else {
            failures.push(failure(expected, got(fired)));
            continue;
        };
        let got = match &nearest.rendered {
            Ok(_) => format!("{} fires with other values", nearest.action.trigger.trigger),
            Err(error) => format!("{} is a dead letter: {error}", nearest.action.trigger.trigger),
        };
        let differences = differences(firing, nearest);
        failures.push(Failure { differences, ..failure(expected, got) });
        left.remove(place);
    }
    for fired in left {
        let never = firings.iter().find(|firing| firing.times == 0 && names(firing, fired));
        let expected = never.map_or_else(|| "nothing else fires".to_owned(), described);
        failures.push(failure(expected, got(&[fired])));
    }
    failures
}

fn failure(expected: String, got: String) -> Failure {
    Failure { expected, got, ..Failure::default() }
}

/// What was not to fire did not, but for another reason.
fn other_reason(firing: &Firing, lines: &[String]) -> Option<Failure> {
    let because = firing.spec.because.as_ref()?;
    if firing.times > 0 || lines.iter().any(|line| line.contains(because.as_str())) {
        return None;
    }
    let got = if lines.is_empty() { "no filter was asked" } else { "another reason" };
    Some(failure(format!("{}, because: {because}", described(firing)), got.to_owned()))
}

fn times(what: &str, count: usize) -> String {
    match count {
        0 => "nothing fires".to_owned(),
        1 => format!("{what} fires once"),
        count => format!("{what} fires {count} times"),
    }
}

fn described(firing: &Firing) -> String {
    let spec = &firing.spec;
    let trigger = spec.trigger.as_deref();
    let of = spec.sensor.as_ref().map(|sensor| format!(" of {sensor}")).unwrap_or_default();
    let mut text = match (trigger, firing.times) {
        (Some(trigger), 0) => format!("{trigger}{of} does not fire"),
        (trigger, count) => times(&format!("{}{of}", trigger.unwrap_or("something")), count),
    };
    if let Some(words) = &spec.dead_letter {
        text.push_str(&format!(" and is a dead letter: {words}"));
    }
    text
}

fn got<F: std::borrow::Borrow<Fired>>(fired: &[F]) -> String {
    if fired.is_empty() {
        return "nothing fires".to_owned();
    }
    let mut counts: Vec<(String, usize)> = Vec::new();
    for fired in fired {
        let trigger = &fired.borrow().action.trigger;
        let name = format!("{} of {}", trigger.trigger, trigger.sensor);
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let texts: Vec<String> = counts.iter().map(|(name, count)| times(name, *count)).collect();
    texts.join(", ")
}

/// Whether the firing is one of the trigger that is meant.
fn names(firing: &Firing, fired: &Fired) -> bool {
    let name = &fired.action.trigger;
    let spec = &firing.spec;
    spec.trigger.as_ref().is_none_or(|trigger| *trigger == name.trigger)
        && spec.sensor.as_ref().is_none_or(|sensor| *sensor == name.sensor)
}

fn differences(firing: &Firing, fired: &Fired) -> Vec<Difference> {
    let mut found = Vec::new();
    let spec = &firing.spec;
    let mut text = |path: &str, expected: Option<&str>, got: Option<&str>| {
        if let Some(expected) = expected.filter(|expected| Some(*expected) != got) {
            let got = got.map_or_else(|| "nothing".to_owned(), quoted);
            found.push(Difference { path: path.to_owned(), expected: quoted(expected), got });
        }
    };
    let name = &fired.action.trigger;
    text("trigger", spec.trigger.as_deref(), Some(&name.trigger));
    text("sensor", spec.sensor.as_deref(), Some(&name.sensor));
    text("target", spec.target.as_deref(), fired.action.target.as_deref());
    text("correlation", spec.correlation.as_deref(), Some(fired.action.links.correlation.as_str()));
    let rendered = match (&fired.rendered, &spec.dead_letter) {
        (Ok(rendered), None) => rendered,
        (Err(error), Some(words)) if error.contains(words.as_str()) => return found,
        (Err(error), words) => {
            text("deadLetter", Some(words.as_deref().unwrap_or("none")), Some(error));
            return found;
        }
        (Ok(_), Some(words)) => {
            text("deadLetter", Some(words), None);
            return found;
        }
    };
    for (name, wanted) in &spec.parameters {
        let got = parameter(&rendered.object, name);
        if !got.is_some_and(|got| same_text(wanted, got)) {
            found.push(difference(&format!("parameters.{name}"), wanted, got));
        }
    }
    let whole = firing.object.iter().any(|part| part.path.is_some());
    let whole = if whole { rendered.object.to_string() } else { String::new() };
    for part in &firing.object {
        let got = value_at(part, &rendered.object, &whole);
        below(&format!("object.{}", part.at), &part.value, got.as_ref(), &mut found);
    }
    found
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn difference(path: &str, expected: &Value, got: Option<&Value>) -> Difference {
    let shown = |value: &Value| crate::query::item::shortened(&value.to_string(), MAX_SHOWN);
    Difference {
        path: path.to_owned(),
        expected: shown(expected),
        got: got.map_or_else(|| "nothing".to_owned(), shown),
    }
}

fn value_at(part: &Part, object: &Value, text: &str) -> Option<Value> {
    match &part.path {
        None => object.get(&part.at).cloned(),
        Some(path) => serde_json::from_str(&path.find(text)?.raw).ok(),
    }
}

/// A parameter of a workflow: what stands in its arguments.
pub fn parameter<'o>(object: &'o Value, name: &str) -> Option<&'o Value> {
    let all = object.pointer("/spec/arguments/parameters")?.as_array()?;
    all.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name))?.get("value")
}

/// A parameter of a workflow is a text, however it is written in a test.
fn same_text(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Bool(wanted), Value::String(text)) => text.parse() == Ok(*wanted),
        (Value::Number(wanted), Value::String(text)) => {
            wanted.to_string().as_str() == text.as_str()
        }
        _ => same(wanted, got),
    }
}

fn same(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => wanted == got,
    }
}

/// Every value that is wanted is there; what is not asked for may be anything.
fn below(path: &str, wanted: &Value, got: Option<&Value>, found: &mut Vec<Difference>) {
    match (wanted, got) {
        (Value::Object(wanted), Some(Value::Object(got))) => {
            for (key, wanted) in wanted {
                below(&format!("{path}.{key}"), wanted, got.get(key), found);
            }
        }
        (Value::Array(wanted), Some(Value::Array(got))) if wanted.len() == got.len() => {
            for (index, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                below(&format!("{path}.{index}"), wanted, Some(got), found);
            }
        }
        (wanted, Some(got)) if same(wanted, got) => {}
        (wanted, got) => found.push(difference(path, wanted, got)),
    }
}
