//! One way to ask, whether a daemon runs or not.
//!
//! Where none runs on the data directory, what looks back over the logs reads them itself,
//! and what can be done at rest is done; the rest says that it needs a daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Bus, Log};
use tripline_event::{Clock, SystemClock, Timestamp};
use tripline_triggers::workflow::local::{LocalTarget, LocalWorkflow};

use super::api::{
    Accepted, BackupReport, BackupRequest, FinishRequest, LettersRequest, PublishRequest,
    ReloadReport, SensorStatus, Status, UpgradeReport,
};
use super::client::{Address, Client, ItemStream, segment};
use super::{ControlError, socket};
use crate::query::dead_letter::{self, Answer, LetterFilter};
use crate::query::{self, DeadLetterItem, Filter, Graph, Item, Listing, Trace, workflow};

/// How long a command waits for another one, or for a daemon that ends, to let the data
/// directory go.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Who answers.
pub enum Backend {
    /// A running daemon.
    Daemon(Client),
    /// The data directory, which no daemon runs on.
    Directory {
        /// Its path.
        path: PathBuf,
        /// What it holds.
        bus: Arc<EmbeddedBus>,
    },
}

/// The records of a listing, as they come.
pub enum Items {
    /// From a daemon.
    Remote(ItemStream),
    /// From the data directory.
    Local(Listing),
}

impl Items {
    /// The next record; none at the end.
    pub async fn next(&mut self) -> Result<Option<Item>, ControlError> {
        match self {
            Self::Remote(items) => items.next().await,
            Self::Local(items) => Ok(items.next().await?),
        }
    }
}

impl Backend {
    /// The daemon at `address`; or its data directory, if none runs there and there is one.
    pub async fn open(address: &Address) -> Result<Self, ControlError> {
        let path = match address {
            Address::Url { .. } => return Client::connect(address).map(Self::Daemon),
            Address::Directory(path) => path,
        };
        if Client::is_served(path).await {
            return Client::connect(address).map(Self::Daemon);
        }
        if !is_data_directory(path) {
            return Err(ControlError::Unreachable(format!(
                "no daemon runs on {0}, and it holds no data: start one with `tripline run DIR --data {0}`, or name another directory with --data",
                path.display()
            )));
        }
        let options = OpenOptions { lock_wait: Some(LOCK_WAIT), ..OpenOptions::default() };
        let bus = EmbeddedBus::open(path, &options)
            .map_err(|error| ControlError::Unreachable(error.to_string()))?;
        Ok(Self::Directory { path: path.clone(), bus: Arc::new(bus) })
    }

