//! Expressions, what they answer, and what cuts them off.

use super::*;

const DATA: &str = r#"{"a":1,"b":"x","c":{"d":[1,2,{"e":"f"}],"g-h":5},"t":true,"z":null,"l":["p","q"],"n":[3,1,2],"to-p":1,"p.q.r":7,"s":"hello world","j":"{\"k\":[1,{\"m\":2}]}","us":[{"n":"x","age":3},{"n":"y","age":5}]}"#;

fn passes(expression: &str) -> Result<bool, String> {
    let filter = SourceFilter::compile(expression).map_err(|error| error.to_string())?;
    filter.passes(DATA, Some(Timestamp::UNIX_EPOCH))
}

#[test]
fn expressions_answer_as_in_go() {
    for expression in [
        "a == 1 && b == \"x\" and not (t == false)",
        "a in [1, 2] && \"p\" in l && \"d\" in c && b in [\"x\", \"y\"] && b not in [\"z\"]",
        "c.d[2].e == 'f' && c[\"g-h\"] == 5 && c.d[-1].e == \"f\"",
        "to_p == 1 && p.q.r == 7",
        "nope == nil && c.nope == nil && c?.nope?.more == nil && (nope ?? 5) == 5",
        "z?.x.y.z == nil",
        "a + 1 == 2 && 7 % 3 == 1 && 2 ** 3 == 8 && 5 / 2 == 2.5 && -a < 0 && +a == 1",
        "b + \"y\" == \"xy\" && s contains \"lo w\" && s startsWith \"he\" && s endsWith \"ld\"",
        "s matches \"^h.*d$\" && not (s matches \"^x\")",
        "len(l) == 2 && len(s) == 11 && len(c) == 2",
        "all(n, {# > 0}) && any(n, # > 2) && none(n, # > 3) && one(n, # == 2)",
        "filter(n, # > 1) == map(filter(n, # > 1), #)",
        "map(us, .n)[1] == \"y\" && count(us, .age > 3) == 1 && find(us, .age == 5).n == \"y\"",
        "findIndex(n, # == 1) == 1 && findLast(n, # > 1) == 2 && findLastIndex(n, # > 5) == nil",
        "reduce(n, #acc + #) == 6 && reduce(n, #acc + #, 10) == 16 && map(n, #index)[2] == 2",
        "groupBy(us, .age > 4)[true][0].n == \"y\"",
        "(1..3)[0] == 1 && len(1..0) == 0 && 2 in 1..3",
        "s[0:5] == \"hello\" && s[6:] == \"world\" && s[:-6] == \"hello\"",
        "let x = a + 1; x * 2 == 4",
        "a == 1 ? true : false",
        "t ?: false",
        "s | upper() == \"HELLO WORLD\" && (l | join(\"-\")) == \"p-q\"",
        "split(s, \" \")[1] == \"world\" && replace(s, \"o\", \"0\") == \"hell0 w0rld\"",
        "trim(\" x \") == \"x\" && trimPrefix(s, \"hello \") == \"world\" && repeat(\"ab\", 2) == \"abab\"",
        "indexOf(s, \"w\") == 6 && lastIndexOf(s, \"o\") == 7 && hasPrefix(s, \"he\")",
        "max(1, 3, 2) == 3 && min(a, 0) == 0 && sum(n) == 6 && mean(n) == 2 && median(n) == 2",
        "abs(-1) == 1 && ceil(1.2) == 2 && floor(1.8) == 1 && round(1.5) == 2",
        "int(\"5\") == 5 && float(\"1.5\") == 1.5 && string(a) == \"1\" && asInt(\"7\") == 7 && asFloat(a) == 1.0",
        "type(a) == \"float\" && type(1) == \"int\" && type(l) == \"array\" && type(c) == \"map\" && type(nope) == \"nil\"",
        "toJSON([1]) == \"[\\n  1\\n]\" && fromJSON(\"{\\\"a\\\":1}\").a == 1 && toJson(l) == '[\"p\",\"q\"]'",
        "toBase64(\"hi\") == \"aGk=\" && fromBase64(\"aGk=\") == \"hi\"",
        "first(l) == \"p\" && last(l) == \"q\" && first([]) == nil && get(c, \"nope\") == nil",
        "keys({b: 1, \"a\": 2})[0] == \"a\" && take(n, 2)[1] == 1 && fromPairs([[\"k\", 1]]).k == 1",
        "sort(n)[0] == 1 && sort(n, \"desc\")[0] == 3 && sortBy(us, \"age\", \"desc\")[0].n == \"y\"",
        "jsonpath(j, \"$.k[1].m\") == 2 && len(jsonpath(j, \"$.k[*]\")) == 2",
        "sprig.upper(b) == \"X\" && sprig.trim(\" x \") == \"x\" && sprig.add(1, 2) == 3 && sprig.nope == nil",
        "duration(\"1h\") > duration(\"59m\") && date(\"2024-01-02\") > date(\"2024-01-01\")",
        "now() < date(\"2000-01-01\") && $env.a == 1 && \"a\" in $env",
        "a == 0x1 && 1_000 == 1000 && .5 == 0.5 && 1e3 == 1000.0",
        "\"\\u00e9\\n\\x41\" == \"é\\nA\" // a comment",
        "/* one */ true",
        "1 == 1.0 && [1, 2] != [1.0, 2.0] && (1..2) != [1, 2] && {a: 1} == {\"a\": 1}",
        "c == c && t != 1",
    ] {
        assert_eq!(passes(expression), Ok(true), "{expression}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    for (expression, wanted) in [
        ("nope", "it answers neither true nor false, but nil"),
        ("nope.x == 1", "cannot fetch x from nil"),
        ("a.x == 1", "cannot fetch x from float64"),
        ("a?.x == 1", "cannot fetch x from float64"),
        ("a < \"2\"", "float64 and string cannot be compared"),
        ("a + b == 1", "float64 and string do not go together"),
        ("a && t", "float64 is neither true nor false"),
        ("a in [\"1\"]", "float64 is not looked for among texts"),
        ("a in c", "float64 cannot be looked for in a map"),
        ("l[5] == 1", "there is no element 5 among 2"),
        ("a % 2 == 1", "float64 and int do not go together"),
        ("1 % 0 == 1", "the divisor is 0"),
        ("nope() == 1", "nil cannot be called"),
        ("sprig.env(\"HOME\") == \"x\"", "nil cannot be called"),
        ("sprig.repeat(a, b) == \"x\"", "`sprig.repeat` takes an int, not float64"),
        ("jsonpath(j, \"$.nope\") == nil", "jsonpath: `$.nope` finds nothing"),
        ("all(n, #)", "float64 is neither true nor false"),
        ("reduce([], #acc) == 1", "the list is empty"),
        ("len(a) == 1", "float64 has no length"),
    ] {
        assert_eq!(passes(expression), Err(wanted.to_owned()), "{expression}");
    }
    let filter = SourceFilter::compile("true").unwrap();
    for data in ["", "[1]", "\"x\"", "1", "nope", "{\"a\":1,}"] {
        assert!(filter.passes(data, None).is_err(), "{data}");
    }
    assert_eq!(filter.passes("null", None), Ok(true));
}

#[test]
fn mistakes_say_where_they_are() {
    for (expression, wanted) in [
        ("", "column 1: the expression ends too early"),
        ("a = 1", "column 3: `=` is not expected here"),
        ("a === 1", "column 5: `=` is not expected here"),
        ("a <> 1", "column 4: `>` is not expected here"),
        ("(a", "column 3: the expression ends too early"),
        ("if a {1}", "column 4: `a` is not expected here"),
        ("z ?? 1 == 1", "column 8: `==` and `??` need parentheses around one of the two"),
        ("b matches \"(\"", "column 11: it is no regular expression: a `)` is missing"),
        ("1 + \"a\" == 2", "column 3: the operator does not take int and string"),
        ("1 == \"1\"", "column 3: the operator does not take int and string"),
        ("len == 1", "column 5: the operator does not take a function and int"),
        ("upper(b) == 1", "column 10: the operator does not take string and int"),
        ("min([1, 2]) == 1", "column 1: `min` does not take a list"),
        ("not 1", "column 5: bool is expected, not int"),
        ("len()", "column 1: `len` does not take 0 arguments"),
        ("# > 1", "column 1: `#` and `.` are for what goes through a list"),
        ("all(n, #x)", "column 8: there is no `#x`"),
        ("\"abc", "column 1: the text has no end: its quote is missing"),
        ("a ~ 1", "column 3: `~` is no sign of the language"),
        ("/* x", "column 1: the comment has no end"),
        ("1x", "column 1: `1` is followed by a letter"),
    ] {
        let error = SourceFilter::compile(expression).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), wanted, "{expression}");
    }
}

