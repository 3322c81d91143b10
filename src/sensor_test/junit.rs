//! What came of the cases as JUnit's XML, which build servers show.

use std::fmt::Write as _;

use super::case::CaseResult;
use super::report;

/// The report: a suite for each object, a case for each case.
pub fn xml(results: &[CaseResult]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let failed = |results: &[CaseResult]| results.iter().filter(|result| !result.passed).count();
    let seconds =
        |results: &[CaseResult]| results.iter().map(|of| of.took_us).sum::<u64>() as f64 / 1e6;
    text.push_str(&format!(
        "<testsuites name=\"tripline\" tests=\"{}\" failures=\"{}\" time=\"{:.6}\">\n",
        results.len(),
        failed(results),
        seconds(results)
    ));
    for suite in results.chunk_by(|a, b| a.suite == b.suite) {
        let name = suite.first().map(|first| first.suite.to_string()).unwrap_or_default();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{:.6}\">\n",
            escaped(&name),
            suite.len(),
            failed(suite),
            seconds(suite)
        ));
        suite.iter().for_each(|result| case(&mut text, result));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, result: &CaseResult) {
    let file = result.place.split(':').next().unwrap_or_default();
    text.push_str(&format!(
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" time=\"{:.6}\"",
        escaped(&result.suite.to_string()),
        escaped(&result.case),
        escaped(file),
        result.took_us as f64 / 1e6
    ));
    let Some(first) = result.failures.first() else {
        text.push_str("/>\n");
        return;
    };
    let message = format!("expected {}, got {}", first.expected, first.got);
    text.push_str(&format!(
        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
        escaped(&message),
        escaped(&report::failed(result))
    ));
}

/// Text as it may stand in XML 1.0: what cannot stand there at all is a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => drop(write!(out, "&#{};", u32::from(c))),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::case::Failure;
    use super::*;
    use tripline_event::ObjectName;

    #[test]
    fn what_is_in_a_name_cannot_break_the_report() {
        let result = CaseResult {
            suite: ObjectName::new("ci", "deploy"),
            case: "a < b & \"c\"\u{1b}[31m".to_owned(),
            place: "t.yaml:3:5".to_owned(),
            passed: false,
            failures: vec![Failure {
                expected: "<x>".into(),
                got: "y\nz".into(),
                ..Failure::default()
            }],
            took_us: 1500,
        };
        let text = xml(&[result]);
        assert!(text.contains(r#"name="a &lt; b &amp; &quot;c&quot;?[31m""#), "{text}");
        assert!(text.contains(r#"tests="1" failures="1" time="0.001500""#), "{text}");
        assert!(text.contains("expected &lt;x&gt;, got y&#10;z"), "{text}");
    }
}
