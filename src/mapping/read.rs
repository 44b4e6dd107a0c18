//! Reading a configuration by hand, so that every mistake is found in one go and carries its path.
//!
//! Accepts what Port and Ocean accept: unknown keys, numbers and booleans where text is expected.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::expression::{Expression, Operand};
use super::mistaken::{corrected, instead_of};
use super::problem::Problem;
use super::selector::Kind;
use crate::nearest::nearest;

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Reader {
    /// Each refuses the whole mapping.
    pub(super) mistakes: Vec<Problem>,
    /// Filters that do not compile, and what does nothing.
    pub(super) problems: Vec<Problem>,
    /// Where a `file://` path of the resource at hand begins: `./` is the folder of the item, nothing is the root.
    pub(super) file_base: &'static str,
    /// Of the resource at hand, where that is known.
    pub(super) kind: Option<Kind>,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct ConfigNode<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

/// An object and where it stands.
pub(super) struct Object<'a> {
    pub(super) path: String,
    entries: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// The value of `key`; null counts as not given.
    pub(super) fn get(&self, key: &str) -> Option<ConfigNode<'a>> {
        let value = self.entries.get(key).filter(|value| !value.is_null())?;
        Some(ConfigNode {
            path: self.path_of(key),
            value,
        })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, ConfigNode<'a>)> {
        self.entries.iter().map(|(key, value)| {
            (
                key.as_str(),
                ConfigNode {
                    path: self.path_of(key),
                    value,
                },
            )
        })
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

impl Reader {
    pub(super) fn mistake(&mut self, path: impl Into<String>, message: impl Display) {
        self.mistakes.push(Problem {
            path: path.into(),
            line: None,
            message: message.to_string(),
        });
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, message: impl Display) {
        self.problems.push(Problem {
            path: path.into(),
            line: None,
            message: message.to_string(),
        });
    }

    pub(super) fn root<'a>(&mut self, config: &'a Value) -> Option<Object<'a>> {
        let path = String::new();
        match config {
            Value::Object(entries) => Some(Object { path, entries }),
            other => {
                let remedy = "give an object with `resources`";
                self.mistake(path, format_args!("it is {}, {remedy}", kind_of(other)));
                None
            }
        }
    }

    pub(super) fn object<'a>(&mut self, node: &ConfigNode<'a>) -> Option<Object<'a>> {
        match node.value {
            Value::Object(entries) => Some(Object {
                path: node.path.clone(),
                entries,
            }),
            other => {
                self.mistake(
                    &node.path,
                    format_args!("must be a map, not {}", kind_of(other)),
                );
                None
            }
        }
    }

    pub(super) fn list<'a>(&mut self, node: &ConfigNode<'a>) -> Option<Vec<ConfigNode<'a>>> {
        match node.value {
            Value::Array(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, value)| ConfigNode {
                        path: format!("{}[{index}]", node.path),
                        value,
                    })
                    .collect(),
            ),
            other => {
                self.mistake(
                    &node.path,
                    format_args!("must be a list, not {}", kind_of(other)),
                );
                None
            }
        }
    }

    /// Text; a number or boolean counts as its text.
    pub(super) fn text(&mut self, node: &ConfigNode<'_>) -> Option<String> {
        match node.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            other => {
                self.mistake(
                    &node.path,
                    format_args!("must be text, not {}", kind_of(other)),
                );
                None
            }
        }
    }

    /// One text, or a list of them.
    pub(super) fn texts(&mut self, object: &Object<'_>, key: &str) -> Vec<String> {
        let Some(node) = object.get(key) else {
            return Vec::new();
        };
        if !node.value.is_array() {
            return self.text(&node).into_iter().collect();
        }
        let items = self.list(&node).unwrap_or_default();
        items.iter().filter_map(|item| self.text(item)).collect()
    }

    /// The optional text of `key`, without what is blank around it. A blank one counts as not given.
    pub(super) fn given_text(&mut self, object: &Object<'_>, key: &str) -> Option<String> {
        let text = object.get(key).and_then(|node| self.text(&node))?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Names every key of `object` that is not among `known`: it does nothing, and somebody expects something of it.
    pub(super) fn known_keys(&mut self, object: &Object<'_>, known: &[&str]) {
        for (key, node) in object.entries() {
            if known.contains(&key) {
                continue;
            }
            let remedy = instead_of(key, node.value, known).unwrap_or_else(|| {
                match nearest(key, known.iter().copied()) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("known here are {}", known.join(", ")),
                }
            });
            let message = format_args!("is not known and does nothing: {remedy}");
            self.problem(node.path, message);
        }
    }

    /// The optional truth value of `key`, in the spellings that YAML and environment variables have for it.
    pub(super) fn flag(&mut self, object: &Object<'_>, key: &str) -> Option<bool> {
        let node = object.get(key)?;
        let text = self.text(&node)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => {
                self.mistake(
                    node.path,
                    format_args!("must be true or false, not {text:?}"),
                );
                None
            }
        }
    }

    /// The optional number of `key`, 0 to 1.
    pub(super) fn share(&mut self, object: &Object<'_>, key: &str) -> Option<f64> {
        let node = object.get(key)?;
        let text = self.text(&node)?;
        match text.parse() {
            Ok(number) if (0.0..=1.0).contains(&number) => Some(number),
            _ => {
                self.mistake(
                    node.path,
                    format_args!("must be a number from 0 to 1, not {text:?}"),
                );
                None
            }
        }
    }

    /// The optional whole number of `key`, at least 1.
    pub(super) fn count(&mut self, object: &Object<'_>, key: &str) -> Option<u32> {
        let node = object.get(key)?;
        let text = self.text(&node)?;
        match text.parse() {
            Ok(number) if 0 < number => Some(number),
            _ => {
                self.mistake(
                    node.path,
                    format_args!("must be a whole number above 0, not {text:?}"),
                );
                None
            }
        }
    }

    pub(super) fn required<'a>(
        &mut self,
        object: &Object<'a>,
        key: &str,
        remedy: &str,
    ) -> Option<ConfigNode<'a>> {
        let found = object.get(key);
        if found.is_none() {
            self.mistake(object.path_of(key), format_args!("is missing: {remedy}"));
        }
        found
    }

    pub(super) fn required_list<'a>(
        &mut self,
        object: &Object<'a>,
        key: &str,
    ) -> Option<Vec<ConfigNode<'a>>> {
        let node = self.required(object, key, "give a list, which may be empty")?;
        self.list(&node)
    }

    pub(super) fn required_object<'a>(
        &mut self,
        object: &Object<'a>,
        key: &str,
        remedy: &str,
    ) -> Option<Object<'a>> {
        let node = self.required(object, key, remedy)?;
        self.object(&node)
    }

    /// A jq expression; one that does not compile is noted, and kept as broken.
    pub(super) fn expression(&mut self, node: &ConfigNode<'_>) -> Option<Expression> {
        let source = match node.value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            // Ocean turns these into `True` and `False`, which are no filters. Only as a query there is no doubt.
            Value::Bool(flag) if node.path.ends_with(".query") => flag.to_string(),
            Value::Bool(flag) => {
                let remedy = format!("for the constant, write it in quotes, '{flag}'");
                self.problem(
                    &node.path,
                    format_args!("{flag} without quotes stands for null here: {remedy}"),
                );
                return Some(Expression::broken(&flag.to_string()));
            }
            other => {
                let found = kind_of(other);
                self.mistake(
                    &node.path,
                    format_args!("must be a jq expression in quotes, not {found}"),
                );
                return None;
            }
        };
        let expression = Expression::compile(&source).with_files_in(self.file_base);
        if let Some(reason) = expression.compile_error() {
            self.problem(
                &node.path,
                format_args!("`{}` does not compile: {reason}", excerpt(&source)),
            );
        }
        if let Some((mistake, instead)) = self.kind.and_then(|kind| corrected(kind, &source)) {
            self.problem(&node.path, format_args!("{mistake}: write `{instead}`"));
        }
        Some(expression)
    }

    /// A jq expression or a search query.
    pub(super) fn operand(&mut self, node: &ConfigNode<'_>) -> Option<Operand> {
        if node.value.is_object() {
            Operand::read_search(self, node).map(Operand::Search)
        } else {
            self.expression(node).map(Operand::Expression)
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// At most 60 characters, on one line.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS: usize = 60;
    let mut short: String = text
        .chars()
        .take(CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.chars().count() < text.chars().count() {
        short.push('…');
    }
    short
}
