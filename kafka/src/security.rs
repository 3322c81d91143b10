//! `tls` and `sasl`: how a broker is trusted, and who the client is to it.

use std::fmt;

use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::SecretRef;

/// TLS with other than the system's root certificates, or with a certificate of the client's
/// own: `caCertSecret`, or `clientCertSecret` and `clientKeySecret`, or all three (Argo Events'
/// `TLSConfig`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsConfig {
    /// Certificates (PEM) of authorities that are trusted, instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert_secret: Option<SecretRef>,
    /// The client's certificate (PEM), with what it was signed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret: Option<SecretRef>,
    /// The key (PEM) of the client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_secret: Option<SecretRef>,
    /// Takes any certificate of the broker's: whoever is in between can read and change all
    /// that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// TLS with the system's root certificates, where nothing else is given here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl TlsConfig {
    /// What is wrong with it: the rules of Argo Events.
    fn problem(&self) -> Option<&'static str> {
        let (cert, key) = (&self.client_cert_secret, &self.client_key_secret);
        if cert.is_some() != key.is_some() {
            return Some("`clientCertSecret` and `clientKeySecret` go together");
        }
        let said = self.enabled == Some(true) || self.insecure_skip_verify == Some(true);
        (!said && cert.is_none() && self.ca_cert_secret.is_none()).then_some(
            "expected `caCertSecret`, `clientCertSecret` and `clientKeySecret`, or `enabled: true`",
        )
    }
}

/// User and password (Argo Events' `SASLConfig`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaslConfig {
    /// `PLAIN` (if not given), `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_secret: Option<SecretRef>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretRef>,
}

/// How a client is secured: what is right of `tls` and `sasl`.
#[derive(Clone, Debug, Default)]
pub struct Security {
    tls: Option<TlsConfig>,
    sasl: Option<(&'static str, SecretRef, SecretRef)>,
}

/// Something that is wrong with `tls` or `sasl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The keys that lead to the field.
    pub path: Vec<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<&'static str>,
    /// It would be right in a program that was built with OpenSSL.
    pub left_out: bool,
}

/// Whether this program was built with OpenSSL.
const HAS_TLS: bool = cfg!(feature = "tls");

impl Security {
    /// What `tls` and `sasl` say; and all that is wrong with them.
    pub fn resolve(tls: Option<&TlsConfig>, sasl: Option<&SaslConfig>) -> (Self, Vec<Mistake>) {
        let mut found = Vec::new();
        if let Some(tls) = tls {
            if !HAS_TLS {
                found.push(left_out(vec!["tls"], "TLS"));
            }
            found.extend(tls.problem().map(|problem| wrong(vec!["tls"], problem.to_owned())));
        }
        let sasl = sasl.and_then(|sasl| sasl.resolve(&mut found));
        (Self { tls: tls.cloned(), sasl }, found)
    }

    /// The values of the secrets, which `lookup` finds.
    ///
    /// # Errors
    /// One is missing or no text; never what it holds.
    pub fn read(
        &self,
        lookup: impl Fn(&SecretRef) -> Result<Vec<u8>, String>,
    ) -> Result<Credentials, String> {
        let mut properties = Vec::new();
        let mut text = |property, field: &str, secret: &SecretRef| {
            let value = lookup(secret).map_err(|error| format!("`{field}`: {error}"))?;
            let text = String::from_utf8(value).ok().filter(|text| !text.contains('\0'));
            let text = text.ok_or_else(|| {
                format!("`{field}`: key {} of secret {} is no text", secret.key, secret.name)
            })?;
            properties.push((property, text.trim_end_matches(['\r', '\n']).to_owned()));
            Ok::<_, String>(())
        };
        if let Some((_, user, password)) = &self.sasl {
            text("sasl.username", "sasl.userSecret", user)?;
            text("sasl.password", "sasl.passwordSecret", password)?;
        }
        if let Some(tls) = &self.tls {
            for (property, field, secret) in [
                ("ssl.ca.pem", "tls.caCertSecret", &tls.ca_cert_secret),
                ("ssl.certificate.pem", "tls.clientCertSecret", &tls.client_cert_secret),
                ("ssl.key.pem", "tls.clientKeySecret", &tls.client_key_secret),
            ] {
                if let Some(secret) = secret {
                    text(property, field, secret)?;
                }
            }
        }
        Ok(Credentials(properties))
    }

    /// Secures a client.
    pub fn apply(&self, credentials: &Credentials, client: &mut ClientConfig) {
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        if let Some((mechanism, ..)) = &self.sasl {
            client.set("sasl.mechanism", *mechanism);
        }
        if let Some(tls) = &self.tls
            && HAS_TLS
        {
            if tls.insecure_skip_verify == Some(true) {
                client.set("enable.ssl.certificate.verification", "false");
            }
            if tls.ca_cert_secret.is_none() {
                client.set("ssl.ca.location", "probe");
            }
        }
        for (property, value) in &credentials.0 {
            client.set(*property, value);
        }
    }
}

impl SaslConfig {
    fn resolve(&self, found: &mut Vec<Mistake>) -> Option<(&'static str, SecretRef, SecretRef)> {
        let at = vec!["sasl", "mechanism"];
        let mechanism = match self.mechanism.as_deref().unwrap_or_default() {
            "" | "PLAIN" => "PLAIN",
            "SCRAM-SHA-256" => "SCRAM-SHA-256",
            "SCRAM-SHA-512" => "SCRAM-SHA-512",
            other => {
                let help = Some("use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
                let mistake = wrong(at, format!("mechanism `{other}` is not supported"));
                found.push(Mistake { help, ..mistake });
                return None;
            }
        };
        if mechanism != "PLAIN" && !HAS_TLS {
            found.push(left_out(at, mechanism));
        }
        let (Some(user), Some(password)) = (&self.user_secret, &self.password_secret) else {
            let message = "`userSecret` and `passwordSecret` are both needed".to_owned();
            found.push(wrong(vec!["sasl"], message));
            return None;
        };
        Some((mechanism, user.clone(), password.clone()))
    }
}

fn wrong(path: Vec<&'static str>, message: String) -> Mistake {
    Mistake { path, message, help: None, left_out: false }
}

fn left_out(path: Vec<&'static str>, what: &str) -> Mistake {
    Mistake {
        path,
        message: format!("{what} for Kafka is not in this program"),
        help: Some("build it with the cargo feature `kafka-tls`, which needs OpenSSL"),
        left_out: true,
    }
}

/// The values of secrets, by the client's properties.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials(Vec<(&'static str, String)>);

impl Credentials {
    /// Whether there are none: nothing can change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}
