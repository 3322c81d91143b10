//! Times as Go's package `time` formats and parses them, by a layout that shows how the
//! time of 2006-01-02 15:04:05 -0700 would be written.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::value::Value;

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

/// A piece of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'l> {
    Fixed(&'l str),
    LongMonth,
    Month,
    NumericMonth,
    TwoDigitMonth,
    LongDay,
    Day,
    DayOfMonth,
    SpacedDay,
    TwoDigitDay,
    SpacedDayOfYear,
    DayOfYear,
    Hour,
    Hour12,
    TwoDigitHour12,
    Minute,
    TwoDigitMinute,
    Second,
    TwoDigitSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    /// `-07`, `-0700`, `-07:00` and so on; with `z`, `Z` stands for UTC.
    Offset {
        z: bool,
        minutes: bool,
        seconds: bool,
        colon: bool,
    },
    /// `.000` or `,000`: so many digits.
    Fraction(char, usize),
    /// `.999`: so many, without zeros at the end.
    ShortFraction(char, usize),
}

/// What is looked for, longer ones first.
const PIECES: [(&str, Piece<'static>); 37] = [
    ("January", Piece::LongMonth),
    ("Jan", Piece::Month),
    ("Monday", Piece::LongDay),
    ("Mon", Piece::Day),
    ("MST", Piece::ZoneName),
    ("01", Piece::TwoDigitMonth),
    ("002", Piece::DayOfYear),
    ("02", Piece::TwoDigitDay),
    ("03", Piece::TwoDigitHour12),
    ("04", Piece::TwoDigitMinute),
    ("05", Piece::TwoDigitSecond),
    ("06", Piece::Year),
    ("15", Piece::Hour),
    ("1", Piece::NumericMonth),
    ("2006", Piece::LongYear),
    ("2", Piece::DayOfMonth),
    ("__2", Piece::SpacedDayOfYear),
    ("_2", Piece::SpacedDay),
    ("3", Piece::Hour12),
    ("4", Piece::Minute),
    ("5", Piece::Second),
    ("PM", Piece::UpperHalf),
    ("pm", Piece::LowerHalf),
    ("-07:00:00", offset(false, true, true, true)),
    ("-070000", offset(false, true, true, false)),
    ("-07:00", offset(false, true, false, true)),
    ("-0700", offset(false, true, false, false)),
    ("-07", offset(false, false, false, false)),
    ("Z07:00:00", offset(true, true, true, true)),
    ("Z070000", offset(true, true, true, false)),
    ("Z07:00", offset(true, true, false, true)),
    ("Z0700", offset(true, true, false, false)),
    ("Z07", offset(true, false, false, false)),
    (".0", Piece::Fraction('.', 0)),
    (",0", Piece::Fraction(',', 0)),
    (".9", Piece::ShortFraction('.', 0)),
    (",9", Piece::ShortFraction(',', 0)),
];

const fn offset(z: bool, minutes: bool, seconds: bool, colon: bool) -> Piece<'static> {
    Piece::Offset { z, minutes, seconds, colon }
}

/// The pieces of a layout.
fn pieces(layout: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut fixed = 0;
    let mut at = 0;
    while at < layout.len() {
        if !layout.is_char_boundary(at) {
            at += 1;
            continue;
        }
        let rest = &layout[at..];
        let found = PIECES.iter().find_map(|(text, piece)| {
            let behind = rest.strip_prefix(text)?;
            match piece {
                // `Month` and `January` begin with names of their own, but `Janet` is text.
                Piece::Month | Piece::Day
                    if behind.starts_with(|c: char| c.is_ascii_lowercase()) =>
                {
                    None
                }
                Piece::Fraction(sign, _) | Piece::ShortFraction(sign, _) => {
                    let digit = char::from(text.as_bytes()[1]);
                    let count = rest[1..].chars().take_while(|c| *c == digit).count();
                    if rest[1 + count..].starts_with(|c: char| c.is_ascii_digit()) {
                        return None;
                    }
                    let piece = match piece {
                        Piece::Fraction(..) => Piece::Fraction(*sign, count),
                        _ => Piece::ShortFraction(*sign, count),
                    };
                    Some((piece, 1 + count))
                }
                piece => Some((*piece, text.len())),
            }
        });
        // Of `_2006` the underscore is text.
        let found = match found {
            Some((Piece::SpacedDay, _)) if rest.starts_with("_2006") => None,
            found => found,
        };
        match found {
            Some((piece, size)) => {
                if fixed < at {
                    pieces.push(Piece::Fixed(&layout[fixed..at]));
                }
                pieces.push(piece);
                at += size;
                fixed = at;
            }
            None => at += 1,
        }
    }
    if fixed < layout.len() {
        pieces.push(Piece::Fixed(&layout[fixed..]));
    }
    pieces
}

