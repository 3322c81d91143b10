//! From files to what the daemon runs: sensors that are compiled, events of event
//! sources, and everything that is wrong with them.
//!
//! The unit of rejection is one object. All mistakes of all files are found in one go.

#[cfg(feature = "kubernetes")]
mod bodies;
mod cluster;

mod schedules;

pub mod event_bus;
pub mod interop;
pub(crate) mod remembered;
pub mod upstreams;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tripline_config::{
    Diagnostic, Dialect, Document, FieldPath, Input, KnownKind, Loaded, Object, Place, Problem,
    Reader, Severity, Stamp, decode,
};
use tripline_event::{DefinitionHash, EventKey, ObjectName};
use tripline_eventsources::EventDefinition;
use tripline_sensors::definition::SensorSpec;

use crate::codes;
use crate::engine::definitions::{CompiledSensor, Definitions};
use crate::engine::plans::Definition;
use crate::engine::source_filters;
use remembered::Remembered;

const ARGO: &str = "argoproj.io/v1alpha1";
const TRIPLINE: &str = "tripline.dev/v1";

/// The kinds that are read. What is not among them is skipped with a count.
pub const KINDS: &[KnownKind] = &[
    KnownKind { kind: "EventSource", api_versions: &[ARGO, TRIPLINE] },
    KnownKind { kind: "Sensor", api_versions: &[ARGO, TRIPLINE] },
    KnownKind { kind: "EventBus", api_versions: &[ARGO, TRIPLINE] },
    KnownKind { kind: "CronWorkflow", api_versions: &[ARGO] },
    KnownKind { kind: "WorkflowTemplate", api_versions: &[ARGO] },
    KnownKind { kind: "ClusterWorkflowTemplate", api_versions: &[ARGO] },
    KnownKind { kind: "Cluster", api_versions: &[TRIPLINE] },
    KnownKind { kind: "Schedule", api_versions: &[TRIPLINE] },
    KnownKind { kind: "HolidayCalendar", api_versions: &[TRIPLINE] },
    KnownKind { kind: "SensorTest", api_versions: &[TRIPLINE] },
    KnownKind { kind: "Secret", api_versions: &["v1"] },
    KnownKind { kind: "ConfigMap", api_versions: &["v1"] },
];

/// A sensor without mistakes.
#[derive(Clone, Debug)]
pub struct LoadedSensor {
    /// What is kept in the bus.
    pub definition: Definition,
    /// What decides and renders.
    pub compiled: Arc<CompiledSensor>,
}

impl LoadedSensor {
    /// The object that it was: a Sensor, or what it is the action of.
    pub fn identity(&self) -> Identity {
        match &self.compiled.schedule {
            Some(schedule) => (schedule.kind.to_string(), schedule.object.clone()),
            None => ("Sensor".to_owned(), self.definition.name.clone()),
        }
    }
}

/// An event source without mistakes.
#[derive(Clone, Debug)]
pub struct LoadedSource {
    /// Its namespace and name.
    pub name: ObjectName,
    /// Its events.
    pub events: Vec<EventDefinition>,
    /// The EventBus that it names.
    pub event_bus: String,
    /// What is to be said where its upstream is real and workflows would only be recorded.
    pub real_upstream: Option<Diagnostic>,
}

impl LoadedSource {
    /// The EventBus that it names, in its own namespace.
    pub fn bus(&self) -> ObjectName {
        ObjectName::new(&self.name.namespace, &self.event_bus)
    }
}

impl LoadedSensor {
    /// The EventBus that it names, in its own namespace.
    pub fn bus(&self) -> ObjectName {
        let object: Value = serde_json::from_str(&self.definition.json).unwrap_or_default();
        ObjectName::new(&self.definition.name.namespace, interop::bus_named(&object))
    }
}

/// Kind, namespace and name of an object.
pub type Identity = (String, ObjectName);

