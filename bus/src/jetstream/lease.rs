//! One daemon at a time: who owns the logs says so again and again.
//!
//! The owner puts a key every [`RENEW_EVERY`]. One that was not put for [`LASTS`], by the
//! server's own clock, is nobody's: its daemon has died. Each put compares and swaps, so that
//! of two one wins, and an owner that was away too long notices.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;
use tripline_event::Timestamp;

use super::api::{Api, ApiError, REQUEST_TIMEOUT};
use super::keys::{self, Keys};
use super::view::View;
use super::{OpenError, Owner};

/// How long an owner that says nothing is believed to live.
pub(super) const LASTS: Duration = Duration::from_secs(10);
/// How often it says so.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How often one that waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Holder {
    id: String,
    name: String,
}

/// The right to be the one daemon on these logs.
pub(super) struct Lease {
    api: Api,
    stream: String,
    subject: String,
    owner: Holder,
    revision: u64,
}

/// Where a lease stands, and whose it is.
pub(super) struct LeasePlace {
    stream: String,
    subject: String,
    id: String,
}

struct Found {
    owner: Option<Holder>,
    revision: u64,
    age: Duration,
}

impl Lease {
    /// Takes the lease, and waits for as long as `owner` says where somebody else has it. One
    /// whose owner has died is waited for as long as it lasts.
    pub(super) async fn take(
        api: &Api,
        keys: &Keys,
        owner: &Owner,
        id: u64,
    ) -> Result<Self, OpenError> {
        let (stream, subject) = (keys.stream.clone(), keys.names.memory("owner"));
        let id = owner.id.clone().unwrap_or_else(|| format!("{id:016x}"));
        let holder = Holder { id, name: owner.name.clone() };
        let mut lease = Self { api: api.clone(), stream, subject, owner: holder, revision: 0 };
        let failed = |error| super::streams::api_error(api, &keys.stream, error);
        let deadline = Instant::now() + owner.wait;
        let mut seen: Option<u64> = None;
        loop {
            let found = lease.look().await.map_err(failed)?;
            let free = match &found {
                None => Some(0),
                // The one before this one, which has died.
                Some(found)
                    if found.owner.as_ref().is_some_and(|held| held.id == lease.owner.id) =>
                {
                    Some(found.revision)
                }
                Some(found) if found.owner.is_none() || found.age >= LASTS => Some(found.revision),
                Some(_) => None,
            };
            if let Some(revision) = free {
                match lease.put(revision).await {
                    Ok(()) => return Ok(lease),
                    Err(error) if error.is_wrong_sequence() => continue,
                    Err(error) => return Err(failed(error)),
                }
            }
            let Some(found) = found else { continue };
            let lives = seen.is_some_and(|seen| seen != found.revision);
            if Instant::now() >= deadline && lives {
                return Err(OpenError::InUse {
                    url: api.connection.url().to_owned(),
                    prefix: keys.names.prefix().to_owned(),
                    owner: found.owner.map(|owner| owner.name).unwrap_or_default(),
                });
            }
            seen.get_or_insert(found.revision);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> Result<Option<Found>, ApiError> {
        let request = json!({"last_by_subj": self.subject});
        let Some(dated) = self.api.leader_get(&self.stream, &request).await? else {
            return Ok(None);
        };
        let info = self.api.stream_info(&self.stream).await?;
        let age = match (info.ts, dated.time) {
            (Some(now), Some(then)) => age(then, now),
            // A server that says no times: only one that is renewed is seen to live.
            _ => Duration::ZERO,
        };
        let owner = serde_json::from_slice(&dated.message.payload).ok();
        Ok(Some(Found { owner, revision: dated.message.sequence, age }))
    }

    async fn put(&mut self, expected: u64) -> Result<(), ApiError> {
        let value = serde_json::to_vec(&self.owner)
            .map_err(|error| ApiError::Malformed(error.to_string()))?;
        let headers = keys::expecting(expected);
        self.revision = self.api.publish(&self.subject, headers, value.into()).await?.seq;
        Ok(())
    }

    /// Keeps the lease for as long as this runs. Ends, and says so to `views`, where
    /// somebody else has taken it.
    pub(super) async fn keep(mut self, views: [Arc<View>; 3], keys: Arc<Keys>) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.put(self.revision).await {
                Ok(()) => continue,
                Err(error) if error.is_wrong_sequence() => {}
                // It is tried again: whether it is still this daemon's shows then.
                Err(error) => {
                    tracing::warn!(%error, "the lease of the event bus cannot be renewed");
                    continue;
                }
            }
            match self.look().await {
                // The answer to an earlier put was lost.
                Ok(Some(found)) if found.owner.as_ref() == Some(&self.owner) => {
                    self.revision = found.revision;
                }
                Ok(Some(Found { owner: Some(owner), .. })) => {
                    let trouble = format!(
                        "{} has taken over the event bus, since this daemon was silent for more than {} s: end one of the two",
                        owner.name,
                        LASTS.as_secs()
                    );
                    for view in &views {
                        view.take_over(trouble.clone());
                    }
                    keys.take_over(trouble);
                    return;
                }
                Ok(_) => self.revision = 0,
                Err(_) => {}
            }
        }
    }

    /// Where the lease stands, for giving it back.
    pub(super) fn place(&self) -> LeasePlace {
        LeasePlace {
            stream: self.stream.clone(),
            subject: self.subject.clone(),
            id: self.owner.id.clone(),
        }
    }
}

/// Gives a lease back, if it is still this owner's.
pub(super) async fn release(api: Api, place: LeasePlace) {
    let LeasePlace { stream, subject, id } = place;
    let release = async {
        let found = api.leader_get(&stream, &json!({"last_by_subj": subject})).await.ok()??;
        let owner: Holder = serde_json::from_slice(&found.message.payload).ok()?;
        if owner.id == id {
            // Where this fails, the lease ends by itself.
            api.delete(&stream, found.message.sequence).await.ok()?;
        }
        Some(())
    };
    // Nobody waits for it longer than for any other answer.
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, release).await;
}

fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}
