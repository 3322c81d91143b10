//! The graph as a text tree, as DOT, as Mermaid.

use std::fmt::Write as _;

use tripline_event::{EventKey, TriggerName};

use super::graph::{Graph, GraphSensor, GraphTrigger, TriggerCounts};
use super::item::shortened;
use super::timeline::several;

impl Graph {
    /// The graph as a tree, for people: each event, who waits for it, what that does.
    pub fn text(&self) -> String {
        let mut tree = Tree::default();
        for source in &self.config.sources {
            let count = self.events_text(&source.key);
            let from = source.upstream.as_ref().map(|from| format!(" on {}", shortened(from, 120)));
            let from = from.unwrap_or_default();
            tree.line(0, &format!("{}  {}{from}{count}", source.key, source.kind));
            if let Some(trouble) = &source.trouble {
                tree.line(1, &format!("takes nothing in: {}", shortened(trouble, 300)));
            }
            for refused in self.refused.iter().filter(|refused| refused.key == source.key) {
                tree.line(1, &format!("refused {}, the latest: {}", refused.count, refused.reason));
            }
            let waiting = self.waiting_for(&source.key);
            if waiting.is_empty() {
                tree.line(1, "nobody waits for it");
            }
            for (sensor, dependency) in waiting {
                self.sensor_text(&mut tree, sensor, dependency);
            }
        }
        for (sensor, dependency) in self.unmet() {
            let wanted = format!("{}/{}", dependency.source, dependency.event);
            let text = format!("{}  waits for {wanted}, which no event source gives", sensor.name);
            tree.line(0, &text);
        }
        for (trigger, counts) in self.former() {
            tree.line(0, &format!("{trigger}  not configured any more{}", spoken(counts)));
        }
        if tree.0.is_empty() {
            tree.line(0, "there are no event sources and no sensors");
        }
        tree.0
    }

    fn sensor_text(&self, tree: &mut Tree, sensor: &GraphSensor, dependency: &str) {
        tree.line(1, &format!("{}  as {dependency}", sensor.name));
        for trigger in &sensor.triggers {
            let name = TriggerName::new(&sensor.name, &trigger.name);
            let condition = match &trigger.conditions {
                Some(condition) => format!(" when {condition}"),
                None => String::new(),
            };
            let counts = self.counts_text(&name);
            let GraphTrigger { name: short, kind, target, .. } = trigger;
            tree.line(2, &format!("{short}{condition}  {kind} on {target}{counts}"));
            if let Some(phases) = self.phases_text(&name) {
                tree.line(3, &phases);
            }
            for last in self.errors.iter().filter(|last| last.by == name) {
                tree.line(3, &format!("the latest error, at {:.0}: {}", last.at, last.error));
            }
            for published in self.published.iter().filter(|published| published.by == name) {
                let count = several(whole(published.count), "event");
                tree.line(3, &format!("its workflows publish {}, {count}", published.key));
            }
        }
    }

    /// What the trigger's workflows came to; none where it created none.
    fn phases_text(&self, trigger: &TriggerName) -> Option<String> {
        let of = self.workflows.iter().find(|of| of.by == *trigger)?;
        let phases: Vec<String> =
            of.phases.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
        let phases =
            if phases.is_empty() { String::new() } else { format!(": {}", phases.join(", ")) };
        Some(format!("{}{phases}", several(whole(of.created), "workflow")))
    }

    /// The graph in Graphviz' language.
    pub fn dot(&self) -> String {
        self.shapes().dot()
    }

    /// The graph in Mermaid's language.
    pub fn mermaid(&self) -> String {
        self.shapes().mermaid()
    }
}

impl Shapes {
    /// In Graphviz' language.
    pub(super) fn dot(&self) -> String {
        let mut text = "digraph tripline {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
        let quoted = |label: &str| {
            let escaped = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("\"{escaped}\"")
        };
        let shapes = self;
        for node in &shapes.nodes {
            let shape = match node.shape {
                Shape::Upstream => "cds",
                Shape::Event => "ellipse",
                Shape::Sensor => "box",
                Shape::Trigger => "component",
                Shape::Workflow => "box3d",
                Shape::Target => "cylinder",
            };
            let style = if node.bad { ", color=red" } else { "" };
            let (id, label) = (quoted(&node.id), quoted(&node.label));
            put(&mut text, &format!("  {id} [label={label}, shape={shape}{style}];"));
        }
        for edge in &shapes.edges {
            let style = if edge.seen { ", style=dashed" } else { "" };
            let (from, to) = (quoted(&edge.from), quoted(&edge.to));
            let label = quoted(&edge.label);
            put(&mut text, &format!("  {from} -> {to} [label={label}{style}];"));
        }
        text.push_str("}\n");
        text
    }

