//! The mapping as people edit it: YAML, with the line of each part, so that what is wrong can be pointed at.
//!
//! What a mapping means is Ferry's business: it is asked, and its answer is placed here.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, ScalarStyle, Yaml, YamlData, YamlEmitter};
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

/// As people write it: texts without quotes where YAML needs none.
pub(super) fn yaml(mapping: &Value) -> String {
    // JSON is YAML.
    let json = mapping.to_string();
    let documents = Yaml::load_from_str(&json).unwrap_or_default();
    let Some(plain) = documents.into_iter().next() else {
        return json;
    };
    let means_the_same =
        |text: &String| Mapping::read(text).is_ok_and(|read| read.value == *mapping);
    let texts = [legible(plain.clone()), plain].map(|document| written(&document));
    let found = texts.into_iter().flatten().find(means_the_same);
    found.unwrap_or(json)
}

fn written(document: &Yaml<'_>) -> Option<String> {
    let mut text = String::new();
    let mut emitter = YamlEmitter::new(&mut text);
    emitter.multiline(true);
    emitter.dump(document).ok()?;
    Some(format!("{}\n", text.strip_prefix("---\n")?))
}

/// The emitter quotes whatever is in doubt; this says where there is none, and prefers single quotes: jq has double ones.
fn legible(node: Yaml<'_>) -> Yaml<'_> {
    match node {
        Yaml::Sequence(items) => Yaml::Sequence(items.into_iter().map(legible).collect()),
        Yaml::Mapping(fields) => {
            let fields = fields.into_iter();
            Yaml::Mapping(fields.map(|(key, value)| (key, legible(value))).collect())
        }
        Yaml::Value(Scalar::String(text)) if !text.chars().any(char::is_control) => {
            match is_plain(&text) {
                true => Yaml::Representation(text, ScalarStyle::Plain, None),
                false => {
                    let text = text.replace('\'', "''").into();
                    Yaml::Representation(text, ScalarStyle::SingleQuoted, None)
                }
            }
        }
        other => other,
    }
}

/// Whether a value is read as this text without quotes.
fn is_plain(text: &str) -> bool {
    let line = format!("a: {text}\n");
    let Ok(documents) = Yaml::load_from_str(&line) else {
        return false;
    };
    let value = documents
        .first()
        .and_then(|document| document.as_mapping_get("a"));
    value.and_then(Yaml::as_str) == Some(text)
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
    fn a_mapping_is_shown_as_people_write_it_and_stays_the_same() {
        let awkward = [
            "it's",
            "# x",
            "a # b",
            "a: b",
            "- a",
            "? a",
            "yes",
            "null",
            "5",
            "0x1f",
            "1e3",
            "",
            " a ",
            "[a",
            "{a}",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            ".x\n| .y\n",
            "a\tb",
            "\u{1}",
            "ünï",
            "~",
            "---",
            "'a'",
            "\"a\" + .b",
        ];
        let value = json!({"a": true, "resources": [
            {"kind": "x", "selector": {"query": "true", "n": 0.5, "none": null, "list": awkward},
             "port": {"entity": {"mappings": {"title": ".name", "blueprint": "\"service\""}}}},
            awkward.map(|text| json!({"key": text})),
        ]});
        let text = yaml(&value);
        for line in [
            "  - kind: x",
            "          title: .name",
            "          blueprint: '\"service\"'",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert_eq!(Mapping::read(&text).unwrap().value, value, "{text}");
    }
}
