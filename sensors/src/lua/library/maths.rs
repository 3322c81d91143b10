//! Numbers.

use super::{Call, Native, native};
use crate::lua::machine::{Run, modulo};
use crate::lua::value::Value;

macro_rules! of_one {
    ($name:literal, $function:expr) => {
        native($name, |call| {
            let function: fn(f64) -> f64 = $function;
            Ok(vec![Value::Number(function(call.number(1)?))])
        })
    };
}

macro_rules! of_two {
    ($name:literal, $function:expr) => {
        native($name, |call| {
            let function: fn(f64, f64) -> f64 = $function;
            Ok(vec![Value::Number(function(call.number(1)?, call.number(2)?))])
        })
    };
}

pub(super) static FUNCTIONS: &[Native] = &[
    of_one!("abs", f64::abs),
    of_one!("acos", libm::acos),
    of_one!("asin", libm::asin),
    of_one!("atan", libm::atan),
    of_one!("ceil", f64::ceil),
    of_one!("cos", libm::cos),
    of_one!("cosh", libm::cosh),
    of_one!("deg", |value| value * 180.0 / std::f64::consts::PI),
    of_one!("exp", libm::exp),
    of_one!("floor", f64::floor),
    of_one!("log", libm::log),
    of_one!("log10", libm::log10),
    of_one!("rad", |value| value * std::f64::consts::PI / 180.0),
    of_one!("sin", libm::sin),
    of_one!("sinh", libm::sinh),
    of_one!("sqrt", f64::sqrt),
    of_one!("tan", libm::tan),
    of_one!("tanh", libm::tanh),
    of_two!("atan2", libm::atan2),
    of_two!("fmod", |left, right| left % right),
    of_two!("mod", modulo),
    of_two!("pow", libm::pow),
    native("frexp", |call| {
        let value = call.number(1)?;
        let (fraction, exponent) = if value.is_finite() { libm::frexp(value) } else { (value, 0) };
        Ok(vec![Value::Number(fraction), Value::Number(exponent.into())])
    }),
    native("ldexp", |call| {
        let exponent = call.int(2)?.clamp(-5000, 5000);
        let exponent = i32::try_from(exponent).unwrap_or_default();
        Ok(vec![Value::Number(libm::ldexp(call.number(1)?, exponent))])
    }),
    native("modf", |call| {
        let value = call.number(1)?;
        let fraction = if value.is_infinite() { f64::NAN } else { value - value.trunc() };
        Ok(vec![Value::Number(value.trunc()), Value::Number(fraction)])
    }),
    native("max", |call| extreme(call, |best, other| other > best)),
    native("min", |call| extreme(call, |best, other| other < best)),
    native("random", random),
    native("randomseed", |call| {
        call.machine.random = call.int(1)?.cast_unsigned();
        Ok(Vec::new())
    }),
];

fn extreme(call: &mut Call<'_>, is_better: fn(f64, f64) -> bool) -> Run<Vec<Value>> {
    if call.arguments.is_empty() {
        return call.machine.fail("wrong number of arguments");
    }
    let mut best = call.number(1)?;
    for number in 2..=call.arguments.len() {
        let other = call.number(number)?;
        if is_better(best, other) {
            best = other;
        }
    }
    Ok(vec![Value::Number(best)])
}

/// Numbers that look random and are the same in every run: a replay decides the same.
fn random(call: &mut Call<'_>) -> Run<Vec<Value>> {
    // SplitMix64: one addition and a few shifts.
    call.machine.random = call.machine.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = call.machine.random;
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    let fraction = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    let (least, most) = match call.arguments.len() {
        0 => return Ok(vec![Value::Number(fraction)]),
        1 => (1, call.int(1)?),
        _ => (call.int(1)?, call.int(2)?),
    };
    if most < least {
        return call.bad(call.arguments.len().min(2), "interval is empty");
    }
    #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
    let (least, most) = (least as f64, most as f64);
    Ok(vec![Value::Number(least + (fraction * (most - least + 1.0)).floor())])
}