    /// Whether a daemon answers.
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Daemon(_))
    }

    pub(super) fn daemon(&self, to: &str) -> Result<&Client, ControlError> {
        match self {
            Self::Daemon(client) => Ok(client),
            Self::Directory { path, .. } => Err(ControlError::Unreachable(format!(
                "no daemon runs on {}: {to} needs one; start it with `tripline run`",
                path.display()
            ))),
        }
    }

    /// The last `limit` records of `log` that fit. Of a daemon, those that come after too,
    /// if `follow`; nothing comes after in a data directory at rest.
    pub async fn list(
        &self,
        log: Log,
        filter: &Filter,
        limit: usize,
        follow: bool,
    ) -> Result<Items, ControlError> {
        Ok(match self {
            Self::Daemon(client) => Items::Remote(client.list(log, filter, limit, follow).await?),
            Self::Directory { bus, .. } => {
                let bus: Arc<dyn Bus> = bus.clone();
                Items::Local(Listing::new(bus, log, filter, limit, false).await?)
            }
        })
    }

    /// Everything that belongs to the chain of `handle`.
    pub async fn trace(&self, handle: &str) -> Result<Trace, ControlError> {
        match self {
            Self::Daemon(client) => client.get("/v1/trace", &[("handle", handle.to_owned())]).await,
            Self::Directory { bus, .. } => Ok(query::trace(bus.as_ref(), handle).await?),
        }
    }

    /// One look at everything.
    pub async fn status(&self) -> Result<Status, ControlError> {
        match self {
            Self::Daemon(client) => client.get("/v1/status", &[]).await,
            Self::Directory { bus, .. } => Ok(Status {
                running: false,
                logs: query::extents(bus.as_ref()).await?,
                dead_letters: dead_letter::open_by_cause(bus.as_ref()).await?,
                ..Status::default()
            }),
        }
    }

    /// The last `limit` dead letters that fit.
    pub async fn dead_letters(
        &self,
        wanted: &LetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetterItem>, ControlError> {
        match self {
            Self::Daemon(client) => {
                let mut pairs = wanted.filter.to_pairs();
                pairs.extend(wanted.cause.map(|cause| ("cause", cause.to_string())));
                pairs.push(("closed", wanted.closed.to_string()));
                pairs.push(("limit", limit.to_string()));
                client.get("/v1/dead-letters", &pairs).await
            }
            Self::Directory { bus, .. } => {
                Ok(dead_letter::list(bus.as_ref(), wanted, limit).await?)
            }
        }
    }

    /// Every letter of that id.
    pub async fn dead_letter(&self, id: &str) -> Result<Vec<DeadLetterItem>, ControlError> {
        match self {
            Self::Daemon(client) => {
                client.get(&format!("/v1/dead-letters/{}", segment(id)), &[]).await
            }
            Self::Directory { bus, .. } => Ok(dead_letter::show(bus.as_ref(), id).await?),
        }
    }

    /// Sends dead letters back, with `current` to be rendered with the definitions in force
    /// now. At rest, they are carried out when a daemon runs again.
    pub async fn retry(
        &self,
        ids: Vec<String>,
        current: bool,
    ) -> Result<Vec<Answer>, ControlError> {
        match self {
            Self::Daemon(client) => {
                let request = LettersRequest { ids, reason: None, current };
                client.post("/v1/dead-letters/retry", &request).await
            }
            Self::Directory { bus, .. } => {
                let who = own_name();
                Ok(dead_letter::retry(bus.as_ref(), &SystemClock, &who, &ids, current).await?)
            }
        }
    }

    /// Gives dead letters up.
    pub async fn drop_letters(
        &self,
        ids: Vec<String>,
        reason: Option<String>,
    ) -> Result<Vec<Answer>, ControlError> {
        match self {
            Self::Daemon(client) => {
                client
                    .post("/v1/dead-letters/drop", &LettersRequest { ids, reason, current: false })
                    .await
            }
            Self::Directory { bus, .. } => {
                let (who, reason) = (own_name(), reason.as_deref());
                Ok(dead_letter::drop(bus.as_ref(), &SystemClock, &who, reason, &ids).await?)
            }
        }
    }

    /// The last `limit` workflows that fit, in the local target and in clusters.
    pub async fn workflows(
        &self,
        wanted: &workflow::Wanted,
        limit: usize,
    ) -> Result<Vec<workflow::Workflow>, ControlError> {
        match self {
            Self::Daemon(client) => {
                let mut pairs = vec![("limit", limit.to_string())];
                pairs.extend(wanted.namespace.clone().map(|text| ("namespace", text)));
                pairs.extend(wanted.correlation.clone().map(|id| ("correlation", id.0)));
                pairs.extend(wanted.phase.clone().map(|phase| ("phase", phase)));
                pairs.extend(wanted.target.clone().map(|target| ("target", target)));
                client.get("/v1/workflows", &pairs).await
            }
            Self::Directory { bus, .. } => Ok(workflow::list(bus.clone(), wanted, limit).await?),
        }
    }

    /// One workflow.
    pub async fn workflow(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<workflow::Workflow, ControlError> {
        match self {
            Self::Daemon(client) => client.get(&workflow_path(namespace, name), &[]).await,
            Self::Directory { bus, .. } => workflow::get(bus.clone(), namespace, name)
                .await?
                .ok_or_else(|| super::routes::no_workflow(namespace, name)),
        }
    }

    /// A recorded workflow has ended.
    pub async fn finish_workflow(
        &self,
        namespace: &str,
        name: &str,
        request: &FinishRequest,
    ) -> Result<LocalWorkflow, ControlError> {
        match self {
            Self::Daemon(client) => {
                client.post(&format!("{}/finish", workflow_path(namespace, name)), request).await
            }
            Self::Directory { bus, .. } => {
                let target = LocalTarget::new(bus.clone(), Arc::new(SystemClock));
                Ok(target.finish(namespace, name, request.phase.into()).await?)
            }
        }
    }

    /// Takes an event in.
    pub async fn publish(&self, request: &PublishRequest) -> Result<Accepted, ControlError> {
        self.daemon("publishing an event")?.post("/v1/publish", request).await
    }

    /// Every sensor as it stands.
    pub async fn sensors(&self) -> Result<Vec<SensorStatus>, ControlError> {
        self.daemon("listing sensors")?.get("/v1/sensors", &[]).await
    }

    /// The connections that the daemon's configuration makes, with what flowed.
    pub async fn graph(&self, since: Option<Timestamp>) -> Result<Graph, ControlError> {
        let filter = Filter { since, ..Filter::default() };
        self.daemon("the graph of what is configured")?.get("/v1/graph", &filter.to_pairs()).await
    }

    /// Reads the files again; `confirm` takes a reload that is held into force.
    pub async fn reload(&self, confirm: bool) -> Result<ReloadReport, ControlError> {
        let path = if confirm { "/v1/reload/confirm" } else { "/v1/reload" };
        self.daemon("reloading")?.post(path, &BTreeMap::<String, String>::new()).await
    }

    /// Has the daemon become the program that is at its path now.
    pub async fn upgrade(&self) -> Result<UpgradeReport, ControlError> {
        self.daemon("upgrading")?.post("/v1/upgrade", &BTreeMap::<String, String>::new()).await
    }

    /// Writes a copy of the store to a file, and answers its size in bytes.
    pub async fn backup(&self, path: &Path) -> Result<u64, ControlError> {
        match self {
            Self::Daemon(client) => {
                let request = BackupRequest { path: path.to_owned() };
                Ok(client.post::<BackupReport>("/v1/backup", &request).await?.bytes)
            }
            Self::Directory { bus, .. } => {
                bus.backup(path).await.map_err(|error| ControlError::Failed(error.to_string()))
            }
        }
    }

    /// The present time, for what is shown in relation to it.
    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}

fn workflow_path(namespace: &str, name: &str) -> String {
    format!("/v1/workflows/{}/{}", segment(namespace), segment(name))
}

fn own_name() -> String {
    socket::user_name(rustix::process::getuid().as_raw())
}

/// Whether a store was made there: opening would make one.
fn is_data_directory(path: &Path) -> bool {
    path.join(DATA_FILE).is_file()
}

/// The store's file.
const DATA_FILE: &str = "data.mdb";
