//! The project's own pages say what is so: their YAML is accepted, their commands run, their
//! links lead somewhere, and what the program can print is as the program prints it.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::{CommandFactory as _, Parser as _};
use tripline::cli::Cli;
use tripline_tests::daemon::{Place, SOON, program};
use tripline_tests::docs::{Block, Page, links, pages, root, steady};

/// The folder that the commands of a block run in: `examples` is there, and data of its own.
struct Bench {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Bench {
    fn new(data: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tripline-docs-").tempdir()?;
        symlink(root().join("examples").canonicalize()?, folder.path().join("examples"))?;
        let data = data.unwrap_or_else(|| folder.path().join("data"));
        Ok(Self { folder, data })
    }

    /// A command line as a shell runs it, with the program of this build as `tripline`.
    fn shell(&self, line: &str) -> anyhow::Result<Command> {
        let program = program()?.canonicalize()?;
        let path = program.parent().context("the program is in no folder")?;
        let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder.path()).env("PATH", path);
        command.env("HOME", self.folder.path()).env("TRIPLINE_DATA", &self.data);
        command.env_remove("XDG_STATE_HOME").env_remove("TRIPLINE_SERVER").stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self, line: &str, expected: i32) -> anyhow::Result<String> {
        let output = self.shell(line)?.output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let code = output.status.code();
        ensure!(
            code == Some(expected),
            "`{line}` ended with {code:?}, not {expected}:\n{out}{err}"
        );
        Ok(out + &err)
    }

    /// A command that goes on until it is stopped: it has started when it answers.
    fn run_until_it_answers(&self, line: &str) -> anyhow::Result<()> {
        // Another daemon may have the port of the metrics.
        let line = format!("exec {line} --operations 127.0.0.1:0");
        let mut child = self.shell(&line)?.stderr(Stdio::null()).spawn()?;
        let deadline = Instant::now() + SOON;
        while !self.shell("tripline status")?.output()?.status.success() {
            if let Some(status) = child.try_wait()? {
                bail!("`{line}` ended by itself: {status}");
            }
            ensure!(Instant::now() < deadline, "`{line}` does not answer");
        }
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("the daemon has no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = child.wait()?;
        ensure!(status.success(), "`{line}` was told to stop and ended with {status}");
        Ok(())
    }
}

/// The commands of a block, each with the lines that are shown below it.
fn commands(block: &Block) -> Vec<(String, Vec<&str>)> {
    let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
    let mut goes_on = false;
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((command, _))) if goes_on => *command = format!("{command}\n{line}"),
            (None, Some((_, output))) => output.push(line),
            (None, None) => {}
        }
        goes_on = line.ends_with('\\');
    }
    commands
}

async fn run_block(block: &Block) -> anyhow::Result<usize> {
    let directive = block.directive.as_deref().unwrap_or_default();
    let place = Place::new()?;
    let daemon = match directive.contains("with-daemon") {
        true => {
            for file in ["event-source.yaml", "sensor.yaml"] {
                let text =
                    std::fs::read_to_string(root().join("examples/build-then-deploy").join(file))?;
                place.write(file, &text.replace("12000", &place.port.to_string()))?;
            }
            Some(place.start().await?)
        }
        false => None,
    };
    let bench = Bench::new(daemon.is_some().then(|| place.data()))?;
    let expected = match directive.split_once("exits ") {
        Some((_, code)) => code.trim().parse().with_context(|| format!("`{directive}`"))?,
        None => 0,
    };
    let mut count = 0;
    for (command, shown) in commands(block) {
        // What builds or tests the project itself is not run by its own tests.
        if command.starts_with("cargo ") || command.starts_with("./") {
            continue;
        }
        if !command.starts_with("tripline ") {
            bench.run(&command, 0)?;
            continue;
        }
        count += 1;
        if command.starts_with("tripline run ") {
            bench.run_until_it_answers(&command)?;
            continue;
        }
        let output = steady(&bench.run(&command, expected)?);
        for line in shown.iter().filter(|line| !line.is_empty()) {
            let wanted = steady(line);
            ensure!(
                output.lines().any(|line| line.trim() == wanted.trim()),
                "`{command}` does not print this line:\n{line}\nbut:\n{output}"
            );
        }
    }
    Ok(count)
}

