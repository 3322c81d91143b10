//! `gjson.json`: paths.

use serde_json::Value;
use tripline_sensors::path::{Kind, Path};

use crate::report::{Verdict, compare, text};

#[derive(Debug, PartialEq)]
struct Answer<'a> {
    kind: &'a str,
    raw: &'a str,
    text: &'a str,
    float: u64,
    bool: bool,
}

pub fn run(case: &Value) -> Verdict {
    // `gjson:` keeps a path that begins with `$` from being a JSONPath.
    let path = match Path::compile(&format!("gjson:{}", text(case, "path"))) {
        Ok(path) => path,
        Err(error) => return Verdict::Different(format!("  path is refused: {error}")),
    };
    let json = text(case, "json");
    let found = path.find(json);
    let found_text = found.as_ref().map(|found| found.text());
    let answer = found.as_ref().zip(found_text.as_deref()).map(|(found, text)| Answer {
        kind: kind(found.kind),
        raw: &found.raw,
        text,
        float: found.float().to_bits(),
        bool: found.bool(),
    });
    let wanted = (case["exists"] == true).then(|| Answer {
        kind: text(case, "type"),
        raw: text(case, "raw"),
        text: text(case, "string"),
        float: float(text(case, "floatText")).to_bits(),
        bool: case["bool"] == true,
    });
    match compare(&answer, &wanted) {
        Verdict::Different(how) => {
            Verdict::Different(format!("  {} in {json:.400}\n{how}", path.text()))
        }
        same => same,
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "Null",
        Kind::False => "False",
        Kind::True => "True",
        Kind::Number => "Number",
        Kind::String => "String",
        Kind::Json => "JSON",
    }
}

fn float(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().expect("a float"),
    }
}
