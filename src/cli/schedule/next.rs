//! `tripline schedule next`: when schedules in files occur, without a daemon.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::io::{BufWriter, IsTerminal as _, Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tripline_config::{Input, Severity};
use tripline_event::Clock as _;
use tripline_schedules::timetable::Ticks;
use tripline_schedules::zone;

use super::week;
use crate::cli::output::{Format, note};
use crate::cli::when::When;
use crate::cli::{CommandError, Exit};
use crate::control::ControlError;
use crate::engine::definitions::Definitions;
use crate::engine::schedules::CompiledSchedule;
use crate::load;

/// The most that is read from the standard input.
const MAX_INPUT_BYTES: u64 = 64 * 1024 * 1024;
/// The most ticks that are written.
const MOST: usize = 10_000_000;
/// How many are written where no end is given.
const SOME: usize = 20;

/// Which schedules, and of what time.
#[derive(Args, Clone, Debug)]
pub struct NextArgs {
    /// Files and folders; - is the standard input.
    #[arg(default_value = ".", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only this one: [NAMESPACE/]NAME.
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,
    /// From here on: a time, or a span before now; now, if not given.
    #[arg(long, value_name = "WHEN")]
    pub from: Option<When>,
    /// Up to here: a time, or a span from now.
    #[arg(long, value_name = "WHEN")]
    pub to: Option<When>,
    /// How many; 20 where no end is given.
    #[arg(long, value_name = "COUNT")]
    pub count: Option<usize>,
    /// A picture of the week that follows.
    #[arg(long, conflicts_with_all = ["to", "count"])]
    pub week: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// `schedule next`. Exits with 1 where something in the files is wrong.
pub(super) fn next(args: &NextArgs) -> Result<Exit, CommandError> {
    let now = tripline_event::SystemClock.now();
    let from = args.from.map_or(now, |when| when.before(now));
    let (schedules, sound) = schedules(args)?;
    if schedules.is_empty() {
        return Err(
            ControlError::NotFound("there is no such schedule in these files".into()).into()
        );
    }
    let colour = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    if args.week {
        out.write_all(week::picture(&schedules, from, colour).as_bytes())?;
    } else {
        let to = args.to.map_or(Timestamp::MAX, |when| when.after(now));
        let count = args.count.unwrap_or(if args.to.is_some() { MOST } else { SOME }).min(MOST);
        let written = write_ticks(&schedules, from, to, count, args.output, &mut out)?;
        if written == MOST {
            note(&format!("there are more: {MOST} is the most that is written"));
        }
        if args.output == Format::Human && std::io::stdout().is_terminal() {
            writeln!(out, "\ntime zone data {}", zone::database_version())?;
        }
    }
    out.flush()?;
    Ok(if sound { Exit::Done } else { Exit::Findings })
}

fn schedules(args: &NextArgs) -> Result<(Vec<Arc<CompiledSchedule>>, bool), CommandError> {
    let mut inputs = Vec::new();
    for path in &args.paths {
        if path.as_os_str() == "-" {
            let mut text = Vec::new();
            std::io::stdin().take(MAX_INPUT_BYTES).read_to_end(&mut text)?;
            inputs.push(Input::text("<stdin>", text));
        } else {
            inputs.push(Input::Path(path.clone()));
        }
    }
    let loaded = load::load(&inputs, &Definitions::default());
    let mut sound = true;
    for diagnostic in &loaded.diagnostics {
        sound &= diagnostic.severity != Severity::Error;
        note(&diagnostic.to_string());
    }
    let wanted = |schedule: &CompiledSchedule| {
        args.schedule.as_ref().is_none_or(|wanted| {
            *wanted == schedule.object.to_string() || *wanted == schedule.object.name
        })
    };
    let all = loaded.sensors.values().filter_map(|sensor| sensor.compiled.schedule.clone());
    Ok((all.filter(|schedule| wanted(schedule)).collect(), sound))
}

/// Writes the ticks of all schedules in the order of time; returns how many.
fn write_ticks(
    schedules: &[Arc<CompiledSchedule>],
    from: Timestamp,
    to: Timestamp,
    count: usize,
    format: Format,
    out: &mut impl Write,
) -> std::io::Result<usize> {
    let before = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
    let mut rows: Vec<Row<'_>> =
        schedules.iter().map(|schedule| Row::new(schedule, before)).collect();
    let mut heap: BinaryHeap<Reverse<(Timestamp, usize)>> = rows
        .iter_mut()
        .enumerate()
        .filter_map(|(index, row)| Some(Reverse((row.ticks.next()?, index))))
        .collect();
    if format == Format::Human {
        writeln!(out, "LOCAL                      UTC                   SCHEDULE")?;
    }
    let mut line = String::with_capacity(256);
    let mut written = 0;
    while let Some(mut top) = heap.peek_mut() {
        let Reverse((tick, index)) = *top;
        if written == count || tick > to {
            break;
        }
        match rows[index].ticks.next() {
            Some(next) => top.0.0 = next,
            None => drop(std::collections::binary_heap::PeekMut::pop(top)),
        }
        line.clear();
        rows[index].write(tick, format, &mut line);
        out.write_all(line.as_bytes())?;
        written += 1;
    }
    Ok(written)
}

/// A schedule, and what is known of its clocks for the next tick.
struct Row<'s> {
    ticks: Ticks<'s>,
    zone: TimeZone,
    name: String,
    /// The name as JSON.
    json_name: String,
    /// The offset, and from when to when it is the same; both in seconds.
    offset: i64,
    since: i64,
    until: i64,
    /// By how much clocks were changed at `since` and will be at `until`.
    changed: i64,
    will_change: i64,
}

