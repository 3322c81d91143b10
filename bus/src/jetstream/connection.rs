//! The connection to the server: who one is, and whether it stands.
//!
//! It is made again by itself when it breaks, for as long as the process lives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, Event};
use tokio::sync::watch;
pub(super) use tripline_nats::without_password;
use tripline_nats::{Auth, Tls, chain, is_refusal};

use super::OpenError;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection on which nothing happens is tried.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// A connection.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// How often it was made: what was under way before the latest time is not answered.
    pub(super) made: watch::Receiver<u64>,
    /// What the server said last, besides answers.
    complaint: Arc<Mutex<Option<String>>>,
    url: Arc<str>,
}

impl Connection {
    /// Connects to one of the servers of `url`, which are separated by commas.
    pub(super) async fn open(
        url: &str,
        name: &str,
        auth: &Auth,
        tls: &Tls,
    ) -> Result<Self, OpenError> {
        let shown: Arc<str> = without_password(url).into();
        let failed = |reason: String| OpenError::Unreachable { url: shown.to_string(), reason };
        let wrong = |reason: String| OpenError::Refused { url: shown.to_string(), reason };
        let addresses = tripline_nats::servers(url).map_err(wrong)?;
        let (sender, made) = watch::channel(0);
        let complaint = Arc::new(Mutex::new(None));
        let options = tripline_nats::options(auth, tls).map_err(wrong)?;
        let heard = Arc::clone(&complaint);
        let connecting = options
            .name(name)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_EVERY)
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                let doubled = 1_u64 << attempts.clamp(1, 7);
                Duration::from_millis(8 * doubled).min(RECONNECT_PAUSE)
            })
            .event_callback(move |event| {
                match &event {
                    Event::Connected => {
                        sender.send_modify(|made| *made += 1);
                        *lock(&heard) = None;
                    }
                    Event::ServerError(_) | Event::ClientError(_) => {
                        *lock(&heard) = Some(event.to_string());
                    }
                    _ => {}
                }
                tracing::debug!(%event, "connection to the event bus");
                std::future::ready(())
            })
            .connect(addresses);
        let connected = tokio::time::timeout(2 * CONNECT_TIMEOUT, connecting).await;
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                let refused = is_refusal(&error);
                let reason = chain(&error);
                return Err(if refused { wrong(reason) } else { failed(reason) });
            }
            Err(_) => return Err(failed("it does not answer".to_owned())),
        };
        Ok(Self { client, made, complaint, url: shown })
    }

    /// Whether it stands, as far as this end knows.
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Why nothing came.
    pub(super) fn silence(&self) -> String {
        let url = &self.url;
        if let Some(complaint) = lock(&self.complaint).as_ref() {
            return format!("NATS at {url} does not answer; it last said: {complaint}");
        }
        if self.is_up() {
            format!("NATS at {url} does not answer, though it is connected")
        } else {
            format!("NATS at {url} cannot be reached")
        }
    }

    /// The servers, without what is secret.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