    /// In Mermaid's language.
    pub(super) fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        // A label is shown as HTML: what has a meaning there is written as its number.
        let quoted = |label: &str| {
            let plain = |c: char| c.is_alphanumeric() || " -_./:,=()".contains(c);
            let escaped: String = label
                .split('\n')
                .map(|line| {
                    line.chars().fold(String::new(), |mut out, c| {
                        if plain(c) {
                            out.push(c)
                        } else {
                            out.push_str(&format!("#{};", u32::from(c)))
                        }
                        out
                    })
                })
                .collect::<Vec<_>>()
                .join("<br/>");
            format!("\"{escaped}\"")
        };
        let shapes = self;
        // An id of letters and digits alone: names may hold anything, also words of the language.
        let id_of = |id: &str| {
            let at = shapes.nodes.iter().position(|node| node.id == id);
            at.map_or_else(|| "unknown".to_owned(), |at| format!("n{at}"))
        };
        for node in &shapes.nodes {
            let (open, close) = match node.shape {
                Shape::Upstream => ("[/", "/]"),
                Shape::Workflow => ("{{", "}}"),
                Shape::Event => ("([", "])"),
                Shape::Sensor => ("[", "]"),
                Shape::Trigger => ("[[", "]]"),
                Shape::Target => ("[(", ")]"),
            };
            let (id, label) = (id_of(&node.id), quoted(&node.label));
            put(&mut text, &format!("  {id}{open}{label}{close}"));
        }
        for edge in &shapes.edges {
            let arrow = if edge.seen { "-.->" } else { "-->" };
            let (from, to) = (id_of(&edge.from), id_of(&edge.to));
            put(&mut text, &format!("  {from} {arrow}|{}| {to}", quoted(&edge.label)));
        }
        for node in shapes.nodes.iter().filter(|node| node.bad) {
            put(&mut text, &format!("  style {} stroke:red", id_of(&node.id)));
        }
        text
    }
}

impl Graph {
    /// How many events there were, to be put behind something else.
    fn events_text(&self, key: &EventKey) -> String {
        if !self.counted {
            return String::new();
        }
        format!(", {}", several(whole(self.count_of(key)), "event"))
    }

    /// What the trigger did, likewise.
    fn counts_text(&self, trigger: &TriggerName) -> String {
        if self.counted { spoken(self.counts_of(trigger)) } else { String::new() }
    }

