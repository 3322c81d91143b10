//! Whether a text is JSON, strictly as RFC 8259 has it, at any depth without recursion.

/// The most levels of nesting that count as valid, as in Go.
const MAX_DEPTH: usize = 10_000;

/// Whether `text` is one valid JSON value, white space around it allowed. A text that
/// nests more than 10,000 levels deep is not.
pub fn valid(text: &str) -> bool {
    Validator { json: text.as_bytes(), at: 0, open: Vec::new() }.run().is_some()
}

struct Validator<'a> {
    json: &'a [u8],
    at: usize,
    /// The brackets that close what is open.
    open: Vec<u8>,
}

impl Validator<'_> {
    fn run(mut self) -> Option<()> {
        loop {
            // Before a value.
            self.space();
            match self.next()? {
                b'{' => {
                    self.push(b'}')?;
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.push(b']')?;
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                b'"' => self.string()?,
                b't' => self.word(b"rue")?,
                b'f' => self.word(b"alse")?,
                b'n' => self.word(b"ull")?,
                b'-' => self.number()?,
                b'0'..=b'9' => {
                    self.at -= 1;
                    self.number()?;
                }
                _ => return None,
            }
            if self.close()? {
                return Some(());
            }
        }
    }

    /// After a value: closes what ends here. True at the end of the text; else another
    /// value follows.
    fn close(&mut self) -> Option<bool> {
        loop {
            self.space();
            let Some(bracket) = self.open.last().copied() else {
                return (self.at == self.json.len()).then_some(true);
            };
            match self.next()? {
                b',' => {
                    if bracket == b'}' {
                        self.key()?;
                    }
                    return Some(false);
                }
                c if c == bracket => {
                    self.open.pop();
                }
                _ => return None,
            }
        }
    }

    fn push(&mut self, bracket: u8) -> Option<()> {
        self.open.push(bracket);
        self.space();
        (self.open.len() <= MAX_DEPTH).then_some(())
    }

    fn key(&mut self) -> Option<()> {
        self.space();
        if self.next()? != b'"' {
            return None;
        }
        self.string()?;
        self.space();
        (self.next()? == b':').then_some(())
    }

    fn string(&mut self) -> Option<()> {
        loop {
            let rest = self.json.get(self.at..)?;
            let plain = rest.iter().position(|c| *c == b'"' || *c == b'\\' || *c < b' ')?;
            self.at += plain + 1;
            match rest[plain] {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        let digits = self.json.get(self.at..self.at + 4)?;
                        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                        self.at += 4;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// What follows a sign.
    fn number(&mut self) -> Option<()> {
        if self.next()? != b'0' {
            self.at -= 1;
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let found = self.json.get(self.at..self.at + rest.len())?;
        self.at += rest.len();
        (found == rest).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_json_is_valid() {
        for text in [
            "1",
            " -0.5e+3 ",
            "\"\\ud800\"",
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1,{\"a\":[null]}]",
            "1e400",
            "true",
            "{\"a\":1,\"a\":2}",
            "\n\"é\"\t",
        ] {
            assert!(valid(text), "{text}");
        }
        for text in [
            "",
            " ",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "-",
            "NaN",
            "tru",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "'a'",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "[1 2]",
            "1 2",
            "\u{feff}1",
            "[",
            "{\"a\"",
            "{\"a\":}",
            "\"",
            "]",
            "[}",
            "{]",
            "{1:2}",
            "nullx",
        ] {
            assert!(!valid(text), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_bound_and_needs_no_stack() {
        assert!(valid(&("[".repeat(10_000) + &"]".repeat(10_000))));
        assert!(!valid(&("[".repeat(10_001) + &"]".repeat(10_001))));
        assert!(!valid(&"{\"a\":".repeat(1_000_000)));
    }
}
