//! The mapping that was followed as lines of YAML, and which of them a problem is about.
//!
//! Port keeps it as JSON, so nobody's own lines are there to be shown. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Lines of YAML, with the places that begin on them.
#[derive(Default)]
pub(super) struct MappingText {
    lines: Vec<Line>,
    /// `resources[0].selector.query` → index into `lines`.
    places: BTreeMap<String, usize>,
}

struct Line {
    text: String,
    problems: Vec<String>,
}

impl MappingText {
    pub(super) fn of(mapping: &Value) -> MappingText {
        let mut text = MappingText::default();
        text.value(mapping, "", 0, String::new());
        text
    }

    /// Marks the line that `problem` is about, where it begins with a place (`resources[2].selector.query: ..`). Returns the
    /// place, its line, counted from 1, and what is left of the problem.
    pub(super) fn mark(&mut self, problem: &str) -> Option<(String, usize, String)> {
        let (place, rest) = problem.split_once(": ")?;
        // `(line 7)` is said of a file; these lines are others.
        let place = place.split(" (line ").next().unwrap_or(place);
        let index = self.nearest(place)?;
        let line = self.lines.get_mut(index)?;
        line.problems.push(rest.to_owned());
        Some((place.to_owned(), index + 1, rest.to_owned()))
    }

    /// `[text, problem or null]` of each line.
    pub(super) fn into_lines(self) -> Vec<Value> {
        let lines = self.lines.into_iter();
        let pair = |line: Line| {
            let problem = (!line.problems.is_empty()).then(|| line.problems.join("\n"));
            json!([line.text, problem])
        };
        lines.map(pair).collect()
    }

    /// The line of the place, or of what holds it where it is missing.
    fn nearest(&self, place: &str) -> Option<usize> {
        let mut place = place;
        loop {
            if let Some(index) = self.places.get(place) {
                return Some(*index);
            }
            let cut = place.rfind(['.', '['])?;
            place = place.get(..cut)?;
        }
    }

    fn push(&mut self, text: String) {
        self.lines.push(Line {
            text,
            problems: Vec::new(),
        });
    }

    /// `head` is what stands on the line before the value: a key, dashes.
    fn value(&mut self, value: &Value, place: &str, depth: usize, head: String) {
        self.places.insert(place.to_owned(), self.lines.len());
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(members) if !members.is_empty() => {
                if !head.is_empty() && !head.ends_with("- ") {
                    self.push(head.clone());
                }
                for (index, (key, member)) in members.iter().enumerate() {
                    // The first member of an element of a list stands beside its dash.
                    let before = match index == 0 && head.ends_with("- ") {
                        true => head.clone(),
                        false => indent.clone(),
                    };
                    let place = match place {
                        "" => key.clone(),
                        place => format!("{place}.{key}"),
                    };
                    let key = plain_or_quoted(key);
                    self.value(member, &place, depth + 1, format!("{before}{key}:"));
                }
            }
            Value::Array(elements) if !elements.is_empty() => {
                self.push(head);
                for (index, element) in elements.iter().enumerate() {
                    let place = format!("{place}[{index}]");
                    self.value(element, &place, depth + 1, format!("{indent}- "));
                }
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                self.push(format!("{} |-", head.trim_end()));
                for line in text.lines() {
                    self.push(format!("{indent}{line}"));
                }
            }
            scalar => {
                let text = match scalar {
                    Value::String(text) => plain_or_quoted(text),
                    other => other.to_string(),
                };
                let space = if head.ends_with([' ']) || head.is_empty() {
                    ""
                } else {
                    " "
                };
                self.push(format!("{head}{space}{text}"));
            }
        }
    }
}

/// As YAML's plain text where that is safe without further thought, else in quotes.
fn plain_or_quoted(text: &str) -> String {
    let is_word = |sign: char| sign.is_ascii_alphanumeric() || "_-./$".contains(sign);
    let is_plain = text.chars().all(is_word)
        && text.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '.' || sign == '$');
    let is_word_of_yaml = ["yes", "no", "on", "off", "true", "false", "null", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    match is_plain && !is_word_of_yaml {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping() -> Value {
        json!({
            "deleteDependentEntities": true,
            "resources": [
                {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
                    "identifier": ".slug", "blueprint": "\"service\"", "properties": {"readme": "file://README.md", "size": "if .size then\n  1\nelse 2 end"},
                }}}},
                {"kind": "project", "selector": {"query": "true"}, "port": {"entity": {"mappings": []}}},
            ],
        })
    }

    #[test]
    fn a_mapping_is_shown_as_yaml() {
        let lines = MappingText::of(&mapping()).into_lines();
        let text: Vec<&str> = lines.iter().map(|line| line[0].as_str().unwrap()).collect();
        assert_eq!(
            text.join("\n"),
            r#"deleteDependentEntities: true
resources:
  - kind: repository
    selector:
      query: "true"
    port:
      entity:
        mappings:
          identifier: .slug
          blueprint: "\"service\""
          properties:
            readme: "file://README.md"
            size: |-
              if .size then
                1
              else 2 end
  - kind: project
    selector:
      query: "true"
    port:
      entity:
        mappings: []"#
        );
    }

    #[test]
    fn what_is_shown_reads_as_the_same_mapping() {
        let lines = MappingText::of(&mapping()).into_lines();
        let text: Vec<&str> = lines.iter().map(|line| line[0].as_str().unwrap()).collect();
        let read = ferry::yaml::document(&text.join("\n")).unwrap().value;
        assert_eq!(read, mapping());
    }

    #[test]
    fn problems_mark_their_lines() {
        let mut text = MappingText::of(&mapping());
        let place = "resources[0].port.entity.mappings.properties.size";
        assert_eq!(
            text.mark(&format!("{place} (line 99): not mapped")),
            Some((place.to_owned(), 13, "not mapped".to_owned()))
        );
        // What is missing is marked at what should hold it.
        let missing = "resources[1].port.entity.mappings[0].identifier";
        assert_eq!(text.mark(&format!("{missing}: is missing")).unwrap().1, 22);
        assert_eq!(text.mark("and 3 more: elsewhere"), None);
        let lines = text.into_lines();
        assert_eq!(lines[12], json!(["            size: |-", "not mapped"]));
    }
}
