//! Every warning and every error has an entry in docs/troubleshooting.md, and no entry is left of one that is gone.
//!
//! Reads the macros of `tracing` as rustfmt lays them out, and the section's table.

use std::collections::BTreeSet;
use std::fs;

use super::source::{code, root, rust_files, shown};

/// The section with a row for each.
const SECTION: &str = "## Every warning and error";

const LEVELS: &[&str] = &["WARN", "ERROR"];

/// Lines whose text is not fixed: what a command of `ferry` could not do, or what a resync lost. The chapters that follow
/// the exit codes tell of them.
const SAID_BY_COMMANDS: &[(&str, &str)] = &[
    ("crates/cli/src/command/resync.rs", "{losses}"),
    ("crates/cli/src/main.rs", "{error:#}"),
];

/// A level and a message.
type Line = (String, String);

#[test]
fn every_warning_and_error_has_an_entry_and_no_entry_is_of_nothing() {
    let mut said: BTreeSet<Line> = BTreeSet::new();
    let mut unfixed = BTreeSet::new();
    let folders = ["src", "crates/cli/src"];
    for file in folders
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
    {
        let lines: Vec<String> = code(&file).into_iter().map(|(_, line)| line).collect();
        for (level, message) in messages(&lines.join("\n")) {
            match message.contains('{') {
                true => {
                    unfixed.insert((shown(&file), message));
                }
                false => {
                    said.insert((level, message));
                }
            }
        }
    }
    let granted: BTreeSet<(String, String)> = SAID_BY_COMMANDS
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    assert_eq!(
        unfixed, granted,
        "a message is a fixed text (docs/logging.md)"
    );
    let explained = explained();
    let missing: Vec<&Line> = said.difference(&explained).collect();
    let left: Vec<&Line> = explained.difference(&said).collect();
    assert!(missing.is_empty(), "without an entry: {missing:#?}");
    assert!(left.is_empty(), "nobody says this any more: {left:#?}");
}

/// Rows of the section's table: level, message, each with a cause and a remedy.
fn explained() -> BTreeSet<Line> {
    let text = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let (_, section) = text.split_once(SECTION).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [message, level, cause, remedy] = cells.as_slice() else {
            panic!("not four cells: {row}");
        };
        assert!(!cause.is_empty() && !remedy.is_empty(), "{row}");
        assert!(LEVELS.contains(level), "{row}");
        let message = message
            .strip_prefix('`')
            .and_then(|it| it.strip_suffix('`'));
        let message = message.unwrap_or_else(|| panic!("not in backticks: {row}"));
        ((*level).to_owned(), message.to_owned())
    })
    .collect()
}

/// What the macros in `text` say, with their levels.
fn messages(text: &str) -> Vec<Line> {
    let mut found = Vec::new();
    for level in LEVELS {
        let begin = format!("tracing::{}!(", level.to_lowercase());
        for (at, _) in text.match_indices(&begin) {
            let (_, rest) = text.split_at(at + begin.len());
            let message = last_literal(rest).unwrap_or_else(|| panic!("no message: {rest}"));
            found.push(((*level).to_owned(), message));
        }
    }
    found
}

/// The last argument that is a literal by itself, of those before the parenthesis closes.
fn last_literal(arguments: &str) -> Option<String> {
    let (mut depth, mut begins, mut last) = (1, true, None);
    let mut letters = arguments.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                let (_, rest) = arguments.split_at(at + 1);
                let mut end = rest.char_indices();
                let mut before = ' ';
                let length = end.find(|(_, letter)| {
                    let ends = *letter == '"' && before != '\\';
                    before = *letter;
                    ends
                })?;
                let (literal, after) = rest.split_at(length.0);
                let is_argument = begins && depth == 1;
                if is_argument
                    && after
                        .trim_start_matches('"')
                        .trim_start()
                        .starts_with([',', ')'])
                {
                    last = Some(one_line(literal));
                }
                for _ in literal.chars().chain(['"']) {
                    letters.next();
                }
            }
            _ => {}
        }
        if depth == 0 {
            return last;
        }
        if !letter.is_whitespace() {
            begins = letter == ',';
        }
    }
    None
}

/// A literal that goes on in the next line, as the compiler reads it.
fn one_line(literal: &str) -> String {
    let lines = literal.split("\\\n");
    lines
        .enumerate()
        .fold(String::new(), |all, (at, line)| match at {
            0 => line.to_owned(),
            _ => all + line.trim_start(),
        })
}

#[test]
fn messages_are_told_from_fields() {
    let text = r#"
        tracing::warn!(error = chain(&error), remedy = "do \"this\", or that", "not so");
        tracing::error!("{}", line());
        tracing::info!("nothing");
        tracing::warn!(
            %key,
            "a long \
             message"
        );
    "#;
    let line = |level: &str, message: &str| (level.to_owned(), message.to_owned());
    assert_eq!(
        messages(text),
        [
            line("WARN", "not so"),
            line("WARN", "a long message"),
            line("ERROR", "{}"),
        ]
    );
}
