//! The certificates that SNS signs with: fetched from Amazon alone, and kept.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::Uri;
use regex::Regex;
use reqwest::{Certificate as Root, Client, redirect};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tripline_event::Timestamp;

/// As many certificates are kept: SNS changes its own about once a year. Beyond, all are let go.
const MAX_KEPT: usize = 16;
/// As many are fetched at a time: whoever sends rubbish makes no more requests than these.
const AT_A_TIME: usize = 2;
/// The largest certificate that is read.
const MAX_BYTES: usize = 64 * 1024;
/// How long fetching one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A certificate that could not be had is asked for again after this time.
const AGAIN: Duration = Duration::from_secs(10);

/// Whose certificates are taken, as in Argo Events.
#[expect(clippy::expect_used, reason = "a constant pattern")]
static AMAZONS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^sns\.[a-zA-Z0-9\-]{3,}\.amazonaws\.com(\.cn)?$").expect("it is a pattern")
});

/// A certificate that a message may be signed with.
#[derive(Debug)]
pub struct Certificate {
    /// As PKCS#1 has it.
    key: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is not Amazon's, or no certificate.
    Wrong(String),
    /// It cannot be had now.
    Unavailable(String),
}

/// The certificates that are kept.
pub struct Certificates {
    /// Whether they are taken from such a host and port.
    allows: fn(&str, Option<u16>) -> bool,
    /// An authority that is trusted beside those of the system, in PEM.
    authority: Option<Vec<u8>>,
    client: OnceLock<Client>,
    kept: Mutex<HashMap<String, Kept>>,
    permits: Semaphore,
}

type Kept = (Instant, Result<Arc<Certificate>, Unusable>);

impl Certificates {
    /// Those of Amazon, kept for all event sources.
    pub fn of_amazon() -> Arc<Self> {
        static ALL: LazyLock<Arc<Certificates>> = LazyLock::new(|| {
            let allows = |host: &str, port: Option<u16>| {
                AMAZONS.is_match(host) && port.is_none_or(|port| port == 443)
            };
            Arc::new(Certificates::new(allows, None))
        });
        Arc::clone(&ALL)
    }

    pub(super) fn new(allows: fn(&str, Option<u16>) -> bool, authority: Option<Vec<u8>>) -> Self {
        Self {
            allows,
            authority,
            client: OnceLock::new(),
            kept: Mutex::default(),
            permits: Semaphore::new(AT_A_TIME),
        }
    }

    /// The certificate at `url`.
    pub async fn get(&self, url: &str) -> Result<Arc<Certificate>, Unusable> {
        self.check(url)?;
        if let Some(kept) = self.kept(url) {
            return kept;
        }
        // Never closed: an error would be a mistake of this file.
        let _permit = self.permits.acquire().await.ok();
        // Somebody else may have fetched it meanwhile.
        if let Some(kept) = self.kept(url) {
            return kept;
        }
        let found = self.fetch(url).await.map(Arc::new);
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_KEPT {
            all.clear();
        }
        all.insert(url.to_owned(), (Instant::now(), found.clone()));
        found
    }

    fn check(&self, url: &str) -> Result<(), Unusable> {
        let uri = url.parse::<Uri>().ok();
        let good = uri.as_ref().is_some_and(|uri| {
            let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
            let host = uri.host().unwrap_or_default();
            uri.scheme_str() == Some("https") && plain && (self.allows)(host, uri.port_u16())
        });
        if good {
            return Ok(());
        }
        let shown: String = url.chars().filter(|c| !c.is_control()).take(200).collect();
        Err(Unusable::Wrong(format!("SigningCertURL `{shown}` is not an address of SNS")))
    }

    fn kept(&self, url: &str) -> Option<Result<Arc<Certificate>, Unusable>> {
        let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, found) = all.get(url)?;
        (found.is_ok() || at.elapsed() < AGAIN).then(|| found.clone())
    }

    async fn fetch(&self, url: &str) -> Result<Certificate, Unusable> {
        let away = |why: String| Unusable::Unavailable(format!("the certificate of SNS: {why}"));
        let client = self.client().map_err(away)?;
        let answer = client.get(url).send().await;
        let mut answer = answer.map_err(|error| away(error.without_url().to_string()))?;
        if !answer.status().is_success() {
            return Err(away(format!("{url} was answered {}", answer.status())));
        }
        let mut pem = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| away(error.to_string()))? {
            pem.extend_from_slice(&chunk);
            if pem.len() > MAX_BYTES {
                return Err(Unusable::Wrong(format!("what is at {url} is no certificate")));
            }
        }
        Certificate::parse(&pem)
            .map_err(|why| Unusable::Wrong(format!("what is at {url} cannot be used: {why}")))
    }

    fn client(&self) -> Result<&Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut builder =
            Client::builder().timeout(PATIENCE).redirect(redirect::Policy::none()).https_only(true);
        if let Some(pem) = &self.authority {
            let root = Root::from_pem(pem).map_err(|error| error.to_string())?;
            builder = builder.tls_certs_merge([root]).no_proxy();
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok(self.client.get_or_init(|| client))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificate {
    fn parse(pem: &[u8]) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| "it is no PEM".to_owned())?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der)
            .map_err(|error| format!("it is no certificate: {error}"))?;
        let (validity, key) = (certificate.validity(), certificate.public_key());
        if key.algorithm.algorithm != x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION {
            return Err("its key is none of RSA".to_owned());
        }
        Ok(Self {
            key: key.subject_public_key.data.to_vec(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether it is valid at `now`; else since or until when.
    pub fn check_time(&self, now: Timestamp) -> Result<(), String> {
        let shown = |second| Timestamp::from_second(second).map(|at| at.to_string());
        if now.as_second() > self.not_after {
            let at = shown(self.not_after).unwrap_or_default();
            return Err(format!("the certificate of the signature has expired at {at}"));
        }
        if now.as_second() < self.not_before {
            let at = shown(self.not_before).unwrap_or_default();
            return Err(format!("the certificate of the signature is not valid before {at}"));
        }
        Ok(())
    }

    /// Whether `signature`, by SHA-256 or else SHA-1, is one of `text`.
    pub fn verifies(&self, sha256: bool, text: &[u8], signature: &[u8]) -> bool {
        let by: &RsaParameters = match sha256 {
            true => &RSA_PKCS1_2048_8192_SHA256,
            false => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        };
        UnparsedPublicKey::new(by, &self.key).verify(text, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_taken_from_amazon_alone() {
        let amazon = Certificates::of_amazon();
        for (url, expected) in [
            ("https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a.pem", true),
            ("https://sns.cn-north-1.amazonaws.com.cn/c.pem", true),
            ("https://sns.eu-central-1.amazonaws.com:443/c.pem", true),
            ("https://sns.eu-central-1.amazonaws.com:8443/c.pem", false),
            ("http://sns.eu-central-1.amazonaws.com/c.pem", false),
            ("https://sns.eu-central-1.amazonaws.com.evil.example/c.pem", false),
            ("https://evil.example/sns.eu-central-1.amazonaws.com/c.pem", false),
            ("https://sns.eu-central-1.amazonaws.com@evil.example/c.pem", false),
            ("https://s3.amazonaws.com/sns.pem", false),
            ("https://sns.x.amazonaws.com/c.pem", false),
            ("", false),
        ] {
            assert_eq!(amazon.check(url).is_ok(), expected, "{url}");
        }
    }
}
