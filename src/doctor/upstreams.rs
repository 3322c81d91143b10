//! Whether event sources can take events in.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;

use tripline_eventsources::{EventDefinition, SecretLookup};

use super::identity::accounts;
use super::{Finding, Probe, World};
use crate::control::Client;

/// One for each event that has an upstream, and one for each port.
pub fn probes(world: &World) -> Vec<Probe> {
    let local = world.options.targets.is_local_unsaid();
    let accounts = accounts(world);
    let events = world.configuration.events();
    let mut ports: Vec<u16> = events.iter().filter_map(EventDefinition::port).collect();
    ports.sort_unstable();
    ports.dedup();
    let (bind, data) = (world.options.bind, world.options.data.clone());
    let ports = ports.into_iter().map(move |port| {
        let data = data.clone();
        Probe::new("event source", format!("webhooks of port {port}"), async move {
            let daemon = Client::is_served(&data).await;
            vec![port_is_free(bind, port, daemon)]
        })
    });
    let upstreams = events
        .into_iter()
        .filter(|event| event.port().is_none() || event.kind == "sns")
        .map(|event| {
            let secrets = Arc::clone(&world.secrets) as Arc<dyn SecretLookup>;
            let accounts = accounts.clone();
            Probe::new("event source", event.key.to_string(), async move {
                let mut found = match event.probe(&secrets, accounts.as_ref()).await {
                    None => vec![Finding::good("needs no upstream")],
                    Some(Ok(said)) => vec![Finding::good(said)],
                    Some(Err(said)) => vec![Finding::wrong(said)],
                };
                if local && event.has_real_upstream() {
                    found.push(Finding::note(
                        "its upstream is real, and `tripline run` refuses it while workflows are \
                     only recorded: name the cluster (`--context`, `--target`), or say \
                     `--target local`",
                    ));
                }
                found
            })
        });
    upstreams.chain(ports).collect()
}

/// `daemon`: one runs on the data directory, which is then most likely who has the port.
fn port_is_free(bind: IpAddr, port: u16, daemon: bool) -> Finding {
    match TcpListener::bind((bind, port)) {
        Ok(_) => Finding::good(format!("can be listened on at {bind}")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && daemon => {
            Finding::good("is in use, and a daemon runs on the data directory")
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::wrong(format!(
            "another program listens at {bind}: stop it, or change `port` of the webhook"
        )),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Finding::wrong(format!(
            "may not be listened on ({error}): take one above 1023, or give the daemon \
             CAP_NET_BIND_SERVICE"
        )),
        Err(error) => Finding::wrong(format!("cannot be listened on at {bind}: {error}")),
    }
}
