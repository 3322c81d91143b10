//! The golden vectors of robfig/cron v3.0.1 and of Temporal's schedules v1.32.1.
//!
//! `schedules.json` is read from the folder in `TRIPLINE_VECTORS`, or else from `tests/vectors`
//! and `tests/vectors-more` of the repository. Where the library deviates from what a clock shows, the vector's
//! `literalNext` is the answer.
//!
//! The vectors were made with the zone data 2025b. Zones whose data have changed since (from
//! 1960 on) are read from `zones-2025b.json`, so that what is compared is the arithmetic;
//! all others come from the program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tripline_schedules::robfig::Cron;
use tripline_schedules::spec::{Compiled, ScheduleSpec};
use tripline_schedules::zone;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    id: String,
    engine: String,
    spec: ScheduleSpec,
    after: Option<Timestamp>,
    next: Option<Vec<Timestamp>>,
    literal_next: Option<Vec<Timestamp>>,
    #[serde(default)]
    error: bool,
    #[serde(default)]
    jitter: bool,
    #[serde(default)]
    jitter_seed: String,
}

impl Vector {
    fn expected(&self) -> Option<&[Timestamp]> {
        if self.error {
            return None;
        }
        Some(self.literal_next.as_deref().or(self.next.as_deref()).unwrap_or_default())
    }
}

/// The longest list of times in a vector. Fewer mean that there are no more.
const TIMES: usize = 10;

/// Compiled zones in base64, by name, as they were in 2025b.
static CHANGED_ZONES: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("zones-2025b.json")).unwrap());

/// The changed zone that stands in front of a cron string, and the rest of it.
fn changed_zone(text: &str) -> Option<(&'static str, &'static String, &str)> {
    let rest = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ="))?;
    let (name, rest) = rest.split_once(' ')?;
    let (name, data) = CHANGED_ZONES.get_key_value(name)?;
    Some((name, data, rest))
}

fn parse_cron(text: &str) -> Option<Cron> {
    let Some((name, data, rest)) = changed_zone(text) else {
        return Cron::parse(text, &TimeZone::UTC).ok();
    };
    let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    Cron::parse(rest.trim(), &TimeZone::tzif(name, &data).unwrap()).ok()
}

/// The same schedule with the data of its zone, if they have changed.
fn with_zone_data(spec: &ScheduleSpec) -> ScheduleSpec {
    let mut spec = spec.clone();
    let prefixes: Option<Vec<_>> = spec.cron_string.iter().map(|text| changed_zone(text)).collect();
    match prefixes.as_deref() {
        // All cron strings name the same zone.
        Some([(name, data, _), rest @ ..])
            if rest.iter().all(|(other, ..)| other == name)
                && spec.timezone_name.as_ref().is_none_or(|other| other == name) =>
        {
            spec.timezone_name = Some((*name).to_owned());
            spec.timezone_data = Some((*data).clone());
            spec.cron_string =
                prefixes.iter().flatten().map(|(.., text)| (*text).to_owned()).collect();
        }
        _ => {
            let name = spec.timezone_name.as_ref();
            let data = name.and_then(|name| CHANGED_ZONES.get(name));
            let unzoned = spec.cron_string.iter().all(|text| !text.contains("TZ="));
            spec.timezone_data = data.filter(|_| unzoned).cloned();
        }
    }
    spec
}

/// The first times of the merged schedules; `None` if one is refused.
fn robfig(vector: &Vector) -> Option<Vec<Timestamp>> {
    let crons: Option<Vec<Cron>> =
        vector.spec.cron_string.iter().map(|text| parse_cron(text)).collect();
    let crons = crons?;
    let next = |after| crons.iter().filter_map(|cron| cron.next_after(after)).min();
    let first = vector.after.and_then(next);
    Some(std::iter::successors(first, |&tick| next(tick)).take(TIMES).collect())
}

fn temporal(vector: &Vector) -> Option<Vec<Timestamp>> {
    let compiled = Compiled::compile(&with_zone_data(&vector.spec)).ok()?;
    let next = |after| match vector.jitter {
        true => compiled.next_jittered_after(after, &vector.jitter_seed).map(|tick| tick.at),
        false => compiled.next_after(after),
    };
    let first = vector.after.and_then(next);
    Some(std::iter::successors(first, |&tick| next(tick)).take(TIMES).collect())
}

fn vectors() -> Vec<Vector> {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let folders = std::env::var_os("TRIPLINE_VECTORS").map_or_else(
        || vec![tests.join("vectors"), tests.join("vectors-more")],
        |folder| vec![PathBuf::from(folder)],
    );
    let mut vectors = Vec::new();
    for folder in folders {
        let text = std::fs::read_to_string(folder.join("schedules.json")).unwrap();
        vectors.extend(serde_json::from_str::<Vec<Vector>>(&text).unwrap());
    }
    vectors
}

fn check(engine: &str, found: fn(&Vector) -> Option<Vec<Timestamp>>) {
    let vectors = vectors();
    let vectors: Vec<&Vector> = vectors.iter().filter(|vector| vector.engine == engine).collect();
    let mut passed = 0;
    for vector in &vectors {
        let found = found(vector);
        if found.as_deref() == vector.expected() {
            passed += 1;
        } else {
            println!(
                "{}: {}\n  expected {}\n  found    {}",
                vector.id,
                serde_json::to_string(&vector.spec).unwrap(),
                serde_json::to_string(&vector.expected()).unwrap(),
                serde_json::to_string(&found).unwrap(),
            );
        }
    }
    println!(
        "zone data {}; {} zones that have changed as of 2025b",
        zone::database_version(),
        CHANGED_ZONES.len()
    );
    println!("schedules {engine}: {passed}/{}", vectors.len());
    assert!(!vectors.is_empty(), "there are no vectors of {engine}");
    assert_eq!(passed, vectors.len(), "{engine}");
}

#[test]
fn robfig_cron() {
    check("robfig-cron", robfig);
}

#[test]
fn temporal_schedule() {
    check("temporal-schedule", temporal);
}
