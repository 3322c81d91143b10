//! Credential plugins of a kubeconfig (`exec`): run with a timeout, never with a terminal.
//!
//! Promises: a plugin that hangs is killed with everything that it has started; what it
//! prints on its standard output is in no message.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use kube::config::{ExecConfig, ExecInteractiveMode};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tripline_event::Timestamp;

/// The most that a plugin may print.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;
/// How much of its standard error a message gives.
const ERROR_CHARS: usize = 300;

/// What a plugin gave.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credential {
    /// A bearer token.
    pub(super) token: Option<String>,
    /// A client certificate in PEM.
    pub(super) client_certificate_data: Option<String>,
    /// Its key in PEM.
    pub(super) client_key_data: Option<String>,
    /// When both are to be asked for again.
    #[serde(rename = "expirationTimestamp")]
    pub(super) expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Credential>,
}

/// Runs the plugin.
///
/// # Errors
/// What went wrong, for the operator: it cannot be started, fails, takes too long, or prints
/// no credential.
pub(super) async fn run(exec: &ExecConfig, timeout: Duration) -> Result<Credential, String> {
    let program = exec.command.as_deref().unwrap_or_default();
    if program.is_empty() {
        return Err("the user's `exec` has no `command`".to_owned());
    }
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(format!("credential plugin `{program}` wants a terminal: there is none"));
    }
    let hint = || exec.install_hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let mut child = command(program, exec)?.spawn().map_err(|error| {
        format!("credential plugin `{program}` cannot be started: {error}{}", hint())
    })?;
    let mut group = Group(child.id());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (stdout, stderr, status) = tokio::join!(read(stdout), read(stderr), child.wait());
        (stdout, stderr, status)
    };
    let Ok((stdout, stderr, status)) = tokio::time::timeout(timeout, work).await else {
        return Err(format!(
            "credential plugin `{program}` did not end within {} s and was killed",
            timeout.as_secs()
        ));
    };
    group.0 = None;
    let status = status.map_err(|error| format!("credential plugin `{program}`: {error}"))?;
    if !status.success() {
        return Err(failed(program, status, &stderr));
    }
    credential(&stdout).map_err(|why| format!("credential plugin `{program}` {why}"))
}

fn command(program: &str, exec: &ExecConfig) -> Result<Command, String> {
    let cluster = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info);
    let mut spec = json!({"interactive": false});
    if let Some(cluster) = cluster {
        spec["cluster"] = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
    }
    let info =
        json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec}).to_string();
    let mut command = Command::new(program);
    command
        .args(exec.args.iter().flatten())
        .env("KUBERNETES_EXEC_INFO", info)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    Ok(command)
}

/// The processes of a plugin: they are killed when this is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            // It may have ended just now, and that is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error is what there is.
        let _ = pipe.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes).await;
    }
    bytes
}

fn failed(program: &str, status: ExitStatus, stderr: &[u8]) -> String {
    let said: String = String::from_utf8_lossy(stderr).trim().chars().take(ERROR_CHARS).collect();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    format!("credential plugin `{program}` failed ({status}){said}")
}

fn credential(stdout: &[u8]) -> Result<Credential, &'static str> {
    // The parser's message would repeat what was printed.
    let parsed: ExecCredential =
        serde_json::from_slice(stdout).map_err(|_| "printed no ExecCredential in JSON")?;
    let credential = parsed.status.ok_or("printed an ExecCredential without `status`")?;
    if credential.token.is_none() && credential.client_certificate_data.is_none() {
        return Err("gave neither a token nor a client certificate");
    }
    Ok(credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(script: &str) -> ExecConfig {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/sh",
            "args": ["-c", script],
            "env": [{"name": "TOKEN", "value": "t0k"}],
        });
        serde_json::from_value(exec).unwrap()
    }

    async fn error(script: &str) -> String {
        match run(&plugin(script), Duration::from_millis(300)).await {
            Ok(_) => panic!("`{script}` gave a credential"),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn a_plugin_gives_a_token_and_when_it_ends() {
        let script = r#"echo "$KUBERNETES_EXEC_INFO" | grep -q '"interactive":false' &&
            echo '{"kind": "ExecCredential", "status": {"token": "'$TOKEN'",
                "expirationTimestamp": "2030-01-01T00:00:00Z"}}'"#;
        let credential = run(&plugin(script), Duration::from_secs(10)).await.unwrap();
        assert_eq!(credential.token.as_deref(), Some("t0k"));
        assert_eq!(credential.expires_at, Some("2030-01-01T00:00:00Z".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_is_killed_with_what_it_has_started() {
        let folder = std::env::temp_dir().join(format!("tripline-exec-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mark = folder.join("child");
        let script = format!("sleep 1000 & echo $! > {}; wait", mark.display());
        assert!(error(&script).await.contains("did not end within"));
        let child: i32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        // It may stay as a zombie where nobody collects it.
        let gone = || match std::fs::read_to_string(format!("/proc/{child}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        while !gone() {
            assert!(tokio::time::Instant::now() < deadline, "the child of the plugin lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said_without_what_was_printed() {
        for (script, expected) in [
            ("echo s3cret; echo 'log in first' >&2; exit 3", "log in first"),
            ("echo s3cret", "no ExecCredential"),
            (r#"echo '{"spec": {"x": "s3cret"}}'"#, "without `status`"),
            (r#"echo '{"status": {"clientKeyData": "s3cret"}}'"#, "neither a token"),
        ] {
            let said = error(script).await;
            assert!(said.contains(expected) && !said.contains("s3cret"), "{said}");
        }
        let exec = ExecConfig { command: Some("/no/such/plugin".to_owned()), ..plugin("") };
        let said = run(&exec, Duration::from_secs(1)).await.err().unwrap();
        assert!(said.contains("cannot be started"), "{said}");
    }
}
