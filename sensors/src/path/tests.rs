use proptest::prelude::*;

use super::*;

fn find(path: &str, json: &str) -> Option<String> {
    let path = Path::compile(path).expect("the path compiles");
    path.find(json).map(|found| found.raw.into_owned())
}

const JSON: &str =
    r#"{"a":{"b":[1,{"c":"x","c":"y"}],"b":2},"a":{"z":1.50},"d e":null,"é":"\u00e9"}"#;

#[test]
fn a_path_finds_what_was_written() {
    for (path, raw) in [
        ("a.b.0", Some("1")),
        ("a.b.1.c", Some(r#""x""#)),
        // A second member of a key is looked into where the first does not have the rest.
        ("a.z", Some("1.50")),
        ("d e", Some("null")),
        ("é", Some(r#""\u00e9""#)),
        ("a.b.2", None),
        ("a.b.c", None),
        ("", None),
        ("a.b.#", Some("2")),
        ("a.b|1.c", Some(r#""x""#)),
    ] {
        assert_eq!(find(path, JSON).as_deref(), raw, "{path}");
        // The short way and the whole language agree.
        assert_eq!(get(JSON, path).map(|value| value.raw.into_owned()).as_deref(), raw, "{path}");
    }
}

#[test]
fn text_that_is_no_json_is_searched_and_laid_out_as_far_as_gjson_does() {
    for (path, json, raw) in [
        // The end of the text closes an array, unless a string is not closed.
        ("..#", r#"{"a":1} [2"#, Some("2")),
        ("..#", r#"{"a":"b"#, None),
        ("..#(>1)#", r#"{"a":"b"#, None),
        ("..#.a", r#"{"a":"b"#, None),
        ("#", "[1,[2", Some("2")),
        // Without escapes a control character is a part of the text.
        ("#(a==\"x\ty\").b", "[{\"a\":\"x\ty\",\"b\":1}]", Some("1")),
        ("x?y", "{\"x\ty\":1}", Some("1")),
        ("@pretty", r#"{"a":[1,2]"#, Some("{\n  \"a\": [1, 2]\n")),
        ("@pretty", r#"{"a":"b"#, Some("{\n  \"a\": \"b\n")),
        ("@pretty", "[tru,x fals]", Some("[true, false\n")),
        ("@pretty", "[1,]", Some("[1, \n")),
        (
            r#"@pretty:{"sortKeys":true}"#,
            r#"{"b":1,"a":{}}"#,
            Some("{\n  \"a\": {},\n  \"b\": 1\n}\n"),
        ),
    ] {
        assert_eq!(find(path, json).as_deref(), raw, "{path} in {json}");
    }
}

#[test]
fn a_dollar_makes_a_jsonpath_unless_it_is_said_to_be_gjson() {
    for (path, raw) in [
        ("$", Some(JSON)),
        ("$.a.z", Some("1.50")),
        ("$['d e']", Some("null")),
        ("$..c", None),
        ("$.d", None),
        ("gjson:a.b.0", Some("1")),
        ("$a", None),
    ] {
        assert_eq!(find(path, JSON).as_deref(), raw, "{path}");
    }
    let list = r#"{"l":[{"n":1,"v":"a"},{"n":20,"v":"b"},{"n":30.50,"v":"c"}]}"#;
    assert_eq!(find("$.l[?@.n > 10].v", list).as_deref(), Some(r#""b""#));
    assert_eq!(find("$.l[-1].n", list).as_deref(), Some("30.50"));
    assert_eq!(find("$.l[*].n", list).as_deref(), Some("1"));
    assert_eq!(find("$..n", list).as_deref(), Some("1"));
    assert!(Path::compile("$.[").unwrap_err().0.starts_with("not a JSONPath"));
    assert_eq!(find("gjson:$.a", r#"{"$":{"a":1}}"#).as_deref(), Some("1"));
}

#[test]
fn a_path_that_could_recurse_too_deeply_is_refused() {
    for path in [".".repeat(201), "[".repeat(201), "a|".repeat(201), "x".repeat(4097)] {
        assert!(Path::compile(&path).is_err(), "{path:.20}");
    }
    assert!(Path::compile(&format!("$.a{}", "[?@".repeat(40))).is_err());
    assert!(Path::compile(&format!("$.a{}", "[?(@.a".repeat(15))).is_err());
}

#[test]
fn hostile_nesting_and_growth_have_bounds() {
    let deep = "[".repeat(200_000);
    for path in [
        "@pretty",
        "@ugly",
        "@flatten:{\"deep\":true}",
        "@dig:a",
        "0.0.0",
        "@reverse",
        "@tostr",
        "#.#",
        "..#",
        "@valid",
        "[@this,@this]",
        "$.a",
        "$..a",
    ] {
        let _ = find(path, &deep);
    }
    let doubling = "[@this,@this]|".repeat(60) + "@this";
    assert_eq!(find(&doubling, "[1]"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_path_and_no_text_panics(
        path in r#"([a-c.|#@*?\\!"\[\]{}():=<>%~,é0-2]|@(pretty|ugly|reverse|flatten|join|keys|values|tostr|fromstr|group|dig:a)|\$|#\(a[=%]){0,12}"#,
        json in r#"([\[\]{}",:\\ a-cntfé0-9.-]|true|null|"a":|\{"a":){0,24}"#,
    ) {
        if let Ok(path) = Path::compile(&path)
            && let Some(found) = path.find(&json)
        {
            let _ = (found.text().len(), found.float(), found.bool());
        }
    }

    #[test]
    fn the_short_way_and_the_whole_language_agree(
        path in "[a-b0-1]?(\\.[a-b0-1]?){0,3}",
        json in r#"[\[{]([\[\]{}",:\\ ab01]|true|"a":|"b":|\{"a":\{|\[){0,24}"#,
    ) {
        prop_assume!(!path.starts_with(".."));
        let keys = keys::Keys::compile(&path).expect("plain");
        let short = keys.find(&json);
        let whole = get(&json, &path).map(Found::from);
        prop_assert_eq!(short, whole);
    }
}
