//! Who SNS is to the daemon: a key that signs, and a certificate of it by an authority of the
//! benchmark's own, at an address of Amazon's.
//!
//! The daemon takes certificates from Amazon's hosts alone. So it is told, as any program is, of a
//! proxy and of whom to trust: the proxy answers in Amazon's place.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tripline_testbed::{Authority, SnsSigner};

const HOST: &str = "sns.us-east-1.amazonaws.com";
/// The certificate's years.
const YEARS: (i32, i32) = (2020, 2100);

/// See the top of this file.
pub struct Amazon {
    signer: SnsSigner,
    proxy: SocketAddr,
    /// With the authority's certificate.
    trusted: tempfile::NamedTempFile,
}

impl Amazon {
    /// Makes a key, and serves its certificate until the process ends.
    pub fn start() -> anyhow::Result<Self> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let (signer, authority) = (SnsSigner::start()?, Authority::new("benchmark")?);
        let certificate = signer.certificate(&authority, YEARS)?;
        let mut trusted = tempfile::NamedTempFile::new()?;
        trusted.write_all(authority.certificate().as_bytes())?;
        let own = authority.server_called(&[HOST])?;
        let chain = CertificateDer::pem_slice_iter(own.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes())?;
        let config = ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain.collect::<Result<_, _>>()?, key)?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let proxy = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Err(error) = serve(stream, &config, &certificate) {
                    eprintln!("the certificate could not be handed over: {error}");
                }
            }
        });
        Ok(Self { signer, proxy, trusted })
    }

    /// The environment of a daemon to which this is Amazon.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let trusted = self.trusted.path().display().to_string();
        let proxy = format!("http://{}", self.proxy);
        vec![
            ("SSL_CERT_FILE", trusted),
            ("HTTPS_PROXY", proxy.clone()),
            ("https_proxy", proxy),
            ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ]
    }

    /// Where the certificate is.
    pub fn certificate_url(&self) -> String {
        format!("https://{HOST}/SimpleNotificationService-benchmark.pem")
    }

    /// A signature of version 2.
    pub fn sign(&self, text: &str) -> anyhow::Result<String> {
        self.signer.sign("2", text)
    }
}

/// Answers `CONNECT`, and one request over TLS.
fn serve(mut stream: TcpStream, config: &Arc<ServerConfig>, pem: &str) -> anyhow::Result<()> {
    read_head(&mut stream)?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream);
    read_head(&mut stream)?;
    let length = pem.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{pem}"
    )?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

/// Up to the empty line. What comes behind it waits for the answer.
fn read_head(stream: &mut impl Read) -> std::io::Result<()> {
    let mut lines = BufReader::with_capacity(4096, stream).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    Ok(())
}
