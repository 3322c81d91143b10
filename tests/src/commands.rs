//! What the program's own commands say about a daemon.

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::daemon::Place;

impl Place {
    /// What a command prints.
    ///
    /// # Errors
    /// It fails; both of its outputs are in the error.
    pub fn text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(arguments)?;
        let output = command.env("TRIPLINE_DATA", self.data()).output()?;
        let stdout = String::from_utf8(output.stdout)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{arguments:?} ended with {}:\n{stdout}{stderr}",
            output.status
        );
        Ok(stdout)
    }

    /// What a command prints with `--output json`: a value on each line.
    ///
    /// # Errors
    /// It fails, or prints something else.
    pub fn lines(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let text = self.text(&[arguments, &["--output", "json"]].concat())?;
        let lines = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        lines.with_context(|| format!("{arguments:?} printed\n{text}"))
    }
}
