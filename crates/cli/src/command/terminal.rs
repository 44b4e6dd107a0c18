//! What people see: colours where there is a terminal, tables, log lines that leave progress bars alone.
//!
//! Knows nothing of what is shown. Colours vanish where output goes elsewhere, and under `NO_COLOR`.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
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

pub(crate) fn painted(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The first column is text, the others are numbers. Ten columns of numbers below a million fit into 80 characters.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(header.iter().copied());
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
