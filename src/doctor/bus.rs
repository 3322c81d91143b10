//! Whether the event bus can be used.

use std::path::{Path, PathBuf};

use tripline_bus::embedded::{DirectoryLock, OpenError, OpenOptions};

use super::{Finding, Probe, World};

/// The data directory, and the NATS server where one is the bus.
pub fn probes(world: &World) -> Vec<Probe> {
    let data = world.options.data.clone();
    let directory = Probe::new("data directory", data.display().to_string(), async move {
        vec![match tokio::task::spawn_blocking(move || directory(&data)).await {
            Ok(finding) => finding,
            Err(error) => Finding::wrong(error.to_string()),
        }]
    });
    let mut probes = vec![directory];
    let configuration = &world.configuration;
    let wanted = configuration.event_bus.as_ref();
    let server = wanted.is_some_and(|bus| bus.server.is_some());
    if let Some(object) = &configuration.event_bus_refused
        && world.options.bus.nats.is_none()
    {
        let said = "names a server and cannot be used, see `tripline check`: the daemon does not \
                    start on another bus instead";
        probes.push(Probe::new("event bus", format!("EventBus {object}"), async move {
            vec![Finding::wrong(said)]
        }));
    } else if world.options.bus.nats.is_some() || server {
        probes.push(jet_stream(world));
    }
    #[cfg(feature = "jetstream")]
    probes.extend(world.configuration.interop.values().map(|bus| argo_events(world, bus)));
    probes
}

/// A bus of Argo Events: whether its stream is there, and may be read.
#[cfg(feature = "jetstream")]
fn argo_events(world: &World, bus: &crate::load::interop::InteropBus) -> Probe {
    use crate::interop::probe;

    let options = probe::options(bus, &world.secrets);
    let subject = format!("EventBus {}, Argo Events' own", bus.object);
    let bus = bus.clone();
    Probe::new("event bus", subject, async move {
        vec![match probe::probe(bus, options).await {
            Ok(said) => Finding::good(said),
            Err(said) => Finding::wrong(said),
        }]
    })
}

/// Nothing is made: where the directory is missing, the nearest one that is there is asked.
fn directory(data: &Path) -> Finding {
    let is_empty = || std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
    if !data.exists() || is_empty() {
        let nearest = data.ancestors().find(|path| path.exists()).map(PathBuf::from);
        let nearest = nearest.unwrap_or_else(|| PathBuf::from("/"));
        return match tempfile_in(&nearest) {
            Ok(()) if nearest == data => Finding::good("can be used"),
            Ok(()) => Finding::good(format!("will be made in {}", nearest.display())),
            Err(error) => Finding::wrong(format!(
                "is not there, and cannot be made: {} cannot be written in ({error}); name \
                 another one with `--data`",
                nearest.display()
            )),
        };
    }
    match DirectoryLock::take(data, &OpenOptions::default()) {
        Ok(_) => Finding::good("can be used"),
        Err(OpenError::InUse { pid, .. }) => Finding::good(match pid {
            Some(pid) => format!("a daemon runs on it, process {pid}"),
            None => "a daemon runs on it".to_owned(),
        }),
        Err(error) => Finding::wrong(error.to_string()),
    }
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".tripline-doctor-{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(&path)
}

#[cfg(feature = "jetstream")]
fn jet_stream(world: &World) -> Probe {
    use tripline_bus::jetstream::{Severity, preflight};

    use crate::daemon::bus::jetstream::{open_options, shown};

    let wanted = world.configuration.event_bus.as_ref();
    let options = open_options(&world.options.bus, wanted, Some(&*world.secrets));
    let subject = match &options {
        Ok(options) => format!("JetStream at {}", shown(&options.url)),
        Err(_) => "JetStream".to_owned(),
    };
    Probe::new("event bus", subject, async move {
        let options = match options {
            Ok(options) => options,
            Err(error) => return vec![Finding::wrong(format!("{error:#}"))],
        };
        let found = preflight(&options).await;
        if found.is_empty() {
            return vec![Finding::good("can be used")];
        }
        let finding = |found: tripline_bus::jetstream::Finding| match found.severity {
            Severity::Wrong => Finding::wrong(found.text),
            Severity::Note => Finding::note(found.text),
        };
        found.into_iter().map(finding).collect()
    })
}

#[cfg(not(feature = "jetstream"))]
fn jet_stream(_: &World) -> Probe {
    Probe::new("event bus", "JetStream", async {
        vec![Finding::wrong("this build knows no JetStream: it has no feature `jetstream`")]
    })
}
