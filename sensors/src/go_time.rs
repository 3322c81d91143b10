//! Dates and times as Go's `time.Parse` reads them, for the layouts that are needed.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// One piece of a layout.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// A fixed text; a space is any number of spaces.
    Fixed(char),
    Year,
    Month,
    MonthName,
    /// Two digits.
    Day,
    /// One or two digits, with a space in front.
    SpacedDay,
    DayName,
    Hour,
    Hour12,
    HalfOfDay,
    Minute,
    /// A fraction may follow, whether or not the layout has one.
    Second,
    ZoneName,
    /// `+01:00`, or `+0100` without the colon.
    Offset {
        colon: bool,
        z: bool,
    },
}

/// The layouts that govaluate tries on every text, in this order.
const DATE_LAYOUTS: [&str; 12] = [
    "a b _ H:M:S Y",
    "a b _ H:M:S Z Y",
    "a b d H:M:S o Y",
    "h:Mp",
    "Y-m-dTH:M:SC",
    "Y-m-d",
    "Y-m-d H:M",
    "Y-m-d H:M:S",
    "Y-m-d H:M:SO",
    "Y-m-dTHc",
    "Y-m-dTH:Mc",
    "Y-m-dTH:M:Sc",
];

fn piece(letter: char) -> Piece {
    match letter {
        'Y' => Piece::Year,
        'm' => Piece::Month,
        'b' => Piece::MonthName,
        'd' => Piece::Day,
        '_' => Piece::SpacedDay,
        'a' => Piece::DayName,
        'H' => Piece::Hour,
        'h' => Piece::Hour12,
        'p' => Piece::HalfOfDay,
        'M' => Piece::Minute,
        'S' => Piece::Second,
        'Z' => Piece::ZoneName,
        'o' => Piece::Offset { colon: false, z: false },
        'O' => Piece::Offset { colon: true, z: false },
        'c' => Piece::Offset { colon: false, z: true },
        'C' => Piece::Offset { colon: true, z: true },
        fixed => Piece::Fixed(fixed),
    }
}

/// The seconds since 1970 of a text that govaluate takes for a date, in UTC where the
/// text has no offset.
pub(crate) fn looks_like_date(text: &str) -> Option<i64> {
    DATE_LAYOUTS.iter().find_map(|layout| {
        let read = Reader::read(layout, text)?;
        let local = read.date_time()?.to_zoned(TimeZone::UTC).ok()?;
        Some(local.timestamp().as_second() - read.offset)
    })
}

/// A time of the day, `15:04:05`.
pub(crate) fn time_of_day(text: &str) -> Option<jiff::civil::Time> {
    // Go reads it behind a date and a space, which is where the spaces come from.
    let behind_date = format!(" {text}");
    let time = Reader::read(" H:M:S", &behind_date)?.date_time()?.time();
    Some(time)
}

#[derive(Debug)]
struct Reader<'t> {
    rest: &'t str,
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    /// Seconds east of UTC.
    offset: i64,
}

impl<'t> Reader<'t> {
    fn read(layout: &str, text: &'t str) -> Option<Self> {
        let mut reader = Self {
            rest: text,
            year: 0,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            nanosecond: 0,
            afternoon: None,
            offset: 0,
        };
        for letter in layout.chars() {
            reader.piece(piece(letter))?;
        }
        reader.rest.is_empty().then_some(reader)
    }

