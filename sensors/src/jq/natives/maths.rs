//! Numbers. `libm` answers the same on every platform.

use super::{Made, Native, absolute, cannot, native};
use crate::jq::value::Value;

macro_rules! of_one {
    ($name:literal, $function:expr) => {
        native($name, 0, |_, input, _| {
            let function: fn(f64) -> f64 = $function;
            Ok(Value::Float(function(input.float().ok_or_else(|| cannot($name, input))?)))
        })
    };
}

macro_rules! of_two {
    ($name:literal, $function:expr) => {
        native($name, 2, |_, _, of| {
            let function: fn(f64, f64) -> f64 = $function;
            let number = |value: &Value| value.float().ok_or_else(|| cannot($name, value));
            Ok(Value::Float(function(number(&of[0])?, number(&of[1])?)))
        })
    };
}

pub(super) const FUNCTIONS: &[Native] = &[
    native("abs", 0, |_, input, _| absolute(input).ok_or_else(|| cannot("abs", input))),
    of_one!("floor", f64::floor),
    of_one!("ceil", f64::ceil),
    of_one!("round", f64::round),
    of_one!("nearbyint", f64::round_ties_even),
    of_one!("rint", f64::round_ties_even),
    of_one!("trunc", f64::trunc),
    of_one!("fabs", f64::abs),
    of_one!("sqrt", f64::sqrt),
    of_one!("cbrt", libm::cbrt),
    of_one!("sin", libm::sin),
    of_one!("cos", libm::cos),
    of_one!("tan", libm::tan),
    of_one!("asin", libm::asin),
    of_one!("acos", libm::acos),
    of_one!("atan", libm::atan),
    of_one!("sinh", libm::sinh),
    of_one!("cosh", libm::cosh),
    of_one!("tanh", libm::tanh),
    of_one!("asinh", libm::asinh),
    of_one!("acosh", libm::acosh),
    of_one!("atanh", libm::atanh),
    of_one!("exp", libm::exp),
    of_one!("exp2", libm::exp2),
    of_one!("exp10", |value| libm::pow(10.0, value)),
    of_one!("expm1", libm::expm1),
    of_one!("log", libm::log),
    of_one!("log2", libm::log2),
    of_one!("log10", libm::log10),
    of_one!("log1p", libm::log1p),
    of_one!("logb", logb),
    of_one!("gamma", libm::tgamma),
    of_one!("tgamma", libm::tgamma),
    of_one!("lgamma", libm::lgamma),
    of_one!("erf", libm::erf),
    of_one!("erfc", libm::erfc),
    of_one!("j0", libm::j0),
    of_one!("j1", libm::j1),
    of_one!("y0", libm::y0),
    of_one!("y1", libm::y1),
    of_one!("significand", significand),
    of_two!("pow", libm::pow),
    of_two!("atan2", libm::atan2),
    of_two!("copysign", f64::copysign),
    of_two!("drem", drem),
    of_two!("remainder", libm::remainder),
    of_two!("fdim", libm::fdim),
    of_two!("fmin", minimum),
    of_two!("fmax", maximum),
    of_two!("fmod", |a, b| a % b),
    of_two!("hypot", libm::hypot),
    of_two!("nextafter", libm::nextafter),
    of_two!("nexttoward", libm::nextafter),
    of_two!("ldexp", ldexp),
    of_two!("scalb", ldexp),
    of_two!("scalbln", ldexp),
    of_two!("jn", |order, value| libm::jn(whole(order), value)),
    of_two!("yn", |order, value| libm::yn(whole(order), value)),
    native("fma", 3, |_, _, of| {
        let number = |value: &Value| value.float().ok_or_else(|| cannot("fma", value));
        Ok(Value::Float(libm::fma(number(&of[0])?, number(&of[1])?, number(&of[2])?)))
    }),
    native("frexp", 0, |_, input, _| {
        let value = input.float().ok_or_else(|| cannot("frexp", input))?;
        let (fraction, exponent) = if value.is_finite() { libm::frexp(value) } else { (value, 0) };
        Ok(Value::flat(vec![Value::Float(fraction), Value::Int(exponent.into())]))
    }),
    native("modf", 0, |_, input, _| {
        let value = input.float().ok_or_else(|| cannot("modf", input))?;
        let whole = value.trunc();
        let fraction = if value.is_infinite() { f64::NAN } else { value - whole };
        Ok(Value::flat(vec![Value::Float(fraction.copysign(value)), Value::Float(whole)]))
    }),
    native("infinite", 0, |_, _, _| Ok(Value::Float(f64::INFINITY))),
    native("nan", 0, |_, _, _| Ok(Value::Float(f64::NAN))),
    native("isfinite", 0, |_, input, _| is(input, |value| !value.is_infinite())),
    native("isinfinite", 0, |_, input, _| is(input, f64::is_infinite)),
    native("isnormal", 0, |_, input, _| is(input, f64::is_normal)),
    native("isnan", 0, |_, input, _| match input.float() {
        Some(value) => Ok(Value::Bool(value.is_nan())),
        None if matches!(input, Value::Null) => Ok(Value::Bool(false)),
        None => Err(cannot("isnan", input)),
    }),
];

#[expect(clippy::unnecessary_wraps, reason = "all functions answer alike")]
fn is(value: &Value, holds: fn(f64) -> bool) -> Made {
    Ok(Value::Bool(value.float().is_some_and(holds)))
}

/// Float to int, as Go converts what fits.
fn whole(value: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    let whole = value as i32;
    whole
}

fn ldexp(value: f64, exponent: f64) -> f64 {
    libm::ldexp(value, whole(exponent))
}

fn logb(value: f64) -> f64 {
    match value {
        0.0 => f64::NEG_INFINITY,
        value if value.is_infinite() => f64::INFINITY,
        value if value.is_nan() => value,
        value => f64::from(libm::ilogb(value)),
    }
}

fn significand(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    f64::from_bits(value.to_bits() & 0x800f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000)
}

fn drem(left: f64, right: f64) -> f64 {
    let remainder = libm::remainder(left, right);
    if remainder == 0.0 { remainder.copysign(left) } else { remainder }
}

/// Unlike Rust's, these answer "no number" where one of both is none.
fn minimum(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.min(right) }
}

fn maximum(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}
