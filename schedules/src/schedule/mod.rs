//! `Schedule`, Tripline's own kind: what Temporal's schedules have, and what they lack.
//!
//! [`ScheduleResource`] is what is written, [`compile`] gives what it means, or everything
//! that is wrong with it. [`temporal`] reads Temporal's own JSON.

pub mod temporal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::FieldPath;

use crate::definition::Definition;
use crate::duration::{Units, parse};
use crate::exclusion::{Exclusions, HolidayCalendar};
use crate::policy::{CatchUp, OverlapPolicy, Policies};
use crate::spec::{Compiled, ScheduleSpec, SpecError};
use crate::timetable::{At, Part, Timetable};
use crate::{ClockChange, zone};

/// The most missed ticks that are made up for where the schedule does not say.
pub const CATCH_UP_MAX: u32 = 50;
/// The longest note.
pub const NOTE_MAX: usize = 1000;

/// `spec` of a Schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleResource {
    /// When it occurs: whenever one of these says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub specs: Vec<ScheduleSpec>,
    /// Single times: `2026-12-01T09:00:00` in the schedule's zone, or with an offset or `Z`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// A tick so long after the end of the last run, such as `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_end: Option<String>,
    /// The IANA name of the zone of all specs that name none. UTC if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What happens when clocks are changed.
    pub clock_change: ClockChange,
    /// The names of `HolidayCalendar`s of the same namespace: nothing occurs on their days.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_holidays: Vec<String>,
    /// How ticks are treated.
    pub policies: SchedulePolicies,
    /// How it begins.
    pub state: ScheduleState,
    /// It is forgotten once nothing will happen any more.
    pub delete_after_completion: bool,
    /// What a tick does: a kind of trigger with what stands under it, as under `template` of a
    /// Sensor's trigger, and its `parameters`, `retryStrategy`, `expiresAfter`, …; or `event`.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub action: Value,
    /// The calendars that `excludeHolidays` names, as they were when this was loaded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    pub holidays: BTreeMap<String, HolidayCalendar>,
}

/// How a schedule treats its ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulePolicies {
    /// What happens to a start while an earlier run is still going. `Skip` if not given.
    pub overlap: OverlapPolicy,
    /// Which missed ticks are made up for. `latest` if not given.
    pub catch_up: CatchUpMode,
    /// Of `catchUp: all`, the most; 50 if not given. Of more, the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// How late a missed tick may be made up for, such as `6h`; `1h` if not given, at least `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up_window: Option<String>,
    /// A run that fails or times out pauses the schedule.
    pub pause_on_failure: bool,
}

/// Which missed ticks are made up for, within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CatchUpMode {
    /// None of them.
    None,
    /// The latest one.
    #[default]
    Latest,
    /// All of them, in order, up to `max`.
    All,
}

/// How a schedule begins. What happens to it later is not written here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleState {
    /// Nothing is started as long as this is given.
    pub paused: bool,
    /// Why, at most 1000 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// How many ticks may start a run, counted from when this was put in force or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_actions: Option<u64>,
}

/// What the schedule means. The paths of the errors are those from the object on. `action` is
/// not looked at.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile(resource: &ScheduleResource) -> Result<Definition, Vec<SpecError>> {
    let mut errors = Vec::new();
    let root = FieldPath::root().key("spec");
    let zone = match resource.timezone.as_deref().unwrap_or_default() {
        "" => TimeZone::UTC,
        name => zone::load(name).unwrap_or_else(|error| {
            let path = root.key("timezone");
            errors.push(SpecError::new(path, error.to_string()).help(error.help()));
            TimeZone::UTC
        }),
    };
    let parts = parts(resource, &zone, &root, &mut errors);
    if parts.is_empty() && resource.after_end.is_none() && errors.is_empty() {
        let message = "a Schedule needs `specs`, `at` or `afterEnd`: when it occurs";
        errors.push(
            SpecError::new(root.clone(), message)
                .help("write `specs: [{cronString: [\"0 */4 * * *\"]}]`"),
        );
    }
    let exclusions = exclusions(resource, &root, &mut errors);
    let policies = policies(resource, &root, &mut errors);
    let state = &resource.state;
    if state.note.len() > NOTE_MAX {
        let message = format!("the note is {} bytes long", state.note.len());
        let path = root.key("state").key("note");
        errors.push(SpecError::new(path, message).help(format!("at most {NOTE_MAX}")));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let note = || if state.note.is_empty() { "state.paused: true" } else { &state.note }.to_owned();
    let fingerprint = serde_json::json!([
        resource.specs,
        resource.at,
        resource.timezone,
        resource.clock_change,
        resource.holidays
    ]);
    Ok(Definition {
        times: Timetable::new(parts, exclusions),
        policies,
        suspended: state.paused.then(note),
        conditions: None,
        limited_actions: state.limited_actions,
        delete_after_completion: resource.delete_after_completion,
        fingerprint: fingerprint.to_string(),
    })
}

