//! The calls to SNS: subscribing, and confirming.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sns::Client;
use tokio::time::sleep;
use tripline_cloud::Caller;
use tripline_cloud::aws::{Place, Purpose, Trouble, explain};

use super::config::Sns;
use crate::BoxFuture;
use crate::source::{EventSource, Running, SourceError};
use crate::webhook::Posted;

/// How long a call may take: SNS waits 15 s for an answer to a confirmation.
const CALL: Duration = Duration::from_secs(10);
/// The first pause before something that failed is tried again; each further one is twice as
/// long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A topic, with a client for it.
struct Topic {
    client: Client,
    place: Place,
}

impl Topic {
    async fn new(sns: &Sns, caller: &Caller) -> Result<Self, Trouble> {
        let config = sns.access.config(caller, Purpose::Source, CALL).await?;
        let name = sns.topic_arn.rsplit(':').next().unwrap_or_default();
        let place = Place {
            what: format!("topic `{name}`"),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: sns.access.endpoint.clone(),
            fields: "`topicArn`",
        };
        Ok(Self { client: Client::new(&config), place })
    }
}

impl EventSource for Sns {
    /// Subscribes, and then waits: messages come in by HTTP.
    fn run(self: Arc<Self>, running: Running) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let Some(url) = self.url.clone() else {
                running.stop.cancelled().await;
                return Ok(());
            };
            let mut pause = FIRST_PAUSE;
            let mut told = false;
            let caller = running.caller();
            loop {
                let subscribed = tokio::select! {
                    subscribed = subscribe(&self, &caller, &url) => subscribed,
                    () = running.stop.cancelled() => return Ok(()),
                };
                let why = match subscribed {
                    Ok(place) => {
                        running.health.ready(format!("{place} posts to {url}"));
                        tracing::info!(event_source = %running.key, url, "subscribed to {place}");
                        // Not ended when the source stops: SNS tries messages of meanwhile again.
                        running.stop.cancelled().await;
                        return Ok(());
                    }
                    Err(trouble) => trouble.to_string(),
                };
                if !told {
                    tracing::error!(event_source = %running.key, "cannot subscribe: {why}; it is tried again");
                }
                told = true;
                running.health.failing(format!("cannot subscribe: {why}"));
                tokio::select! {
                    () = sleep(pause) => {}
                    () = running.stop.cancelled() => return Ok(()),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        })
    }
}

/// Subscribes `url`. Where it has subscribed already, SNS changes nothing.
async fn subscribe(sns: &Sns, caller: &Caller, url: &str) -> Result<Place, Trouble> {
    let topic = Topic::new(sns, caller).await?;
    let protocol = if url.starts_with("https:") { "https" } else { "http" };
    let request = topic.client.subscribe().topic_arn(&sns.topic_arn).protocol(protocol);
    let answer = request.endpoint(url).return_subscription_arn(true).send().await;
    answer.map_err(|error| explain("sns:Subscribe", &topic.place, &error))?;
    Ok(topic.place)
}

/// Confirms the subscription that `token` is of.
pub async fn confirm(sns: &Sns, request: &Posted<'_>, token: &str) -> Result<(), String> {
    let context = request.context();
    let route = request.route();
    let account = route.service_account.as_deref();
    let caller = crate::identity::caller(
        &route.key.namespace,
        account,
        &context.secrets,
        context.accounts.as_ref(),
    );
    let confirmed = async {
        let topic = Topic::new(sns, &caller).await?;
        let call = topic.client.confirm_subscription().topic_arn(&sns.topic_arn).token(token);
        let answer = call.send().await;
        answer.map_err(|error| explain("sns:ConfirmSubscription", &topic.place, &error))
    };
    confirmed.await.map(drop).map_err(|trouble| trouble.to_string())
}

/// Reaches SNS with the credentials of `caller` and asks for the topic. Nothing is subscribed.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn probe(sns: &Sns, caller: &Caller) -> Result<String, String> {
    let topic = Topic::new(sns, caller).await.map_err(|trouble| trouble.to_string())?;
    let asked = topic.client.get_topic_attributes().topic_arn(&sns.topic_arn).send().await;
    match asked.map_err(|error| explain("sns:GetTopicAttributes", &topic.place, &error)) {
        Ok(_) => Ok(format!("{} is there", topic.place)),
        // Neither subscribing nor confirming needs this right.
        Err(trouble) if trouble.is_denied() => {
            Ok(format!("{}: the credentials are good, and may not look at it", topic.place))
        }
        Err(trouble) => Err(trouble.to_string()),
    }
}
