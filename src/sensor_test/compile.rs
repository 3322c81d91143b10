//! From an object to cases that can be run, with every mistake at its place.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tripline_config::{
    Diagnostic, Dialect, FieldPath, Input, KnownKind, Object, Place, Problem, Severity, decode,
};
use tripline_event::{Event, EventKey, EventsRecord, ObjectName};
use tripline_schedules::duration::{self, Units};
use tripline_sensors::evaluator::{Dependency, Plan, Sensor};
use tripline_sensors::expr::SourceFilter;
use tripline_sensors::set::Destination;

use super::case::{Case, Given, Passing, Source, Sources, Step};
use super::expect::{self, Expected, listed};
use super::spec::{CaseSpec, SensorTestSpec, StepSpec};
use super::{MAX_FILE_BYTES, MAX_STEPS};
use crate::codes;
use crate::engine::schedules::{CompiledSchedule, events as schedule_events};
use crate::load::{Configuration, LoadedSensor};

/// Where the clock begins, unless a test says otherwise.
const START: &str = "2026-01-01T00:00:00Z";

/// The cases of one object.
#[derive(Debug)]
pub struct Suite {
    /// The object.
    pub name: ObjectName,
    /// What decides.
    pub plan: Arc<Plan>,
    /// The schedules among it.
    pub schedules: Vec<Arc<CompiledSchedule>>,
    /// Where events come from.
    pub sources: Arc<Sources>,
    /// What is tested.
    pub cases: Vec<Case>,
    /// The files beside it that events were read from.
    pub files: BTreeSet<String>,
}

/// The kind.
const TESTS: &[KnownKind] = &[KnownKind { kind: "SensorTest", api_versions: &["tripline.dev/v1"] }];

/// Compiles the tests of `inputs`, which `configuration` was loaded from, and adds what is
/// wrong with them to what is known.
pub fn suites(inputs: &[Input], configuration: &mut Configuration) -> Vec<Suite> {
    if configuration.tests == 0 {
        return Vec::new();
    }
    // Whoever loads files otherwise, the daemon above all, keeps none of them in memory.
    let tests = tripline_config::load(inputs, TESTS).objects;
    let sources = Arc::new(sources(configuration));
    let mut suites = Vec::new();
    for object in &tests {
        let (suite, problems) = suite(object, configuration, &sources);
        let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
        let found = problems.into_iter().map(|problem| object.diagnose(problem));
        configuration.diagnostics.extend(found);
        suites.extend(suite.filter(|_| !refused && !object.broken));
    }
    // They are no objects, and were not meant to be.
    let is_data = |of: &Diagnostic| {
        let file = of.place.file.as_ref();
        of.code == tripline_config::codes::NOT_AN_OBJECT
            && suites.iter().any(|suite: &Suite| suite.files.contains(file))
    };
    configuration.diagnostics.retain(|diagnostic| !is_data(diagnostic));
    configuration.diagnostics.sort();
    configuration.diagnostics.dedup();
    suites
}

fn sources(configuration: &Configuration) -> Sources {
    let sources = configuration.events().into_iter().map(|event| {
        let filter = event.filter.as_deref().and_then(|text| SourceFilter::compile(text).ok());
        let source = Source { kind: event.kind, correlation: event.correlation, filter };
        (event.key, source)
    });
    Sources(sources.collect())
}

fn suite(
    object: &Object,
    configuration: &Configuration,
    sources: &Arc<Sources>,
) -> (Option<Suite>, Vec<Problem>) {
    let at = FieldPath::root().key("spec");
    let Some(spec) = object.value.get("spec").filter(|spec| !spec.is_null()) else {
        return (None, vec![Problem::error(codes::NO_SPEC, at, "a SensorTest needs `spec`")]);
    };
    let (spec, mut problems) =
        match decode::<SensorTestSpec>(spec, &at, Dialect::of(&object.api_version)) {
            Ok(decoded) => decoded,
            Err(problems) => return (None, problems),
        };
    let Some(under_test) = under_test(object, &spec, configuration, &mut problems) else {
        return (None, problems);
    };
    let sensors: Vec<Arc<Sensor>> =
        under_test.iter().map(|sensor| Arc::clone(&sensor.compiled.sensor)).collect();
    let schedules = under_test.iter().filter_map(|sensor| sensor.compiled.schedule.clone());
    let mut compiler = Compiler {
        object,
        spec: &spec,
        sensors: &sensors,
        sources,
        zone: TimeZone::UTC,
        files: BTreeSet::new(),
        problems: &mut problems,
    };
    let cases = compiler.cases();
    let files = compiler.files;
    let suite = Suite {
        name: object.name.clone(),
        schedules: schedules.collect(),
        plan: Arc::new(Plan::new(1, sensors)),
        sources: Arc::clone(sources),
        cases,
        files,
    };
    (Some(suite), problems)
}