/// Everything that was loaded.
#[derive(Debug, Default)]
pub struct Configuration {
    /// Sensors without mistakes, by name.
    pub sensors: BTreeMap<ObjectName, LoadedSensor>,
    /// Event sources without mistakes, by name.
    pub sources: BTreeMap<ObjectName, LoadedSource>,
    /// Secrets and ConfigMaps.
    pub secrets: Vec<Object>,
    /// Clusters without mistakes, by name.
    #[cfg(feature = "kubernetes")]
    pub clusters: BTreeMap<String, tripline_triggers::cluster::ClusterDefinition>,
    /// The event bus that an `EventBus` asks for.
    pub event_bus: Option<event_bus::EventBusChoice>,
    /// An `EventBus` that names a server and cannot be used.
    pub event_bus_refused: Option<ObjectName>,
    /// Buses of Argo Events, by the object's name.
    pub interop: BTreeMap<ObjectName, interop::InteropBus>,
    /// Those that cannot be used: sensors that name one are not begun.
    pub interop_refused: BTreeSet<ObjectName>,
    /// How many tests there are. They are not looked at here: see [`crate::sensor_test`].
    pub tests: usize,
    /// Objects that were refused, and the first reason.
    pub invalid: BTreeMap<Identity, String>,
    /// All that is wrong, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// Documents of other kinds, by `apiVersion/kind`.
    pub skipped: BTreeMap<String, usize>,
    /// How many files were read.
    pub files: usize,
    /// Something could not be read at all: what is missing was not necessarily removed.
    pub incomplete: bool,
    /// The texts that diagnostics speak of.
    pub texts: tripline_config::Sources,
}

impl Configuration {
    /// How many objects are in use.
    pub fn len(&self) -> usize {
        self.sensors.len() + self.sources.len()
    }

    /// No object is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be kept in the bus of the sensors, in the order of their names.
    pub fn definitions(&self) -> Vec<Definition> {
        self.sensors.values().map(|sensor| sensor.definition.clone()).collect()
    }

    /// All events of all event sources.
    pub fn events(&self) -> Vec<EventDefinition> {
        self.sources.values().flat_map(|source| source.events.iter().cloned()).collect()
    }

    /// Whether anything is refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Loads `inputs`. Sensors that `definitions` has compiled before are not compiled again.
pub fn load(inputs: &[Input], definitions: &Definitions) -> Configuration {
    load_with(inputs, definitions, true)
}

/// Loads `inputs` as [`load`] does, without the texts that diagnostics speak of: for who
/// shows none of their lines.
pub fn load_without_texts(inputs: &[Input], definitions: &Definitions) -> Configuration {
    load_with(inputs, definitions, false)
}

fn load_with(inputs: &[Input], definitions: &Definitions, texts: bool) -> Configuration {
    let configuration = Configuration::default();
    let later = Vec::new();
    let mut loader = Loader {
        definitions,
        configuration,
        objects: HashMap::new(),
        places: HashMap::new(),
        remembered: Remembered::default(),
        texts,
        later,
    };
    let Loaded { diagnostics, skipped, files, incomplete, sources, .. } =
        tripline_config::load_each(inputs, KINDS, &mut loader);
    definitions.remember(std::mem::take(&mut loader.remembered));
    loader.configuration.diagnostics.extend(diagnostics);
    loader.configuration.skipped = skipped;
    loader.configuration.files = files;
    loader.configuration.incomplete = !incomplete.is_empty();
    loader.configuration.texts = sources;
    let later = std::mem::take(&mut loader.later);
    loader.schedules(later);
    loader.refuse_clashes();
    loader.refuse_unroutable();
    loader.warn_of_unknown_events();
    loader.warn_of_text_bodies();
    #[cfg(feature = "kubernetes")]
    loader.warn_of_unknown_clusters();
    loader.finish()
}

struct Loader<'a> {
    definitions: &'a Definitions,
    configuration: Configuration,
    /// Sensors and event sources, for messages that are found later.
    objects: HashMap<Identity, Object>,
    /// Of sensors that were not read again, where they stand.
    places: HashMap<ObjectName, Place>,
    /// Sensors in which nothing is wrong, and where they stand, for the next load.
    remembered: Remembered,
    /// Whether the texts are kept.
    texts: bool,
    /// Objects that refer to others.
    later: Vec<Object>,
}

impl Reader for Loader<'_> {
    fn object(&mut self, object: Object) {
        self.sort(object);
    }

    fn remembers(&self) -> bool {
        true
    }

    fn shows_lines(&self) -> bool {
        self.texts
    }

    fn known(&self, document: &DefinitionHash) -> Option<Identity> {
        let sensor = self.definitions.recall(document)?;
        Some(("Sensor".to_owned(), sensor.definition.name.clone()))
    }

    fn take(&mut self, document: &DefinitionHash, place: Place) {
        let Some(sensor) = self.definitions.recall(document) else { return };
        let name = &sensor.definition.name;
        self.places.insert(name.clone(), place);
        self.configuration.sensors.insert(name.clone(), sensor.clone());
        self.remembered.documents.insert(document.clone(), sensor);
    }

    fn known_file(&self, file: &str, stamp: &Stamp) -> Option<Arc<[Document]>> {
        self.definitions.recall_file(file, stamp)
    }

    fn file(&mut self, file: &Arc<str>, stamp: Stamp, documents: Arc<[Document]>) {
        self.remembered.files.insert(Arc::clone(file), (stamp, documents));
    }
}

