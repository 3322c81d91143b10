//! Loading: files and texts become objects of the kinds that the caller knows, and everything
//! that is wrong with them becomes diagnostics.
//!
//! Promises: nothing stops at the first mistake; one broken object, document or file takes no
//! other away; a document of a kind that is not known is counted, not lost silently.
//!
//! Not here: what the fields of a kind mean ([`crate::decode()`] and the crates of the kinds).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tripline_event::{DefinitionHash, ObjectName};

use crate::chunk;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::files::{self, Found, Input, Stamp};
use crate::limits::MAX_FILE_BYTES;
use crate::node::{Content, Node};
use crate::object::{Draft, Object};
use crate::place::{Place, Spot};
use crate::source::Sources;
use crate::suggest;
use crate::yaml::{self, Flaw};

/// The group that is Tripline's own: an unknown kind in it is a mistake, not someone else's.
const OWN_GROUP: &str = "tripline.dev";

/// A kind that the caller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKind {
    /// `kind`.
    pub kind: &'static str,
    /// Each `apiVersion` under which it is read.
    pub api_versions: &'static [&'static str],
}

/// What was loaded.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects of known kinds, in the order of files and documents. Of two with the same
    /// kind, namespace and name only the first is here. Empty where they were shown to
    /// somebody ([`load_each`]).
    pub objects: Vec<Object>,
    /// What is wrong, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// How many documents of other kinds there were, by `apiVersion/kind`.
    pub skipped: BTreeMap<String, usize>,
    /// How many files and texts were read.
    pub files: usize,
    /// Files of which something could not be read. An object that was in one of these before
    /// and is not now has not been removed: it stays at its last good version.
    pub incomplete: BTreeSet<Arc<str>>,
    /// The texts, for showing the lines that diagnostics speak of.
    pub sources: Sources,
}

impl Loaded {
    /// Whether anything is wrong that makes an object invalid.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads all inputs. This is blocking work on files.
pub fn load(inputs: &[Input], known: &[KnownKind]) -> Loaded {
    struct All(Vec<Object>);
    impl Reader for All {
        fn object(&mut self, object: Object) {
            self.0.push(object);
        }
    }
    let mut all = All(Vec::new());
    let loaded = load_each(inputs, known, &mut all);
    Loaded { objects: all.0, ..loaded }
}

/// Is shown objects as they are read, and may know documents already.
pub trait Reader {
    /// An object was read.
    fn object(&mut self, object: Object);

    /// Whether anything of an earlier load may be known.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether the texts are to be in [`Loaded::sources`].
    fn shows_lines(&self) -> bool {
        true
    }

    /// Kind and name of the object of a document, by the hash of its text; none where it is
    /// to be read. Only for one that is an object without any mistake.
    fn known(&self, document: &DefinitionHash) -> Option<(String, ObjectName)> {
        let _ = document;
        None
    }

    /// Takes the object of a document that is [`Self::known`], which stands at `place`.
    fn take(&mut self, document: &DefinitionHash, place: Place) {
        let _ = (document, place);
    }

    /// What stood in a file when it was last read and was what `stamp` says; none where it is
    /// to be read.
    fn known_file(&self, file: &str, stamp: &Stamp) -> Option<Arc<[Document]>> {
        let _ = (file, stamp);
        None
    }

    /// These documents stand in a file that was what `stamp` says before it was read.
    fn file(&mut self, file: &Arc<str>, stamp: Stamp, documents: Arc<[Document]>) {
        let _ = (file, stamp, documents);
    }
}

/// A document of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The line at which its text begins, from 1.
    line: u32,
    /// The line of its first value; none where it has none.
    first_line: Option<u32>,
    /// The hash of its text.
    text: DefinitionHash,
}

/// Reads all inputs and shows each object as soon as it is read, in the order of files and
/// documents: of ten thousand, no more than one need be in memory.
pub fn load_each(inputs: &[Input], known: &[KnownKind], reader: &mut dyn Reader) -> Loaded {
    let mut loader = Loader {
        known,
        loaded: Loaded::default(),
        places: HashMap::new(),
        documents: Vec::new(),
        reader,
    };
    let mut paths: Vec<&PathBuf> = Vec::new();
    for input in inputs {
        match input {
            Input::Path(path) => paths.push(path),
            Input::Text { name, text } => loader.bytes(name, text),
        }
    }
    let found = Found::below(paths);
    for diagnostic in found.diagnostics {
        if diagnostic.is_error() {
            loader.loaded.incomplete.insert(Arc::clone(&diagnostic.place.file));
        }
        loader.loaded.diagnostics.push(diagnostic);
    }
    for (path, stamp) in &found.files {
        loader.file(path, *stamp);
    }
    let mut loaded = loader.loaded;
    loaded.diagnostics.sort();
    loaded
}

