//! `os`, as far as it tells the time: that of the event.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Call, Native, native};
use crate::lua::machine::Run;
use crate::lua::value::Value;

pub(super) static FUNCTIONS: &[Native] = &[
    native("clock", |_| Ok(vec![Value::Number(0.0)])),
    native("difftime", |call| {
        #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
        let difference = call.int(1)?.wrapping_sub(call.int(2)?) as f64;
        Ok(vec![Value::Number(difference)])
    }),
    native("time", time),
    native("date", date),
];

fn now(call: &Call<'_>) -> Timestamp {
    call.machine.now.unwrap_or(Timestamp::UNIX_EPOCH)
}

fn time(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let seconds = match call.argument(1) {
        Value::Nil => now(call).as_second(),
        Value::Table(table) => {
            let field = |name: &str, otherwise: i64| {
                let number = call.machine.table(table).get_text(name).as_number();
                #[expect(clippy::cast_possible_truncation, reason = "bounded")]
                number.map_or(otherwise, |number| number.clamp(-1e6, 1e6) as i64)
            };
            let (year, month, day) = (field("year", -1), field("month", -1), field("day", -1));
            let clock = field("hour", 12) * 3600 + field("min", 0) * 60 + field("sec", 0);
            // Months and days beyond their bounds carry over.
            let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
            let first = i16::try_from(year).ok().zip(i8::try_from(month).ok());
            let first = first.and_then(|(year, month)| jiff::civil::Date::new(year, month, 1).ok());
            let first = first.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
            match first {
                Some(first) => first.timestamp().as_second() + (day - 1) * 86_400 + clock,
                None => return call.bad(1, "no such date"),
            }
        }
        _ => return call.wrong(1, "table"),
    };
    #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
    Ok(vec![Value::Number(seconds as f64)])
}

fn date(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let format = match call.argument(1) {
        Value::Nil => b"%c".as_slice().into(),
        _ => call.text(1)?,
    };
    let format = String::from_utf8_lossy(&format).into_owned();
    // Local time is UTC here.
    let format = format.trim_start_matches('!');
    let time = match call.argument(2) {
        Value::Nil => now(call),
        _ => Timestamp::from_second(call.int(2)?).unwrap_or(Timestamp::UNIX_EPOCH),
    };
    let time = time.to_zoned(TimeZone::UTC);
    if format.starts_with("*t") {
        let table = call.machine.new_table();
        let fields = [
            ("year", i32::from(time.year())),
            ("month", time.month().into()),
            ("day", time.day().into()),
            ("hour", time.hour().into()),
            ("min", time.minute().into()),
            ("sec", time.second().into()),
            ("wday", i32::from(time.weekday().to_sunday_one_offset())),
            ("yday", 0),
        ];
        for (name, number) in fields {
            call.machine.raw_set(table, Value::text(name), Value::Number(number.into()))?;
        }
        call.machine.raw_set(table, Value::text("isdst"), Value::Bool(false))?;
        return Ok(vec![Value::Table(table)]);
    }
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(directive) = chars.next() else { break };
        let known = match directive {
            'a' => "%a",
            'A' => "%A",
            'b' => "%b",
            'B' => "%B",
            'c' => "%d %b %y %H:%M %Z",
            'd' => "%d",
            'F' => "%Y-%m-%d",
            'H' => "%H",
            'I' => "%I",
            'm' => "%m",
            'M' => "%M",
            'p' => "%p",
            'P' => "%P",
            'S' => "%S",
            'w' => "%w",
            'x' => "%H/%M/%y",
            'X' => "%H:%M:%S",
            'y' => "%y",
            'Y' => "%Y",
            'z' => "%z",
            'Z' => "%Z",
            _ => "",
        };
        if known.is_empty() {
            out.push('%');
            out.push(directive);
        } else {
            out.push_str(&time.strftime(known).to_string());
        }
    }
    Ok(vec![call.machine.text(out.into_bytes())?])
}
