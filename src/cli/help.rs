//! `tripline help`: commands, and the codes of mistakes.

use clap::CommandFactory as _;

use super::{Cli, CommandError, Exit, Output};
use crate::codes;
use crate::control::ControlError;

/// Explains a command, a code, or everything.
pub fn help(topic: &[String], output: &mut Output) -> Result<Exit, CommandError> {
    let mut command = Cli::command();
    command.build();
    if let [word] = topic
        && let Some(code) = codes::all().find(|code| code.code.eq_ignore_ascii_case(word))
    {
        output.heading(&format!("{}: {}", code.code, code.title))?;
        output.line("")?;
        output.line(code.explanation)?;
        return Ok(Exit::Done);
    }
    let mut found = &mut command;
    for word in topic {
        let names: Vec<String> =
            found.get_subcommands().map(|known| known.get_name().to_owned()).collect();
        if !names.contains(word) {
            let codes = codes::all().map(|code| code.code.to_owned());
            return Err(
                ControlError::NotFound(unknown(word, names.into_iter().chain(codes))).into()
            );
        }
        found = found
            .find_subcommand_mut(word)
            .ok_or_else(|| ControlError::NotFound(unknown(word, std::iter::empty())))?;
    }
    let text = found.render_long_help();
    if output.has_colour() {
        output.text(&text.ansi().to_string())?;
    } else {
        output.text(&text.to_string())?;
    }
    Ok(Exit::Done)
}

fn unknown(word: &str, known: impl Iterator<Item = String>) -> String {
    /// How like a word must be to be suggested.
    const SIMILAR: f64 = 0.7;
    let lower = word.to_lowercase();
    let score = |name: &String| strsim::jaro_winkler(&lower, &name.to_lowercase());
    let best = known.max_by(|a, b| score(a).total_cmp(&score(b)));
    let hint = best
        .filter(|best| score(best) >= SIMILAR)
        .map(|best| format!(": did you mean `{best}`?"))
        .unwrap_or_default();
    format!("`{word}` is neither a command nor a code{hint}")
}
