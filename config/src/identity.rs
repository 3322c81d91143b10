//! The name and the namespace of an object, with the rules that Kubernetes has for them.

use tripline_event::ObjectName;
use tripline_event::name::DEFAULT_NAMESPACE;

use crate::codes;
use crate::node::{Content, Node};
use crate::problem::{FieldPath, Problem};

/// Whether a name is a DNS subdomain (RFC 1123), as names of objects are.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|part| is_label_of(part, 253))
}

/// Whether a namespace is a DNS label (RFC 1123).
pub(crate) fn is_namespace(namespace: &str) -> bool {
    is_label_of(namespace, 63)
}

fn is_label_of(part: &str, longest: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty()
        && part.len() <= longest
        && part.bytes().all(inner)
        && !part.starts_with('-')
        && !part.ends_with('-')
}

/// What a document's `metadata` says, or each thing that is wrong with it.
pub(crate) fn name_of(node: &Node) -> Result<ObjectName, Vec<Problem>> {
    let path = FieldPath::root().key("metadata");
    let Some(metadata) = node.entry("metadata").map(|entry| &entry.node) else {
        let problem = Problem::error(codes::NAME, path, "`metadata.name` is missing");
        return Err(vec![problem.help("add `metadata: {name: …}`")]);
    };
    if !matches!(metadata.content, Content::Mapping(_)) {
        return Err(vec![Problem::error(codes::NAME, path, "`metadata` must be a mapping")]);
    }
    let name = required_name(metadata, &path);
    let namespace = match text(metadata, &path, "namespace") {
        Ok(None) => Ok(DEFAULT_NAMESPACE.to_owned()),
        Ok(Some("")) => Ok(DEFAULT_NAMESPACE.to_owned()),
        Ok(Some(namespace)) if is_namespace(namespace) => Ok(namespace.to_owned()),
        Ok(Some(namespace)) => Err(Problem::error(
            codes::NAME,
            path.key("namespace"),
            format!("`{}` is no valid namespace", excerpt(namespace)),
        )
        .help("a namespace has lower-case letters, digits and `-`, and at most 63 characters")),
        Err(problem) => Err(problem),
    };
    match (name, namespace) {
        (Ok(name), Ok(namespace)) => Ok(ObjectName { namespace, name }),
        (name, namespace) => Err(name.err().into_iter().chain(namespace.err()).collect()),
    }
}

fn required_name(metadata: &Node, path: &FieldPath) -> Result<String, Problem> {
    match text(metadata, path, "name")? {
        Some(name) if is_name(name) => Ok(name.to_owned()),
        Some(name) if !name.is_empty() => {
            let message = format!("`{}` is no valid name", excerpt(name));
            Err(Problem::error(codes::NAME, path.key("name"), message).help(
                "a name has lower-case letters, digits, `-` and `.`, and at most 253 characters",
            ))
        }
        _ if metadata.entry("generateName").is_some() => {
            let message = "`metadata.generateName` is given, but `metadata.name` is needed";
            let problem = Problem::error(codes::NAME, path.key("generateName"), message);
            Err(Problem { at_key: true, ..problem }
                .help("write `name` instead: an object in a file is the same one at each reading"))
        }
        _ => Err(Problem::error(codes::NAME, path.clone(), "`metadata.name` is missing")),
    }
}

/// The text of a field; null is the same as missing.
fn text<'n>(metadata: &'n Node, path: &FieldPath, field: &str) -> Result<Option<&'n str>, Problem> {
    let Some(entry) = metadata.entry(field) else { return Ok(None) };
    if entry.node.is_null() {
        return Ok(None);
    }
    metadata.text(field).map(Some).ok_or_else(|| {
        let code = match &entry.node.content {
            Content::Scalar { .. } => codes::UNQUOTED,
            _ => codes::WRONG_TYPE,
        };
        Problem::error(code, path.key(field), format!("`metadata.{field}` must be a string"))
    })
}

/// The beginning of a text that may be long.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
