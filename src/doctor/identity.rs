//! As whom event sources and sensors act towards a cloud.

use std::sync::Arc;

use tripline_triggers::Accounts;

use super::World;

/// The service accounts of the cluster that a daemon with these options runs against.
#[cfg(feature = "kubernetes")]
pub fn accounts(world: &World) -> Option<Arc<dyn Accounts>> {
    use tripline_event::SystemClock;

    use crate::daemon::{accounts, targets};

    let choice = &world.options.targets;
    let secrets = Arc::clone(&world.secrets) as _;
    let clusters = targets::clusters(choice, secrets, Arc::new(SystemClock), None);
    clusters.apply(world.configuration.clusters.values().cloned().collect());
    accounts::of(choice, &clusters)
}

/// None: this build knows no clusters.
#[cfg(not(feature = "kubernetes"))]
pub fn accounts(_: &World) -> Option<Arc<dyn Accounts>> {
    None
}
