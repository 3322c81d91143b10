//! The one place that knows the YAML parser: text with any number of documents becomes
//! trees whose every key and value has its place.
//!
//! Promises: no text panics it; its work is bounded by [`crate::limits`]; a broken document
//! does not take those after it away, as long as the next `---` can be found.

use std::collections::HashMap;

use base64::Engine as _;
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::Value;

use crate::codes;
use crate::limits::{MAX_ALIAS_BYTES, MAX_DEPTH, MAX_DOCUMENTS, MAX_NODES, MAX_PROBLEMS};
use crate::node::{Content, Entry, Node};
use crate::place::Spot;
use crate::problem::{FieldPath, Severity, Step};
use crate::scalar;

/// A document that was read, with what is wrong in it.
pub(crate) struct Document {
    pub root: Node,
    pub flaws: Vec<Flaw>,
}

/// A mistake in the YAML itself.
#[derive(Clone)]
pub(crate) struct Flaw {
    pub severity: Severity,
    pub code: &'static str,
    pub spot: Spot,
    pub path: FieldPath,
    pub message: String,
    pub help: Option<String>,
}

impl Flaw {
    fn new(code: &'static str, spot: Spot, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            spot,
            path: FieldPath::root(),
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Shows each document of `text` as soon as it is read, so that they need not all be in
/// memory at once. Empty ones are left out. Returns what could not be read.
pub(crate) fn parse(text: &str, show: &mut dyn FnMut(Document)) -> Vec<Flaw> {
    // The mark of byte order is invisible in an editor: columns count from behind it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text);
    let mut broken = Vec::new();
    let mut documents = 0;
    loop {
        match reader.document() {
            Ok(None) => break,
            Ok(Some(root)) => {
                let flaws = std::mem::take(&mut reader.flaws);
                if root.is_null() && flaws.is_empty() {
                    continue;
                }
                if documents == MAX_DOCUMENTS {
                    let message = format!("the file has more than {MAX_DOCUMENTS} documents");
                    let flaw = Flaw::new(codes::LIMIT, root.spot, message);
                    broken.push(flaw.help("split the file; the rest of it was not read"));
                    break;
                }
                documents += 1;
                show(Document { root, flaws });
            }
            Err(flaw) => {
                // What else was found in this document is worth a line, too.
                broken.append(&mut reader.flaws);
                let out_of_budget = reader.nodes.max(reader.alias_nodes) >= MAX_NODES;
                let at = flaw.spot;
                broken.push(*flaw);
                if broken.len() >= MAX_PROBLEMS {
                    let message = "too much is wrong with this file; the rest of it was not read";
                    broken.push(Flaw::new(codes::LIMIT, at, message));
                    break;
                }
                if out_of_budget || !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    broken
}

type Outcome<T> = Result<T, Box<Flaw>>;

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Anchor>,
    flaws: Vec<Flaw>,
    path: FieldPath,
    /// Of this document.
    nodes: usize,
    /// Of the file.
    alias_nodes: usize,
    alias_bytes: usize,
}

/// What an alias stands for, with its costs.
struct Anchor {
    node: Node,
    nodes: usize,
    bytes: usize,
    height: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            // JSON is YAML whose keys may be long.
            simple_key_max_lookahead: 64 * 1024,
        };
        Self {
            text,
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            flaws: Vec::new(),
            path: FieldPath::root(),
            nodes: 0,
            alias_nodes: 0,
            alias_bytes: 0,
        }
    }

    /// The next document, if there is one.
    fn document(&mut self) -> Outcome<Option<Node>> {
        self.anchors.clear();
        self.nodes = 0;
        self.path = FieldPath::root();
        loop {
            let Some(next) = self.parser.next_event() else { return Ok(None) };
            match next.map_err(|error| self.syntax(&error))? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (event, span) => return self.node(event, span, 0).map(Some),
            }
        }
    }

    fn next(&mut self) -> Outcome<(Event<'t>, Span)> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(Box::new(Flaw::new(
                codes::SYNTAX,
                Spot::START,
                "the text ends in the middle of a value",
            ))),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Outcome<Node> {
        let spot = spot(span);
        self.count(spot, 1)?;
        if depth > MAX_DEPTH {
            return Err(too_deep(spot));
        }
        let (anchor, content) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), spot)?)
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(depth)?),
            Event::Alias(id) => return self.alias(id, spot, depth),
            other => {
                return Err(self.refuse(spot, format!("a value was expected, found {other:?}")));
            }
        };
        let node = Node { spot, content };
        if anchor != 0 {
            let (nodes, bytes, height) = costs(&node);
            // The copy that is kept for aliases counts as well, before it is made.
            self.count(spot, nodes)?;
            self.count_alias_bytes(spot, bytes)?;
            self.anchors.insert(anchor, Anchor { node: node.clone(), nodes, bytes, height });
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Outcome<Content> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Content::Sequence(items));
            }
            self.path.0.push(Step::Index(items.len()));
            items.push(self.node(event, span, depth + 1)?);
            self.path.0.pop();
        }
    }

    fn mapping(&mut self, depth: usize) -> Outcome<Content> {
        let mut mapping = Mapping::default();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Content::Mapping(mapping.entries));
            }
            let key = self.key(event, span, depth)?;
            let (event, span) = self.next()?;
            match key {
                Key::Merge(at) => {
                    let merged = self.node(event, span, depth)?;
                    self.merge(&mut mapping, merged, at)?;
                }
                Key::Field(key, at) => {
                    self.path.0.push(Step::Key(key.clone()));
                    let node = self.node(event, span, depth + 1)?;
                    self.insert(&mut mapping, Entry { key, spot: at, node });
                    self.path.0.pop();
                }
            }
        }
    }

    /// A mapping's key. Keys that are no strings become what they are in JSON.
    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Outcome<Key> {
        let at = spot(span);
        if let Event::Scalar(text, ScalarStyle::Plain, _, None) = &event
            && text == "<<"
        {
            return Ok(Key::Merge(at));
        }
        let written = match &event {
            Event::Scalar(text, ..) => text.to_string(),
            _ => String::new(),
        };
        let node = self.node(event, span, depth + 1)?;
        let key = match node.content {
            Content::Scalar { value: Value::String(text), .. } => text,
            Content::Scalar { value: Value::Number(number), .. } => number.to_string(),
            Content::Scalar { value: Value::Bool(value), .. } => {
                if written != "true" && written != "false" {
                    let message = format!("the key `{written}` means `{value}` in Kubernetes YAML");
                    self.warn(codes::BOOLEAN_KEY, at, message, format!("write \"{written}\""));
                }
                value.to_string()
            }
            _ => {
                let message = "a key must be a string, not a mapping, a sequence or null";
                return Err(self.refuse(at, message));
            }
        };
        Ok(Key::Field(key, at))
    }

    /// Adds a key; a repeated one is a mistake, and the first stays.
    fn insert(&mut self, mapping: &mut Mapping, entry: Entry) {
        match mapping.index.get(&entry.key) {
            Some(&(at, Origin::Written)) => {
                let first = mapping.entries[at].spot;
                let message = format!(
                    "the key `{}` is given twice: here and at line {}, column {}",
                    entry.key, first.line, first.column
                );
                let mut flaw = Flaw::new(codes::DUPLICATE_KEY, entry.spot, message)
                    .help("remove one of the two");
                flaw.path = self.path.clone();
                self.report(flaw);
            }
            Some(&(at, Origin::Merged)) => {
                mapping.index.insert(entry.key.clone(), (at, Origin::Written));
                mapping.entries[at] = entry;
            }
            None => mapping.push(entry, Origin::Written),
        }
    }

    /// Adds what a merge key `<<` names: a mapping or a sequence of mappings, in which an
    /// earlier one has precedence. In the Kubernetes tools a merge key has precedence over
    /// the keys that are written above it.
    fn merge(&mut self, mapping: &mut Mapping, merged: Node, at: Spot) -> Outcome<()> {
        let wrong = || self.refuse(at, "a merge key needs a mapping or a sequence of mappings");
        let parts = match merged.content {
            Content::Mapping(entries) => vec![entries],
            Content::Sequence(items) => items
                .into_iter()
                .map(|item| match item.content {
                    Content::Mapping(entries) => Ok(entries),
                    _ => Err(wrong()),
                })
                .collect::<Outcome<_>>()?,
            Content::Scalar { .. } => return Err(wrong()),
        };
        for entry in parts.into_iter().rev().flatten() {
            match mapping.index.get(&entry.key) {
                None => mapping.push(entry, Origin::Merged),
                Some(&(place, Origin::Merged)) => mapping.entries[place] = entry,
                Some(&(place, Origin::Written)) => {
                    let message = format!(
                        "the merge key replaces `{}`, which is written above it",
                        entry.key
                    );
                    self.warn(codes::MERGE_REPLACES, at, message, "write `<<` first".to_owned());
                    mapping.index.insert(entry.key.clone(), (place, Origin::Merged));
                    mapping.entries[place] = entry;
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, spot: Spot, depth: usize) -> Outcome<Node> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(self.refuse(spot, "the anchor's value contains itself"));
        };
        let (nodes, bytes) = (anchor.nodes, anchor.bytes);
        if depth + anchor.height > MAX_DEPTH {
            return Err(too_deep(spot));
        }
        // Before the copy: it is the copy that costs.
        self.alias_nodes = self.alias_nodes.saturating_add(nodes);
        self.count(spot, nodes)?;
        self.count_alias_bytes(spot, bytes)?;
        let content = self.anchors.get(&id).map(|anchor| anchor.node.content.clone());
        Ok(content.map_or_else(|| Node::null(spot), |content| Node { spot, content }))
    }

    fn count(&mut self, spot: Spot, nodes: usize) -> Outcome<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes.max(self.alias_nodes) < MAX_NODES {
            return Ok(());
        }
        let message =
            format!("the document has more than {MAX_NODES} values, with aliases counted as used");
        Err(Box::new(
            Flaw::new(codes::LIMIT, spot, message)
                .help("split the file, or use fewer aliases; the rest of it was not read"),
        ))
    }

    fn count_alias_bytes(&mut self, spot: Spot, bytes: usize) -> Outcome<()> {
        self.alias_bytes = self.alias_bytes.saturating_add(bytes);
        if self.alias_bytes <= MAX_ALIAS_BYTES {
            return Ok(());
        }
        let message = format!("aliases repeat more than {MAX_ALIAS_BYTES} bytes in this file");
        Err(Box::new(Flaw::new(codes::LIMIT, spot, message).help("use fewer aliases")))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        spot: Spot,
    ) -> Outcome<Content> {
        let value = match tag.map(|tag| (tag.core_suffix(), tag)) {
            None if style != ScalarStyle::Plain => Value::String(text.to_owned()),
            None => self.plain(text, spot)?,
            Some((Some("str"), _)) => Value::String(text.to_owned()),
            Some((Some(kind @ ("int" | "float" | "bool" | "null")), _)) => {
                self.tagged(kind, text, spot)?
            }
            Some((_, tag)) if is_binary(tag) => binary(text, spot)?,
            // A tag that is the application's own leaves the text as it stands.
            Some(_) => Value::String(text.to_owned()),
        };
        let written = (!value.is_string() && !text.is_empty()).then(|| text.into());
        Ok(Content::Scalar { value, written })
    }

    fn plain(&self, text: &str, spot: Spot) -> Outcome<Value> {
        scalar::resolve(text).map_err(|scalar::NotInJson| {
            let message = format!("`{text}` is a number that JSON does not have");
            let flaw = Flaw::new(codes::SYNTAX, spot, message);
            Box::new(flaw.help(format!("write \"{text}\" in quotes if a string is meant")))
        })
    }

    /// A scalar whose tag says of which kind it must be.
    fn tagged(&self, kind: &str, text: &str, spot: Spot) -> Outcome<Value> {
        let value = self.plain(text, spot)?;
        let fits = match kind {
            "int" => value.is_i64() || value.is_u64(),
            "float" => value.is_number(),
            "bool" => value.is_boolean(),
            _ => value.is_null(),
        };
        // `1.0` has become the integer 1, but `!!int 1.0` is not one.
        if fits && !(kind == "int" && text.contains('.')) {
            return Ok(value);
        }
        Err(self.refuse(spot, format!("the value is tagged `!!{kind}` but is not of that type")))
    }

    fn warn(&mut self, code: &'static str, spot: Spot, message: String, help: String) {
        let path = self.path.clone();
        let flaw = Flaw::new(code, spot, message).help(help);
        self.report(Flaw { severity: Severity::Warning, path, ..flaw });
    }

    fn report(&mut self, flaw: Flaw) {
        if self.flaws.len() < MAX_PROBLEMS {
            self.flaws.push(flaw);
        }
    }

    /// An error of the parser.
    fn syntax(&self, error: &ScanError) -> Box<Flaw> {
        let spot = spot(Span::empty(*error.marker()));
        self.refuse(spot, format!("not valid YAML: {}", error.info()))
    }

    /// A mistake that costs the document, with advice for what people most often have done.
    fn refuse(&self, spot: Spot, message: impl Into<String>) -> Box<Flaw> {
        let line = line_of(self.text, spot.line);
        let indent = &line[..line.len() - line.trim_start().len()];
        let flaw = Flaw::new(codes::SYNTAX, spot, message);
        Box::new(if indent.contains('\t') {
            flaw.help("the line is indented with a tab: YAML takes only spaces")
        } else if line.contains("{{") {
            flaw.help(
                "this looks like a template: render it first, e.g. \
                 `helm template . | tripline check -`",
            )
        } else {
            flaw.help("this document was left out; those after the next `---` were read")
        })
    }
}

