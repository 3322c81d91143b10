//! Tables.

use super::{Call, Native, native};
use crate::lua::machine::Run;
use crate::lua::table::MAX_ARRAY;
use crate::lua::value::Value;

pub(super) static FUNCTIONS: &[Native] = &[
    native("getn", |call| {
        let table = call.table(1)?;
        Ok(vec![Value::count(call.machine.table(table).length())])
    }),
    native("maxn", |call| {
        let table = call.table(1)?;
        Ok(vec![Value::count(call.machine.table(table).length())])
    }),
    native("concat", concat),
    native("insert", insert),
    native("remove", remove),
    native("sort", sort),
];

fn concat(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let table = call.table(1)?;
    let separator = match call.argument(2) {
        Value::Nil => Value::text(""),
        text @ Value::Text(_) => text,
        _ => return call.wrong(2, "string"),
    };
    let length = i64::try_from(call.machine.table(table).length()).unwrap_or(i64::MAX);
    let (start, end) = (call.int_or(3, 1)?, call.int_or(4, length)?);
    if call.arguments.len() == 3 && !(1..=length).contains(&start) {
        return Ok(vec![Value::text("")]);
    }
    let (start, end) = (start.min(length).max(1), end.min(length));
    let mut parts = Vec::new();
    for index in start..=end {
        #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
        let part = call.machine.table(table).get(&Value::Number(index as f64));
        if part.as_text().is_none() {
            let kind = part.type_name();
            let message = format!("invalid value ({kind}) at index {index} in table for concat");
            return call.machine.fail(message);
        }
        call.machine.charge(1)?;
        if index > start {
            parts.push(separator.clone());
        }
        parts.push(part);
    }
    if parts.is_empty() {
        return Ok(vec![Value::text("")]);
    }
    Ok(vec![call.machine.concat(parts)?])
}

fn insert(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let table = call.table(1)?;
    match call.arguments.len() {
        0 | 1 => call.machine.fail("wrong number of arguments"),
        2 => {
            let value = call.argument(2);
            if !matches!(value, Value::Nil) {
                let next = call.machine.table(table).length() + 1;
                call.machine.raw_set(table, Value::count(next), value)?;
            }
            Ok(Vec::new())
        }
        _ => {
            let (index, value) = (call.int(2)?, call.argument(3));
            let length = call.machine.table(table).array.len();
            match usize::try_from(index) {
                Ok(place) if (1..=length).contains(&place) => {
                    call.machine.charge(8 + length / 8)?;
                    call.machine.table_mut(table).array.insert(place - 1, value);
                }
                #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
                _ => call.machine.raw_set(table, Value::Number(index as f64), value)?,
            }
            Ok(Vec::new())
        }
    }
}

fn remove(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let table = call.table(1)?;
    let index = if call.arguments.len() == 1 { -1 } else { call.int(2)? };
    let array = &mut call.machine.table_mut(table).array;
    let length = array.len();
    let removed = match usize::try_from(index - 1) {
        _ if length == 0 => Value::Nil,
        Ok(place) if place >= length => Value::Nil,
        Ok(place) if place < length - 1 => array.remove(place),
        _ => array.pop().unwrap_or_default(),
    };
    call.machine.charge(length / 8)?;
    Ok(vec![removed])
}

/// Merges runs that are sorted already, each twice as long as before. Whatever the order
/// answers, it comes to an end.
fn sort(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let table = call.table(1)?;
    let order = if call.arguments.len() > 1 { Some(call.function(2)?) } else { None };
    let mut items = std::mem::take(&mut call.machine.table_mut(table).array);
    debug_assert!(items.len() <= MAX_ARRAY, "the table sees to that");
    let mut width = 1;
    while width < items.len() {
        let mut merged = Vec::with_capacity(items.len());
        for run in items.chunks(2 * width) {
            let (mut left, mut right) = run.split_at(width.min(run.len()));
            while let (Some(a), Some(b)) = (left.first(), right.first()) {
                call.machine.charge(1)?;
                let second_first = match &order {
                    Some(order) => {
                        let pair = vec![b.clone(), a.clone()];
                        call.machine.call_one(order.clone(), pair)?.is_true()
                    }
                    None => call.machine.less(b.clone(), a.clone(), false)?,
                };
                if second_first {
                    merged.push(b.clone());
                    right = &right[1..];
                } else {
                    merged.push(a.clone());
                    left = &left[1..];
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        items = merged;
        width *= 2;
    }
    call.machine.table_mut(table).array = items;
    Ok(Vec::new())
}
