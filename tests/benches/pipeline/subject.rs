//! What is measured: a process that takes events.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tripline_bus::Log;
use tripline_tests::bare::Server;
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::{Connection, Requests};
use tripline_tests::resources::{event_source, http_sensor, workflow_sensor};
use tripline_tests::sink::Sink;
use tripline_tests::store::Store;

use crate::jetstream::Servers;

/// The sensor's `maxInFlight`.
const MAX_IN_FLIGHT: u32 = 64;
/// How long nothing may be done while something is left to do.
const QUIET: Duration = Duration::from_secs(10);

/// A process that takes events at an address.
pub struct Subject {
    title: &'static str,
    /// Where events are sent.
    pub address: SocketAddr,
    process: Process,
    /// Where they end, and how many it had been sent before.
    sink: Option<(Sink, u64)>,
    _folder: Option<tempfile::TempDir>,
    /// The servers that the logs are on, if they are.
    servers: Option<Servers>,
}

enum Process {
    Baseline(Server),
    Daemon(Box<(Place, Daemon)>),
}

impl Subject {
    /// Starts what a row measures.
    pub async fn start(row: &str, directory: &Path, sink: &Sink) -> anyhow::Result<Self> {
        match row {
            "echo" => Self::baseline("bare echo", row, directory, None).await,
            "bare" => Self::baseline("bare path", row, directory, Some(sink)).await,
            "http" => Self::daemon("webhook → HTTP trigger", directory, Some(sink)).await,
            "workflow" => Self::daemon("webhook → workflow", directory, None).await,
            other => match Servers::start(other)? {
                Some(servers) => Self::on(servers, directory, sink).await,
                None => {
                    bail!("there is no row `{other}`: echo, disk, bare, http, workflow, jetstream")
                }
            },
        }
    }

    async fn baseline(
        title: &'static str,
        row: &str,
        directory: &Path,
        sink: Option<&Sink>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(directory)?;
        let directory = folder.path().to_str().context("the folder's name is no text")?;
        let mut arguments = vec!["--serve", row, "--directory", directory];
        let url = sink.map(Sink::url);
        if let Some(url) = &url {
            arguments.extend(["--sink", url]);
        }
        let server = Server::start(&arguments).await?;
        let (address, sink) = (server.address, sink.map(|sink| (sink.clone(), sink.count())));
        let process = Process::Baseline(server);
        Ok(Self { title, address, process, sink, _folder: Some(folder), servers: None })
    }

    async fn daemon(
        title: &'static str,
        directory: &Path,
        sink: Option<&Sink>,
    ) -> anyhow::Result<Self> {
        Self::daemon_at(title, Place::below(directory)?, sink).await
    }

    /// The daemon with its logs on these servers.
    async fn on(servers: Servers, directory: &Path, sink: &Sink) -> anyhow::Result<Self> {
        let mut place = Place::below(directory)?;
        place.arguments = vec!["--nats".to_owned(), servers.url()];
        let subject = Self::daemon_at(servers.title(), place, Some(sink)).await?;
        Ok(Self { servers: Some(servers), ..subject })
    }

    async fn daemon_at(
        title: &'static str,
        place: Place,
        sink: Option<&Sink>,
    ) -> anyhow::Result<Self> {
        place.write("event-source.yaml", &event_source(place.port))?;
        let sensor = match sink {
            Some(sink) => http_sensor("notify", &sink.url(), MAX_IN_FLIGHT),
            None => workflow_sensor("deploy"),
        };
        place.write("sensor.yaml", &sensor)?;
        let daemon = place.start().await?;
        let sink = sink.map(|sink| (sink.clone(), sink.count()));
        let address = place.webhook();
        let process = Process::Daemon(Box::new((place, daemon)));
        Ok(Self { title, address, process, sink, _folder: None, servers: None })
    }

    /// What the row is called.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        match &self.process {
            Process::Baseline(server) => server.pid(),
            Process::Daemon(both) => both.1.pid(),
        }
    }

    /// The sink where events end, if there is one.
    pub fn sink(&self) -> Option<&Sink> {
        self.sink.as_ref().map(|(sink, _)| sink)
    }

    /// Waits until `events` events in all have reached their end.
    pub async fn has_done(&self, events: u64) -> anyhow::Result<()> {
        if let Some((sink, before)) = &self.sink {
            return sink.has_received(before + events, QUIET).await;
        }
        let Process::Daemon(both) = &self.process else { return Ok(()) };
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let done = triggered(&both.1).await?;
            if done >= events {
                return Ok(());
            }
            if done > last {
                (last, since) = (done, Instant::now());
            }
            ensure!(since.elapsed() < QUIET, "{done} of {events} were carried out");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asserts that everything was on while it was measured, and ends the process. Returns
    /// how many records each log was given.
    pub async fn finish(self, events: u64) -> anyhow::Result<Vec<(Log, u64)>> {
        let Process::Daemon(both) = self.process else { return Ok(Vec::new()) };
        let (place, daemon) = *both;
        // The sink has all of them before the last outcomes are durable.
        daemon.settled(SOON).await?;
        let sent = daemon.metric("argo_events_events_sent_total").await? as u64;
        ensure!(sent == events, "the metric of events says {sent}, sent were {events}");
        let done = triggered(&daemon).await?;
        ensure!(done == events, "the metric of actions says {done}, events are {events}");

        let mut request = Vec::new();
        // The latest one: the bus knows the newest ids, the evaluator drops repeats of older ones.
        Requests::new(self.address, "/builds").write(events - 1, &mut request);
        let answer = Connection::open(self.address).await?.exchange(&request).await?;
        ensure!(answer.status == 200 && answer.duplicate, "a repeated id was answered {answer:?}");
        let duplicates = daemon.metric("tripline_events_duplicate_total").await?;
        ensure!(duplicates == 1.0, "the metric of duplicates says {duplicates}");
        daemon.settled(SOON).await?;
        let ended = daemon.stop().await?;
        ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);

        let mut logs = Vec::new();
        for log in Log::ALL {
            let records = match &self.servers {
                Some(servers) => servers.appended(log).await?,
                None => Store::open(&place.data())?.appended(log).await?,
            };
            let name = log.as_str();
            ensure!(records >= events, "the {name} log has {records} records of {events} events");
            logs.push((log, records));
        }
        if let Some((sink, before)) = self.sink {
            ensure!(sink.count() == before + events, "a repeated id has reached the sink");
        }
        Ok(logs)
    }
}

async fn triggered(daemon: &Daemon) -> anyhow::Result<u64> {
    // Before the first action there is no series.
    Ok(daemon.metric("argo_events_action_triggered_total").await.unwrap_or(0.0) as u64)
}
