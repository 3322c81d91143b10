//! Values become types, or all that is wrong with them, each with its field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use tripline_config::{
    Diagnostic, Dialect, FieldPath, Input, KnownKind, Object, Severity, codes, decode, load,
    schema_of, validate,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Thing {
    #[expect(dead_code, reason = "part of the shape")]
    api_version: String,
    #[expect(dead_code, reason = "part of the shape")]
    kind: String,
    #[expect(dead_code, reason = "part of the shape")]
    metadata: serde_json::Value,
    spec: Spec,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "part of the shape")]
struct Spec {
    url: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    level: Option<Level>,
    #[serde(default)]
    filters: Option<Filters>,
    #[serde(default)]
    action: Option<Action>,
    #[serde(default)]
    text: Option<NumberOrText>,
    #[serde(default)]
    any: serde_json::Value,
    #[serde(default)]
    #[schemars(extend("x-tripline" = true))]
    max_hops: Option<u32>,
    #[serde(default)]
    own: Option<Own>,
    #[serde(default)]
    wait: Option<Wait>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Mode {
    #[default]
    Fast,
    Slow,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// With documentation schemars writes this enum in another way.
    Low,
    /// As `Low`.
    High,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "part of the shape")]
struct Filters {
    #[schemars(length(min = 1))]
    data: Vec<Filter>,
    #[serde(default)]
    not: Option<Box<Filters>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Filter {
    path: String,
    value: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "part of the shape")]
enum Action {
    Http(Filter),
    Log(Box<Filters>),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "part of the shape")]
enum NumberOrText {
    Number(f64),
    Text(String),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("x-tripline" = true))]
struct Own {
    #[expect(dead_code, reason = "part of the shape")]
    a: Option<u8>,
}

/// A type with a form of its own, which only its decoding knows.
#[derive(Debug, JsonSchema)]
struct Wait(#[expect(dead_code, reason = "part of the shape")] String);

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.ends_with('s') {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom("a duration ends in `s`"))
        }
    }
}

const KINDS: &[KnownKind] =
    &[KnownKind { kind: "Thing", api_versions: &["argoproj.io/v1alpha1", "tripline.dev/v1"] }];

const OURS: &str = "tripline.dev/v1";
const ARGO: &str = "argoproj.io/v1alpha1";

fn object(api_version: &str, spec: &str) -> Object {
    let head = format!("apiVersion: {api_version}\nkind: Thing\nmetadata: {{name: a}}\nspec:\n");
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    load(&[Input::text("t", head + &spec)], KINDS).objects.remove(0)
}

fn line(of: &Diagnostic) -> String {
    let help = of.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{}:{} {} {}: {}{help}", of.place.line, of.place.column, of.code, of.field, of.message)
}

/// Everything that is said of a spec whose first line is line 5 and whose column 1 is 3.
fn told(api_version: &str, spec: &str) -> Vec<String> {
    match object(api_version, spec).decode::<Thing>() {
        Ok((_, warnings)) => warnings.iter().map(line).collect(),
        Err(problems) => {
            assert!(problems.iter().any(Diagnostic::is_error), "refused without an error");
            problems.iter().map(line).collect()
        }
    }
}

fn check(spec: &str, expected: &str) {
    assert_eq!(told(OURS, spec), [expected], "{spec}");
}

#[test]
fn a_right_value_is_decoded() {
    let spec = "url: u\nport: 80\nratio: 1\nenabled: yes\nnames: [a]\nlabels: {b: c}\nmode: slow\n\
        level: high\nfilters: {data: [{path: p, value: [v]}]}\naction: {http: {path: p, value: []}}\n\
        text: 5\nany: {x: ~}\nmaxHops: 3\nown: {a: 1}\nwait: 5s\n";
    let (thing, warnings) = object(OURS, spec).decode::<Thing>().unwrap();
    assert_eq!(warnings, []);
    let spec = thing.spec;
    assert_eq!((spec.port, spec.ratio, spec.enabled), (Some(80), 1.0, true));
    assert!(matches!(spec.mode, Mode::Slow) && matches!(spec.level, Some(Level::High)));
    assert!(matches!(spec.action, Some(Action::Http(_))));
    assert!(matches!(spec.text, Some(NumberOrText::Number(number)) if number == 5.0));
    assert_eq!(spec.any, serde_json::json!({"x": null}));
}

#[test]
fn a_null_of_an_optional_field_is_the_same_as_none() {
    let spec = "url: u\nport:\nratio: ~\nenabled: null\nnames:\nlabels:\nmode:\nfilters:\nany:\n";
    let (thing, warnings) = object(ARGO, spec).decode::<Thing>().unwrap();
    assert_eq!(warnings, []);
    assert!(thing.spec.names.is_empty() && matches!(thing.spec.mode, Mode::Fast));
}