fn parts(
    resource: &ScheduleResource,
    zone: &TimeZone,
    root: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Vec<Part> {
    let mut parts = Vec::new();
    for (index, spec) in resource.specs.iter().enumerate() {
        let path = root.key("specs").index(index);
        let own_zone = spec.timezone_name.is_some()
            || spec.timezone_data.is_some()
            || spec.cron_string.iter().any(|text| text.trim_start().contains("TZ="));
        let mut spec = spec.clone();
        if !own_zone {
            spec.timezone_name.clone_from(&resource.timezone);
        }
        let empty = spec.structured_calendar.is_empty()
            && spec.calendar.is_empty()
            && spec.cron_string.is_empty()
            && spec.interval.is_empty();
        if empty {
            let message = "this never occurs: it has no calendar, interval or cron string";
            errors.push(SpecError::new(path.clone(), message));
        }
        match Compiled::compile(&spec) {
            Ok(compiled) => {
                let compiled = compiled.with_clock_change(resource.clock_change);
                parts.push(Part::Spec(Box::new(compiled)));
            }
            Err(found) => errors.extend(found.into_iter().filter_map(|error| {
                // A zone that was not found is told once, where it stands.
                let inherited = !own_zone && error.path.to_string() == "timezoneName";
                (!inherited).then(|| SpecError { path: path.join(&error.path), ..error })
            })),
        }
    }
    let mut instants = Vec::new();
    for (index, text) in resource.at.iter().enumerate() {
        match instant(text, zone) {
            Some(at) => instants.push(at),
            None => errors.push(
                SpecError::new(root.key("at").index(index), format!("{text:?} is no time")).help(
                    "write `2026-12-01T09:00:00`, or with an offset `2026-12-01T09:00:00+01:00`",
                ),
            ),
        }
    }
    if !instants.is_empty() {
        parts.push(Part::At(At::new(instants, zone.clone())));
    }
    parts
}

/// A whole second: with an offset as it stands, else on the clocks of the zone. A reading
/// that is left out is the instant of the change; one that is shown twice is the first.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let whole = |at: Timestamp| Timestamp::from_second(crate::whole_second(at)).ok();
    if let Ok(at) = text.parse::<Timestamp>() {
        return whole(at);
    }
    let local: DateTime = text.parse().ok()?;
    whole(zone.to_zoned(local).ok()?.timestamp())
}

fn exclusions(
    resource: &ScheduleResource,
    root: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Exclusions {
    let mut calendars = Vec::new();
    for (index, name) in resource.exclude_holidays.iter().enumerate() {
        let path = root.key("excludeHolidays").index(index);
        match resource.holidays.get(name) {
            Some(calendar) => calendars.push((path, calendar)),
            None => {
                let message = format!("there is no HolidayCalendar `{name}` in this namespace");
                errors.push(SpecError::new(path, message).help("add one, with `spec.days`"));
            }
        }
    }
    // Mistakes in a calendar are its own.
    Exclusions::compile(calendars, &mut Vec::new())
}

fn policies(
    resource: &ScheduleResource,
    root: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Policies {
    let at = root.key("policies");
    let policies = &resource.policies;
    let mut duration = |text: Option<&String>, path: FieldPath| {
        let text = text?;
        match parse(text, Units::GoAndDays) {
            Ok(duration) if duration.is_positive() => Some(duration),
            Ok(_) => {
                errors.push(SpecError::new(path, format!("`{text}` is not more than 0")));
                None
            }
            Err(error) => {
                errors.push(SpecError::new(path, error.to_string()));
                None
            }
        }
    };
    let window = duration(policies.catch_up_window.as_ref(), at.key("catchUpWindow"));
    let after_end = duration(resource.after_end.as_ref(), root.key("afterEnd"));
    if policies.max.is_some() && policies.catch_up != CatchUpMode::All {
        let message = "`max` is for `catchUp: all`";
        errors.push(SpecError::new(at.key("max"), message));
    }
    if resource.after_end.is_some() && policies.overlap == OverlapPolicy::AllowAll {
        let message =
            "`afterEnd` needs to know the last run, and with `overlap: AllowAll` there is none";
        errors.push(SpecError::new(root.key("afterEnd"), message).help("choose another `overlap`"));
    }
    Policies {
        overlap: policies.overlap,
        catch_up: match policies.catch_up {
            CatchUpMode::None => CatchUp::None,
            CatchUpMode::Latest => CatchUp::Latest,
            CatchUpMode::All => CatchUp::All(policies.max.unwrap_or(CATCH_UP_MAX)),
        },
        catch_up_window: window.unwrap_or(SignedDuration::from_hours(1)),
        pause_on_failure: policies.pause_on_failure,
        after_end,
        follow_all: policies.pause_on_failure && policies.overlap == OverlapPolicy::AllowAll,
    }
}
