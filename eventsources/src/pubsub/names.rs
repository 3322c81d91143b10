//! The names of projects, topics and subscriptions.

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A project: its id, also an old one with a domain, or its number.
    Project,
    /// A topic or a subscription.
    Resource,
}

impl Name {
    /// Whether `text` can be such a name. For topics and subscriptions this is the service's
    /// rule but for its least length of three, which emulators do not know.
    pub fn check(self, text: &str) -> Result<(), String> {
        let (letters, extra, expected) = match self {
            Self::Project => ("-", ":.", "the id of a project"),
            Self::Resource => ("-_.~+%", "", "letters, digits and `-_.~+%`, a letter first"),
        };
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || letters.contains(c) || extra.contains(c);
        let begins = self == Self::Project
            || text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.starts_with("goog");
        if begins && text.len() <= 255 && text.chars().all(allowed) {
            return Ok(());
        }
        Err(format!("is {text:?}, expected {expected}"))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_service_takes() {
        for good in ["builds", "a.b_c~d+e%25-1", "ab"] {
            assert_eq!(Name::Resource.check(good), Ok(()), "{good}");
        }
        for bad in ["", "1a", "a b", "projects/p/topics/t", "goog-x", "ä", &"x".repeat(256)] {
            assert!(Name::Resource.check(bad).is_err(), "{bad}");
        }
        for good in ["my-project", "example.com:my-project", "123456"] {
            assert_eq!(Name::Project.check(good), Ok(()), "{good}");
        }
        assert!(Name::Project.check("projects/p").is_err());
    }
}
