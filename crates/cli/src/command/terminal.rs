//! What people see: colours where there is a terminal, tables, log lines that leave progress bars alone.
//!
//! Knows nothing of what is shown. Colours vanish where output goes elsewhere, and under `NO_COLOR`.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::MultiProgress;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// Whom standard output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    People,
    /// JSON, each object on a line of its own.
    Machine,
}

impl Audience {
    /// A program reads what goes to no terminal.
    pub(crate) fn of(json: bool) -> Audience {
        match json || !io::stdout().is_terminal() {
            true => Audience::Machine,
            false => Audience::People,
        }
    }
}

/// Fails where standard output is closed (`ferry preview | head`), or its disk is full.
pub(crate) fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

/// The same for people: on a terminal no line is longer than that is wide, unless a word alone is.
pub(crate) fn print_fitted(text: impl Display) -> anyhow::Result<()> {
    match width() {
        Some(width) => print(fitted(&text.to_string(), width)),
        None => print(text),
    }
}

/// Columns of the terminal that standard output goes to.
fn width() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(columns)).filter(|columns| NARROWEST <= *columns)
}

/// Columns below which no text is fitted: nobody reads there.
const NARROWEST: usize = 20;

/// Continues what is too long on further lines, further in. Colours take no room.
fn fitted(text: &str, width: usize) -> String {
    let lines = text.lines().map(|line| {
        let begin = line.trim_start().len();
        let indent = " ".repeat((line.len() - begin + CONTINUED).min(width / 2));
        let options = textwrap::Options::new(width)
            .subsequent_indent(&indent)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        textwrap::fill(line, options)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How much further in a line is continued.
const CONTINUED: usize = 4;

pub(crate) fn painted(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The first column is text, the others are numbers. Ten columns of numbers below a million fit into 80 characters.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(header.iter().copied());
    if let Some(width) = width() {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// Standard error for log lines: bars make room for each.
#[derive(Clone)]
pub(crate) struct AboveBars(pub(crate) MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| anstream::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_further_in_and_colours_take_no_room() {
        let line = painted(BAD, "  ! service: 2 entities not written");
        assert_eq!(fitted(&line, 40), line);
        assert_eq!(
            fitted("  ! service: 2 entities not written\nshort", 24),
            "  ! service: 2 entities\n      not written\nshort"
        );
        // A word is never cut: identifiers are copied.
        let word = "x".repeat(50);
        assert_eq!(fitted(&word, 24), word);
    }
}
