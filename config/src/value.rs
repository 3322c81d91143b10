//! A text that holds one value.

use serde_json::Value;

use crate::problem::Severity;
use crate::yaml;

/// The value of a text of YAML, or JSON, with one document in it: YAML inside a field.
///
/// # Errors
/// What is wrong with it first, with its line and column in the text.
pub fn parse_value(text: &str) -> Result<Value, String> {
    let mut documents = Vec::new();
    let mut flaws = yaml::parse(text, &mut |document| documents.push(document));
    flaws.extend(documents.iter_mut().flat_map(|document| std::mem::take(&mut document.flaws)));
    flaws.sort_by_key(|flaw| flaw.spot);
    if let Some(flaw) = flaws.iter().find(|flaw| flaw.severity == Severity::Error) {
        return Err(format!("{}:{}: {}", flaw.spot.line, flaw.spot.column, flaw.message));
    }
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(mut document), None) => Ok(document.root.take_value()),
        (None, _) => Err("there is no value".to_owned()),
        (Some(_), Some(second)) => Err(format!(
            "{}:{}: a second document: one is expected",
            second.root.spot.line, second.root.spot.column
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_value_or_says_why_not() {
        for (text, expected) in [
            ("a: 1\nb: [x]\n", Ok(serde_json::json!({"a": 1, "b": ["x"]}))),
            ("---\na: {b: '{{c}}'}\n", Ok(serde_json::json!({"a": {"b": "{{c}}"}}))),
            ("", Err("there is no value")),
            ("a: 1\n---\nb: 1\n", Err("3:1: a second document: one is expected")),
            ("a: 1\na: 2\n", Err("2:1: the key `a` is given twice: here and at line 1, column 1")),
        ] {
            assert_eq!(parse_value(text), expected.map_err(str::to_owned), "{text:?}");
        }
        assert!(parse_value("a: [").unwrap_err().starts_with(|c: char| c.is_ascii_digit()));
    }
}
