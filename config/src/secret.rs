//! Secrets: named by reference in configuration, looked up when they are needed.
//!
//! Promises: a value is in no `Debug`, no error and no definition; each lookup reads afresh,
//! so a changed file is taken up; a name that would lead out of the secrets folder is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_event::ObjectName;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::identity::{excerpt, is_name, is_namespace};
use crate::limits::MAX_SECRET_BYTES;
use crate::object::Object;
use crate::problem::{FieldPath, Problem};

/// One key of a Secret of the object's own namespace: Kubernetes' `SecretKeySelector`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct SecretRef {
    /// The Secret's `metadata.name`.
    pub name: String,
    /// The key under the Secret's `data`.
    pub key: String,
    /// Whether it may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// One key of a ConfigMap of the object's own namespace: Kubernetes' `ConfigMapKeySelector`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct ConfigMapRef {
    /// The ConfigMap's `metadata.name`.
    pub name: String,
    /// The key under the ConfigMap's `data`.
    pub key: String,
    /// Whether it may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// The value of a secret. Its `Debug` is `***`; it has no `Display`, is not serialized, and
/// cannot be compared, which would not be in constant time.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// A secret of these bytes. One line feed at the end is left out, as in Argo: editors and
    /// `echo` add it.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.strip_suffix(b"\n").unwrap_or(bytes).into())
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as text, for headers and connection strings.
    ///
    /// # Errors
    /// Where it is not UTF-8; the error holds nothing of it.
    pub fn expose_str(&self) -> Result<&str, NotText> {
        std::str::from_utf8(&self.0).map_err(|_| NotText)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret is not UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not UTF-8 text")]
pub struct NotText;

/// Why a secret, or a value of a ConfigMap, cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is nowhere.
    #[error("{what} was not found; looked in {}", looked.join("; "))]
    Missing {
        /// Which one.
        what: String,
        /// Each place where it was looked for.
        looked: Vec<String>,
    },
    /// Its name, key or namespace is none that Kubernetes would accept.
    #[error("`{found}` is no valid {part} of a secret")]
    InvalidName {
        /// `name`, `key` or `namespace`.
        part: &'static str,
        /// What was given, shortened.
        found: String,
    },
    /// There is a file, but it cannot be read.
    #[error("the secret file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is a file, but it is too large to be a secret.
    #[error("the secret file {} is larger than {MAX_SECRET_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a variable of the environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where secrets are looked for, in this order: the loaded `Secret` documents of the
/// namespace; the secrets folder; the environment.
///
/// In the folder and in documents a secret belongs to a namespace, but for the folder's
/// `name/key` without one; that and the environment serve all namespaces alike.
#[derive(Clone, Default)]
pub struct Secrets {
    secrets: BTreeMap<ObjectName, BTreeMap<String, Secret>>,
    config_maps: BTreeMap<ObjectName, BTreeMap<String, String>>,
    folder: Option<PathBuf>,
    environment: Option<Environment>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("secrets", &self.secrets.keys())
            .field("config_maps", &self.config_maps.keys())
            .field("folder", &self.folder)
            .field("environment", &self.environment.is_some())
            .finish()
    }
}

impl Secrets {
    /// Looks nowhere yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks in a folder, in the shape of mounted Secrets: `namespace/name/key`, then
    /// `name/key`.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Looks in the environment for `TRIPLINE_SECRET_NAME_KEY`, upper-cased, with `_` for
    /// all that is neither letter nor digit.
    #[must_use]
    pub fn environment(
        mut self,
        read: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.environment = Some(Arc::new(read));
        self
    }

