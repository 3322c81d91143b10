//! Kinds that are built on the webhook's server: what they make of a request.

use std::fmt;

use bytes::Bytes;
use http::request::Parts;

use super::answer::{Answer, Refusal};
use super::request::{Shared, sink_refusal, try_again};
use super::table::Route;
use crate::{Accepted, BoxFuture, Message, SourceContext, Unreadable};

/// A kind whose messages come in by HTTP.
pub(crate) trait Receiver: fmt::Debug + Send + Sync {
    /// The key of the kind.
    fn kind(&self) -> &'static str;

    /// Takes a request in. It is answered with success only after its events are durable.
    fn receive<'a>(&'a self, request: Posted<'a>) -> BoxFuture<'a, Result<Answer, Refusal>>;
}

/// A request, with its body.
pub(crate) struct Posted<'a> {
    pub(super) shared: &'a Shared,
    pub(super) route: &'a Route,
    pub head: &'a Parts,
    pub body: &'a Bytes,
}

impl Posted<'_> {
    /// The event that it is for.
    pub fn route(&self) -> &Route {
        self.route
    }

    /// The world.
    pub fn context(&self) -> &SourceContext {
        &self.shared.context
    }

    /// Puts an event on the bus.
    pub async fn append(&self, message: Message) -> Result<Accepted, Refusal> {
        let appended = self.shared.context.sink.append(message).await;
        appended.map_err(|error| sink_refusal(self.shared, &error))
    }

    /// Keeps what will never be an event.
    pub async fn keep(&self, message: Unreadable) -> Result<(), Refusal> {
        let kept = self.shared.context.sink.unreadable(message).await;
        kept.map_err(|error| sink_refusal(self.shared, &error))
    }

    /// It may work later.
    pub fn try_again(&self, reason: &'static str, text: &'static str) -> Refusal {
        try_again(self.shared, reason, text)
    }
}