#[test]
fn wrong_types() {
    for (spec, expected) in [
        (
            "url: 12000",
            "5:8 TL0113 spec.url: expected a string, found the number 12000 (write \"12000\" in quotes)",
        ),
        (
            "url: yes",
            "5:8 TL0113 spec.url: expected a string, found the boolean true (write \"yes\" in quotes)",
        ),
        (
            "url: 0777",
            "5:8 TL0113 spec.url: expected a string, found the number 511 (write \"0777\" in quotes)",
        ),
        ("url: [a]", "5:8 TL0112 spec.url: expected a string, found a sequence"),
        (
            "url: u\nport: '80'",
            "6:9 TL0112 spec.port: expected an integer, found the string \"80\" (remove the quotes)",
        ),
        ("url: u\nport: 1.5", "6:9 TL0112 spec.port: expected an integer, found the number 1.5"),
        ("url: u\nport: 70000", "6:9 TL0118 spec.port: must be at most 65535, is 70000"),
        ("url: u\nport: -1", "6:9 TL0118 spec.port: must be at least 0, is -1"),
        (
            "url: u\nenabled: 'true'",
            "6:12 TL0112 spec.enabled: expected a boolean, found the string \"true\" (remove the quotes)",
        ),
        (
            "url: u\nenabled: maybe",
            "6:12 TL0112 spec.enabled: expected a boolean, found the string \"maybe\"",
        ),
        (
            "url: u\nnames: a",
            "6:10 TL0112 spec.names: expected a sequence, found the string \"a\" (an element of a sequence begins with `- `)",
        ),
        (
            "url: u\nnames: {a: b}",
            "6:10 TL0112 spec.names: expected a sequence, found a mapping (an element of a sequence begins with `- `)",
        ),
        (
            "url: u\nnames: [a, 1]",
            "6:14 TL0113 spec.names[1]: expected a string, found the number 1 (write \"1\" in quotes)",
        ),
        (
            "url: u\nlabels: {a: on}",
            "6:15 TL0113 spec.labels.a: expected a string, found the boolean true (write \"on\" in quotes)",
        ),
        (
            "url: u\nfilters: a",
            "6:12 TL0112 spec.filters: expected a mapping, found the string \"a\"",
        ),
        (
            "url: u\ntext: []",
            "6:9 TL0112 spec.text: expected a number or a string, found a sequence",
        ),
        (
            "url: u\nfilters: {data: []}",
            "6:19 TL0118 spec.filters.data: must be at least 1 elements long, is 0",
        ),
        ("url: u\nwait: 5m", "6:9 TL0119 spec.wait: a duration ends in `s`"),
    ] {
        check(spec, expected);
    }
}

#[test]
fn unknown_values() {
    for (spec, expected) in [
        (
            "url: u\nmode: slwo",
            "6:9 TL0115 spec.mode: `slwo` is not one of `fast`, `slow` (did you mean `slow`?)",
        ),
        (
            "url: u\nmode: Slow",
            "6:9 TL0115 spec.mode: `Slow` is not one of `fast`, `slow` (did you mean `slow`?)",
        ),
        ("url: u\nmode: other", "6:9 TL0115 spec.mode: `other` is not one of `fast`, `slow`"),
        (
            "url: u\nmode: 1",
            "6:9 TL0113 spec.mode: expected a string, found the number 1 (write \"1\" in quotes)",
        ),
        (
            "url: u\nlevel: hihg",
            "6:10 TL0115 spec.level: `hihg` is not one of `low`, `high` (did you mean `high`?)",
        ),
        ("url: u\nlevel: [low]", "6:10 TL0112 spec.level: expected a string, found a sequence"),
        (
            "url: u\naction: {htp: {}}",
            "6:12 TL0114 spec.action.htp: one of `http`, `log` is needed (did you mean `http`?)",
        ),
        (
            "url: u\naction: {httpp: {}}",
            "6:12 TL0114 spec.action.httpp: one of `http`, `log` is needed (did you mean `http`?)",
        ),
        ("url: u\naction: {}", "6:11 TL0114 spec.action: one of `http`, `log` is needed"),
        (
            "url: u\naction: {http: {path: p}}",
            "6:18 TL0114 spec.action.http: the required field `value` is missing",
        ),
        (
            "url: u\naction: {log: {data: [{path: 1, value: []}]}}",
            "6:32 TL0113 spec.action.log.data[0].path: expected a string, found the number 1 (write \"1\" in quotes)",
        ),
    ] {
        check(spec, expected);
    }
}

