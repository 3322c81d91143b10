//! The cases of a file and the count of what became of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;

/// The cases of the file `name`: of the folder that is named, or of the project's own,
/// the second of which does not have every file.
pub fn cases(name: &str) -> Vec<Value> {
    let file = format!("{name}.json");
    if let Some(folder) = std::env::var_os("TRIPLINE_VECTORS") {
        return read(&PathBuf::from(folder).join(file));
    }
    let tests = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests"));
    let mut cases = read(&tests.join("vectors").join(&file));
    let more = tests.join("vectors-more").join(&file);
    if more.exists() {
        cases.extend(read(&more));
    }
    cases
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    let cases: Vec<&RawValue> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    cases.iter().map(|case| with_resource_text(case)).collect()
}

/// The case, with its `resource` also as the text that it was fed in as: a parsed object
/// has lost the order of its keys, and all but one of equal keys.
fn with_resource_text(case: &RawValue) -> Value {
    #[derive(serde::Deserialize)]
    struct Resource<'a> {
        #[serde(borrow)]
        resource: Option<&'a RawValue>,
    }
    let mut value: Value = serde_json::from_str(case.get()).expect("a case is an object");
    let resource: Resource<'_> = serde_json::from_str(case.get()).expect("a case is an object");
    if let Some(resource) = resource.resource {
        value["resourceText"] = resource.get().into();
    }
    value
}

/// The text of a field; empty where there is none.
pub fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_default()
}

/// What became of a case.
pub enum Verdict {
    /// Tripline answers the same.
    Same,
    /// Tripline answers what the rule says.
    Deviation(&'static str),
    /// Neither.
    Different(String),
}

/// `Same` where `found` is what was `wanted`.
pub fn compare<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T) -> Verdict {
    if found == wanted {
        return Verdict::Same;
    }
    Verdict::Different(format!("  wanted {wanted:?}\n  found  {found:?}"))
}

/// The count for one file.
pub struct Report {
    file: &'static str,
    passed: usize,
    total: usize,
    rules: BTreeMap<&'static str, usize>,
    different: Vec<String>,
}

impl Report {
    pub fn new(file: &'static str) -> Self {
        Self { file, passed: 0, total: 0, rules: BTreeMap::new(), different: Vec::new() }
    }

    pub fn add(&mut self, case: &Value, verdict: Verdict) {
        match verdict {
            Verdict::Same => self.passed += 1,
            Verdict::Deviation(rule) => *self.rules.entry(rule).or_default() += 1,
            Verdict::Different(how) => {
                let (id, group) = (text(case, "id"), text(case, "group"));
                self.different.push(format!("{} {id} ({group})\n{how}", self.file));
            }
        }
        self.total += 1;
    }

    /// Prints the count and fails where a case is different.
    pub fn finish(self) {
        let deviations: usize = self.rules.values().sum();
        // Written past the test harness, which keeps what a passing test prints.
        let mut lines = format!("{}: {}/{}\n", self.file, self.passed + deviations, self.total);
        for (rule, count) in &self.rules {
            lines += &format!("  deviation: {count} ({rule})\n");
        }
        use std::io::Write as _;
        std::io::stderr().write_all(lines.as_bytes()).expect("standard error is open");
        assert!(self.total > 0, "{}: there are no cases", self.file);
        let shown: Vec<_> = self.different.iter().take(40).map(String::as_str).collect();
        assert!(
            self.different.is_empty(),
            "{}: {} cases differ; the first of them:\n{}",
            self.file,
            self.different.len(),
            shown.join("\n")
        );
    }
}
