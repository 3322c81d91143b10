use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;

use clap::{CommandFactory as _, Parser as _};

use super::args::{Cli, Command, default_data};
use super::output::{Format, Output};
use super::{CommandError, Exit};
use crate::control::ControlError;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// The commands below `command`, with those below them.
fn commands(command: &clap::Command, above: &str, all: &mut Vec<(String, bool)>) {
    for sub in command.get_subcommands() {
        let name = format!("{above} {}", sub.get_name());
        let examples = sub.get_after_help().is_some_and(|help| help.to_string().contains(&name));
        if sub.has_subcommands() {
            commands(sub, &name, all);
        } else {
            all.push((name, examples));
        }
    }
}

#[test]
fn every_command_has_help_with_an_example_of_itself() {
    let mut all = Vec::new();
    commands(&Cli::command(), "tripline", &mut all);
    assert!(all.len() > 25, "{all:?}");
    for (name, has_examples) in all {
        assert!(has_examples, "{name}");
    }
}

#[test]
fn every_example_of_the_help_is_a_command_line() {
    fn examples(command: &clap::Command, lines: &mut Vec<String>) {
        if let Some(help) = command.get_after_help() {
            let help = help.to_string();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
            // An empty line ends them.
            let examples = examples.lines().take_while(|line| !line.is_empty());
            lines.extend(examples.map(str::to_owned));
        }
        command.get_subcommands().for_each(|sub| examples(sub, lines));
    }
    let mut lines = Vec::new();
    examples(&Cli::command(), &mut lines);
    for line in &lines {
        // What stands before `tripline`, behind a pipe, or after two spaces, is not ours.
        let from = line.find("tripline ").unwrap_or_default();
        let ours = line[from..].split(" | ").next().unwrap_or_default();
        let ours = ours.split(" > ").next().unwrap_or_default();
        let ours = ours.split("     ").next().unwrap_or_default();
        let words = words(ours);
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("{line}: {error}");
        }
    }
}

/// Splits a line at spaces outside of single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for line in [
        "tripline",
        "tripline evnts",
        "tripline run",
        "tripline dlq retry",
        "tripline dlq retry x --all",
        "tripline run . --control 127.0.0.1:1",
        "tripline events --match nothing",
        "tripline events --since yesterday",
        "tripline status --server http://x --data /tmp",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

/// What was printed.
#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

fn help(topic: &[&str]) -> (Result<Exit, CommandError>, String) {
    let paper = Paper::default();
    let mut output = Output::plain(Box::new(paper.clone()), Format::Human);
    let topic: Vec<String> = topic.iter().map(|word| (*word).to_owned()).collect();
    let result = super::help::help(&topic, &mut output);
    (result, paper.text())
}

#[test]
fn help_explains_commands_and_codes() {
    for (topic, expected) in [
        (&[][..], "Exit codes:"),
        (&["trace"], "A handle is"),
        (&["dlq", "retry"], "tripline dlq retry"),
    ] {
        let (result, text) = help(topic);
        assert_eq!(result.unwrap(), Exit::Done);
        assert!(text.contains(expected), "{topic:?}: {text}");
    }
    for code in crate::codes::all() {
        let (result, text) = help(&[&code.code.to_lowercase()]);
        assert_eq!(result.unwrap(), Exit::Done);
        assert!(text.contains(code.title) && text.contains(code.explanation), "{text}");
    }
}

#[test]
fn a_topic_that_is_not_there_is_not_found_and_another_is_suggested() {
    let (result, text) = help(&["trcae"]);
    let error = result.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound);
    assert!(error.to_string().contains("did you mean `trace`?"), "{error}");
    assert_eq!(text, "");
}

#[test]
fn no_two_mistakes_have_one_code() {
    let mut seen = std::collections::BTreeSet::new();
    for code in crate::codes::all() {
        assert!(seen.insert(code.code), "{} is there twice", code.code);
    }
    assert!(seen.len() > 20);
}

#[test]
fn a_pipe_that_nobody_reads_is_no_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut output = Output::plain(Box::new(Closed), Format::Human);
    let error = CommandError::from(output.line("x").unwrap_err());
    assert!(matches!(error, CommandError::Closed));
    assert_eq!(error.exit(), Exit::Done);
}

#[test]
fn a_table_is_aligned_and_its_cells_cannot_control_the_terminal() {
    let paper = Paper::default();
    let mut output = Output::plain(Box::new(paper.clone()), Format::Human);
    let rows =
        [["a".to_owned(), "\u{1b}[31mred\nline".to_owned()], ["longer".to_owned(), "x".to_owned()]];
    output.table(["id", "text"], rows).unwrap();
    assert_eq!(paper.text(), "ID      TEXT\na        [31mred line\nlonger  x\n");
}

#[test]
fn a_list_is_lines_of_json_or_says_that_it_is_empty() {
    let print = |format, values: &[u32]| {
        let paper = Paper::default();
        let mut output = Output::plain(Box::new(paper.clone()), format);
        output.list(values, "none", ["n"], |n| [n.to_string()]).unwrap();
        paper.text()
    };
    assert_eq!(print(Format::Json, &[1, 2]), "1\n2\n");
    assert_eq!(print(Format::Json, &[]), "");
    assert_eq!(print(Format::Human, &[]), "none\n");
    assert_eq!(print(Format::Human, &[1]), "N\n1\n");
}

#[test]
fn errors_have_the_exit_codes_that_help_lists() {
    for (error, exit) in [
        (ControlError::Invalid(String::new()), 2),
        (ControlError::Unreachable(String::new()), 3),
        (ControlError::NotFound(String::new()), 4),
        (ControlError::Conflict(String::new()), 1),
        (ControlError::Failed(String::new()), 1),
        (ControlError::Denied(String::new()), 1),
    ] {
        assert_eq!(CommandError::from(error).exit() as u8, exit);
    }
}

#[test]
fn the_data_directory_is_where_the_system_keeps_state() {
    let path = |text: &str| Some(PathBuf::from(text));
    for (root, state, home, expected) in [
        (true, path("/s"), path("/root"), "/var/lib/tripline"),
        (false, path("/s"), path("/home/ada"), "/s/tripline"),
        (false, None, path("/home/ada"), "/home/ada/.local/state/tripline"),
        (false, None, None, "tripline-data"),
    ] {
        assert_eq!(default_data(root, state, home), PathBuf::from(expected));
    }
}

#[test]
fn an_event_to_publish_is_named_with_or_without_namespace() {
    for (line, expected) in [
        ("builds/completed", Some("default/builds/completed")),
        ("ci/builds/completed", Some("ci/builds/completed")),
        ("builds/completed -n ci", Some("ci/builds/completed")),
        ("completed", None),
        ("a/b/c/d", None),
        ("a/b --body nojson", None),
        ("a/b -H nocolon", None),
    ] {
        let words = format!("tripline publish {line}");
        let cli = Cli::try_parse_from(words.split(' ')).unwrap();
        let Command::Publish(args) = cli.command else { panic!("{line}") };
        let request = super::steering::request(&args);
        let named = request.map(|r| format!("{}/{}/{}", r.namespace, r.source, r.event)).ok();
        assert_eq!(named.as_deref(), expected, "{line}");
    }
}
