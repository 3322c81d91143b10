//! Freeze windows: times at which no action of a sensor or trigger is started.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tripline_config::{FieldPath, Problem};
use tripline_event::Timestamp;
use tripline_schedules::robfig::Cron;
use tripline_schedules::{duration, zone};
use tripline_sensors::definition::FreezeWindow;
use tripline_triggers::executor::{Freeze, Frozen};

use crate::codes;

/// The longest window that comes again.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);
/// The most windows of a sensor, and of a trigger.
pub const MOST: usize = 64;
/// The most windows that are followed one after the other.
const MOST_JOINED: usize = 256;

/// The windows of one trigger.
#[derive(Debug)]
pub struct Windows(Vec<Window>);

#[derive(Clone, Debug)]
struct Window {
    name: Arc<str>,
    times: Times,
}

#[derive(Clone, Debug)]
enum Times {
    Again { begins: Cron, length: SignedDuration },
    Once { from: Timestamp, to: Timestamp },
}

impl Windows {
    /// The windows in `lists`, each with its place; none where there are none.
    pub fn compile(
        lists: [(&[FreezeWindow], FieldPath); 2],
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut windows = Vec::new();
        for (list, at) in lists {
            if list.len() > MOST {
                let message = format!("{} windows, at most {MOST} are taken", list.len());
                problems.push(Problem::error(codes::FREEZE, at.clone(), message));
            }
            for (index, window) in list.iter().take(MOST).enumerate() {
                match Window::compile(window, &at.index(index)) {
                    Ok(window) => windows.push(window),
                    Err(problem) => problems.push(*problem),
                }
            }
        }
        (!windows.is_empty()).then_some(Self(windows))
    }

    /// How long the longest of them is.
    pub fn longest(&self) -> Duration {
        let length = |window: &Window| match &window.times {
            Times::Again { length, .. } => *length,
            Times::Once { from, to } => to.duration_since(*from),
        };
        let longest = self.0.iter().map(length).max().unwrap_or_default();
        Duration::try_from(longest).unwrap_or_default()
    }
}

impl Freeze for Windows {
    fn frozen(&self, now: Timestamp) -> Option<Frozen> {
        let mut frozen: Option<Frozen> = None;
        let mut at = now;
        // Windows that overlap, or follow each other, are one.
        for _ in 0..MOST_JOINED {
            let found = self.0.iter().find_map(|window| Some((window, window.end_of(at)?)));
            let Some((window, end)) = found else { break };
            at = end;
            let known = frozen
                .get_or_insert_with(|| Frozen { until: end, window: Arc::clone(&window.name) });
            known.until = end;
        }
        frozen
    }
}

impl Window {
    fn compile(window: &FreezeWindow, at: &FieldPath) -> Result<Self, Box<Problem>> {
        let wrong = |field: &str, message: String| {
            Box::new(Problem::error(codes::FREEZE, at.key(field), message))
        };
        let zone = match window.timezone.as_str() {
            "" => TimeZone::UTC,
            name => zone::load(name).map_err(|error| wrong("timezone", error.to_string()))?,
        };
        let again = !window.schedule.is_empty() || !window.duration.is_empty();
        let once = !window.from.is_empty() || !window.to.is_empty();
        if again == once {
            let message = "a window has `schedule` and `duration`, or `from` and `to`".to_owned();
            return Err(Box::new(Problem::error(codes::FREEZE, at.clone(), message)));
        }
        let times = if again {
            if window.schedule.starts_with("@every") {
                let message = "`@every` begins at no certain time: write a cron expression";
                return Err(wrong("schedule", message.to_owned()));
            }
            let begins = Cron::parse(&window.schedule, &zone)
                .map_err(|error| wrong("schedule", error.to_string()))?;
            let length = duration::parse_go(&window.duration)
                .map_err(|error| wrong("duration", error.to_string()))?;
            if length <= SignedDuration::ZERO || length > LONGEST {
                let message = "a window is longer than nothing and not longer than 31 days";
                return Err(wrong("duration", message.to_owned()));
            }
            Times::Again { begins, length }
        } else {
            let time = |field: &str, text: &str| {
                moment(text, &zone).ok_or_else(|| {
                    wrong(field, format!("`{text}` is no time: write 2026-12-20T18:00"))
                })
            };
            let (from, to) = (time("from", &window.from)?, time("to", &window.to)?);
            if to <= from {
                return Err(wrong("to", "the window ends before it begins".to_owned()));
            }
            Times::Once { from, to }
        };
        let name = match window.name.as_str() {
            "" if again => format!("{} for {}", window.schedule, window.duration),
            "" => format!("{} to {}", window.from, window.to),
            name => name.to_owned(),
        };
        Ok(Self { name: name.into(), times })
    }

