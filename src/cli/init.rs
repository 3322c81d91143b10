//! `tripline init`: a starter to edit.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::control::ControlError;

/// What a starter is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Use {
    /// A build's completion message, received by a webhook, submits a deployment.
    #[default]
    BuildThenDeploy,
}

impl Use {
    /// The files: name and text.
    pub const fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::BuildThenDeploy => &[
                (
                    "event-source.yaml",
                    include_str!("../../examples/build-then-deploy/event-source.yaml"),
                ),
                ("sensor.yaml", include_str!("../../examples/build-then-deploy/sensor.yaml")),
                (
                    "sensor-test.yaml",
                    include_str!("../../examples/build-then-deploy/sensor-test.yaml"),
                ),
            ],
        }
    }
}

/// Writes the files into `dir`, and answers their paths.
///
/// # Errors
/// Where one of them is there already: then nothing is written.
pub fn init(usage: Use, dir: &Path) -> Result<Vec<PathBuf>, ControlError> {
    let failed = |path: &Path, error: std::io::Error| {
        ControlError::Failed(format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let paths: Vec<PathBuf> = usage.files().iter().map(|(name, _)| dir.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(exists(there));
    }
    for (path, (_, text)) in paths.iter().zip(usage.files()) {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(
            |error| match error.kind() {
                ErrorKind::AlreadyExists => exists(path),
                _ => failed(path, error),
            },
        )?;
        file.write_all(text.as_bytes()).map_err(|error| failed(path, error))?;
    }
    Ok(paths)
}

fn exists(path: &Path) -> ControlError {
    ControlError::Conflict(format!(
        "{} is there already, and is not written over: name another directory with --dir",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starter_is_written_once_and_never_over_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("new/folder");
        let paths = init(Use::BuildThenDeploy, &inside).unwrap();
        assert_eq!(paths.len(), 3);
        std::fs::write(&paths[1], "mine").unwrap();
        std::fs::remove_file(&paths[0]).unwrap();
        assert!(matches!(init(Use::BuildThenDeploy, &inside), Err(ControlError::Conflict(_))));
        assert_eq!(std::fs::read_to_string(&paths[1]).unwrap(), "mine");
        assert!(!paths[0].exists(), "all or nothing");
    }
}
