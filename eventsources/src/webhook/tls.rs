//! The certificate of a port, read again when its secret changes.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::config::TlsRefs;
use super::limits::CERTIFICATE_CHECK;
use crate::SecretLookup;

/// The certificate of a port.
pub struct PortTls {
    namespace: String,
    refs: TlsRefs,
    secrets: Arc<dyn SecretLookup>,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    checked: Option<Instant>,
    /// A hash of certificate and key: neither is kept here.
    fingerprint: Option<[u8; 32]>,
    config: Option<Arc<ServerConfig>>,
    /// Why the present secret cannot be used.
    error: Option<String>,
}

impl PortTls {
    pub fn new(namespace: &str, refs: &TlsRefs, secrets: Arc<dyn SecretLookup>) -> Self {
        let loaded = Mutex::default();
        Self { namespace: namespace.to_owned(), refs: refs.clone(), secrets, loaded }
    }

    /// Whether this is the certificate that `refs` of `namespace` name.
    pub fn is(&self, namespace: &str, refs: &TlsRefs) -> bool {
        self.namespace == namespace && self.refs == *refs
    }

    /// What accepts the next connection. While a changed secret cannot be used the
    /// certificate stays as it was.
    ///
    /// # Errors
    ///
    /// There has not been a certificate that can be used, and why.
    pub fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.checked.is_none_or(|checked| checked.elapsed() >= CERTIFICATE_CHECK) {
            loaded.checked = Some(Instant::now());
            loaded.error = self.reload(&mut loaded).err();
            if let Some(error) = &loaded.error {
                tracing::error!(namespace = self.namespace, error, "certificate of a webhook port");
            }
        }
        match (&loaded.config, &loaded.error) {
            (Some(config), _) => Ok(TlsAcceptor::from(Arc::clone(config))),
            (None, error) => Err(error.clone().unwrap_or_else(|| "no certificate".into())),
        }
    }

    /// Why the present secret cannot be used, if so.
    pub fn error(&self) -> Option<String> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    fn reload(&self, loaded: &mut Loaded) -> Result<(), String> {
        let secret = |secret| self.secrets.secret(&self.namespace, secret);
        let certificate = secret(&self.refs.certificate)?;
        let key = secret(&self.refs.key)?;
        let fingerprint = fingerprint(&certificate, &key);
        if loaded.fingerprint == Some(fingerprint) {
            return loaded.error.take().map_or(Ok(()), Err);
        }
        loaded.fingerprint = Some(fingerprint);
        loaded.config = Some(Arc::new(self.config(&certificate, &key)?));
        Ok(())
    }

    fn config(&self, certificate: &Bytes, key: &Bytes) -> Result<ServerConfig, String> {
        let name = |r: &crate::SecretRef| format!("key `{}` of secret `{}`", r.key, r.name);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| format!("{} is no PEM", name(&self.refs.certificate)))?;
        // The parser's own error is left out: it may quote the key.
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| format!("{} holds no private key in PEM", name(&self.refs.key)))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| format!("{}: {error}", name(&self.refs.certificate)))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn fingerprint(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((certificate.len() as u64).to_be_bytes());
    hash.update(certificate);
    hash.update(key);
    hash.finalize().into()
}
