//! Times: seconds since 1970, and arrays of year, month from 0, day, hour, minute,
//! second, day of the week and of the year from 0. All of them in UTC: a program decides
//! the same wherever it runs.

use super::{Made, Native, cannot, cannot_with, native};
use crate::jq::Raise;
use crate::jq::value::Value;

pub(super) const FUNCTIONS: &[Native] = &[
    native("now", 0, |machine, _, _| {
        let now = machine.now.ok_or_else(|| Raise::message("the time is not known here"))?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let seconds = now.as_second() as f64;
        Ok(Value::Float(seconds + f64::from(now.subsec_nanosecond()) / 1e9))
    }),
    native("gmtime", 0, |_, input, _| {
        Ok(broken_down(input.float().ok_or_else(|| cannot("gmtime", input))?))
    }),
    native("localtime", 0, |_, input, _| {
        Ok(broken_down(input.float().ok_or_else(|| cannot("localtime", input))?))
    }),
    native("mktime", 0, |_, input, _| {
        let Value::List(list) = input else { return Err(cannot("mktime", input)) };
        let time = moment(&list.items).ok_or_else(|| no_time("mktime", input, None))?;
        Ok(Value::Float(time.epoch()))
    }),
    native("strftime", 1, |_, input, of| print("strftime", input, &of[0])),
    native("strflocaltime", 1, |_, input, of| print("strflocaltime", input, &of[0])),
    native("strptime", 1, |_, input, of| {
        let (Value::Text(text), Value::Text(format)) = (input, &of[0]) else {
            return Err(cannot_with("strptime", input, &of[0]));
        };
        let time = read(text, format).ok_or_else(|| cannot_with("strptime", input, &of[0]))?;
        Ok(broken_down(time.epoch()))
    }),
];

fn no_time(name: &str, value: &Value, argument: Option<&Value>) -> Raise {
    let argument = argument.map_or_else(String::new, |of| format!("({})", of.preview()));
    let found = value.preview();
    let reason = "expected an array of 8 numbers";
    Raise::message(format!("{name}{argument} cannot be applied to {found}: {reason}"))
}

/// A moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    seconds: i64,
    nanos: i64,
}

/// The parts of a moment.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    weekday: i64,
    /// From 0.
    yearday: i64,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last.
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year + day - 1 - 719_468
}

impl Moment {
    #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
    fn epoch(self) -> f64 {
        self.seconds as f64 + self.nanos as f64 / 1e9
    }

    fn of(epoch: f64) -> Self {
        // Farther away no calendar goes; the arithmetic must not overflow.
        let bounded = epoch.clamp(-1e15, 1e15);
        #[expect(clippy::cast_possible_truncation, reason = "bounded")]
        let (seconds, nanos) = (bounded.trunc() as i64, ((bounded - bounded.floor()) * 1e9) as i64);
        Self { seconds, nanos }.carried()
    }

    /// Nanoseconds below a second.
    fn carried(self) -> Self {
        Self {
            seconds: self.seconds + self.nanos.div_euclid(1_000_000_000),
            nanos: self.nanos.rem_euclid(1_000_000_000),
        }
    }

    fn parts(self) -> Parts {
        let day_number = self.seconds.div_euclid(86_400);
        let of_day = self.seconds.rem_euclid(86_400);
        let shifted = day_number + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Parts {
            year,
            month,
            day: of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            weekday: (day_number + 4).rem_euclid(7),
            yearday: day_number - days(year, 1, 1),
        }
    }
}

fn broken_down(epoch: f64) -> Value {
    let moment = Moment::of(epoch);
    let parts = moment.parts();
    #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
    let second = parts.second as f64 + moment.nanos as f64 / 1e9;
    Value::flat(vec![
        Value::Int(parts.year),
        Value::Int(parts.month - 1),
        Value::Int(parts.day),
        Value::Int(parts.hour),
        Value::Int(parts.minute),
        Value::Float(second),
        Value::Int(parts.weekday),
        Value::Int(parts.yearday),
    ])
}

/// The moment of an array; parts beyond their bounds carry over.
fn moment(items: &[Value]) -> Option<Moment> {
    let mut numbers = [0_i64; 6];
    let mut nanos = 0;
    for (at, item) in items.iter().take(8).enumerate() {
        let number = item.int()?;
        if at == 5 {
            let second = item.float()?;
            #[expect(clippy::cast_possible_truncation, reason = "below a second")]
            {
                nanos = ((second - second.floor()) * 1e9) as i64;
            }
        }
        if let Some(place) = numbers.get_mut(at) {
            *place = number.clamp(-100_000_000, 100_000_000);
        }
    }
    let [year, month, day, hour, minute, second] = numbers;
    let seconds = days(year, month + 1, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Moment { seconds, nanos }.carried())
}

