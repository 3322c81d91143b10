//! The connection to the server: made with the present credentials, and watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{Client, Event, ServerError};
use tokio::sync::watch;
use tokio::time::timeout;
use tripline_nats::{Auth, Tls, chain, is_refusal, without_password};

use super::config::Nats;
use super::limits::{CONNECT, CORE_BUFFER, PING_EVERY};
use crate::{SecretLookup, SecretRef};

/// A connection. It is not made again when it breaks: another session makes another.
pub struct Connection {
    pub client: Client,
    /// The servers, for messages.
    pub shown: String,
    access: (Auth, Tls),
    /// Why it is of no use any more.
    trouble: watch::Receiver<Option<String>>,
    /// Messages that came faster than they were taken, and are gone.
    dropped: Arc<AtomicU64>,
}

impl Connection {
    /// Connects with the present values of the secrets.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn open(
        nats: &Nats,
        namespace: &str,
        name: &str,
        secrets: &dyn SecretLookup,
    ) -> Result<Self, String> {
        let shown = without_password(&nats.url);
        let access = access(nats, namespace, secrets)?;
        let servers = tripline_nats::servers(&nats.url)?;
        let (sender, trouble) = watch::channel(None);
        let dropped = Arc::new(AtomicU64::new(0));
        let (count, place) = (Arc::clone(&dropped), shown.clone());
        let options = tripline_nats::options(&access.0, &access.1)?
            .name(format!("tripline {name}"))
            .connection_timeout(CONNECT)
            .ping_interval(PING_EVERY)
            .subscription_capacity(CORE_BUFFER)
            // An attempt at each server; where it breaks there is another session.
            .max_reconnects(servers.len())
            .event_callback(move |event| {
                if matches!(event, Event::SlowConsumer(_)) {
                    count.fetch_add(1, Ordering::Relaxed);
                } else if let Some(why) = trouble_of(&event, &place) {
                    sender.send_modify(|trouble| {
                        trouble.get_or_insert(why);
                    });
                }
                std::future::ready(())
            });
        let attempts = u32::try_from(servers.len()).unwrap_or(1);
        let client = match timeout(CONNECT * attempts, options.connect(servers)).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) if is_refusal(&error) => {
                let reason = chain(&error);
                return Err(format!(
                    "NATS at {shown} does not let Tripline in: {reason}: is `auth` right?"
                ));
            }
            Ok(Err(error)) => {
                return Err(format!("NATS at {shown} cannot be reached: {}", chain(&error)));
            }
            Err(_) => return Err(format!("NATS at {shown} does not answer")),
        };
        Ok(Self { client, shown, access, trouble, dropped })
    }

    /// Returns when the connection is of no use any more, and why.
    pub async fn broken(&self) -> String {
        let mut trouble = self.trouble.clone();
        match trouble.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // The client is gone with its callback.
            Err(_) => format!("the connection to NATS at {} was lost", self.shown),
        }
    }

    /// Why the connection is of no use any more, if that is known.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Whether the secrets have other values than those that it was made with.
    pub fn is_outdated(&self, nats: &Nats, namespace: &str, secrets: &dyn SecretLookup) -> bool {
        // One that cannot be read at present is no reason to give up what works.
        access(nats, namespace, secrets).is_ok_and(|access| access != self.access)
    }

    /// How many messages are gone since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

fn access(nats: &Nats, namespace: &str, secrets: &dyn SecretLookup) -> Result<(Auth, Tls), String> {
    let lookup = |of: &SecretRef| secrets.secret(namespace, of).map(|value| value.to_vec());
    let auth = tripline_nats::auth(nats.auth.as_ref(), &lookup);
    let tls = tripline_nats::tls(nats.tls.as_ref(), &lookup);
    Ok((
        auth.map_err(|error| format!("`auth`: {error}"))?,
        tls.map_err(|error| format!("`tls`: {error}"))?,
    ))
}

fn trouble_of(event: &Event, place: &str) -> Option<String> {
    match event {
        Event::Disconnected | Event::Closed => {
            Some(format!("the connection to NATS at {place} was lost"))
        }
        Event::ServerError(ServerError::SlowConsumer(_)) => None,
        Event::ServerError(error) => {
            let text = error.to_string();
            // Of what the server says this alone does not go away by itself.
            let permission = text.to_ascii_lowercase().contains("permissions violation");
            permission.then(|| {
                format!("NATS at {place} does not allow it: {text}: grant the user this subject")
            })
        }
        _ => None,
    }
}
