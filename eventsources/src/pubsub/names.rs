//! The names of projects, topics and subscriptions.

pub use tripline_cloud::google::Name;

/// The names that the configuration gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    pub project: Option<String>,
    pub topic_project: Option<String>,
    pub topic: Option<String>,
    pub subscription: Option<String>,
}

/// The names that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub project: String,
    pub topic_project: String,
    pub topic_id: Option<String>,
    pub subscription_id: String,
}

impl Names {
    /// The topic, if one is configured: `projects/…/topics/…`.
    pub fn topic(&self) -> Option<String> {
        let topic = self.topic_id.as_deref()?;
        Some(format!("projects/{}/topics/{topic}", self.topic_project))
    }

    /// The subscription: `projects/…/subscriptions/…`.
    pub fn subscription(&self) -> String {
        format!("projects/{}/subscriptions/{}", self.project, self.subscription_id)
    }
}
