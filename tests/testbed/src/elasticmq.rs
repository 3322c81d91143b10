//! ElasticMQ: SQS in memory. There is no SNS and no STS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::folder::Folder;
use crate::http::Http;
use crate::install::installed;
use crate::ports::free_address;
use crate::process::Process;

/// The server. It takes 11 to 14 s to start, and 130 MB.
pub struct ElasticMq {
    process: Process,
    libraries: PathBuf,
    folder: Folder,
    address: SocketAddr,
}

impl ElasticMq {
    /// Starts it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        let libraries = installed("elasticmq")?.join("libs");
        let folder = Folder::new("elasticmq")?;
        let address = free_address();
        let port = address.port();
        let config = format!(
            "include classpath(\"application.conf\")\n\
             node-address {{ protocol = http, host = 127.0.0.1, port = {port}, context-path = \"\" }}\n\
             rest-sqs {{ enabled = true, bind-hostname = 127.0.0.1, bind-port = {port}, sqs-limits = strict }}\n\
             rest-stats.enabled = false\n"
        );
        std::fs::write(folder.path().join("elasticmq.conf"), config)?;
        let process = spawn(&libraries, folder.path())?;
        let mut server = Self { process, libraries, folder, address };
        server.ready()?;
        Ok(server)
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        // Any answer will do: what is asked for is not there.
        let http = Http::plain(self.address);
        self.process.ready(|| http.get("/").is_ok())
    }

    /// The endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        self.process = spawn(&self.libraries, self.folder.path())?;
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

fn spawn(libraries: &Path, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new("java");
    // Compiled once and lightly: it starts in half the time.
    command.args(["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg(format!("-Dconfig.file={}", folder.join("elasticmq.conf").display()));
    command.arg("-cp").arg(libraries.join("*")).arg("org.elasticmq.server.Main");
    Process::spawn("ElasticMQ", command, &folder.join("log"))
}
