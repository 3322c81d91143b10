//! Texts: bytes, which mostly are UTF-8.

use super::{Call, Native, native};
use crate::lua::machine::Run;
use crate::lua::pattern::{Match, Pattern};
use crate::lua::value::{self, Value};
use crate::template::{Argument, sprintf};

pub(super) static FUNCTIONS: &[Native] = &[
    native("byte", byte),
    native("char", |call| {
        let mut bytes = Vec::new();
        for number in 1..=call.arguments.len() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as Go")]
            bytes.push(call.int(number)? as u8);
        }
        Ok(vec![call.machine.text(bytes)?])
    }),
    native("find", find),
    native("format", format),
    native("gmatch", gmatch),
    native("gfind", gmatch),
    native("gsub", gsub),
    native("len", |call| Ok(vec![Value::count(call.text(1)?.len())])),
    native("lower", |call| {
        let text = call.text(1)?;
        Ok(vec![call.machine.text(mapped(&text, |c| one(c, c.to_lowercase())))?])
    }),
    native("upper", |call| {
        let text = call.text(1)?;
        Ok(vec![call.machine.text(mapped(&text, |c| one(c, c.to_uppercase())))?])
    }),
    native("match", matches),
    native("rep", |call| {
        let (text, count) = (call.text(1)?, call.int(2)?);
        let count = usize::try_from(count).unwrap_or_default();
        // Paid for before it is made.
        call.machine.charge(text.len().saturating_mul(count) / 8)?;
        Ok(vec![Value::Text(text.repeat(count).into())])
    }),
    native("reverse", |call| {
        let mut bytes = call.text(1)?.to_vec();
        bytes.reverse();
        Ok(vec![call.machine.text(bytes)?])
    }),
    native("sub", |call| {
        let text = call.text(1)?;
        let start = place(&text, call.int(2)?, true);
        let end = place(&text, call.int_or(3, -1)?, false);
        if start >= text.len() || end < start {
            return Ok(vec![Value::text("")]);
        }
        Ok(vec![call.machine.text(&text[start..end])?])
    }),
];

