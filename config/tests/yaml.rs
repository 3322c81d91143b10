//! The YAML that Kubernetes' own tools read, with a place for everything.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use tripline_config::limits::{MAX_DEPTH, MAX_DOCUMENTS};
use tripline_config::{Input, KnownKind, Loaded, load};

const KINDS: &[KnownKind] = &[KnownKind { kind: "Thing", api_versions: &["example.com/v1"] }];

fn read(text: impl AsRef<[u8]>) -> Loaded {
    load(&[Input::text("t.yaml", text)], KINDS)
}

/// The value under `spec` of an object.
fn spec(yaml: &str) -> Option<Value> {
    let indented: String = yaml.lines().map(|line| format!("\n  {line}")).collect();
    let head = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec:";
    let loaded = read(format!("{head}{indented}\n"));
    let object = loaded.objects.first()?;
    (!object.broken).then(|| object.value["spec"].clone())
}

/// Codes and places, as `code line:column`.
fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
    let told = |of: &tripline_config::Diagnostic| {
        format!("{} {}:{}", of.code, of.place.line, of.place.column)
    };
    read(text).diagnostics.iter().map(told).collect()
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= other.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|((k, one), (l, other))| k == l && same(one, other))
        }
        (one, other) => one == other,
    }
}

/// `yaml_as_kubernetes.jsonl` holds what `sigs.k8s.io/yaml` 1.6.0 makes of each text; null
/// where it answers with an error.
#[test]
fn yaml_means_what_kubernetes_tools_take_it_for() {
    let mut rows = 0;
    for row in include_str!("yaml_as_kubernetes.jsonl").lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let yaml = row["yaml"].as_str().unwrap();
        if yaml.starts_with('%') {
            continue; // A directive stands at the beginning of a document only.
        }
        rows += 1;
        match (spec(yaml), &row["json"]) {
            (None, Value::Null) => {}
            (Some(ours), theirs) if same(&ours, theirs) => {}
            (ours, theirs) => panic!("{yaml:?} became {ours:?}, not {theirs}"),
        }
    }
    assert!(rows > 150);
}

#[test]
fn integers_are_exact() {
    for text in ["9007199254740993", "18446744073709551615", "-9223372036854775808"] {
        assert_eq!(spec(text).unwrap().to_string(), text);
    }
    assert_eq!(spec("1e3").unwrap().to_string(), "1000");
    assert_eq!(spec("1.0").unwrap().to_string(), "1");
    assert_eq!(spec("0.1").unwrap().to_string(), "0.1");
}

#[test]
fn json_is_yaml() {
    let text = "{\"apiVersion\": \"example.com/v1\",\r\n\t\"kind\": \"Thing\",\
        \"metadata\": {\"name\": \"a\"}, \"spec\": \"\\/ \\ud83d\\ude00 \\u00e9\"}";
    let loaded = read(text);
    assert_eq!(loaded.diagnostics, []);
    assert_eq!(loaded.objects[0].value["spec"], "/ 😀 é");
}

#[test]
fn a_key_given_twice_is_an_error_with_both_places() {
    let text =
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec:\n  a: 1\n  a: 2\n";
    let loaded = read(text);
    assert!(loaded.objects[0].broken);
    let found = &loaded.diagnostics[0];
    assert_eq!(
        found.to_string(),
        "t.yaml:6:3: error[TL0102]: the key `a` is given twice: here and at line 5, column 3\n  \
         in Thing default/a, field spec.a\n  help: remove one of the two"
    );
}

#[test]
fn a_broken_document_does_not_take_the_next_one_away() {
    let good = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: b}\n";
    let loaded = read(format!("a: [1\nb: }}\n---\n{good}"));
    assert_eq!(loaded.objects.len(), 1);
    assert_eq!(loaded.objects[0].place.line, 4);
    assert_eq!(loaded.diagnostics.len(), 1, "{:?}", loaded.diagnostics);
    assert!(loaded.incomplete.contains("t.yaml"));
}

#[test]
fn syntax_errors_have_a_place_and_say_what_to_do() {
    for (text, place, help) in [
        ("a:\n\tb: 1\n", "TL0101 2:2", "tab"),
        ("a: {{ .Values.x }}\n", "TL0101 1:5", "helm template"),
        ("a: [1, 2\n", "TL0101 1:4", "left out"),
        ("a: *b\n", "TL0101 1:4", "left out"),
        ("a: b: c\n", "TL0101 1:5", "left out"),
    ] {
        let found = &read(text).diagnostics[0];
        let at = format!("{} {}:{}", found.code, found.place.line, found.place.column);
        assert_eq!(at, place, "{text:?}: {found}");
        assert!(found.help.as_deref().unwrap().contains(help), "{text:?}: {found}");
    }
}