#[tokio::test]
async fn every_command_of_the_pages_runs_and_prints_what_is_shown() {
    let mut count = 0;
    for page in pages().unwrap() {
        for block in page.blocks().iter().filter(|block| block.language == "console") {
            let ran = run_block(block).await;
            count +=
                ran.with_context(|| format!("{}:{}", page.path.display(), block.line)).unwrap();
        }
    }
    assert!(count >= 10, "only {count} commands were found");
}

/// What `tripline check` says about a text: the codes of what it finds.
fn codes_of(yaml: &str) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("block.yaml");
    std::fs::write(&file, yaml)?;
    let output =
        Command::new(program()?).args(["check", "--output", "json"]).arg(&file).output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.code().is_some_and(|code| code < 2), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("`tripline check --output json` printed {text}"))?;
    let found = report["diagnostics"].as_array().context("there are no diagnostics")?;
    let codes = found.iter().filter_map(|found| Some(found.get("code")?.as_str()?.to_owned()));
    Ok(codes.collect())
}

/// The rules of the formats say where each is kept and which tests hold it.
#[test]
fn the_files_and_tests_that_the_architecture_names_are_there() {
    let page = Page::read(Path::new("ARCHITECTURE.md")).unwrap();
    let sources = all_sources(&root()).unwrap();
    let rules = page.text.lines().filter(|line| {
        line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    let mut count = 0;
    for rule in rules {
        let cells: Vec<&str> = rule.split(" | ").collect();
        assert_eq!(cells.len(), 4, "{rule}");
        for file in cells[2].split('`').skip(1).step_by(2) {
            assert!(root().join(file).exists(), "there is no {file}");
        }
        for test in cells[3].split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
            count += 1;
        }
    }
    assert!(count >= 24, "only {count} tests are named");
}

/// All Rust of the project.
fn all_sources(folder: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            text += &all_sources(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &std::fs::read_to_string(&path)?;
        }
    }
    Ok(text)
}

/// A page may show what is refused: `<!-- test: refused TL0503 -->`.
#[test]
fn the_yaml_of_the_pages_is_accepted() {
    let mut count = 0;
    for page in pages().unwrap() {
        for block in page.blocks().iter().filter(|block| block.language == "yaml") {
            let place = format!("{}:{}", page.path.display(), block.line);
            let directive = block.directive.as_deref().unwrap_or_default();
            let expected: Vec<&str> = directive.strip_prefix("refused ").into_iter().collect();
            assert_eq!(codes_of(&block.text).unwrap(), expected, "{place}");
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} blocks of YAML were found");
    assert_eq!(codes_of("kind: [").unwrap(), ["TL0101"], "what is broken would be seen");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut count = 0;
    for page in pages().unwrap() {
        let folder = root().join(page.path.parent().unwrap_or(Path::new("")));
        for link in links(&page.text) {
            assert!(folder.join(&link).exists(), "{} links to {link}", page.path.display());
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} links were found");
}

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let bench = Bench::new(None).unwrap();
    // The demo names itself as it was called, and cargo calls it so.
    let built = bench.folder.path().join("target/release");
    std::fs::create_dir_all(&built).unwrap();
    symlink(program().unwrap().canonicalize().unwrap(), built.join("tripline")).unwrap();
    let demo = bench.run("target/release/tripline demo", 0).unwrap();
    let demo = demo.replace(&bench.folder.path().display().to_string(), "~");
    let readme = Page::read(Path::new("README.md")).unwrap();
    readme.is_up_to_date("demo", &format!("```text\n{demo}```\n"), steady).unwrap();
}

#[test]
fn the_readme_shows_the_example() {
    let folder = root().join("examples/build-then-deploy");
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let both = format!("```yaml\n{}---\n{}```\n", text("event-source.yaml"), text("sensor.yaml"));
    let readme = Page::read(Path::new("README.md")).unwrap();
    readme.is_up_to_date("example", &both, str::to_owned).unwrap();
}

#[test]
fn the_page_of_commands_is_what_their_help_says() {
    let mut text = String::new();
    let mut command = Cli::command();
    command.build();
    help(&mut command, "tripline", &mut text);
    let page = Page::read(Path::new("docs/commands.md")).unwrap();
    page.is_up_to_date("commands", &text, str::to_owned).unwrap();
}

/// The help of each command below `command`, those that have commands of their own last.
fn help(command: &mut clap::Command, path: &str, text: &mut String) {
    for command in command.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            help(command, &path, text);
            continue;
        }
        let help = command.clone().term_width(96).render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let help = lines.join("\n");
        text.push_str(&format!("## `{path}`\n\n```text\n{}\n```\n\n", help.trim_end()));
    }
}

