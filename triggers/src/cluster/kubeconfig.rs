//! From where a cluster's definition points to what reaches it.

use std::sync::Arc;

use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use sha2::{Digest as _, Sha256};
use tripline_event::Timestamp;

use super::exec;
use super::settings::{ClusterDefinition, KubeconfigSource};
use crate::SecretLookup;

/// What tells one content of a kubeconfig from another.
pub(super) type Fingerprint = [u8; 32];

/// How a cluster is reached now, and until when.
pub(super) struct Access {
    pub(super) config: Config,
    /// When the credentials are to be asked for again.
    pub(super) valid_until: Option<Timestamp>,
}

/// The kubeconfig that `definition` points to, as it is now; none for the cluster that this
/// process runs in.
///
/// # Errors
/// Where it cannot be had, or is none; says nothing of what is in it.
pub(super) async fn read(
    definition: &ClusterDefinition,
    secrets: &Arc<dyn SecretLookup>,
) -> Result<Option<(Kubeconfig, Fingerprint)>, String> {
    if definition.spec.in_cluster {
        return Ok(None);
    }
    let kubeconfig = match &definition.spec.kubeconfig {
        Some(KubeconfigSource { secret: Some(secret), .. }) => {
            let value = secrets.secret(&definition.namespace, secret)?;
            let text = value.expose_str().map_err(|error| error.to_string())?;
            // The parser's message may show the text that it failed at.
            Kubeconfig::from_yaml(text)
                .map_err(|_| format!("{} is no kubeconfig", definition.whence()))?
        }
        Some(KubeconfigSource { file: Some(file), .. }) => {
            let path = file.clone();
            blocking(move || Kubeconfig::read_from(path)).await.map_err(|error| {
                format!("kubeconfig {file} cannot be read: {}", without_content(&error))
            })?
        }
        _ if definition.from_user => blocking(users_own).await.map_err(|error| {
            format!("your kubeconfig cannot be read: {}", without_content(&error))
        })?,
        _ => return Err("the cluster has no `kubeconfig`".to_owned()),
    };
    let bytes = serde_json::to_vec(&kubeconfig).map_err(|error| error.to_string())?;
    let fingerprint = Sha256::digest(&bytes).into();
    Ok(Some((kubeconfig, fingerprint)))
}

fn users_own() -> Result<Kubeconfig, kube::config::KubeconfigError> {
    match Kubeconfig::from_env()? {
        Some(kubeconfig) => Ok(kubeconfig),
        None => Kubeconfig::read(),
    }
}

async fn blocking(
    read: impl FnOnce() -> Result<Kubeconfig, kube::config::KubeconfigError> + Send + 'static,
) -> Result<Kubeconfig, kube::config::KubeconfigError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// What is wrong with a kubeconfig, without the part of it that is wrong.
fn without_content(error: &kube::config::KubeconfigError) -> String {
    use kube::config::KubeconfigError as E;
    match error {
        E::ReadConfig(error, path) => format!("{}: {error}", path.display()),
        E::FindPath => "there is none: neither KUBECONFIG nor ~/.kube/config".to_owned(),
        E::Parse(_) => "it is no kubeconfig".to_owned(),
        E::CurrentContextNotSet
        | E::LoadContext(_)
        | E::LoadClusterOfContext(_)
        | E::MissingClusterUrl => error.to_string(),
        other => {
            let text = format!("{other:?}");
            // The name of the variant alone.
            text.split(['(', ' ', '{']).next().unwrap_or("it is not valid").to_owned()
        }
    }
}

/// What reaches the cluster, with credentials that are good now. Runs a credential plugin
/// where the kubeconfig has one.
///
/// # Errors
/// What is wrong, and with which kubeconfig.
pub(super) async fn access(
    definition: &ClusterDefinition,
    kubeconfig: Option<Kubeconfig>,
) -> Result<Access, String> {
    let Some(kubeconfig) = kubeconfig else {
        let config = Config::incluster().map_err(|error| {
            format!("this process does not run in a cluster, or has no service account: {error}")
        })?;
        return Ok(Access { config, valid_until: None });
    };
    let whence = definition.whence();
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|of| of.name.clone()).collect();
    if let Some(context) = &definition.spec.context
        && !contexts.contains(context)
    {
        let there = contexts.join(", ");
        return Err(format!("{whence}: there is no context `{context}`, there are: {there}"));
    }
    let has_proxy = kubeconfig
        .clusters
        .iter()
        .filter_map(|cluster| cluster.cluster.as_ref())
        .any(|cluster| cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty()));
    if has_proxy {
        return Err(format!("{whence}: `proxy-url` is not supported yet"));
    }
    let options =
        KubeConfigOptions { context: definition.spec.context.clone(), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| format!("{whence}: {}", without_content(&error)))?;
    let user = &mut config.auth_info;
    if user.impersonate.is_some() {
        return Err(format!("{whence}: a user with `as` cannot act as a sensor's account too"));
    }
    if user.auth_provider.is_some() {
        return Err(format!("{whence}: `auth-provider` is obsolete: use an `exec` plugin"));
    }
    let valid_until = match user.exec.take() {
        None => None,
        Some(plugin) => {
            let credential = exec::run(&plugin, definition.spec.exec_timeout()).await;
            let credential = credential.map_err(|error| format!("{whence}: {error}"))?;
            take_over(user, credential)
        }
    };
    Ok(Access { config, valid_until })
}

fn take_over(user: &mut AuthInfo, credential: exec::Credential) -> Option<Timestamp> {
    use base64::Engine as _;
    let base64 = |pem: String| base64::engine::general_purpose::STANDARD.encode(pem);
    user.token = credential.token.map(Into::into);
    if credential.client_certificate_data.is_some() {
        user.client_certificate_data = credential.client_certificate_data.map(base64);
        user.client_key_data = credential.client_key_data.map(|key| base64(key).into());
    }
    credential.expires_at
}
