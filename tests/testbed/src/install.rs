//! Where servers are installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};

static FOLDERS: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// The folder of a server, which is installed first where it is not there.
///
/// # Errors
/// It cannot be installed; what the script has said is in the error.
pub fn installed(name: &str) -> anyhow::Result<PathBuf> {
    // Held during an installation: whoever else asks in this process waits for it.
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = folders.get(name) {
        return Ok(folder.clone());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install");
    let output = Command::new(&script)
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} cannot be run", script.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{} {name}` failed ({}):\n{errors}",
        script.display(),
        output.status
    );
    let answer = String::from_utf8(output.stdout)?;
    let folder = answer.trim_end().split_once(' ').map(|(_, folder)| PathBuf::from(folder));
    let folder = folder.with_context(|| format!("no folder in what it printed: {answer}"))?;
    folders.insert(name.to_owned(), folder.clone());
    Ok(folder)
}
