//! The source as text: which files there are, which lines are production code, what they import and declare.
//!
//! Reads Rust as rustfmt lays it out; it is no parser.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files and folders of `src`, which are the crate's modules.
pub(super) fn modules() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("src")).unwrap();
    entries
        .filter_map(|entry| module_of(&entry.unwrap().path()))
        .collect()
}

/// The module that a file belongs to; `None` for `lib.rs`, which names them all.
pub(super) fn module_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let name = Path::new(inside.components().next()?.as_os_str());
    let name = name.file_stem()?.to_str()?.to_owned();
    (name != "lib").then_some(name)
}

/// Modules of this crate that production code of `file` names, with the line.
pub(super) fn imports(file: &Path) -> Vec<(usize, String)> {
    let text: String = code(file)
        .into_iter()
        .map(|(line, text)| format!("{line}\t{text}\n"))
        .collect();
    let mut imports = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let (before, rest) = text.split_at(at);
        let (_, rest) = rest.split_at("crate::".len());
        let number = before
            .lines()
            .last()
            .and_then(|line| line.split('\t').next());
        let line = number.unwrap().parse().unwrap();
        if rest.starts_with('{') {
            imports.extend(group_heads(rest).into_iter().map(|name| (line, name)));
        } else {
            imports.push((line, identifier(rest).to_owned()));
        }
    }
    imports
}

/// The first name of each path in `{a::b, c::{d, e}}`.
fn group_heads(text: &str) -> Vec<String> {
    let (mut depth, mut begins, mut heads) = (0, true, Vec::new());
    // A line's number stands before its text.
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => begins = true,
            'a'..='z' | 'A'..='Z' if depth == 1 && begins => {
                begins = false;
                heads.push(identifier(text.split_at(at).1).to_owned());
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> &str {
    let ends = |letter: char| !letter.is_alphanumeric() && letter != '_';
    text.split(ends).next().unwrap_or_default()
}

/// The type that a line declares for others than its own module.
pub(super) fn public_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(") ")?.1,
        None => rest.trim_start(),
    };
    let keywords = ["struct ", "enum ", "trait ", "type "];
    let rest = keywords
        .iter()
        .find_map(|keyword| rest.strip_prefix(keyword))?;
    Some(identifier(rest))
}

/// Functions of more than a line, with their lines; laid out as rustfmt does.
pub(super) fn function_lengths(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut lengths = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let (indent, _) = line.split_at(line.len() - line.trim_start().len());
        let ends = |line: &&str| {
            line.strip_prefix(indent).is_some_and(|rest| {
                rest == "}" || rest.starts_with(')') && rest.ends_with(';') || rest == ";"
            })
        };
        if line.ends_with('}') || line.ends_with(';') {
            continue;
        }
        let mut rest = lines.iter().skip(begin);
        let Some(end) = rest.position(ends) else {
            continue;
        };
        let has_body = lines
            .get(begin + end)
            .is_some_and(|line| line.trim() == "}");
        if has_body {
            lengths.push((name.to_owned(), end + 1));
        }
    }
    lengths
}

fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifies = |word: &str| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern", "in"].contains(&word)
    };
    before
        .split_whitespace()
        .all(qualifies)
        .then(|| identifier(after))
}

/// All of them, tests included.
pub(super) fn all_rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths
        .filter(|path| !path.ends_with("target"))
        .flat_map(|path| {
            if path.is_dir() {
                all_rust_files(&path)
            } else {
                vec![path]
            }
        });
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The names in a manifest's `[dependencies]`, and in those of a target.
pub(super) fn dependencies(manifest: &Path) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in fs::read_to_string(manifest).unwrap().lines() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table == "dependencies"
                || table.starts_with("target.") && table.ends_with(".dependencies");
            names.extend(table.strip_prefix("dependencies.").map(str::to_owned));
        } else if inside {
            let name = line.split([' ', '.', '=']).next().unwrap_or_default();
            names.push(name.to_owned());
        }
    }
    names
}

/// Lines of production code: a file's tests are at its end.
pub(super) fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.to_owned()));
    let production = lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    production
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

pub(super) fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs"))
        // Tests belong to no layer.
        .filter(|path| !path.ends_with("tests.rs"))
        .filter(|path| !path.ends_with("tests") || path.parent() == Some(root()))
        .flat_map(|path| rust_files(&path))
        .collect();
    files.sort();
    files
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn shown(file: &Path) -> String {
    file.strip_prefix(root())
        .unwrap_or(file)
        .to_string_lossy()
        .into_owned()
}

#[test]
fn functions_are_measured_from_their_name_to_their_end() {
    let text = "\
trait Ends {
    fn at_once(&self);
    fn over_lines(
        &self,
    ) -> u8;
}
pub(crate) async fn long<T>(
    value: T,
) {
    if true {
    }
}
fn short() {}
";
    let long = ("long".to_owned(), 6);
    assert_eq!(function_lengths(text), [long]);
}
