//! A file as the texts of its documents, without reading any of them.
//!
//! A line that begins with `---` and a space, or nothing more, begins a document wherever it
//! stands: YAML allows it inside of no value. So what was read before need not be read again
//! where only other documents of its file have changed.

/// The text of one document, with the line that begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'t> {
    /// The line at which the text begins, from 1.
    pub line: u32,
    /// The text, with the end of its last line.
    pub text: &'t str,
}

impl Chunk<'_> {
    /// The line of the first value; none where there are comments at most.
    pub fn first_line(&self) -> Option<u32> {
        let is_value = |line: &str| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#') && line != "---"
        };
        let before = self.text.lines().position(is_value)?;
        Some(self.line.saturating_add(u32::try_from(before).unwrap_or(u32::MAX)))
    }

    /// Puts as many lines in place of the text, in which nothing stands.
    pub fn blank(&self, into: &mut String) {
        // What stands before it ends here all the same.
        if self.text.starts_with("---") {
            into.push_str("---");
        }
        into.extend(self.text.matches('\n'));
    }
}

/// The documents of a text; a text with directives is taken as one.
pub(crate) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut line, mut from, mut from_line) = (1, 0, 1);
    let mut at = 0;
    for one in text.split_inclusive('\n') {
        if one.starts_with('%') {
            return vec![Chunk { line: 1, text }];
        }
        if at > 0 && is_marker(one) {
            chunks.push(Chunk { line: from_line, text: &text[from..at] });
            (from, from_line) = (at, line);
        }
        at += one.len();
        line += 1;
    }
    chunks.push(Chunk { line: from_line, text: &text[from..] });
    chunks
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_begins_at_three_dashes_and_no_other_line() {
        for (text, expected) in [
            ("a: 1\n", vec![(1, Some(1))]),
            ("a: 1\n---\nb: 1\n", vec![(1, Some(1)), (2, Some(3))]),
            ("# c\n\n--- \n# d\n\nb: 1\n---\n", vec![(1, None), (3, Some(6)), (7, None)]),
            ("a: |\n  ---\n  x\n----\n---x\n", vec![(1, Some(1))]),
            ("%YAML 1.2\n---\na: 1\n", vec![(1, Some(1))]),
            ("a: 1\r\n---\r\nb: 1", vec![(1, Some(1)), (2, Some(3))]),
            ("", vec![(1, None)]),
        ] {
            let found: Vec<_> =
                chunks(text).iter().map(|chunk| (chunk.line, chunk.first_line())).collect();
            assert_eq!(found, expected, "{text:?}");
            let whole: String = chunks(text).iter().map(|chunk| chunk.text).collect();
            assert_eq!(whole, text);
            let mut blank = String::new();
            chunks(text).iter().for_each(|chunk| chunk.blank(&mut blank));
            assert_eq!(blank.matches('\n').count(), text.matches('\n').count(), "{text:?}");
        }
    }
}