struct Loader<'k> {
    known: &'k [KnownKind],
    loaded: Loaded,
    /// Where each object is, for the message about a second one.
    places: HashMap<(String, ObjectName), Place>,
    /// The documents of the file that is being read, where the reader remembers them.
    documents: Vec<Document>,
    reader: &'k mut dyn Reader,
}

/// A document, or an item of a list, that may be an object.
struct Candidate<'f> {
    file: &'f Arc<str>,
    node: Node,
    flaws: Vec<Flaw>,
    /// The hash of the text, where the whole document is the object.
    text: Option<DefinitionHash>,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path, stamp: Stamp) {
        let name = files::name(path);
        if self.reader.remembers()
            && let Some(documents) = self.reader.known_file(&name, &stamp)
            && self.take_known(&name, &documents)
        {
            self.loaded.files += 1;
            return self.reader.file(&name, stamp, documents);
        }
        self.documents.clear();
        match files::read(path) {
            Ok(bytes) => self.bytes(&name, &bytes),
            Err(diagnostic) => return self.lose(*diagnostic),
        }
        if self.reader.remembers() {
            let documents = std::mem::take(&mut self.documents);
            self.reader.file(&name, stamp, documents.into());
        }
    }

    /// Takes all documents of a file, or none where one of them is to be read.
    fn take_known(&mut self, file: &Arc<str>, documents: &[Document]) -> bool {
        let mut found = Vec::with_capacity(documents.len());
        for Document { first_line, text, .. } in documents {
            let Some(line) = *first_line else { continue };
            let Some(identity) = self.reader.known(text) else { return false };
            if self.places.contains_key(&identity) {
                return false;
            }
            found.push((identity, text, Spot { line, column: 1 }.of(file)));
        }
        let names: HashSet<_> = found.iter().map(|(identity, ..)| identity).collect();
        if names.is_empty() || names.len() < found.len() {
            return false;
        }
        for (identity, text, place) in found {
            self.reader.take(text, place.clone());
            self.places.insert(identity, place);
        }
        true
    }

    fn bytes(&mut self, file: &Arc<str>, bytes: &[u8]) {
        self.loaded.files += 1;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let message = format!("larger than {MAX_FILE_BYTES} bytes; it was not read");
            let place = Place::start(file);
            return self.lose(Diagnostic::error(codes::LIMIT, place, message).help("split it"));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return self.lose(not_utf8(file, bytes, error.valid_up_to())),
        };
        if self.reader.shows_lines() {
            self.loaded.sources.add(file, text);
        }
        let rest = if self.reader.remembers() { self.without_known(file, text) } else { None };
        let broken = yaml::parse(rest.as_deref().unwrap_or(text), &mut |document| {
            let (node, flaws) = (document.root, document.flaws);
            let line = node.spot.line;
            let place = self.documents.partition_point(|document| document.line <= line);
            let text = place.checked_sub(1).map(|place| self.documents[place].text.clone());
            let text = text.filter(|_| flaws.is_empty());
            self.document(Candidate { file, node, flaws, text });
        });
        for flaw in broken {
            if flaw.severity == crate::Severity::Error {
                self.loaded.incomplete.insert(Arc::clone(file));
            }
            self.loaded.diagnostics.push(located(flaw, file, None));
        }
    }

    /// The text without the documents that are known; none where that is all of it.
    fn without_known(&mut self, file: &Arc<str>, text: &str) -> Option<String> {
        self.documents.clear();
        let (mut rest, mut any) = (String::new(), false);
        for chunk in chunk::chunks(text) {
            let document = Document {
                line: chunk.line,
                first_line: chunk.first_line(),
                text: DefinitionHash::of(chunk.text),
            };
            let line = document.first_line.unwrap_or(chunk.line);
            let place = Spot { line, column: 1 }.of(file);
            let known = self.reader.known(&document.text);
            match known.filter(|identity| !self.places.contains_key(identity)) {
                Some(identity) => {
                    self.reader.take(&document.text, place.clone());
                    self.places.insert(identity, place);
                    chunk.blank(&mut rest);
                    any = true;
                }
                None => rest.push_str(chunk.text),
            }
            self.documents.push(document);
        }
        any.then_some(rest)
    }

    fn lose(&mut self, diagnostic: Diagnostic) {
        self.loaded.incomplete.insert(Arc::clone(&diagnostic.place.file));
        self.loaded.diagnostics.push(diagnostic);
    }

    /// Sorts a document by what it says that it is.
    fn document(&mut self, candidate: Candidate<'_>) {
        let Candidate { file, node, flaws, .. } = &candidate;
        let (api_version, kind) = match header(node) {
            Ok((api_version, kind)) => (api_version.to_owned(), kind.to_owned()),
            Err(flaw) => {
                let diagnostic = located(flaw, file, None);
                let found: Vec<_> =
                    flaws.iter().map(|flaw| located(flaw.clone(), file, None)).collect();
                self.loaded.diagnostics.extend(found);
                return if diagnostic.is_error() {
                    self.lose(diagnostic)
                } else {
                    self.loaded.diagnostics.push(diagnostic)
                };
            }
        };
        if let Some(item_kind) = self.list_of(&api_version, &kind) {
            return self.list(candidate, &api_version, item_kind.as_deref());
        }
        match self.verdict(&api_version, &kind) {
            Verdict::Known => self.object(candidate, &api_version, &kind),
            Verdict::Foreign => {
                *self.loaded.skipped.entry(format!("{api_version}/{kind}")).or_default() += 1;
            }
            Verdict::Mistaken { field, code, message, help } => {
                let spot = candidate.node.entry(field).map_or(Spot::START, |entry| entry.node.spot);
                let diagnostic = Diagnostic {
                    field: field.to_owned(),
                    ..Diagnostic::error(code, spot.of(candidate.file), message).help(help)
                };
                self.lose(diagnostic);
            }
        }
    }

    /// For a list: the kind of its items, if the list's own kind says it.
    fn list_of(&self, api_version: &str, kind: &str) -> Option<Option<String>> {
        let item = kind.strip_suffix("List")?;
        if item.is_empty() {
            return (api_version == "v1").then_some(None);
        }
        self.known.iter().any(|known| known.kind == item).then(|| Some(item.to_owned()))
    }

    /// Takes the items out of a list. Items of a typed list may leave out what it says.
    fn list(&mut self, list: Candidate<'_>, api_version: &str, item_kind: Option<&str>) {
        let Candidate { file, node, flaws, .. } = list;
        let Content::Mapping(entries) = node.content else { return };
        let mut items = Vec::new();
        for entry in entries {
            if entry.key == "items"
                && let Content::Sequence(nodes) = entry.node.content
            {
                items = nodes;
            }
        }
        let mut flaws_of: BTreeMap<usize, Vec<Flaw>> = BTreeMap::new();
        for mut flaw in flaws {
            match flaw.path.0.as_slice() {
                [crate::Step::Key(items), crate::Step::Index(index), ..] if items == "items" => {
                    let index = *index;
                    flaw.path.0.drain(..2);
                    flaws_of.entry(index).or_default().push(flaw);
                }
                _ => self.lose(located(flaw, file, None)),
            }
        }
        for (index, mut node) in items.into_iter().enumerate() {
            if let Some(kind) = item_kind {
                complete(&mut node, "apiVersion", api_version);
                complete(&mut node, "kind", kind);
            }
            let flaws = flaws_of.remove(&index).unwrap_or_default();
            self.document(Candidate { file, node, flaws, text: None });
        }
    }

    fn object(&mut self, candidate: Candidate<'_>, api_version: &str, kind: &str) {
        let Candidate { file, node, flaws, text } = candidate;
        let mut object = match (Draft { api_version, kind, file }).finish(node) {
            Ok(object) => object,
            Err(diagnostics) => {
                for flaw in flaws {
                    self.loaded.diagnostics.push(located(flaw, file, Some(kind.to_owned())));
                }
                return diagnostics.into_iter().for_each(|diagnostic| self.lose(diagnostic));
            }
        };
        for flaw in flaws {
            object.broken |= flaw.severity == crate::Severity::Error;
            self.loaded.diagnostics.push(located(flaw, file, Some(object.title())));
        }
        let key = (kind.to_owned(), object.name.clone());
        if let Some(first) = self.places.get(&key) {
            let message = format!("{} is defined twice: here and at {first}", object.title());
            let diagnostic = Diagnostic {
                object: Some(object.title()),
                ..Diagnostic::error(codes::DUPLICATE_OBJECT, object.place, message)
            };
            return self.loaded.diagnostics.push(diagnostic.help("rename or remove one of them"));
        }
        self.places.insert(key, object.place.clone());
        object.text = text;
        self.reader.object(object);
    }

    fn verdict(&self, api_version: &str, kind: &str) -> Verdict {
        let group = group(api_version);
        if let Some(known) = self.known.iter().find(|known| known.kind == kind) {
            if known.api_versions.contains(&api_version) {
                return Verdict::Known;
            }
            // Other groups may have a kind of the same name.
            let near = |of: &&str| suggest::distance(of, api_version) <= 2;
            let ours = |of: &&str| crate::load::group(of) == group;
            return if known.api_versions.iter().any(|of| ours(of) || near(of)) {
                Verdict::Mistaken {
                    field: "apiVersion",
                    code: codes::API_VERSION,
                    message: format!("{kind} is not known under `{api_version}`"),
                    help: format!("{kind} is read under {}", suggest::list(known.api_versions)),
                }
            } else {
                Verdict::Foreign
            };
        }
        let kinds: Vec<&str> = self
            .known
            .iter()
            .filter(|known| known.api_versions.iter().any(|of| crate::load::group(of) == group))
            .map(|known| known.kind)
            .collect();
        let help = match suggest::nearest(kind, &kinds) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if group == OWN_GROUP => format!("kinds are {}", suggest::list(&kinds)),
            None => return Verdict::Foreign,
        };
        let message = format!("unknown kind `{}`", crate::identity::excerpt(kind));
        Verdict::Mistaken { field: "kind", code: codes::UNKNOWN_KIND, message, help }
    }
}

