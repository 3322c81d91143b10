//! The times of a calendar's ticks.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tripline_schedules::robfig::Cron;

/// The times of a calendar's ticks.
#[derive(Clone, Debug)]
pub struct Ticks {
    pub rhythm: Rhythm,
    /// The zone of the excluded days, and of the times in events.
    pub zone: TimeZone,
    /// Sorted.
    pub excluded: Vec<Date>,
}

/// When ticks are.
#[derive(Clone, Debug)]
pub enum Rhythm {
    Cron(Cron),
    /// At the multiples of so many seconds since 1970, at least one.
    Every {
        seconds: i64,
    },
}

impl Ticks {
    /// The first tick after `after`; `None` if there will be none.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut tick = self.rhythm.next_after(after)?;
        // Each turn leaves an excluded day behind, so that their number bounds the turns.
        loop {
            let day = self.zone.to_datetime(tick).date();
            if self.excluded.binary_search(&day).is_err() {
                return Some(tick);
            }
            let next_day = day.tomorrow().ok()?.to_zoned(self.zone.clone()).ok()?.timestamp();
            // A day may begin twice, where clocks go back at midnight: never look back.
            let before_next_day = next_day - SignedDuration::from_secs(1);
            tick = self.rhythm.next_after(before_next_day.max(tick))?;
        }
    }
}

impl Rhythm {
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(after),
            Self::Every { seconds } => {
                let n = after.as_nanosecond().div_euclid(i128::from(*seconds) * 1_000_000_000) + 1;
                let next = n.checked_mul(i128::from(*seconds))?;
                Timestamp::from_second(i64::try_from(next).ok()?).ok()
            }
        }
    }
}
