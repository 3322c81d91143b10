//! Sets of clock readings: the dates and times of day that a schedule names.

/// Seconds from 1970-01-01T00:00:00 to what a clock shows, whatever its zone.
pub type LocalSecond = i64;

const DAY_S: i64 = 86_400;

/// The first year that can be named by [`Years::Of`].
pub const FIRST_YEAR: i64 = 2000;
/// The last year that can be named by [`Years::Of`].
pub const LAST_YEAR: i64 = 2100;

/// A set of clock readings: those whose every part is in the part's set. A set is a mask,
/// with bit 0 for the value 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Readings {
    /// 0 to 59.
    pub seconds: u64,
    /// 0 to 59.
    pub minutes: u64,
    /// 0 to 23.
    pub hours: u32,
    /// 1 to 31.
    pub days_of_month: u32,
    /// 1 to 12.
    pub months: u16,
    /// 0 (Sunday) to 6.
    pub days_of_week: u8,
    /// How the two sets of days are joined.
    pub days: DayRule,
    /// The years.
    pub years: Years,
}

/// How the days of the month and of the week are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DayRule {
    /// A day is named if it is in both sets.
    Both,
    /// A day is named if it is in one of the sets.
    Either,
}

/// A set of years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Years {
    /// Every year.
    All,
    /// A mask with bit 0 for [`FIRST_YEAR`].
    Of(u128),
}

impl Years {
    fn contains(self, year: i64) -> bool {
        match self {
            Self::All => true,
            Self::Of(mask) => {
                (FIRST_YEAR..=LAST_YEAR).contains(&year) && mask >> (year - FIRST_YEAR) & 1 == 1
            }
        }
    }
}

impl Readings {
    /// Whether every hour of the day is named. Such a schedule follows real time when
    /// clocks are changed.
    pub fn names_every_hour(&self) -> bool {
        self.hours & HOURS == HOURS
    }

    /// Whether `local` is in the set.
    pub fn contains(&self, local: LocalSecond) -> bool {
        self.next(local, local + 1).is_some()
    }

    /// The first reading of the set from `from` on and before `until`. The work is
    /// bounded by the number of months between the two.
    pub fn next(&self, from: LocalSecond, until: LocalSecond) -> Option<LocalSecond> {
        if from >= until {
            return None;
        }
        let until_day = (until - 1).div_euclid(DAY_S);
        let mut day = from.div_euclid(DAY_S);
        let mut second = from.rem_euclid(DAY_S);
        // The rest of the first day may have no reading left; a whole day has one or
        // no day has.
        for _ in 0..2 {
            let found = self.next_day(day, until_day)?;
            if found > day {
                second = 0;
            }
            if let Some(time) = self.next_time_of_day(second) {
                return Some(found * DAY_S + time).filter(|&local| local < until);
            }
            day = found + 1;
            second = 0;
        }
        None
    }

    /// A reading up to which all are in the set, if `local` is: the end of the run of
    /// seconds, minutes, hours or days that it is in, or earlier.
    pub fn end_of_run(&self, local: LocalSecond) -> LocalSecond {
        let second = local.rem_euclid(DAY_S);
        // The run of bits that begins with `value`, of `count` units of `unit_s` seconds.
        let run = |mask: u64, value: i64, count: i64, unit_s: i64| {
            let ones = i64::from((!(mask >> value)).trailing_zeros()).min(count - value);
            local - second.rem_euclid(unit_s) + ones * unit_s
        };
        if self.seconds & SIXTY != SIXTY {
            return run(self.seconds, second % 60, 60, 1);
        }
        if self.minutes & SIXTY != SIXTY {
            return run(self.minutes, second / 60 % 60, 60, 60);
        }
        if !self.names_every_hour() {
            return run(u64::from(self.hours), second / 3600, 24, 3600);
        }
        local - second + DAY_S
    }