/// Whether a kind is read.
enum Verdict {
    Known,
    /// Someone else's.
    Foreign,
    Mistaken {
        field: &'static str,
        code: &'static str,
        message: String,
        help: String,
    },
}

/// The part of an apiVersion before the slash; that of Kubernetes' core is empty.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// `apiVersion` and `kind` of a document.
fn header(node: &Node) -> Result<(&str, &str), Flaw> {
    let flaw = |severity, spot, message: &str| Flaw {
        severity,
        code: codes::NOT_AN_OBJECT,
        spot,
        path: crate::FieldPath::root(),
        message: message.to_owned(),
        help: Some("an object has `apiVersion`, `kind` and `metadata.name`".to_owned()),
    };
    let has = |key| node.entry(key).is_some();
    match (&node.content, node.text("apiVersion"), node.text("kind")) {
        (_, Some(api_version), Some(kind)) => Ok((api_version, kind)),
        (Content::Scalar { .. }, ..) => {
            Err(flaw(crate::Severity::Error, node.spot, "the document is a single value"))
        }
        // Values files and the like lie beside manifests; whoever names neither meant neither.
        (Content::Sequence(_), ..) => {
            Err(flaw(crate::Severity::Warning, node.spot, "the document is a sequence; skipped"))
        }
        (Content::Mapping(_), None, None) if !has("apiVersion") && !has("kind") => {
            let message = "the document has neither `apiVersion` nor `kind`; skipped";
            Err(flaw(crate::Severity::Warning, node.spot, message))
        }
        (Content::Mapping(_), api_version, _) => {
            let field = if api_version.is_none() { "apiVersion" } else { "kind" };
            let (spot, message) = match node.entry(field) {
                Some(entry) => (entry.node.spot, format!("`{field}` must be a string")),
                None => (node.spot, format!("`{field}` is missing")),
            };
            Err(flaw(crate::Severity::Error, spot, &message))
        }
    }
}

fn complete(node: &mut Node, key: &str, text: &str) {
    let spot = node.spot;
    if let Content::Mapping(entries) = &mut node.content
        && !entries.iter().any(|entry| entry.key == key)
    {
        let content = Content::Scalar { value: text.into(), written: None };
        let node = Node { spot, content };
        entries.push(crate::node::Entry { key: key.to_owned(), spot, node });
    }
}

fn located(flaw: Flaw, file: &Arc<str>, object: Option<String>) -> Diagnostic {
    Diagnostic {
        severity: flaw.severity,
        code: flaw.code.to_owned(),
        place: flaw.spot.of(file),
        object,
        field: flaw.path.to_string(),
        message: flaw.message,
        help: flaw.help,
    }
}

fn not_utf8(file: &Arc<str>, bytes: &[u8], valid: usize) -> Diagnostic {
    let text = String::from_utf8_lossy(&bytes[..valid]);
    let place = crate::source::end_of(&text).of(file);
    let message = format!("byte {} is not UTF-8 text", valid + 1);
    let diagnostic = Diagnostic::error(codes::UNREADABLE, place, message);
    match bytes {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => diagnostic.help("this is UTF-16: save it as UTF-8"),
        _ => diagnostic.help("save the file as UTF-8"),
    }
}