    fn date_time(&self) -> Option<DateTime> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = Date::new(self.year, self.month, self.day).ok()?;
        let time = jiff::civil::Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        Some(date.to_datetime(time))
    }

    fn piece(&mut self, piece: Piece) -> Option<()> {
        match piece {
            Piece::Fixed(' ') => {
                if !self.rest.is_empty() && !self.rest.starts_with(' ') {
                    return None;
                }
                self.rest = self.rest.trim_start_matches(' ');
            }
            Piece::Fixed(fixed) => self.rest = self.rest.strip_prefix(fixed)?,
            Piece::Year => {
                let digits = self.cut(4)?;
                let plain = digits.bytes().all(|c| c.is_ascii_digit());
                self.year = digits.parse().ok().filter(|_| plain)?;
            }
            Piece::Month => self.month = self.digits(2, 2)?,
            Piece::MonthName => {
                let names = "janfebmaraprmayjunjulaugsepoctnovdec";
                self.month = i8::try_from(self.name(names)?).ok()? + 1;
            }
            Piece::Day => self.day = self.digits(2, 2)?,
            Piece::SpacedDay => {
                self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                self.day = self.digits(1, 2)?;
            }
            Piece::DayName => {
                self.name("sunmontuewedthufrisat")?;
            }
            Piece::Hour => self.hour = self.digits(1, 2).filter(|hour| *hour < 24)?,
            Piece::Hour12 => self.hour = self.digits(1, 2).filter(|hour| *hour <= 12)?,
            Piece::HalfOfDay => {
                self.afternoon = Some(match self.cut(2)? {
                    "PM" => true,
                    "AM" => false,
                    _ => return None,
                });
            }
            Piece::Minute => self.minute = self.digits(2, 2)?,
            Piece::Second => {
                // A leap second is out of range to Go.
                self.second = self.digits(2, 2).filter(|second| *second < 60)?;
                self.fraction();
            }
            Piece::ZoneName => self.zone_name()?,
            Piece::Offset { colon, z } => self.offset(colon, z)?,
        }
        Some(())
    }

    fn cut(&mut self, bytes: usize) -> Option<&'t str> {
        let (cut, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(cut)
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<i8> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        self.cut(count)?.parse().ok()
    }

    /// The place of the next three letters among names of three letters.
    fn name(&mut self, names: &str) -> Option<usize> {
        let name = self.cut(3)?.to_ascii_lowercase();
        (0..names.len() / 3).find(|at| names[at * 3..at * 3 + 3] == name)
    }

    fn fraction(&mut self) {
        let Some(after) = self.rest.strip_prefix(['.', ',']) else { return };
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return;
        }
        let nanoseconds = format!("{:0<9.9}", &after[..count]);
        self.nanosecond = nanoseconds.parse().unwrap_or(0);
        self.rest = &after[count..];
    }

    /// An abbreviation. Which one does not matter: without a zone that knows it, it is
    /// UTC.
    fn zone_name(&mut self) -> Option<()> {
        let count = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let name = self.cut(count)?;
        let known = match count {
            3 => true,
            4 => name.ends_with('T') || name == "WITA",
            5 => name.ends_with('T'),
            _ => false,
        };
        if name == "GMT" && self.rest.starts_with(['+', '-']) {
            let sign = if self.rest.starts_with('-') { -1 } else { 1 };
            let count = self.rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            let hours: i64 = self.cut(count + 1)?[1..].parse().ok().filter(|hours| *hours < 24)?;
            self.offset = sign * hours * 3600;
        }
        known.then_some(())
    }

    fn offset(&mut self, colon: bool, z: bool) -> Option<()> {
        if z && let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        let sign = match self.cut(1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let hours = i64::from(self.digits(2, 2).filter(|hours| *hours <= 24)?);
        if colon {
            self.rest = self.rest.strip_prefix(':')?;
        }
        let minutes = i64::from(self.digits(2, 2).filter(|minutes| *minutes <= 60)?);
        self.offset = sign * (hours * 3600 + minutes * 60);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_read_as_go_reads_it() {
        for text in ["09:00:00", "9:00:00", " 09:00:00", "  9:00:00", "09:00:00.5", "09:00:00,5"] {
            assert!(time_of_day(text).is_some(), "{text}");
        }
        assert_eq!(
            time_of_day("09:00:00.5").map(|time| time.subsec_nanosecond()),
            Some(500_000_000)
        );
        for text in [
            "",
            "09:00",
            "24:00:00",
            "09:60:00",
            "23:59:60",
            "09:0:00",
            "09:00:00 ",
            "noon",
            "-1:00:00",
            "09:00:00.",
            "009:00:00",
        ] {
            assert!(time_of_day(text).is_none(), "{text}");
        }
    }

    #[test]
    fn texts_that_look_like_dates_are_found() {
        for (text, seconds) in [
            ("2023-01-02", Some(1_672_617_600)),
            ("2023-01-02 03:04", Some(1_672_628_640)),
            ("2023-01-02T03:04:05Z", Some(1_672_628_645)),
            ("2023-01-02T03:04:05.123+0100", Some(1_672_625_045)),
            ("2023-01-02T03Z", Some(1_672_628_400)),
            ("Mon Jan  2 15:04:05 MST 2006", Some(1_136_214_245)),
            ("Mon Jan 02 15:04:05 -0700 2006", Some(1_136_239_445)),
            ("2023-02-30", None),
            ("2023-1-2", None),
            ("x2023-01-02", None),
            ("2023-01-02T", None),
        ] {
            assert_eq!(looks_like_date(text), seconds, "{text}");
        }
    }
}
