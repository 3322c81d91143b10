//! URLs as Go's `net/url` takes them apart.

use percent_encoding::percent_decode_str;

use super::Parameter::{Dict, Text};
use super::{Function, new};
use crate::template::value::{Value, lossy};

pub(super) const FUNCTIONS: &[Function] = &[
    new("urlParse", &[Text], |_, values| parse(values[0].text())),
    new("urlJoin", &[Dict], |_, values| join(&values[0])),
];

fn decode(text: &str) -> Result<String, String> {
    let bad = |at: usize| {
        let digits = text.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))
    };
    if text.match_indices('%').any(|(at, _)| bad(at)) {
        return Err(format!("`{text}` has a `%` without two digits"));
    }
    Ok(lossy(&percent_decode_str(text).collect::<Vec<u8>>()))
}

/// Splits what stands before a `:` off, where it is a scheme.
fn scheme(url: &str) -> Result<(String, &str), String> {
    for (at, c) in url.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("the URL begins with `:`".to_owned()),
            ':' => return Ok((url[..at].to_ascii_lowercase(), &url[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), url))
}

fn parse(url: &str) -> Result<Value, String> {
    if url.chars().any(|c| c < ' ' || c == '\u{7f}') {
        return Err("the URL has control characters".to_owned());
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (scheme, rest) = if rest == "*" { (String::new(), rest) } else { scheme(rest)? };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = Parts { query, ..Parts::default() };
    if !rest.starts_with('/') && !scheme.is_empty() {
        parts.opaque = rest;
    } else {
        let first = rest.split('/').next().unwrap_or_default();
        if !rest.starts_with('/') && first.contains(':') {
            return Err("the first part of the path has a `:`".to_owned());
        }
        let mut path = rest;
        if let Some(behind) = rest.strip_prefix("//")
            && (!scheme.is_empty() || !rest.starts_with("///"))
        {
            let end = behind.find('/').unwrap_or(behind.len());
            let (authority, after) = behind.split_at(end);
            path = after;
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            parts.user = userinfo(user)?;
            let strange = |c: char| {
                c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(c)
            };
            if host.contains(strange) {
                return Err(format!("`{host}` is no host"));
            }
            parts.host = decode(host)?;
            parts.hostname = hostname(&parts.host)?.to_owned();
        }
        parts.path = decode(path)?;
    }
    Ok(Value::dict([
        ("scheme", scheme.into()),
        ("host", parts.host.into()),
        ("hostname", parts.hostname.into()),
        ("path", parts.path.into()),
        ("query", Value::from(parts.query)),
        ("opaque", Value::from(parts.opaque)),
        ("fragment", decode(fragment)?.into()),
        ("userinfo", parts.user.into()),
    ]))
}

#[derive(Debug, Default)]
struct Parts<'u> {
    user: String,
    host: String,
    hostname: String,
    path: String,
    query: &'u str,
    opaque: &'u str,
}

/// The user and the password, with what is not allowed in them escaped.
fn userinfo(text: &str) -> Result<String, String> {
    let mut out = String::new();
    for (index, part) in text.splitn(2, ':').enumerate() {
        if index > 0 {
            out.push(':');
        }
        for byte in decode(part)?.bytes() {
            let c = char::from(byte);
            if c.is_ascii_alphanumeric() || "-_.~$&+,;=".contains(c) {
                out.push(c);
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    Ok(out)
}

/// The host without its port and brackets.
fn hostname(host: &str) -> Result<&str, String> {
    let wrong = || format!("`{host}` has no valid port");
    let (name, port) = if let Some(inside) = host.strip_prefix('[') {
        let (name, port) = inside.split_once(']').ok_or_else(wrong)?;
        (name, port)
    } else {
        host.rfind(':').map_or((host, ""), |at| host.split_at(at))
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let fits =
        port.is_empty() || port.starts_with(':') && digits.bytes().all(|c| c.is_ascii_digit());
    if fits { Ok(name) } else { Err(wrong()) }
}

/// Writes what is not allowed in a part as `%XX`.
fn encode(out: &mut String, text: &str, also: &str) {
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-_.~$&+,/:;=@".contains(c) || also.contains(c) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn join(dict: &Value) -> Result<Value, String> {
    let part = |name: &str| {
        let value = if let Value::Dict(dict) = dict { dict.get(name) } else { None };
        match value {
            None => Ok(String::new()),
            Some(Value::Text(text)) => Ok(text.as_ref().to_owned()),
            Some(other) => Err(format!("`{name}` is a text, not {}", other.type_name())),
        }
    };
    let (scheme, host, path) = (part("scheme")?, part("host")?, part("path")?);
    let (opaque, user) = (part("opaque")?, part("userinfo")?);
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(&scheme);
        out.push(':');
    }
    if opaque.is_empty() {
        if !host.is_empty() || !user.is_empty() || !scheme.is_empty() && path.starts_with("//") {
            out.push_str("//");
            if !user.is_empty() {
                out.push_str(&user);
                out.push('@');
            }
            encode(&mut out, &host, "[]!'()*<>\"");
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        if out.is_empty() && path.split('/').next().is_some_and(|first| first.contains(':')) {
            out.push_str("./");
        }
        encode(&mut out, &path, "");
    } else {
        out.push_str(&opaque);
    }
    let query = part("query")?;
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    let fragment = part("fragment")?;
    if !fragment.is_empty() {
        out.push('#');
        encode(&mut out, &fragment, "!()*?");
    }
    Ok(out.into())
}