impl Loader<'_> {
    fn sort(&mut self, object: Object) {
        match object.kind.as_str() {
            "Sensor" => self.sensor(object),
            "EventSource" => self.event_source(object),
            "Secret" | "ConfigMap" if !object.broken => self.configuration.secrets.push(object),
            "EventBus" => self.event_bus(&object),
            "CronWorkflow" | "Schedule" | "HolidayCalendar" => self.later.push(object),
            #[cfg(feature = "kubernetes")]
            "Cluster" => self.cluster(&object),
            #[cfg(not(feature = "kubernetes"))]
            "Cluster" => self.unsupported(
                &object,
                "this build knows no clusters",
                "it was built without the feature `kubernetes`",
            ),
            "SensorTest" => self.configuration.tests += 1,
            _ => {}
        }
    }

    #[cfg(not(feature = "kubernetes"))]
    fn unsupported(&mut self, object: &Object, message: &str, help: &str) {
        let at = FieldPath::root().key("kind");
        self.refuse(
            object,
            vec![Problem::error(codes::KIND_NOT_SUPPORTED, at, message).help(help)],
        );
    }

    /// Reports the problems; true where one of them is an error, or the object was broken.
    fn refuse(&mut self, object: &Object, problems: Vec<Problem>) -> bool {
        let error = problems.iter().find(|problem| problem.severity == Severity::Error);
        let reason = error.map(|problem| problem.message.clone());
        let reason = reason.or_else(|| object.broken.then(|| "it could not be read".to_owned()));
        self.configuration
            .diagnostics
            .extend(problems.into_iter().map(|problem| object.diagnose(problem)));
        let refused = reason.is_some();
        if let Some(reason) = reason {
            let identity = (object.kind.clone(), object.name.clone());
            self.configuration.invalid.entry(identity).or_insert(reason);
        }
        refused
    }

    fn sensor(&mut self, object: Object) {
        let at = FieldPath::root().key("spec");
        let Some(spec) = object.value.get("spec").filter(|spec| !spec.is_null()) else {
            let problem = Problem::error(codes::NO_SPEC, at, "a Sensor needs `spec`");
            self.refuse(&object, vec![problem]);
            return;
        };
        let (hash, json) = object.definition();
        let (compiled, problems) = match self.definitions.checked(&hash) {
            Some((compiled, warnings)) => (Some(compiled), warnings),
            None => {
                // The shape first: what is compiled below is known to decode.
                let dialect = Dialect::of(&object.api_version);
                match decode::<SensorSpec>(spec, &at, dialect) {
                    Ok((_, warnings)) => self.compile(&object, &hash, warnings),
                    Err(problems) => {
                        self.refuse(&object, problems);
                        return;
                    }
                }
            }
        };
        let clean = problems.is_empty();
        let refused = self.refuse(&object, problems);
        if let Some(compiled) = compiled.filter(|_| !refused) {
            let name = object.name.clone();
            let definition = Definition { name: name.clone(), hash, json: json.into() };
            let sensor = LoadedSensor { definition, compiled };
            if let Some(text) = object.text.clone().filter(|_| clean) {
                self.remembered.documents.insert(text, sensor.clone());
            }
            self.configuration.sensors.insert(name, sensor);
        }
        self.remember(object);
    }

    /// Compiles a sensor whose shape is right; `problems` are the warnings about that. Where
    /// nothing is refused, it is known and neither is done again.
    fn compile(
        &self,
        object: &Object,
        hash: &DefinitionHash,
        mut problems: Vec<Problem>,
    ) -> (Option<Arc<CompiledSensor>>, Vec<Problem>) {
        let (compiled, found) = self.definitions.compile(&object.name, hash, &object.value);
        problems.extend(found);
        if compiled.is_some() && !object.broken {
            self.definitions.note_warnings(hash, &problems);
        }
        (compiled, problems)
    }

    fn event_source(&mut self, object: Object) {
        let null = Value::Null;
        let spec = object.value.get("spec").unwrap_or(&null);
        let (events, mut problems) =
            tripline_eventsources::events_in(Dialect::of(&object.api_version), &object.name, spec);
        problems.extend(events.iter().filter_map(|event| {
            source_filters::check(event, &path_of_event(&object, &event.key.name))
        }));
        if !self.refuse(&object, problems) {
            let name = object.name.clone();
            let real_upstream = upstreams::diagnose(&object, &events);
            let event_bus = interop::bus_named(&object.value).to_owned();
            let source = LoadedSource { name: name.clone(), events, event_bus, real_upstream };
            self.configuration.sources.insert(name, source);
        }
        self.remember(object);
    }

    fn remember(&mut self, mut object: Object) {
        if object.kind == "Sensor" {
            // The workflow in it is by far the largest part.
            object.forget("template");
        }
        self.objects.insert((object.kind.clone(), object.name.clone()), object);
    }

    /// Two webhooks that take the same request: neither object can be used as it is, and
    /// the message names both places.
    fn refuse_clashes(&mut self) {
        let clashes = tripline_eventsources::clashes(&self.configuration.events());
        for (first, second, why) in clashes {
            let place_of = |loader: &Self, key: &EventKey| {
                let object = loader.objects.get(&source_identity(key))?;
                let path = path_of_event(object, &key.name);
                Some((object.clone(), path))
            };
            let Some((object, path)) = place_of(self, &second) else { continue };
            let other = place_of(self, &first)
                .map(|(object, path)| format!(" at {}", object.locate(&path, true)))
                .unwrap_or_default();
            let message = format!("{why}: `{second}` and `{first}`{other}");
            let problem = Problem::error(codes::CLASH, path, message)
                .help("change the endpoint, the method or the port of one of them");
            self.refuse(&object, vec![problem]);
            self.configuration.sources.remove(&object.name);
        }
    }

    /// A dependency on an event that no event source here has will never be met. It is no
    /// error: the event source may be in another folder.
    fn warn_of_unknown_events(&mut self) {
        let known: BTreeSet<EventKey> =
            self.configuration.events().into_iter().map(|event| event.key).collect();
        if known.is_empty() {
            return;
        }
        let mut found = Vec::new();
        for (name, sensor) in &self.configuration.sensors {
            // Argo Events' event sources are nowhere in these files.
            if !self.configuration.interop.is_empty()
                && self.configuration.is_interop(&sensor.bus())
            {
                continue;
            }
            for (index, dependency) in sensor.compiled.sensor.dependencies.iter().enumerate() {
                if !known.contains(&dependency.key) && !self.is_of_schedule(&dependency.key) {
                    let problem = unknown_event(index, &dependency.key, &known);
                    found.extend(self.diagnose_sensor(name, problem));
                }
            }
        }
        self.configuration.diagnostics.extend(found);
    }

    /// A problem of a sensor that was found later: at its field, or, where it was not read
    /// again, where the sensor begins.
    fn diagnose_sensor(&self, name: &ObjectName, problem: Problem) -> Option<Diagnostic> {
        if let Some(object) = self.objects.get(&("Sensor".to_owned(), name.clone())) {
            return Some(object.diagnose(problem));
        }
        Some(Diagnostic {
            severity: problem.severity,
            code: problem.code,
            place: self.places.get(name)?.clone(),
            object: Some(format!("Sensor {name}")),
            field: problem.path.to_string(),
            message: problem.message,
            help: problem.help,
        })
    }

    fn finish(mut self) -> Configuration {
        self.configuration.diagnostics.sort();
        self.configuration.diagnostics.dedup();
        self.configuration
    }
}

