//! Creates an object once for an action, however often it is attempted.

use serde::Deserialize;
use serde_json::Value;
use tripline_event::{ActionId, Cause, Position};

use super::Cluster;
use super::call::{Call, Failure};
use super::history::Was;
use super::refusal::{Doing, SOON};
use super::resource::Resource;
use crate::TriggerError;
use crate::workflow::Created;
use crate::workflow::submission::ACTION_ID;

/// An object that is to be created.
pub(crate) struct NewObject<'a> {
    pub(crate) resource: &'a Resource,
    /// None where the kind has no namespaces.
    pub(crate) namespace: Option<&'a str>,
    /// The same for each attempt at the same action.
    pub(crate) name: &'a str,
    /// The whole object, with the labels of its action.
    pub(crate) object: &'a Value,
    pub(crate) action: &'a ActionId,
    /// Where the event of the action stands.
    pub(crate) cause: Position,
    /// Whom it is created as; none is Tripline itself.
    pub(crate) user: Option<&'a str>,
}

/// An object that is there, as far as it matters here.
#[derive(Deserialize)]
struct There {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: std::collections::BTreeMap<String, String>,
}

/// Whose the object of a name is.
enum Whose {
    /// This action's.
    Ours,
    /// Another action's, or none's.
    Other(Option<String>),
    /// There is none.
    Nobody,
}

impl NewObject<'_> {
    fn doing<'a>(&'a self, cluster: &'a Cluster, verb: &'a str) -> Doing<'a> {
        Doing {
            cluster: cluster.name(),
            verb,
            resource: self.resource,
            namespace: self.namespace,
            user: self.user,
        }
    }

    /// Creates it, or finds that it is there with this action's id.
    ///
    /// `uncertain`: an earlier attempt may have created it. Where it is not there then, and
    /// may have been removed since, that is [`Cause::Unknown`], and no second create.
    ///
    /// # Errors
    /// See [`super::refusal`].
    pub(crate) async fn create(
        &self,
        cluster: &Cluster,
        uncertain: bool,
    ) -> Result<Created, TriggerError> {
        if uncertain {
            match self.whose(cluster).await? {
                Whose::Nobody => self.never_created(cluster).await?,
                whose => return self.taken(cluster, whose),
            }
        }
        let path = self.resource.path(self.namespace);
        let failed = |failure| self.doing(cluster, "create").failed(&failure);
        cluster.note(&path).await.map_err(failed)?;
        let call = Call::post(path, self.object).by(self.user).metadata();
        let mut answer = cluster.call(&call).await;
        if matches!(answer.as_ref().err().and_then(Failure::code), Some(403 | 404)) {
            if !cluster.is_ready().await {
                let reason = format!("cluster `{}`: the API server is not ready", cluster.name());
                return Err(TriggerError::NotDone { reason, after: None });
            }
            // It may have become ready just now.
            answer = cluster.call(&call).await;
        }
        match answer {
            Ok(_) => Ok(Created { already: false }),
            Err(Failure::Status(status)) if status.is_already_exists() => {
                let whose = self.whose(cluster).await?;
                self.taken(cluster, whose)
            }
            Err(failure) => Err(self.doing(cluster, "create").failed(&failure)),
        }
    }

    async fn whose(&self, cluster: &Cluster) -> Result<Whose, TriggerError> {
        let path = self.resource.object_path(self.namespace, self.name);
        let call = Call::get(path).by(self.user).metadata();
        let there = match cluster.call(&call).await {
            Ok(answer) => answer.read::<There>(),
            Err(Failure::Status(status)) if status.is_not_found(self.name) => {
                return Ok(Whose::Nobody);
            }
            Err(failure) => Err(failure),
        };
        match there {
            Ok(mut there) => Ok(match there.metadata.labels.remove(ACTION_ID) {
                Some(id) if id == self.action.as_str() => Whose::Ours,
                other => Whose::Other(other),
            }),
            Err(failure) => Err(self.not_looked_up(cluster, &failure)),
        }
    }

    /// An earlier attempt, or somebody else, has created an object of this name; whose it is
    /// was not found out.
    fn not_looked_up(&self, cluster: &Cluster, failure: &Failure) -> TriggerError {
        match self.doing(cluster, "get").failed(failure) {
            // Creating would be a guess.
            TriggerError::Refused { cause: Cause::Forbidden, reason } => {
                let reason = format!(
                    "whether an earlier attempt has created `{}` cannot be found out: {reason}",
                    self.name
                );
                TriggerError::Refused { cause: Cause::Unknown, reason }
            }
            // What was done before this request is as little known as before.
            TriggerError::NotDone { reason, after } => TriggerError::Retry { reason, after },
            other => other,
        }
    }

    fn taken(&self, cluster: &Cluster, whose: Whose) -> Result<Created, TriggerError> {
        let place = self.place(cluster);
        match whose {
            Whose::Ours => Ok(Created { already: true }),
            Whose::Nobody => {
                let reason = format!("{place} was there and was removed just now");
                Err(TriggerError::Retry { reason, after: Some(SOON) })
            }
            Whose::Other(id) => {
                let whose = match id {
                    Some(id) => format!("belongs to action {id}"),
                    None => "was not created by Tripline".to_owned(),
                };
                let reason = format!("{place} exists and {whose}");
                Err(TriggerError::Refused { cause: Cause::NameTaken, reason })
            }
        }
    }

    fn place(&self, cluster: &Cluster) -> String {
        let within = self.namespace.map(|of| format!("{of}/")).unwrap_or_default();
        let (kind, name, cluster) = (&self.resource.kind, self.name, cluster.name());
        format!("{kind} {within}{name} in cluster `{cluster}`")
    }

    /// An earlier attempt may have created the object, and it is not there: goes on only
    /// where it never was.
    async fn never_created(&self, cluster: &Cluster) -> Result<(), TriggerError> {
        let path = self.resource.path(self.namespace);
        let what = match cluster.was(&path, self.name, self.cause).await {
            Ok(Was::Never) => return Ok(()),
            Ok(Was::Removed) => "it was, and was removed since".to_owned(),
            Ok(Was::Unknown(why)) => {
                format!("it is not there, but may have been, and been removed since ({why})")
            }
            Err(failure) => {
                let reason = format!(
                    "whether an earlier attempt has created {} was not found out: {failure}",
                    self.place(cluster)
                );
                return Err(TriggerError::Retry { reason, after: None });
            }
        };
        let reason = format!(
            "an earlier attempt may have created {}: {what}. It is not created a second time; \
             `tripline dlq retry` does it",
            self.place(cluster)
        );
        Err(TriggerError::Refused { cause: Cause::Unknown, reason })
    }
}
