//! What the doctor says.

use std::io;

use super::{Answer, Verdict};
use crate::cli::output::Output;

/// Everything that was found, in the order in which it was asked.
#[derive(Debug)]
pub struct Report {
    /// All of it.
    pub answers: Vec<Answer>,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.answers.iter().all(|answer| answer.finding.verdict != Verdict::Wrong)
    }

    /// Prints: for people what is wrong last, where it is seen; for programs a line for each.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(&self, output: &mut Output) -> io::Result<()> {
        if output.is_json() {
            return self.answers.iter().try_for_each(|answer| output.json(answer));
        }
        let mut answers: Vec<&Answer> = self.answers.iter().collect();
        answers.sort_by_key(|answer| answer.finding.verdict);
        for answer in &answers {
            let Answer { about, subject, finding } = answer;
            let mark = match finding.verdict {
                Verdict::Good => output.good("ok   "),
                Verdict::Note => "note ".to_owned(),
                Verdict::Wrong => output.bad("wrong"),
            };
            output.line(format!("{mark}  {about} {subject}: {}", finding.said))?;
            if let Some(advice) = &finding.advice {
                for line in advice.lines() {
                    output.line(format!("       {line}").trim_end())?;
                }
            }
        }
        let count = |verdict| answers.iter().filter(|a| a.finding.verdict == verdict).count();
        output.line(format!(
            "{} asked: {} wrong, {} to be known",
            answers.len(),
            count(Verdict::Wrong),
            count(Verdict::Note)
        ))
    }
}
