//! What signs messages as SNS does: with an RSA key of its own, both versions.
//!
//! No server that can be had signs like SNS: moto's signature is always the same.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use serde_json::json;

use crate::certificates::Authority;
use crate::install::installed;

/// A key, and who signs with it.
pub struct SnsSigner {
    child: Child,
    key: String,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl SnsSigner {
    /// Makes a key.
    ///
    /// # Errors
    /// Python does not run.
    pub fn start() -> anyhow::Result<Self> {
        let python = installed("moto")?.join("bin/python");
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().context("there is no standard input")?;
        let stdout = child.stdout.take().context("there is no standard output")?;
        let mut stdout = BufReader::new(stdout);
        let key = line(&mut stdout)?;
        Ok(Self { child, key, pipes: Mutex::new((stdin, stdout)) })
    }

    /// A certificate (PEM) of the key, by `authority`, for these years: from the beginning of
    /// the first to that of the second.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn certificate(&self, authority: &Authority, years: (i32, i32)) -> anyhow::Result<String> {
        authority.signing(&self.key, years)
    }

    /// The signature of `text`, in base64: by SHA-1 for version `1`, by SHA-256 for `2`.
    ///
    /// # Errors
    /// Python has ended.
    pub fn sign(&self, version: &str, text: &str) -> anyhow::Result<String> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "{}", json!({"version": version, "text": text}))?;
        stdin.flush()?;
        line(stdout)
    }
}

impl Drop for SnsSigner {
    fn drop(&mut self) {
        // It has ended by itself already, or does now.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn line(stdout: &mut BufReader<ChildStdout>) -> anyhow::Result<String> {
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("the signer says {line:?}"))
}

const PROGRAM: &str = "\
import base64, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                        serialization.NoEncryption())
print(json.dumps(pem.decode()), flush=True)
for line in sys.stdin:
    wanted = json.loads(line)
    by = hashes.SHA1() if wanted['version'] == '1' else hashes.SHA256()
    signature = key.sign(wanted['text'].encode(), padding.PKCS1v15(), by)
    print(json.dumps(base64.b64encode(signature).decode()), flush=True)
";
