//! Renders a parsed template.

use super::bounds::{Bounded, Steps};
use super::compare::truth;
use super::functions::{Call, Function, Parameter, Run};
use super::node::{Branch, Command, Node, Operand, Pipeline, Program, Term};
use super::value::Value;
use super::{Context, Fault, MAX_DEPTH, Place, layout, print};

/// Renders `program` for an input.
pub(super) fn run(program: &Program, input: Value, context: &Context) -> Result<String, Fault> {
    let steps = Steps::default();
    let dot = Value::dict([("Input", input)]);
    let mut runner = Runner {
        program,
        call: Call { context, steps: &steps },
        out: Bounded::default(),
        variables: vec![("$", dot.clone())],
        depth: 0,
    };
    runner.list(&program.main, &dot)?;
    runner.out.finish().map_err(|message| Fault::at(Place::default(), message))
}

/// So many bytes or elements of a value count as one step.
const SIZE_OF_STEP: usize = 256;

struct Runner<'p> {
    program: &'p Program,
    call: Call<'p>,
    out: Bounded,
    /// The innermost last.
    variables: Vec<(&'p str, Value)>,
    depth: usize,
}

/// How a list of nodes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'p> Runner<'p> {
    fn step(&self, at: Place) -> Result<(), Fault> {
        self.call.steps.take(1).map_err(|message| Fault::at(at, message))
    }

    fn deeper<T>(
        &mut self,
        at: Place,
        run: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth == MAX_DEPTH {
            let message = format!("the template goes more than {MAX_DEPTH} deep");
            return Err(Fault::at(at, message));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn list(&mut self, nodes: &'p [Node], dot: &Value) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &'p Node, dot: &Value) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.print(&value).map_err(|message| Fault::at(pipeline.at, message))?;
                }
            }
            Node::If(branch) | Node::With(branch) => {
                let with = matches!(node, Node::With(_));
                return self.scope(|runner| {
                    let value = runner.pipeline(&branch.pipeline, dot)?;
                    let inner = if with { &value } else { dot };
                    let at = branch.pipeline.at;
                    if truth(&value) {
                        runner.deeper(at, |runner| runner.list(&branch.body, inner))
                    } else {
                        runner.deeper(at, |runner| runner.list(&branch.otherwise, dot))
                    }
                });
            }
            Node::Range(branch) => {
                return self.scope(|runner| {
                    runner.deeper(branch.pipeline.at, |runner| runner.range(branch, dot))
                });
            }
            Node::Template { at, name, pipeline } => {
                let program = self.program;
                let Some(body) = program.named.get(&**name) else {
                    return Err(Fault::at(*at, format!("there is no template `{name}`")));
                };
                self.step(*at)?;
                let value = match pipeline {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Missing,
                };
                let outer = std::mem::replace(&mut self.variables, vec![("$", value.clone())]);
                self.deeper(*at, |runner| runner.list(body, &value))?;
                self.variables = outer;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        if self.out.is_full() {
            let message = super::bounds::too_long();
            let at = match node {
                Node::Action(pipeline) => pipeline.at,
                _ => Place::default(),
            };
            return Err(Fault::at(at, message));
        }
        Ok(Flow::Next)
    }

    /// Runs with variables that are gone afterwards.
    fn scope(&mut self, run: impl FnOnce(&mut Self) -> Result<Flow, Fault>) -> Result<Flow, Fault> {
        let variables = self.variables.len();
        let flow = run(self)?;
        self.variables.truncate(variables);
        Ok(flow)
    }

    fn print(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Missing | Value::Nil => self.out.push_str("<no value>"),
            value => print::plain(&mut self.out, value)?,
        }
        Ok(())
    }

    fn range(&mut self, branch: &'p Branch, dot: &Value) -> Result<Flow, Fault> {
        let at = branch.pipeline.at;
        // What a range declares it sets for each element, not for the whole.
        let over = self.commands(&branch.pipeline, dot)?;
        let size = charge(self.call, std::slice::from_ref(&over));
        size.map_err(|message| Fault::at(at, message))?;
        let declared = branch.pipeline.variables.len();
        let first = self.variables.len();
        if !branch.pipeline.assigns {
            let names = branch.pipeline.variables.iter();
            self.variables.extend(names.map(|name| (&**name, over.clone())));
        } else {
            for name in &branch.pipeline.variables {
                self.assign(name, over.clone(), at)?;
            }
        }
        let elements: Box<dyn Iterator<Item = (Value, Value)>> = match &over {
            Value::List(list) => {
                let values = list.values().to_vec().into_iter();
                Box::new((0..).map(Value::Int).zip(values))
            }
            Value::Dict(dict) => {
                let entries = dict.entries().into_iter();
                Box::new(entries.map(|(key, value)| (Value::Text(key), value)))
            }
            Value::Int(_) | Value::Int64(_) | Value::Uint64(_) | Value::Byte(_) if declared > 1 => {
                let message = "a number is gone over with one variable only";
                return Err(Fault::at(at, message));
            }
            Value::Int(count) => Box::new((0..*count).map(|at| (Value::Nil, Value::Int(at)))),
            Value::Int64(count) => Box::new((0..*count).map(|at| (Value::Nil, Value::Int64(at)))),
            Value::Uint64(count) => Box::new((0..*count).map(|at| (Value::Nil, Value::Uint64(at)))),
            Value::Byte(count) => Box::new((0..*count).map(|at| (Value::Nil, Value::Byte(at)))),
            Value::Missing | Value::Nil => Box::new(std::iter::empty()),
            other => {
                let message = format!("a {} cannot be gone over", other.type_name());
                return Err(Fault::at(at, message));
            }
        };
        let mut any = false;
        for (key, value) in elements {
            any = true;
            self.step(at)?;
            let variables = self.variables.len();
            let mut set = |index: usize, value: Value| match &branch.pipeline {
                Pipeline { assigns: true, variables, .. } => {
                    self.assign(&variables[index], value, at)
                }
                _ => {
                    self.variables[first + index].1 = value;
                    Ok(())
                }
            };
            match declared {
                0 => {}
                1 => set(0, value.clone())?,
                _ => {
                    set(0, key)?;
                    set(1, value.clone())?;
                }
            }
            let flow = self.list(&branch.body, &value)?;
            self.variables.truncate(variables);
            if flow == Flow::Break {
                break;
            }
        }
        if any { Ok(Flow::Next) } else { self.list(&branch.otherwise, dot) }
    }

    fn assign(&mut self, name: &str, value: Value, at: Place) -> Result<(), Fault> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, variable)) => *variable = value,
            None => return Err(Fault::at(at, format!("there is no variable `{name}`"))),
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &'p Pipeline, dot: &Value) -> Result<Value, Fault> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            if pipeline.assigns {
                self.assign(name, value.clone(), pipeline.at)?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &'p Pipeline, dot: &Value) -> Result<Value, Fault> {
        self.deeper(pipeline.at, |runner| {
            let mut last = None;
            for command in &pipeline.commands {
                let value = runner.command(command, dot, last)?;
                last = Some(if matches!(value, Value::Nil) { Value::Missing } else { value });
            }
            Ok(last.unwrap_or(Value::Missing))
        })
    }

    /// A command; `last` is what the one before it made, the last argument of this one.
    fn command(
        &mut self,
        command: &'p Command,
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let Operand { at, term } = &command.first;
        self.step(*at)?;
        match term {
            Term::Function(function) => {
                return self.function(function, *at, &command.arguments, dot, last);
            }
            Term::Field(fields) => {
                let chain = Chain { at: *at, fields };
                return self.chain(dot.clone(), chain, &command.arguments, dot, last);
            }
            Term::Variable(name, fields) if !fields.is_empty() => {
                let value = self.variable(name, *at)?;
                let chain = Chain { at: *at, fields };
                return self.chain(value, chain, &command.arguments, dot, last);
            }
            Term::Chain(inner, fields) => {
                let value = self.operand(inner, dot)?;
                let chain = Chain { at: *at, fields };
                return self.chain(value, chain, &command.arguments, dot, last);
            }
            _ => {}
        }
        if !command.arguments.is_empty() || last.is_some() {
            return Err(Fault::at(*at, "what is no function cannot take arguments"));
        }
        if matches!(term, Term::Nil) {
            return Err(Fault::at(*at, "`nil` alone is no command"));
        }
        self.operand(&command.first, dot)
    }

    fn variable(&self, name: &str, at: Place) -> Result<Value, Fault> {
        let found = self.variables.iter().rev().find(|(known, _)| *known == name);
        let missing = || Fault::at(at, format!("there is no variable `{name}`"));
        found.map(|(_, value)| value.clone()).ok_or_else(missing)
    }

    /// An operand that stands alone.
    fn operand(&mut self, operand: &'p Operand, dot: &Value) -> Result<Value, Fault> {
        self.step(operand.at)?;
        let at = operand.at;
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Text(text) => Ok(Value::from(&**text)),
            Term::Number(number) => match (number.is_float, number.int, number.float) {
                (false, Some(int), _) => Ok(Value::Int(int)),
                (_, _, Some(float)) => Ok(Value::Float(float)),
                _ => Err(Fault::at(at, "the number is out of range")),
            },
            Term::Field(fields) => self.chain(dot.clone(), Chain { at, fields }, &[], dot, None),
            Term::Variable(name, fields) => {
                let value = self.variable(name, at)?;
                if fields.is_empty() {
                    return Ok(value);
                }
                self.chain(value, Chain { at, fields }, &[], dot, None)
            }
            Term::Function(function) => self.function(function, at, &[], dot, None),
            Term::Pipeline(pipeline) => self.pipeline(pipeline, dot),
            Term::Chain(inner, fields) => {
                let value = self.operand(inner, dot)?;
                self.chain(value, Chain { at, fields }, &[], dot, None)
            }
        }
    }

    fn chain(
        &mut self,
        mut value: Value,
        chain: Chain<'p>,
        arguments: &'p [Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let at = chain.at;
        let Some((field, before)) = chain.fields.split_last() else { return Ok(value) };
        for field in before {
            value = self.field(&value, field, &[]).map_err(|message| Fault::at(at, message))?;
        }
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            given.push(self.operand(argument, dot)?);
        }
        given.extend(last);
        self.field(&value, field, &given).map_err(|message| Fault::at(at, message))
    }

    /// A field of a dict, or a method of a time or a version.
    fn field(&self, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
        match value {
            Value::Missing => Ok(Value::Missing),
            Value::Nil => Err(format!("nil has no field `{name}`")),
            Value::Dict(_) if !arguments.is_empty() => {
                Err(format!("`{name}` is no function, so it cannot take arguments"))
            }
            Value::Dict(dict) => Ok(dict.get(name).unwrap_or(Value::Missing)),
            Value::Time(time) => layout::method(time, name, arguments),
            Value::Version(version) => version.method(name, arguments),
            other => Err(format!("a {} has no field `{name}`", other.type_name())),
        }
    }

    fn function(
        &mut self,
        function: &'static Function,
        at: Place,
        arguments: &'p [Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let count = arguments.len() + usize::from(last.is_some());
        let fits = match function.rest {
            Some(_) => count >= function.fixed.len(),
            None => count == function.fixed.len(),
        };
        if !fits {
            let wanted = function.fixed.len();
            let least = if function.rest.is_some() { "at least " } else { "" };
            let message =
                format!("`{}` takes {least}{wanted} arguments, not {count}", function.name);
            return Err(Fault::at(at, message));
        }
        let run = match function.run {
            Run::Plain(run) => run,
            Run::ShortCircuit(stop_at) => {
                let mut value = Value::Missing;
                for argument in arguments {
                    value = self.operand(argument, dot)?;
                    if truth(&value) == stop_at {
                        return Ok(value);
                    }
                }
                return Ok(last.unwrap_or(value));
            }
        };
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            let parameter = function.parameter(index);
            values.push(self.argument(argument, parameter, dot)?);
        }
        if let Some(last) = last {
            let value = check(last, function.parameter(arguments.len()));
            values.push(value.map_err(|message| Fault::at(at, message))?);
        }
        let result = charge(self.call, &values).and_then(|()| run(&self.call, &values));
        let result = result.and_then(|value| {
            charge(self.call, std::slice::from_ref(&value))?;
            Ok(value)
        });
        result.map_err(|message| Fault::at(at, format!("`{}`: {message}", function.name)))
    }

    /// An argument. Literals take the type that is wanted where Go's do.
    fn argument(
        &mut self,
        operand: &'p Operand,
        parameter: Parameter,
        dot: &Value,
    ) -> Result<Value, Fault> {
        let at = operand.at;
        let wanted = |what: &str| Fault::at(at, format!("{what} is wanted here"));
        match (&operand.term, parameter) {
            (_, Parameter::Any) => {}
            (Term::Number(number), Parameter::Int) => {
                return number.int.map(Value::Int).ok_or_else(|| wanted("an integer"));
            }
            (Term::Number(number), Parameter::Float) => {
                return number.float.map(Value::Float).ok_or_else(|| wanted("a float"));
            }
            (Term::Text(_), Parameter::Text) | (Term::Bool(_), Parameter::Bool) => {}
            (Term::Number(_) | Term::Text(_) | Term::Bool(_), _) => {
                return Err(wanted(parameter.name()));
            }
            (Term::Nil, Parameter::Dict) => {}
            (Term::Nil, _) => return Err(wanted(parameter.name())),
            _ => {}
        }
        let value = self.operand(operand, dot)?;
        // A null that stands in the data has no type; what is missing takes any.
        let stands = match &operand.term {
            Term::Dot | Term::Field(_) => true,
            Term::Variable(_, fields) | Term::Chain(_, fields) => !fields.is_empty(),
            _ => false,
        };
        if stands && parameter == Parameter::Dict && matches!(value, Value::Nil) {
            return Err(wanted(parameter.name()));
        }
        check(value, parameter).map_err(|message| Fault::at(at, message))
    }
}

