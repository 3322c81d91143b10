//! The expressions of `when` and `stopStrategy` of a CronWorkflow, in the syntax of expr:
//! comparisons, `&&`, `||`, `!`, `?:`, `??`, arithmetic, times and durations.
//!
//! Pure and bounded: an expression is parsed once, has a bounded length and depth, and each
//! evaluation looks at each part of it once at most.

mod parse;
mod value;

use std::collections::BTreeMap;

use jiff::Timestamp;

use parse::Node;
pub use value::Value;

/// The longest expression, in bytes.
pub const EXPRESSION_MAX: usize = 4096;

/// What the names in an expression mean.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The values by name.
    pub names: BTreeMap<String, Value>,
    /// What `now()` is; times are those of the log, never of the machine.
    pub now: Timestamp,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expression(Node);

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text).map(Self)
    }

    /// What it comes to.
    ///
    /// # Errors
    /// Why it comes to nothing: an unknown name, values that do not go together.
    pub fn evaluate(&self, environment: &Environment) -> Result<Value, String> {
        value::evaluate(&self.0, environment)
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and where it is neither true nor false.
    pub fn holds(&self, environment: &Environment) -> Result<bool, String> {
        match self.evaluate(environment)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(format!("it is {}, and neither true nor false", other.described())),
        }
    }
}

/// A text with `{{= … }}` and `{{name}}` in it, which is evaluated once those are filled in.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<TemplatePart>,
}

#[derive(Clone, Debug)]
enum TemplatePart {
    Text(String),
    Tag(Expression),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((tag, after)) = after.split_once("}}") else {
                return Err("`{{` has no `}}`".to_owned());
            };
            parts.push(TemplatePart::Text(before.to_owned()));
            let expression = tag.trim().trim_start_matches('=');
            parts.push(TemplatePart::Tag(Expression::parse(expression)?));
            rest = after;
        }
        parts.push(TemplatePart::Text(rest.to_owned()));
        let template = Self { parts };
        if template.parts.len() == 1 {
            // Without tags it is an expression already.
            Expression::parse(text)?;
        }
        Ok(template)
    }

    /// Whether it holds when it is filled in.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn holds(&self, environment: &Environment) -> Result<bool, String> {
        if let [TemplatePart::Text(before), TemplatePart::Tag(tag), TemplatePart::Text(after)] =
            self.parts.as_slice()
            && before.trim().is_empty()
            && after.trim().is_empty()
            && let Value::Bool(holds) = tag.evaluate(environment)?
        {
            return Ok(holds);
        }
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => filled += text,
                TemplatePart::Tag(tag) => filled += &tag.evaluate(environment)?.to_string(),
            }
        }
        Expression::parse(&filled)?.holds(environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(last: Option<&str>) -> Environment {
        let last = last.map_or(Value::Nil, |last| Value::Time(last.parse().unwrap()));
        let labels = BTreeMap::from([("team".to_owned(), Value::Text("ci".to_owned()))]);
        let cron = BTreeMap::from([
            ("name".to_owned(), Value::Text("nightly".to_owned())),
            ("failed".to_owned(), Value::Number(3.0)),
            ("labels".to_owned(), Value::Map(labels)),
            ("lastScheduledTime".to_owned(), last),
        ]);
        Environment {
            names: BTreeMap::from([("cronworkflow".to_owned(), Value::Map(cron))]),
            now: "2026-10-25T01:30:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn expressions_come_to_what_they_say() {
        let last = Some("2026-10-25T00:30:00Z");
        for (text, expected) in [
            ("cronworkflow.failed >= 3", true),
            ("cronworkflow.failed > 3 || cronworkflow.name == 'nightly'", true),
            ("!(cronworkflow.failed == 3)", false),
            ("cronworkflow.labels[\"team\"] == \"ci\"", true),
            ("cronworkflow.labels.team startsWith 'c' && 'ci' in ['cd', 'ci']", true),
            ("cronworkflow.labels.nobody == nil", true),
            ("(cronworkflow.labels.nobody ?? 'x') == 'x'", true),
            ("(now() - cronworkflow.lastScheduledTime).Seconds() > 3599", true),
            ("(now() - cronworkflow.lastScheduledTime).Minutes() > 60", false),
            ("now() - cronworkflow.lastScheduledTime == duration('1h')", true),
            ("cronworkflow.lastScheduledTime < date('2026-10-25T00:30:01Z')", true),
            ("1 + 2 * 3 == 7 and (1 + 2) * 3 == 9", true),
            ("true ? 1 < 2 : false", true),
            ("7 % 4 == 3 and -1 < 0", true),
            ("len(cronworkflow.name) == 7 and upper('a') == 'A'", true),
        ] {
            let holds = Expression::parse(text).and_then(|text| text.holds(&environment(last)));
            assert_eq!(holds, Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_template_is_filled_in_and_then_evaluated() {
        let published = "{{= cronworkflow.lastScheduledTime == nil || \
                         (now() - cronworkflow.lastScheduledTime).Seconds() > 3600 }}";
        let holds = |text: &str, last| Template::parse(text)?.holds(&environment(last));
        assert_eq!(holds(published, None), Ok(true));
        assert_eq!(holds(published, Some("2026-10-25T00:30:00Z")), Ok(false));
        assert_eq!(holds("{{cronworkflow.failed}} < 4", None), Ok(true));
        assert_eq!(holds("'{{cronworkflow.name}}' == 'nightly'", None), Ok(true));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        for (text, says) in [
            ("", "ends"),
            ("a &&", "ends"),
            ("(a", "`)`"),
            ("a $ b", "`$`"),
            ("'a", "quote"),
            ("a b", "`b`"),
            (&"(".repeat(5000), "long"),
            (&"(".repeat(500), "nested"),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        for (text, says) in [
            ("nobody == 1", "`nobody`"),
            ("cronworkflow.failed", "neither true nor false"),
            ("cronworkflow.failed + 'x' == 1", "do not go together"),
            ("now().Nothing() == 1", "`Nothing`"),
            ("nothing()", "`nothing`"),
        ] {
            let error = Expression::parse(text).unwrap().holds(&environment(None)).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
