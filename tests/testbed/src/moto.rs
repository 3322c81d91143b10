//! moto: SQS, SNS and STS in memory.
//!
//! Against the real services it differs: any access key is taken, and all is lost when it ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::folder::Folder;
use crate::http::Http;
use crate::install::installed;
use crate::ports::free_address;
use crate::process::Process;

/// An access key that the servers take.
pub const AWS_ACCESS_KEY_ID: &str = "testbed";
/// Its secret.
pub const AWS_SECRET_ACCESS_KEY: &str = "testbed-secret-access-key";
/// A region.
pub const AWS_REGION: &str = "us-east-1";

/// The server.
pub struct Moto {
    process: Process,
    python: PathBuf,
    folder: Folder,
    address: SocketAddr,
}

impl Moto {
    /// Starts it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        let python = installed("moto")?.join("bin/python");
        let folder = Folder::new("moto")?;
        let address = free_address();
        let process = spawn(&python, folder.path(), address)?;
        let mut server = Self { process, python, folder, address };
        server.ready()?;
        Ok(server)
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        let http = Http::plain(self.address);
        self.process.ready(|| http.is_ok("/moto-api/"))
    }

    /// The endpoint of all services.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A Python that has boto3, Amazon's own client, with the endpoint and an access key in its
    /// environment.
    pub fn boto3(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY)
            .env("AWS_DEFAULT_REGION", AWS_REGION);
        command
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

    /// Starts it again after [`Self::kill`]: on the same port, without queues.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process = spawn(&self.python, self.folder.path(), self.address)?;
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

fn spawn(python: &Path, folder: &Path, address: SocketAddr) -> anyhow::Result<Process> {
    let mut command = Command::new(python);
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
    command.current_dir(folder);
    Process::spawn("moto", command, &folder.join("log"))
}
