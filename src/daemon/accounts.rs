//! The service accounts as which event sources and sensors act towards a cloud: those of the
//! cluster that Tripline runs against.

use std::sync::Arc;

use tripline_triggers::Accounts;

#[cfg(feature = "kubernetes")]
use super::targets::TargetChoice;
use super::targets::Targets;

/// Those of the default target; none where that is the local one.
#[cfg(feature = "kubernetes")]
pub(crate) fn of(
    choice: &TargetChoice,
    clusters: &Arc<tripline_triggers::cluster::Clusters>,
) -> Option<Arc<dyn Accounts>> {
    use tripline_triggers::cluster::accounts::ClusterAccounts;
    use tripline_triggers::workflow::local;

    let name = choice.default_target();
    (name != local::NAME).then(|| Arc::new(ClusterAccounts::new(Arc::clone(clusters), name)) as _)
}

/// Those of the default target of a daemon.
#[cfg(feature = "kubernetes")]
pub(crate) fn of_targets(targets: &Targets) -> Option<Arc<dyn Accounts>> {
    of(targets.choice(), targets.clusters())
}

/// None: this build knows no clusters.
#[cfg(not(feature = "kubernetes"))]
pub(crate) fn of_targets(_: &Targets) -> Option<Arc<dyn Accounts>> {
    None
}