/// Formats a time.
pub(super) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    for piece in pieces(layout) {
        match piece {
            Piece::Fixed(text) => out.push_str(text),
            Piece::LongMonth => out.push_str(month(time)),
            Piece::Month => out.push_str(&month(time)[..3]),
            Piece::NumericMonth => out.push_str(&time.month().to_string()),
            Piece::TwoDigitMonth => out.push_str(&format!("{:02}", time.month())),
            Piece::LongDay => out.push_str(day(time)),
            Piece::Day => out.push_str(&day(time)[..3]),
            Piece::DayOfMonth => out.push_str(&time.day().to_string()),
            Piece::SpacedDay => out.push_str(&format!("{:2}", time.day())),
            Piece::TwoDigitDay => out.push_str(&format!("{:02}", time.day())),
            Piece::SpacedDayOfYear => out.push_str(&format!("{:3}", time.day_of_year())),
            Piece::DayOfYear => out.push_str(&format!("{:03}", time.day_of_year())),
            Piece::Hour => out.push_str(&format!("{:02}", time.hour())),
            Piece::Hour12 => out.push_str(&hour12.to_string()),
            Piece::TwoDigitHour12 => out.push_str(&format!("{hour12:02}")),
            Piece::Minute => out.push_str(&time.minute().to_string()),
            Piece::TwoDigitMinute => out.push_str(&format!("{:02}", time.minute())),
            Piece::Second => out.push_str(&time.second().to_string()),
            Piece::TwoDigitSecond => out.push_str(&format!("{:02}", time.second())),
            Piece::LongYear => out.push_str(&format!("{:04}", time.year())),
            Piece::Year => out.push_str(&format!("{:02}", time.year().rem_euclid(100))),
            Piece::UpperHalf => out.push_str(if time.hour() < 12 { "AM" } else { "PM" }),
            Piece::LowerHalf => out.push_str(if time.hour() < 12 { "am" } else { "pm" }),
            Piece::ZoneName => out.push_str(&zone_name(time)),
            Piece::Offset { z: true, .. } if time.offset().seconds() == 0 => out.push('Z'),
            Piece::Offset { minutes, seconds, colon, .. } => {
                push_offset(&mut out, time.offset().seconds(), minutes, seconds, colon);
            }
            Piece::Fraction(sign, count) => {
                let digits = format!("{:09}", time.subsec_nanosecond());
                out.push(sign);
                out.push_str(&digits[..count.min(9)]);
            }
            Piece::ShortFraction(sign, count) => {
                let digits = format!("{:09}", time.subsec_nanosecond());
                let digits = digits[..count.min(9)].trim_end_matches('0');
                if !digits.is_empty() {
                    out.push(sign);
                    out.push_str(digits);
                }
            }
        }
    }
    out
}

fn month(time: &Zoned) -> &'static str {
    let index = usize::try_from(time.month() - 1).unwrap_or(0);
    MONTHS[index.min(11)]
}

fn day(time: &Zoned) -> &'static str {
    let index = usize::try_from(time.weekday().to_sunday_zero_offset()).unwrap_or(0);
    DAYS[index.min(6)]
}

/// The zone's abbreviation; the offset where it has none.
fn zone_name(time: &Zoned) -> String {
    let zone = time.time_zone();
    if *zone == TimeZone::UTC {
        return "UTC".to_owned();
    }
    if zone.iana_name().is_some() {
        return zone.to_offset_info(time.timestamp()).abbreviation().to_owned();
    }
    let mut name = String::new();
    push_offset(&mut name, time.offset().seconds(), true, false, false);
    name
}

fn push_offset(out: &mut String, offset: i32, minutes: bool, seconds: bool, colon: bool) {
    out.push(if offset < 0 { '-' } else { '+' });
    let size = offset.unsigned_abs();
    let colon = if colon { ":" } else { "" };
    out.push_str(&format!("{:02}", size / 3600));
    if minutes {
        out.push_str(&format!("{colon}{:02}", size / 60 % 60));
    }
    if seconds {
        out.push_str(&format!("{colon}{:02}", size % 60));
    }
}

/// Parses a time; where it names no zone it is in UTC.
pub(super) fn parse(layout: &str, text: &str) -> Result<Zoned, String> {
    let wrong = || format!("`{text}` does not read like `{layout}`");
    Reader { rest: text, ..Reader::default() }.read(layout).ok_or_else(wrong)
}

#[derive(Debug, Default)]
struct Reader<'t> {
    rest: &'t str,
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    offset: Option<i32>,
}