    /// Looks in these documents, instead of those before: the `Secret`s and `ConfigMap`s among
    /// them. What cannot be read of them is reported, and left out.
    pub fn replace_documents(&mut self, objects: &[Object]) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        self.secrets.clear();
        self.config_maps.clear();
        for object in objects.iter().filter(|object| !object.broken) {
            let mut problems = Vec::new();
            match object.kind.as_str() {
                "Secret" => {
                    let values = secret_values(&object.value, &mut problems);
                    self.secrets.insert(object.name.clone(), values);
                }
                "ConfigMap" => {
                    let values = texts(&object.value, "data", &mut problems);
                    self.config_maps.insert(object.name.clone(), values);
                }
                _ => {}
            }
            diagnostics.extend(problems.into_iter().map(|problem| object.diagnose(problem)));
        }
        diagnostics
    }

    /// The value that an object of `namespace` refers to; none if it may be missing and is.
    /// Reads a file, perhaps: blocking, but short.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn get(
        &self,
        namespace: &str,
        reference: &SecretRef,
    ) -> Result<Option<Secret>, SecretError> {
        let SecretRef { name, key, optional } = reference;
        check_names(namespace, name, key)?;
        let mut looked = Vec::new();
        match self.secrets.get(&ObjectName::new(namespace, name)) {
            Some(values) => match values.get(key) {
                Some(value) => return Ok(Some(value.clone())),
                None => looked.push(format!("Secret {namespace}/{name} (it has no such key)")),
            },
            None => looked.push(format!("the loaded files (no Secret {namespace}/{name})")),
        }
        if let Some(folder) = &self.folder {
            let own: PathBuf = [namespace, name, key].iter().collect();
            let shared: PathBuf = [name, key].iter().collect();
            for path in [folder.join(own), folder.join(shared)] {
                if let Some(value) = read(&path)? {
                    return Ok(Some(value));
                }
                looked.push(format!("the file {}", path.display()));
            }
        } else {
            looked.push("no secrets folder (none is set)".to_owned());
        }
        let variable = variable(name, key);
        match &self.environment {
            Some(environment) => {
                if let Some(value) = environment(&variable) {
                    return Ok(Some(Secret::new(value.as_bytes())));
                }
                looked.push(format!("the environment ({variable})"));
            }
            None => looked.push(format!("not in the environment (switched off; {variable})")),
        }
        if *optional == Some(true) {
            return Ok(None);
        }
        let what = format!("the key `{key}` of the Secret {namespace}/{name}");
        Err(SecretError::Missing { what, looked })
    }

    /// The value of a ConfigMap that an object of `namespace` refers to; none if it may be
    /// missing and is. Only loaded documents have them.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn config_map(
        &self,
        namespace: &str,
        reference: &ConfigMapRef,
    ) -> Result<Option<&str>, SecretError> {
        let ConfigMapRef { name, key, optional } = reference;
        let values = self.config_maps.get(&ObjectName::new(namespace, name));
        match values.and_then(|values| values.get(key)) {
            Some(value) => Ok(Some(value)),
            None if *optional == Some(true) => Ok(None),
            None => Err(SecretError::Missing {
                what: format!("the key `{key}` of the ConfigMap {namespace}/{name}"),
                looked: vec!["the loaded files".to_owned()],
            }),
        }
    }
}

fn check_names(namespace: &str, name: &str, key: &str) -> Result<(), SecretError> {
    let bad = |part, found: &str| SecretError::InvalidName { part, found: excerpt(found) };
    if !is_namespace(namespace) {
        return Err(bad("namespace", namespace));
    }
    if !is_name(name) {
        return Err(bad("name", name));
    }
    // As Kubernetes has it: `..` would lead out of the folder, `..data` is the mount's own.
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if key.is_empty()
        || key.len() > 253
        || key == "."
        || key.starts_with("..")
        || !key.bytes().all(inner)
    {
        return Err(bad("key", key));
    }
    Ok(())
}

/// The variable of the environment that stands for a key of a Secret.
fn variable(name: &str, key: &str) -> String {
    let letter =
        |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    format!("TRIPLINE_SECRET_{name}_{key}").chars().map(letter).collect()
}

/// The content of a secret file; none if there is no such file.
fn read(path: &Path) -> Result<Option<Secret>, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    // A folder of that name is another Secret's, and a pipe could block for ever.
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(SecretError::TooLarge { path: path.to_owned() });
    }
    Ok(Some(Secret::new(&bytes)))
}

/// The values of a Secret; `stringData` has precedence over `data`, as in Kubernetes.
fn secret_values(object: &Value, problems: &mut Vec<Problem>) -> BTreeMap<String, Secret> {
    let mut values = BTreeMap::new();
    for (key, text) in texts(object, "data", problems) {
        // Line ends within the text are those of a wrapped block.
        let packed: String = text.chars().filter(|char| !char.is_ascii_whitespace()).collect();
        match base64::engine::general_purpose::STANDARD.decode(packed) {
            Ok(bytes) => {
                values.insert(key, Secret::new(&bytes));
            }
            Err(_) => {
                let path = FieldPath::root().key("data").key(key);
                problems.push(
                    Problem::error(codes::BAD_SECRET, path, "the value is not base64")
                        .help("write it under `stringData` as it is"),
                );
            }
        }
    }
    for (key, text) in texts(object, "stringData", problems) {
        values.insert(key, Secret::new(text.as_bytes()));
    }
    values
}

/// The strings of a mapping. Messages do not say what was found instead: it may be secret.
fn texts(object: &Value, field: &str, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let path = FieldPath::root().key(field);
    let fields = match object.get(field) {
        None | Some(Value::Null) => return BTreeMap::new(),
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            let message = format!("`{field}` must be a mapping");
            problems.push(Problem::error(codes::BAD_SECRET, path, message));
            return BTreeMap::new();
        }
    };
    let mut texts = BTreeMap::new();
    for (key, value) in fields {
        match value {
            Value::String(text) => {
                texts.insert(key.clone(), text.clone());
            }
            Value::Null => {
                texts.insert(key.clone(), String::new());
            }
            _ => problems.push(
                Problem::error(codes::BAD_SECRET, path.key(key), "the value must be a string")
                    .help("write it in quotes"),
            ),
        }
    }
    texts
}
