//! Google's emulator of Pub/Sub, the one that its own Go library is tested with.
//!
//! Against the real service it differs: all is in memory and messages are kept for ten
//! minutes, `Seek` ends it, an ack of an old delivery is taken, push subscriptions do nothing.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::folder::Folder;
use crate::install::installed;
use crate::ports::free_address;
use crate::process::Process;

/// The emulator.
pub struct PubSub {
    process: Process,
    program: PathBuf,
    folder: Folder,
    address: SocketAddr,
    published: AtomicU64,
}

/// What is published.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The body.
    pub data: Vec<u8>,
    /// Attributes.
    pub attributes: Vec<(String, String)>,
    /// The ordering key; none where empty.
    pub ordering_key: String,
}

impl Message {
    /// One without attributes.
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }
}

impl PubSub {
    /// Starts it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        let program = installed("pubsub")?.join("pubsub-emulator");
        let folder = Folder::new("pubsub")?;
        let address = free_address();
        let process = spawn(&program, folder.path(), address, 0)?;
        let published = AtomicU64::new(0);
        let mut server = Self { process, program, folder, address, published };
        server.ready()?;
        Ok(server)
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        self.process.ready(|| TcpStream::connect(self.address).is_ok())
    }

    /// Host and port, as in `PUBSUB_EMULATOR_HOST`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A project. The emulator has any; this is the one that tests use.
    pub fn project(&self) -> &'static str {
        "testbed"
    }

    /// Creates a topic, with Google's own client.
    ///
    /// # Errors
    /// It is there already.
    pub fn create_topic(&self, topic: &str) -> anyhow::Result<()> {
        self.client(&["topic", self.project(), topic], "").map(drop)
    }

    /// Creates a subscription to a topic, with ordering, with Google's own client.
    ///
    /// # Errors
    /// It is there already, or the topic is not.
    pub fn create_subscription(&self, subscription: &str, topic: &str) -> anyhow::Result<()> {
        self.client(&["subscription", self.project(), subscription, topic], "").map(drop)
    }

    /// Publishes with Google's own client; returns the ids.
    ///
    /// # Errors
    /// The topic is not there.
    pub fn publish(&self, topic: &str, messages: &[Message]) -> anyhow::Result<Vec<String>> {
        let mut lines = String::new();
        for message in messages {
            let attributes: serde_json::Map<_, _> = message
                .attributes
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            let line = json!({
                "data": BASE64_STANDARD.encode(&message.data),
                "attributes": attributes,
                "orderingKey": message.ordering_key,
            });
            lines.push_str(&format!("{line}\n"));
        }
        // Also where it fails: some may have been taken.
        self.published.fetch_add(messages.len() as u64, Ordering::Relaxed);
        let ids = self.client(&["publish", self.project(), topic], &lines)?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    /// Somebody else has published so many messages: after [`Self::restart`] their ids are not
    /// given again.
    pub fn others_published(&self, count: usize) {
        self.published.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn client(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env("PUBSUB_EMULATOR_HOST", self.host())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("there is no standard input")?;
        // It reads all before it prints anything.
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.tail()
    }

    /// `kill -9`. What it held is lost.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again after [`Self::kill`]: on the same port, without topics. Ids go on where
    /// [`Self::publish`] has come to, as those of the real service do.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let published = self.published.load(Ordering::Relaxed);
        self.process = spawn(&self.program, self.folder.path(), self.address, published)?;
        self.ready()
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

fn spawn(
    program: &Path,
    folder: &Path,
    address: SocketAddr,
    skipped: u64,
) -> anyhow::Result<Process> {
    let mut command = Command::new(program);
    command.args(["serve", &address.port().to_string(), &skipped.to_string()]);
    Process::spawn("the Pub/Sub emulator", command, &folder.join("log"))
}