/// The sensors that decide.
fn under_test<'c>(
    object: &Object,
    spec: &SensorTestSpec,
    configuration: &'c Configuration,
    problems: &mut Vec<Problem>,
) -> Option<Vec<&'c LoadedSensor>> {
    let at = FieldPath::root().key("spec");
    let namespace = &object.name.namespace;
    let named = spec.sensor.iter().map(|name| (at.key("sensor"), name));
    let several = spec.sensors.iter().enumerate();
    let named: Vec<_> =
        named.chain(several.map(|(i, name)| (at.key("sensors").index(i), name))).collect();
    let of_namespace =
        || configuration.sensors.iter().filter(|(name, _)| name.namespace == *namespace);
    if named.is_empty() {
        let all: Vec<&LoadedSensor> = of_namespace().map(|(_, sensor)| sensor).collect();
        if all.is_empty() {
            let message = format!("namespace `{namespace}` has no sensor in these files");
            let problem = Problem::error(codes::SENSOR_TEST, at, message);
            problems.push(problem.help("check and test sensors together with their tests"));
            return None;
        }
        return Some(all);
    }
    let (mut found, mut known) = (Vec::new(), true);
    for (at, name) in named {
        match configuration.sensors.get(&ObjectName::new(namespace, name)) {
            Some(sensor) => found.push(sensor),
            None => {
                known = false;
                problems.push(no_sensor(at, namespace, name, configuration, of_namespace()));
            }
        }
    }
    known.then_some(found)
}

fn no_sensor<'c>(
    at: FieldPath,
    namespace: &str,
    name: &str,
    configuration: &Configuration,
    known: impl Iterator<Item = (&'c ObjectName, &'c LoadedSensor)>,
) -> Problem {
    let identity = ("Sensor".to_owned(), ObjectName::new(namespace, name));
    if let Some(reason) = configuration.invalid.get(&identity) {
        let message = format!("sensor `{namespace}/{name}` is refused: {reason}");
        return Problem::error(codes::SENSOR_TEST, at, message);
    }
    let message = format!("there is no sensor `{namespace}/{name}` in these files");
    let help = listed("the namespace has", known.map(|(name, _)| name.name.as_str()));
    Problem::error(codes::SENSOR_TEST, at, message).help(help)
}

struct Compiler<'a> {
    object: &'a Object,
    spec: &'a SensorTestSpec,
    sensors: &'a [Arc<Sensor>],
    sources: &'a Sources,
    zone: TimeZone,
    /// Files that events were read from.
    files: BTreeSet<String>,
    problems: &'a mut Vec<Problem>,
}

