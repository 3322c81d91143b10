//! What scripts can call.

use std::sync::Arc;

use super::machine::{Machine, Run};
use super::value::Value;

mod base;
mod coroutines;
mod maths;
mod tables;
mod texts;
mod times;

/// A function of the library.
pub(super) struct Native {
    pub(super) name: &'static str,
    pub(super) run: fn(&mut Call<'_>) -> Run<Vec<Value>>,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn native(name: &'static str, run: fn(&mut Call<'_>) -> Run<Vec<Value>>) -> Native {
    Native { name, run }
}

/// A call of a function of the library.
pub(super) struct Call<'c> {
    pub(super) machine: &'c mut Machine,
    pub(super) name: &'static str,
    pub(super) arguments: &'c [Value],
    /// The number of the function's own values.
    pub(super) bound: Option<usize>,
}

/// Puts the functions into the globals.
pub(super) fn open(machine: &mut Machine) {
    let globals = machine.globals();
    add(machine, globals, base::FUNCTIONS);
    machine.set_global("_G", Value::Table(globals));
    machine.set_global("_VERSION", Value::text("Lua 5.1"));
    let modules: [(&str, &'static [Native]); 5] = [
        ("string", texts::FUNCTIONS),
        ("table", tables::FUNCTIONS),
        ("math", maths::FUNCTIONS),
        ("os", times::FUNCTIONS),
        ("coroutine", coroutines::FUNCTIONS),
    ];
    for (name, functions) in modules {
        let table = machine.new_table();
        add(machine, table, functions);
        machine.set_global(name, Value::Table(table));
        match name {
            "string" => {
                machine.texts = table;
                machine.table_mut(table).set(Value::text("__index"), Value::Table(table));
            }
            "math" => {
                let numbers = [("pi", std::f64::consts::PI), ("huge", f64::MAX)];
                for (name, number) in numbers {
                    machine.table_mut(table).set(Value::text(name), Value::Number(number));
                }
            }
            _ => {}
        }
    }
}

fn add(machine: &mut Machine, table: usize, functions: &'static [Native]) {
    for native in functions {
        machine.table_mut(table).set(Value::text(native.name), Value::Native(native));
    }
}

/// `coroutine.yield`, which the machine handles itself.
pub(super) fn is_yield(native: &'static Native) -> bool {
    std::ptr::eq(native, &raw const coroutines::FUNCTIONS[coroutines::YIELD])
}

impl Call<'_> {
    /// An argument, from 1; nil where it is not given.
    fn argument(&self, number: usize) -> Value {
        self.arguments.get(number - 1).cloned().unwrap_or_default()
    }

    fn wrong<T>(&self, number: usize, expected: &str) -> Run<T> {
        let found = self.argument(number).type_name();
        let name = self.name;
        let message =
            format!("bad argument #{number} to {name} ({expected} expected, got {found})");
        self.machine.fail(message)
    }

    fn bad<T>(&self, number: usize, why: &str) -> Run<T> {
        self.machine.fail(format!("bad argument #{number} to {} ({why})", self.name))
    }

    fn any(&self, number: usize) -> Run<Value> {
        if number > self.arguments.len() {
            return self.bad(number, "value expected");
        }
        Ok(self.argument(number))
    }

    fn table(&self, number: usize) -> Run<usize> {
        match self.argument(number) {
            Value::Table(table) => Ok(table),
            _ => self.wrong(number, "table"),
        }
    }

    fn function(&self, number: usize) -> Run<Value> {
        match self.argument(number) {
            value @ (Value::Closure(_) | Value::Native(_) | Value::Bound(_)) => Ok(value),
            _ => self.wrong(number, "function"),
        }
    }

    /// A number, or a text that is one.
    fn number(&self, number: usize) -> Run<f64> {
        match self.argument(number).as_number() {
            Some(value) => Ok(value),
            None => self.wrong(number, "number"),
        }
    }

    /// A number without its fraction; no text.
    fn int(&self, number: usize) -> Run<i64> {
        match self.argument(number) {
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
            Value::Number(value) => Ok(value as i64),
            _ => self.wrong(number, "number"),
        }
    }

    fn int_or(&self, number: usize, otherwise: i64) -> Run<i64> {
        match self.argument(number) {
            Value::Nil => Ok(otherwise),
            _ => self.int(number),
        }
    }

    /// A text, or a number as one.
    fn text(&self, number: usize) -> Run<Arc<[u8]>> {
        match self.argument(number).as_text() {
            Some(text) => Ok(text),
            None => self.wrong(number, "string"),
        }
    }
}
