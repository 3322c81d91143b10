//! Coroutines.

use super::{Native, native};
use crate::lua::machine::{Error, State};
use crate::lua::value::Value;

/// The place of `yield` among the functions.
pub(super) const YIELD: usize = 0;

pub(super) static FUNCTIONS: &[Native] = &[
    // The machine does it; this is for what calls it in other ways.
    native("yield", |call| call.machine.fail("can not yield from outside of a coroutine")),
    native("create", |call| {
        let function = call.function(1)?;
        Ok(vec![call.machine.new_coroutine(function)?])
    }),
    native("resume", |call| {
        let Value::Coroutine(number) = call.argument(1) else { return call.wrong(1, "thread") };
        let arguments = call.arguments[1..].to_vec();
        match call.machine.resume(number, arguments) {
            Ok(mut answers) => {
                answers.insert(0, Value::Bool(true));
                Ok(answers)
            }
            Err(Error::Raised(value)) => Ok(vec![Value::Bool(false), value]),
            Err(cut) => Err(cut),
        }
    }),
    native("running", |call| Ok(vec![call.machine.running().map_or(Value::Nil, Value::Coroutine)])),
    native("status", |call| {
        let Value::Coroutine(number) = call.argument(1) else { return call.wrong(1, "thread") };
        Ok(vec![Value::text(match call.machine.state(number) {
            State::Suspended => "suspended",
            State::Running => "running",
            State::Normal => "normal",
            State::Dead => "dead",
        })])
    }),
    native("wrap", |call| {
        let function = call.function(1)?;
        let coroutine = call.machine.new_coroutine(function)?;
        Ok(vec![call.machine.bind(&WRAPPED, vec![coroutine])])
    }),
];

static WRAPPED: Native = native("wrap", |call| {
    let Some(number) = call.bound else { return call.machine.fail("no coroutine") };
    let Some(Value::Coroutine(number)) = call.machine.bound(number).first().cloned() else {
        return call.machine.fail("no coroutine");
    };
    call.machine.resume(number, call.arguments.to_vec())
});