impl Compiler<'_> {
    fn error(&mut self, at: FieldPath, message: impl Into<String>) {
        self.problems.push(Problem::error(codes::SENSOR_TEST, at, message));
    }

    fn error_with(&mut self, at: FieldPath, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::error(codes::SENSOR_TEST, at, message).help(help));
    }

    fn place(&self, at: &FieldPath) -> Place {
        self.object.locate(at, false)
    }

    fn cases(&mut self) -> Vec<Case> {
        let at = FieldPath::root().key("spec");
        if let Some(name) = &self.spec.timezone {
            match tripline_schedules::zone::load(name) {
                Ok(zone) => self.zone = zone,
                Err(error) => {
                    let help = error.help();
                    self.error_with(at.key("timezone"), error.to_string(), help);
                }
            }
        }
        if self.spec.cases.is_empty() {
            self.error(at.key("cases"), "a test without cases tests nothing");
        }
        for (name, event) in &self.spec.events {
            let at = at.key("events").key(name);
            if event.at.is_some() || event.advance.is_some() || event.expect.is_some() {
                self.error(at, "times and expectations belong to the steps of a case");
            }
        }
        let start = self.time(self.spec.start.as_deref().unwrap_or(START), &at.key("start"));
        let runs_take = self.span(self.spec.runs_take.as_deref(), &at.key("runsTake"));
        let mut names = HashSet::new();
        let mut cases = Vec::new();
        for (index, case) in self.spec.cases.iter().enumerate() {
            let at = at.key("cases").index(index);
            if !names.insert(case.name.as_str()) {
                let message = format!("case `{}` is there twice", case.name);
                self.error(at.key("name"), message);
            }
            cases.push(self.case(case, &at, start, runs_take));
        }
        cases
    }

    fn case(
        &mut self,
        spec: &CaseSpec,
        at: &FieldPath,
        start: Timestamp,
        runs_take: SignedDuration,
    ) -> Case {
        let start = match &spec.start {
            Some(text) => self.time(text, &at.key("start")),
            None => start,
        };
        let runs_take = match &spec.runs_take {
            Some(text) => self.span(Some(text), &at.key("runsTake")),
            None => runs_take,
        };
        if spec.given.is_empty() {
            self.error(at.clone(), "a case needs `given`: what happens");
        }
        if spec.given.len() > MAX_STEPS {
            let message = format!("{} steps, a case has at most {MAX_STEPS}", spec.given.len());
            self.error(at.key("given"), message);
        }
        let said = spec.expect.is_some() || spec.given.iter().any(|step| step.expect.is_some());
        if !said {
            let help = "add `expect: nothing`, or what fires";
            self.error_with(at.clone(), "a case needs `expect`: it would never fail", help);
        }
        let steps = spec.given.iter().take(MAX_STEPS).enumerate();
        let steps =
            steps.map(|(index, step)| self.step(step, &at.key("given").index(index))).collect();
        let expect = spec.expect.as_ref();
        Case {
            title: format!("{}: {}", self.object.name, spec.name),
            name: spec.name.clone(),
            place: self.place(at),
            start,
            runs_take,
            steps,
            expect: expect.map(|value| self.expected(value, &at.key("expect"))),
        }
    }

    fn expected(&mut self, value: &Value, at: &FieldPath) -> Expected {
        expect::read(value, at, self.sensors, self.problems)
    }

    fn step(&mut self, spec: &StepSpec, at: &FieldPath) -> Step {
        let mut passing = match (&spec.at, &spec.advance) {
            (Some(_), Some(_)) => {
                self.error(at.key("advance"), "`at` and `advance` exclude each other");
                None
            }
            (Some(text), None) => self.moment(text, &at.key("at")),
            (None, Some(text)) => Some(Passing::By(self.span(Some(text), &at.key("advance")))),
            (None, None) => None,
        };
        let only_time = spec.event.is_none()
            && spec.data.is_none()
            && spec.body.is_none()
            && spec.file.is_none()
            && spec.data_base64.is_none()
            && spec.set.is_empty()
            && spec.id.is_none();
        let given = if only_time && (passing.is_some() || spec.expect.is_some()) {
            None
        } else {
            let given = self.given(spec, at);
            if let Some((_, Some(recorded))) = &given {
                passing = passing.or(Some(Passing::Atleast(*recorded)));
            }
            given.map(|(given, _)| given)
        };
        let expect = spec.expect.as_ref();
        Step {
            place: self.place(at),
            passing,
            given,
            expect: expect.map(|value| self.expected(value, &at.key("expect"))),
        }
    }

    /// The message of a step; and its time, where it was recorded.
    fn given(&mut self, spec: &StepSpec, at: &FieldPath) -> Option<(Given, Option<Timestamp>)> {
        let common = spec.event.as_ref().and_then(|name| self.spec.events.get(name));
        let spec = common.map_or_else(|| spec.clone(), |common| joined(common, spec));
        let recorded = match &spec.file {
            Some(file) => Some(self.file(file, &at.key("file"))?),
            None => None,
        };
        let (data, recorded) = match recorded {
            Some(FileData::Event(event)) => (event.data.clone(), Some(*event)),
            Some(FileData::Data(data)) => (Some(data), None),
            None => (None, None),
        };
        let key = match (&spec.event, &recorded) {
            (None, Some(event)) => event.key.clone(),
            (name, _) => self.key(name.as_deref(), at)?,
        };
        let source = self.sources.0.get(&key);
        let kind = spec.kind.clone().or_else(|| recorded.as_ref().map(|event| event.kind.clone()));
        let kind = kind.or_else(|| source.map(|source| source.kind.to_owned()));
        let kind = kind.unwrap_or_else(|| "webhook".to_owned());
        let data = self.data(&spec, data, &kind, at)?;
        let time = recorded.as_ref().map(|event| event.time);
        let of_record = |of: &dyn Fn(&Event) -> String| recorded.as_ref().map(of);
        let given = Given {
            key,
            kind,
            id: spec.id.clone().or_else(|| of_record(&|event| event.id.to_string())),
            data,
            headers: spec.headers.clone().into_iter().collect(),
            correlation: spec
                .correlation
                .clone()
                .or_else(|| of_record(&|event| event.links.correlation.to_string())),
            hops: spec.hops.or_else(|| recorded.as_ref().map(|event| event.links.hops)),
        };
        Some((given, time))
    }

    /// Which event is meant.
    fn key(&mut self, name: Option<&str>, at: &FieldPath) -> Option<EventKey> {
        let all = || self.sensors.iter().flat_map(|sensor| &sensor.dependencies);
        let namespace = &self.object.name.namespace;
        let found: BTreeSet<&EventKey> = match name {
            Some(name) => match *name.split('/').collect::<Vec<_>>() {
                [source, event] => return Some(EventKey::new(namespace, source, event)),
                [namespace, source, event] => {
                    return Some(EventKey::new(namespace, source, event));
                }
                _ => {
                    let of_name = |one: &&Dependency| *one.name == *name;
                    let found: BTreeSet<_> = all().filter(of_name).map(|one| &one.key).collect();
                    match found.is_empty() {
                        true => all().map(|one| &one.key).filter(|key| key.name == name).collect(),
                        false => found,
                    }
                }
            },
            None => {
                let is_own = |key: &EventKey| {
                    key.name == schedule_events::TICK
                        && self.sensors.iter().any(|sensor| sensor.name.name == key.source)
                };
                all().map(|one| &one.key).filter(|key| !is_own(key)).collect()
            }
        };
        let mut found: Vec<EventKey> = found.into_iter().cloned().collect();
        if found.len() == 1 {
            return found.pop();
        }
        let names: Vec<String> = all()
            .map(|one| format!("{} ({}/{})", one.name, one.key.source, one.key.name))
            .collect();
        let help = listed("dependencies are", names.iter().map(String::as_str));
        let message = match (name, found.is_empty()) {
            (None, _) => "which `event` comes in must be said".to_owned(),
            (Some(name), true) => format!("`{name}` is no event: expected source/event"),
            (Some(name), false) => format!("`{name}` names several events"),
        };
        self.error_with(at.key("event"), message, help);
        None
    }

    fn data(
        &mut self,
        spec: &StepSpec,
        of_file: Option<Bytes>,
        kind: &str,
        at: &FieldPath,
    ) -> Option<Bytes> {
        let given = [
            spec.data.is_some(),
            spec.body.is_some(),
            spec.file.is_some(),
            spec.data_base64.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            let message = "`data`, `body`, `file` and `dataBase64` exclude each other";
            self.error(at.clone(), message);
            return None;
        }
        let mut data = match (&spec.data, &spec.body, &spec.data_base64) {
            (Some(data), ..) => Bytes::from(data.to_string()),
            (_, Some(body), _) => Bytes::from(enveloped(body, &spec.headers, kind).to_string()),
            (.., Some(text)) => match BASE64.decode(text) {
                Ok(bytes) => bytes.into(),
                Err(error) => {
                    self.error(at.key("dataBase64"), format!("it is no base64: {error}"));
                    return None;
                }
            },
            _ => of_file.unwrap_or_else(|| Bytes::from_static(b"{}")),
        };
        for (path, value) in &spec.set {
            let text = String::from_utf8_lossy(&data).into_owned();
            let raw = value.to_string();
            let set = Destination::compile(path).and_then(|place| place.set_raw(&text, &raw));
            match set {
                Ok(text) => data = Bytes::from(text),
                Err(error) => {
                    self.error(at.key("set").key(path), error.to_string());
                    return None;
                }
            }
        }
        Some(data)
    }

    fn file(&mut self, name: &str, at: &FieldPath) -> Option<FileData> {
        let beside = Path::new(&*self.object.place.file).parent().unwrap_or(Path::new(""));
        let path = beside.join(name);
        self.files.insert(path.display().to_string());
        match read(&path) {
            Ok(bytes) => match EventsRecord::decode(&bytes) {
                Ok(EventsRecord::Event(event)) => Some(FileData::Event(Box::new(event))),
                _ => Some(FileData::Data(bytes)),
            },
            Err(error) => {
                self.error(at.clone(), format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }

    fn time(&mut self, text: &str, at: &FieldPath) -> Timestamp {
        text.parse().unwrap_or_else(|_| {
            let message = format!("`{text}` is no time");
            self.error_with(at.clone(), message, "write it as 2026-11-21T03:00:00Z");
            Timestamp::UNIX_EPOCH
        })
    }

    fn moment(&mut self, text: &str, at: &FieldPath) -> Option<Passing> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(Passing::To(time));
        }
        if let Ok(time) = text.parse::<Time>() {
            return Some(Passing::Clock(time, self.zone.clone()));
        }
        let help = "write a time of day (09:30), or a time (2026-11-21T09:30:00Z)";
        self.error_with(at.clone(), format!("`{text}` is no time"), help);
        None
    }

    fn span(&mut self, text: Option<&str>, at: &FieldPath) -> SignedDuration {
        let Some(text) = text else { return SignedDuration::ZERO };
        match duration::parse(text, Units::GoAndDays) {
            Ok(span) if !span.is_negative() => span,
            Ok(_) => {
                self.error(at.clone(), "time does not go back");
                SignedDuration::ZERO
            }
            Err(error) => {
                self.error(at.clone(), error.to_string());
                SignedDuration::ZERO
            }
        }
    }
}

