//! YAML as its authors mean it: version 1.1, as `PyYAML`'s safe loader reads it, which Ocean reads files with.
//!
//! `yes` is true, `0755` is octal, `<<` merges, the last of two equal keys wins. Gives JSON values, because jq takes
//! nothing else: keys become text, dates become ISO text, infinities and NaN become null. Says for each value of a
//! mapping in which line it stands. Owns the loading; what the events of a text are is the parser's business.

mod load;
mod scalar;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

/// One document of a text.
#[derive(Debug)]
pub struct YamlDocument {
    pub value: Value,
    pub lines: YamlLines,
}

/// Where the values of a document stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct YamlLines(HashMap<String, usize>);

/// Why a text is no YAML that could be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Counted from 1.
    pub line: usize,
    pub message: String,
}

/// The values of all documents of `text`; none for a text without content. All or nothing, as `PyYAML` does it.
pub fn values(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents = load::documents(text, false)?;
    Ok(documents.into_iter().map(|one| one.value).collect())
}

/// The only document of `text`, with the lines of its values.
pub fn document(text: &str) -> Result<YamlDocument, YamlError> {
    let mut documents = load::documents(text, true)?;
    let found = documents.len();
    match documents.pop() {
        Some(document) if found == 1 => Ok(document),
        Some(_) => Err(YamlError {
            line: 1,
            message: format!("it holds {found} documents: keep one"),
        }),
        None => Ok(YamlDocument {
            value: Value::Null,
            lines: YamlLines::default(),
        }),
    }
}

impl YamlLines {
    /// The line, counted from 1, of the value at `path` (`resources[0].port`), or of the nearest thing around it that
    /// is there.
    pub fn of(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            let cut = path.rfind(['.', '['])?;
            path = path.get(..cut)?;
        }
    }

    /// The first one at a path counts: a mistake about a missing or wrong value is best shown at its key.
    fn note(&mut self, path: &str, line: usize) {
        self.0.entry(path.to_owned()).or_insert(line);
    }
}

impl std::error::Error for YamlError {}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}
