//! The mapping as people edit it: YAML, with the line of each part, so that what is wrong can be pointed at.
//!
//! What a mapping means is Ferry's business: it is asked, and its answer is placed here.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, Yaml, YamlData, YamlEmitter};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(super) struct Mapping {
    pub(super) value: Value,
    /// Of each part, by its path: `resources[0].kind`.
    lines: BTreeMap<String, usize>,
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// From 1; None where it is nowhere in particular.
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

impl Mapping {
    /// # Errors
    /// When it is no YAML, or no mapping.
    pub(super) fn read(text: &str) -> Result<Mapping, Place> {
        let documents = MarkedYaml::load_from_str(text).map_err(|error| Place {
            line: Some(error.marker().line()),
            message: format!("this is no YAML: {}", error.info()),
        })?;
        let mut lines = BTreeMap::new();
        let value = documents
            .first()
            .map(|document| json_of(document, "", &mut lines));
        match value {
            Some(value @ Value::Object(_)) => Ok(Mapping { value, lines }),
            _ => Err(Place {
                line: Some(1),
                message: "a mapping is an object with `resources`".to_owned(),
            }),
        }
    }

    /// What Ferry says about it, line by line, with the places that it names.
    pub(super) fn place(&self, verdict: &str) -> Vec<Place> {
        let places = verdict.lines().map(|message| {
            let message = message.trim();
            Place {
                line: self.line_of(message),
                message: message.to_owned(),
            }
        });
        places.filter(|place| !place.message.is_empty()).collect()
    }

    /// The line of the longest path that the message names.
    fn line_of(&self, message: &str) -> Option<usize> {
        let words = message.split_whitespace();
        let named = words.filter_map(|word| {
            let path = word
                .trim_end_matches([':', ',', ')'])
                .trim_start_matches('(');
            self.nearest(path).map(|line| (path.len(), line))
        });
        named
            .max_by_key(|(length, _)| *length)
            .map(|(_, line)| line)
    }

    /// The line of this path, or of the nearest part around it that there is.
    fn nearest(&self, path: &str) -> Option<usize> {
        if !path.starts_with("resources") && !self.lines.contains_key(path) {
            return None;
        }
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            (path, _) = path.rsplit_once(['.', '['])?;
        }
    }
}

/// As Port's panel would show it.
pub(super) fn yaml(mapping: &Value) -> String {
    // JSON is YAML.
    let json = mapping.to_string();
    let mut text = String::new();
    let mut emitter = YamlEmitter::new(&mut text);
    emitter.multiline(true);
    let written = match Yaml::load_from_str(&json) {
        Ok(documents) => documents.first().is_some_and(|it| emitter.dump(it).is_ok()),
        Err(_) => false,
    };
    match (written, text.strip_prefix("---\n")) {
        (true, Some(text)) => format!("{text}\n"),
        _ => format!("{mapping:#}\n"),
    }
}

fn json_of(node: &MarkedYaml<'_>, path: &str, lines: &mut BTreeMap<String, usize>) -> Value {
    lines
        .entry(path.to_owned())
        .or_insert_with(|| node.span.start.line());
    match &node.data {
        YamlData::Sequence(items) => {
            let items = (0..).zip(items);
            items
                .map(|(index, item)| json_of(item, &format!("{path}[{index}]"), lines))
                .collect()
        }
        YamlData::Mapping(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                let name = text_of(key);
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                lines.insert(path.clone(), key.span.start.line());
                object.insert(name, json_of(value, &path, lines));
            }
            Value::Object(object)
        }
        YamlData::Value(scalar) => json_of_scalar(scalar),
        YamlData::Tagged(_, node) => json_of(node, path, lines),
        YamlData::Representation(text, ..) => json!(text),
        YamlData::Alias(_) | YamlData::BadValue => Value::Null,
    }
}

fn json_of_scalar(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => json!(value),
        Scalar::Integer(value) => json!(value),
        Scalar::FloatingPoint(value) => json!(value.into_inner()),
        Scalar::String(text) => json!(text),
    }
}

fn text_of(key: &MarkedYaml<'_>) -> String {
    match &key.data {
        YamlData::Value(Scalar::String(text)) => text.to_string(),
        YamlData::Value(scalar) => json_of_scalar(scalar).to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# mine
deleteDependentEntities: true
resources:
  - kind: repository
    port:
      entity:
        mappings:
          identifier: .slug
          properties:
            readme: .x[\"README.md\"]
";

    #[test]
    fn a_verdict_is_placed_at_the_line_that_it_names() {
        let mapping = Mapping::read(TEXT).unwrap();
        let verdict = "the mapping stored in Port is not valid, in 3 places:\n  \
            resources[0].port.entity.mappings.identifier: no jq\n  \
            resources[0].port.entity.mappings.blueprint: is missing\n  nothing in particular";
        let places: Vec<Option<usize>> = mapping
            .place(verdict)
            .into_iter()
            .map(|it| it.line)
            .collect();
        assert_eq!(places, [None, Some(8), Some(7), None]);
    }

    #[test]
    fn what_is_no_mapping_is_pointed_at() {
        let wrong = Mapping::read("resources:\n  - kind: a\n kind: b\n")
            .err()
            .unwrap();
        assert_eq!(wrong.line, Some(3), "{wrong:?}");
        assert!(Mapping::read("- a\n").is_err() && Mapping::read("").is_err());
    }

    #[test]
    fn a_mapping_is_the_same_after_it_was_shown() {
        let value = json!({"a": true, "resources": [
            {"kind": "x", "selector": {"query": "true", "n": 0.5, "none": null},
             "port": {"entity": {"mappings": {"title": "\"a\" + .b | not", "c": ".x\n| .y\n", "yes": "yes"}}}}
        ]});
        let text = yaml(&value);
        assert!(text.contains("\n  - kind: x\n"), "{text}");
        assert_eq!(Mapping::read(&text).unwrap().value, value, "{text}");
    }
}
