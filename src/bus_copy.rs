//! `tripline bus copy`: moves the logs and the state from one bus to another.

use std::path::PathBuf;

use anyhow::Context as _;
use tripline_bus::Bus;
use tripline_bus::copy::{Copied, Place, UNFINISHED, copy, starts};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions, prepare};

use crate::daemon::bus::BusChoice;

/// One of the two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A data directory.
    Directory(PathBuf),
    /// Streams on a NATS server.
    Nats(BusChoice),
}

enum Open {
    Embedded(EmbeddedBus),
    #[cfg(feature = "jetstream")]
    JetStream(Box<tripline_bus::jetstream::JetStreamBus>),
}

impl Open {
    fn bus(&self) -> &dyn Bus {
        match self {
            Self::Embedded(bus) => bus,
            #[cfg(feature = "jetstream")]
            Self::JetStream(bus) => &**bus,
        }
    }

    async fn close(&self) {
        match self {
            Self::Embedded(_) => {}
            #[cfg(feature = "jetstream")]
            Self::JetStream(bus) => bus.close().await,
        }
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Embedded(bus) => Place::Embedded(bus),
            #[cfg(feature = "jetstream")]
            Self::JetStream(bus) => Place::JetStream(bus),
        }
    }
}

/// Copies everything from one to the other. No daemon may run on either.
///
/// # Errors
/// One of the two is in use or cannot be opened, or the target is not empty. It may be begun
/// again: what is there already stays.
pub async fn run(from: &End, to: &End) -> anyhow::Result<Copied> {
    anyhow::ensure!(from != to, "--from and --to are the same");
    let source = match from {
        End::Directory(path) => {
            anyhow::ensure!(path.join("data.mdb").exists(), "{} holds no data", path.display());
            Open::Embedded(EmbeddedBus::open(path, &OpenOptions::default())?)
        }
        End::Nats(choice) => nats(choice, None).await.context("--from")?,
    };
    let starts = starts(source.bus()).await?;
    let target = match to {
        End::Directory(path) => {
            prepare(path, &OpenOptions::default(), starts).context("--to")?;
            Open::Embedded(EmbeddedBus::open(path, &OpenOptions::default())?)
        }
        End::Nats(choice) => nats(choice, Some(starts)).await.context("--to")?,
    };
    let copied = copy(source.place(), target.place()).await;
    for bus in [&source, &target] {
        bus.close().await;
    }
    Ok(copied?)
}

#[cfg(feature = "jetstream")]
async fn nats(
    choice: &BusChoice,
    starts: Option<[tripline_bus::copy::Start; 3]>,
) -> anyhow::Result<Open> {
    use tripline_bus::jetstream::{JetStreamBus, OpenOptions, Owner};
    let name = format!("bus copy (process {})", std::process::id());
    let owner = Owner { name, id: None, wait: std::time::Duration::ZERO };
    let open = crate::daemon::bus::jetstream::open_options(choice, None, None)?;
    let open = OpenOptions { owner: Some(owner), starts, ..open };
    Ok(Open::JetStream(Box::new(JetStreamBus::open(&open).await?)))
}

#[cfg(not(feature = "jetstream"))]
async fn nats(_: &BusChoice, _: Option<[tripline_bus::copy::Start; 3]>) -> anyhow::Result<Open> {
    anyhow::bail!("this build knows no JetStream: it was built without the feature `jetstream`")
}

/// Refuses a bus that a copy has not filled yet.
///
/// # Errors
/// It is one, or cannot be read.
pub async fn refuse_unfinished(bus: &dyn Bus) -> anyhow::Result<()> {
    anyhow::ensure!(
        bus.get(UNFINISHED).await?.is_none(),
        "the event bus is the target of a copy that broke off: run `tripline bus copy` again until it is done"
    );
    Ok(())
}
