//! Regular expressions in Go's dialect (RE2), on the `regex` crate.
//!
//! The dialects agree in much and differ in little: what `\d`, `\w`, `\s` and `\b` are,
//! braces that are no repetition, sets inside of classes, which escapes and flags there
//! are, how repetitions stack. So a pattern is read as Go reads it and written anew.

use regex::{Regex, RegexBuilder};

mod class;
mod escape;
mod property;
mod repeat;

use repeat::Repeat;

/// The longest pattern, in bytes.
pub(crate) const MAX_PATTERN_BYTES: usize = 8 << 10;
/// The most memory that a compiled pattern may take, in bytes.
const MAX_COMPILED_BYTES: usize = 32 << 20;
/// The most groups that may be open.
const MAX_GROUPS: usize = 200;

/// A pattern that Go would not compile either, or that is too large.
pub(crate) type Mistake = String;

/// A pattern with its groups.
#[derive(Clone, Debug)]
pub(crate) struct Captures {
    pub(crate) regex: Regex,
    /// The name of each group, the whole match being the first. Two can have the same.
    pub(crate) names: Vec<Option<Box<str>>>,
}

/// Compiles a pattern of Go's dialect. What its groups match cannot be asked for.
pub(crate) fn compile(pattern: &str) -> Result<Regex, Mistake> {
    let mut translator = Translator::new(pattern, false)?;
    translator.run()?;
    build(&translator.out)
}

/// Compiles a pattern of Go's dialect, whose groups can be asked for.
pub(crate) fn compile_with_groups(pattern: &str) -> Result<Captures, Mistake> {
    let mut translator = Translator::new(pattern, true)?;
    translator.run()?;
    Ok(Captures { regex: build(&translator.out)?, names: translator.names })
}

fn build(translated: &str) -> Result<Regex, Mistake> {
    let built = RegexBuilder::new(translated).size_limit(MAX_COMPILED_BYTES).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("it needs more than {MAX_COMPILED_BYTES} bytes of memory")
        }
        // The message draws the pattern; its last line says what is wrong.
        error => {
            let message = error.to_string();
            let line = message.lines().last().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    })
}

/// What is open: the pattern itself, or a group in it.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// Where in the output it began.
    start: usize,
    /// The last thing that a repetition can apply to.
    atom: Option<Atom>,
    /// The largest product of repeat counts in it so far.
    weight: u64,
}

#[derive(Clone, Copy, Debug)]
struct Atom {
    start: usize,
    end: usize,
    weight: u64,
}

struct Translator<'p> {
    rest: &'p str,
    out: String,
    levels: Vec<Level>,
    level: Level,
    /// The thing just read was a repetition.
    repeated: bool,
    /// Groups are kept as such.
    captures: bool,
    names: Vec<Option<Box<str>>>,
}

impl<'p> Translator<'p> {
    fn new(pattern: &'p str, captures: bool) -> Result<Self, Mistake> {
        if pattern.len() > MAX_PATTERN_BYTES {
            let size = pattern.len();
            return Err(format!("it has {size} bytes, at most {MAX_PATTERN_BYTES} are allowed"));
        }
        Ok(Self {
            rest: pattern,
            out: String::with_capacity(pattern.len() + 16),
            levels: Vec::new(),
            level: Level::default(),
            repeated: false,
            captures,
            names: vec![None],
        })
    }

