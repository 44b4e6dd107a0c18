//! Where the sandbox is watched from a terminal: lines that fit its width, colours where it has them, a prompt.
//!
//! A reader who has gone, or a disk that is full, is noticed once and ends the sandbox in order.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use sandbox::present::Style;
use tokio::sync::watch;

/// Characters of a line where nobody says how wide the reader is.
const WIDTH: usize = 100;

/// Narrower ones wrap.
const NARROWEST: usize = 40;

const PROMPT: &str = "sandbox> ";

pub(crate) struct Terminal {
    style: Style,
    width: usize,
    /// Somebody can type and see what is typed.
    is_interactive: bool,
    prompts: Mutex<bool>,
    failed: watch::Sender<Option<io::ErrorKind>>,
}

impl Terminal {
    pub(crate) fn new() -> Terminal {
        let is_terminal = io::stdout().is_terminal();
        let style = match is_terminal && !wants_no_color() {
            true => Style::Ansi,
            false => Style::Plain,
        };
        let size = terminal_size::terminal_size_of(io::stdout());
        let width = size.map(|(terminal_size::Width(width), _)| usize::from(width));
        Terminal {
            style,
            width: width.or_else(columns).unwrap_or(WIDTH).max(NARROWEST),
            is_interactive: is_terminal && io::stdin().is_terminal(),
            prompts: Mutex::new(false),
            failed: watch::Sender::new(None),
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Characters of a line.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// A line, or several; plain text is wrapped at blanks.
    pub(crate) fn say(&self, text: &str) {
        self.show(&wrapped(text, self.width));
    }

    pub(crate) fn title(&self, text: &str) {
        let text = wrapped(text, self.width);
        match self.style {
            Style::Ansi => self.show(&format!("\n\x1b[1m{text}\x1b[0m")),
            Style::Plain => self.show(&format!("\n{text}")),
        }
    }

    /// Lines that fit already.
    pub(crate) fn show(&self, text: &str) {
        let prompts = self.prompts.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match *prompts {
            true => {
                write!(io::stdout(), "\r\x1b[K{text}\n{PROMPT}").and_then(|()| io::stdout().flush())
            }
            false => writeln!(io::stdout(), "{text}"),
        };
        if let Err(error) = written {
            self.failed.send_replace(Some(error.kind()));
        }
    }

    /// Asks for words from now on, and again below each line that is said.
    pub(crate) fn prompt(&self) {
        if self.is_interactive {
            *self.prompts.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.show("");
        }
    }

    /// Waits until a line cannot be written.
    ///
    /// # Errors
    /// Unless the reader has just gone, as `head` does.
    pub(crate) async fn closed(&self) -> anyhow::Result<()> {
        let mut failed = self.failed.subscribe();
        let kind = failed
            .wait_for(Option::is_some)
            .await?
            .unwrap_or(io::ErrorKind::Other);
        match kind {
            io::ErrorKind::BrokenPipe => Ok(()),
            kind => anyhow::bail!("cannot write to standard output: {kind}"),
        }
    }
}

/// As <https://no-color.org> has it.
fn wants_no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn columns() -> Option<usize> {
    let columns = std::env::var_os("COLUMNS")?;
    columns.to_str()?.parse().ok()
}

/// `text` with line breaks instead of blanks, so that no line is longer than `width` unless it has no blank.
fn wrapped(text: &str, width: usize) -> String {
    let lines = text.lines().map(|line| {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        let (mut out, mut used) = (" ".repeat(indent), indent);
        for (number, word) in text.split(' ').enumerate() {
            let length = word.chars().count();
            if number != 0 && width < used + 1 + length {
                out += &format!("\n{:indent$}", "");
                used = indent;
            } else if number != 0 {
                out.push(' ');
                used += 1;
            }
            out += word;
            used += length;
        }
        out
    });
    lines.collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_keep_their_indent() {
        let text = "one two  three\n    four five";
        assert_eq!(wrapped(text, 80), text);
        assert_eq!(wrapped("    four five", 10), "    four\n    five");
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(
            wrapped("http://127.0.0.1:4300 is it", 9),
            "http://127.0.0.1:4300\nis it"
        );
    }
}
