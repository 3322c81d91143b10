//! Fuzzing of one target, the one that `TRIPLINE_FUZZ_TARGET` names. `.ci/fuzz` builds and runs
//! it.

#![no_main]

mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("TRIPLINE_FUZZ_TARGET").unwrap_or_default();
    let known = targets::ALL.map(|(known, _)| known);
    let found = targets::ALL.into_iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("TRIPLINE_FUZZ_TARGET is `{name}`, not one of {known:?}"))
});

fuzz_target!(|data: &[u8]| -> Corpus {
    // All that is fuzzed is text: bytes that are none are refused before anything reads them.
    let Ok(text) = std::str::from_utf8(data) else { return Corpus::Reject };
    let (_, run) = *TARGET;
    run(text);
    Corpus::Keep
});
