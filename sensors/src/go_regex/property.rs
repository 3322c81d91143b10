//! `\p{…}`: general categories and scripts. Names are compared without case, spaces, `_`
//! and `-`, as Go does since 1.25.

/// The categories, short and long.
const CATEGORIES: &[(&str, &str)] = &[
    ("c", "other"),
    ("cc", "control"),
    ("cf", "format"),
    ("cn", "unassigned"),
    ("co", "privateuse"),
    ("cs", "surrogate"),
    ("l", "letter"),
    ("lc", "casedletter"),
    ("ll", "lowercaseletter"),
    ("lm", "modifierletter"),
    ("lo", "otherletter"),
    ("lt", "titlecaseletter"),
    ("lu", "uppercaseletter"),
    ("m", "mark"),
    ("mc", "spacingmark"),
    ("me", "enclosingmark"),
    ("mn", "nonspacingmark"),
    ("n", "number"),
    ("nd", "decimalnumber"),
    ("nl", "letternumber"),
    ("no", "othernumber"),
    ("p", "punctuation"),
    ("pc", "connectorpunctuation"),
    ("pd", "dashpunctuation"),
    ("pe", "closepunctuation"),
    ("pf", "finalpunctuation"),
    ("pi", "initialpunctuation"),
    ("po", "otherpunctuation"),
    ("ps", "openpunctuation"),
    ("s", "symbol"),
    ("sc", "currencysymbol"),
    ("sk", "modifiersymbol"),
    ("sm", "mathsymbol"),
    ("so", "othersymbol"),
    ("z", "separator"),
    ("zl", "lineseparator"),
    ("zp", "paragraphseparator"),
    ("zs", "spaceseparator"),
];

/// Names of scripts that are as short as the codes of scripts, which Go does not know.
const SHORT_SCRIPTS: [&str; 14] = [
    "ahom", "cham", "kawi", "lao", "lisu", "miao", "modi", "mro", "newa", "nko", "thai", "toto",
    "vai", "yi",
];

/// The property at the beginning of `pattern`, and what follows it.
pub(super) fn translate(pattern: &str) -> Result<(String, &str), String> {
    let mut negated = pattern.as_bytes()[1] == b'P';
    let after = &pattern[2..];
    let (name, rest) = match after.strip_prefix('{') {
        Some(inside) => inside.split_once('}').ok_or("a `}` is missing after `\\p`")?,
        None => {
            let c = after.chars().next().ok_or("`\\p` needs a name")?;
            after.split_at(c.len_utf8())
        }
    };
    let name = match name.strip_prefix('^') {
        Some(name) => {
            negated = !negated;
            name
        }
        None => name,
    };
    let sign = if negated { 'P' } else { 'p' };
    let set = property(name).ok_or_else(|| format!("Go has no set of characters `{name}`"))?;
    Ok((format!("\\{sign}{{{set}}}"), rest))
}

fn property(name: &str) -> Option<String> {
    let plain: String = name.chars().filter(|c| !" _-".contains(*c)).collect();
    let plain = plain.to_ascii_lowercase();
    if ["any", "ascii", "assigned"].contains(&plain.as_str()) {
        return Some(plain);
    }
    if let Some((short, _)) =
        CATEGORIES.iter().find(|(short, long)| *short == plain || *long == plain)
    {
        return Some(format!("gc={short}"));
    }
    let script = plain.len() > 4 || SHORT_SCRIPTS.contains(&plain.as_str());
    let letters = plain.bytes().all(|c| c.is_ascii_lowercase());
    let set = format!("script={plain}");
    (script && letters && regex_syntax::parse(&format!("\\p{{{set}}}")).is_ok()).then_some(set)
}
