//! A server as a process.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

/// How long a server may take to get ready. A JVM takes 14 s where other builds run.
const READY: Duration = Duration::from_secs(120);
/// How long a server may take to end when it is told to.
const END: Duration = Duration::from_secs(30);
/// How often it is looked whether something has come about.
pub const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of a log is shown.
const LOG_TAIL: u64 = 4096;

/// A process that was started. One that is dropped is killed.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it. What it prints is appended to the file `log`.
    pub fn spawn(name: &'static str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let program = command.get_program().to_owned();
        let child = spawn_bound(command)
            .with_context(|| format!("{name} cannot be started: {}", program.display()))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Waits until `is_ready`.
    pub fn ready(&mut self, mut is_ready: impl FnMut() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended while it started ({status}):\n{}", self.name, self.tail());
            }
            ensure!(
                Instant::now() < deadline,
                "{} is not ready after {READY:?}:\n{}",
                self.name,
                self.tail()
            );
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        tail(&self.log).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.still_runs()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM; returns when it has ended.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.end_by(Signal::TERM)
    }

    /// A signal after which it ends by itself; returns when it has.
    pub fn end_by(&mut self, signal: Signal) -> anyhow::Result<ExitStatus> {
        self.signal(signal)?;
        let deadline = Instant::now() + END;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "{} does not end:\n{}", self.name, self.tail());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// SIGSTOP: it keeps its connections and says nothing. Returns when all of its threads stand
    /// still.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + END;
        while !stands_still(self.pid())? {
            ensure!(Instant::now() < deadline, "{} does not stop", self.name);
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// SIGCONT.
    pub fn unpause(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.still_runs()?;
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no process id")?, signal)?)
    }

    /// A server that has ended by itself is a failure of the test, whatever it is told next.
    fn still_runs(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} had ended by itself ({status}):\n{}", self.name, self.tail());
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether all threads of a process are stopped.
fn stands_still(pid: u32) -> std::io::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
        // The name before the state is in parentheses, and may hold anything.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state != Some('T') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The end of a file.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

type Request = (Command, SyncSender<std::io::Result<Child>>);

/// Starts a process that the kernel kills when this one ends.
///
/// The kernel goes by the thread that has started it, and threads of tests end with their
/// test. So one thread, which never ends, starts them all.
fn spawn_bound(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<SyncSender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = sync_channel::<Request>(1);
        std::thread::spawn(move || {
            for (mut command, answer) in receiver {
                bind_to_this_process(&mut command);
                // Who has asked waits for the answer.
                drop(answer.send(command.spawn()));
            }
        });
        sender
    });
    let gone = || std::io::Error::other("the thread that starts servers has ended");
    let (answer, answered) = sync_channel(1);
    spawner.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

#[expect(unsafe_code, reason = "only the child itself can ask for a signal when its parent ends")]
fn bind_to_this_process(command: &mut Command) {
    let parent = Pid::from_raw(i32::try_from(std::process::id()).unwrap_or(0));
    // SAFETY: between fork and exec only two system calls are made, which allocate nothing and
    // take no lock.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have ended before the call.
            if getppid() == parent { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
        });
    }
}
