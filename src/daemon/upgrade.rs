//! Replacing the program while it runs.
//!
//! The daemon stops in its grace period as it always does, and the process then becomes the
//! program that is at its path by now: with the same process id, the same arguments and the
//! same listening sockets. What connects in between waits in the queues of the sockets, so
//! that nobody is refused.
//!
//! The sockets keep the numbers of their descriptors, which the next program is told. systemd's
//! way (`LISTEN_FDS`, which a socket unit uses and the daemon understands, too) has them count
//! from 3 on; those numbers belong to the threads of the runtime, which may close them until
//! the moment when the next program begins.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::io::{FdFlags, fcntl_setfd};

/// The variable that names the sockets which a program leaves to the next one: its process
/// id, a colon, the numbers of their descriptors.
const LEFT_OPEN: &str = "TRIPLINE_SOCKETS";
/// The first socket that systemd passes has this number (sd_listen_fds(3)).
const FIRST_OF_SYSTEMD: usize = 3;
/// How long a program may take to say its version.
const SOON: Duration = Duration::from_secs(10);
/// The program that runs, whatever has become of its file.
const MYSELF: &str = "/proc/self/exe";

/// The program that the process became, and becomes again.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// The one that runs. Must be asked at the start, as long as nobody has replaced its file.
    ///
    /// # Errors
    /// The system does not say where it is.
    pub fn current() -> anyhow::Result<Self> {
        let path = std::env::current_exe().context("the path of the program is not known")?;
        Ok(Self { path, arguments: std::env::args_os().skip(1).collect() })
    }

    /// The version of what is at the path now.
    ///
    /// # Errors
    /// It cannot be run, or is not Tripline.
    pub async fn version(&self) -> anyhow::Result<String> {
        let path = self.path.display();
        let mut command = tokio::process::Command::new(&self.path);
        command.arg("version").kill_on_drop(true);
        let output = tokio::time::timeout(SOON, command.output())
            .await
            .with_context(|| format!("{path} did not say its version within {SOON:?}"))?
            .with_context(|| format!("{path} cannot be run"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let words = text.strip_prefix("tripline ").and_then(|rest| rest.split_whitespace().next());
        match words {
            Some(version) if output.status.success() => Ok(version.to_owned()),
            _ => bail!("{path} is not Tripline: `{path} version` did not say a version"),
        }
    }

    /// Becomes the program at the path, which listens on these sockets. Where that cannot be
    /// run, the process becomes the program that it is. Returns only if that fails, too.
    pub fn replace(&self, sockets: &[TcpListener]) -> anyhow::Error {
        let error = become_program(&self.path, &self.arguments, sockets);
        tracing::error!(error = format!("{error:#}"), "the same program is run again");
        become_program(Path::new(MYSELF), &self.arguments, sockets)
    }
}

fn become_program(path: &Path, arguments: &[OsString], sockets: &[TcpListener]) -> anyhow::Error {
    let exec = || -> anyhow::Result<std::convert::Infallible> {
        for socket in sockets {
            fcntl_setfd(socket, FdFlags::empty())?;
        }
        let mut command = Command::new(path);
        command.args(arguments).env(LEFT_OPEN, left_open(sockets));
        command.env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
        Err(command.exec().into())
    };
    let Err(error) = { exec }();
    error.context(format!("{} cannot be run", path.display()))
}

fn left_open(sockets: &[TcpListener]) -> String {
    let numbers: Vec<String> = sockets.iter().map(|it| it.as_raw_fd().to_string()).collect();
    format!("{}:{}", std::process::id(), numbers.join(","))
}

/// The sockets that this process was given, by the program that it was before or by systemd.
/// Must be asked before anything else is opened, and once.
///
/// # Errors
/// One of them is no listening TCP socket.
pub fn sockets_given() -> anyhow::Result<Vec<TcpListener>> {
    let mut sockets = match std::env::var(LEFT_OPEN) {
        Ok(value) => descriptors(&value, std::process::id())?
            .into_iter()
            .map(|number| taken(number).with_context(|| format!("{LEFT_OPEN}: {number}")))
            .collect::<anyhow::Result<_>>()?,
        Err(_) => Vec::new(),
    };
    let mut given = listenfd::ListenFd::from_env();
    for index in 0..given.len() {
        let socket = given.take_tcp_listener(index).with_context(|| {
            format!("LISTEN_FDS: descriptor {} is no TCP socket", FIRST_OF_SYSTEMD + index)
        })?;
        sockets.extend(socket);
    }
    for socket in &sockets {
        // Programs that are run for credentials have no use for it.
        fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    }
    Ok(sockets)
}

/// What [`LEFT_OPEN`] says; nothing where it was said to another process, of which this is
/// a child.
fn descriptors(value: &str, own_pid: u32) -> anyhow::Result<Vec<RawFd>> {
    let wrong = || format!("{LEFT_OPEN} is `{value}`, and not a process id and descriptors");
    let (pid, numbers) = value.split_once(':').with_context(wrong)?;
    if pid.parse::<u32>().with_context(wrong)? != own_pid {
        return Ok(Vec::new());
    }
    numbers
        .split(',')
        .filter(|number| !number.is_empty())
        .map(|number| number.parse().with_context(wrong))
        .collect()
}

fn taken(number: RawFd) -> anyhow::Result<TcpListener> {
    let path = format!("/proc/self/fd/{number}");
    ensure!(number > 2 && Path::new(&path).exists(), "there is no such descriptor");
    #[expect(unsafe_code, reason = "a descriptor that is inherited is known by its number alone")]
    // SAFETY: it is open, and nothing in this program owns it: the program before this one
    // left it to whoever reads the variable, which is done once, and first.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let listens =
        rustix::net::sockopt::socket_acceptconn(&socket).context("the descriptor is no socket")?;
    ensure!(listens, "the socket does not listen");
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd as _;

    use super::*;

    fn program(path: &str) -> Program {
        Program { path: path.into(), arguments: Vec::new() }
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_run_or_is_another_one_is_refused_before_anything_stops() {
        for (path, error) in [
            ("/nonexistent/tripline", "cannot be run"),
            ("/bin/true", "is not Tripline"),
            ("/bin/false", "is not Tripline"),
        ] {
            let refused = program(path).version().await.unwrap_err();
            assert!(format!("{refused:#}").contains(error), "{path}: {refused:#}");
        }
    }

    #[test]
    fn sockets_left_to_this_process_are_known_by_their_numbers() {
        let left = |value: &str| descriptors(value, 42);
        assert!(left("42:").unwrap().is_empty());
        assert_eq!(left("42:7,19").unwrap(), vec![7, 19]);
        assert!(left("41:7,19").unwrap().is_empty(), "they were left to the parent");
        for wrong in ["", "42", "x:7", "42:x", "42:7,,x"] {
            assert!(left(wrong).unwrap_err().to_string().contains(LEFT_OPEN), "{wrong}");
        }
        let sockets = [TcpListener::bind("127.0.0.1:0").unwrap()];
        let said = descriptors(&left_open(&sockets), std::process::id()).unwrap();
        assert_eq!(said, vec![sockets[0].as_raw_fd()]);
    }

    #[test]
    fn only_a_socket_that_listens_is_taken() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        let taken_over = taken(OwnedFd::from(listening).into_raw_fd()).unwrap();
        assert_eq!(taken_over.local_addr().unwrap(), address);

        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(
            taken(OwnedFd::from(file).into_raw_fd()).unwrap_err().to_string().contains("no socket")
        );
        let connected = std::net::TcpStream::connect(address).unwrap();
        let connected = taken(OwnedFd::from(connected).into_raw_fd()).unwrap_err();
        assert!(connected.to_string().contains("does not listen"));
        assert!(taken(RawFd::MAX).unwrap_err().to_string().contains("no such"));
    }
}
