//! What a script must not have, and what it sees instead: nothing.

/// What gives a script files, the environment, other programs or the insides of the
/// interpreter. The first is looked for in the script's text.
const FORBIDDEN: [&str; 22] = [
    "os.getenv",
    "os.setenv",
    "os.execute",
    "os.exit",
    "os.remove",
    "os.rename",
    "os.tmpname",
    "os.setlocale",
    "io",
    "debug",
    "package",
    "require",
    "module",
    "dofile",
    "loadfile",
    "channel",
    "newproxy",
    "getfenv",
    "setfenv",
    "_printregs",
    "_GOPHER_LUA_VERSION",
    "string.dump",
];

/// The script with `nil` in place of all that it must not have; `None` where it has
/// nothing of it.
pub fn without_forbidden(script: &str) -> Option<String> {
    let mut changed = script.to_owned();
    for name in FORBIDDEN {
        let mut from = 0;
        while let Some(at) = changed[from..].find(name).map(|at| from + at) {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let before = changed[..at].chars().next_back().is_some_and(is_part);
            let after = changed[at + name.len()..].chars().next();
            let longer = after.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if before || longer {
                from = at + name.len();
                continue;
            }
            changed.replace_range(at..at + name.len(), "(nil)");
            from = at + 5;
        }
    }
    (changed != script).then_some(changed)
}

/// Whether a script asks for what is different at each call: the clock, or chance.
pub fn is_random(script: &str) -> bool {
    ["math.random", "os.time()", "os.clock", "os.date("].iter().any(|call| script.contains(call))
}
