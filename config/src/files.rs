//! Finds the files of a load: those that are named, and those below folders that are named.
//!
//! Names that begin with a dot are not read. That is also what makes a mounted ConfigMap
//! work: its files are links into the hidden folder `..data`, which itself is a link that is
//! swapped when the ConfigMap changes.

use std::collections::HashSet;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::limits::{MAX_FILE_BYTES, MAX_FILES};
use crate::place::Place;

/// Something to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file, of any name, or a folder, whose `*.yaml`, `*.yml` and `*.json` are read, and
    /// those of all folders below it.
    Path(PathBuf),
    /// A text that the caller has: standard input, an example inside the binary.
    Text {
        /// What diagnostics call it, such as `<stdin>`.
        name: Arc<str>,
        /// The text, which is not assumed to be UTF-8.
        text: Arc<[u8]>,
    },
}

impl Input {
    /// A text under a name.
    pub fn text(name: &str, text: impl AsRef<[u8]>) -> Self {
        Self::Text { name: name.into(), text: text.as_ref().into() }
    }
}

/// What tells a file from another, and from what it was before, without reading it: also
/// where a link leads to another file now, as when the `..data` of a mounted ConfigMap is
/// swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds at which the contents changed.
    modified: (i64, i64),
    /// At which anything about it changed: nobody can set this.
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// Files below the inputs, sorted, each once, with what could not be found.
#[derive(Default)]
pub(crate) struct Found {
    /// Each with what it was when it was found.
    pub files: Vec<(PathBuf, Stamp)>,
    pub diagnostics: Vec<Diagnostic>,
    /// Folders and files by device and number, so that links do not lead in circles and no
    /// file is read twice.
    visited: HashSet<(u64, u64)>,
}

impl Found {
    /// Looks below each of `paths`.
    pub fn below<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        let mut found = Self::default();
        for path in paths {
            match std::fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => {
                    let before = found.files.len();
                    let known = found.visited.len();
                    found.folder(path, &metadata);
                    if found.files.len() == before && found.visited.len() > known {
                        let message = "there is no YAML in this folder";
                        let place = Place::start(&name(path));
                        found.diagnostics.push(
                            Diagnostic::warning(codes::NO_FILES, place, message)
                                .help("files that end in .yaml, .yml or .json are read"),
                        );
                    }
                }
                Ok(metadata) => found.file(path, &metadata),
                Err(error) => found.refuse(path, &error),
            }
        }
        found
    }

    fn folder(&mut self, folder: &Path, metadata: &Metadata) {
        if !self.is_new(metadata) {
            return;
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(folder, &error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) if !is_hidden(&entry.path()) => paths.push(entry.path()),
                Ok(_) => {}
                Err(error) => self.refuse(folder, &error),
            }
        }
        paths.sort();
        for path in paths {
            // Follows links, as a mounted ConfigMap needs it.
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.folder(&path, &metadata),
                // A pipe or a device below a folder could block for ever.
                Ok(metadata) if metadata.is_file() && is_yaml(&path) => self.file(&path, &metadata),
                Err(error) if is_yaml(&path) => self.refuse(&path, &error),
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata) {
        if !self.is_new(metadata) {
            return;
        }
        if self.files.len() < MAX_FILES {
            self.files.push((path.to_owned(), Stamp::of(metadata)));
        } else if self.files.len() == MAX_FILES && self.diagnostics.len() < MAX_FILES {
            let message = format!("there are more than {MAX_FILES} files; this one is not read");
            self.diagnostics.push(Diagnostic::error(
                codes::LIMIT,
                Place::start(&name(path)),
                message,
            ));
        }
    }

    fn is_new(&mut self, metadata: &Metadata) -> bool {
        self.visited.insert((metadata.dev(), metadata.ino()))
    }

    fn refuse(&mut self, path: &Path, error: &std::io::Error) {
        self.diagnostics.push(unreadable(&name(path), error));
    }
}

/// The name under which diagnostics speak of a path.
pub(crate) fn name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

fn unreadable(name: &Arc<str>, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error(codes::UNREADABLE, Place::start(name), format!("cannot be read: {error}"))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
}

/// The bytes of a file, up to the bound.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Box<Diagnostic>> {
    let name = name(path);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| Box::new(unreadable(&name, &error)))?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Box::new(unreadable(&name, &error)))?;
    Ok(bytes)
}

/// A number that differs when the files below `inputs` have changed: their names, sizes,
/// times and what their links lead to, so that a swapped `..data` is seen. Equal numbers are
/// meant only for comparison within one process. Contents are not read.
///
/// Take it before the load whose files it stands for: what changes in between is then seen as
/// a change, not missed.
pub fn fingerprint(inputs: &[Input]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut paths = Vec::new();
    for input in inputs {
        match input {
            Input::Path(path) => paths.push(path),
            Input::Text { name, text } => (name, text).hash(&mut hasher),
        }
    }
    let found = Found::below(paths);
    found.files.hash(&mut hasher);
    for diagnostic in &found.diagnostics {
        (&diagnostic.place, &diagnostic.message).hash(&mut hasher);
    }
    hasher.finish()
}
