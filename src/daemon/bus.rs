//! The event bus of a daemon: which one it is, how it is opened, and how it is.
//!
//! Promises: what names a server never becomes the embedded bus because something is wrong
//! with it; a data directory is used by one daemon at a time, wherever the logs are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tripline_bus::Bus;
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};

use super::Options;
use super::secrets::SecretStore;
use crate::load::Configuration;

/// What the command line says about the event bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusChoice {
    /// The NATS servers; none: the embedded bus, unless an `EventBus` names some.
    pub nats: Option<String>,
    /// What names of streams begin with.
    pub prefix: Option<String>,
    /// On how many servers streams are kept that are made.
    pub replicas: Option<usize>,
    /// How many bytes of events are kept before new ones are refused, in streams that are made.
    pub max_bytes: Option<u64>,
    /// A file that says who one is: `.creds`, or YAML with `username` and `password` or
    /// `token`, or a token or the seed of an nkey as it is.
    pub access: Option<PathBuf>,
    /// A file of certificates: who may have signed the server's.
    pub ca: Option<PathBuf>,
    /// One's own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The bus of a daemon.
pub(crate) enum OpenBus {
    Embedded(Arc<EmbeddedBus>),
    #[cfg(feature = "jetstream")]
    JetStream(jetstream::Open),
}

impl OpenBus {
    pub(crate) fn bus(&self) -> Arc<dyn Bus> {
        match self {
            Self::Embedded(bus) => Arc::clone(bus) as _,
            #[cfg(feature = "jetstream")]
            Self::JetStream(open) => Arc::clone(&open.bus) as _,
        }
    }

    /// Lets it go for another daemon.
    pub(crate) async fn close(&self) {
        match self {
            // The directory is let go when the process ends, or this is dropped.
            Self::Embedded(_) => {}
            #[cfg(feature = "jetstream")]
            Self::JetStream(open) => open.bus.close().await,
        }
    }

    /// It notices by itself when it does not work, and when it does again.
    pub(crate) fn watches_itself(&self) -> bool {
        match self {
            Self::Embedded(_) => false,
            #[cfg(feature = "jetstream")]
            Self::JetStream(_) => true,
        }
    }

    /// What keeps it from working, in a sentence each.
    pub(crate) fn troubles(&self) -> Vec<String> {
        match self {
            Self::Embedded(bus) => bus.troubles(),
            #[cfg(feature = "jetstream")]
            Self::JetStream(open) => open.bus.troubles(),
        }
    }

    /// Writes a copy of the store.
    pub(crate) async fn backup(&self, to: &Path) -> Result<u64, String> {
        match self {
            Self::Embedded(bus) => bus.backup(to).await.map_err(|error| error.to_string()),
            #[cfg(feature = "jetstream")]
            Self::JetStream(open) => Err(format!(
                "the logs are on JetStream ({}), and not in a store that could be copied: use `nats stream backup` for each stream, or `tripline bus copy` into a data directory",
                open.described
            )),
        }
    }
}

/// Opens the bus that the command line and the files ask for.
pub(super) async fn open(
    options: &Options,
    configuration: &Configuration,
    secrets: &SecretStore,
) -> anyhow::Result<OpenBus> {
    if let Some(object) = &configuration.event_bus_refused
        && options.bus.nats.is_none()
    {
        anyhow::bail!(
            "EventBus {object} names a server, and cannot be used (see above): the daemon does not start on another bus instead; mend it, remove it, or say --nats"
        );
    }
    let wanted = configuration.event_bus.as_ref();
    let server = wanted.and_then(|bus| bus.server.as_ref());
    if options.bus.nats.is_none() && server.is_none() {
        if let Some(bus) = wanted {
            tracing::error!(
                "{}: EventBus {} is left out: it says JetStream, and not where; name the server with `--nats nats://HOST:4222` or in TRIPLINE_NATS, or use jetstreamExotic with its url; until then events are kept in the data directory",
                bus.place,
                bus.object
            );
        }
        return embedded(options).await.map(OpenBus::Embedded);
    }
    #[cfg(feature = "jetstream")]
    return jetstream::open(options, wanted, secrets).await.map(OpenBus::JetStream);
    #[cfg(not(feature = "jetstream"))]
    {
        let _ = secrets;
        anyhow::bail!("this build knows no JetStream: it was built without the feature `jetstream`")
    }
}

