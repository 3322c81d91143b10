//! The daemon's time of day, which a test can set while the daemon runs.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tripline_tests::daemon::Place;

/// A clock that is right until it is set.
pub struct Clock {
    offset: std::fs::File,
    _folder: tempfile::TempDir,
}

impl Clock {
    /// The clock of the daemons of this place.
    ///
    /// # Errors
    /// There is no C compiler, or the library cannot be built.
    pub fn of(place: &mut Place) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let library = build(folder.path())?;
        let path = folder.path().join("offset");
        let offset = std::fs::File::options().create_new(true).write(true).open(&path)?;
        offset.write_all_at(&0_i64.to_ne_bytes(), 0)?;
        place.environment.push(("LD_PRELOAD", library.display().to_string()));
        place.environment.push(("TRIPLINE_TEST_CLOCK", path.display().to_string()));
        Ok(Self { offset, _folder: folder })
    }

    /// Sets it: so many seconds ahead of the right time, or behind.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, seconds: i64) -> anyhow::Result<()> {
        Ok(self.offset.write_all_at(&(seconds * 1_000_000_000).to_ne_bytes(), 0)?)
    }
}

fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c");
    let library = folder.join("clock.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
    let output = compiler.output().context("cc")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(library)
}
