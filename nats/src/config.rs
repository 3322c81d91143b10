//! `auth` and `tls`, as event sources and triggers configure them (Argo Events' `NATSAuth` and
//! `TLSConfig`), and the values of the secrets that they name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::SecretRef;

use crate::{Auth, Tls};

/// Who Tripline is to the server. Where there are several, the first of `basic`, `token`, `nkey`
/// and `credential` counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthConfig {
    /// A user with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// A token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// An nkey: its seed, `SU…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nkey: Option<SecretRef>,
    /// A credentials file: a JWT and the seed of its nkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<SecretRef>,
}

/// User and password, in Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BasicAuth {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<SecretRef>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
}

/// TLS with other than the machine's root certificates, or with a certificate of the client's
/// own. With an empty `tls`, or `enabled: true`, a connection without TLS is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsConfig {
    /// Certificates (PEM) of authorities that are trusted, instead of the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert_secret: Option<SecretRef>,
    /// The client's certificate (PEM), with what it was signed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret: Option<SecretRef>,
    /// The key (PEM) of the client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_secret: Option<SecretRef>,
    /// Takes any certificate of the server's: whoever is in between can read and change all
    /// that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// TLS with the machine's root certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl AuthConfig {
    /// What is wrong with it, and the field.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let basic = self.basic.as_ref()?;
        let both = basic.username.is_some() && basic.password.is_some();
        (!both).then_some(("basic", "`username` and `password` are both needed"))
    }
}

impl TlsConfig {
    /// What is wrong with it.
    pub fn problem(&self) -> Option<&'static str> {
        let apart = self.client_cert_secret.is_some() != self.client_key_secret.is_some();
        apart.then_some("`clientCertSecret` and `clientKeySecret` go together")
    }
}

/// Finds the value of a secret, or says where it was looked for.
pub type Lookup<'l> = dyn Fn(&SecretRef) -> Result<Vec<u8>, String> + 'l;

/// Who one is by this configuration, with the present values of its secrets.
///
/// # Errors
/// A secret is missing, or no text. Never what it holds.
pub fn auth(config: Option<&AuthConfig>, lookup: &Lookup<'_>) -> Result<Auth, String> {
    let Some(config) = config else { return Ok(Auth::Nobody) };
    let part = |of: &Option<SecretRef>| value(of.as_ref(), lookup);
    if let Some(basic) = &config.basic {
        let (name, password) = (part(&basic.username)?, part(&basic.password)?);
        let (name, password) = (name.unwrap_or_default(), password.unwrap_or_default());
        return Ok(Auth::User { name, password });
    }
    if let Some(token) = part(&config.token)? {
        return Ok(Auth::Token(token));
    }
    if let Some(seed) = part(&config.nkey)? {
        return Ok(Auth::Nkey(seed));
    }
    Ok(part(&config.credential)?.map_or(Auth::Nobody, Auth::Creds))
}

/// Whom one trusts by this configuration, with the present values of its secrets.
///
/// # Errors
/// A secret is missing, or no text. Never what it holds.
pub fn tls(config: Option<&TlsConfig>, lookup: &Lookup<'_>) -> Result<Tls, String> {
    let Some(config) = config else { return Ok(Tls::default()) };
    let part = |of: &Option<SecretRef>| value(of.as_ref(), lookup);
    let certificate = part(&config.client_cert_secret)?;
    Ok(Tls {
        required: true,
        ca: part(&config.ca_cert_secret)?,
        identity: certificate.zip(part(&config.client_key_secret)?),
        any_server: config.insecure_skip_verify == Some(true),
    })
}

/// The value without one line break at its end; none where it is optional and missing.
fn value(of: Option<&SecretRef>, lookup: &Lookup<'_>) -> Result<Option<String>, String> {
    let Some(of) = of else { return Ok(None) };
    let bytes = match lookup(of) {
        Ok(bytes) => bytes,
        Err(_) if of.optional == Some(true) => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("key `{}` of secret `{}` is no text", of.key, of.name))?;
    Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secrets(of: &SecretRef) -> Result<Vec<u8>, String> {
        match of.key.as_str() {
            "none" => Err("no secret nats".to_owned()),
            "binary" => Ok(vec![0xff]),
            key => Ok(format!("the {key}\n").into_bytes()),
        }
    }

    #[test]
    fn the_first_way_that_is_given_counts() {
        let of = |key: &str| json!({"name": "nats", "key": key});
        let basic = json!({"username": of("user"), "password": of("password")});
        let user = Auth::User { name: "the user".into(), password: "the password".into() };
        let missing = json!({"name": "nats", "key": "none", "optional": true});
        for (config, expected) in [
            (json!({}), Ok(Auth::Nobody)),
            (json!({"basic": basic, "token": of("token")}), Ok(user)),
            (
                json!({"token": of("token"), "nkey": of("seed")}),
                Ok(Auth::Token("the token".into())),
            ),
            (json!({"token": missing, "nkey": of("seed")}), Ok(Auth::Nkey("the seed".into()))),
            (json!({"credential": of("creds")}), Ok(Auth::Creds("the creds".into()))),
            (json!({"token": of("none")}), Err("no secret nats".to_owned())),
            (
                json!({"token": of("binary")}),
                Err("key `binary` of secret `nats` is no text".into()),
            ),
        ] {
            let parsed: AuthConfig = serde_json::from_value(config.clone()).unwrap();
            assert_eq!(auth(Some(&parsed), &secrets), expected, "{config}");
        }
    }

    #[test]
    fn tls_is_required_where_it_is_configured() {
        let of = |key: &str| json!({"name": "nats", "key": key});
        let resolved = |config: Value| {
            let parsed: TlsConfig = serde_json::from_value(config).unwrap();
            tls(Some(&parsed), &secrets).unwrap()
        };
        assert_eq!(tls(None, &secrets), Ok(Tls::default()));
        let required = Tls { required: true, ..Tls::default() };
        assert_eq!(resolved(json!({"enabled": true})), required);
        let any_server = true;
        let skipped = resolved(json!({"insecureSkipVerify": true}));
        assert_eq!(skipped, Tls { any_server, ..required.clone() });
        let whole = json!({
            "caCertSecret": of("ca"), "clientCertSecret": of("cert"), "clientKeySecret": of("key"),
        });
        let identity = Some(("the cert".into(), "the key".into()));
        assert_eq!(resolved(whole), Tls { ca: Some("the ca".into()), identity, ..required });
    }
}
