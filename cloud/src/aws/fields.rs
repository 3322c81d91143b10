//! The fields by which every kind of Amazon's says where it is and with what it is called.

use tripline_config::SecretRef;

use super::access::Access;
use super::keys::Keys;

/// The fields, as they are written. What is empty is not given, as in Argo Events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// `region`.
    pub region: Option<&'a String>,
    /// `endpoint`.
    pub endpoint: Option<&'a String>,
    /// `accessKey`.
    pub access_key: Option<&'a SecretRef>,
    /// `secretKey`.
    pub secret_key: Option<&'a SecretRef>,
    /// `sessionToken`.
    pub session_token: Option<&'a SecretRef>,
    /// `roleARN`.
    pub role_arn: Option<&'a String>,
}

/// What is wrong with one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The field, as it is written.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<&'static str>,
}

impl Mistake {
    /// Whether it is about the address, and not about the credentials.
    pub fn is_of_endpoint(&self) -> bool {
        self.field == "endpoint"
    }
}

impl Fields<'_> {
    /// What they mean, or everything that is wrong with them.
    ///
    /// # Errors
    /// An endpoint that is no URL, a key without its secret, a role that is no ARN.
    pub fn resolve(self) -> Result<Access, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut take = |found: Result<(), Mistake>| mistakes.extend(found.err());
        let endpoint = given(self.endpoint);
        take(endpoint.map_or(Ok(()), check_endpoint));
        let keys = self.keys();
        take(keys.as_ref().map(drop).map_err(Clone::clone));
        let role = given(self.role_arn);
        take(role.map_or(Ok(()), check_role));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Access {
            region: given(self.region).map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
            keys: keys.unwrap_or_default(),
            role: role.map(str::to_owned),
        })
    }

    fn keys(self) -> Result<Option<Keys>, Mistake> {
        let missing = |has: &'static str, lacks: &str| Mistake {
            field: has,
            message: format!("`{has}` is given without `{lacks}`"),
            help: Some("give `accessKey` and `secretKey`, or neither for the default chain"),
        };
        match (self.access_key, self.secret_key, self.session_token) {
            (Some(access), Some(secret), token) => {
                let (access, secret) = (access.clone(), secret.clone());
                Ok(Some(Keys { access, secret, token: token.cloned() }))
            }
            (Some(_), None, _) => Err(missing("accessKey", "secretKey")),
            (None, Some(_), _) => Err(missing("secretKey", "accessKey")),
            (None, None, Some(_)) => Err(missing("sessionToken", "accessKey")),
            (None, None, None) => Ok(None),
        }
    }
}

fn check_endpoint(text: &str) -> Result<(), Mistake> {
    let uri = text.parse::<http::Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    uri.map(drop).ok_or_else(|| Mistake {
        field: "endpoint",
        message: format!("endpoint is {text:?}, expected `http://HOST:PORT` or `https://HOST`"),
        help: None,
    })
}

fn check_role(role: &str) -> Result<(), Mistake> {
    if role.starts_with("arn:") && role.contains(":role/") {
        return Ok(());
    }
    let message = format!("roleARN is {role:?}, expected `arn:aws:iam::ACCOUNT:role/NAME`");
    Err(Mistake { field: "roleARN", message, help: None })
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(fields: Fields<'_>) -> Vec<&'static str> {
        fields.resolve().err().into_iter().flatten().map(|mistake| mistake.field).collect()
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once() {
        let secret = SecretRef { name: "aws".into(), key: "k".into(), optional: None };
        let (local, role) = ("localhost:1".to_owned(), "tripline".to_owned());
        let empty = String::new();
        let fields = Fields {
            endpoint: Some(&local),
            access_key: Some(&secret),
            role_arn: Some(&role),
            ..Fields::default()
        };
        assert_eq!(wrong(fields), ["endpoint", "accessKey", "roleARN"]);
        let fields = Fields { region: Some(&empty), endpoint: Some(&empty), ..Fields::default() };
        assert_eq!(fields.resolve(), Ok(Access::default()));
    }
}
