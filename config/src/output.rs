//! Diagnostics for those who read them: people, scripts, GitHub, editors and scanners.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::codes::Code;
use crate::diagnostic::{Clean, Diagnostic};
use crate::problem::Severity;
use crate::source::Sources;

/// For people: each diagnostic with the line that it speaks of, and a mark below the column.
/// Whether `color` is wanted is for the caller to decide (a terminal, `NO_COLOR`).
pub fn human(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let paint = |style: &str, words: &str| {
            if color { format!("\u{1b}[{style}m{words}\u{1b}[0m") } else { words.to_owned() }
        };
        let style = if diagnostic.is_error() { "1;31" } else { "1;33" };
        let head = format!("{}[{}]", diagnostic.severity.word(), diagnostic.code);
        let place = diagnostic.place.to_string();
        let place = paint("1", &Clean(&place).to_string());
        let message = Clean(&diagnostic.message);
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{place}: {}: {message}", paint(style, &head));
        if let Some(line) = sources.line(&diagnostic.place) {
            text += &excerpt(line, diagnostic, &|mark| paint(style, mark));
        }
        if let Some(subject) = diagnostic.subject() {
            let _ = writeln!(text, "  in {}", Clean(&subject));
        }
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(text, "  {} {}", paint("36", "help:"), Clean(help));
        }
    }
    text
}

/// The line with its number, and a caret below it. Of a long line the part around the column.
fn excerpt(line: &str, diagnostic: &Diagnostic, paint: &dyn Fn(&str) -> String) -> String {
    const BEFORE: usize = 60;
    const SHOWN: usize = 100;
    let column = diagnostic.place.column.saturating_sub(1) as usize;
    let skipped = column.saturating_sub(BEFORE);
    let blank = |char: char| if char.is_control() { ' ' } else { char };
    let shown: String = line.chars().skip(skipped).take(SHOWN).map(blank).collect();
    let number = diagnostic.place.line.to_string();
    let margin = " ".repeat(number.len());
    let (shown, caret) = (shown.trim_end(), " ".repeat(column - skipped));
    format!("  {number} | {shown}\n  {margin} | {caret}{}\n", paint("^"))
}

/// For scripts: an object with `errors`, `warnings` (their numbers) and `diagnostics`.
pub fn json(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let value = json!({
        "errors": errors,
        "warnings": diagnostics.len() - errors,
        "diagnostics": diagnostics,
    });
    format!("{value:#}\n")
}

/// For GitHub Actions: workflow commands, which become annotations of a pull request.
pub fn github(diagnostics: &[Diagnostic]) -> String {
    // A command is one line, and its properties end at a comma or a colon.
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for diagnostic in diagnostics {
        let mut message = diagnostic.message.clone();
        if let Some(subject) = diagnostic.subject() {
            let _ = write!(message, "\nin {subject}");
        }
        if let Some(help) = &diagnostic.help {
            let _ = write!(message, "\nhelp: {help}");
        }
        let _ = writeln!(
            text,
            "::{} file={},line={},col={},title={}::{}",
            diagnostic.severity.word(),
            property(&diagnostic.place.file),
            diagnostic.place.line,
            diagnostic.place.column,
            property(&diagnostic.code),
            data(&message),
        );
    }
    text
}

/// What stays as it is in the path of a URI (RFC 3986).
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// For code scanning: SARIF 2.1.0. `explain` knows the codes of all crates.
pub fn sarif(
    diagnostics: &[Diagnostic],
    explain: &dyn Fn(&str) -> Option<&'static Code>,
) -> String {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for diagnostic in diagnostics {
        rules.entry(&diagnostic.code).or_default();
    }
    for (index, at) in rules.values_mut().enumerate() {
        *at = index;
    }
    let rule = |code: &&str| match explain(code) {
        Some(known) => json!({
            "id": code,
            "shortDescription": { "text": known.title },
            "fullDescription": { "text": known.explanation },
        }),
        None => json!({ "id": code }),
    };
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| sarif_result(diagnostic, rules.get(diagnostic.code.as_str())))
        .collect();
    let value = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tripline",
                "rules": rules.keys().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{value:#}\n")
}

fn sarif_result(diagnostic: &Diagnostic, rule: Option<&usize>) -> Value {
    let text = match &diagnostic.help {
        Some(help) => format!("{}\nhelp: {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {
                "uri": utf8_percent_encode(&diagnostic.place.file, PATH).to_string(),
            },
            "region": {
                "startLine": diagnostic.place.line,
                "startColumn": diagnostic.place.column,
            },
        },
    });
    if let Some(subject) = diagnostic.subject() {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": subject }]);
    }
    json!({
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": { "text": text },
        "locations": [location],
    })
}
