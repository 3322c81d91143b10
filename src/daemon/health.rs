//! Whether the daemon can do its work, and if not, why.

use super::Shared;

impl Shared {
    /// Why the daemon is not ready; empty where it is. It is ready when every event source
    /// can take events in, the bus takes them, and it is not stopping.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self
            .sources
            .status()
            .into_iter()
            .filter(|status| !status.ready)
            .map(|status| format!("event source {}: {}", status.key, status.detail))
            .collect();
        let bridges = self.interop.source_statuses().into_iter().filter(|status| !status.ready);
        reasons.extend(
            bridges.map(|status| format!("Argo Events' bus {}: {}", status.key, status.detail)),
        );
        reasons
            .extend(self.backend.troubles().into_iter().map(|text| format!("event bus: {text}")));
        if !self.engine.ingest.is_healthy() && !self.backend.watches_itself() {
            reasons.push("the event bus did not take the latest event".to_owned());
        }
        if self.engine.progress.has_changed().is_err() {
            reasons.push("the evaluator has ended".to_owned());
        }
        if self.stopping.is_cancelled() {
            reasons.push("the daemon is stopping".to_owned());
        }
        reasons
    }

    /// The daemon cannot get well by itself.
    pub(crate) fn is_dead(&self) -> bool {
        self.engine.progress.has_changed().is_err() && !self.stopping.is_cancelled()
    }
}
