//! What was found, and how people read it.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tripline_event::ObjectName;

use crate::query::item::shortened;

/// What becomes of an object, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It does here what it does there.
    Unchanged,
    /// It runs, and something is other than there.
    Differs,
    /// It runs when something was done before.
    ToDo,
    /// It is refused.
    Unsupported,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Topic {
    /// Something that is not there, or wrong.
    Unsupported,
    /// Two event sources that would take the same request.
    Ports,
    /// The identity of the pod that Argo Events runs.
    Identity,
    /// The environment of that pod.
    Environment,
    /// Volumes of that pod.
    Volumes,
    /// Argo Events tries it once.
    Retried,
    /// Something that is otherwise here.
    Differs,
    /// Worth knowing, and the same on both sides.
    Note,
}

/// One thing about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// The field; empty for the whole object.
    pub field: String,
    /// What it is.
    pub what: String,
    /// What to do about it, or why it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The code of a message, which `tripline help CODE` explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What becomes of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: ObjectName,
    /// Where it stands.
    pub place: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub findings: Vec<Finding>,
}

/// What becomes of all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Each object, in the order of its kind and name.
    pub objects: Vec<ObjectReport>,
    /// How many objects have which verdict.
    pub verdicts: BTreeMap<String, usize>,
    /// What differs for every object of its kind.
    pub general: Vec<Finding>,
    /// What could not be read at all.
    pub unreadable: Vec<String>,
    /// Documents of kinds that have nothing to do with it, by `apiVersion/kind`.
    pub skipped: BTreeMap<String, usize>,
}

impl Verdict {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Unchanged, Self::Differs, Self::ToDo, Self::Unsupported];

    const fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Differs => "differs",
            Self::ToDo => "toDo",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "runs unchanged",
            Self::Differs => "runs, but differs",
            Self::ToDo => "something is to be done first",
            Self::Unsupported => "not supported",
        })
    }
}

impl Topic {
    /// What it makes of an object.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Note => Verdict::Unchanged,
            Self::Differs | Self::Retried => Verdict::Differs,
            Self::Ports | Self::Identity | Self::Environment | Self::Volumes => Verdict::ToDo,
            Self::Unsupported => Verdict::Unsupported,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "not supported",
            Self::Ports => "clash",
            Self::Identity => "pod identity",
            Self::Environment => "environment",
            Self::Volumes => "volumes",
            Self::Retried => "retried here",
            Self::Differs => "differs",
            Self::Note => "note",
        })
    }
}

impl Report {
    /// Counts the verdicts.
    pub(super) fn counted(mut self) -> Self {
        self.objects.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
        let count = |verdict: Verdict| {
            (
                verdict.word().to_owned(),
                self.objects.iter().filter(|of| of.verdict == verdict).count(),
            )
        };
        self.verdicts = Verdict::ALL.map(count).into_iter().collect();
        self
    }

    /// Everything runs, and nothing is to be done before.
    pub fn is_ready(&self) -> bool {
        self.unreadable.is_empty() && self.objects.iter().all(|of| of.verdict <= Verdict::Differs)
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for object in &self.objects {
            line(
                &mut text,
                0,
                &format!("{} {}: {}  {}", object.kind, object.name, object.verdict, object.place),
            );
            object.findings.iter().for_each(|finding| finding.write(&mut text));
        }
        for problem in &self.unreadable {
            line(&mut text, 0, &format!("cannot be read: {problem}"));
        }
        if !self.general.is_empty() {
            line(&mut text, 0, "");
            line(&mut text, 0, "for all of them:");
            self.general.iter().for_each(|finding| finding.write(&mut text));
        }
        line(&mut text, 0, "");
        let counts = Verdict::ALL.map(|verdict| {
            let count = self.verdicts.get(verdict.word()).copied().unwrap_or_default();
            format!("{verdict}: {count}")
        });
        line(&mut text, 0, &format!("{} objects. {}", self.objects.len(), counts.join("; ")));
        text
    }
}

impl Finding {
    fn write(&self, text: &mut String) {
        let field = if self.field.is_empty() { String::new() } else { format!("{}: ", self.field) };
        let code = self.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        line(text, 2, &format!("{:<14}{field}{}{code}", self.topic.to_string(), self.what));
        if let Some(advice) = &self.advice {
            line(text, 16, advice);
        }
    }
}

/// Names are data from outside: they must not control the terminal.
fn line(text: &mut String, indent: usize, content: &str) {
    let content = shortened(content, 1000);
    #[expect(clippy::expect_used, reason = "a String takes everything that is written to it")]
    writeln!(text, "{:indent$}{content}", "").expect("a String can be written to");
}
