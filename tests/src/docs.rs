//! The project's own pages: their code blocks, their links, and what of them is generated.
//!
//! In a page, the comment `<!-- test: … -->` on the line before a block says how the block is
//! run; `<!-- begin: NAME -->` and `<!-- end: NAME -->` enclose what a test compares with what
//! the program says, and writes anew when `TRIPLINE_BLESS` is set.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};

/// The folder of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A page of the project.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its path below the root.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A fenced code block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// What stands after the fence.
    pub language: String,
    /// How it is to be run.
    pub directive: Option<String>,
    /// What it holds.
    pub text: String,
}

impl Page {
    /// The page at a path below the root.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(root().join(path));
        let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Its code blocks.
    pub fn blocks(&self) -> Vec<Block> {
        blocks(&self.text)
    }

    /// What is between the marks of `name`.
    ///
    /// # Errors
    /// The marks are not there.
    pub fn region(&self, name: &str) -> anyhow::Result<&str> {
        let (before, after) = self.around(name)?;
        Ok(&self.text[before.len()..self.text.len() - after.len()])
    }

    /// What stands before and after a region, the marks included.
    fn around(&self, name: &str) -> anyhow::Result<(&str, &str)> {
        let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
        let missing = || format!("{} has no `{}`", self.path.display(), begin.trim());
        let from = self.text.find(&begin).with_context(missing)? + begin.len();
        let length = self.text[from..].find(&end).with_context(missing)?;
        Ok((&self.text[..from], &self.text[from + length..]))
    }

    /// Compares what is between the marks of `name` with what should be, as `same` does;
    /// writes the latter there when `TRIPLINE_BLESS` is set.
    ///
    /// # Errors
    /// It is something else.
    pub fn is_up_to_date(
        &self,
        name: &str,
        wanted: &str,
        same: impl Fn(&str) -> String,
    ) -> anyhow::Result<()> {
        let found = self.region(name)?;
        if std::env::var_os("TRIPLINE_BLESS").is_some() {
            // Another region of the page may have been written meanwhile, by another test.
            static WRITING: Mutex<()> = Mutex::new(());
            let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
            let page = Self::read(&self.path)?;
            let (before, after) = page.around(name)?;
            let text = format!("{before}{wanted}{after}");
            return Ok(std::fs::write(root().join(&self.path), text)?);
        }
        let (found, wanted) = (same(found), same(wanted));
        let differ = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
        let (one, other) = differ.unwrap_or(("the page ends otherwise", "the program"));
        ensure!(
            found == wanted,
            "{}: `{name}` is out of date:\n  page     {one}\n  program  {other}\n\
             TRIPLINE_BLESS=1 cargo test --release -p tripline-tests --test docs writes it anew",
            self.path.display(),
        );
        Ok(())
    }
}

/// All pages.
///
/// # Errors
/// One cannot be read.
pub fn pages() -> anyhow::Result<Vec<Page>> {
    let mut paths = Vec::new();
    for folder in ["", "docs", "deploy"] {
        add_pages(Path::new(folder), &mut paths)?;
    }
    for example in std::fs::read_dir(root().join("examples"))? {
        add_pages(&Path::new("examples").join(example?.file_name()), &mut paths)?;
    }
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

fn add_pages(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let inside = root().join(folder);
    if !inside.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(inside)? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == "md") {
            paths.push(folder.join(name));
        }
    }
    Ok(())
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut directive = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text = format!("{}{line}\n", block.text),
            (None, Some(language)) => {
                let (language, text) = (language.trim().to_owned(), String::new());
                let directive = directive.take();
                open = Some(Block { line: number + 1, language, directive, text });
            }
            (None, None) => {
                let inside = line.strip_prefix("<!-- test:");
                let inside = inside.and_then(|rest| rest.strip_suffix("-->"));
                directive = inside.map(|inside| inside.trim().to_owned());
            }
        }
    }
    blocks
}

/// The targets of the links in a page that lead to a file of the project.
pub fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    let local = |target: &&str| !target.is_empty() && !target.contains(':');
    targets.filter(local).map(str::to_owned).collect()
}

/// A text of the program without what differs from one run to the next: numbers, ids,
/// temporary files, and the spaces that align them.
pub fn steady(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.split_whitespace().map(steady_word);
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn steady_word(word: &str) -> String {
    if word.starts_with('/') || word.starts_with("~/") {
        return "/…".to_owned();
    }
    let mut steady = String::new();
    for part in word.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let (inner, end) = match part.strip_suffix(|c: char| !c.is_alphanumeric()) {
            Some(inner) => (inner, &part[inner.len()..]),
            None => (part, ""),
        };
        let hex = inner.len() >= 8 && inner.chars().all(|c| c.is_ascii_hexdigit());
        let number = inner.starts_with(|c: char| c.is_ascii_digit());
        steady.push_str(if hex || number { "#" } else { inner });
        steady.push_str(end);
    }
    // One fraction or position is as good as another.
    for (long, short) in [("#.#", "#"), ("#:#", "#")] {
        while steady.contains(long) {
            steady = steady.replace(long, short);
        }
    }
    steady
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_language_and_directive() {
        let text = "a\n<!-- test: with-daemon -->\n```console\n$ x\n```\n\n```\ny\n```\n";
        let block = |line, language: &str, directive: Option<&str>, text: &str| Block {
            line,
            language: language.into(),
            directive: directive.map(str::to_owned),
            text: text.into(),
        };
        let expected =
            [block(3, "console", Some("with-daemon"), "$ x\n"), block(7, "", None, "y\n")];
        assert_eq!(blocks(text), expected);
    }

    #[test]
    fn links_that_leave_the_project_are_left_out() {
        assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g) [h](i/j.md)"), ["b.md", "i/j.md"]);
    }

    #[test]
    fn numbers_and_ids_are_the_same_in_every_run_and_words_are_not() {
        let one = steady("  1.25 ms  action 0f3a9c1d22 of build-4711 at 1f00ab3c:42");
        assert_eq!(one, steady(" 10.5 ms action ffffffffff of build-7 at 00ab3c00:1"));
        assert_ne!(one, steady("  1.25 ms  action 0f3a9c1d22 of image-4711 at 1f00ab3c:42"));
    }
}
