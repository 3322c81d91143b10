//! The real daemon as a process: started, waited for, killed.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tripline::control::{Address, Client, Status};

use crate::load::{Connection, get};
use crate::ports::free_port;

/// How long anything may take that takes a moment.
pub const SOON: Duration = Duration::from_secs(60);
/// How often it is looked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The most of its standard error that is kept: the end of it.
const STDERR_BYTES: usize = 1 << 20;

/// The program: `TRIPLINE_BIN`, else the release build beside this one.
///
/// # Errors
/// It is not there; a test that cannot run fails.
pub fn program() -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os("TRIPLINE_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let target = match std::env::var_os("CARGO_TARGET_DIR") {
                Some(target) => PathBuf::from(target),
                None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
            };
            target.join("release/tripline")
        }
    };
    ensure!(
        path.is_file(),
        "there is no program at {}: build it with `cargo build --release -p tripline`, or set TRIPLINE_BIN",
        path.display()
    );
    Ok(path)
}

/// A folder of YAML and a data directory, for daemons that come one after the other.
pub struct Place {
    folder: tempfile::TempDir,
    /// The port that the event source of [`crate::resources`] is to have.
    pub port: u16,
    operations: u16,
    /// The program, where it is not [`program`].
    pub program: Option<PathBuf>,
    /// What a daemon is told besides: arguments of `tripline run`.
    pub arguments: Vec<String>,
    /// Its environment, besides that of the test.
    pub environment: Vec<(&'static str, String)>,
}

impl Place {
    /// A new, empty place in the system's folder for temporary files.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    /// A new, empty place below `parent`, whose disk is the one that is used.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn below(parent: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tripline-").tempdir_in(parent)?;
        std::fs::create_dir(folder.path().join("yaml"))?;
        Ok(Self {
            folder,
            port: free_port(),
            operations: free_port(),
            program: None,
            arguments: Vec::new(),
            environment: Vec::new(),
        })
    }

    /// The folder of YAML.
    pub fn yaml(&self) -> PathBuf {
        self.folder.path().join("yaml")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where webhooks listen.
    pub fn webhook(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Writes a file into the folder of YAML, in one step.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        // Names that begin with a dot are not read.
        let incomplete = self.yaml().join(format!(".{name}"));
        std::fs::write(&incomplete, text)?;
        Ok(std::fs::rename(incomplete, self.yaml().join(name))?)
    }

    /// A command of the program.
    ///
    /// # Errors
    /// The program is not there.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let program = self.program.clone().map_or_else(program, Ok)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        Ok(command)
    }

    /// Starts a daemon here and does not wait for anything.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self) -> anyhow::Result<Daemon> {
        let operations = SocketAddr::from((Ipv4Addr::LOCALHOST, self.operations));
        let mut command = self.command(&["run"])?;
        command.arg(self.yaml()).arg("--data").arg(self.data());
        command.args(["--bind", "127.0.0.1", "--operations", &operations.to_string()]);
        command.args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Daemon::spawn(command, self.data(), operations)
    }

    /// Starts a daemon here and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready soon.
    pub async fn start(&self) -> anyhow::Result<Daemon> {
        let mut daemon = self.spawn()?;
        daemon.ready().await?;
        Ok(daemon)
    }
}

/// A daemon that was started. One that is dropped is killed.
pub struct Daemon {
    child: Child,
    data: PathBuf,
    /// Where `/readyz` and `/metrics` are.
    pub operations: SocketAddr,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Daemon {
    fn spawn(mut command: Command, data: PathBuf, operations: SocketAddr) -> anyhow::Result<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the program cannot be started")?;
        let pipe = child.stderr.take().context("there is no standard error")?;
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let stderr = Arc::clone(&stderr);
            move || keep(pipe, &stderr)
        });
        Ok(Self { child, data, operations, stderr, reader: Some(reader) })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard error.
    pub fn stderr(&self) -> String {
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&stderr).into_owned()
    }

    /// Waits until `/readyz` says that it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready soon.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended ({status}):\n{}", self.stderr());
            }
            if let Ok((200, _)) = get(self.operations, "/readyz").await {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the daemon is not ready:\n{}", self.stderr());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It had ended by itself before.
    pub fn kill(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the daemon ended by itself ({status}):\n{}", self.stderr());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// It does not end soon.
    pub async fn stop(mut self) -> anyhow::Result<Ended> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("the daemon has no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.wait().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not end soon.
    pub async fn wait(&mut self) -> anyhow::Result<Ended> {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // Its end of the pipe is closed: the reader has an end, too.
                if let Some(reader) = self.reader.take() {
                    drop(reader.join());
                }
                return Ok(Ended { status, stderr: self.stderr() });
            }
            ensure!(Instant::now() < deadline, "the daemon does not end:\n{}", self.stderr());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A client of its control socket.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&Address::Directory(self.data.clone()))?)
    }

    /// Its status.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn status(&self) -> anyhow::Result<Status> {
        let status = self.client()?.get("/v1/status", &[]).await;
        status.with_context(|| format!("its standard error:\n{}", self.stderr()))
    }

    /// Waits for a status.
    ///
    /// # Errors
    /// It does not come about within the time.
    pub async fn status_when(
        &self,
        what: &str,
        within: Duration,
        is_so: impl Fn(&Status) -> bool,
    ) -> anyhow::Result<Status> {
        let deadline = Instant::now() + within;
        let client = self.client()?;
        loop {
            let status: Status = client.get("/v1/status", &[]).await?;
            if is_so(&status) {
                return Ok(status);
            }
            ensure!(
                Instant::now() < deadline,
                "{what}: not within {within:?}; status {status:#?}\n{}",
                self.stderr()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until every event that is in the log is evaluated and every action is closed.
    ///
    /// # Errors
    /// It does not come about within the time.
    pub async fn settled(&self, within: Duration) -> anyhow::Result<Status> {
        let events = |status: &Status| {
            status.logs.iter().find(|log| log.log == "events").map(|log| log.next)
        };
        let mut before = None;
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let status = self.status_when("all actions are closed", left, is_settled).await?;
            // What was appended just now may not have been read yet.
            if before.is_some() && before == events(&status) {
                return Ok(status);
            }
            before = events(&status);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The sum of a metric over all its series.
    ///
    /// # Errors
    /// It does not answer, or there is no such metric.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let (status, text) = get(self.operations, "/metrics").await?;
        ensure!(status == 200, "/metrics answered {status}");
        let series: Vec<f64> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        ensure!(!series.is_empty(), "there is no metric {name} in\n{text}");
        Ok(series.iter().sum())
    }

    /// Whether a webhook's port takes connections.
    pub async fn accepts(&self, address: SocketAddr) -> bool {
        Connection::open(address).await.is_ok()
    }
}

fn is_settled(status: &Status) -> bool {
    let open =
        |queue: &tripline::control::QueueStatus| queue.waiting + queue.in_flight + queue.retrying;
    status.lag == 0 && status.triggers.iter().all(|queue| open(queue) == 0)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a daemon ended.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it had said on standard error.
    pub stderr: String,
}

fn keep(mut pipe: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 8192];
    while let Ok(read @ 1..) = pipe.read(&mut chunk) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 2 * STDERR_BYTES {
            let cut = kept.len() - STDERR_BYTES;
            kept.drain(..cut);
        }
    }
}