impl Reader<'_> {
    fn read(mut self, layout: &str) -> Option<Zoned> {
        let pieces = pieces(layout);
        for (index, piece) in pieces.iter().enumerate() {
            let fraction_follows = matches!(
                pieces.get(index + 1),
                Some(Piece::Fraction(..) | Piece::ShortFraction(..))
            );
            self.piece(*piece, fraction_follows)?;
        }
        if !self.rest.is_empty() {
            return None;
        }
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.day_of_year {
            Some(day) => {
                let first = jiff::civil::Date::new(self.year, 1, 1).ok()?;
                let days = i64::from(day.checked_sub(1).filter(|days| *days >= 0)?);
                let date = first.checked_add(jiff::Span::new().days(days)).ok()?;
                let agrees = self.month.is_none_or(|month| month == date.month())
                    && self.day.is_none_or(|day| day == date.day());
                Some(date).filter(|date| agrees && date.year() == self.year)?
            }
            None => {
                let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
                jiff::civil::Date::new(self.year, month, day).ok()?
            }
        };
        let time = date.at(hour, self.minute, self.second, 0);
        let time = time.with().subsec_nanosecond(self.nanosecond).build().ok()?;
        let zone = match self.offset {
            Some(0) | None => TimeZone::UTC,
            Some(offset) => TimeZone::fixed(Offset::from_seconds(offset).ok()?),
        };
        time.to_zoned(zone).ok()
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i16> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        digits.parse().ok()
    }

    fn small(&mut self, least: usize, most: i16) -> Option<i8> {
        let number = self.number(least, 2)?;
        i8::try_from(number).ok().filter(|_| number <= most)
    }

    fn piece(&mut self, piece: Piece<'_>, fraction_follows: bool) -> Option<()> {
        match piece {
            Piece::Fixed(text) => self.fixed(text)?,
            Piece::LongMonth => self.month = Some(self.name(&MONTHS, false)? + 1),
            Piece::Month => self.month = Some(self.name(&MONTHS, true)? + 1),
            Piece::NumericMonth => self.month = Some(self.small(1, 12)?),
            Piece::TwoDigitMonth => self.month = Some(self.small(2, 12)?),
            Piece::LongDay => {
                self.name(&DAYS, false)?;
            }
            Piece::Day => {
                self.name(&DAYS, true)?;
            }
            Piece::DayOfMonth => self.day = Some(self.small(1, 31)?),
            Piece::SpacedDay => {
                self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                self.day = Some(self.small(1, 31)?);
            }
            Piece::TwoDigitDay => self.day = Some(self.small(2, 31)?),
            Piece::SpacedDayOfYear | Piece::DayOfYear => {
                for _ in 0..2 {
                    if piece == Piece::SpacedDayOfYear {
                        self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                    }
                }
                let least = if piece == Piece::DayOfYear { 3 } else { 1 };
                self.day_of_year = Some(self.number(least, 3)?);
            }
            Piece::Hour => self.hour = self.small(1, 23)?,
            Piece::Hour12 => self.hour = self.small(1, 12)?,
            Piece::TwoDigitHour12 => self.hour = self.small(2, 12)?,
            Piece::Minute => self.minute = self.small(1, 59)?,
            Piece::TwoDigitMinute => self.minute = self.small(2, 59)?,
            Piece::Second | Piece::TwoDigitSecond => {
                let least = if piece == Piece::Second { 1 } else { 2 };
                self.second = self.small(least, 59)?;
                // A fraction may follow that the layout does not have.
                let digit = |rest: &str| rest[1..].starts_with(|c: char| c.is_ascii_digit());
                if !fraction_follows && self.rest.starts_with(['.', ',']) && digit(self.rest) {
                    self.fraction(None)?;
                }
            }
            Piece::LongYear => self.year = self.number(4, 4)?,
            Piece::Year => {
                let year = self.number(2, 2)?;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Piece::UpperHalf | Piece::LowerHalf => {
                let upper = piece == Piece::UpperHalf;
                let (before, after) = if upper { ("AM", "PM") } else { ("am", "pm") };
                let afternoon = self.rest.starts_with(after);
                if !afternoon && !self.rest.starts_with(before) {
                    return None;
                }
                self.afternoon = Some(afternoon);
                self.rest = &self.rest[2..];
            }
            Piece::ZoneName => {
                let count = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
                if !(3..=5).contains(&count) {
                    return None;
                }
                self.rest = &self.rest[count..];
                self.offset = self.offset.or(Some(0));
            }
            Piece::Offset { z: true, .. } if self.rest.starts_with('Z') => {
                self.rest = &self.rest[1..];
                self.offset = Some(0);
            }
            Piece::Offset { minutes, seconds, colon, .. } => {
                self.offset = Some(self.read_offset(minutes, seconds, colon)?);
            }
            Piece::Fraction(_, count) => self.fraction(Some(count))?,
            Piece::ShortFraction(..) => {
                if self.rest.starts_with(['.', ','])
                    && self.rest[1..].starts_with(|c: char| c.is_ascii_digit())
                {
                    self.fraction(None)?;
                }
            }
        }
        Some(())
    }

    /// Text as it is; a run of spaces stands for any number of them.
    fn fixed(&mut self, mut text: &str) -> Option<()> {
        while !text.is_empty() {
            if text.starts_with(' ') {
                if !self.rest.is_empty() && !self.rest.starts_with(' ') {
                    return None;
                }
                text = text.trim_start_matches(' ');
                self.rest = self.rest.trim_start_matches(' ');
                continue;
            }
            let c = text.chars().next()?;
            self.rest = self.rest.strip_prefix(c)?;
            text = &text[c.len_utf8()..];
        }
        Some(())
    }

    fn name(&mut self, names: &[&str], short: bool) -> Option<i8> {
        for (index, name) in names.iter().enumerate() {
            let name = if short { &name[..3] } else { name };
            let found = self.rest.get(..name.len());
            if found.is_some_and(|found| found.eq_ignore_ascii_case(name)) {
                self.rest = &self.rest[name.len()..];
                return i8::try_from(index).ok();
            }
        }
        None
    }

    fn fraction(&mut self, count: Option<usize>) -> Option<()> {
        let digits = self.rest.strip_prefix(['.', ','])?;
        let found = digits.bytes().take_while(u8::is_ascii_digit).count();
        let count = count.unwrap_or(found);
        if found < count || count == 0 {
            return None;
        }
        self.nanosecond = format!("{:0<9.9}", &digits[..count]).parse().ok()?;
        self.rest = &digits[count..];
        Some(())
    }

    fn read_offset(&mut self, minutes: bool, seconds: bool, colon: bool) -> Option<i32> {
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let mut offset = i32::from(self.small(2, 24)?) * 3600;
        for (wanted, unit) in [(minutes, 60), (seconds, 1)] {
            if wanted {
                if colon {
                    self.rest = self.rest.strip_prefix(':')?;
                }
                offset += i32::from(self.small(2, 60)?) * unit;
            }
        }
        Some(sign * offset)
    }
}

