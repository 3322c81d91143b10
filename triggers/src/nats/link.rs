//! A connection that all messages to one server, as one user, go over.
//!
//! It is made again by itself when it breaks; one that the server does not let in any more is
//! closed, and another is made.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::{Client, Event};
use tokio::sync::Notify;
use tokio::time::timeout;
use tripline_event::Cause;
use tripline_nats::{Auth, Tls, chain, is_refusal, without_password};

use crate::TriggerError;

/// How long a connection may take, and an answer.
pub(super) const CALL: Duration = Duration::from_secs(5);
/// How often a connection on which nothing happens is tried.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// What the server said, besides answers, is remembered: so many of the latest.
const COMPLAINTS: usize = 16;

/// What makes one connection differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) url: String,
    pub(super) auth: Auth,
    pub(super) tls: Tls,
}

/// A connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) context: Context,
    /// The servers, for messages.
    pub(super) shown: String,
    complaints: Arc<Mutex<Complaints>>,
    /// Told when there is another complaint.
    heard: Arc<Notify>,
}

#[derive(Default)]
struct Complaints {
    latest: VecDeque<String>,
    closed: bool,
}

impl Link {
    /// Connects.
    pub(super) async fn open(key: &Key) -> Result<Self, TriggerError> {
        let shown = without_password(&key.url);
        let refused = |reason: String| TriggerError::Refused { cause: Cause::Render, reason };
        let servers = tripline_nats::servers(&key.url).map_err(refused)?;
        let complaints = Arc::new(Mutex::new(Complaints::default()));
        let heard = Arc::new(Notify::new());
        let (kept, told) = (Arc::clone(&complaints), Arc::clone(&heard));
        // A certificate may be put right yet.
        let options = tripline_nats::options(&key.auth, &key.tls).map_err(not_done)?;
        let connecting = options
            .name("tripline")
            .connection_timeout(CALL)
            .ping_interval(PING_EVERY)
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                let doubled = 1_u64 << attempts.clamp(1, 7);
                Duration::from_millis(8 * doubled).min(RECONNECT_PAUSE)
            })
            .event_callback(move |event| {
                hear(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), &event);
                told.notify_waiters();
                std::future::ready(())
            })
            .connect(servers);
        let client = match timeout(2 * CALL, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) if is_refusal(&error) => {
                let reason = format!(
                    "NATS at {shown} does not let Tripline in: {}: is `auth` right?",
                    chain(&error)
                );
                return Err(TriggerError::Refused { cause: Cause::Forbidden, reason });
            }
            Ok(Err(error)) => {
                let why = chain(&error);
                return Err(not_done(format!("NATS at {shown} cannot be reached: {why}")));
            }
            Err(_) => return Err(not_done(format!("NATS at {shown} does not answer"))),
        };
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(CALL);
        Ok(Self { client, context, shown, complaints, heard })
    }

    /// Whether it stands; where it does not, nothing was sent.
    pub(super) fn check(&self) -> Result<(), TriggerError> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            _ => Err(not_done(format!("NATS at {} cannot be reached", self.shown))),
        }
    }

    /// Whether it will not be made again.
    pub(super) fn is_closed(&self) -> bool {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Waits until the server has said that a message must not be published to `subject`.
    pub(super) async fn is_denied(&self, subject: &str) {
        loop {
            let heard = self.heard.notified();
            if self.denied(subject) {
                return;
            }
            heard.await;
        }
    }

    /// Whether the server has said that a message must not be published to `subject`; that is
    /// forgotten then.
    pub(super) fn denied(&self, subject: &str) -> bool {
        let quoted = format!("\"{subject}\"");
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let found = complaints.latest.iter().position(|text| text.contains(&quoted));
        found.and_then(|at| complaints.latest.remove(at)).is_some()
    }
}

fn hear(complaints: &mut Complaints, event: &Event) {
    match event {
        Event::Closed => complaints.closed = true,
        Event::Connected => complaints.closed = false,
        Event::ServerError(error) => {
            let text = error.to_string();
            let lower = text.to_ascii_lowercase();
            // Its credentials are not those that the server knows: another connection is made
            // with the present ones.
            complaints.closed |=
                lower.contains("authorization") || lower.contains("authentication");
            complaints.latest.push_back(text);
            if complaints.latest.len() > COMPLAINTS {
                complaints.latest.pop_front();
            }
        }
        _ => {}
    }
}

/// Nothing was sent, and another attempt may work.
pub(super) fn not_done(reason: String) -> TriggerError {
    TriggerError::NotDone { reason, after: None }
}
