//! Replays `fuzz/corpus`, and variants of it: nothing that an author or a sender can write
//! panics, exhausts the stack or takes long. `fuzz/README.md` says how to run it for longer.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read fails the test")]

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[path = "../fuzz/src/targets.rs"]
mod targets;

use targets::Target;

/// No input may take longer, even on a busy machine.
const SLOW: Duration = Duration::from_secs(30);

/// Numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    /// A piece of a text, at bounds of characters.
    fn piece<'t>(&mut self, text: &'t str) -> &'t str {
        let bounds: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (a, b) = (bounds[self.below(bounds.len())], bounds[self.below(bounds.len())]);
        &text[a.min(b)..a.max(b)]
    }

    /// A text made of two: pieces joined, repeated, and signs put in.
    fn variant(&mut self, one: &str, other: &str) -> String {
        let mut made = String::new();
        for _ in 0..=self.below(4) {
            match self.below(6) {
                0 => made.push_str(self.piece(one)),
                1 => made.push_str(self.piece(other)),
                2 => made.push_str(one),
                3 => {
                    let piece = self.piece(one).to_owned();
                    made.push_str(&piece.repeat(1 + self.below(300)));
                }
                4 => {
                    let signs = "()[]{}<>|&!?.,:;#@$%^*+-/=~\\\"'` \n\t0195_aZé\u{0}\u{10ffff}";
                    let chars: Vec<char> = signs.chars().collect();
                    for _ in 0..=self.below(5) {
                        made.push(chars[self.below(chars.len())]);
                    }
                }
                _ => {
                    let _ = write!(made, "{}", self.below(usize::MAX) as i64);
                }
            }
        }
        made
    }
}

fn corpus(target: &str) -> Vec<String> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(target);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn run((name, target): Target, text: &str) {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(text)));
    assert!(outcome.is_ok(), "{name} panics with {text:?}");
    assert!(started.elapsed() < SLOW, "{name} takes {:?} with {text:?}", started.elapsed());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_file_and_its_variants_come_to_an_end() {
    let seed = number("TRIPLINE_FUZZ_SEED").unwrap_or(1);
    let seconds = number("TRIPLINE_FUZZ_SECONDS");
    for target in targets::ALL {
        let files = corpus(target.0);
        assert!(!files.is_empty(), "{} has no files", target.0);
        files.iter().for_each(|file| run(target, file));
        let mut numbers = Numbers(seed);
        let until = seconds.map(|seconds| {
            Instant::now()
                + Duration::from_secs(seconds) / u32::try_from(targets::ALL.len()).unwrap()
        });
        let mut count = 0;
        while until.map_or(count < 200, |until| Instant::now() < until) {
            let one = &files[numbers.below(files.len())];
            let other = &files[numbers.below(files.len())];
            let variant = numbers.variant(one, other);
            run(target, &variant);
            count += 1;
        }
        println!("{}: {} files, {count} variants", target.0, files.len());
    }
}