    fn run(&mut self) -> Result<(), Mistake> {
        while let Some(c) = self.rest.chars().next() {
            let was_repeated = std::mem::take(&mut self.repeated);
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.skip(1);
                    self.out.push('|');
                    self.level.atom = None;
                }
                '*' | '+' | '?' => self.repeat(Repeat::sign(c), 1, was_repeated)?,
                '{' => match repeat::braces(self.rest) {
                    Some((repeat, size)) => self.repeat(repeat, size, was_repeated)?,
                    None => self.literal(c),
                },
                '[' => {
                    let (class, rest) = class::translate(self.rest)?;
                    self.rest = rest;
                    self.atom(&class);
                }
                '\\' => self.escape()?,
                '.' | '^' | '$' => {
                    self.skip(1);
                    self.atom(c.encode_utf8(&mut [0; 4]));
                }
                c => self.literal(c),
            }
        }
        if self.levels.is_empty() { Ok(()) } else { Err("a `)` is missing".to_owned()) }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn literal(&mut self, c: char) {
        self.skip(c.len_utf8());
        self.atom(&escape::literal(c));
    }

    fn atom(&mut self, text: &str) {
        let start = self.out.len();
        self.out.push_str(text);
        self.level.atom = Some(Atom { start, end: self.out.len(), weight: 0 });
    }

    fn escape(&mut self) -> Result<(), Mistake> {
        if let Some(quoted) = self.rest.strip_prefix("\\Q") {
            let end = quoted.find("\\E");
            for c in quoted[..end.unwrap_or(quoted.len())].chars() {
                self.atom(&escape::literal(c));
            }
            self.rest = end.map_or("", |end| &quoted[end + 2..]);
            return Ok(());
        }
        let assertion = match self.rest.as_bytes().get(1) {
            Some(b'A') => Some("\\A"),
            Some(b'z') => Some("\\z"),
            Some(b'b') => Some("(?-u:\\b)"),
            Some(b'B') => Some("(?-u:\\B)"),
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.skip(2);
            self.atom(assertion);
            return Ok(());
        }
        let (set, rest) = match escape::set(self.rest)? {
            Some(found) => found,
            None => {
                let (code, rest) = escape::character(self.rest)?;
                (escape::code_point(code), rest)
            }
        };
        self.rest = rest;
        self.atom(&set);
        Ok(())
    }

    fn repeat(&mut self, repeat: Repeat, size: usize, stacked: bool) -> Result<(), Mistake> {
        let written = self.rest[..size].to_owned();
        self.skip(size);
        if stacked {
            return Err(format!("`{written}` repeats a repetition"));
        }
        let Some(atom) = self.level.atom else {
            return Err(format!("there is nothing that `{written}` could repeat"));
        };
        let weight = repeat.weight(atom.weight)?;
        let mut sign = repeat.to_string();
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            sign.push('?');
        }
        // Flags can stand between an atom and its repetition. A repetition of what is one
        // already needs a group.
        self.out.insert_str(atom.end, &sign);
        let mut end = atom.end + sign.len();
        if atom.weight > 0 || self.out[atom.start..atom.end].ends_with(['*', '+', '?', '}']) {
            self.out.insert(atom.end, ')');
            self.out.insert_str(atom.start, "(?:");
            end += 4;
        }
        self.level.atom = Some(Atom { start: atom.start, end, weight });
        self.level.weight = self.level.weight.max(weight);
        self.repeated = true;
        Ok(())
    }

    fn open(&mut self) -> Result<(), Mistake> {
        let start = self.out.len();
        let Some(inside) = self.rest.strip_prefix("(?") else {
            self.skip(1);
            return self.group(start, None);
        };
        let name = inside.strip_prefix("P<").or_else(|| inside.strip_prefix('<'));
        if let Some(name) = name {
            let end = name.find('>').ok_or("a group's name has no `>`")?;
            let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
            if end == 0 || !name[..end].bytes().all(word) {
                return Err(format!("`{}` is no name of a group", &name[..end]));
            }
            self.rest = &name[end + 1..];
            return self.group(start, Some(&name[..end]));
        }
        let (flags, ends_group) = self.flags(inside)?;
        if ends_group {
            if !flags.is_empty() {
                self.out.push_str(&format!("(?{flags})"));
            }
            return Ok(());
        }
        self.out.push_str(&format!("(?{flags}:"));
        self.push(start)
    }

    /// A group that captures in Go. It has no name here, since two cannot have the same.
    fn group(&mut self, start: usize, name: Option<&str>) -> Result<(), Mistake> {
        self.out.push_str(if self.captures { "(" } else { "(?:" });
        self.names.push(name.map(Into::into));
        self.push(start)
    }

    /// Reads flags, each written once as Rust wants them; true where nothing but flags
    /// stands in the group.
    fn flags(&mut self, inside: &'p str) -> Result<(String, bool), Mistake> {
        let end = inside.find([')', ':']).ok_or("a `)` is missing")?;
        let flags = &inside[..end];
        let (on, off) = flags.split_once('-').map_or((flags, None), |(on, off)| (on, Some(off)));
        let known = |flags: &str| flags.bytes().all(|flag| b"imsU".contains(&flag));
        if !known(on) || !off.is_none_or(|off| !off.is_empty() && known(off)) {
            return Err(format!("Go has no group `(?{flags}`"));
        }
        self.rest = &inside[end + 1..];
        let off = off.unwrap_or_default();
        let once = |flags: &str, without: &str| -> String {
            "imsU"
                .chars()
                .filter(|flag| flags.contains(*flag) && !without.contains(*flag))
                .collect()
        };
        let (on, off) = (once(on, off), once(off, ""));
        let written = if off.is_empty() { on } else { format!("{on}-{off}") };
        Ok((written, inside.as_bytes()[end] == b')'))
    }

    fn push(&mut self, start: usize) -> Result<(), Mistake> {
        if self.levels.len() == MAX_GROUPS {
            return Err(format!("more than {MAX_GROUPS} groups are open"));
        }
        let outer = std::mem::replace(&mut self.level, Level { start, ..Level::default() });
        self.levels.push(outer);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Mistake> {
        let Some(outer) = self.levels.pop() else { return Err("a `)` closes nothing".to_owned()) };
        self.skip(1);
        self.out.push(')');
        let group = std::mem::replace(&mut self.level, outer);
        let atom = Atom { start: group.start, end: self.out.len(), weight: group.weight };
        self.level.atom = Some(atom);
        self.level.weight = self.level.weight.max(group.weight);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn go_patterns_match_as_in_go() {
        for (pattern, text, matches) in [
            (r"^\d+$", "٣", false),
            (r"^\w+$", "é", false),
            (r"^\s$", "\u{b}", false),
            (r"^\S$", "\u{b}", true),
            (r"\bé", "é", false),
            (r"\B", "aéa", false),
            ("a{,2}", "a{,2}", true),
            ("a{01}", "a{01}", true),
            ("^[a&&b]$", "&", true),
            ("^[[a]b]$", "[b]", true),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            (r"\<\>\_", "<>_", true),
            (r"\Qa.b\E+$", "a.bbb", true),
            (r"\Q(", "(", true),
            (r"^\07\12\x41\x{1F600}$", "\u{7}\nA😀", true),
            (r"\p{Greek}\pL\p{^Lu}\P{Lu}", "αaaa", true),
            (r"\p{Letter}\p{upper case letter}", "aB", true),
            ("(?ii-ss)A(?i-i)b", "ab", true),
            (r"\p{uppercase-letter}", "B", true),
            (r"^[\p{Lu}\d[:punct:]]+$", "A1!", true),
            (r"^[[:^space:]]$", " ", false),
            ("(?U)^a+$", "aa", true),
            ("(?i)(?-i)A", "a", false),
            ("(?)a", "a", true),
            ("a(?i)*$", "aaa", true),
            ("^(?P<n>a)(?<n>b)$", "ab", true),
            ("^(?:a*)*$", "aa", true),
            ("(a{2}){2}", "aaaa", true),
            ("a.b", "a\nb", false),
            ("a$", "a\n", false),
            ("(?m)a$", "a\nb", true),
            ("^*a", "a", true),
            ("[a-]", "-", true),
            (r"[\d-z]", "-", true),
            ("[[:foo]", ":", true),
            ("[+--]", "-", true),
        ] {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text), matches, "{pattern} on {text:?}: {regex}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "a{1001}",
            "(a{500}){3}",
            "((a{10}){10}){11}",
            "x{2,1}",
            "a**",
            "a+*",
            "a{2}{3}",
            "a*+",
            "*a",
            "|*",
            "(*)",
            "(?x)a",
            "(?u)a",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?i-)a",
            "(?-)",
            r"\1",
            r"\8",
            r"\Z",
            r"\e",
            r"\C",
            r"\R",
            r"\h",
            r"\X",
            r"\G",
            r"\E",
            r"\u0041",
            r"\cA",
            r"\é",
            r"\",
            r"\x{110000}",
            r"\x{}",
            r"\x4",
            r"\p{Alphabetic}",
            r"\p{Grek}",
            r"\p{Foo}",
            r"\p",
            ")",
            "(",
            "[",
            "[a",
            "[z-a]",
            "[a--b]",
            "[[:foo:]]",
            r"[a-\d]",
            r"[\b]",
            r"[\Q]\E]",
            "(?P<>a)",
            "(?P<n",
            "(?P<é>a)",
            "(?#a)",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        assert!(compile(&"(".repeat(5000)).is_err());
        assert!(compile(&"a".repeat(9000)).is_err());
        assert!(compile(&format!("({}){{1000}}", r"\pL".repeat(500))).is_err());
    }

    proptest! {
        #[test]
        fn no_pattern_panics_and_what_is_written_is_a_regex(
            pattern in r"([ab()|*+?{}\[\]^$.\\1,0é:-]|\\[dDwWsSbBQEAzpPx]|\{2\}|\(\?[imsU-]{0,3}[:)]|\[:alpha:\]){0,10}",
        ) {
            for captures in [false, true] {
                let translator = Translator::new(&pattern, captures);
                let mut translator = translator.expect("a short pattern");
                if translator.run().is_ok() {
                    let translated = &translator.out;
                    prop_assert!(Regex::new(translated).is_ok(), "{pattern} became {translated}");
                }
            }
        }
    }
}
