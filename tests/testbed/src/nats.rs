//! nats-server with JetStream on disk.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use rustix::process::Signal;

use crate::Authority;
use crate::folder::Folder;
use crate::http::{Answer, Http};
use crate::install::installed;
use crate::ports::{free_address, free_port};
use crate::process::Process;

/// How a server is configured. The default is one without a password, on free ports, that
/// syncs its files as often as the server's own default says.
///
/// ```
/// # use tripline_testbed::NatsConfig;
/// let config = NatsConfig::default()
///     .jetstream("sync_interval: always")
///     .also("authorization { user: tripline, password: secret }");
/// ```
#[derive(Clone, Debug, Default)]
pub struct NatsConfig {
    port: Option<u16>,
    jetstream: String,
    also: String,
    files: Vec<(String, String)>,
}

impl NatsConfig {
    /// On this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A line inside of its `jetstream` block, as the server's configuration file has it:
    /// `sync_interval: always`, `max_file_store: 64MB`.
    #[must_use]
    pub fn jetstream(mut self, line: &str) -> Self {
        self.jetstream.push_str(&format!("  {line}\n"));
        self
    }

    /// A line of its configuration file outside of any block, or several.
    #[must_use]
    pub fn also(mut self, text: &str) -> Self {
        self.also.push_str(&format!("{text}\n"));
        self
    }

    /// Clients must speak TLS. With `verify`, each needs a certificate of the same authority.
    ///
    /// # Errors
    /// A certificate cannot be made.
    pub fn tls(mut self, authority: &Authority, verify: bool) -> anyhow::Result<Self> {
        let server = authority.server()?;
        self.files.push(("ca.pem".into(), authority.certificate()));
        self.files.push(("server.pem".into(), server.certificate));
        self.files.push(("server.key".into(), server.key));
        // Paths are from the folder of the configuration file.
        let _ = writeln!(
            self.also,
            "tls {{ cert_file: server.pem, key_file: server.key, ca_file: ca.pem, verify: {verify} }}"
        );
        Ok(self)
    }
}

/// A nats-server.
pub struct Nats {
    process: Process,
    program: PathBuf,
    folder: Folder,
    address: SocketAddr,
    monitor: SocketAddr,
}

impl Nats {
    /// One with the default configuration.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(NatsConfig::default())
    }

    /// One that is configured.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn with(config: NatsConfig) -> anyhow::Result<Self> {
        let mut server = Self::launch(config)?;
        server.ready()?;
        Ok(server)
    }

    /// Starts one and does not wait for it: a node of a cluster waits for the others.
    pub(crate) fn launch(config: NatsConfig) -> anyhow::Result<Self> {
        let program = installed("nats")?.join("nats-server");
        let folder = Folder::new("nats")?;
        let port = config.port.unwrap_or_else(free_port);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let monitor = free_address();
        for (name, text) in &config.files {
            std::fs::write(folder.path().join(name), text)?;
        }
        let text = format!(
            "host: 127.0.0.1\nport: {port}\nhttp: \"{monitor}\"\njetstream {{\n  store_dir: \"{}\"\n{}}}\n{}",
            folder.path().join("store").display(),
            config.jetstream,
            config.also,
        );
        std::fs::write(folder.path().join("nats.conf"), text)?;
        let process = spawn(&program, folder.path())?;
        Ok(Self { process, program, folder, address, monitor })
    }

    pub(crate) fn ready(&mut self) -> anyhow::Result<()> {
        let http = Http::plain(self.monitor);
        self.process.ready(|| http.is_ok("/healthz?js-enabled-only=true"))
    }

    /// Its URL for clients, without a password.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its monitoring.
    pub fn monitor_url(&self) -> String {
        format!("http://{}", self.monitor)
    }

    /// What its monitoring says of a path, `/jsz?streams=true` for example.
    ///
    /// # Errors
    /// It does not answer.
    pub fn monitor(&self, path: &str) -> anyhow::Result<Answer> {
        Http::plain(self.monitor).get(path)
    }

    /// The folder that it keeps its streams in.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.tail()
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// It had ended by itself, or does not end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop().map(drop)
    }

    /// Lame duck mode: it sends its clients away and then ends. Returns when it has.
    ///
    /// # Errors
    /// It had ended by itself, or does not end.
    pub fn lame_duck(&mut self) -> anyhow::Result<()> {
        self.process.end_by(Signal::USR2).map(drop)
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`]: the same ports, the same streams.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.relaunch()?;
        self.ready()
    }

    pub(crate) fn relaunch(&mut self) -> anyhow::Result<()> {
        self.process = spawn(&self.program, self.folder.path())?;
        Ok(())
    }

    /// `kill -9`, then a new one on the same ports, without a stream.
    ///
    /// # Errors
    /// It had ended by itself, or does not get ready.
    pub fn wipe(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        std::fs::remove_dir_all(self.store()).context("its streams cannot be removed")?;
        self.restart()
    }

    /// SIGSTOP: it keeps its connections and says nothing.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// It goes on after [`Self::pause`].
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn unpause(&mut self) -> anyhow::Result<()> {
        self.process.unpause()
    }
}

fn spawn(program: &Path, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.join("nats.conf")).current_dir(folder);
    Process::spawn("nats-server", command, &folder.join("log"))
}