enum Key {
    Merge(Spot),
    Field(String, Spot),
}

/// A mapping as it grows. The index keeps a mapping with many keys from costing their square.
#[derive(Default)]
struct Mapping {
    entries: Vec<Entry>,
    index: HashMap<String, (usize, Origin)>,
}

#[derive(Clone, Copy)]
enum Origin {
    Written,
    Merged,
}

impl Mapping {
    fn push(&mut self, entry: Entry, origin: Origin) {
        self.index.insert(entry.key.clone(), (self.entries.len(), origin));
        self.entries.push(entry);
    }
}

fn is_binary(tag: &Tag) -> bool {
    tag.suffix_in_namespace("tag:yaml.org,2002:").is_some_and(|suffix| suffix == "binary")
}

fn binary(text: &str, spot: Spot) -> Outcome<Value> {
    let packed: String = text.chars().filter(|char| !char.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD
        .decode(packed)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Value::String)
        .ok_or_else(|| {
            let message = "the value is tagged `!!binary` but is not base64 of UTF-8 text";
            Box::new(Flaw::new(codes::SYNTAX, spot, message))
        })
}

fn too_deep(spot: Spot) -> Box<Flaw> {
    let message = format!("mappings and sequences are nested more than {MAX_DEPTH} deep");
    Box::new(Flaw::new(codes::LIMIT, spot, message))
}

