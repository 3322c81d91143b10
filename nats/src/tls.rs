//! Whom Tripline trusts, and what it shows.

use std::fmt;
use std::sync::Arc;

use async_nats::ConnectOptions;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Whom Tripline trusts, and what it shows, in PEM.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Refuse a connection without TLS, whatever the address says.
    pub required: bool,
    /// Who may have signed the server's certificate; none: whom the machine trusts.
    pub ca: Option<String>,
    /// Tripline's own certificate and its key.
    pub identity: Option<(String, String)>,
    /// Any certificate of the server's is taken.
    pub any_server: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("required", &self.required)
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.as_ref().map(|_| "***"))
            .field("any_server", &self.any_server)
            .finish()
    }
}

impl Tls {
    pub(crate) fn applied_to(&self, options: ConnectOptions) -> Result<ConnectOptions, String> {
        let special = self.ca.is_some() || self.identity.is_some() || self.any_server;
        let options = options.require_tls(self.required || special);
        if special { Ok(options.tls_client_config(self.client()?)) } else { Ok(options) }
    }

    fn client(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match self.any_server {
            true => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            }
            false => builder.with_root_certificates(self.roots()?),
        };
        let Some((certificate, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| "the client's key is no PEM key".to_owned())?;
        let chain = certificates(certificate, "the client's certificate")?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("the client's certificate: {error}"))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(pem) => {
                for certificate in certificates(pem, "the CA")? {
                    roots.add(certificate).map_err(|error| format!("the CA: {error}"))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        Ok(roots)
    }
}

fn certificates(pem: &str, whose: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("{whose} is no certificate in PEM")),
    }
}

/// Takes any certificate, as `insecureSkipVerify` asks for. That the server has the key of the
/// certificate is looked at all the same.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let identity = Some(("secret".into(), "secret".into()));
        let shown = format!("{:?}", Tls { identity, ..Tls::default() });
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let tls = Tls { ca: Some("nonsense".into()), ..Tls::default() };
        let refused = tls.applied_to(ConnectOptions::new()).map(drop);
        assert_eq!(refused, Err("the CA is no certificate in PEM".to_owned()));
    }
}
