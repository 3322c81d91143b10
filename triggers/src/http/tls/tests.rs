//! The trigger against real servers with certificates that no system knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tripline_config::{ConfigMapRef, Secret, SecretRef};
use tripline_event::SystemClock;

use super::super::HttpTrigger;
use super::super::tests::{rendered, send, told};
use crate::SecretLookup;

/// An authority and what it has signed: certificate and key, in PEM.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// The secret `tls` of any namespace.
#[derive(Clone, Default)]
struct Lookup(Arc<Mutex<BTreeMap<String, String>>>);

impl Lookup {
    fn set(&self, key: &str, value: &str) {
        self.0.lock().unwrap().insert(key.to_owned(), value.to_owned());
    }
}

impl SecretLookup for Lookup {
    fn secret(&self, _: &str, secret: &SecretRef) -> Result<Secret, String> {
        let values = self.0.lock().unwrap();
        let value = values.get(&secret.key).ok_or_else(|| format!("no key {}", secret.key))?;
        Ok(Secret::new(value.as_bytes()))
    }

    fn config_map(&self, _: &str, _: &ConfigMapRef) -> Result<String, String> {
        Err("there are no config maps".to_owned())
    }
}

/// Answers 200; asks for a client's certificate where it is given who signs them.
async fn server(certificate: (String, String), clients: Option<&Authority>) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    let chain = vec![CertificateDer::from_pem_slice(certificate.0.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificate.1.as_bytes()).unwrap();
    let builder = rustls::ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
            roots.add(root).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that is refused, or refuses, is the subject of a test.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    url
}

fn key(key: &str) -> Value {
    json!({"name": "tls", "key": key})
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authority_that_tls_names_and_by_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let url = server(authority.sign("localhost"), None).await;
    let lookup = Lookup::default();
    let trigger = HttpTrigger::new(Arc::new(lookup.clone()), Arc::new(SystemClock));
    let trusting = rendered(json!({"url": url, "tls": {"caCertSecret": key("ca")}}), None);

    let plain = told(send(&trigger, &rendered(json!({"url": url}), None)).await);
    assert!(plain.starts_with("retry: "), "{plain}");
    assert_eq!(told(send(&trigger, &trusting).await), "retry: no key ca");
    lookup.set("ca", &other.pem());
    let wrong = told(send(&trigger, &trusting).await);
    assert!(wrong.starts_with("retry: "), "{wrong}");
    // The secret is put right while the trigger runs.
    lookup.set("ca", &authority.pem());
    assert_eq!(told(send(&trigger, &trusting).await), "200");
    let skipping = json!({"url": url, "tls": {"insecureSkipVerify": true}});
    assert_eq!(told(send(&trigger, &rendered(skipping, None)).await), "200");
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_the_clients() {
    let authority = Authority::new();
    let url = server(authority.sign("localhost"), Some(&authority)).await;
    let lookup = Lookup::default();
    let (certificate, private) = authority.sign("tripline");
    lookup.set("ca", &authority.pem());
    lookup.set("crt", &certificate);
    lookup.set("key", &private);
    let trigger = HttpTrigger::new(Arc::new(lookup), Arc::new(SystemClock));

    let without = json!({"url": url, "tls": {"caCertSecret": key("ca")}});
    let without = told(send(&trigger, &rendered(without, None)).await);
    assert!(without.starts_with("retry: "), "{without}");
    let tls = json!({"caCertSecret": key("ca"), "clientCertSecret": key("crt"),
                     "clientKeySecret": key("key")});
    assert_eq!(told(send(&trigger, &rendered(json!({"url": url, "tls": tls}), None)).await), "200");
}

#[tokio::test]
async fn what_is_no_certificate_is_said_and_not_repeated() {
    let lookup = Lookup::default();
    lookup.set("ca", "hunter2");
    let trigger = HttpTrigger::new(Arc::new(lookup), Arc::new(SystemClock));
    drop(rustls::crypto::ring::default_provider().install_default());
    for (tls, expected) in [
        (json!({"caCertSecret": key("ca")}), "retry: `tls.caCertSecret` holds no certificate"),
        (
            json!({"clientCertSecret": key("ca"), "clientKeySecret": key("ca")}),
            "retry: `tls.clientCertSecret` and `tls.clientKeySecret` are no certificate and key in PEM",
        ),
        (
            json!({"clientCertSecret": key("ca")}),
            "render: `tls`: `clientCertSecret` and `clientKeySecret` go together",
        ),
    ] {
        let config = json!({"url": "https://localhost:1/", "tls": tls});
        assert_eq!(told(send(&trigger, &rendered(config, None)).await), expected);
    }
}