#[derive(Clone, Copy, Debug)]
struct Chain<'p> {
    at: Place,
    fields: &'p [Box<str>],
}

/// Takes steps for the size of values, so that going over large ones again and again
/// comes to an end.
fn charge(call: Call<'_>, values: &[Value]) -> Result<(), String> {
    let size: usize = values.iter().map(Value::size).sum();
    call.steps.take(size / SIZE_OF_STEP)
}

/// A value for a parameter, where it is of its type.
fn check(value: Value, parameter: Parameter) -> Result<Value, String> {
    let fits = match parameter {
        Parameter::Any => {
            return Ok(if matches!(value, Value::Missing) { Value::Nil } else { value });
        }
        Parameter::Text => matches!(value, Value::Text(_)),
        Parameter::Int => matches!(value, Value::Int(_)),
        Parameter::Float => matches!(value, Value::Float(_)),
        Parameter::Bool => matches!(value, Value::Bool(_)),
        Parameter::Time => matches!(value, Value::Time(_)),
        Parameter::Dict => match &value {
            Value::Dict(dict) => !dict.is_of_texts(),
            Value::Missing | Value::Nil => return Ok(Value::Nil),
            _ => false,
        },
    };
    if fits {
        return Ok(value);
    }
    let advice = match (parameter, &value) {
        (Parameter::Int, Value::Float(_) | Value::Int64(_) | Value::Text(_)) => {
            ": convert it with `int`"
        }
        (Parameter::Text, value) if !value.is_nil() => ": convert it with `toString`",
        _ => "",
    };
    let found = match &value {
        value if value.is_nil() => "nil",
        value => value.type_name(),
    };
    Err(format!("{} is wanted, not {found}{advice}", parameter.name()))
}
