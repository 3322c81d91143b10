//! What the service answers, in words that say what to do.

use google_cloud_pubsub::Error;

use super::names::Names;

/// What an answer means for what was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is no such thing.
    NotFound,
    /// It was there already.
    AlreadyExists,
    /// The account may not do it.
    Denied,
    /// The server does not know the call: an emulator.
    Unknown,
    /// Something else.
    Other,
}

impl Answer {
    /// What `error` means.
    pub fn of(error: &Error) -> Self {
        match error.status().map(|status| status.code.name()) {
            Some("NOT_FOUND") => Self::NotFound,
            Some("ALREADY_EXISTS") => Self::AlreadyExists,
            Some("PERMISSION_DENIED") => Self::Denied,
            Some("UNIMPLEMENTED") => Self::Unknown,
            _ => Self::Other,
        }
    }
}

/// Who speaks to whom: for messages.
pub struct Speaker<'a> {
    pub names: &'a Names,
    /// Where, if not at Google.
    pub endpoint: Option<&'a str>,
    pub account: Option<&'a str>,
}

impl Speaker<'_> {
    /// What went wrong while `doing` something, and what to do.
    pub fn explain(&self, doing: &str, error: &Error) -> String {
        let names = self.names;
        if error.is_authentication() {
            return format!(
                "{doing}: {} could not be authenticated: {}",
                self.account(),
                chain(error)
            );
        }
        let Some(status) = error.status() else {
            return format!("{doing}: {} cannot be reached: {}", self.server(), chain(error));
        };
        let said = status.message.trim();
        match status.code.name() {
            "NOT_FOUND" => format!("{doing}: {said}: is `projectID` {:?} right?", names.project),
            "PERMISSION_DENIED" => format!("{doing}: {} may not: {said}", self.account()),
            "UNAUTHENTICATED" => {
                format!("{doing}: the credentials of {} are not accepted: {said}", self.account())
            }
            "UNAVAILABLE" | "DEADLINE_EXCEEDED" => {
                format!("{doing}: {} cannot be reached: {said}", self.server())
            }
            code => format!("{doing}: {code}: {said}"),
        }
    }

    /// No answer came in time.
    pub fn timed_out(&self, doing: &str) -> String {
        format!("{doing}: {} did not answer in time", self.server())
    }

    /// There is no such subscription, and it is not to be created.
    pub fn no_subscription(&self) -> String {
        let Names { project, subscription_id, topic_id, .. } = self.names;
        let topic = topic_id.as_deref().unwrap_or("TOPIC");
        format!(
            "subscription `{}` does not exist: create it (`gcloud pubsub subscriptions create \
             {subscription_id} --project {project} --topic {topic}`), or let Tripline do it \
             (`topic`, and under `tripline.dev/v1` also `create: true`)",
            self.names.subscription()
        )
    }

    /// The account may not take messages.
    pub fn may_not_consume(&self) -> String {
        let Names { project, subscription_id, .. } = self.names;
        format!(
            "{} may not take messages from `{}`: grant it roles/pubsub.subscriber (`gcloud pubsub \
             subscriptions add-iam-policy-binding {subscription_id} --project {project} --role \
             roles/pubsub.subscriber --member serviceAccount:{}`)",
            self.account(),
            self.names.subscription(),
            self.account.unwrap_or("ACCOUNT"),
        )
    }

    fn server(&self) -> &str {
        self.endpoint.unwrap_or("pubsub.googleapis.com")
    }

    fn account(&self) -> &str {
        self.account.unwrap_or("the account of this daemon")
    }
}

/// An error and its causes: the outermost often says no more than "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
