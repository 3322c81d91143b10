//! The bridges that run: one for each bus of Argo Events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tripline_bus::Log;
use tripline_bus::jetstream::argo::{Argo, Options};
use tripline_event::ObjectName;

use super::handover::{self, Candidate};
use super::inward::{BridgeError, Inward};
use super::outward::Outward;
use super::places::{self, Places};
use super::status::BridgeStatus;
use super::{admitted, is_taken_over};
use crate::daemon::Shared;
use crate::load::Configuration;
use crate::load::interop::InteropBus;

/// How long a message is waited for, before it is looked at everything else.
const WAIT: Duration = Duration::from_millis(500);
/// How often it is tried to take over what waits.
const HAND_OVER_EVERY: Duration = Duration::from_secs(1);
/// Pauses between sessions.
const PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(200)..=Duration::from_secs(5);

struct Running {
    bus: InteropBus,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// Keeps a bridge for each bus of the configuration, until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let mut running: BTreeMap<ObjectName, Running> = BTreeMap::new();
    loop {
        let configuration = shared.configuration.load_full();
        let gone: Vec<ObjectName> = running
            .iter()
            .filter(|(name, bridge)| configuration.interop.get(*name) != Some(&bridge.bus))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(bridge) = running.remove(&name) {
                bridge.stop.cancel();
                bridge.ended.cancelled().await;
                shared.interop.lock().remove(&name);
            }
        }
        for (name, bus) in &configuration.interop {
            if !running.contains_key(name) {
                let bridge = start(&shared, bus, &stop, &tasks);
                running.insert(name.clone(), bridge);
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = shared.interop.changed.notified() => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn start(
    shared: &Arc<Shared>,
    bus: &InteropBus,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Running {
    let status = Arc::new(BridgeStatus::new(bus.object.clone(), Arc::clone(&shared.clock)));
    shared.interop.lock().insert(bus.object.clone(), Arc::clone(&status));
    let stop = stop.child_token();
    let ended = CancellationToken::new();
    let bridge = Bridge { shared: Arc::clone(shared), bus: bus.clone(), status };
    let (stopping, ending) = (stop.clone(), ended.clone().drop_guard());
    tasks.spawn(async move {
        tokio::select! {
            biased;
            // What is under way is durable, or is done again.
            () = stopping.cancelled() => {}
            () = bridge.run() => {}
        }
        drop(ending);
    });
    Running { bus: bus.clone(), stop, ended }
}

/// One bus of Argo Events.
struct Bridge {
    shared: Arc<Shared>,
    bus: InteropBus,
    status: Arc<BridgeStatus>,
}

impl Bridge {
    async fn run(&self) {
        let mut pause = *PAUSES.start();
        loop {
            let begun = Instant::now();
            if let Err(error) = self.session().await {
                self.status.fails(&error.to_string());
            }
            let well = begun.elapsed() > *PAUSES.end();
            pause = if well { *PAUSES.start() } else { (pause * 2).min(*PAUSES.end()) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn session(&self) -> Result<(), BridgeError> {
        let options = options(&self.bus, &self.shared.secrets).map_err(BridgeError::Other)?;
        let argo = Argo::connect(&options).await?;
        let bus = Arc::clone(&self.shared.bus);
        let ingest = Arc::clone(&self.shared.engine.ingest);
        let places = Places { of: self.bus.object.clone() };
        let own = places::own(&*bus).await?;
        let status = Arc::clone(&self.status);
        let inward = Inward::open(
            argo.clone(),
            Arc::clone(&bus),
            Arc::clone(&ingest),
            places.clone(),
            own.clone(),
            Arc::clone(&status),
        );
        let mut inward = inward.await?;
        let outward = Mutex::new(Outward::open(argo, bus, ingest, places, own, status).await?);
        tokio::select! {
            ended = self.take_in(&mut inward, &outward) => ended,
            ended = self.send(&outward) => ended,
        }
    }

    /// Takes messages in, and sensors over.
    async fn take_in(
        &self,
        inward: &mut Inward,
        outward: &Mutex<Outward>,
    ) -> Result<(), BridgeError> {
        // What was begun before a crash is ended before anything else comes in.
        handover::finish(&self.shared, inward).await?;
        let mut looked: Option<Instant> = None;
        // The configuration of which no sensor waits.
        let mut seen: Option<Arc<Configuration>> = None;
        loop {
            let configuration = self.shared.configuration.load_full();
            let is_new = seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &configuration));
            if is_new && looked.is_none_or(|at| at.elapsed() >= HAND_OVER_EVERY) {
                looked = Some(Instant::now());
                let candidates = self.candidates(&configuration).await?;
                if candidates.is_empty() {
                    seen = Some(configuration);
                } else {
                    handover::run(&self.shared, &candidates, inward, outward, &self.status).await?;
                }
            }
            inward.step(WAIT).await?;
            self.status
                .works(&format!("reads and feeds Argo Events' stream at {}", inward.argo.url()));
        }
    }

    /// The sensors of this bus that are not taken over yet.
    async fn candidates(
        &self,
        configuration: &Configuration,
    ) -> Result<Vec<Candidate>, BridgeError> {
        let wrong = |error: &dyn std::fmt::Display| BridgeError::Other(error.to_string());
        let admitted = admitted(&*self.shared.bus, configuration).await;
        let admitted = admitted.map_err(|error| wrong(&error))?;
        let candidates: Vec<Candidate> = configuration
            .sensors
            .values()
            .filter(|sensor| sensor.definition.name.namespace == self.bus.object.namespace)
            .filter(|sensor| !admitted.contains(&sensor.definition.name))
            .filter(|sensor| is_taken_over(configuration, sensor))
            .filter(|sensor| sensor.bus() == self.bus.object)
            .map(|sensor| Candidate {
                sensor: Arc::clone(&sensor.compiled.sensor),
                start: self.bus.start_of(&sensor.definition.name.name),
            })
            .collect();
        let names: Vec<ObjectName> =
            candidates.iter().map(|candidate| candidate.sensor.name.clone()).collect();
        self.status.wait_only(&names);
        Ok(candidates)
    }

    /// Sends what Tripline's event sources take in. That Argo Events' bus takes nothing keeps
    /// nobody from reading it.
    async fn send(&self, outward: &Mutex<Outward>) -> Result<(), BridgeError> {
        let mut pause = *PAUSES.start();
        loop {
            let configuration = self.shared.configuration.load_full();
            let (next, stepped) = {
                let mut outward = outward.lock().await;
                outward.sources.extend(sources(&configuration, &self.bus.object));
                let stepped = outward.step().await;
                if let Ok(false) = stepped {
                    // Everything is sent, also of those that are gone.
                    outward.sources = sources(&configuration, &self.bus.object);
                }
                (outward.next(), stepped)
            };
            match stepped {
                Ok(true) => {
                    self.status.sending(None);
                    pause = *PAUSES.start();
                }
                Ok(false) => {
                    self.status.sending(None);
                    // A configuration that changed is seen with the next record.
                    if let Err(error) = self.shared.bus.wait(Log::Events, next).await {
                        self.status.sending(Some(&error.to_string()));
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) => {
                    self.status.sending(Some(&error.to_string()));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(*PAUSES.end());
                }
            }
        }
    }
}

/// The event sources whose events go to this bus.
pub(super) fn sources(configuration: &Configuration, bus: &ObjectName) -> BTreeSet<String> {
    let sources = configuration.sources.values().filter(|source| source.bus() == *bus);
    sources.map(|source| source.name.name.clone()).collect()
}

/// How the bus is connected to.
pub(crate) fn options(
    bus: &InteropBus,
    secrets: &crate::daemon::secrets::SecretStore,
) -> Result<Options, String> {
    use tripline_bus::jetstream::{Auth, Tls};
    use tripline_triggers::SecretLookup as _;

    let server = &bus.server;
    let secret = |reference: &tripline_config::SecretRef| -> Result<String, String> {
        let secret = secrets.secret(&bus.object.namespace, reference)?;
        let text = std::str::from_utf8(secret.expose());
        Ok(text.map_err(|_| format!("secret {} is no text", reference.name))?.to_owned())
    };
    let auth = match &server.access_secret {
        Some(reference) => crate::daemon::bus::jetstream::access(&secret(reference)?),
        None => Auth::Nobody,
    };
    let mut tls = Tls::default();
    if let Some(wanted) = &server.tls {
        tls.required = true;
        tls.any_server = wanted.insecure_skip_verify == Some(true);
        tls.ca = wanted.ca_cert_secret.as_ref().map(&secret).transpose()?;
        if let (Some(certificate), Some(key)) =
            (&wanted.client_cert_secret, &wanted.client_key_secret)
        {
            tls.identity = Some((secret(certificate)?, secret(key)?));
        }
    }
    Ok(Options { url: server.url.clone(), auth, tls, name: "tripline (interop)".to_owned() })
}
