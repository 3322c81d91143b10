//! `tls`: whom an HTTPS server is to be trusted by, and what the client shows it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use reqwest::{Certificate, Client, ClientBuilder, Identity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tripline_config::{Secret, SecretRef};

/// The most clients that are kept. Beyond, all are let go: their connections are made anew.
const MAX_CLIENTS: usize = 64;

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
    /// Takes any certificate of the server's: whoever is in between can read and change all
    /// that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

impl TlsConfig {
    /// What is wrong with it: the rule of Argo Events.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let (cert, key) = (&self.client_cert_secret, &self.client_key_secret);
        if cert.is_some() != key.is_some() {
            return Some("`clientCertSecret` and `clientKeySecret` go together");
        }
        let any = self.ca_cert_secret.is_some() || cert.is_some();
        let skip = self.insecure_skip_verify == Some(true);
        (!any && !skip).then_some(
            "expected `caCertSecret`, or `clientCertSecret` and `clientKeySecret`, or all three",
        )
    }
}

/// The values that a [`TlsConfig`] names.
#[derive(Default)]
pub(super) struct Material {
    pub(super) authorities: Option<Secret>,
    pub(super) certificate: Option<Secret>,
    pub(super) key: Option<Secret>,
    pub(super) skip_verify: bool,
}

impl Material {
    /// Names a client: the same values give the same one, a rotated secret another.
    fn fingerprint(&self, guarded: bool) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update([u8::from(guarded), u8::from(self.skip_verify)]);
        for part in [&self.authorities, &self.certificate, &self.key] {
            let bytes = part.as_ref().map_or(&[][..], Secret::expose);
            hash.update(bytes.len().to_be_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }

    fn add_to(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, String> {
        if let Some(authorities) = &self.authorities {
            let certificates = Certificate::from_pem_bundle(authorities.expose())
                .map_err(|_| "`tls.caCertSecret` holds no certificates in PEM".to_owned())?;
            if certificates.is_empty() {
                return Err("`tls.caCertSecret` holds no certificate".to_owned());
            }
            builder = builder.tls_certs_only(certificates);
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let both = [key.expose(), b"\n", certificate.expose()].concat();
            // The error of the library may quote what it could not read.
            let identity = Identity::from_pem(&both).map_err(|_| {
                "`tls.clientCertSecret` and `tls.clientKeySecret` are no certificate and key in PEM"
                    .to_owned()
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder.tls_danger_accept_invalid_certs(self.skip_verify))
    }
}

/// The clients with `tls`, one for each that differs.
#[derive(Default)]
pub(super) struct TlsClients(Mutex<HashMap<[u8; 32], Client>>);

impl TlsClients {
    /// The client for this material; `base` begins a new one.
    pub(super) fn client(
        &self,
        material: &Material,
        guarded: bool,
        base: impl FnOnce() -> ClientBuilder,
    ) -> Result<Client, String> {
        let fingerprint = material.fingerprint(guarded);
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&fingerprint) {
            return Ok(client.clone());
        }
        let client = material.add_to(base())?.build();
        // The error of the library may quote what it could not read.
        let client = client.map_err(|_| {
            "`tls` cannot be used: the client's key does not belong to its certificate, or one of \
             the certificates is none"
                .to_owned()
        })?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(fingerprint, client.clone());
        Ok(client)
    }
}