enum FileData {
    Event(Box<Event>),
    Data(Bytes),
}

fn read(path: &Path) -> Result<Bytes, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("it has {size} bytes, at most {MAX_FILE_BYTES} are read"));
    }
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = text.trim_ascii();
    serde_json::from_slice::<&serde_json::value::RawValue>(text)
        .map_err(|error| format!("it is no JSON: {error}"))?;
    Ok(Bytes::copy_from_slice(text))
}

/// What a step says, and where it says nothing, what several have in common.
fn joined(common: &StepSpec, own: &StepSpec) -> StepSpec {
    let is_other =
        own.data.is_some() || own.body.is_some() || own.file.is_some() || own.data_base64.is_some();
    let base = if is_other {
        StepSpec { data: None, body: None, file: None, data_base64: None, ..common.clone() }
    } else {
        common.clone()
    };
    let mut headers = base.headers;
    headers.extend(own.headers.clone());
    let mut set = base.set;
    set.extend(own.set.clone());
    StepSpec {
        // The name that led here is that of what is in common.
        event: base.event,
        data: own.data.clone().or(base.data),
        body: own.body.clone().or(base.body),
        file: own.file.clone().or(base.file),
        data_base64: own.data_base64.clone().or(base.data_base64),
        id: own.id.clone().or(base.id),
        correlation: own.correlation.clone().or(base.correlation),
        hops: own.hops.or(base.hops),
        kind: own.kind.clone().or(base.kind),
        headers,
        set,
        ..own.clone()
    }
}

/// The data of an event whose producer sent `body`.
fn enveloped(
    body: &Value,
    headers: &std::collections::BTreeMap<String, String>,
    kind: &str,
) -> Value {
    let mut data = Map::new();
    if kind == "webhook" {
        let lists =
            headers.iter().map(|(name, value)| (name.clone(), Value::from(vec![value.as_str()])));
        data.insert("header".to_owned(), Value::Object(lists.collect()));
    }
    data.insert("body".to_owned(), body.clone());
    Value::Object(data)
}
