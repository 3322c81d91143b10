//! What SNS posts: confirmations, and notifications.

use bytes::Bytes;
use http::StatusCode;

use super::KIND;
use super::certificates::Unusable;
use super::config::Sns;
use super::content::{Content, content};
use super::signature::verify;
use super::subscribe::confirm;
use crate::unwrap::envelope::Envelope;
use crate::webhook::{Answer, Posted, Receiver, Refusal};
use crate::{BoxFuture, Unreadable};

/// What is answered to what is no message of SNS, as from Argo Events.
const NO_NOTIFICATION: &str = "bad request, not a valid SNS notification";

impl Receiver for Sns {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn receive<'a>(&'a self, request: Posted<'a>) -> BoxFuture<'a, Result<Answer, Refusal>> {
        Box::pin(async move {
            let envelope =
                Envelope::parse(request.body).map_err(|why| refused("no message of SNS", &why))?;
            if envelope.topic_arn != self.topic_arn {
                let why = "it is of another topic";
                return Err(refused("a message of another topic", why));
            }
            self.check(&request, &envelope).await?;
            match envelope.kind.as_str() {
                "Notification" => self.take(&request, &envelope).await,
                "SubscriptionConfirmation" => self.confirmed(&request, &envelope).await,
                "UnsubscribeConfirmation" => {
                    let (event_source, topic) = (&request.route().key, &self.topic_arn);
                    tracing::warn!(%event_source, topic, "the subscription was ended: no more messages come in until somebody subscribes again");
                    Ok(Answer::Done)
                }
                other => Err(refused("no message of SNS", &format!("its type is {other:?}"))),
            }
        })
    }
}

impl Sns {
    async fn check(&self, request: &Posted<'_>, envelope: &Envelope) -> Result<(), Refusal> {
        let Some(certificates) = &self.certificates else { return Ok(()) };
        let now = request.context().clock.now();
        match verify(certificates, envelope, now).await {
            Ok(()) => Ok(()),
            Err(Unusable::Wrong(why)) => {
                let event_source = &request.route().key;
                tracing::warn!(%event_source, "a message was refused: {why}");
                Err(refused("no valid signature", &why))
            }
            Err(Unusable::Unavailable(why)) => {
                let event_source = &request.route().key;
                tracing::error!(%event_source, "a signature cannot be checked: {why}");
                let text = "the signature cannot be checked now, try again";
                Err(request.try_again("signature not checked", text))
            }
        }
    }

    async fn confirmed(
        &self,
        request: &Posted<'_>,
        envelope: &Envelope,
    ) -> Result<Answer, Refusal> {
        let (event_source, topic) = (&request.route().key, &self.topic_arn);
        let Some(token) = &envelope.token else {
            return Err(refused("no message of SNS", "it has no `Token`"));
        };
        match confirm(self, request, token).await {
            Ok(()) => {
                tracing::info!(%event_source, topic, "the subscription is confirmed");
                Ok(Answer::Done)
            }
            Err(why) => {
                tracing::error!(%event_source, topic, "the subscription cannot be confirmed: {why}");
                let text = "the subscription cannot be confirmed now, try again";
                Err(request.try_again("subscription not confirmed", text))
            }
        }
    }

    async fn take(&self, request: &Posted<'_>, envelope: &Envelope) -> Result<Answer, Refusal> {
        match content(self, request, envelope) {
            Ok(Content::Nothing(what)) => {
                request.context().sink.refused(&request.route().key, what);
                Ok(Answer::Done)
            }
            Ok(Content::Events(events)) => {
                let mut last = None;
                for event in events {
                    last = Some(request.append(event).await?);
                }
                Ok(last.map_or(Answer::Done, Answer::Accepted))
            }
            Err(reason) => {
                let kept = Unreadable {
                    key: request.route().key.clone(),
                    kind: KIND,
                    id: Some(tripline_event::EventId::from_upstream(&envelope.message_id)),
                    time: request.context().clock.now(),
                    bytes: Bytes::copy_from_slice(envelope.message.as_bytes()),
                    headers: envelope.texts(),
                    reason,
                };
                request.keep(kept).await?;
                Ok(Answer::Done)
            }
        }
    }
}

fn refused(reason: &'static str, why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason, format!("{NO_NOTIFICATION}: {why}"))
}