async fn embedded(options: &Options) -> anyhow::Result<Arc<EmbeddedBus>> {
    let data = options.data.clone();
    let max_bytes = super::room::quota(options.quota, &data)?;
    let open = OpenOptions { lock_wait: options.lock_wait, max_bytes, ..OpenOptions::default() };
    let opened = tokio::task::spawn_blocking(move || EmbeddedBus::open(&data, &open)).await;
    Ok(Arc::new(opened.context("opening the data directory failed")??))
}

#[cfg(feature = "jetstream")]
pub(crate) mod jetstream {
    //! JetStream: from a choice to options, and to the bus.

    use tripline_bus::embedded::DirectoryLock;
    use tripline_bus::jetstream::{Auth, JetStreamBus, OpenOptions, Owner, Severity, Tls};
    use tripline_config::SecretRef;
    use tripline_triggers::SecretLookup;

    use super::*;
    use crate::load::event_bus::EventBusChoice;

    /// How long to wait at the start for a server that is not there yet.
    const SERVER_WAIT: Duration = Duration::from_secs(15);
    /// The file of the data directory that names its daemon to the server.
    const OWNER_FILE: &str = "nats-owner";
    /// No key or credentials are larger.
    const MAX_FILE_BYTES: u64 = 1024 * 1024;

    /// A bus on JetStream.
    pub(crate) struct Open {
        pub(crate) bus: Arc<JetStreamBus>,
        /// Server and prefix, for people.
        pub(crate) described: String,
        _directory: DirectoryLock,
    }

    pub(super) async fn open(
        options: &Options,
        wanted: Option<&EventBusChoice>,
        secrets: &SecretStore,
    ) -> anyhow::Result<Open> {
        let (data, lock_wait) = (options.data.clone(), options.lock_wait);
        let lock = move || {
            let lock = super::OpenOptions { lock_wait, ..super::OpenOptions::default() };
            DirectoryLock::take(&data, &lock)
        };
        let directory = tokio::task::spawn_blocking(lock).await??;
        let owner = Owner {
            name: format!("process {} on {}", std::process::id(), host()),
            id: Some(owner_id(&options.data)?),
            wait: options.lock_wait.unwrap_or_default(),
        };
        let wait = options.lock_wait.unwrap_or_default().max(SERVER_WAIT);
        let open = OpenOptions {
            owner: Some(owner),
            wait,
            ..open_options(&options.bus, wanted, Some(secrets))?
        };
        let described = format!("{}, prefix {}", shown(&open.url), open.prefix);
        let bus = JetStreamBus::open(&open).await.context("the event bus cannot be opened")?;
        crate::bus_copy::refuse_unfinished(&bus).await?;
        tracing::info!("the event bus is JetStream at {described}");
        if directory.has_store() {
            tracing::warn!(
                "the data directory has logs of its own, which are not used now: `tripline bus copy` moves them to JetStream, while no daemon runs"
            );
        }
        for finding in bus.preflight().await {
            match finding.severity {
                Severity::Wrong => tracing::error!("event bus: {}", finding.text),
                Severity::Note => tracing::info!("event bus: {}", finding.text),
            }
        }
        Ok(Open { bus: Arc::new(bus), described, _directory: directory })
    }