impl<'s> Row<'s> {
    fn new(schedule: &'s CompiledSchedule, after: Timestamp) -> Self {
        let name = schedule.object.to_string();
        Self {
            ticks: schedule.definition.times.ticks_after(after),
            zone: schedule.definition.times.zone(),
            json_name: serde_json::Value::from(name.as_str()).to_string(),
            name,
            offset: 0,
            since: i64::MAX,
            until: i64::MIN,
            changed: 0,
            will_change: 0,
        }
    }

    fn look_up(&mut self, tick: Timestamp) {
        let at = tick.as_second();
        if (self.since..self.until).contains(&at) {
            return;
        }
        let offset = |at: Timestamp| i64::from(self.zone.to_offset(at).seconds());
        self.offset = offset(tick);
        let mut following = self.zone.following(tick).take(16);
        let next = following.find(|change| i64::from(change.offset().seconds()) != self.offset);
        self.until = next.as_ref().map_or(i64::MAX, |change| change.timestamp().as_second());
        self.will_change =
            next.map_or(0, |change| i64::from(change.offset().seconds()) - self.offset);
        let later = tick.checked_add(SignedDuration::from_secs(1)).unwrap_or(tick);
        let mut preceding = self.zone.preceding(later).take(16).filter_map(|change| {
            let before = change.timestamp().checked_sub(SignedDuration::from_secs(1)).ok()?;
            Some((change.timestamp().as_second(), self.offset - offset(before)))
        });
        let last = preceding.find(|(_, by)| *by != 0);
        (self.since, self.changed) = last.unwrap_or((i64::MIN, 0));
    }

