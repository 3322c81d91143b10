//! Days without ticks: iCalendar's `EXDATE`, as Argo Events reads it.

use jiff::civil::{Date, DateTime};

/// The days of one entry of `exclusionDates`: `EXDATE:20261225T000000Z,…`.
///
/// Argo Events ignores entries without the prefix in silence; here they are errors.
pub fn excluded_dates(entry: &str) -> Result<Vec<Date>, String> {
    let list = entry
        .strip_prefix("EXDATE:")
        .ok_or_else(|| format!("{entry:?} excludes nothing: it does not begin with `EXDATE:`"))?;
    list.split(',').map(date).collect()
}

fn date(text: &str) -> Result<Date, String> {
    let date_time = text.strip_suffix('Z').and_then(|text| {
        // The parser would take other widths than `20261225T000000`, too.
        (text.len() == 15).then(|| DateTime::strptime("%Y%m%dT%H%M%S", text).ok())?
    });
    date_time
        .map(DateTime::date)
        .ok_or_else(|| format!("{text:?} is no time such as `20261225T000000Z`"))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn an_entry_is_a_list_of_days() {
        let two = excluded_dates("EXDATE:20261225T000000Z,20261226T235959Z").unwrap();
        assert_eq!(two, [date(2026, 12, 25), date(2026, 12, 26)]);
        for (entry, says) in [
            ("20261225T000000Z", "does not begin with `EXDATE:`"),
            ("RRULE:FREQ=DAILY", "does not begin with `EXDATE:`"),
            ("EXDATE:", "\"\" is no time"),
            ("EXDATE:2026-12-25", "is no time"),
            ("EXDATE:20261325T000000Z", "is no time"),
            ("EXDATE:20261225T000000", "is no time"),
        ] {
            let error = excluded_dates(entry).unwrap_err();
            assert!(error.contains(says), "{entry}: {error}");
        }
    }
}