/// What a character becomes, where that is one character: Go maps them one by one.
fn one(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

fn mapped(text: &[u8], map: fn(char) -> char) -> Vec<u8> {
    let mut out = String::new();
    for chunk in text.utf8_chunks() {
        out.extend(chunk.valid().chars().map(map));
        out.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    out.into_bytes()
}

/// An index of Lua as a place from 0; a negative one counts from the end.
fn place(text: &[u8], index: i64, start: bool) -> usize {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let mut index = if start && index != 0 { index - 1 } else { index };
    if index < 0 {
        index = length.saturating_add(index).saturating_add(1);
    }
    let index = index.max(0);
    usize::try_from(if start { index } else { index.min(length) }).unwrap_or_default()
}

fn byte(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let text = call.text(1)?;
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let (mut start, mut end) = (call.int_or(2, 1)?.saturating_sub(1), call.int_or(3, -1)?);
    if start < 0 {
        start = length.saturating_add(start).saturating_add(1);
    }
    if end < 0 {
        end = length.saturating_add(end).saturating_add(1);
    }
    let number = |byte: &u8| Value::Number((*byte).into());
    if call.arguments.len() == 2 {
        let found = usize::try_from(start).ok().and_then(|start| text.get(start));
        return Ok(found.map(number).into_iter().collect());
    }
    let (start, end) = (start.max(0), end.min(length));
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start < end => {
            call.machine.charge(end - start)?;
            Ok(text[start..end].iter().map(number).collect())
        }
        _ => Ok(Vec::new()),
    }
}

fn pattern(call: &mut Call<'_>, number: usize) -> Run<Pattern> {
    let text = call.text(number)?;
    call.machine.charge(text.len())?;
    match Pattern::compile(&text) {
        Ok(pattern) => Ok(pattern),
        Err(message) => call.machine.fail(message),
    }
}

fn search(
    call: &mut Call<'_>,
    pattern: &Pattern,
    text: &[u8],
    from: usize,
    most: usize,
) -> Run<Vec<Match>> {
    let machine = &mut *call.machine;
    let found = pattern.find(text, from, most, &mut |steps| machine.charge(steps))?;
    match found {
        Ok(found) => Ok(found),
        Err(message) => call.machine.fail(message),
    }
}

/// A capture of a match as a value; number 0 is the whole.
fn capture(text: &[u8], found: &Match, number: usize) -> Value {
    match found.captures.get(number) {
        Some((start, None)) => Value::count(*start),
        Some((start, Some(end))) => Value::text(text.get(*start..*end).unwrap_or_default()),
        None => Value::Nil,
    }
}

/// The captures of a match; the whole where it has none.
fn captures(text: &[u8], found: &Match) -> Vec<Value> {
    if found.captures.len() == 1 {
        return vec![capture(text, found, 0)];
    }
    (1..found.captures.len()).map(|number| capture(text, found, number)).collect()
}

fn find(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let (text, wanted) = (call.text(1)?, call.text(2)?);
    if wanted.is_empty() {
        return Ok(vec![Value::Number(1.0), Value::Number(0.0)]);
    }
    let from = place(&text, call.int_or(3, 1)?, true);
    if call.arguments.len() == 4 && call.argument(4).is_true() {
        call.machine.charge(text.len() / 8)?;
        let found = text.get(from..).and_then(|rest| memchr::memmem::find(rest, &wanted));
        return Ok(match found {
            Some(at) => {
                vec![Value::count(from + at + 1), Value::count(from + at + wanted.len())]
            }
            None => vec![Value::Nil],
        });
    }
    let pattern = pattern(call, 2)?;
    let found = search(call, &pattern, &text, from, 1)?;
    Ok(match found.first() {
        Some(found) => {
            let mut answer = vec![Value::count(found.start() + 1), Value::count(found.end())];
            answer.extend((1..found.captures.len()).map(|number| capture(&text, found, number)));
            answer
        }
        None => vec![Value::Nil],
    })
}

fn matches(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let text = call.text(1)?;
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let mut from = call.int_or(3, 1)?;
    if from < 0 {
        from = length.saturating_add(from).saturating_add(1);
    }
    let from = usize::try_from(from.saturating_sub(1)).unwrap_or_default();
    let pattern = pattern(call, 2)?;
    let found = search(call, &pattern, &text, from, 1)?;
    // Without a match nothing is answered, not even nil.
    Ok(found.first().map(|found| captures(&text, found)).unwrap_or_default())
}

fn gmatch(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let text = call.text(1)?;
    let pattern = pattern(call, 2)?;
    let found = search(call, &pattern, &text, 0, usize::MAX)?;
    let mut rest = Vec::new();
    for found in found.iter().rev() {
        let table = call.machine.new_table();
        for (at, value) in captures(&text, found).into_iter().enumerate() {
            call.machine.raw_set(table, Value::count(at + 1), value)?;
        }
        rest.push(Value::Table(table));
    }
    Ok(vec![call.machine.bind(&NEXT_MATCH, rest)])
}

static NEXT_MATCH: Native = native("gmatch", |call| {
    let Some(number) = call.bound else { return Ok(Vec::new()) };
    match call.machine.bound(number).pop() {
        Some(Value::Table(table)) => Ok(call.machine.table(table).array.clone()),
        _ => Ok(Vec::new()),
    }
});

fn gsub(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let text = call.text(1)?;
    let new = call.argument(3);
    let is_allowed = matches!(
        new,
        Value::Text(_) | Value::Table(_) | Value::Closure(_) | Value::Native(_) | Value::Bound(_)
    );
    if !is_allowed {
        return call.wrong(3, "string or table or function");
    }
    let most = usize::try_from(call.int_or(4, -1)?).unwrap_or(usize::MAX);
    let pattern = pattern(call, 2)?;
    // None is as good as all there.
    let most = if most == 0 { usize::MAX } else { most };
    let found = search(call, &pattern, &text, 0, most)?;
    let mut made: Vec<u8> = Vec::new();
    let mut at = 0;
    for found in &found {
        if found.start() < at {
            continue;
        }
        made.extend_from_slice(&text[at..found.start()]);
        let whole = &text[found.start()..found.end()];
        match &new {
            Value::Text(new) => replace(call, &text, found, new, &mut made)?,
            other => {
                let first = captures(&text, found).into_iter().next().unwrap_or_default();
                let value = match other {
                    Value::Table(_) => call.machine.index(other, &first)?,
                    function => call.machine.call_one(function.clone(), captures(&text, found))?,
                };
                if value.is_true() {
                    made.extend_from_slice(&value.as_text().unwrap_or_default());
                } else {
                    made.extend_from_slice(whole);
                }
            }
        }
        call.machine.charge(1 + whole.len() / 8)?;
        if made.len() > (4 << 20) {
            call.machine.charge(made.len() / 64)?;
        }
        at = found.end();
    }
    made.extend_from_slice(&text[at.min(text.len())..]);
    Ok(vec![call.machine.text(made)?, Value::count(found.len())])
}

/// A replacement; `%1` is the first capture, `%0` the whole.
fn replace(call: &mut Call<'_>, text: &[u8], found: &Match, new: &[u8], made: &mut Vec<u8>) -> Run {
    let mut rest = new.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            made.push(*byte);
            continue;
        }
        match rest.next() {
            Some(digit @ b'0'..=b'9') => {
                let number = usize::from(digit - b'0');
                // `%1` is the whole where there is no capture.
                let number = if number == 1 && found.captures.len() == 1 { 0 } else { number };
                if number >= found.captures.len() {
                    return call.machine.fail("invalid capture index");
                }
                let value = capture(text, found, number);
                made.extend_from_slice(&value.as_text().unwrap_or_default());
            }
            Some(b'%') => made.push(b'%'),
            Some(other) => made.extend_from_slice(&[b'%', *other]),
            None => {}
        }
    }
    call.machine.charge(new.len() / 8)
}