    /// What a change of clocks does to the tick.
    fn mark(&self, at: i64) -> &'static str {
        // Clocks go back: what was shown in the time before is shown again.
        if self.changed < 0 && at - self.since < -self.changed {
            return "second time: clocks went back";
        }
        if self.will_change < 0 && self.until - at <= -self.will_change {
            return "first time: clocks go back";
        }
        if self.changed > 0 && at - self.since < 3600 {
            return "clocks went forward";
        }
        ""
    }

    fn write(&mut self, tick: Timestamp, format: Format, line: &mut String) {
        self.look_up(tick);
        let at = tick.as_second();
        let mark = self.mark(at);
        match format {
            Format::Human => {
                push_time(line, at + self.offset, ' ');
                line.push(' ');
                push_offset(line, self.offset);
                line.push_str("  ");
                push_time(line, at, 'T');
                line.push_str("Z  ");
                line.push_str(&self.name);
                if !mark.is_empty() {
                    line.push_str("  ");
                    line.push_str(mark);
                }
            }
            Format::Json => {
                line.push_str("{\"schedule\":");
                line.push_str(&self.json_name);
                line.push_str(",\"local\":\"");
                push_time(line, at + self.offset, 'T');
                push_offset(line, self.offset);
                line.push_str("\",\"utc\":\"");
                push_time(line, at, 'T');
                line.push_str("Z\"");
                if !mark.is_empty() {
                    line.push_str(",\"mark\":\"");
                    line.push_str(mark);
                    line.push('"');
                }
                line.push('}');
            }
        }
        line.push('\n');
    }
}

fn push_two(line: &mut String, value: i64) {
    let digit = |value: i64| char::from(b'0' + u8::try_from(value % 10).unwrap_or_default());
    line.push(digit(value / 10));
    line.push(digit(value));
}

/// A reading of clocks, in seconds since 1970-01-01T00:00:00 on them.
fn push_time(line: &mut String, local: i64, separator: char) {
    let (day, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let date = jiff::civil::date(1970, 1, 1)
        .checked_add(SignedDuration::from_hours(24 * day))
        .unwrap_or(jiff::civil::Date::MAX);
    let year = i64::from(date.year());
    if (1000..=9999).contains(&year) {
        push_two(line, year / 100);
        push_two(line, year % 100);
    } else {
        // Writing to a text cannot fail.
        let _ = write!(line, "{year:04}");
    }
    line.push('-');
    push_two(line, i64::from(date.month()));
    line.push('-');
    push_two(line, i64::from(date.day()));
    line.push(separator);
    push_two(line, second / 3600);
    line.push(':');
    push_two(line, second / 60 % 60);
    line.push(':');
    push_two(line, second % 60);
}

fn push_offset(line: &mut String, offset: i64) {
    line.push(if offset < 0 { '-' } else { '+' });
    push_two(line, offset.abs() / 3600);
    line.push(':');
    push_two(line, offset.abs() / 60 % 60);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(yaml: &str, from: &str, to: &str, format: Format) -> Vec<String> {
        let inputs = [Input::text("test.yaml", yaml)];
        let loaded = load::load(&inputs, &Definitions::default());
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let schedules: Vec<_> =
            loaded.sensors.values().filter_map(|sensor| sensor.compiled.schedule.clone()).collect();
        let mut out = Vec::new();
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        write_ticks(&schedules, from, to, MOST, format, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    const CRON: &str = "
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: report, namespace: ci}
spec: {schedules: ['30 2 * * *'], timezone: Europe/Zurich, workflowSpec: {}}
";

    #[test]
    fn changes_of_clocks_are_marked() {
        assert_eq!(
            rows(CRON, "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z", Format::Human)[1..],
            [
                "2026-10-24 02:30:00 +02:00  2026-10-24T00:30:00Z  ci/report",
                "2026-10-25 02:30:00 +02:00  2026-10-25T00:30:00Z  ci/report  first time: clocks go back",
                "2026-10-25 02:30:00 +01:00  2026-10-25T01:30:00Z  ci/report  second time: clocks went back",
                "2026-10-26 02:30:00 +01:00  2026-10-26T01:30:00Z  ci/report",
            ]
        );
    }

    #[test]
    fn json_has_the_same_times_as_the_time_library_writes() {
        let rows = rows(CRON, "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z", Format::Json);
        assert!(rows.len() > 4 * 365);
        for row in rows {
            let row: serde_json::Value = serde_json::from_str(&row).unwrap();
            let utc: Timestamp = row["utc"].as_str().unwrap().parse().unwrap();
            let zoned = utc.to_zoned(zone::load("Europe/Zurich").unwrap());
            assert_eq!(row["local"], zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
        }
    }
}
