//! From the events of a text to JSON values: anchors, merge keys, equal keys, and the bounds that hold against texts
//! made to explode.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::scalar::{self, Scalar};
use super::{YamlDocument, YamlError, YamlLines};

/// Lists and maps inside each other, as `serde_json` bounds them.
const MOST_LEVELS: usize = 128;

/// Bytes, roughly, that aliases may add to what the text itself holds.
const MOST_ALIASED: usize = 16 << 20;

/// Bytes that a value takes beside its text.
const EACH_VALUE: usize = 32;

/// The tag that asks for what stands there without one.
const NOT_SPECIFIC: &str = "!";

/// Every document of `text`; with the lines of its values `with_lines`.
pub(super) fn documents(text: &str, with_lines: bool) -> Result<Vec<YamlDocument>, YamlError> {
    let mut loader = Loader {
        with_lines,
        ..Loader::default()
    };
    if let Some((line, found)) = unprintable(text) {
        let message = format!(
            "the character U+{:04X} may not stand in YAML",
            u32::from(found)
        );
        return Err(YamlError { line, message });
    }
    let mut scalars = Vec::new();
    let open_end = open_end(text);
    for event in Parser::new_from_str(text) {
        let (mut event, span) = event.map_err(|error| YamlError {
            line: error.marker().line().max(1),
            message: error.info().to_owned(),
        })?;
        let line = span.start.line();
        if let Event::Scalar(content, style, ..) = &mut event
            && *style != ScalarStyle::Plain
        {
            scalars.push(span.start.index()..span.end.index());
            let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
            // The parser ends the last line of a block even where the text does not.
            if is_block && open_end.is_some_and(|end| end <= span.end.index()) {
                let content = content.to_mut();
                content.truncate(content.trim_end_matches('\n').len());
            }
        }
        loader
            .take(event, line)
            .map_err(|message| YamlError { line, message })?;
    }
    match stray_tab(text, &scalars) {
        Some(line) => Err(YamlError {
            line,
            message: "a tab stands where only blanks may".to_owned(),
        }),
        None => Ok(loader.documents),
    }
}

/// The length of `text` in characters, if it ends within a line that holds something.
fn open_end(text: &str) -> Option<usize> {
    let last = text.rsplit('\n').next().unwrap_or_default();
    (!last.trim().is_empty()).then(|| text.chars().count())
}

/// The line of the first tab outside of comments and of `scalars`, which are places of quoted texts and blocks, counted
/// in characters. YAML 1.2 allows it where 1.1 does not.
fn stray_tab(text: &str, scalars: &[Range<usize>]) -> Option<usize> {
    if !text.contains('\t') {
        return None;
    }
    let mut scalars = scalars.iter().peekable();
    let (mut line, mut before, mut in_comment) = (1, '\n', false);
    for (at, one) in text.chars().enumerate() {
        while scalars.next_if(|scalar| scalar.end <= at).is_some() {}
        let in_scalar = scalars.peek().is_some_and(|scalar| scalar.contains(&at));
        match one {
            '\n' => {
                line += 1;
                in_comment = false;
            }
            '#' if !in_scalar && before.is_whitespace() => in_comment = true,
            '\t' if !in_scalar && !in_comment => return Some(line),
            _ => {}
        }
        before = one;
    }
    None
}

