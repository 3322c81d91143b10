//! Programs, what they answer, and what cuts them off.

use super::*;

fn run(program: &str, data: &str) -> Result<String, String> {
    let program = Program::compile(program).map_err(|error| error.to_string())?;
    program.transform(data, Some(Timestamp::UNIX_EPOCH))
}

/// What `{k: program}` answers for `k`.
fn of(program: &str) -> String {
    let data = r#"{"a":1,"b":"2","l":[3,4,5],"o":{"p":{"q":null}},"s":"a,b,c"}"#;
    match run(&format!("{{k: ({program})}}"), data) {
        Ok(json) => json[r#"{"k":"#.len()..json.len() - 1].to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn programs_answer_as_gojq_does() {
    for (program, wanted) in [
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("[1,2,3] | map(. * 2) | add", "12"),
        ("[.l[] | select(. > 3)]", "[4,5]"),
        ("[limit(3; repeat(1))]", "[1,1,1]"),
        ("[range(0; 10; 3)]", "[0,3,6,9]"),
        ("[(1,2) + (10,20)]", "[11,12,21,22]"),
        ("[{a: (1,2), b: (3,4)}]", r#"[{"a":1,"b":3},{"a":1,"b":4},{"a":2,"b":3},{"a":2,"b":4}]"#),
        ("reduce .l[] as $x (0; . + $x)", "12"),
        ("[foreach .l[] as $x (0; . + $x; [$x, .])]", "[[3,3],[4,7],[5,12]]"),
        ("[foreach .l[] as [$x] (0; 1)]?", "error: the program answers nothing"),
        (".o.p.q // \"none\"", r#""none""#),
        ("[(false, null, 1) // 2]", "[1]"),
        ("try error({x: 1}) catch .x", "1"),
        (
            "[.l[] | if . == 3 then \"three\" elif . == 4 then \"four\" else . end]",
            r#"["three","four",5]"#,
        ),
        (".l as [$x, $y] | $x + $y", "7"),
        (".o as {p: {$q}} | [$q]", "[null]"),
        (". as [$x] ?// {a: $x} | $x", "1"),
        ("[label $out | (1, 2, break $out, 3)]", "[1,2]"),
        ("def f(x): x * 2; f(.a + 1)", "4"),
        ("def f($n): if $n == 0 then 1 else $n * f($n - 1) end; f(20)", "2432902008176640000"),
        ("def f($n): if $n == 0 then 1 else $n * f($n - 1) end; f(21)", "51090942171709440000"),
        ("last(range(100000))", "99999"),
        ("[range(5)] | .[1:3] = [\"x\"]", r#"[0,"x",3,4]"#),
        ("[range(5)] | del(.[1, 3])", "[0,2,4]"),
        (".o | .p.q = 5 | .p.r |= 6", r#"{"p":{"q":5,"r":6}}"#),
        (".l | map_values(empty)", "[]"),
        ("[.l[] |= (select(. != 4))]| .[0].l", "[3,5]"),
        ("[paths] | length", "10"),
        ("[1,[2,[3]]] | flatten", "[1,2,3]"),
        ("[3,1,2] | sort, min, max", "[1,2,3]"),
        (r#"[{"n":2},{"n":1},{"n":2}] | group_by(.n) | map(length)"#, "[1,2]"),
        (r#""test" | test("T"; "i")"#, "true"),
        (r#""aXbX" | gsub("X"; "-")"#, r#""a-b-""#),
        (r#""foo bar" | capture("(?<x>\\w+) (?<y>\\w+)")"#, r#"{"x":"foo","y":"bar"}"#),
        (r#""abc" | [match("."; "g").offset]"#, "[0,1,2]"),
        (r#""a,b, c" | [splits(", *")]"#, r#"["a","b","c"]"#),
        (r#"@base64 "x\(.a)""#, r#""xMQ==""#),
        (r#"@sh "echo \("it's")""#, r#""echo 'it'\\''s'""#),
        ("1425599621 | todate", r#""2015-03-05T23:53:41Z""#),
        (r#""2015-03-05T23:51:47Z" | strptime("%Y-%m-%dT%H:%M:%SZ") | mktime"#, "1425599507"),
        ("1425599621 | gmtime", "[2015,2,5,23,53,41,4,63]"),
        (r#"0 | strftime("%A, %B %d, %Y %V")"#, r#""Thursday, January 01, 1970 01""#),
        ("now", "0"),
        ("$ENV | length", "0"),
        ("[1,2] | combinations(2) | tojson", r#""[1,1]""#),
        ("[[1,2],[3,4]] | [combinations]", "[[1,3],[1,4],[2,3],[2,4]]"),
        ("[1,[2]] | [tostream] | fromstream(.[])", "[1,[2]]"),
        (
            "{a:[1,{b:2}]} | [tostream] | tojson",
            r#""[[[\"a\",0],1],[[\"a\",1,\"b\"],2],[[\"a\",1,\"b\"]],[[\"a\",1]],[[\"a\"]]]""#,
        ),
        ("[1|truncate_stream([[0],1],[[1,0],2],[[1,0]],[[1]])]", "[[[0],2],[[0]]]"),
        ("[.[]?]|length", "5"),
        ("1 as $x | 2 as $y | [$x, $y, $x]", "[1,2,1]"),
        ("[.l[] as $x | $x, -$x]", "[3,-3,4,-4,5,-5]"),
        ("try (1 / 0) catch .", r#""cannot divide number (1) by: number (0)""#),
        ("try (.a.b) catch .", r#""expected an object but got: number (1)""#),
        ("infinite | floor | . > 0", "true"),
        ("[.l | first(.[]), last, nth(1)]", "[3,5,4]"),
        ("path(.o.p[\"q\"])", r#"["o","p","q"]"#),
        ("path(first(.a, .b))", r#"["a"]"#),
        ("[1,2,3] | any(. > 2), all(. > 2)", "true"),
        ("{} | .a += 1 | .b //= 2", r#"{"a":1,"b":2}"#),
        ("[1,2] | until(length > 4; . + [0])", "[1,2,0,0,0]"),
        ("walk(if type == \"number\" then . + 1 else . end) | .l", "[4,5,6]"),
        ("getpath([\"o\",\"x\",\"y\"])", "null"),
        ("with_entries(.value |= tostring) | .a", r#""1""#),
        ("pick(.o.p)", r#"{"o":{"p":{"q":null}}}"#),
        ("ltrimstr(1)?, \"x\"", r#""x""#),
        ("[limit(0; 1, 2)]", "[]"),
        ("\"\\u00e9\\ud83d\\ude00\" | length", "2"),
        ("[splits(\"x\")?]", "[]"),
        (
            "isvalid(1)?",
            "error: line 1, column 1: there is no function `isvalid` with 1 parameters",
        ),
    ] {
        assert_eq!(of(program), wanted, "{program}");
    }
}

#[test]
fn the_first_output_must_be_an_object() {
    for (program, data, wanted) in [
        ("., error(\"x\")", r#"{"b":1,"a":2}"#, Ok(r#"{"a":2,"b":1}"#)),
        (".a", r#"{"a":1}"#, Err("the program answers no object but number (1)")),
        ("empty", "{}", Err("the program answers nothing")),
        ("{k: .}", "null", Ok(r#"{"k":null}"#)),
        (".", "[1]", Err("the event's data is no JSON object")),
        ("{a: infinite}", "{}", Err("a number that is infinite or none cannot be written as JSON")),
        ("error(\"boom\")", "{}", Err("boom")),
        ("halt_error?", "{}", Err("the program halts")),
    ] {
        assert_eq!(run(program, data).as_deref().map_err(String::as_str), wanted, "{program}");
    }
}

#[test]
fn mistakes_say_where_they_are() {
    for (program, wanted) in [
        ("", "line 1, column 1: a value is expected, not the end"),
        (".a +", "line 1, column 5: a value is expected, not the end"),
        ("{\n  a: }", "line 2, column 6: a value is expected, not `}`"),
        ("\"abc", "line 1, column 2: the text has no end: a `\"` is missing"),
        (
            "1 == 2 == 3",
            "line 1, column 8: parentheses around one of two such operators is expected, not an operator",
        ),
        ("nope", "line 1, column 1: there is no function `nope` with 0 parameters"),
        ("$x", "line 1, column 1: there is no variable `$x`"),
        ("break $x", "line 1, column 1: there is no label `$x`"),
        ("input", "line 1, column 1: there is no further input"),
        ("import \"a\" as a; .", "line 1, column 1: a value is expected, not `import`"),
        ("1.2.3", "line 1, column 1: `1.2.` is no number"),
    ] {
        let error = Program::compile(program).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), wanted, "{program}");
    }
}

#[test]
fn hostile_programs_are_cut_off() {
    let steps = format!("the program takes more than {MAX_STEPS} steps");
    for program in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: f, f; f",
        "def f(x): f(x + 1); f(1)",
        "def f: try error(\"x\") catch f; f",
        "def f: try f catch f; f",
        "[repeat(1)]",
        "[range(1e12)]",
        "[range(1e9)] | length",
        "reduce range(1e12) as $i (0; . + 1)",
        "[limit(1e12; repeat(0))]",
        "until(false; .)",
        "last(recurse(.))",
        "\"x\" * 1e8",
        "[range(100)] | until(false; . + .)",
        "reduce range(100) as $i (\"x\"; . + .)",
        "reduce range(1e9) as $i ([]; . + [$i])",
        "[.. | repeat(.)]",
        "{} | .a[100000000] = 1",
        "first(range(0; infinite) | select(. < 0))",
        "reduce range(40) as $i (2; . * .)",
        "[[0, 1] | combinations(100)]",
        "[range(3000) | [range(3000)]]",
        "\"a\" * 100000 | [match(\"\"; \"g\")]",
    ] {
        let started = std::time::Instant::now();
        let found = run(&format!("{{k: ({program})}}"), "{}").map(|json| json.len());
        assert_eq!(found, Err(steps.clone()), "{program}");
        assert!(started.elapsed().as_secs() < 60, "{program}");
    }
    let deep = "reduce range(1000) as $i (0; [.])";
    assert!(run(&format!("{{k: {deep}}}"), "{}").unwrap_err().contains("nested more than"));
    let long = "setpath([range(1000)]; 1)";
    assert!(run(&format!("{{k: ({long})}}"), "null").unwrap_err().contains("more than 500 steps"));
}

#[test]
fn hostile_texts_are_refused() {
    for (program, wanted) in [
        (format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)), "nested more than"),
        (format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)), "nested more than"),
        ("-".repeat(10_000) + "1", "nested more than"),
        (format!("1{}", "+1".repeat(10_000)), "more than 1000 operators"),
        (format!("1{}", "+1".repeat(900)), "more than 300 operators deep"),
        (format!("1{}", "//1".repeat(900)), "nested more than"),
        (".a".repeat(10_000), "steps stand behind each other"),
        (" ".repeat(100_000), "at most 65536 are allowed"),
        ("if 1 then 2 el".repeat(4000), "nested more than"),
        ("def f: ".repeat(9000), "nested more than"),
    ] {
        let error = Program::compile(&program).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert!(Program::compile(&format!("1{}", "|1".repeat(10_000))).is_ok());
    assert!(Program::compile(&format!("1{}", ",1".repeat(10_000))).is_ok());
}

#[test]
fn all_of_the_library_compiles() {
    for (name, parameters) in compile::defined().keys() {
        let arguments = vec!["."; *parameters].join("; ");
        let call =
            if *parameters == 0 { (*name).to_owned() } else { format!("{name}({arguments})") };
        assert!(Program::compile(&call).is_ok(), "{call}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(300))]
    #[test]
    fn no_text_panics(text in r#"([.a\[\]{}()|,:;"$@?*/+\-<=1 ]|def f:|reduce|as \$x|if|then|end|try|path|\.\.|\\\(|limit\(1;){0,20}"#) {
        if let Ok(program) = Program::compile(&text) {
            let _ = program.transform(r#"{"a":[1,{"b":"x"}]}"#, None);
        }
    }
}
