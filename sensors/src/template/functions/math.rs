//! Numbers.

use super::Parameter::{Any, Float, Int, Text};
use super::decimal::Decimal;
use super::{Call, Function, new, variadic};
use crate::template::convert::{to_float, to_int, to_text};
use crate::template::value::{Element, List, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    new("int", &[Any], |_, values| Ok(Value::Int(to_int(&values[0])))),
    new("int64", &[Any], |_, values| Ok(Value::Int64(to_int(&values[0])))),
    new("float64", &[Any], |_, values| Ok(Value::Float(to_float(&values[0])))),
    new("atoi", &[Text], |_, values| Ok(Value::Int(values[0].text().parse().unwrap_or(0)))),
    new("toDecimal", &[Any], |_, values| {
        let text = to_text(&values[0])?;
        Ok(Value::Int64(i64::from_str_radix(&text, 8).unwrap_or(0)))
    }),
    new("add1", &[Any], |_, values| Ok(Value::Int64(to_int(&values[0]).wrapping_add(1)))),
    variadic("add", &[], Any, |_, values| {
        Ok(Value::Int64(values.iter().map(to_int).fold(0, i64::wrapping_add)))
    }),
    new("sub", &[Any, Any], |_, values| {
        Ok(Value::Int64(to_int(&values[0]).wrapping_sub(to_int(&values[1]))))
    }),
    new("div", &[Any, Any], |_, values| match to_int(&values[1]) {
        0 => Err("a division by zero".to_owned()),
        divisor => Ok(Value::Int64(to_int(&values[0]).wrapping_div(divisor))),
    }),
    new("mod", &[Any, Any], |_, values| match to_int(&values[1]) {
        0 => Err("a division by zero".to_owned()),
        divisor => Ok(Value::Int64(to_int(&values[0]).wrapping_rem(divisor))),
    }),
    variadic("mul", &[Any], Any, |_, values| {
        Ok(Value::Int64(values.iter().map(to_int).fold(1, i64::wrapping_mul)))
    }),
    new("add1f", &[Any], |_, values| decimals(&[values[0].clone(), Value::Int(1)], Decimal::add)),
    variadic("addf", &[], Any, |_, values| {
        let mut all = vec![Value::Int(0)];
        all.extend_from_slice(values);
        decimals(&all, Decimal::add)
    }),
    variadic("subf", &[Any], Any, |_, values| decimals(values, Decimal::subtract)),
    variadic("mulf", &[Any], Any, |_, values| decimals(values, Decimal::multiply)),
    variadic("divf", &[Any], Any, |_, values| decimals(values, Decimal::divide)),
    variadic("max", &[Any], Any, |_, values| Ok(most(values, i64::max))),
    variadic("biggest", &[Any], Any, |_, values| Ok(most(values, i64::max))),
    variadic("min", &[Any], Any, |_, values| Ok(most(values, i64::min))),
    variadic("maxf", &[Any], Any, |_, values| Ok(most_float(values, f64::max))),
    variadic("minf", &[Any], Any, |_, values| Ok(most_float(values, f64::min))),
    new("ceil", &[Any], |_, values| Ok(Value::Float(to_float(&values[0]).ceil()))),
    new("floor", &[Any], |_, values| Ok(Value::Float(to_float(&values[0]).floor()))),
    variadic("round", &[Any, Int], Float, |_, values| Ok(Value::Float(round(values)))),
    new("until", &[Int], |call, values| {
        let count = values[0].int();
        Ok(ints(steps(call, 0, count, if count < 0 { -1 } else { 1 })?))
    }),
    new("untilStep", &[Int, Int, Int], |call, values| {
        Ok(ints(steps(call, values[0].int(), values[1].int(), values[2].int())?))
    }),
    variadic("seq", &[], Int, |call, values| {
        let numbers: Vec<i64> = values.iter().map(Value::int).collect();
        let numbers: Vec<String> =
            sequence(call, &numbers)?.iter().map(ToString::to_string).collect();
        Ok(numbers.join(" ").into())
    }),
];

fn decimals(
    values: &[Value],
    operate: fn(Decimal, Decimal) -> Result<Decimal, String>,
) -> Result<Value, String> {
    let mut result = Decimal::new(to_float(&values[0]))?;
    for value in &values[1..] {
        result = operate(result, Decimal::new(to_float(value))?)?;
    }
    Ok(Value::Float(result.to_float()))
}

fn most(values: &[Value], choose: fn(i64, i64) -> i64) -> Value {
    Value::Int64(values.iter().map(to_int).reduce(choose).unwrap_or(0))
}

/// Unlike in Rust, NaN wins.
fn most_float(values: &[Value], choose: fn(f64, f64) -> f64) -> Value {
    let floats = values.iter().map(to_float);
    let chosen =
        floats.reduce(
            |left, right| {
                if left.is_nan() || right.is_nan() { f64::NAN } else { choose(left, right) }
            },
        );
    Value::Float(chosen.unwrap_or(0.0))
}

/// Up from the third argument on, which is a half where it is not given.
fn round(values: &[Value]) -> f64 {
    let up = if let Some(Value::Float(up)) = values.get(2) { *up } else { 0.5 };
    let places = i32::try_from(values[1].int()).unwrap_or(i32::MAX);
    let power = 10f64.powi(places);
    let shifted = power * to_float(&values[0]);
    let whole = if shifted.fract() >= up { shifted.ceil() } else { shifted.floor() };
    whole / power
}

fn ints(numbers: Vec<i64>) -> Value {
    let numbers = numbers.into_iter().map(Value::Int).collect();
    Value::List(List::new(Element::Int, numbers))
}

fn steps(call: &Call<'_>, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, String> {
    let mut numbers = Vec::new();
    let up = stop >= start;
    if up && step <= 0 || !up && step >= 0 {
        return Ok(numbers);
    }
    let mut at = Some(start);
    while let Some(number) = at.filter(|at| if up { *at < stop } else { *at > stop }) {
        call.steps.take(1)?;
        numbers.push(number);
        at = number.checked_add(step);
    }
    Ok(numbers)
}

/// `seq end`, `seq start end`, `seq start step end`; the end is included.
fn sequence(call: &Call<'_>, numbers: &[i64]) -> Result<Vec<i64>, String> {
    let (start, step, end) = match *numbers {
        [end] => (1, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return Ok(Vec::new()),
    };
    let direction = if end < start { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return Ok(Vec::new());
    }
    steps(call, start, end.saturating_add(direction), step.unwrap_or(direction))
}