fn print(name: &str, input: &Value, format: &Value) -> Made {
    let moment = match input {
        Value::List(list) => {
            moment(&list.items).ok_or_else(|| no_time(name, input, Some(format)))?
        }
        other => Moment::of(other.float().ok_or_else(|| cannot_with(name, input, format))?),
    };
    let Value::Text(format) = format else { return Err(cannot_with(name, input, format)) };
    let mut out = String::new();
    push(&mut out, format, moment);
    Ok(Value::text(out))
}

/// How a number is filled up in front.
#[derive(Clone, Copy)]
enum Fill {
    Usual,
    Zero,
    Space,
    None,
}

fn push(out: &mut String, format: &str, moment: Moment) {
    let parts = moment.parts();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (mut fill, mut upper) = (Fill::Usual, false);
        let directive = loop {
            match chars.next() {
                Some('-') => fill = Fill::None,
                Some('0') => fill = Fill::Zero,
                Some('_') => fill = Fill::Space,
                Some('^' | '#') => upper = true,
                other => break other,
            }
        };
        let mut number = |value: i64, width: usize, zero: bool| {
            let text = match (fill, zero) {
                (Fill::None, _) => value.to_string(),
                (Fill::Zero, _) | (Fill::Usual, true) => format!("{value:0width$}"),
                (Fill::Space, _) | (Fill::Usual, false) => format!("{value:width$}"),
            };
            out.push_str(&text);
        };
        let hour12 = if parts.hour % 12 == 0 { 12 } else { parts.hour % 12 };
        let word = |text: &str| if upper { text.to_uppercase() } else { text.to_owned() };
        let place = |at: i64| usize::try_from(at).unwrap_or_default();
        match directive {
            Some('Y') => number(parts.year, 4, true),
            Some('C') => number(parts.year / 100, 2, true),
            Some('y') => number(parts.year.rem_euclid(100), 2, true),
            Some('G') => number(iso_week(&parts).0, 4, true),
            Some('g') => number(iso_week(&parts).0.rem_euclid(100), 2, true),
            Some('V') => number(iso_week(&parts).1, 2, true),
            Some('m') => number(parts.month, 2, true),
            Some('d') => number(parts.day, 2, true),
            Some('e') => number(parts.day, 2, false),
            Some('j') => number(parts.yearday + 1, 3, true),
            Some('H') => number(parts.hour, 2, true),
            Some('k') => number(parts.hour, 2, false),
            Some('I') => number(hour12, 2, true),
            Some('l') => number(hour12, 2, false),
            Some('M') => number(parts.minute, 2, true),
            Some('S') => number(parts.second, 2, true),
            Some('f') => number(moment.nanos / 1000, 6, true),
            Some('s') => number(moment.seconds, 1, true),
            Some('u') => number(if parts.weekday == 0 { 7 } else { parts.weekday }, 1, true),
            Some('w') => number(parts.weekday, 1, true),
            Some('U') => number((parts.yearday + 7 - parts.weekday) / 7, 2, true),
            Some('W') => number((parts.yearday + 7 - (parts.weekday + 6) % 7) / 7, 2, true),
            Some('B') => out.push_str(&word(MONTHS[place(parts.month - 1)])),
            Some('b' | 'h') => out.push_str(&word(&MONTHS[place(parts.month - 1)][..3])),
            Some('A') => out.push_str(&word(DAYS[place(parts.weekday)])),
            Some('a') => out.push_str(&word(&DAYS[place(parts.weekday)][..3])),
            Some('p') => out.push_str(if parts.hour < 12 { "AM" } else { "PM" }),
            Some('P') => out.push_str(if parts.hour < 12 { "am" } else { "pm" }),
            Some('z') => out.push_str("+0000"),
            Some('Z') => out.push_str("UTC"),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('%') => out.push('%'),
            Some('F') => push(out, "%Y-%m-%d", moment),
            Some('T' | 'X') => push(out, "%H:%M:%S", moment),
            Some('R') => push(out, "%H:%M", moment),
            Some('D' | 'x') => push(out, "%m/%d/%y", moment),
            Some('r') => push(out, "%I:%M:%S %p", moment),
            Some('c') => push(out, "%a %b %e %H:%M:%S %Y", moment),
            Some('v') => push(out, "%e-%b-%Y", moment),
            Some('+') => push(out, "%a %b %e %H:%M:%S %Z %Y", moment),
            Some(other) => {
                out.push('%');
                out.push(other);
            }
            None => out.push('%'),
        }
    }
}

/// Year and number of the ISO week.
fn iso_week(parts: &Parts) -> (i64, i64) {
    // The Thursday of the week decides.
    let thursday = parts.yearday - (parts.weekday + 6) % 7 + 3;
    let length = |year: i64| days(year + 1, 1, 1) - days(year, 1, 1);
    if thursday < 0 {
        return (parts.year - 1, (thursday + length(parts.year - 1)) / 7 + 1);
    }
    if thursday >= length(parts.year) {
        return (parts.year + 1, 1);
    }
    (parts.year, thursday / 7 + 1)
}

