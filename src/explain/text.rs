//! An explanation as text for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::model::{
    ActionView, Cause, DependencyView, EventView, Explanation, FilterView, SensorView, TriggerView,
};
use super::progress::Progress;
use crate::query::item::shortened;
use crate::query::timeline::several;

/// The most characters of a name or an id.
const NAME: usize = 160;
/// The most characters of a value, and of a sentence.
const VALUE: usize = 120;
const SENTENCE: usize = 1_000;

/// Lines, with or without colours.
struct Lines {
    text: String,
    colour: bool,
}

impl Lines {
    fn add(&mut self, indent: usize, line: std::fmt::Arguments<'_>) {
        #[expect(clippy::expect_used, reason = "a String takes everything that is written to it")]
        writeln!(self.text, "{:1$}{line}", "", indent * 2).expect("a String can be written to");
    }

    fn cause(&mut self, indent: usize, cause: &Cause) {
        let colour = if cause.code.is_good() { AnsiColor::Green } else { AnsiColor::Red };
        let style = if self.colour { colour.on_default().bold() } else { Style::new() };
        let (word, sentence) = (cause.code.word(), shortened(&cause.sentence, SENTENCE));
        self.add(indent, format_args!("{style}{word}{style:#}: {sentence}"));
    }

    fn heading(&mut self, text: &str) {
        let style = if self.colour { Style::new().bold() } else { Style::new() };
        self.add(0, format_args!("{style}{text}{style:#}"));
    }
}

impl Explanation {
    /// The explanation as text for people. `colour` adds ANSI styles.
    pub fn text(&self, colour: bool) -> String {
        let mut lines = Lines { text: String::new(), colour };
        if self.omitted > 0 {
            let events = several(self.omitted, "older event");
            lines.add(0, format_args!("{events} of the chain not shown; name one by its id\n"));
        }
        for (index, event) in self.events.iter().enumerate() {
            if index > 0 {
                lines.add(0, format_args!(""));
            }
            event.lines(&mut lines);
        }
        for cause in self.refused.iter().chain(&self.never) {
            lines.cause(0, cause);
        }
        lines.text
    }
}

impl EventView {
    fn lines(&self, lines: &mut Lines) {
        lines.heading(&format!(
            "event {} {}",
            shortened(&self.key.to_string(), NAME),
            shortened(self.id.as_str(), NAME)
        ));
        let place = match self.position {
            Some(position) => format!("events {position}"),
            None => "not in the log".to_owned(),
        };
        lines.add(
            1,
            format_args!(
                "came in at {:.3}, {place}, plan {}, correlation {}",
                self.time,
                self.plan,
                shortened(self.correlation.as_str(), NAME)
            ),
        );
        if !self.complete {
            let text = "what was held before the log begins is not known any more";
            lines.add(1, format_args!("{text}"));
        }
        if let Some(cause) = &self.cause {
            lines.cause(1, cause);
        }
        for sensor in &self.sensors {
            sensor.lines(lines);
        }
    }
}

impl SensorView {
    fn lines(&self, lines: &mut Lines) {
        lines.add(0, format_args!(""));
        lines.heading(&format!("sensor {}", shortened(&self.name.to_string(), NAME)));
        for dependency in &self.dependencies {
            dependency.lines(lines);
        }
        for trigger in &self.triggers {
            trigger.lines(lines);
        }
    }
}

impl DependencyView {
    fn lines(&self, lines: &mut Lines) {
        let verdict = if self.pass { "let through" } else { "not let through" };
        let name = shortened(&self.name, NAME);
        let none = if self.filters.is_empty() && self.pass { ", it has no filters" } else { "" };
        lines.add(1, format_args!("dependency {name}: {verdict}{none}"));
        for filter in &self.filters {
            filter.line(lines);
        }
        if let (Some(error), true) = (&self.error, self.filters.is_empty()) {
            lines.add(2, format_args!("{}", shortened(error, SENTENCE)));
        }
    }
}

impl FilterView {
    fn line(&self, lines: &mut Lines) {
        let found = match (&self.found, &self.found_type) {
            (Some(found), Some(kind)) => format!("`{}` ({kind})", shortened(found, VALUE)),
            (Some(found), None) => format!("`{}`", shortened(found, VALUE)),
            (None, _) => "nothing".to_owned(),
        };
        let verdict = if self.pass { "fits" } else { "does not fit" };
        let (path, wanted) = (shortened(&self.path, VALUE), shortened(&self.wanted, VALUE));
        lines.add(2, format_args!("{}: {path} is {found}, wanted {wanted}: {verdict}", self.field));
    }
}

impl TriggerView {
    fn lines(&self, lines: &mut Lines) {
        let condition = match self.condition.as_str() {
            "" => String::new(),
            written => format!(" when {}", shortened(written, NAME)),
        };
        let name = shortened(&self.name.trigger, NAME);
        lines.add(1, format_args!("trigger {name}{condition}"));
        for held in &self.held {
            let since = held.since.map(|since| format!(", since {since:.0}")).unwrap_or_default();
            lines.add(
                2,
                format_args!(
                    "held {}: {} at events {}{since}",
                    shortened(&held.dependency, NAME),
                    shortened(held.id.as_str(), NAME),
                    held.position,
                ),
            );
        }
        for action in &self.actions {
            action.lines(lines);
        }
        lines.cause(2, &self.cause);
    }
}

impl ActionView {
    fn lines(&self, lines: &mut Lines) {
        let round = if self.round > 0 { format!(", round {}", self.round) } else { String::new() };
        let target = self.target.as_ref().map(|name| format!(" on {}", shortened(name, NAME)));
        lines.add(
            2,
            format_args!(
                "action {}{round}{} decided at {:.3}",
                self.id,
                target.unwrap_or_default(),
                self.decided_at
            ),
        );
        for step in &self.outcomes {
            let detail = shortened(&step.detail, SENTENCE);
            lines.add(3, format_args!("{:.3} {} {detail}", step.at, step.outcome));
        }
    }
}

impl Progress {
    /// The counts as text for people. `colour` adds ANSI styles.
    pub fn text(&self, colour: bool) -> String {
        let mut lines = Lines { text: String::new(), colour };
        lines.heading(&format!("sensor {} since {:.0}", self.sensor, self.since));
        if self.truncated {
            let text = "there are more records than are looked at: only the newest are counted";
            lines.add(1, format_args!("{text}"));
        }
        for of in &self.dependencies {
            lines.add(
                1,
                format_args!(
                    "dependency {} ({}): {} arrived, {} let through",
                    shortened(&of.name, NAME),
                    of.key,
                    of.arrived,
                    of.passed
                ),
            );
            for stopped in &of.stopped {
                lines.add(
                    2,
                    format_args!(
                        "{} stopped {}, the latest at events {}",
                        stopped.field, stopped.count, stopped.latest
                    ),
                );
                lines.cause(3, &stopped.cause);
            }
        }
        for done in &self.triggers {
            let waited = match done.waited {
                0 => String::new(),
                n => format!(", {n} were held while others were waited for"),
            };
            let name = shortened(&done.name, NAME);
            lines.add(1, format_args!("trigger {name}: {} fired{waited}", done.fired));
            if !done.holds.is_empty() {
                let held: Vec<String> = done.holds.iter().map(|of| shortened(of, NAME)).collect();
                lines.add(2, format_args!("holds {} now", held.join(", ")));
            }
            if !done.actions.is_empty() {
                let counts: Vec<String> =
                    done.actions.iter().map(|(word, count)| format!("{count} {word}")).collect();
                lines.add(2, format_args!("actions: {}", counts.join(", ")));
            }
        }
        lines.text
    }
}
