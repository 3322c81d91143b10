//! What commands print: text for people, or a line of JSON for each thing.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::query::item::shortened;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs: one line of JSON for each thing.
    Json,
}

/// The most characters of one cell of a table.
const MAX_CELL: usize = 160;

/// Where a command prints.
pub struct Output {
    writer: Box<dyn Write>,
    format: Format,
    colour: bool,
    /// How wide a line may be; as wide as it likes where it does not go to a terminal.
    width: Option<u16>,
}

impl Output {
    /// The program's own output. Colours are for terminals, and for those who want them:
    /// `NO_COLOR` and `CLICOLOR_FORCE` are honoured.
    pub fn stdout(format: Format) -> Self {
        let stdout = io::stdout();
        let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let width = stdout.is_terminal().then(|| Table::new().width()).flatten();
        Self { writer: Box::new(stdout), format, colour, width }
    }

    /// Prints into `writer`, without colours.
    pub fn plain(writer: Box<dyn Write>, format: Format) -> Self {
        Self { writer, format, colour: false, width: None }
    }

    /// Whether to print JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether to print colours.
    pub const fn has_colour(&self) -> bool {
        self.colour
    }

    /// Text that ends its own lines.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }

    /// One line for people.
    pub fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.writer, "{line}")?;
        self.writer.flush()
    }

    /// A heading for people.
    pub fn heading(&mut self, text: &str) -> io::Result<()> {
        let style = self.styled(Style::new().bold());
        self.line(format_args!("{style}{text}{style:#}"))
    }

    /// One line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(value).map_err(io::Error::other)?;
        self.line(line)
    }

    /// Each value as a line of JSON, or all as a table; `empty` is said of none.
    pub fn list<T: Serialize, const N: usize>(
        &mut self,
        values: &[T],
        empty: &str,
        header: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) -> io::Result<()> {
        if self.is_json() {
            return values.iter().try_for_each(|value| self.json(value));
        }
        if values.is_empty() {
            return self.line(empty);
        }
        self.table(header, values.iter().map(row))
    }

    /// A table: aligned columns below a header.
    pub fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING).force_no_tty();
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.set_header(header.map(str::to_uppercase));
        for row in rows {
            // Names and ids are data from outside: they must not control the terminal.
            table.add_row(row.map(|cell| shortened(&cell, MAX_CELL)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text = table.trim_fmt();
        let (head, rows) = text.split_once('\n').unwrap_or((&text, ""));
        self.heading(head)?;
        self.line(rows)
    }

    /// The style for a terminal that shows colours; none for any other place.
    pub fn styled(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    /// Words that say that something is wrong.
    pub fn bad(&self, text: &str) -> String {
        let style = self.styled(AnsiColor::Red.on_default().bold());
        format!("{style}{text}{style:#}")
    }

    /// Words that say that all is well.
    pub fn good(&self, text: &str) -> String {
        let style = self.styled(AnsiColor::Green.on_default());
        format!("{style}{text}{style:#}")
    }
}

/// Says on the error output what went wrong. Where that is closed, nobody can be told.
pub fn complain(error: &dyn Display) {
    let style = AnsiColor::Red.on_default().bold();
    drop(writeln!(anstream::stderr(), "{style}error:{style:#} {error}"));
}

/// Says something on the error output that is not part of the answer.
pub fn note(text: &str) {
    drop(writeln!(anstream::stderr(), "{text}"));
}
