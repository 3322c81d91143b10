//! Secrets for event sources and triggers: what is asked for is looked up at each use, so
//! that a changed secret is taken up.

use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use tripline_config::{ConfigMapRef, Diagnostic, Object, Secret, SecretRef, Secrets};

/// The secrets of the daemon: those of the loaded documents, of a folder, and of the
/// environment where that is allowed.
pub struct SecretStore {
    secrets: RwLock<Secrets>,
}

impl SecretStore {
    /// Looks where `secrets` looks.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets: RwLock::new(secrets) }
    }

    /// From now on these documents are looked up.
    pub fn replace_documents(&self, objects: &[Object]) -> Vec<Diagnostic> {
        self.secrets.write().unwrap_or_else(PoisonError::into_inner).replace_documents(objects)
    }

    fn get(&self, namespace: &str, reference: &SecretRef) -> Result<Secret, String> {
        let SecretRef { name, key, .. } = reference;
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        match secrets.get(namespace, reference) {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) => {
                Err(format!("the key `{key}` of the Secret {namespace}/{name} is not there"))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl tripline_triggers::SecretLookup for SecretStore {
    fn secret(
        &self,
        namespace: &str,
        secret: &tripline_config::SecretRef,
    ) -> Result<Secret, String> {
        self.get(namespace, secret)
    }

    fn config_map(&self, namespace: &str, config_map: &ConfigMapRef) -> Result<String, String> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        match secrets.config_map(namespace, config_map) {
            Ok(Some(value)) => Ok(value.to_owned()),
            Ok(None) => Err(format!("ConfigMap {namespace}/{} is not there", config_map.name)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl tripline_eventsources::SecretLookup for SecretStore {
    fn secret(
        &self,
        namespace: &str,
        secret: &tripline_eventsources::SecretRef,
    ) -> Result<Bytes, String> {
        let (name, key) = (secret.name.clone(), secret.key.clone());
        let secret = self.get(namespace, &SecretRef { name, key, optional: None })?;
        Ok(Bytes::copy_from_slice(secret.expose()))
    }
}
