//! Certificates for servers on loopback and for their clients.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// An authority that signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 in PEM.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// A key cannot be made.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)
            .context("a certificate authority")?;
        Ok(Self { issuer })
    }

    /// Its own certificate, in PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// For a server on 127.0.0.1, also called localhost.
    ///
    /// # Errors
    /// A key cannot be made.
    pub fn server(&self) -> anyhow::Result<Certificate> {
        self.server_called(&["127.0.0.1", "localhost"])
    }

    /// For a server of these names.
    ///
    /// # Errors
    /// A key cannot be made, or one is no name.
    pub fn server_called(&self, names: &[&str]) -> anyhow::Result<Certificate> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names)?;
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client: its name, and a group that it belongs to.
    ///
    /// # Errors
    /// A key cannot be made.
    pub fn client(&self, name: &str, group: Option<&str>) -> anyhow::Result<Certificate> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate (PEM) of a key (PEM), with which messages are signed, for these years: from
    /// the beginning of the first to that of the second.
    ///
    /// # Errors
    /// The key is none.
    pub fn signing(&self, key: &str, years: (i32, i32)) -> anyhow::Result<String> {
        let key = KeyPair::from_pem(key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "sns.amazonaws.com");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        Ok(params.signed_by(&key, &self.issuer)?.pem())
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<Certificate> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Certificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}
