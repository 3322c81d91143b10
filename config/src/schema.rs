//! Validates a value against the JSON Schema of a type, and finds everything that is wrong,
//! each with the path of its field.
//!
//! It knows what schemars writes for structs, enums, options, sequences and maps, which is
//! not all of JSON Schema: `pattern`, `format`, `if` and `unevaluatedProperties` are left to
//! the decoding that follows ([`crate::decode()`]).
//!
//! Two properties of serde cost places, and are not to be used in configuration: of a field
//! below `#[serde(flatten)]`, or in an enum with `#[serde(tag)]` or `#[serde(untagged)]`,
//! decoding reports only the nearest parent. What this module finds has its place even there.

use serde_json::{Map, Value};

use crate::codes;
use crate::identity::excerpt;
use crate::limits::MAX_PROBLEMS;
use crate::problem::{FieldPath, Problem, Severity};
use crate::suggest;
use crate::types;

/// Whose fields an object may have. It follows from its `apiVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Argo's and Kubernetes' own: an unknown field is a warning, since their tools ignore it;
    /// a field of Tripline's own is an error.
    Argo,
    /// Tripline's: an unknown field is an error.
    Tripline,
}

impl Dialect {
    /// The dialect of an `apiVersion`.
    pub fn of(api_version: &str) -> Self {
        if api_version.starts_with("tripline.dev/") { Self::Tripline } else { Self::Argo }
    }
}

/// The keyword by which a property, or a type, is marked as Tripline's own:
/// `#[schemars(extend("x-tripline" = true))]`.
pub const OWN: &str = "x-tripline";

/// All problems of `value`. `schema` is a JSON Schema as schemars 1 writes it. A null where
/// the field is optional is the same as a missing field, as in Kubernetes.
pub fn validate(schema: &Value, value: &Value, dialect: Dialect) -> Vec<Problem> {
    inspect(schema, value, dialect).problems
}

/// What validation finds.
#[derive(Default)]
pub(crate) struct Findings {
    pub problems: Vec<Problem>,
    /// Fields that count as missing although they are there: nulls and unknown ones.
    pub absent: Vec<FieldPath>,
}

impl Findings {
    fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

pub(crate) fn inspect(schema: &Value, value: &Value, dialect: Dialect) -> Findings {
    let walk = Walk { root: schema, dialect };
    let mut findings = Findings::default();
    walk.check(schema, value, &FieldPath::root(), &mut findings);
    findings
}

struct Walk<'s> {
    root: &'s Value,
    dialect: Dialect,
}

impl<'s> Walk<'s> {
    fn check(&self, schema: &'s Value, value: &Value, path: &FieldPath, found: &mut Findings) {
        self.check_part(schema, value, path, false, found);
    }

