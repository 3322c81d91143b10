//! What a reader knows from the load before is neither read nor parsed again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use tripline_config::{
    Document, Input, KnownKind, Loaded, Object, Place, Reader, Stamp, load_each,
};
use tripline_event::{DefinitionHash, ObjectName};

const KINDS: &[KnownKind] = &[
    KnownKind { kind: "Sensor", api_versions: &["argoproj.io/v1alpha1"] },
    KnownKind { kind: "EventSource", api_versions: &["argoproj.io/v1alpha1"] },
];

/// Remembers sensors, and says what was done.
#[derive(Default)]
struct Remembers {
    documents: HashMap<DefinitionHash, ObjectName>,
    files: HashMap<Arc<str>, (Stamp, Arc<[Document]>)>,
    /// Names of objects that were read, and of those that were taken as they were.
    read: Vec<String>,
    taken: Vec<(String, u32)>,
    /// Files that were not read.
    known_files: Vec<String>,
}

impl Reader for Remembers {
    fn object(&mut self, object: Object) {
        self.read.push(object.name.name.clone());
        if let Some(text) = object.text.filter(|_| object.kind == "Sensor") {
            self.documents.insert(text, object.name);
        }
    }

    fn remembers(&self) -> bool {
        true
    }

    fn known(&self, document: &DefinitionHash) -> Option<(String, ObjectName)> {
        Some(("Sensor".to_owned(), self.documents.get(document)?.clone()))
    }

    fn take(&mut self, document: &DefinitionHash, place: Place) {
        self.taken.push((self.documents[document].name.clone(), place.line));
    }

    fn known_file(&self, file: &str, stamp: &Stamp) -> Option<Arc<[Document]>> {
        let (then, documents) = self.files.get(file)?;
        (then == stamp).then(|| Arc::clone(documents))
    }

    fn file(&mut self, file: &Arc<str>, stamp: Stamp, documents: Arc<[Document]>) {
        if self.files.get(file).is_some_and(|(_, known)| Arc::ptr_eq(known, &documents)) {
            let name = Path::new(&**file).file_name().unwrap_or_default();
            self.known_files.push(name.to_string_lossy().into_owned());
        }
        self.files.insert(Arc::clone(file), (stamp, documents));
    }
}

/// Names, and the lines that they were on.
type Taken = Vec<(String, u32)>;

/// A folder that is loaded again and again.
struct Again {
    folder: tempfile::TempDir,
    reader: Remembers,
}

impl Again {
    fn new(files: &[(&str, String)]) -> Self {
        let again = Self { folder: tempfile::tempdir().unwrap(), reader: Remembers::default() };
        for (name, text) in files {
            again.write(name, text);
        }
        again
    }

    fn write(&self, name: &str, text: &str) {
        // As editors and `kubectl` do: another file in its place.
        let incomplete = self.folder.path().join(format!(".{name}"));
        fs::write(&incomplete, text).unwrap();
        fs::rename(incomplete, self.folder.path().join(name)).unwrap();
    }

    /// What was read, what was taken as it was, and which files were not read.
    fn load(&mut self) -> (Loaded, Vec<String>, Taken, Vec<String>) {
        let inputs = [Input::Path(self.folder.path().to_owned())];
        let loaded = load_each(&inputs, KINDS, &mut self.reader);
        let reader = &mut self.reader;
        (
            loaded,
            std::mem::take(&mut reader.read),
            std::mem::take(&mut reader.taken),
            std::mem::take(&mut reader.known_files),
        )
    }
}

fn object(kind: &str, name: &str) -> String {
    format!("apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\n")
}

fn sensor(name: &str) -> String {
    object("Sensor", name)
}

fn taken(names: &[(&str, u32)]) -> Vec<(String, u32)> {
    names.iter().map(|(name, line)| ((*name).to_owned(), *line)).collect()
}

