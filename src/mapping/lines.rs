//! Where in a YAML text the value at a path stands, for problems found after the text became a value.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};

/// A container that is being read.
enum Level {
    /// The key whose value comes next.
    Map {
        path: String,
        key: Option<String>,
    },
    List {
        path: String,
        next: usize,
    },
}

/// The line, counted from 1, of every value by its path (`resources[0].port`), as far as the text parses. The first
/// document counts.
pub(super) fn by_path(text: &str) -> HashMap<String, usize> {
    let mut lines = HashMap::new();
    let mut levels: Vec<Level> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let line = span.start.line();
        match event {
            Event::Scalar(text, ..) => {
                if let Some(Level::Map {
                    key: key @ None,
                    path,
                }) = levels.last_mut()
                {
                    // A mistake about a missing or wrong value is best shown at its key.
                    lines.insert(join(path, &text), line);
                    *key = Some(text.into_owned());
                } else {
                    note(&mut lines, &mut levels, line);
                }
            }
            Event::Alias(_) => {
                note(&mut lines, &mut levels, line);
            }
            Event::MappingStart(..) => {
                let path = note(&mut lines, &mut levels, line);
                levels.push(Level::Map { path, key: None });
            }
            Event::SequenceStart(..) => {
                let path = note(&mut lines, &mut levels, line);
                levels.push(Level::List { path, next: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
            }
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    lines
}

/// Notes the line of the value that begins here; returns its path.
fn note(lines: &mut HashMap<String, usize>, levels: &mut [Level], line: usize) -> String {
    let path = match levels.last_mut() {
        None => String::new(),
        Some(Level::Map { path, key }) => join(path, &key.take().unwrap_or_default()),
        Some(Level::List { path, next }) => {
            *next += 1;
            format!("{path}[{}]", *next - 1)
        }
    };
    lines.entry(path.clone()).or_insert(line);
    path
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The line of `path`, or of the nearest thing around it that is there.
pub(super) fn line_of(lines: &HashMap<String, usize>, path: &str) -> Option<usize> {
    let mut path = path;
    loop {
        if let Some(line) = lines.get(path) {
            return Some(*line);
        }
        let cut = path.rfind(['.', '['])?;
        path = path.get(..cut)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_paths() {
        let text = "a: 1\nresources:\n  - kind: x\n    port: {entity: {mappings: 7}}\n  -\n    kind: y\n    list: [p,\n      q]\n";
        let lines = by_path(text);
        for (path, line) in [
            ("a", 1),
            ("resources", 2),
            ("resources[0]", 3),
            ("resources[0].kind", 3),
            ("resources[0].port.entity.mappings", 4),
            ("resources[1].kind", 6),
            ("resources[1].list[1]", 8),
            // Not there: what is around it.
            ("resources[0].selector.query", 3),
            ("resources[9].kind", 2),
        ] {
            assert_eq!(line_of(&lines, path), Some(line), "{path}");
        }
        assert_eq!(line_of(&lines, "nothing"), None);
    }

    #[test]
    fn text_that_does_not_parse_has_lines_up_to_there() {
        let lines = by_path("a: 1\nb: [\n");
        assert_eq!(line_of(&lines, "a"), Some(1));
    }
}