/// The zero time, which a text that cannot be read becomes.
pub(super) fn zero() -> Zoned {
    let zero = DateTime::constant(1, 1, 1, 0, 0, 0, 0);
    zero.to_zoned(TimeZone::UTC).unwrap_or_else(|_| Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC))
}

/// What a method of a time answers: those that ask for a part of it.
pub(super) fn method(time: &Zoned, name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("Format", [Value::Text(layout)]) => return Ok(format(time, layout).into()),
        ("Format", _) => return Err("`Format` takes a layout".to_owned()),
        (_, [_, ..]) => return Err(format!("`{name}` takes no arguments")),
        _ => {}
    }
    let timestamp = time.timestamp();
    Ok(match name {
        "Year" => Value::Int(time.year().into()),
        "Day" => Value::Int(time.day().into()),
        "Hour" => Value::Int(time.hour().into()),
        "Minute" => Value::Int(time.minute().into()),
        "Second" => Value::Int(time.second().into()),
        "Nanosecond" => Value::Int(time.subsec_nanosecond().into()),
        "YearDay" => Value::Int(time.day_of_year().into()),
        // Their types print as names.
        "Month" => month(time).into(),
        "Weekday" => day(time).into(),
        "Unix" => Value::Int64(seconds(timestamp)),
        "UnixMilli" => Value::Int64(timestamp.as_millisecond()),
        "UnixMicro" => Value::Int64(timestamp.as_microsecond()),
        "UnixNano" => {
            let nanoseconds = i64::try_from(timestamp.as_nanosecond());
            Value::Int64(nanoseconds.map_err(|_| "the time is out of range")?)
        }
        "UTC" | "Local" => Value::Time(timestamp.to_zoned(TimeZone::UTC).into()),
        "IsZero" => (*time == zero()).into(),
        "String" => format(time, "2006-01-02 15:04:05.999999999 -0700 MST").into(),
        _ => return Err(format!("a time has no `{name}`")),
    })
}

/// The seconds since 1970, rounded down.
pub(super) fn seconds(timestamp: Timestamp) -> i64 {
    timestamp.as_nanosecond().div_euclid(1_000_000_000).try_into().unwrap_or(0)
}