    /// The first named day from `from` to `last`, as days since 1970-01-01.
    fn next_day(&self, from: i64, last: i64) -> Option<i64> {
        let (mut year, mut month, mut day_of_month) = date_of(from);
        let mut first_of_month = from - i64::from(day_of_month) + 1;
        while first_of_month + i64::from(day_of_month) - 1 <= last {
            if !self.years.contains(year) {
                // The later years of the set are at most a century away.
                (year, month, day_of_month) = (year + 1, 1, 1);
                first_of_month = day_of(year, 1, 1);
                continue;
            }
            let len = days_in(year, month);
            if self.months >> month & 1 == 1 {
                let days = self.days_of(first_of_month, len) >> day_of_month << day_of_month;
                if days != 0 {
                    let found = first_of_month + i64::from(days.trailing_zeros()) - 1;
                    return (found <= last).then_some(found);
                }
            }
            first_of_month += i64::from(len);
            day_of_month = 1;
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        None
    }

    /// The named days of a month, with bit 1 for the first.
    fn days_of(&self, first_of_month: i64, len: u32) -> u32 {
        // 1970-01-01 was a Thursday.
        let weekday = (first_of_month + 4).rem_euclid(7);
        let week = u64::from(self.days_of_week & 0x7f);
        let weeks = week | week << 7 | week << 14 | week << 21 | week << 28 | week << 35;
        // Bits 1 to 31 of `weeks`, shifted to begin at the weekday, are days of the month.
        let by_week = ((weeks >> weekday) << 1 & u64::from(u32::MAX)) as u32;
        let days = match self.days {
            DayRule::Both => self.days_of_month & by_week,
            DayRule::Either => self.days_of_month | by_week,
        };
        let month = ((1_u64 << (len + 1)) - 2) as u32;
        days & month
    }

    /// The first named time of day from `from` on, in seconds since midnight.
    fn next_time_of_day(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let hours = u64::from(self.hours & HOURS);
        let (minutes, seconds) = (self.minutes & SIXTY, self.seconds & SIXTY);
        if bit(hours, hour) {
            if bit(minutes, minute)
                && let Some(second) = next_bit(seconds, second)
            {
                return Some(hour * 3600 + minute * 60 + second);
            }
            if let Some(minute) = next_bit(minutes, minute + 1) {
                return Some(hour * 3600 + minute * 60 + next_bit(seconds, 0)?);
            }
        }
        let hour = next_bit(hours, hour + 1)?;
        Some(hour * 3600 + next_bit(minutes, 0)? * 60 + next_bit(seconds, 0)?)
    }
}

const HOURS: u32 = (1 << 24) - 1;
const SIXTY: u64 = (1 << 60) - 1;

fn bit(mask: u64, at: i64) -> bool {
    mask >> at & 1 == 1
}

/// The first bit that is set from `from` (at most 63) on.
fn next_bit(mask: u64, from: i64) -> Option<i64> {
    let rest = mask >> from << from;
    (rest != 0).then(|| i64::from(rest.trailing_zeros()))
}

/// The first second that clocks show in `year`.
pub fn start_of_year(year: i64) -> LocalSecond {
    day_of(year, 1, 1) * DAY_S
}

/// The year that a clock shows.
pub fn year_of(local: LocalSecond) -> i64 {
    date_of(local.div_euclid(DAY_S)).0
}

/// Days in the 400 years after which the Gregorian calendar repeats.
const CYCLE_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Days from 1970-01-01 to a date. Counts in years that begin in March, so that the leap
/// day is a year's last.
fn day_of(year: i64, month: u32, day: u32) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let cycle = shifted.div_euclid(400);
    let year_of_cycle = shifted.rem_euclid(400);
    let month_of_year = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_of_year + 2) / 5 + i64::from(day) - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * CYCLE_DAYS + day_of_cycle - EPOCH
}

/// The date that is so many days after 1970-01-01: year, month and day of the month.
fn date_of(day: i64) -> (i64, u32, u32) {
    let day = day + EPOCH;
    let cycle = day.div_euclid(CYCLE_DAYS);
    let day_of_cycle = day.rem_euclid(CYCLE_DAYS);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_of_year + 2) / 5 + 1;
    let month = if month_of_year < 10 { month_of_year + 3 } else { month_of_year - 9 };
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month as u32, day_of_month as u32)
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_the_calendar_of_the_time_library() {
        for day in (-800_000..2_900_000).step_by(13) {
            let date = jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day);
            let (year, month, day_of_month) = date_of(day);
            assert_eq!(
                (year, month, day_of_month),
                (i64::from(date.year()), date.month() as u32, date.day() as u32)
            );
            assert_eq!(day_of(year, month, day_of_month), day);
            assert_eq!(days_in(year, month), date.days_in_month() as u32);
        }
    }

    #[test]
    fn an_empty_set_of_times_is_never_read() {
        let readings = Readings {
            seconds: 1,
            minutes: 0,
            hours: HOURS,
            days_of_month: u32::MAX,
            months: u16::MAX,
            days_of_week: u8::MAX,
            days: DayRule::Both,
            years: Years::All,
        };
        assert_eq!(readings.next(0, start_of_year(2100)), None);
    }
}
