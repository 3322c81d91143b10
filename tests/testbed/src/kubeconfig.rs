//! Kubeconfigs: where an API server is, and who one is there.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::certificates::Certificate;
use crate::http::Http;

/// A kubeconfig with one cluster, one user and one context, called `testbed`.
#[derive(Clone)]
pub struct Kubeconfig {
    /// Where the API server is.
    pub address: SocketAddr,
    /// The certificate of the authority that has signed the server's, in PEM.
    pub authority: String,
    /// How its user says who they are.
    pub credentials: Credentials,
    /// The namespace of its context.
    pub namespace: String,
}

/// How a user says who they are.
#[derive(Clone)]
pub enum Credentials {
    /// By a bearer token.
    Token(String),
    /// By a client certificate.
    Certificate(Certificate),
    /// By what a program prints, with these arguments: an `ExecCredential` of
    /// `client.authentication.k8s.io/v1`.
    Exec(String, Vec<String>),
}

impl Kubeconfig {
    /// The same with the server at another address: that of a proxy.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The same with other credentials.
    #[must_use]
    pub fn with(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The text of the file, YAML.
    pub fn text(&self) -> String {
        let encode = |text: &str| BASE64_STANDARD.encode(text);
        let user = match &self.credentials {
            Credentials::Token(token) => format!("    token: {token}\n"),
            Credentials::Certificate(Certificate { certificate, key }) => format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                encode(certificate),
                encode(key)
            ),
            Credentials::Exec(command, arguments) => format!(
                "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: Never\n      command: {command:?}\n      args: {arguments:?}\n"
            ),
        };
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: testbed\nclusters:\n- name: testbed\n  cluster:\n    server: https://{}\n    certificate-authority-data: {}\ncontexts:\n- name: testbed\n  context:\n    cluster: testbed\n    user: testbed\n    namespace: {}\nusers:\n- name: testbed\n  user:\n{user}",
            self.address,
            encode(&self.authority),
            self.namespace,
        )
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, self.text())
    }

    /// A client with these credentials.
    pub(crate) fn http(&self) -> anyhow::Result<Http> {
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes());
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.authority)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(match &self.credentials {
            Credentials::Token(token) => Http::tls(self.address, tls.with_no_client_auth())
                .header("authorization", &format!("Bearer {token}")),
            Credentials::Certificate(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
                let chain = vec![certificate(&pair.certificate)?];
                Http::tls(self.address, tls.with_client_auth_cert(chain, key)?)
            }
            Credentials::Exec(..) => bail!("credentials of a program are for real clients"),
        })
    }
}
