use super::*;

/// What Go 1.26 with sprig 3.3.0 answers: templates with their outputs. A case has an
/// input of its own or that of all.
const GO: &str = include_str!("tests/go.json");

#[test]
fn templates_print_what_go_prints() {
    let table: serde_json::Value = serde_json::from_str(GO).expect("a table");
    let cases = |name: &str| table[name].as_array().expect("cases").iter();
    let first = cases("cases").map(|case| (case, &table["input"]));
    let all = first.chain(cases("other cases").map(|case| (case, &table["other input"])));
    let all: Vec<_> = all.collect();
    let mut different = Vec::new();
    for (case, input) in &all {
        let text = case["template"].as_str().expect("a template");
        let input = case.get("input").unwrap_or(input);
        let answer = Template::compile(text)
            .and_then(|template| template.render(input, &Context::default()));
        let same = match case["output"].as_str() {
            Some(wanted) => answer.as_deref() == Ok(wanted),
            None => answer.is_err(),
        };
        if !same {
            different.push(format!("{text:?}\n  wants {:?}\n  found {answer:?}", case["output"]));
        }
    }
    let count = different.len();
    assert!(count == 0, "{count} of {} differ:\n{}", all.len(), different.join("\n"));
}

fn render(text: &str, context: &Context) -> Result<String, TemplateError> {
    Template::compile(text)?.render(&serde_json::json!({"a": "b"}), context)
}

#[test]
fn an_error_has_its_place() {
    for (text, line, column, part) in [
        ("é\n  {{ nofunc }}", 2, 6, "there is no function `nofunc`"),
        ("{{ env \"HOME\" }}", 1, 4, "`env` is not available: templates do not see"),
        ("{{ uuidv4 }}", 1, 4, "it is random"),
        ("a{{ .Input", 1, 2, "an action is not closed"),
        ("{{ if true }}", 1, 14, "`if` needs an `end`"),
        ("{{ eq 1.5 2 }}", 1, 4, "float64 and int cannot be compared"),
        ("{{ repeat .Input.a \"x\" }}", 1, 11, "an int is wanted, not string: convert it"),
        ("{{ now }}", 1, 4, "the time is not known here"),
        ("{{ 1+2i }}", 1, 4, "complex numbers are not supported"),
    ] {
        let error = render(text, &Context::default()).expect_err(text);
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
        assert!(error.message.contains(part), "{text}: {error}");
    }
}

#[test]
fn now_is_the_time_of_the_context() {
    let context = Context { now: Some("2024-03-05T10:30:00Z".parse().expect("a time")) };
    for (text, output) in [
        ("{{ now }}", "2024-03-05 10:30:00 +0000 UTC"),
        ("{{ now | date \"2006-01-02\" }}", "2024-03-05"),
        ("{{ htmlDate .Input }}", "2024-03-05"),
        ("{{ ago 1709634599 }}", "1s"),
        ("{{ now.Unix }}", "1709634600"),
        ("{{ durationRound (toDate \"2006-01-02\" \"2024-03-01\") }}", "4d"),
    ] {
        assert_eq!(render(text, &context).as_deref(), Ok(output), "{text}");
    }
}

#[test]
fn what_a_template_does_is_bounded() {
    let doubling = "{{$x := \"x\"}}{{range until 40}}{{$x = print $x $x}}{{end}}";
    let growing = "{{$d := dict}}{{range until 40}}{{$d = dict \"a\" $d \"b\" $d}}{{end}}";
    let deep = "{{$d := dict}}{{range until 100000}}{{$d = dict \"a\" $d}}{{end}}";
    let tail = "{{$d := dict}}{{$e := $d}}{{range until 50000}}{{$n := dict}}{{$_ := set $e \"a\" $n}}{{$e = $n}}{{end}}";
    let list = "{{$l := list}}{{range until 100000}}{{$l = list $l}}{{end}}";
    for (text, part) in [
        ("{{range until 2000000}}{{end}}", "steps"),
        ("{{range 2000000}}{{end}}", "steps"),
        ("{{$l := until 100000}}{{range until 9000}}{{range $l}}{{break}}{{end}}{{end}}", "steps"),
        ("{{define \"r\"}}{{template \"r\"}}{{end}}{{template \"r\"}}", "deep"),
        ("{{repeat 2000000 \"x\"}}", "bytes"),
        ("{{repeat 9223372036854775807 \"xx\"}}", "bytes"),
        ("{{range until 200}}{{repeat 10000 \"x\"}}{{end}}", "bytes"),
        ("{{indent 1000000 \"a\\nb\\nc\"}}", "bytes"),
        ("{{printf \"%1000000d%1000000d\" 1 1}}", "bytes"),
        ("{{replace \"a\" (repeat 1000 \"b\") (repeat 10000 \"a\")}}", "bytes"),
        ("{{regexReplaceAll \"a\" (repeat 10000 \"a\") (repeat 1000 \"b\")}}", "bytes"),
        (doubling, "bytes"),
        (&format!("{growing}{{{{$d}}}}"), "bytes"),
        (&format!("{growing}{{{{toRawJson $d}}}}"), "bytes"),
        (&format!("{growing}{{{{deepEqual $d (deepCopy $d)}}}}"), "steps"),
        (&format!("{deep}{{{{$d}}}}"), "deep"),
        (&format!("{deep}{{{{mustToJson $d}}}}"), "deep"),
        (&format!("{deep}{{{{printf \"%d\" $d}}}}"), "deep"),
        (&format!("{deep}{{{{printf \"%#v\" $d}}}}"), "deep"),
        (&format!("{deep}{{{{deepCopy $d}}}}"), "deep"),
        ("{{$d := dict}}{{set $d \"a\" (list $d)}}", "hold itself"),
    ] {
        let error = render(text, &Context::default()).expect_err(text);
        assert!(error.message.contains(part), "{text}: {error}");
    }
    for text in [deep, tail, list, growing] {
        assert_eq!(render(text, &Context::default()).as_deref(), Ok(""), "{text}");
    }
    let nested = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
    assert!(Template::compile(&format!("{{{{{}}}}}", nested(50))).is_ok());
    assert!(Template::compile(&format!("{{{{{}}}}}", nested(5000))).is_err());
    let blocks = "{{if true}}".repeat(5000) + &"{{end}}".repeat(5000);
    assert!(Template::compile(&blocks).is_err());
    assert!(Template::compile(&"x".repeat(MAX_TEMPLATE_BYTES + 1)).is_err());
    let input = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let template = Template::compile("{{.Input}}").expect("a template");
    assert!(template.render_json(&input, &Context::default()).is_err());
}

#[test]
fn numbers_of_json_text_are_read_as_go_reads_them() {
    let template = Template::compile("{{ toJson .Input }}").expect("a template");
    let json = r#" {"b":9007199254740993,"a":"\ud800\u00e9\ud83d\ude00","c":[1E2,-0.5]} "#;
    let output = template.render_json(json, &Context::default());
    let wanted = "{\"a\":\"\u{fffd}é😀\",\"b\":9007199254740992,\"c\":[100,-0.5]}";
    assert_eq!(output.as_deref(), Ok(wanted));
    for json in ["", "{", "01", "[1,]", "1e400", "\"\n\"", "nul", "{\"a\"}"] {
        assert!(template.render_json(json, &Context::default()).is_err(), "{json}");
    }
}