    /// Checks against a schema that, if it is `open`, is only a part: the whole knows more
    /// fields than it does.
    fn check_part(
        &self,
        schema: &'s Value,
        value: &Value,
        path: &FieldPath,
        open: bool,
        found: &mut Findings,
    ) {
        let schema = match self.resolve(schema) {
            Value::Object(schema) => schema,
            Value::Bool(false) => {
                let message = "nothing may be given here";
                return found.add(Problem::error(codes::UNKNOWN_FIELD, path.clone(), message));
            }
            _ => return,
        };
        if !self.accepts(schema, value) {
            return found.add(types::mismatch(&self.types(schema), value, path));
        }
        if let Some(allowed) = allowed(schema)
            && !allowed.contains(&value)
        {
            return found.add(unknown_value(&allowed, value, path));
        }
        types::check_bounds(schema, value, path, &mut |problem| found.add(problem));
        let alternatives = self.alternatives(schema);
        if !alternatives.is_empty() {
            let open = open || schema.contains_key("properties");
            self.check_union(&alternatives, value, path, open, found);
        }
        for part in array(schema, "allOf") {
            self.check_part(part, value, path, true, found);
        }
        match value {
            Value::Object(fields) => self.check_fields(schema, fields, path, open, found),
            Value::Array(items) => {
                if let Some(each) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.check(each, item, &path.index(index), found);
                    }
                }
            }
            _ => {}
        }
    }

    fn check_fields(
        &self,
        schema: &'s Map<String, Value>,
        fields: &Map<String, Value>,
        path: &FieldPath,
        open: bool,
        found: &mut Findings,
    ) {
        let required: Vec<&str> = array(schema, "required").filter_map(Value::as_str).collect();
        for field in &required {
            if fields.get(*field).is_none_or(Value::is_null) {
                let at = if fields.contains_key(*field) { path.key(*field) } else { path.clone() };
                let message = format!("the required field `{field}` is missing");
                found.add(Problem::error(codes::MISSING_FIELD, at, message));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, value) in fields {
            let at = path.key(key);
            if let Some(property) = properties.and_then(|properties| properties.get(key)) {
                if value.is_null() {
                    if !self.takes_null(property) {
                        found.absent.push(at);
                    }
                    continue;
                }
                if self.dialect == Dialect::Argo && self.is_own(property) {
                    found.add(own_field(key, &at));
                }
                self.check(property, value, &at, found);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(true)) => {}
                Some(each @ Value::Object(_)) => self.check(each, value, &at, found),
                // Nothing is said about fields: any may be given.
                None if properties.is_none() => {}
                _ if open => {}
                _ => {
                    let known = self.property_names(schema);
                    if !known.contains(&key.as_str()) {
                        found.add(self.unknown_field(key, &known, &at));
                        found.absent.push(at);
                    }
                }
            }
        }
    }

    /// Checks against the alternative that was most probably meant.
    fn check_union(
        &self,
        alternatives: &[&'s Value],
        value: &Value,
        path: &FieldPath,
        open: bool,
        found: &mut Findings,
    ) {
        let fitting: Vec<&'s Value> = alternatives
            .iter()
            .copied()
            .filter(|schema| schema.as_object().is_none_or(|schema| self.accepts(schema, value)))
            .collect();
        let choices: Option<Vec<_>> =
            fitting.iter().map(|schema| allowed(schema.as_object()?)).collect();
        if let Some(choices) = choices.filter(|choices| !choices.is_empty()) {
            let allowed = choices.concat();
            if !allowed.contains(&value) {
                found.add(unknown_value(&allowed, value, path));
            }
            return;
        }
        if let Some(problem) = self.unknown_variant(&fitting, value, path) {
            return found.add(problem);
        }
        let best = fitting
            .iter()
            .map(|schema| {
                let mut trial = Findings::default();
                self.check_part(schema, value, path, open, &mut trial);
                (missing_keys(schema, value), trial)
            })
            .min_by_key(|(missing, trial)| {
                (trial.errors() > 0, *missing, trial.errors(), trial.problems.len())
            });
        if let Some((_, trial)) = best {
            trial.problems.into_iter().for_each(|problem| found.add(problem));
            found.absent.extend(trial.absent);
        }
    }

    /// For an enum whose variants are keys: a mapping that has none of them.
    fn unknown_variant(
        &self,
        alternatives: &[&'s Value],
        value: &Value,
        path: &FieldPath,
    ) -> Option<Problem> {
        let fields = value.as_object()?;
        let keys: Option<Vec<&str>> = alternatives
            .iter()
            .map(|schema| {
                let schema = schema.as_object()?;
                let mut required = array(schema, "required").filter_map(Value::as_str);
                required.next().filter(|_| required.next().is_none())
            })
            .collect();
        let keys = keys.filter(|keys| keys.len() > 1)?;
        if keys.iter().any(|key| fields.contains_key(*key)) {
            return None;
        }
        let message = format!("one of {} is needed", suggest::list(&keys));
        let near = fields.keys().find_map(|key| Some((key, suggest::nearest(key, &keys)?)));
        let problem = Problem::error(codes::MISSING_FIELD, path.clone(), message);
        Some(match near {
            Some((key, near)) => Problem { path: path.key(key), at_key: true, ..problem }
                .help(format!("did you mean `{near}`?")),
            None => problem,
        })
    }

    fn unknown_field(&self, key: &str, known: &[&str], at: &FieldPath) -> Problem {
        let message = format!("unknown field `{}`", excerpt(key));
        let problem = match self.dialect {
            Dialect::Argo => Problem::warning(codes::UNKNOWN_FIELD, at.clone(), message),
            Dialect::Tripline => Problem::error(codes::UNKNOWN_FIELD, at.clone(), message),
        };
        let problem = Problem { at_key: true, ..problem };
        match suggest::nearest(key, known) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => problem,
            None => problem.help(format!("fields are {}", suggest::list(known))),
        }
    }

    /// Follows references.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        // More hops than types can have is a circle.
        const MAX_HOPS: usize = 32;
        let mut at = schema;
        for _ in 0..MAX_HOPS {
            let Some(reference) = at.get("$ref").and_then(Value::as_str) else { return at };
            let target = reference.strip_prefix('#').and_then(|path| self.root.pointer(path));
            let Some(target) = target else { return &Value::Bool(true) };
            at = target;
        }
        &Value::Bool(true)
    }

    /// The alternatives of a schema but for null, those of alternatives included.
    fn alternatives(&self, schema: &'s Map<String, Value>) -> Vec<&'s Value> {
        let mut all = Vec::new();
        for alternative in array(schema, "oneOf").chain(array(schema, "anyOf")) {
            let alternative = self.resolve(alternative);
            let Some(object) = alternative.as_object() else {
                all.push(alternative);
                continue;
            };
            let is_union = ["type", "properties", "const", "enum"]
                .iter()
                .all(|keyword| !object.contains_key(*keyword));
            let below = if is_union { self.alternatives(object) } else { Vec::new() };
            if !below.is_empty() {
                all.extend(below);
            } else if object.get("type").and_then(Value::as_str) != Some("null") {
                all.push(alternative);
            }
        }
        all
    }

    /// Whether a value is of one of the types that a schema allows.
    fn accepts(&self, schema: &'s Map<String, Value>, value: &Value) -> bool {
        let types = self.types(schema);
        types.is_empty() || types.iter().any(|name| types::is(name, value))
    }

    /// The JSON types that a schema allows, those of its alternatives included; empty where
    /// any is.
    fn types(&self, schema: &'s Map<String, Value>) -> Vec<&'s str> {
        match schema.get("type") {
            Some(Value::String(name)) => return vec![name],
            Some(Value::Array(names)) => return names.iter().filter_map(Value::as_str).collect(),
            _ => {}
        }
        let mut all = Vec::new();
        for alternative in array(schema, "oneOf").chain(array(schema, "anyOf")) {
            let below = match self.resolve(alternative) {
                Value::Object(alternative) => match allowed(alternative) {
                    Some(values) => values.into_iter().map(types::name).collect(),
                    None => self.types(alternative),
                },
                _ => Vec::new(),
            };
            if below.is_empty() {
                return Vec::new();
            }
            for name in below {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
        if let (true, Some(values)) = (all.is_empty(), allowed(schema)) {
            all = values.into_iter().map(types::name).collect();
            all.dedup();
        }
        all
    }

    fn takes_null(&self, schema: &'s Value) -> bool {
        match self.resolve(schema) {
            Value::Object(schema) => self.accepts(schema, &Value::Null),
            other => other != &Value::Bool(false),
        }
    }

    /// Whether a property, or the type that it has, is Tripline's own.
    fn is_own(&self, property: &'s Value) -> bool {
        let marked = |schema: &Value| schema.get(OWN) == Some(&Value::Bool(true));
        let of_type = |schema: &Map<String, Value>| match self.alternatives(schema).as_slice() {
            [only] => marked(only),
            _ => false,
        };
        marked(property)
            || marked(self.resolve(property))
            || self.resolve(property).as_object().is_some_and(of_type)
    }

    /// The names of all properties, those of parts and alternatives included.
    fn property_names(&self, schema: &'s Map<String, Value>) -> Vec<&'s str> {
        let own = schema.get("properties").and_then(Value::as_object);
        let mut names: Vec<&str> =
            own.map(|own| own.keys().map(String::as_str).collect()).unwrap_or_default();
        for part in ["allOf", "anyOf", "oneOf"].iter().flat_map(|word| array(schema, word)) {
            if let Value::Object(part) = self.resolve(part) {
                names.extend(self.property_names(part));
            }
        }
        names
    }
}

fn own_field(key: &str, at: &FieldPath) -> Problem {
    let message = format!("the field `{key}` is Tripline's own");
    let problem = Problem::error(codes::OWN_FIELD, at.clone(), message);
    Problem { at_key: true, ..problem }.help("set `apiVersion: tripline.dev/v1`")
}

fn array<'s>(schema: &'s Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'s Value> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

/// The values that `const` or `enum` allow.
fn allowed(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

/// How many of an alternative's required fields a value does not have.
fn missing_keys(schema: &Value, value: &Value) -> usize {
    let required = schema.as_object().into_iter().flat_map(|schema| array(schema, "required"));
    required.filter_map(Value::as_str).filter(|key| value.get(key).is_none()).count()
}

fn unknown_value(allowed: &[&Value], value: &Value, path: &FieldPath) -> Problem {
    let words: Vec<&str> = allowed.iter().filter_map(|value| value.as_str()).collect();
    let shown: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let message = match value.as_str() {
        Some(text) => format!("`{}` is not one of {}", excerpt(text), suggest::list(&words)),
        None => format!("found {}, expected one of {}", types::found(value), shown.join(", ")),
    };
    let problem = Problem::error(codes::UNKNOWN_VALUE, path.clone(), message);
    match value.as_str().and_then(|text| suggest::nearest(text, &words)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}