/// Values, bytes of text and levels of a tree.
fn costs(node: &Node) -> (usize, usize, usize) {
    let add = |(nodes, bytes, height): (usize, usize, usize), below: &Node, key: usize| {
        let (n, b, h) = costs(below);
        (nodes + n, bytes + b + key, height.max(h + 1))
    };
    match &node.content {
        Content::Scalar { value, written } => {
            let text = value.as_str().map_or(0, str::len);
            (1, text + written.as_ref().map_or(0, |text| text.len()), 0)
        }
        Content::Sequence(items) => items.iter().fold((1, 0, 0), |sum, item| add(sum, item, 0)),
        Content::Mapping(entries) => {
            entries.iter().fold((1, 0, 0), |sum, entry| add(sum, &entry.node, entry.key.len()))
        }
    }
}

/// The parser counts lines from 1 and columns from 0.
fn spot(span: Span) -> Spot {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Spot {
        line: number(span.start.line().max(1)),
        column: number(span.start.col().saturating_add(1)),
    }
}

/// A line of a text, from 1, without its end. YAML's line ends are LF, CR LF and CR.
pub(crate) fn line_of(text: &str, line: u32) -> &str {
    let mut rest = text;
    for _ in 1..line {
        let Some(end) = rest.find(['\n', '\r']) else { return "" };
        let width = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    rest.split(['\n', '\r']).next().unwrap_or_default()
}