    /// The graph as nodes and edges. Configured first, then what was only seen.
    fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::default();
        for source in &self.config.sources {
            let count = self.events_text(&source.key);
            let label = format!("{}\n{}{count}", source.key, source.kind);
            let refused = self.refused.iter().any(|refused| refused.key == source.key);
            shapes.node(event_id(&source.key), label, Shape::Event);
            if source.trouble.is_some() || refused {
                shapes.is_bad(&event_id(&source.key));
            }
            if let Some(upstream) = &source.upstream {
                let id = format!("upstream {upstream}");
                shapes.node(id.clone(), shortened(upstream, 120), Shape::Upstream);
                shapes.edge(id, event_id(&source.key), String::new(), false);
            }
        }
        for sensor in &self.config.sensors {
            self.sensor_shapes(&mut shapes, sensor);
        }
        for published in &self.published {
            let from = workflow_id(&published.by);
            let label = format!("workflows of {}", published.by);
            shapes.node(from.clone(), label, Shape::Workflow);
            let to = event_id(&published.key);
            shapes.node(to.clone(), published.key.to_string(), Shape::Event);
            // They go the way of everything that comes in there.
            let source = self.config.sources.iter().find(|source| source.key == published.key);
            let upstream = source.and_then(|source| source.upstream.as_ref());
            let to = upstream.map_or(to, |upstream| format!("upstream {upstream}"));
            shapes.edge(from, to, format!("published {}", published.count), true);
        }
        shapes
    }

    fn sensor_shapes(&self, shapes: &mut Shapes, sensor: &GraphSensor) {
        let id = format!("sensor {}", sensor.name);
        shapes.node(id.clone(), sensor.name.to_string(), Shape::Sensor);
        for source in &self.config.sources {
            for (waiting, dependency) in self.waiting_for(&source.key) {
                if waiting.name == sensor.name {
                    let from = event_id(&source.key);
                    shapes.edge(from, id.clone(), dependency.to_owned(), false);
                }
            }
        }
        for (waiting, dependency) in self.unmet() {
            if waiting.name == sensor.name {
                let key =
                    EventKey::new(&sensor.name.namespace, &dependency.source, &dependency.event);
                shapes.node(event_id(&key), format!("{key}\nno event source"), Shape::Event);
                shapes.edge(event_id(&key), id.clone(), dependency.name.clone(), false);
            }
        }
        for trigger in &sensor.triggers {
            let name = TriggerName::new(&sensor.name, &trigger.name);
            let counts = self.counts_text(&name);
            let last = self.errors.iter().find(|last| last.by == name);
            let error = last.map(|last| format!("\n{}", shortened(&last.error, 80)));
            let counts = counts.replacen(", ", "\n", 1);
            let label = format!("{}{counts}{}", trigger.name, error.unwrap_or_default());
            shapes.node(trigger_id(&name), label, Shape::Trigger);
            if last.is_some() {
                shapes.is_bad(&trigger_id(&name));
            }
            if let Some(phases) = self.phases_text(&name) {
                shapes.node(workflow_id(&name), phases, Shape::Workflow);
                shapes.edge(trigger_id(&name), workflow_id(&name), "created".to_owned(), true);
            }
            let condition = trigger.conditions.clone().unwrap_or_else(|| "all".to_owned());
            shapes.edge(id.clone(), trigger_id(&name), condition, false);
            let target = format!("target {}", trigger.target);
            shapes.node(target.clone(), trigger.target.clone(), Shape::Target);
            shapes.edge(trigger_id(&name), target, trigger.kind.clone(), false);
        }
    }
}

fn event_id(key: &EventKey) -> String {
    format!("event {key}")
}

fn workflow_id(by: &TriggerName) -> String {
    format!("workflows {by}")
}

fn trigger_id(name: &TriggerName) -> String {
    format!("trigger {name}")
}

/// A drawing: boxes and arrows.
#[derive(Default)]
pub(super) struct Shapes {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

struct Node {
    id: String,
    label: String,
    shape: Shape,
    /// Something is wrong with it.
    bad: bool,
}

pub(super) enum Shape {
    Upstream,
    Event,
    Sensor,
    Trigger,
    Workflow,
    Target,
}

struct Edge {
    from: String,
    to: String,
    label: String,
    /// It was seen, and is not configured.
    seen: bool,
}

impl Shapes {
    pub(super) fn node(&mut self, id: String, label: String, shape: Shape) {
        if !self.nodes.iter().any(|node| node.id == id) {
            self.nodes.push(Node { id, label, shape, bad: false });
        }
    }

    pub(super) fn is_bad(&mut self, id: &str) {
        self.nodes.iter_mut().filter(|node| node.id == id).for_each(|node| node.bad = true);
    }

    pub(super) fn edge(&mut self, from: String, to: String, label: String, seen: bool) {
        self.edges.push(Edge { from, to, label, seen });
    }
}

fn spoken(counts: TriggerCounts) -> String {
    let dead = match counts.dead {
        0 => String::new(),
        dead => format!(", {}", several(whole(dead), "dead letter")),
    };
    format!(", {} fired, {} succeeded{dead}", counts.fired, counts.succeeded)
}

fn whole(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn put(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Lines that are indented under those before them.
#[derive(Default)]
struct Tree(String);

impl Tree {
    fn line(&mut self, depth: usize, text: &str) {
        let indent = "   ".repeat(depth.saturating_sub(1));
        let branch = if depth == 0 { "" } else { "└─ " };
        #[expect(clippy::expect_used, reason = "a String takes everything that is written to it")]
        writeln!(self.0, "{indent}{branch}{text}").expect("a String can be written to");
    }
}
