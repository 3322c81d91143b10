//! Who did what, when and why: what operators did, as it stands in OUTCOMES.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, Log};
use tripline_event::{Outcome, OutcomeKind, Position, Timestamp};

use super::scan::{Backwards, Needles};
use super::{Filter, QueryError};

/// Something that an operator did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Where it stands in OUTCOMES.
    pub position: Position,
    /// Who: the user of the socket, or the token's name.
    pub who: String,
    /// What.
    pub did: String,
    /// To what.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
    /// To how many actions or letters.
    pub count: Option<u64>,
}

/// The newest `limit` entries between the times of `filter`, oldest first.
///
/// # Errors
/// OUTCOMES cannot be read.
pub async fn list(
    bus: &dyn Bus,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<AuditEntry>, QueryError> {
    let needles = Needles::bytes([r#""outcome":"operator""#.to_owned()])?;
    let mut entries = VecDeque::new();
    let mut pages = Backwards::new(bus, Log::Outcomes).await?;
    while let Some(page) = pages.page(bus).await? {
        for stored in page.iter().rev().filter(|stored| needles.are_in(&stored.record)) {
            let Ok(outcome) = Outcome::decode(&stored.record) else { continue };
            let Outcome { at, kind, .. } = outcome;
            let OutcomeKind::Operator { who, did, subject, reason, count } = kind else { continue };
            let early = filter.since.is_some_and(|since| at < since);
            if early || filter.until.is_some_and(|until| at >= until) {
                continue;
            }
            let position = stored.position;
            entries.push_front(AuditEntry { at, position, who, did, subject, reason, count });
            if entries.len() == limit {
                return Ok(entries.into());
            }
        }
    }
    Ok(entries.into())
}