    /// What is to be opened, by the command line first and the files second.
    pub(crate) fn open_options(
        choice: &BusChoice,
        wanted: Option<&EventBusChoice>,
        secrets: Option<&SecretStore>,
    ) -> anyhow::Result<OpenOptions> {
        let server = wanted.and_then(|bus| bus.server.as_ref());
        let url = choice.nats.clone().or_else(|| server.map(|server| server.url.clone()));
        let mut open = OpenOptions::new(url.context("no NATS server is named: say --nats URL")?);
        if let Some(prefix) =
            choice.prefix.clone().or_else(|| wanted.and_then(|bus| bus.prefix.clone()))
        {
            open.prefix = prefix;
        }
        open.replicas = choice.replicas.or_else(|| wanted.and_then(|bus| bus.replicas));
        open.max_bytes = choice.max_bytes.or_else(|| wanted.and_then(|bus| bus.max_bytes));
        open.domain = wanted.and_then(|bus| bus.domain.clone());
        let secret = |reference: &SecretRef| -> anyhow::Result<String> {
            let (bus, secrets) = wanted.zip(secrets).context("no secrets are there")?;
            let secret = SecretLookup::secret(secrets, &bus.object.namespace, reference)
                .map_err(anyhow::Error::msg)?;
            let text = std::str::from_utf8(secret.expose());
            Ok(text.context("a secret of the event bus is no text")?.to_owned())
        };
        if let Some(file) = &choice.access {
            open.auth = access(&file_text(file)?);
        } else if let Some(reference) = server.and_then(|server| server.access_secret.as_ref()) {
            open.auth = access(&secret(reference)?);
        }
        let mut tls = Tls::default();
        if let Some(wanted) = server.and_then(|server| server.tls.as_ref()) {
            tls.required = true;
            tls.ca = wanted.ca_cert_secret.as_ref().map(&secret).transpose()?;
            let identity =
                wanted.client_cert_secret.as_ref().zip(wanted.client_key_secret.as_ref());
            tls.identity = match identity {
                Some((certificate, key)) => Some((secret(certificate)?, secret(key)?)),
                None => None,
            };
        }
        if let Some(ca) = &choice.ca {
            tls.ca = Some(file_text(ca)?);
        }
        if let Some((certificate, key)) = &choice.identity {
            tls.identity = Some((file_text(certificate)?, file_text(key)?));
        }
        open.tls = tls;
        Ok(open)
    }

    fn file_text(path: &Path) -> anyhow::Result<String> {
        use std::io::Read as _;
        let mut text = String::new();
        let file = std::fs::File::open(path);
        file.and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(text)
    }

    /// Who one is, from what stands in a secret.
    pub(crate) fn access(text: &str) -> Auth {
        if text.contains("BEGIN NATS USER JWT") {
            return Auth::Creds(text.to_owned());
        }
        let field = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                let key = key.trim().trim_matches(['"', '\'']);
                let value = value.trim().trim_matches(['"', '\'']);
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let plain = text.trim();
        match (field("username").or_else(|| field("user")), field("password"), field("token")) {
            (Some(name), Some(password), _) => Auth::User { name, password },
            (_, _, Some(token)) => Auth::Token(token),
            _ if plain.starts_with("SU") && plain.len() == 58 => Auth::Nkey(plain.to_owned()),
            _ => Auth::Token(plain.to_owned()),
        }
    }

    /// The addresses, without what stands before an `@`.
    pub(crate) fn shown(url: &str) -> String {
        let plain = |address: &str| match (address.find("://"), address.rfind('@')) {
            (Some(scheme), Some(at)) => format!("{}{}", &address[..scheme + 3], &address[at + 1..]),
            (None, Some(at)) => address[at + 1..].to_owned(),
            _ => address.to_owned(),
        };
        url.split(',').map(plain).collect::<Vec<_>>().join(",")
    }

    fn host() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// The same for each daemon on this data directory, which is locked: whoever has it
    /// knows that the one before is dead.
    fn owner_id(data: &Path) -> anyhow::Result<String> {
        let path = data.join(OWNER_FILE);
        if let Ok(id) = std::fs::read_to_string(&path) {
            return Ok(id.trim().to_owned());
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        std::fs::write(&path, &id)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(id)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn who_one_is_is_read_from_a_secret_of_any_shape() {
            let shape = |text: &str| match access(text) {
                Auth::User { name, password } => format!("user {name} {password}"),
                Auth::Token(token) => format!("token {token}"),
                Auth::Nkey(_) => "nkey".to_owned(),
                Auth::Creds(_) => "creds".to_owned(),
                Auth::Nobody => "nobody".to_owned(),
            };
            let seed = format!("SU{}", "A".repeat(56));
            for (text, expected) in [
                ("username: me\npassword: \"pass\"\n", "user me pass"),
                ("token: t\n", "token t"),
                ("plain-token\n", "token plain-token"),
                (seed.as_str(), "nkey"),
                ("-----BEGIN NATS USER JWT-----\n…", "creds"),
            ] {
                assert_eq!(shape(text), expected);
            }
        }

        #[test]
        fn a_password_in_the_address_is_not_shown() {
            assert_eq!(shown("nats://me:secret@h:1,tls://o@b"), "nats://h:1,tls://b");
        }
    }
}
