//! Names of projects, topics and subscriptions of Pub/Sub, and where it is.

/// The variable that Google's own clients read.
const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";

/// Where Pub/Sub is, if not at its usual place: at `endpoint`, else where the environment says.
pub fn pubsub_address(endpoint: Option<&str>) -> Option<String> {
    endpoint.map(str::to_owned).or_else(|| {
        let host = std::env::var(EMULATOR).ok().filter(|host| !host.is_empty())?;
        Some(if host.contains("://") { host } else { format!("http://{host}") })
    })
}

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
    ///
    /// # Errors
    /// What is expected.
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
