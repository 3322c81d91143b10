//! What was probably meant.

/// Single letters that must be added, removed, replaced or swapped to get from one word to
/// the other, whatever their case.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    // Beyond this length it is no misspelling, and the square of it is no cost.
    const LONGEST: usize = 100;
    if one.len() > LONGEST || other.len() > LONGEST {
        return usize::MAX;
    }
    strsim::osa_distance(&one.to_lowercase(), &other.to_lowercase())
}

/// The word that is near enough to `word` to have been meant.
pub(crate) fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let bound = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    words
        .iter()
        .map(|known| (distance(word, known), *known))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, known)| known)
}

/// Words in backquotes, with commas. The first ones of many.
pub(crate) fn list(words: &[&str]) -> String {
    const SHOWN: usize = 30;
    let mut text: Vec<String> = words.iter().take(SHOWN).map(|word| format!("`{word}`")).collect();
    if words.len() > SHOWN {
        text.push("…".to_owned());
    }
    text.join(", ")
}