    /// The end of the window that `at` is in.
    fn end_of(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.times {
            Times::Once { from, to } => (*from <= at && at < *to).then_some(*to),
            Times::Again { begins, length } => {
                let tick = begins.next_after(at.checked_sub(*length).ok()?)?;
                (tick <= at).then(|| tick.saturating_add(*length).unwrap_or(Timestamp::MAX))
            }
        }
    }
}

fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local: DateTime = text.parse().ok()?;
    Some(zone.to_ambiguous_zoned(local).compatible().ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(fields: [(&str, &str); 3]) -> FreezeWindow {
        let mut window = FreezeWindow::default();
        for (field, value) in fields {
            let place = match field {
                "name" => &mut window.name,
                "schedule" => &mut window.schedule,
                "duration" => &mut window.duration,
                "from" => &mut window.from,
                "to" => &mut window.to,
                _ => &mut window.timezone,
            };
            value.clone_into(place);
        }
        window
    }

    fn compile(windows: &[FreezeWindow]) -> (Option<Windows>, Vec<Problem>) {
        let mut problems = Vec::new();
        let at = FieldPath::root().key("freeze");
        let compiled = Windows::compile([(windows, at.clone()), (&[], at)], &mut problems);
        (compiled, problems)
    }

    #[test]
    fn a_window_holds_from_its_first_moment_up_to_its_end() {
        let zurich = ("timezone", "Europe/Zurich");
        let weekend = window([("schedule", "0 18 * * 5"), ("duration", "60h"), zurich]);
        let once = window([("from", "2026-12-20T18:00"), ("to", "2027-01-03T06:00"), zurich]);
        let night = window([("schedule", "0 22 * * *"), ("duration", "8h"), ("name", "night")]);
        let next = window([("schedule", "0 6 * * *"), ("duration", "1h"), ("name", "then")]);
        for (windows, at, until) in [
            (vec![weekend.clone()], "2026-11-20T16:59:59Z", None),
            (vec![weekend.clone()], "2026-11-20T17:00:00Z", Some("2026-11-23T05:00:00Z")),
            (vec![weekend.clone()], "2026-11-23T04:59:59Z", Some("2026-11-23T05:00:00Z")),
            (vec![weekend.clone()], "2026-11-23T05:00:00Z", None),
            // Clocks are put back in between: 60 hours are 60 hours.
            (vec![weekend], "2026-10-23T16:00:00Z", Some("2026-10-26T04:00:00Z")),
            (vec![once.clone()], "2026-12-20T16:59:59Z", None),
            (vec![once.clone()], "2026-12-20T17:00:00Z", Some("2027-01-03T05:00:00Z")),
            (vec![once], "2027-01-03T05:00:00Z", None),
            (vec![night.clone(), next], "2026-11-20T23:00:00Z", Some("2026-11-21T07:00:00Z")),
            (vec![night], "2026-11-21T06:00:00Z", None),
        ] {
            let (compiled, problems) = compile(&windows);
            assert_eq!(problems, []);
            let found = compiled.unwrap().frozen(at.parse().unwrap());
            let found = found.map(|frozen| frozen.until.to_string());
            assert_eq!(found.as_deref(), until, "{at} {windows:?}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused_at_its_place() {
        let none = ("name", "");
        for (fields, place) in [
            ([("schedule", "0 18 * * 5"), none, none], "freeze[0].duration"),
            ([("duration", "1h"), none, none], "freeze[0].schedule"),
            ([("schedule", "@every 1h"), ("duration", "1m"), none], "freeze[0].schedule"),
            ([("schedule", "0 18 * * *"), ("duration", "800h"), none], "freeze[0].duration"),
            ([("schedule", "0 18 * * *"), ("duration", "1h"), ("from", "x")], "freeze[0]"),
            ([("from", "2026-12-20T18:00"), ("to", "2026-12-20"), none], "freeze[0].to"),
            ([("from", "soon"), ("to", "2026-12-20T18:00"), none], "freeze[0].from"),
            ([none, none, none], "freeze[0]"),
        ] {
            let (compiled, problems) = compile(&[window(fields)]);
            assert!(compiled.is_none());
            let places: Vec<String> = problems.iter().map(|p| p.path.to_string()).collect();
            assert_eq!(places, [place], "{fields:?}");
        }
    }
}
