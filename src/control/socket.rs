//! The Unix socket in the data directory.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::{ControlError, SOCKET};

/// The longest path that a Unix socket may have, in bytes.
const MAX_PATH_BYTES: usize = 107;

/// Makes the socket in the data directory, for its owner alone. The caller holds the
/// directory: a socket that is there is a dead daemon's, and is replaced.
pub fn bind(data: &Path) -> Result<UnixListener, ControlError> {
    let path = data.join(SOCKET);
    if path.as_os_str().len() > MAX_PATH_BYTES {
        return Err(ControlError::Invalid(format!(
            "{} is longer than the {MAX_PATH_BYTES} bytes that a socket's path may have: use a data directory with a shorter path",
            path.display()
        )));
    }
    bind_at(data, &path).map_err(|error| {
        ControlError::Failed(format!("control socket {}: {error}", path.display()))
    })
}

/// A socket can be opened by others from its creation until its permissions are set: so it
/// is made in a directory that they cannot enter, and moved.
fn bind_at(data: &Path, path: &Path) -> io::Result<UnixListener> {
    let closed = data.join(".sock");
    remove(&closed)?;
    DirBuilder::new().mode(0o700).create(&closed)?;
    let made = closed.join("s");
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    std::fs::rename(&made, path)?;
    std::fs::remove_dir(&closed)?;
    Ok(listener)
}

fn remove(directory: &PathBuf) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name of a user; `uid 1000` where `/etc/passwd` does not have it.
pub fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&passwd, uid).unwrap_or_else(|| format!("uid {uid}"))
}

fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_in(passwd, 7), None);
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_a_dead_daemons_is_replaced() {
        let data = tempfile::tempdir().unwrap();
        drop(bind(data.path()).unwrap());
        let _listener = bind(data.path()).unwrap();
        let mode = std::fs::metadata(data.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names: Vec<_> = std::fs::read_dir(data.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_refused_with_advice() {
        let data = tempfile::tempdir().unwrap();
        let long = data.path().join("x".repeat(100));
        std::fs::create_dir(&long).unwrap();
        assert!(
            matches!(bind(&long), Err(ControlError::Invalid(text)) if text.contains("shorter"))
        );
    }
}