fn source_identity(key: &EventKey) -> Identity {
    ("EventSource".to_owned(), ObjectName::new(&key.namespace, &key.source))
}

/// The field of an event: it stands under its kind, whichever that is.
fn path_of_event(object: &Object, event: &str) -> FieldPath {
    let spec = FieldPath::root().key("spec");
    let kinds = object.value.get("spec").and_then(Value::as_object);
    let kind = kinds.into_iter().flatten().find(|(_, events)| events.get(event).is_some());
    match kind {
        Some((kind, _)) => spec.key(kind).key(event),
        None => spec,
    }
}

fn unknown_event(index: usize, key: &EventKey, known: &BTreeSet<EventKey>) -> Problem {
    let at = FieldPath::root().key("spec").key("dependencies").index(index);
    let in_namespace: Vec<&EventKey> =
        known.iter().filter(|other| other.namespace == key.namespace).collect();
    let of_source: Vec<&str> = in_namespace
        .iter()
        .filter(|other| other.source == key.source)
        .map(|other| other.name.as_str())
        .collect();
    if of_source.is_empty() {
        let sources: BTreeSet<&str> =
            in_namespace.iter().map(|other| other.source.as_str()).collect();
        let message =
            format!("namespace `{}` has no event source `{}` here", key.namespace, key.source);
        let problem = Problem::warning(codes::UNKNOWN_EVENT, at.key("eventSourceName"), message);
        return problem.help(format!("it has {}", listed(sources)));
    }
    let message = format!("event source `{}` has no event `{}`", key.source, key.name);
    Problem::warning(codes::UNKNOWN_EVENT, at.key("eventName"), message)
        .help(format!("it has {}", listed(of_source)))
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
