//! The connection to the server: who one is, and whether it stands.
//!
//! It is made again by itself when it breaks, for as long as the process lives.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use super::OpenError;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection on which nothing happens is tried.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Who the daemon is for the server. What is secret is never shown.
#[derive(Clone, Default)]
pub enum Auth {
    /// Nobody in particular.
    #[default]
    Nobody,
    /// A user with a password.
    User {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// Whoever has this token.
    Token(String),
    /// The holder of an nkey: its seed, `SU…`.
    Nkey(String),
    /// The contents of a `.creds` file: a JWT and the seed of its nkey.
    Creds(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::User { .. } => "User(***)",
            Self::Token(_) => "Token(***)",
            Self::Nkey(_) => "Nkey(***)",
            Self::Creds(_) => "Creds(***)",
        })
    }
}

/// Whom the daemon trusts, and what it shows, in PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// Refuse a connection without TLS, whatever the address says.
    pub required: bool,
    /// Who may have signed the server's certificate; none: whom the machine trusts.
    pub ca: Option<String>,
    /// The daemon's own certificate and its key.
    pub identity: Option<(String, String)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("required", &self.required)
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.as_ref().map(|_| "***"))
            .finish()
    }
}

/// A connection.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// How often it was made: what was under way before the latest time is not answered.
    pub(super) made: watch::Receiver<u64>,
    /// What the server said last, besides answers.
    complaint: Arc<Mutex<Option<String>>>,
    url: Arc<str>,
}

impl Connection {
    /// Connects to one of the servers of `url`, which are separated by commas.
    pub(super) async fn open(
        url: &str,
        name: &str,
        auth: &Auth,
        tls: &Tls,
    ) -> Result<Self, OpenError> {
        let shown: Arc<str> = without_password(url).into();
        let failed = |reason: String| OpenError::Unreachable { url: shown.to_string(), reason };
        let wrong = |reason: String| OpenError::Refused { url: shown.to_string(), reason };
        let addresses: Vec<async_nats::ServerAddr> = url
            .split(',')
            .map(|address| address.trim().parse())
            .collect::<io::Result<_>>()
            .map_err(|error| wrong(error.to_string()))?;
        let (sender, made) = watch::channel(0);
        let complaint = Arc::new(Mutex::new(None));
        let options = with_tls(ConnectOptions::new(), tls).map_err(wrong)?;
        let options = with_auth(options, auth).map_err(|error| wrong(error.to_string()))?;
        let heard = Arc::clone(&complaint);
        let connecting = options
            .name(name)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_EVERY)
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                let doubled = 1_u64 << attempts.clamp(1, 7);
                Duration::from_millis(8 * doubled).min(RECONNECT_PAUSE)
            })
            .event_callback(move |event| {
                match &event {
                    Event::Connected => {
                        sender.send_modify(|made| *made += 1);
                        *lock(&heard) = None;
                    }
                    Event::ServerError(_) | Event::ClientError(_) => {
                        *lock(&heard) = Some(event.to_string());
                    }
                    _ => {}
                }
                tracing::debug!(%event, "connection to the event bus");
                std::future::ready(())
            })
            .connect(addresses);
        let connected = tokio::time::timeout(2 * CONNECT_TIMEOUT, connecting).await;
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                let refused = matches!(
                    error.kind(),
                    async_nats::ConnectErrorKind::AuthorizationViolation
                        | async_nats::ConnectErrorKind::Authentication
                );
                let reason = chain(&error);
                return Err(if refused { wrong(reason) } else { failed(reason) });
            }
            Err(_) => return Err(failed("it does not answer".to_owned())),
        };
        Ok(Self { client, made, complaint, url: shown })
    }

    /// Whether it stands, as far as this end knows.
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Why nothing came.
    pub(super) fn silence(&self) -> String {
        let url = &self.url;
        if let Some(complaint) = lock(&self.complaint).as_ref() {
            return format!("NATS at {url} does not answer; it last said: {complaint}");
        }
        if self.is_up() {
            format!("NATS at {url} does not answer, though it is connected")
        } else {
            format!("NATS at {url} cannot be reached")
        }
    }

    /// The servers, without what is secret.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error and what it came from, without saying the same twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The addresses, without user and password.
pub(super) fn without_password(url: &str) -> String {
    let address = |address: &str| match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}{}", &address[..scheme + 3], &address[at + 1..])
        }
        (None, Some(at)) => address[at + 1..].to_owned(),
        _ => address.to_owned(),
    };
    url.split(',').map(|part| address(part.trim())).collect::<Vec<_>>().join(",")
}

fn with_auth(options: ConnectOptions, auth: &Auth) -> io::Result<ConnectOptions> {
    Ok(match auth {
        Auth::Nobody => options,
        Auth::User { name, password } => options.user_and_password(name.clone(), password.clone()),
        Auth::Token(token) => options.token(token.clone()),
        Auth::Nkey(seed) => options.nkey(seed.trim().to_owned()),
        Auth::Creds(creds) => options.credentials(creds)?,
    })
}

fn with_tls(options: ConnectOptions, tls: &Tls) -> Result<ConnectOptions, String> {
    let options = options.require_tls(tls.required || tls.ca.is_some() || tls.identity.is_some());
    if tls.ca.is_none() && tls.identity.is_none() {
        return Ok(options);
    }
    let mut roots = rustls::RootCertStore::empty();
    match &tls.ca {
        Some(pem) => {
            for certificate in certificates(pem, "the CA")? {
                roots.add(certificate).map_err(|error| format!("the CA: {error}"))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|_| "the client's key is no PEM key".to_owned())?;
            let chain = certificates(certificate, "the client's certificate")?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the client's certificate: {error}"))?
        }
    };
    Ok(options.tls_client_config(config))
}

fn certificates(pem: &str, whose: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("{whose} is no certificate in PEM")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://me:secret@host:4222", "nats://host:4222"),
            ("me:secret@host, tls://token@b", "host,tls://b"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        let secrets = [
            format!("{:?}", Auth::Token("secret".into())),
            format!("{:?}", Auth::User { name: "secret".into(), password: "secret".into() }),
            format!("{:?}", Auth::Nkey("secret".into())),
            format!("{:?}", Auth::Creds("secret".into())),
            format!(
                "{:?}",
                Tls { identity: Some(("secret".into(), "secret".into())), ..Tls::default() }
            ),
        ];
        for shown in secrets {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let tls = Tls { ca: Some("nonsense".into()), ..Tls::default() };
        let refused = with_tls(ConnectOptions::new(), &tls).map(drop);
        assert_eq!(refused, Err("the CA is no certificate in PEM".to_owned()));
    }
}