#[test]
fn hostile_expressions_are_cut_off() {
    for (expression, wanted) in [
        ("len(1..1000000000) == 1", "lists of more than"),
        ("all(1..900, all(1..900, all(1..900, true)))", "more than 1000000 steps"),
        ("reduce(1..100, #acc + #acc, \"x\") == 1", "more than 1000000 steps"),
        (
            "repeat(\"x\", 1000000) + repeat(repeat(\"x\", 1000), 1000000) == \"\"",
            "more than 1000000 steps",
        ),
        ("repeat(\"x\", 10000000) == \"\"", "a million times at most"),
        ("all(n, all(1..400, all(1..400, any(l, # == \"q\"))))", "more than 1000000 steps"),
    ] {
        let found = passes(expression).unwrap_err();
        assert!(found.contains(wanted), "{expression}: {found}");
    }
    for (expression, wanted) in [
        ("(".repeat(10_000), "nested more than"),
        ("[".repeat(10_000), "nested more than"),
        ("!".repeat(10_000), "nested more than"),
        (format!("1{}", " + 1".repeat(1000)), "more than 128 operators"),
        (format!("a{}", ".b".repeat(1000)), "more than 128 operators"),
        (format!("1{}", " ** 1".repeat(1000)), "nested more than"),
        ("a ? ".repeat(1000), "nested more than"),
        ("x".repeat(20_000), "at most 16384 are allowed"),
    ] {
        let error = SourceFilter::compile(&expression).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let filter = SourceFilter::compile("true").unwrap();
    let data = format!("{{\"a\":{deep}}}");
    assert!(filter.passes(&data, None).unwrap_err().contains("nested more than"));
    let key = format!("{{\"{}\":1}}", "a.".repeat(100_000));
    assert_eq!(filter.passes(&key, None), Ok(true));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(300))]
    #[test]
    fn no_text_panics(text in r##"(a|b|l|n|1|2|\(|\)|\[|\]|\{|\}|,|\.|\?\.|\?|:|#|\||==|<|\+|-|\*\*|\.\.| in | and |not |!|\?\?|all\(|map\(|len\(|"x"|let x = |; ){0,20}"##) {
        if let Ok(filter) = SourceFilter::compile(&text) {
            let _ = filter.passes(DATA, None);
        }
    }
}
