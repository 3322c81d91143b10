//! The way that a chain took: which event led to which action, that to which workflow, and
//! what that published.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tripline_bus::Log;
use tripline_event::outcome::TargetResult;
use tripline_event::{Event, OutcomeKind, Position};

use super::graph_text::{Shape, Shapes};
use super::item::{Record, answer, shortened};
use super::timeline::Timeline;

/// The most characters of a name on a drawing.
const NAME: usize = 120;

/// What a chain went through, and from where to where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// Events, actions and workflows, in the order in which they came about.
    pub points: Vec<Point>,
    /// What led to what.
    pub links: Vec<Link>,
}

/// An event, an action, or a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// What [`Link`] calls it.
    pub id: String,
    /// `event`, `action` or `workflow`.
    pub kind: String,
    /// The event's key, the trigger, the workflow's name.
    pub name: String,
    /// How it stands: the phase, the result.
    pub state: String,
    /// Its latest error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One thing led to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// From this.
    pub from: String,
    /// To this.
    pub to: String,
    /// As which dependency, or how.
    pub label: String,
}

impl Chain {
    /// The way through these records.
    pub(super) fn new(found: &BTreeMap<(Log, Position), Record>) -> Self {
        let mut chain = Self::default();
        let mut records: Vec<_> = found.iter().collect();
        records.sort_by_key(|((log, position), record)| (record.time(), *log, *position));
        let mut workflows: HashMap<&str, String> = HashMap::new();
        let mut events: HashSet<String> = HashSet::new();
        for (_, record) in &records {
            match record {
                // A repeated event is the same point.
                Record::Event(event) if events.insert(event_id(event)) => {
                    chain.event(event, &workflows);
                }
                Record::Action(action) => {
                    let id = format!("action {}", action.id);
                    if chain.point(&id).is_none() {
                        chain.add(&id, "action", action.trigger.to_string(), "open");
                        for of in &action.events {
                            let from = format!("event {} {}", of.key, of.id);
                            chain.link(from, id.clone(), of.dependency.clone());
                        }
                    }
                }
                Record::Outcome(outcome) => chain.outcome(&outcome.kind, &mut workflows),
                _ => {}
            }
        }
        let known: HashSet<String> = chain.points.iter().map(|point| point.id.clone()).collect();
        chain.links.retain(|link| known.contains(&link.from) && known.contains(&link.to));
        chain
    }

    fn event(&mut self, event: &Event, workflows: &HashMap<&str, String>) {
        let id = event_id(event);
        self.add(&id, "event", event.key.to_string(), event.id.as_str());
        let named = [event.links.causation.as_deref(), Some(event.links.correlation.as_str())];
        if let Some(by) = named.into_iter().flatten().find_map(|name| workflows.get(name)) {
            self.link(by.clone(), id, "published".to_owned());
        }
    }

    fn outcome<'r>(&mut self, kind: &'r OutcomeKind, workflows: &mut HashMap<&'r str, String>) {
        match kind {
            OutcomeKind::Retrying { action, attempt, error, .. } => {
                self.stands(action.as_str(), format!("attempt {attempt} failed"), Some(error));
            }
            OutcomeKind::Succeeded { action, attempt, result, .. } => {
                self.stands(action.as_str(), answer(result), None);
                if let TargetResult::Workflow { namespace, name, .. } = result {
                    let id = format!("workflow {namespace}/{name}");
                    self.add(&id, "workflow", format!("{namespace}/{name}"), "submitted");
                    let from = format!("action {action}");
                    self.link(from, id.clone(), format!("attempt {attempt}"));
                    workflows.insert(name, id);
                }
            }
            OutcomeKind::DeadLettered(letter) => {
                if let Some(action) = &letter.action {
                    let state = format!("dead letter: {}", letter.cause);
                    self.stands(action.as_str(), state, Some(&letter.error));
                }
            }
            OutcomeKind::Dropped { action, reason, .. } => {
                self.stands(action.as_str(), "dropped".to_owned(), Some(reason));
            }
            OutcomeKind::Workflow { namespace, name, phase, message, .. } => {
                let bad = matches!(phase.as_str(), "Failed" | "Error");
                let why = bad.then(|| message.as_deref().unwrap_or("without a message"));
                if let Some(point) = self.point(&format!("workflow {namespace}/{name}")) {
                    point.state.clone_from(phase);
                    point.error = why.map(|why| shortened(why, NAME));
                }
            }
            _ => {}
        }
    }

    fn stands(&mut self, action: &str, state: String, error: Option<&str>) {
        if let Some(point) = self.point(&format!("action {action}")) {
            point.state = state;
            point.error = error.map(|error| shortened(error, NAME));
        }
    }

    fn point(&mut self, id: &str) -> Option<&mut Point> {
        self.points.iter_mut().find(|point| point.id == id)
    }

    fn add(&mut self, id: &str, kind: &str, name: String, state: &str) {
        if self.point(id).is_none() {
            let (id, kind, state) = (id.to_owned(), kind.to_owned(), state.to_owned());
            self.points.push(Point { id, kind, name, state, error: None });
        }
    }

    fn link(&mut self, from: String, to: String, label: String) {
        self.links.push(Link { from, to, label });
    }

    fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::default();
        for point in &self.points {
            let error = point.error.as_ref().map(|error| format!("\n{error}")).unwrap_or_default();
            let (name, state) = (shortened(&point.name, NAME), shortened(&point.state, NAME));
            let shape = match point.kind.as_str() {
                "event" => Shape::Event,
                "action" => Shape::Trigger,
                _ => Shape::Workflow,
            };
            shapes.node(point.id.clone(), format!("{name}\n{state}{error}"), shape);
            if point.error.is_some() {
                shapes.is_bad(&point.id);
            }
        }
        for link in &self.links {
            shapes.edge(link.from.clone(), link.to.clone(), link.label.clone(), false);
        }
        shapes
    }
}

fn event_id(event: &Event) -> String {
    format!("event {} {}", event.key, event.id)
}

impl Timeline {
    /// The way of the chain in Graphviz' language.
    pub fn dot(&self) -> String {
        self.chain.shapes().dot()
    }

    /// The way of the chain in Mermaid's language.
    pub fn mermaid(&self) -> String {
        self.chain.shapes().mermaid()
    }
}