#[test]
fn line_ends_and_the_mark_of_byte_order_do_not_move_places() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["\u{feff}apiVersion: example.com/v1", "kind: Thing", "metadata: {name: A}"];
        assert_eq!(mistakes(text.join(end)), ["TL0108 3:18"], "{end:?}");
    }
    assert_eq!(mistakes("\u{feff}kind: Thing"), ["TL0105 1:1"]);
    assert_eq!(mistakes("# ä\nkind: Thing\napiVersion: [ä, ö]\n"), ["TL0105 3:13"]);
}

#[test]
fn a_file_that_is_not_utf_8_is_an_error_at_the_first_wrong_byte() {
    assert_eq!(mistakes(b"a: 1\nb: \xff\n"), ["TL0104 2:4"]);
    assert_eq!(mistakes(b"\xff\xfea\0"), ["TL0104 1:1"]);
}

#[test]
fn empty_documents_are_no_documents() {
    for text in ["", "\n", "---\n---\n", "# nothing\n---\n# here\n...\n", "null\n", "\u{feff}"] {
        assert_eq!(mistakes(text), [""; 0], "{text:?}");
    }
}

#[test]
fn an_alias_repeats_its_anchor_and_mistakes_are_at_the_anchor() {
    assert_eq!(spec("a: &x {b: [1]}\nc: *x").unwrap()["c"]["b"][0], 1);
    assert_eq!(spec("a: &x {b: 1}\nc: {<<: *x, d: 2}").unwrap()["c"]["b"], 1);
}

#[test]
fn a_merge_that_replaces_what_is_written_is_a_warning() {
    let text = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n\
        spec:\n  a: 1\n  <<: {a: 2}\n";
    assert_eq!(mistakes(text), ["TL0111 6:3"]);
    let text = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n\
        spec:\n  <<: {a: 2}\n  a: 1\n";
    assert_eq!(mistakes(text), [""; 0]);
}

#[test]
fn an_unquoted_key_that_is_a_boolean_is_a_warning() {
    let text = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {on: 1}\n";
    assert_eq!(mistakes(text), ["TL0110 4:8"]);
    assert_eq!(mistakes(text.replace("{on:", "{'on':")), [""; 0]);
}

#[test]
fn aliases_cannot_blow_up() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{below}]\n");
    }
    assert_eq!(read(&text).diagnostics[0].code, "TL0103");
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(2_000));
    assert_eq!(read(&long).diagnostics[0].code, "TL0103");
    let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(1_000), "*a, ".repeat(1_100));
    assert_eq!(read(&wide).diagnostics[0].code, "TL0103");
    let deep = format!("{}1{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
    assert!(read(&deep).diagnostics[0].is_error());
    let mut tower = String::from("a0: &a0 [1]\n");
    for level in 1..=MAX_DEPTH {
        tower += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert_eq!(read(&tower).diagnostics[0].code, "TL0103");
    assert!(read("[".repeat(1_000_000)).diagnostics[0].is_error());
}

#[test]
fn a_file_has_a_bounded_number_of_documents() {
    let text = "---\na: 1\n".repeat(MAX_DOCUMENTS + 1);
    let loaded = read(text);
    assert_eq!(loaded.diagnostics.iter().filter(|found| found.is_error()).count(), 1);
    assert!(loaded.incomplete.contains("t.yaml"));
}

#[test]
fn a_file_in_which_all_is_wrong_is_left_after_a_while() {
    let found = read("---\n]\n".repeat(5_000)).diagnostics;
    assert!(found.len() <= tripline_config::limits::MAX_PROBLEMS + 1);
    assert_eq!(found.last().map(|of| of.code.as_str()), Some("TL0103"));
}

/// Text that is near enough to YAML to get far.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "kind: Thing",
        "apiVersion: example.com/v1",
        "metadata:",
        "name: x",
        "b: ",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\r\n",
        "\r",
        "\t",
        "---\n",
        "...\n",
        "&x ",
        "*x",
        "<<: ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "| \n",
        ">-\n",
        "# c",
        "!!int ",
        "!t ",
        "? ",
        "%YAML 1.1\n",
        "\u{feff}",
        "é",
        "😀",
        "\0",
        "\u{85}",
        "\u{2028}",
        "0x1F",
        "1e999",
        "~",
        "\\",
        "\"\\ud800\"",
        "items:",
        "kind: List",
        "@",
        "`",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn lies_inside(text: &str, line: u32, column: u32) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let lines: Vec<&str> = text.split(['\n', '\r']).collect();
    let Some(at) = lines.get(line as usize - 1) else { return false };
    column >= 1 && column as usize <= at.chars().count() + 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_every_place_lies_inside_it(text in yaml_like()) {
        let loaded = read(&text);
        for found in &loaded.diagnostics {
            prop_assert!(
                lies_inside(&text, found.place.line, found.place.column),
                "{} in {:?}", found, text
            );
            let _ = loaded.sources.line(&found.place);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let name: Arc<str> = "t.yaml".into();
        let loaded = load(&[Input::Text { name, text: bytes.into() }], KINDS);
        prop_assert!(loaded.files == 1);
    }
}
