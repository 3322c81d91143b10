//! `tripline doctor`: can each upstream, the event bus and each cluster be reached, with these
//! credentials and rights, and what is to be changed. Nothing is taken in, created or changed.

mod bus;
#[cfg(feature = "kubernetes")]
mod clusters;
mod identity;
mod messages;
mod report;
#[cfg(test)]
mod tests;
mod upstreams;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::time::timeout;
use tripline_config::Diagnostic;
use tripline_eventsources::BoxFuture;

use crate::daemon::Options;
use crate::daemon::secrets::SecretStore;
use crate::engine::definitions::Definitions;
use crate::load::{self, Configuration};

pub use report::Report;

/// How many are asked at a time.
const AT_A_TIME: usize = 8;
/// The longest that one answer may take: more than any client's own patience.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is to be done.
    Good,
    /// It works; this should be known.
    Note,
    /// It does not work.
    Wrong,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// In a sentence; where it is wrong, with what to do.
    pub said: String,
    /// What can be applied as it is: YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// Nothing is to be done.
    pub fn good(said: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, said: said.into(), advice: None }
    }

    /// It works; this should be known.
    pub fn note(said: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, said: said.into(), advice: None }
    }

    /// It does not work.
    pub fn wrong(said: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, said: said.into(), advice: None }
    }
}

/// A finding, and about what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `event source`, `event bus`, `cluster`, `files`.
    pub about: &'static str,
    /// Which one.
    pub subject: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// Something that can be asked how it is.
pub struct Probe {
    /// `event source`, `event bus`, `cluster`.
    pub about: &'static str,
    /// Which one.
    pub subject: String,
    /// Asks.
    pub ask: BoxFuture<'static, Vec<Finding>>,
}

impl Probe {
    /// Asks in the way of `ask`.
    pub fn new(
        about: &'static str,
        subject: impl Into<String>,
        ask: impl Future<Output = Vec<Finding>> + Send + 'static,
    ) -> Self {
        Self { about, subject: subject.into(), ask: Box::pin(ask) }
    }

    async fn answer(self) -> Vec<Answer> {
        let Self { about, subject, ask } = self;
        let findings = timeout(PATIENCE, ask).await.unwrap_or_else(|_| {
            vec![Finding::wrong(format!("no answer came within {} s", PATIENCE.as_secs()))]
        });
        let answer = |finding| Answer { about, subject: subject.clone(), finding };
        findings.into_iter().map(answer).collect()
    }
}

/// What probes are made of.
pub(crate) struct World {
    pub options: Options,
    pub configuration: Configuration,
    pub secrets: Arc<SecretStore>,
}

/// Asks everything that a daemon with these options would use.
///
/// # Errors
/// Never by what is found; a bus that is described wrongly is a finding too.
pub async fn examine(options: Options) -> anyhow::Result<Report> {
    let configuration = load::load(&options.inputs, &Definitions::default());
    let secrets = Arc::new(SecretStore::new(crate::daemon::secrets(&options)));
    let mut answers = files(&configuration);
    for diagnostic in secrets.replace_documents(&configuration.secrets) {
        let finding = Finding::wrong(diagnostic.to_string());
        answers.push(Answer { about: "files", subject: "secrets".to_owned(), finding });
    }
    let world = World { options, configuration, secrets };
    let mut probes = bus::probes(&world);
    probes.extend(upstreams::probes(&world));
    probes.extend(messages::probes(&world));
    #[cfg(feature = "kubernetes")]
    probes.extend(clusters::probes(&world));
    let asked = futures_util::stream::iter(probes).map(Probe::answer).buffered(AT_A_TIME);
    answers.extend(asked.collect::<Vec<_>>().await.into_iter().flatten());
    Ok(Report { answers })
}

/// What `tripline check` says in full.
fn files(configuration: &Configuration) -> Vec<Answer> {
    let errors: Vec<&Diagnostic> =
        configuration.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    let finding = match errors.first() {
        None if configuration.files == 0 => return Vec::new(),
        None => Finding::good(format!("{} objects are used", configuration.len())),
        Some(first) => Finding::wrong(format!(
            "{} mistakes, which `tripline check` shows; the first: {first}",
            errors.len()
        )),
    };
    vec![Answer { about: "files", subject: format!("{} files", configuration.files), finding }]
}
