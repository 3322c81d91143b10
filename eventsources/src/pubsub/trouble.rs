//! What goes wrong with the service, in words that say what to do.

use tripline_cloud::google::{Trouble, chain};

use super::names::Names;

/// What an error of the stream of messages is.
pub fn of_stream(error: &google_cloud_pubsub::Error) -> Trouble {
    if error.is_authentication() {
        return Trouble::NoToken(chain(error));
    }
    let Some(status) = error.status() else { return Trouble::Unreachable(chain(error)) };
    let said = status.message.trim().to_owned();
    match status.code.name() {
        "NOT_FOUND" => Trouble::NotFound(said),
        "ALREADY_EXISTS" => Trouble::AlreadyExists,
        "PERMISSION_DENIED" => Trouble::Denied(said),
        "UNAUTHENTICATED" => Trouble::NotAccepted(said),
        "UNAVAILABLE" | "DEADLINE_EXCEEDED" => Trouble::Unreachable(said),
        "RESOURCE_EXHAUSTED" => Trouble::Exhausted { said, after: None },
        code => Trouble::Refused { code, said, again: true },
    }
}

/// Who speaks to whom: for messages.
pub struct Speaker<'a> {
    pub names: &'a Names,
    /// Where, if not at Google.
    pub address: Option<&'a str>,
    pub account: Option<&'a str>,
}

impl Speaker<'_> {
    /// What went wrong while `doing` something, and what to do.
    pub fn explain(&self, doing: &str, trouble: &Trouble) -> String {
        let (server, account) = (self.server(), self.account());
        match trouble {
            Trouble::NotFound(said) => {
                format!("{doing}: {said}: is `projectID: {}` right?", self.names.project)
            }
            Trouble::AlreadyExists => format!("{doing}: it is there already"),
            Trouble::Denied(said) => format!(
                "{doing}: {account} may not: {said}: grant it the right (roles/pubsub.editor has \
                 it), or create topic and subscription beforehand"
            ),
            Trouble::NotAccepted(said) => format!(
                "{doing}: the credentials of {account} are not accepted: {said}: has the key been \
                 deleted, or the account disabled?"
            ),
            Trouble::NoToken(why) => format!(
                "{doing}: there is no token for {account}: {why}: set `credentialSecret`, or \
                 GOOGLE_APPLICATION_CREDENTIALS, or run where workload identity is"
            ),
            Trouble::Unreachable(why) => format!("{doing}: {server} cannot be reached: {why}"),
            Trouble::TimedOut => format!("{doing}: {server} did not answer in time"),
            Trouble::Exhausted { said, .. } => {
                format!("{doing}: a quota of {server} is used up: {said}")
            }
            Trouble::Refused { code, said, .. } => {
                format!("{doing}: {server} answers {code}: {said}")
            }
        }
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
        self.address.unwrap_or("pubsub.googleapis.com")
    }

    fn account(&self) -> &str {
        self.account.unwrap_or("the account of this daemon")
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn an_answer_of_the_service_says_what_to_do() {
        let names = Names {
            project: "p".into(),
            topic_project: "p".into(),
            topic_id: Some("builds".into()),
            subscription_id: "s".into(),
        };
        let speaker = Speaker { names: &names, address: None, account: Some("a@p.example") };
        let status = |code, message: &str| Trouble::from(tonic::Status::new(code, message));
        for (trouble, expected) in [
            (status(Code::NotFound, "no project"), "x: no project: is `projectID: p` right?"),
            (status(Code::PermissionDenied, "no"), "x: a@p.example may not: no: grant it"),
            (status(Code::Unauthenticated, "no"), "credentials of a@p.example are not accepted"),
            (status(Code::Unavailable, "away"), "x: pubsub.googleapis.com cannot be reached: away"),
            (
                status(Code::InvalidArgument, "bad"),
                "x: pubsub.googleapis.com answers Client specified an invalid argument: bad",
            ),
            (Trouble::TimedOut, "x: pubsub.googleapis.com did not answer in time"),
        ] {
            let said = speaker.explain("x", &trouble);
            assert!(said.contains(expected), "{said}");
        }
        let said = speaker.may_not_consume();
        assert!(said.contains("roles/pubsub.subscriber --member serviceAccount:a@p.example"));
        assert!(speaker.no_subscription().contains("create s --project p --topic builds"));
    }
}