#[test]
fn only_a_file_that_has_changed_is_read() {
    let commented = format!("# Team A\n---\n# one\n{}---\n{}", sensor("b1"), sensor("b2"));
    let mut again = Again::new(&[("a.yaml", sensor("a")), ("b.yaml", commented)]);
    let (loaded, read, all_taken, known) = again.load();
    assert_eq!(
        (loaded.files, read, all_taken),
        (2, vec!["a".into(), "b1".into(), "b2".into()], vec![])
    );
    assert_eq!(known, [""; 0]);

    let (loaded, read, all_taken, known) = again.load();
    assert_eq!((loaded.files, read), (2, vec![]));
    assert_eq!(all_taken, taken(&[("a", 1), ("b1", 4), ("b2", 8)]));
    assert_eq!(known, ["a.yaml", "b.yaml"]);

    again.write("a.yaml", &sensor("other"));
    let (_, read, all_taken, known) = again.load();
    assert_eq!(read, ["other"]);
    assert_eq!(all_taken, taken(&[("b1", 4), ("b2", 8)]));
    assert_eq!(known, ["b.yaml"]);
}

#[test]
fn of_a_file_that_has_changed_only_the_other_documents_are_parsed() {
    let text = |last: &str| format!("{}---\n{}---\n{}", sensor("a"), sensor("b"), sensor(last));
    let mut again = Again::new(&[("all.yaml", text("c"))]);
    again.load();
    again.write("all.yaml", &text("d"));
    let (_, read, all_taken, known) = again.load();
    assert_eq!(read, ["d"]);
    assert_eq!(all_taken, taken(&[("a", 1), ("b", 5)]));
    assert_eq!(known, [""; 0]);
}

/// Whatever is not known to be right is read each time: it is to be told each time.
#[test]
fn a_file_with_anything_else_in_it_is_read_again() {
    for other in [
        object("EventSource", "e"),
        object("Sensr", "e"),
        "a: [\n".to_owned(),
        "values: 1\n".to_owned(),
    ] {
        let mut again = Again::new(&[
            ("a.yaml", sensor("a")),
            ("b.yaml", format!("{}---\n{other}", sensor("b"))),
        ]);
        let (first, ..) = again.load();
        let (second, _, all_taken, known) = again.load();
        assert_eq!(first.diagnostics, second.diagnostics, "{other}");
        assert_eq!(first.incomplete, second.incomplete, "{other}");
        assert_eq!(first.skipped, second.skipped, "{other}");
        assert_eq!(all_taken, taken(&[("a", 1), ("b", 1)]), "{other}");
        assert_eq!(known, ["a.yaml"], "{other}");
    }
}

/// The second of two is the one that is refused, whichever was read before.
#[test]
fn a_name_that_is_taken_by_now_is_told_with_both_places() {
    let two = format!("{}---\n{}", sensor("b"), sensor("c"));
    let mut again = Again::new(&[("b.yaml", two)]);
    again.load();
    again.write("a.yaml", &sensor("c"));
    for _ in 0..2 {
        let (loaded, _, all_taken, _) = again.load();
        let [duplicate] = &loaded.diagnostics[..] else { panic!("{:?}", loaded.diagnostics) };
        assert_eq!(duplicate.place.line, 5);
        assert!(duplicate.message.contains("a.yaml:1"), "{duplicate}");
        assert!(all_taken.contains(&("b".to_owned(), 1)), "{all_taken:?}");
    }
    fs::remove_file(again.folder.path().join("a.yaml")).unwrap();
    let (loaded, ..) = again.load();
    assert_eq!(loaded.diagnostics, []);
}

#[test]
fn a_mounted_config_map_that_is_swapped_is_read() {
    let mut again = Again::new(&[]);
    let folder = again.folder.path().to_owned();
    for (version, name) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("s.yaml"), sensor(name)).unwrap();
        fs::write(folder.join(version).join("t.yaml"), sensor("same")).unwrap();
    }
    symlink("..1", folder.join("..data")).unwrap();
    symlink("..data/s.yaml", folder.join("s.yaml")).unwrap();
    symlink("..data/t.yaml", folder.join("t.yaml")).unwrap();
    assert_eq!(again.load().1, ["old", "same"]);
    assert_eq!(again.load().3, ["s.yaml", "t.yaml"]);

    symlink("..2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    let (_, read, all_taken, known) = again.load();
    assert_eq!((read, all_taken), (vec!["new".to_owned()], taken(&[("same", 1)])));
    assert_eq!(known, [""; 0], "both are other files");
}