/// Each example of the help is a command line that makes sense.
#[test]
fn the_examples_of_the_help_can_be_typed() {
    // Of the help itself, and not of the page, which may be written anew just now.
    let mut text = String::new();
    let mut command = Cli::command();
    command.build();
    help(&mut command, "tripline", &mut text);
    let page = Page { path: "docs/commands.md".into(), text };
    let mut count = 0;
    for block in page.blocks().iter().filter(|block| block.language == "text") {
        let examples = block.text.split("Examples:\n").nth(1).unwrap_or_default();
        for line in examples.lines().filter_map(command_in) {
            let words = words(&line);
            if let Err(error) = Cli::try_parse_from(&words) {
                let fine = matches!(error.kind(), clap::error::ErrorKind::DisplayHelp);
                assert!(fine, "{line}: {error}");
            }
            count += 1;
        }
    }
    assert!(count >= 30, "only {count} examples were found");
}

/// The command of an example, without pipes around it and a remark behind it.
fn command_in(line: &str) -> Option<String> {
    let begin = line.find("tripline ")?;
    let command = line[begin..].split("   ").next()?;
    let end = command.find([' ']).map_or(0, |_| command.len());
    let end =
        [" | ", " && ", " > "].iter().filter_map(|mark| command.find(mark)).min().unwrap_or(end);
    Some(command[..end].to_owned())
}

/// The words of a command line with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.iter_mut().last().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn the_page_of_codes_has_every_code() {
    let mut text = String::from("| code | what is wrong | what to know |\n| --- | --- | --- |\n");
    for code in tripline::codes::all() {
        let cell =
            |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        writeln!(text, "| {} | {} | {} |", code.code, cell(code.title), cell(code.explanation))
            .unwrap();
    }
    let page = Page::read(Path::new("docs/error-codes.md")).unwrap();
    page.is_up_to_date("codes", &text, str::to_owned).unwrap();
}

#[test]
fn the_page_of_compatibility_names_every_kind_and_says_whether_it_is_there() {
    let page = Page::read(Path::new("docs/compatibility.md")).unwrap();
    let sources = tripline_eventsources::kinds::KINDS.iter();
    let triggers = tripline_triggers::kinds::KINDS.iter();
    let kinds = sources
        .map(|kind| ("event source", kind.key, kind.is_implemented()))
        .chain(triggers.map(|kind| ("trigger", kind.key, kind.is_implemented())));
    for (what, key, there) in kinds {
        let said: &[&str] =
            if there { &["yes", "differs", "Tripline's own"] } else { &["not yet"] };
        let rows = said.iter().map(|said| format!("| {what} `{key}` | {said} |"));
        let rows: Vec<String> = rows.collect();
        let is_there = rows.iter().any(|row| page.text.contains(row));
        assert!(is_there, "docs/compatibility.md has none of the rows {rows:?}");
    }
}

#[tokio::test]
async fn the_page_of_operations_names_every_metric() {
    let place = Place::new().unwrap();
    let daemon = place.start().await.unwrap();
    let (status, metrics) = tripline_tests::load::get(daemon.operations, "/metrics").await.unwrap();
    assert_eq!(status, 200);
    let page = Page::read(Path::new("docs/operations.md")).unwrap();
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 10, "{metrics}");
    for name in names {
        assert!(
            page.text.contains(&format!("`{name}`")),
            "docs/operations.md does not name {name}"
        );
    }
}
