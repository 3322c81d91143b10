//! A picture of a week: how much is due in each half hour.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::engine::schedules::CompiledSchedule;

/// Half hours of a day.
const CELLS: usize = 48;
/// Of one schedule so many ticks are counted.
const COUNTED_MAX: usize = 100_000;

/// The week from `from` on, a line for each day, in the zone of the schedules if they agree
/// on one, else in UTC. Each cell is half an hour on the clock.
pub(super) fn picture(
    schedules: &[Arc<CompiledSchedule>],
    from: Timestamp,
    colour: bool,
) -> String {
    let zone = common_zone(schedules);
    let first = from.to_zoned(zone.clone()).date();
    let last = first.saturating_add(6.days());
    let mut counts = [[0_u32; CELLS]; 7];
    let before = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
    for schedule in schedules {
        for tick in schedule.definition.times.ticks_after(before).take(COUNTED_MAX) {
            let local = tick.to_zoned(zone.clone());
            if local.date() > last {
                break;
            }
            let day = local.date().since(first).map_or(0, |span| span.get_days());
            let cell =
                usize::from(local.hour().unsigned_abs()) * 2 + usize::from(local.minute() >= 30);
            if let Some(count) = usize::try_from(day).ok().and_then(|day| counts.get_mut(day)) {
                count[cell] = count[cell].saturating_add(1);
            }
        }
    }
    draw(&counts, first, &zone, colour)
}

fn common_zone(schedules: &[Arc<CompiledSchedule>]) -> TimeZone {
    let mut zones = schedules.iter().map(|schedule| schedule.definition.times.zone());
    let first = zones.next().unwrap_or(TimeZone::UTC);
    if zones.all(|zone| zone == first) { first } else { TimeZone::UTC }
}

/// The more is due, the fuller a cell is.
fn cell(count: u32) -> char {
    match count {
        0 => '·',
        1 => '▁',
        2..=3 => '▂',
        4..=9 => '▄',
        10..=99 => '▆',
        _ => '█',
    }
}

fn draw(
    counts: &[[u32; CELLS]; 7],
    first: jiff::civil::Date,
    zone: &TimeZone,
    colour: bool,
) -> String {
    let mut text = String::new();
    let (dim, plain) = if colour { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{:<15}{}", "", hours());
    for (index, day) in counts.iter().enumerate() {
        let date = first.saturating_add(i64::try_from(index).unwrap_or_default().days());
        let _ = write!(text, "{:<15}", date.strftime("%a %F").to_string());
        for count in day {
            match count {
                0 => {
                    let _ = write!(text, "{dim}·{plain}");
                }
                count => text.push(cell(*count)),
            }
        }
        let sum: u64 = day.iter().map(|count| u64::from(*count)).sum();
        let _ = writeln!(text, "  {sum}{}", change_on(date, zone));
    }
    let name = zone.iana_name().unwrap_or("UTC");
    let _ = writeln!(
        text,
        "\n{name}; a cell is half an hour: ▁ 1  ▂ 2-3  ▄ 4-9  ▆ 10-99  █ 100 or more"
    );
    text
}

fn hours() -> String {
    (0..24).step_by(3).map(|hour| format!("{hour:<6}")).collect()
}

/// What happens to clocks on that day.
fn change_on(date: jiff::civil::Date, zone: &TimeZone) -> String {
    let begin = date.to_zoned(zone.clone());
    let end = date.saturating_add(1.days()).to_zoned(zone.clone());
    let (Ok(begin), Ok(end)) = (begin, end) else { return String::new() };
    let before = zone.to_offset(begin.timestamp()).seconds();
    let after = zone.to_offset(end.timestamp()).seconds();
    match after - before {
        0 => String::new(),
        change if change < 0 => format!("  clocks go back by {} min", -change / 60),
        change => format!("  clocks go forward by {} min", change / 60),
    }
}
