//! Values as YAML, for people and for `kubectl`.

use serde_json::Value;

/// A value as a document of YAML. What could be read as anything else than it is stands in
/// quotes, as JSON writes it.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => write(&mut out, value, 0),
        Value::Array(items) if !items.is_empty() => write(&mut out, value, 0),
        other => {
            out.push_str(&scalar(other, 0));
            out.push('\n');
        }
    }
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, below) in fields {
                out.push_str(&indent);
                out.push_str(&plain(key));
                out.push(':');
                write_below(out, below, depth);
            }
        }
        Value::Array(items) => {
            for below in items {
                out.push_str(&indent);
                out.push('-');
                // The first field of an item stands behind its dash.
                if is_nested(below) {
                    let mut item = String::new();
                    write(&mut item, below, depth + 1);
                    out.push(' ');
                    out.push_str(item.trim_start_matches(' '));
                } else {
                    write_below(out, below, depth);
                }
            }
        }
        other => {
            out.push_str(&scalar(other, depth));
            out.push('\n');
        }
    }
}

fn write_below(out: &mut String, below: &Value, depth: usize) {
    if is_nested(below) {
        out.push('\n');
        write(out, below, depth + 1);
    } else {
        out.push(' ');
        out.push_str(&scalar(below, depth + 1));
        out.push('\n');
    }
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn scalar(value: &Value, depth: usize) -> String {
    match value {
        Value::String(text) if is_block(text) => {
            let indent = "  ".repeat(depth);
            let lines: Vec<String> = text
                .trim_end_matches('\n')
                .split('\n')
                .map(|line| if line.is_empty() { String::new() } else { format!("{indent}{line}") })
                .collect();
            let keep = if text.ends_with('\n') { "" } else { "-" };
            format!("|{keep}\n{}", lines.join("\n"))
        }
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// Lines of a script, which nobody could read in quotes.
fn is_block(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    lines.contains('\n')
        && !lines.ends_with('\n')
        && !lines.starts_with([' ', '\n'])
        && text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{feff}')
}

/// A text as it is where that is safe, else in quotes.
fn plain(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let word = text.starts_with(first) && text.chars().all(rest);
    const MEANT: [&str; 11] =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let meant = MEANT.iter().any(|other| text.eq_ignore_ascii_case(other));
    if word && !meant { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let value = json!({
            "a": "plain", "b": "yes", "c": "1", "d": 1, "e": [], "f": {}, "g": null, "h": true,
            "i": ["x", {"y": 1, "z": [1, 2]}, ["deep"], []],
            "j": "line\n  two\n", "k": "no end\n\nof it", "l": "{{workflow.name}}", "m": " spaces",
            "n": "tab\there\nx", "o": "", "p": "- x: y", "key: with": "é #c", "q": "two\n\n", "~": "~",
        });
        let text = text(&value);
        let document = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{}",
            text.lines().map(|line| format!("  {line}\n")).collect::<String>()
        );
        let input = tripline_config::Input::text("t.yaml", document);
        let loaded = tripline_config::load(&[input], crate::load::KINDS);
        assert!(loaded.diagnostics.is_empty(), "{:?}\n{text}", loaded.diagnostics);
        assert_eq!(loaded.objects[0].value["data"], value, "{text}");
    }
}