/// Reads a time; `None`: it does not fit.
fn read(text: &str, format: &str) -> Option<Moment> {
    let mut reader = Reader {
        rest: text,
        year: 1900,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        offset: 0,
        afternoon: None,
        yearday: None,
        epoch: None,
    };
    reader.all(format)?;
    if !reader.rest.is_empty() {
        return None;
    }
    Some(reader.moment())
}

struct Reader<'t> {
    rest: &'t str,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    offset: i64,
    afternoon: Option<bool>,
    yearday: Option<i64>,
    epoch: Option<i64>,
}

impl Reader<'_> {
    fn moment(&self) -> Moment {
        if let Some(seconds) = self.epoch {
            return Moment { seconds, nanos: 0 };
        }
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let day = match self.yearday {
            Some(yearday) => days(self.year, 1, 1) + yearday - 1,
            None => days(self.year, self.month, self.day),
        };
        let seconds = day * 86_400 + hour * 3600 + self.minute * 60 + self.second - self.offset;
        Moment { seconds, nanos: self.nanos }
    }

    fn all(&mut self, format: &str) -> Option<()> {
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => {
                    let directive = chars.find(|c| !"-_0^#".contains(*c))?;
                    self.directive(directive)?;
                }
                c if c.is_whitespace() => self.rest = self.rest.trim_start(),
                c => self.rest = self.rest.strip_prefix(c)?,
            }
        }
        Some(())
    }

    fn directive(&mut self, directive: char) -> Option<()> {
        match directive {
            'Y' => self.year = self.number(4, 0..=9999)?,
            'y' => {
                let year = self.number(2, 0..=99)?;
                self.year = year + if year < 69 { 2000 } else { 1900 };
            }
            'm' => self.month = self.number(2, 1..=12)?,
            'd' | 'e' => {
                self.rest = self.rest.trim_start();
                self.day = self.number(2, 1..=31)?;
            }
            'j' => self.yearday = Some(self.number(3, 1..=366)?),
            'H' | 'k' => self.hour = self.number(2, 0..=23)?,
            'I' | 'l' => self.hour = self.number(2, 1..=12)?,
            'M' => self.minute = self.number(2, 0..=59)?,
            'S' => self.second = self.number(2, 0..=59)?,
            'f' => {
                let digits = self.digits(9)?;
                self.nanos = format!("{digits:0<9}").parse().ok()?;
            }
            's' => self.epoch = Some(self.number(12, 0..=999_999_999_999)?),
            'u' | 'w' => drop(self.number(1, 0..=7)?),
            'U' | 'W' | 'V' => drop(self.number(2, 0..=53)?),
            'B' | 'b' | 'h' => self.month = self.name(&MONTHS)? + 1,
            'A' | 'a' => drop(self.name(&DAYS)?),
            'p' | 'P' => {
                let half = self.rest.get(..2)?.to_ascii_lowercase();
                self.afternoon = Some(match half.as_str() {
                    "am" => false,
                    "pm" => true,
                    _ => return None,
                });
                self.rest = &self.rest[2..];
            }
            'z' => self.zone()?,
            'Z' => {
                let end = self.rest.find(|c: char| !c.is_ascii_uppercase());
                let end = end.unwrap_or(self.rest.len());
                if end == 0 {
                    return None;
                }
                self.rest = &self.rest[end..];
            }
            'n' | 't' => self.rest = self.rest.trim_start(),
            'F' => self.all("%Y-%m-%d")?,
            'T' | 'X' => self.all("%H:%M:%S")?,
            'R' => self.all("%H:%M")?,
            'D' | 'x' => self.all("%m/%d/%y")?,
            'r' => self.all("%I:%M:%S %p")?,
            'c' => self.all("%a %b %e %H:%M:%S %Y")?,
            'v' => self.all("%e-%b-%Y")?,
            '+' => self.all("%a %b %e %H:%M:%S %Z %Y")?,
            '%' => self.rest = self.rest.strip_prefix('%')?,
            _ => return None,
        }
        Some(())
    }

    fn digits(&mut self, most: usize) -> Option<String> {
        let end = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if end == 0 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(digits.to_owned())
    }

    fn number(&mut self, most: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = self.digits(most)?.parse().ok()?;
        range.contains(&number).then_some(number)
    }

    /// The place of a name, written out or as its first three letters.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        for (at, name) in names.iter().enumerate() {
            for form in [*name, &name[..3]] {
                let fits = self.rest.get(..form.len());
                if fits.is_some_and(|text| text.eq_ignore_ascii_case(form)) {
                    self.rest = &self.rest[form.len()..];
                    return i64::try_from(at).ok();
                }
            }
        }
        None
    }

    fn zone(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        let (sign, rest) = match self.rest.as_bytes().first()? {
            b'+' => (1, &self.rest[1..]),
            b'-' => (-1, &self.rest[1..]),
            _ => return None,
        };
        self.rest = rest;
        let hours = self.number(2, 0..=24)?;
        self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        let minutes = self.number(2, 0..=59)?;
        self.offset = sign * (hours * 3600 + minutes * 60);
        Some(())
    }
}
