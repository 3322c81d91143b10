//! `tls` and `sasl`: how a broker is trusted, and who the client is to it.

use std::fmt;

use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::{FieldPath, Problem};

use crate::{SecretLookup, SecretRef, codes};

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

/// Whether this program was built with OpenSSL.
const HAS_TLS: bool = cfg!(feature = "kafka-tls");

impl Security {
    /// What `tls` and `sasl` of the configuration at `at` say.
    pub fn resolve(
        tls: Option<&TlsConfig>,
        sasl: Option<&SaslConfig>,
        at: &FieldPath,
        found: &mut Vec<Problem>,
    ) -> Self {
        let error = |at: FieldPath, message: String| Problem::error(codes::KAFKA_AUTH, at, message);
        if let Some(tls) = tls {
            if !HAS_TLS {
                found.push(left_out(at.key("tls"), "TLS"));
            }
            if let Some(problem) = tls.problem() {
                found.push(error(at.key("tls"), problem.to_owned()));
            }
        }
        let at = at.key("sasl");
        let sasl = sasl.and_then(|sasl| {
            let mechanism = match sasl.mechanism.as_deref().unwrap_or_default() {
                "" | "PLAIN" => "PLAIN",
                "SCRAM-SHA-256" => "SCRAM-SHA-256",
                "SCRAM-SHA-512" => "SCRAM-SHA-512",
                other => {
                    let message = format!("mechanism `{other}` is not supported");
                    let help = "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
                    found.push(error(at.key("mechanism"), message).help(help));
                    return None;
                }
            };
            if mechanism != "PLAIN" && !HAS_TLS {
                found.push(left_out(at.key("mechanism"), mechanism));
            }
            match (&sasl.user_secret, &sasl.password_secret) {
                (Some(user), Some(password)) => Some((mechanism, user.clone(), password.clone())),
                _ => {
                    let message = "`userSecret` and `passwordSecret` are both needed".to_owned();
                    found.push(error(at.clone(), message));
                    None
                }
            }
        });
        Self { tls: tls.cloned(), sasl }
    }

    /// The values of the secrets.
    ///
    /// # Errors
    /// One is missing or no text; never what it holds.
    pub fn read(&self, namespace: &str, secrets: &dyn SecretLookup) -> Result<Credentials, String> {
        let mut properties = Vec::new();
        let mut text = |property, field: &str, secret: &SecretRef| {
            let value =
                secrets.secret(namespace, secret).map_err(|error| format!("`{field}`: {error}"))?;
            let text = std::str::from_utf8(&value).ok().filter(|text| !text.contains('\0'));
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

fn left_out(at: FieldPath, what: &str) -> Problem {
    let message = format!("{what} for Kafka is not in this program");
    Problem::error(codes::KIND_LEFT_OUT, at, message)
        .help("build it with the cargo feature `kafka-tls`, which needs OpenSSL")
}

/// The values of secrets, by the client's properties.
#[derive(Clone, Default, PartialEq, Eq)]
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