#[test]
fn missing_fields_are_at_the_mapping_that_lacks_them() {
    check("port: 1", "5:3 TL0114 spec: the required field `url` is missing");
    check("url:", "5:6 TL0114 spec.url: the required field `url` is missing");
    check(
        "url: u\nfilters: {data: [{value: []}]}",
        "6:20 TL0114 spec.filters.data[0]: the required field `path` is missing",
    );
    check(
        "url: u\nfilters:\n  data: [{path: p, value: []}]\n  not: {}",
        "8:10 TL0114 spec.filters.not: the required field `data` is missing",
    );
}

#[test]
fn unknown_fields_are_warnings_under_argo_and_errors_under_tripline() {
    let spec = "url: u\nfiltrs: {}";
    let expected = "6:3 TL0116 spec.filtrs: unknown field `filtrs` (did you mean `filters`?)";
    check(spec, expected);
    // `deny_unknown_fields` does not refuse what is only a warning.
    let (_, warnings) = object(ARGO, spec).decode::<Thing>().unwrap();
    assert_eq!(warnings.iter().map(line).collect::<Vec<_>>(), [expected]);
    assert_eq!(warnings[0].severity, Severity::Warning);
    let found = told(OURS, "url: u\nfilters: {data: [{path: p, value: [], zzz: 1}]}");
    assert_eq!(
        found,
        ["6:41 TL0116 spec.filters.data[0].zzz: unknown field `zzz` (fields are `path`, `value`)"]
    );
}

#[test]
fn triplines_own_fields_are_refused_under_argo() {
    let help = "(set `apiVersion: tripline.dev/v1`)";
    for (spec, field) in [("url: u\nmaxHops: 3", "maxHops"), ("url: u\nown: {}", "own")] {
        let expected =
            format!("6:3 TL0117 spec.{field}: the field `{field}` is Tripline's own {help}");
        assert_eq!(told(ARGO, spec), [expected]);
        assert_eq!(told(OURS, spec), [""; 0]);
    }
    assert_eq!(told(ARGO, "url: u\nmaxHops: ~"), [""; 0]);
}

#[test]
fn all_problems_are_found_at_once() {
    let found = told(OURS, "port: a\nmode: x\nnames: [1, 2]\nwat: 1");
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn problems_of_a_part_have_the_path_from_the_object_on() {
    let at = FieldPath::root().key("spec").key("webhook").key("a");
    let value = serde_json::json!({"path": "p", "value": [1]});
    let problems = decode::<Filter>(&value, &at, Dialect::Argo).unwrap_err();
    assert_eq!(problems[0].path.to_string(), "spec.webhook.a.value[0]");
    let value = serde_json::json!({"path": "p", "value": ["v"]});
    let (filter, _) = decode::<Filter>(&value, &at, Dialect::Argo).unwrap();
    assert_eq!((filter.path.as_str(), filter.value.len()), ("p", 1));
}

/// What the documentation says of tagged and flattened types: their problems are found, but
/// what only decoding can find is reported at the parent.
#[test]
fn flattened_and_tagged_types_lose_places_in_decoding_only() {
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Flat {
        #[expect(dead_code, reason = "part of the shape")]
        name: String,
        #[serde(flatten)]
        #[expect(dead_code, reason = "part of the shape")]
        rest: Rest,
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(tag = "type", rename_all = "lowercase")]
    enum Rest {
        Cron {
            #[expect(dead_code, reason = "part of the shape")]
            wait: Wait,
        },
        Every {
            #[expect(dead_code, reason = "part of the shape")]
            count: u8,
        },
    }
    let at = FieldPath::root();
    let problems = |value| match decode::<Flat>(&value, &at, Dialect::Tripline) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|of| format!("{} {}", of.code, of.path)).collect(),
    };
    let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(problems(json(r#"{"name": "a", "type": "every", "count": 3}"#)), [""; 0]);
    assert_eq!(problems(json(r#"{"name": "a", "type": "every", "count": "x"}"#)), ["TL0112 count"]);
    assert_eq!(problems(json(r#"{"name": "a", "type": "cron", "wait": "5m"}"#)), ["TL0119 "]);
}

#[test]
fn a_schema_is_made_once_and_problems_are_bounded() {
    assert!(std::sync::Arc::ptr_eq(&schema_of::<Thing>(), &schema_of::<Thing>()));
    let value: serde_json::Value = (0..10_000).map(serde_json::Value::from).collect();
    let found = validate(&schema_of::<Vec<String>>(), &value, Dialect::Argo);
    assert_eq!(found.len(), tripline_config::limits::MAX_PROBLEMS);
    assert!(found.iter().all(|problem| problem.code == codes::UNQUOTED));
}
