//! Scripts, what they answer, and what cuts them off.

use super::*;

const EVENT: &str =
    r#"{"a":"hello","n":2,"l":[1,null,"x",[9],{"k":1}],"o":{"p":{"q":1}},"z":null,"el":[]}"#;

/// What `return {a=script}` answers for `a`.
fn of(expression: &str) -> String {
    answer(&format!("return {{a={expression}}}"))
}

fn answer(script: &str) -> String {
    let script = match Script::compile(script) {
        Ok(script) => script,
        Err(error) => return format!("refused: {error}"),
    };
    match script.transform(EVENT, Some(Timestamp::UNIX_EPOCH)) {
        Ok(json) => match json.strip_prefix("{\"a\":") {
            Some(rest) => rest[..rest.len() - 1].to_owned(),
            None => json,
        },
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn expressions_answer_as_in_gopher_lua() {
    for (expression, wanted) in [
        ("1 + 2 * 3 ^ 2 - 4 / 2", "17"),
        ("-2 ^ 2", "-4"),
        ("7 % -3", "-2"),
        ("2 ^ 3 ^ 2", "512"),
        ("not nil == true", "true"),
        ("1 .. 2 == '12'", "true"),
        ("0.1 + 0.2 .. ''", "\"0.30000000000000004\""),
        ("tostring(1e15)", "\"1000000000000000\""),
        ("tostring(2^53)", "\"9007199254740992\""),
        ("tostring(1e100)", "\"1e+100\""),
        ("tostring(-0)", "\"0\""),
        ("tostring(1/0) .. tostring(0/0)", "\"+InfNaN\""),
        ("tostring(nil) .. tostring(true)", "\"niltrue\""),
        ("tostring({})", "\"table: 0x0\""),
        ("'10' + 5", "15"),
        ("'0x10' + 0", "16"),
        ("'010' + 0", "8"),
        ("010", "10"),
        ("tonumber('1e3') == nil", "true"),
        ("tonumber('1.5e3')", "1500"),
        ("tonumber('ff', 16)", "255"),
        ("tonumber('z', 36)", "35"),
        ("tonumber('10')", "10"),
        ("#event.l", "3"),
        ("event.l[2]", "\"x\""),
        ("event.l", "[1,\"x\",{\"k\":1}]"),
        ("event.el", "{}"),
        ("event.o.p.q", "1"),
        ("'a' < 'b'", "true"),
        ("({1,2,3})[2]", "2"),
        ("#{1,2,nil,4}", "4"),
        ("#{n=1}", "0"),
        ("(function(...) return select('#', ...) end)(nil, nil)", "2"),
        ("(function(...) local a, b = ... return b end)(1, 2, 3)", "2"),
        ("select(-1, 1, 2, 3)", "3"),
        ("type(print)", "\"function\""),
        ("next({}) == nil", "true"),
        ("rawequal('a', 'a')", "true"),
        ("unpack({1, 2})", "1"),
        ("math.max(1, 5, 3)", "5"),
        ("math.floor(-1.5)", "-2"),
        ("math.huge", "1.7976931348623157e+308"),
        ("os.time()", "0"),
        ("os.date('!%Y-%m-%d')", "\"1970-01-01\""),
        ("os.getenv == nil", "true"),
        ("io == nil and debug == nil and require == nil and dofile == nil", "true"),
        (
            "string.format('%5.2f|%d|%s|%q|%x', 3.14159, 42, 'x', 'y', 255)",
            "\" 3.14|42|x|\\\"y\\\"|ff\"",
        ),
        ("string.format('%s %s', 1.5, 10)", "\"1.5 10\""),
        ("string.format('%d', 3.7)", "\"3\""),
        ("string.format('%d')", "\"%!d(MISSING)\""),
        ("('x'):rep(3)", "\"xxx\""),
        ("('hello'):sub(2, -2)", "\"ell\""),
        ("('hello'):upper():reverse():len()", "5"),
        ("('a,b,c'):gsub(',', ';')", "\"a;b;c\""),
        ("('hello world'):gsub('o', '0', 1)", "\"hell0 world\""),
        ("('hello'):gsub('l+', function(s) return #s end)", "\"he2o\""),
        ("('$name is $age'):gsub('%$(%w+)', {name='x', age=3})", "\"x is 3\""),
        ("('key = value'):match('(%w+)%s*=%s*(%w+)')", "\"key\""),
        ("('abc'):find('b', 1, true)", "2"),
        ("('abc'):find('(b)(c)')", "2"),
        ("('f(a(b)c)d'):match('%b()')", "\"(a(b)c)\""),
        ("('2024-01-02'):match('^(%d+)-')", "\"2024\""),
        ("('abcabc'):match('(a)bc%1')", "\"a\""),
        ("('x'):byte()", "120"),
        ("string.char(104, 105)", "\"hi\""),
        ("table.concat({1, 'a', 2.5}, '-')", "\"1-a-2.5\""),
        ("table.concat({})", "\"\""),
        ("pcall(error, 'x')", "false"),
        ("(pcall(function() error('x') end))", "false"),
        ("({pcall(error, {code=5})})[2].code", "5"),
        ("({pcall(function() error('boom') end)})[2]", "\"\\u003cstring\\u003e:1: boom\""),
        (
            "({pcall(function() return nil .. 'x' end)})[2]",
            "\"\\u003cstring\\u003e:1: cannot perform concat operation between nil and string\"",
        ),
        ("({xpcall(function() error('x', 0) end, function(m) return m .. '!' end)})[2]", "\"x!\""),
        ("loadstring('return 1 + 1')()", "2"),
        ("(loadstring('bad bad')) == nil", "true"),
        ("setmetatable({}, {__index=function(t, k) return k .. '!' end}).x", "\"x!\""),
        ("setmetatable({}, {__call=function(self, x) return x * 2 end})(21)", "42"),
        ("setmetatable({}, {__add=function(a, b) return 7 end}) + 1", "7"),
        ("#setmetatable({}, {__len=function() return 9 end})", "9"),
        ("tostring(setmetatable({}, {__tostring=function() return 'me' end}))", "\"me\""),
        ("setmetatable({}, {__lt=function() return true end}) ~= nil", "true"),
        ("[==[a]]b]==]", "\"a]]b\""),
        ("'\\65\\066\\n\\z'", "\"AB\\nz\""),
        ("0x1F", "31"),
        ("math.random(1, 1)", "1"),
    ] {
        assert_eq!(of(expression), wanted, "{expression}");
    }
}

#[test]
fn statements_do_what_they_say() {
    for (script, wanted) in [
        ("local s = 0 for i = 1, 10 do s = s + i end return {a=s}", "55"),
        ("local s = '' for i = 3, 1, -1 do s = s .. i end return {a=s}", "\"321\""),
        (
            "local s = '' for k, v in pairs({x=1, y=2, 3}) do s = s .. k .. v end return {a=s}",
            "\"13x1y2\"",
        ),
        (
            "local s = '' for i, v in ipairs({5, 6, nil, 7}) do s = s .. i .. v end return {a=s}",
            "\"1526\"",
        ),
        ("local i = 0 repeat local j = i i = i + 1 until j >= 3 return {a=i}", "4"),
        ("local i = 0 while true do i = i + 1 if i > 4 then break end end return {a=i}", "5"),
        ("goto done do return {a=1} end ::done:: return {a=2}", "2"),
        (
            "for i = 1, 3 do for j = 1, 3 do if j == 2 then goto next end end ::next:: end return {a='ok'}",
            "\"ok\"",
        ),
        (
            "local t = {} for i = 1, 3 do t[i] = function() return i end end return {a=t[1]() + t[3]()}",
            "4",
        ),
        (
            "local function f(n) if n < 2 then return n end return f(n-1) + f(n-2) end return {a=f(15)}",
            "610",
        ),
        (
            "local f = function(n) return n == 0 and 'done' or f(n - 1) end return {a=f(3)}",
            "\"done\"",
        ),
        (
            "local function loop(n) if n == 0 then return 'end' end return loop(n - 1) end return {a=loop(10000)}",
            "\"end\"",
        ),
        ("local a, b = 1, 2 a, b = b, a return {a=a * 10 + b}", "21"),
        ("local t = {} t.x, t.y = (function() return 1, 2 end)() return {a=t.x + t.y}", "3"),
        ("local a, b, c = (function() return 1, 2 end)() return {a=tostring(c) .. b}", "\"nil2\""),
        (
            "local o = {n=1} function o:add(x) self.n = self.n + x return self end return {a=o:add(2):add(3).n}",
            "6",
        ),
        (
            "function g.x() end",
            "error: <string>:1: attempt to index a non-table object(nil) with key 'x'",
        ),
        ("x = 1 return {a=x}", "1"),
        ("local t = {3, 1, 2} table.sort(t) return {a=t}", "[1,2,3]"),
        (
            "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return {a=t}",
            "[3,2,1]",
        ),
        ("local t = {1, 2} table.insert(t, 1, 0) table.insert(t, 3) return {a=t}", "[0,1,2,3]"),
        ("local t = {1, 2, 3} table.remove(t, 1) table.remove(t) return {a=t}", "[2]"),
        ("local t = {} t[3] = 'x' return {a=t}", "[null,null,\"x\"]"),
        (
            "local t = {[0]='x', [1.5]='y', [true]='z'} return {a=t}",
            "{\"0\":\"x\",\"1.5\":\"y\",\"true\":\"z\"}",
        ),
        (
            "local s = '' for w in ('one two'):gmatch('%a+') do s = s .. w .. ';' end return {a=s}",
            "\"one;two;\"",
        ),
        (
            "local co = coroutine.wrap(function(x) local y = coroutine.yield(x + 1) return y * 2 end) return {a=co(1) + co(10)}",
            "22",
        ),
        (
            "local co = coroutine.create(function() coroutine.yield(1) error('x') end) coroutine.resume(co) local ok = coroutine.resume(co) return {a=tostring(ok) .. coroutine.status(co)}",
            "\"falsedead\"",
        ),
        (
            "local s = '' for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do s = s .. v end return {a=s}",
            "\"123\"",
        ),
        ("return 1, {a=5}", "5"),
        ("return {a=5}, 1", "error: the script answers no table but number"),
        ("return event.a", "error: the script answers no table but string"),
        ("error({})", "error: the script raises a table"),
        ("return {a=0/0}", "error: JSON has no number that is infinite or none"),
        ("return {a=print}", "error: JSON has no function"),
        (
            "local t = {} t.t = t return t",
            "error: the script answers a table that is nested more than 500 deep",
        ),
        ("return {a=setmetatable({}, {__is_array=true})}", "[]"),
        ("local a <const> = 1", "refused: line 1, column 9: an expression is expected, not `<`"),
        ("return 7 // 2", "refused: line 1, column 11: an expression is expected, not `/`"),
        ("return 1 &", "refused: line 1, column 10: `&` is no sign of the language"),
        ("#!shebang", "refused: line 1, column 1: an expression is expected, not `#`"),
        ("x = = 1", "refused: line 1, column 5: an expression is expected, not `=`"),
        ("if x then", "refused: line 1, column 10: `end` is expected, not the end"),
        (
            "goto nowhere",
            "refused: line 1, column 1: no label `nowhere` can be seen from this `goto`",
        ),
        ("break", "refused: line 1, column 1: there is no loop to break out of"),
        ("return 'abc", "refused: line 1, column 8: the text has no end: its quote is missing"),
        (
            "function f() return ... end",
            "refused: line 1, column 21: `...` is not among the parameters of the function",
        ),
    ] {
        assert_eq!(answer(script), wanted, "{script}");
    }
}

#[test]
fn a_filter_is_true_and_nothing_else() {
    for (script, wanted) in [
        ("return event.n == 2", Ok(true)),
        ("return false, true", Ok(true)),
        ("return true, false", Ok(false)),
        ("return 'true'", Ok(false)),
        ("return 1", Ok(false)),
        ("", Ok(false)),
        ("x = 1", Ok(false)),
        (
            "return unknown.x",
            Err("<string>:1: attempt to index a non-table object(nil) with key 'x'"),
        ),
    ] {
        let script_of = Script::compile(script).unwrap();
        let found = script_of.test(EVENT, None);
        assert_eq!(found.as_ref().map(|pass| *pass).map_err(String::as_str), wanted, "{script}");
    }
    let script = Script::compile("return event ~= nil").unwrap();
    assert_eq!(script.test("null", None), Ok(true));
    assert!(script.test("[1]", None).is_err());
    assert!(script.test("{\"a\":1e400}", None).is_err());
}

#[test]
fn nothing_stays_from_one_run_to_the_next() {
    let script = Script::compile(
        "local before = seen seen = true string.x = 1 event.y = 1 return before == nil and string.x == 1",
    )
    .unwrap();
    for _ in 0..3 {
        assert_eq!(script.test("{}", None), Ok(true));
    }
    let random = Script::compile("return {a=math.random()}").unwrap();
    assert_eq!(random.transform("{}", None), random.transform("{}", None));
}

#[test]
fn hostile_scripts_are_cut_off() {
    let steps = format!("error: the script takes more than {MAX_STEPS} steps");
    for script in [
        "while true do end",
        "repeat until false",
        "for i = 1, 1e18 do end",
        "goto a ::a:: goto a",
        "::a:: goto a",
        "while true do pcall(function() while true do end end) end",
        "local function f() return f() end return f()",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local t = {} t[60000000] = 1",
        "return ('x'):rep(1e9)",
        "return (('a'):rep(3000)):find(('a-'):rep(30) .. 'b')",
        "return (('x'):rep(1e5)):gsub('', ('y'):rep(1e5))",
        "local t = {} for i = 1, 1e5 do t[i] = i end table.sort(t, function() return true end) while true do table.sort(t) end",
        "return unpack({}, 1, 1e8)",
        "local t = setmetatable({}, {__index=function(t, k) return t[k + 1] end}) pcall(function() return t[1] end) while true do end",
        "local f = loadstring('while true do end') f()",
        "while true do loadstring('return 1') end",
        "local t = {} while true do t = {t} end",
        "return string.format(('%s'):rep(1e5))",
    ] {
        let found = answer(script);
        let cut = found == steps || found.contains("bytes is made");
        assert!(cut, "{script}: {found:.200}");
    }
    for (script, wanted) in [
        ("local function f() return 1 + f() end f()", "stack overflow"),
        ("local function f() pcall(f) end f() return {a=1}", "1"),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__index = t return {a=t.x}",
            "too many recursions in gettable",
        ),
        (
            "local function f() return tostring(setmetatable({}, {__tostring=f})) end return {a=f()}",
            "stack overflow",
        ),
        ("local t = {} for i = 1, 600 do t = {t} end return t", "nested more than 500 deep"),
        (
            "local t = {1,2,3,4,5,6,7,8} for i = 1, 20 do t = {t,t,t,t,t,t,t,t} end return t",
            "too large a table",
        ),
    ] {
        let found = answer(script);
        assert!(found.contains(wanted), "{script}: {found:.200}");
    }
}

#[test]
fn hostile_texts_are_refused() {
    for (script, wanted) in [
        (format!("return {}1{}", "(".repeat(10_000), ")".repeat(10_000)), "nested more than"),
        (format!("return {}{}", "{".repeat(10_000), "}".repeat(10_000)), "nested more than"),
        (format!("return {}1", "- ".repeat(10_000)), "nested more than"),
        (format!("return {}1", "not ".repeat(10_000)), "nested more than"),
        (format!("return 1{}", "+1".repeat(20_000)), "more than 4000 operators"),
        (format!("return 1{}", "+1".repeat(3000)), "operators deep"),
        (format!("return 1{}", "^1".repeat(3000)), "nested more than"),
        (format!("return a{}", ".a".repeat(20_000)), "steps stand behind each other"),
        (format!("{}{}", "do ".repeat(5_000), "end ".repeat(5_000)), "nested more than"),
        (format!("return {}", "function() return ".repeat(3000)), "nested more than"),
        (" ".repeat(100_000), "at most 65536 are allowed"),
        ((0..2000).map(|i| format!("local a{i} = 1 ")).collect(), "more than 1000 variables"),
    ] {
        let error = Script::compile(&script).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert!(Script::compile(&format!("return 1{}", " .. 1".repeat(3000))).is_ok());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(300))]
    #[test]
    fn no_text_panics(text in r#"(local |x|=|1|\(|\)|\{|\}|\[|\]|,|function |end |return |for |in |do |while |if |then |else |'a'|\.\.|\.|:|#|-|\+|pcall|string\.find|goto |::|\.\.\.| ){0,25}"#) {
        if let Ok(script) = Script::compile(&text) {
            let _ = script.transform(EVENT, None);
        }
    }

    #[test]
    fn no_pattern_panics(pattern in r"[ab%().*+?\[\]^$0-9-]{0,10}", text in "[ab()]{0,10}") {
        if let Ok(pattern) = pattern::Pattern::compile(pattern.as_bytes()) {
            let _ = pattern.find(text.as_bytes(), 0, usize::MAX, &mut |_| Ok(()));
        }
    }
}
