//! What became of each cell.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tripline_tests::set_checker::Findings;

use crate::fault::Cell;
use crate::source::Source;

/// What came in from one source, and what came out.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The source.
    pub source: Source,
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// How many of them were to become workflows.
    pub submitted: usize,
    /// What is wrong.
    pub findings: Findings,
}

/// What a cell has counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// For each source of the cell.
    pub sources: BTreeMap<Source, Counted>,
    /// Requests to the target that cannot recognise a repeated one: those that came more than
    /// once.
    pub repeated: usize,
    /// What is wrong with the requests: lost ones.
    pub requests: Requests,
    /// Dead letters of what nobody could tell, sent again at the end.
    pub unknown: u64,
    /// Requests of producers that were not answered.
    pub unanswered: u64,
    /// Requests of producers that were answered 503.
    pub put_off: u64,
    /// How long it took.
    pub took: Duration,
}

/// What is wrong with requests, of all sources.
#[derive(Clone, Debug, Default)]
pub struct Requests(Vec<Findings>);

impl Requests {
    /// What is wrong with those of one more source.
    pub fn add(&mut self, findings: Findings) {
        self.0.extend((!findings.is_empty()).then_some(findings));
    }
}

impl Counts {
    /// What became of one more source.
    pub fn add(&mut self, counted: Counted) {
        self.sources.insert(counted.source, counted);
    }
}

/// A cell and what became of it.
pub struct Row {
    cell: Cell,
    counts: Result<Counts, String>,
}

impl Row {
    /// The row of a cell.
    pub fn of(cell: Cell, counts: anyhow::Result<Counts>) -> Self {
        Self { cell, counts: counts.map_err(|error| format!("{error:#}")) }
    }

    /// What is wrong; none where nothing is.
    pub fn failure(&self) -> Option<String> {
        let counts = match &self.counts {
            Err(error) => return Some(format!("{}: {error}", self.cell)),
            Ok(counts) => counts,
        };
        let mut wrong: Vec<String> = counts
            .sources
            .values()
            .filter(|counted| !counted.findings.is_empty())
            .map(|counted| format!("{}: {}", counted.source, counted.findings))
            .collect();
        wrong.extend(counts.requests.0.iter().map(|found| format!("requests: {found}")));
        (!wrong.is_empty()).then(|| format!("{}: {}", self.cell, wrong.join("; ")))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.counts {
            Err(error) => {
                // The whole of it comes at the end.
                let begin: Vec<&str> = error.lines().take(12).collect();
                write!(f, "{:<28} FAILED: {}", self.cell, begin.join("\n  "))
            }
            Ok(counts) => write!(f, "{:<28} done in {:.0?}", self.cell, counts.took),
        }
    }
}

/// How many events of upstreams were acknowledged, and how many of them became workflows. Ticks
/// do not count.
pub fn events(rows: &[Row]) -> (usize, usize) {
    let counts = rows.iter().filter_map(|row| row.counts.as_ref().ok());
    let sources = counts.flat_map(|counts| counts.sources.values());
    sources
        .filter(|counted| counted.source != Source::Cron)
        .fold((0, 0), |(all, some), counted| (all + counted.acknowledged, some + counted.submitted))
}

/// A line for each cell.
pub fn table(rows: &[Row]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    let mut header = vec!["fault, bus".to_owned()];
    header.extend(Source::ALL.map(|source| source.to_string()));
    let last = ["lost", "doubled", "repeated requests", "503", "unanswered", "unknown", "took"];
    header.extend(last.map(str::to_owned));
    table.set_header(header);
    for row in rows {
        let Ok(counts) = &row.counts else {
            table.add_row([row.cell.to_string(), "failed".to_owned()]);
            continue;
        };
        let mut cells = vec![row.cell.to_string()];
        cells.extend(Source::ALL.map(|source| {
            let counted = counts.sources.get(&source);
            counted.map(|counted| counted.acknowledged.to_string()).unwrap_or_default()
        }));
        let all =
            || counts.sources.values().map(|counted| &counted.findings).chain(&counts.requests.0);
        let lost: usize = all().map(|found| found.lost.len()).sum();
        let doubled: usize = all()
            .map(|found| found.doubled.len() + found.unknown.len() + found.mixed_up.len())
            .sum();
        cells.extend([
            lost.to_string(),
            doubled.to_string(),
            counts.repeated.to_string(),
            counts.put_off.to_string(),
            counts.unanswered.to_string(),
            counts.unknown.to_string(),
            format!("{:.0?}", counts.took),
        ]);
        table.add_row(cells);
    }
    table
}
