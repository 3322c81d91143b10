//! Paths with slashes.

use super::Parameter::Text;
use super::{Function, new};
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    new("base", &[Text], |_, values| Ok(base(values[0].text()).into())),
    new("dir", &[Text], |_, values| Ok(dir(values[0].text()).into())),
    new("clean", &[Text], |_, values| Ok(clean(values[0].text()).into())),
    new("ext", &[Text], |_, values| Ok(ext(values[0].text()).into())),
    new("isAbs", &[Text], |_, values| Ok(is_absolute(&values[0]))),
    // The same for paths of the system, where these have slashes too.
    new("osBase", &[Text], |_, values| Ok(base(values[0].text()).into())),
    new("osDir", &[Text], |_, values| Ok(dir(values[0].text()).into())),
    new("osClean", &[Text], |_, values| Ok(clean(values[0].text()).into())),
    new("osExt", &[Text], |_, values| Ok(ext(values[0].text()).into())),
    new("osIsAbs", &[Text], |_, values| Ok(is_absolute(&values[0]))),
];

fn is_absolute(path: &Value) -> Value {
    path.text().starts_with('/').into()
}

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("") => "/",
        Some(base) => base,
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |end| &path[..=end]))
}

fn ext(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.rfind('.').map_or("", |dot| &base[dot..])
}

/// The shortest path that says the same.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.as_str()) {
        (true, _) => format!("/{joined}"),
        (false, "") => ".".to_owned(),
        (false, _) => joined,
    }
}