/// Go's `fmt.Sprintf`. What an argument is printed as goes by the verb.
fn format(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let format = call.text(1)?;
    let format = String::from_utf8_lossy(&format).into_owned();
    call.machine.charge(format.len())?;
    let verbs = verbs(&format);
    let count = format.matches('%').count().saturating_sub(format.matches("%%").count());
    let mut given = Vec::new();
    for (at, value) in call.arguments[1..].iter().take(count).enumerate() {
        given.push(argument(value, verbs.get(at).copied().unwrap_or('v')));
    }
    // `%i` is `%d` here.
    match sprintf(&with_d(&format), &given) {
        Ok(made) => Ok(vec![call.machine.text(made.into_bytes())?]),
        Err(message) => call.machine.fail(message),
    }
}

fn verbs(format: &str) -> Vec<char> {
    let mut verbs = Vec::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            match chars.find(|c| !"+-# 0123456789.".contains(*c)) {
                Some('%') | None => {}
                Some(verb) => verbs.push(verb),
            }
        }
    }
    verbs
}

fn with_d(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut in_verb = false;
    for c in format.chars() {
        let is_flag = "+-# 0123456789.".contains(c);
        out.push(if in_verb && c == 'i' { 'd' } else { c });
        in_verb = if in_verb { is_flag } else { c == '%' };
    }
    out
}

fn argument(value: &Value, verb: char) -> Argument {
    match value {
        Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
            let whole = *number as i64;
            match verb {
                'q' | 's' => Argument::Text(value::display(*number)),
                'b' | 'c' | 'd' | 'i' | 'o' | 'x' | 'X' | 'U' => Argument::Int(whole),
                'e' | 'E' | 'f' | 'F' | 'g' | 'G' => Argument::Float(*number),
                _ if value::display(*number) == whole.to_string() => Argument::Int(whole),
                _ => Argument::Float(*number),
            }
        }
        Value::Text(text) => {
            // A text that is no number is printed as 0.
            if matches!(verb, 'd' | 'i') && value::number(text).is_none() {
                return Argument::Int(0);
            }
            if matches!(verb, 'd' | 'i')
                && let Some(number) = value::number(text)
            {
                #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
                return Argument::Int(number as i64);
            }
            Argument::Text(String::from_utf8_lossy(text).into_owned())
        }
        Value::Bool(value) => Argument::Text(value.to_string()),
        Value::Nil => Argument::Text("nil".to_owned()),
        other => Argument::Text(format!("{}: 0x0", other.type_name())),
    }
}