/// The first character that YAML 1.1 has no place for, and its line.
fn unprintable(text: &str) -> Option<(usize, char)> {
    let is_printable = |one: char| matches!(one, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    let (at, found) = text.char_indices().find(|(_, one)| !is_printable(*one))?;
    let before = text.get(..at).unwrap_or_default();
    Some((before.matches('\n').count() + 1, found))
}

#[derive(Default)]
struct Loader {
    with_lines: bool,
    documents: Vec<YamlDocument>,
    levels: Vec<Level>,
    /// Values that aliases may stand for, with what each of them takes.
    anchors: HashMap<usize, (Scalar, usize)>,
    aliased: usize,
    lines: YamlLines,
    root: Option<Value>,
}

/// A list or map that is being read.
struct Level {
    anchor: usize,
    /// Where it stands; empty without lines.
    path: String,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Map(Box<Entries>),
}

#[derive(Default)]
struct Entries {
    /// The key whose value comes next.
    key: Option<Key>,
    own: Map<String, Value>,
    merged: Map<String, Value>,
    /// Keys that Python takes for a number, by its bits: `1`, `1.0` and `true` are one key.
    numbers: HashMap<u64, String>,
}

enum Key {
    Text(String),
    Merge,
}

impl Loader {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = match tag.as_deref().map(name).filter(|tag| tag != NOT_SPECIFIC) {
                    Some(tag) => Scalar::Value(scalar::tagged(&tag, &text)?),
                    None if style == ScalarStyle::Plain => scalar::plain(&text)?,
                    None => Scalar::Value(Value::String(text.into_owned())),
                };
                self.add(scalar, anchor, line)
            }
            Event::Alias(anchor) => {
                let Some((scalar, size)) = self.anchors.get(&anchor) else {
                    return Err("an alias stands inside of what it means".to_owned());
                };
                self.aliased += size;
                if MOST_ALIASED < self.aliased {
                    return Err("its aliases stand for too much".to_owned());
                }
                let scalar = scalar.clone();
                self.add(scalar, 0, line)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Content::List(Vec::new()), anchor, tag.as_deref(), line)
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Map(Box::default());
                self.open(content, anchor, tag.as_deref(), line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(line),
            Event::DocumentEnd => {
                self.documents.push(YamlDocument {
                    value: self.root.take().unwrap_or_default(),
                    lines: std::mem::take(&mut self.lines),
                });
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                Ok(())
            }
        }
    }

    fn open(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), String> {
        tag.map(name)
            .map_or(Ok(()), |tag| scalar::collection(&tag))?;
        if MOST_LEVELS <= self.levels.len() {
            return Err(format!("it has more than {MOST_LEVELS} levels"));
        }
        if let Some(entries) = self.entries()
            && entries.key.is_none()
        {
            return Err(no_key());
        }
        let path = self.path();
        self.note(&path, line);
        self.levels.push(Level {
            anchor,
            path,
            content,
        });
        Ok(())
    }

    fn close(&mut self, line: usize) -> Result<(), String> {
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        let value = match level.content {
            Content::List(items) => Value::Array(items),
            Content::Map(entries) => Value::Object(entries.joined()),
        };
        self.add(Scalar::Value(value), level.anchor, line)
    }

    /// A value, where the next one belongs.
    fn add(&mut self, scalar: Scalar, anchor: usize, line: usize) -> Result<(), String> {
        if anchor != 0 {
            let size = match &scalar {
                Scalar::Value(value) => size(value),
                Scalar::Merge | Scalar::Default => EACH_VALUE,
            };
            self.anchors.insert(anchor, (scalar.clone(), size));
        }
        if let Some(entries) = self.entries()
            && entries.key.is_none()
        {
            entries.key = Some(entries.key_of(scalar)?);
            let path = self.path();
            self.note(&path, line);
            return Ok(());
        }
        let value = match scalar {
            Scalar::Value(value) => value,
            Scalar::Merge => return Err("`<<` is no value: put it in quotes".to_owned()),
            Scalar::Default => return Err("`=` is no value: put it in quotes".to_owned()),
        };
        let path = self.path();
        self.note(&path, line);
        match self.levels.last_mut().map(|level| &mut level.content) {
            None => self.root = Some(value),
            Some(Content::List(items)) => items.push(value),
            Some(Content::Map(entries)) => entries.put(value)?,
        }
        Ok(())
    }

    fn entries(&mut self) -> Option<&mut Entries> {
        match &mut self.levels.last_mut()?.content {
            Content::Map(entries) => Some(entries),
            Content::List(_) => None,
        }
    }

    /// Of the value that comes next.
    fn path(&self) -> String {
        match self.levels.last() {
            Some(level) if self.with_lines => match &level.content {
                Content::List(items) => format!("{}[{}]", level.path, items.len()),
                Content::Map(entries) => match (&entries.key, level.path.as_str()) {
                    (Some(Key::Text(key)), "") => key.clone(),
                    (Some(Key::Text(key)), path) => format!("{path}.{key}"),
                    (Some(Key::Merge), path) => format!("{path}.<<"),
                    (None, path) => path.to_owned(),
                },
            },
            _ => String::new(),
        }
    }

    fn note(&mut self, path: &str, line: usize) {
        if self.with_lines {
            self.lines.note(path, line);
        }
    }
}

impl Entries {
    fn key_of(&mut self, scalar: Scalar) -> Result<Key, String> {
        let value = match scalar {
            Scalar::Merge => return Ok(Key::Merge),
            Scalar::Default => return Ok(Key::Text("=".to_owned())),
            Scalar::Value(Value::String(text)) => return Ok(Key::Text(text)),
            Scalar::Value(value) => value,
        };
        let number = match &value {
            Value::Bool(flag) => Some(f64::from(*flag)),
            Value::Number(number) => number.as_f64(),
            Value::Null => None,
            Value::String(_) | Value::Array(_) | Value::Object(_) => return Err(no_key()),
        };
        let text = value.to_string();
        Ok(Key::Text(match number {
            Some(number) => self.numbers.entry(number.to_bits()).or_insert(text).clone(),
            None => text,
        }))
    }

    fn put(&mut self, value: Value) -> Result<(), String> {
        match (self.key.take(), value) {
            (Some(Key::Text(key)), value) => {
                self.own.insert(key, value);
            }
            (Some(Key::Merge), Value::Object(entries)) => self.merged.extend(entries),
            (Some(Key::Merge), Value::Array(items)) => {
                // The first of them has the last word.
                for item in items.into_iter().rev() {
                    let Value::Object(entries) = item else {
                        return Err(no_merge());
                    };
                    self.merged.extend(entries);
                }
            }
            (Some(Key::Merge), _) => return Err(no_merge()),
            (None, _) => return Err(no_key()),
        }
        Ok(())
    }

    /// What is merged comes first, and what the mapping says itself stands over it.
    fn joined(self) -> Map<String, Value> {
        let Entries {
            own, mut merged, ..
        } = self;
        if merged.is_empty() {
            return own;
        }
        merged.extend(own);
        merged
    }
}

fn no_key() -> String {
    "a list or a map is no key".to_owned()
}

fn no_merge() -> String {
    "`<<` takes a map, or a list of maps".to_owned()
}

fn name(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

/// Bytes, roughly.
fn size(value: &Value) -> usize {
    EACH_VALUE
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(entries) => entries
                .iter()
                .map(|(key, value)| key.len() + size(value))
                .sum(),
        }
}
