//! `itemsToParse`: one raw item that holds a list becomes one item per element.

use std::sync::LazyLock;

use jq18::Input;
use regex::Regex;
use serde_json::{Map, Value};

use super::expression::{Expression, NoValue};
use super::read::{Object, Reader};

/// How a resource expands its raw items.
pub(super) struct Items {
    expression: Expression,
    /// The key under which an element joins its item.
    name: String,
    source: Removal,
}

/// What happens to the place that the list came from: it would go along with each of its elements.
enum Removal {
    /// It stays.
    Off,
    /// It is removed.
    Path(Vec<Step>),
    /// The expression begins with no simple path, so there is nothing that could be removed; such items are left
    /// out, as in Ocean.
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Why an item has no elements.
pub(super) enum NoItems {
    /// It could not be said what the elements are.
    Failed(NoValue),
    /// There is no list; says what there is instead.
    NoList(&'static str),
}

const DEFAULT_NAME: &str = "item";

/// The simple path at the beginning of a stage of an expression: `.a.b[0]`, `.["a-b"].c`.
static SIMPLE_PATH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^[\s(]*((?:\.[A-Za-z_]\w*|\.?\["[^"\]]*"\]|\.?\[\d+\])(?:\.[A-Za-z_]\w*|\.?\["[^"\]]*"\]|\.?\[\d+\])*)"#).ok()
});
static STEP: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\.([A-Za-z_]\w*)|\["([^"\]]*)"\]|\[(\d+)\]"#).ok());

impl Items {
    pub(super) fn read(reader: &mut Reader, port: &Object<'_>) -> Option<Items> {
        let node = port.get("itemsToParse")?;
        let expression = reader.expression(&node)?;
        let name = port
            .get("itemsToParseName")
            .and_then(|node| reader.text(&node))
            .unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let transform = reader
            .flag(port, "itemsToParseTopLevelTransform")
            .unwrap_or(true);
        let source = match simple_path(node.value.as_str().unwrap_or_default()) {
            _ if !transform => Removal::Off,
            Some(path) => Removal::Path(steps(path)),
            None => Removal::Unknown,
        };
        Some(Items {
            expression,
            name,
            source,
        })
    }

    /// One item per element of the list in `input`.
    pub(super) fn expand(&self, input: &Input<'_>) -> Result<Vec<Value>, NoItems> {
        let elements = match self.expression.evaluate(input) {
            Ok(Value::Array(elements)) => elements,
            Ok(_) => {
                return Err(NoItems::NoList(
                    "gives no list; end it with // [] where that is right",
                ));
            }
            // An item of another shape: `to_entries` of null, say.
            Err(NoValue::Failed(_)) => {
                return Err(NoItems::NoList(
                    "gives no list, but an error; end it with ? // [] where that is right",
                ));
            }
            Err(reason) => return Err(NoItems::Failed(reason)),
        };
        let mut item = match input.value() {
            Value::Object(item) => Value::Object(item.clone()),
            _ => Value::Object(Map::new()),
        };
        match &self.source {
            Removal::Off => {}
            Removal::Path(steps) => remove(&mut item, steps),
            Removal::Unknown => {
                return Err(NoItems::NoList(
                    "does not begin with a path such as .content.list; set itemsToParseTopLevelTransform to false",
                ));
            }
        }
        let with = |element| {
            let mut item = item.clone();
            if let Value::Object(item) = &mut item {
                item.insert(self.name.clone(), element);
            }
            item
        };
        Ok(elements.into_iter().map(with).collect())
    }

    pub(super) fn expression(&self) -> &Expression {
        &self.expression
    }
}

/// The first simple path among the stages of `expression`.
fn simple_path(expression: &str) -> Option<&str> {
    let pattern = SIMPLE_PATH.as_ref()?;
    expression
        .split('|')
        .find_map(|stage| Some(pattern.captures(stage)?.get(1)?.as_str()))
}

/// Where `expression` begins with a path: the first key of it that `value` lacks, and those that are there in its place.
pub(super) fn missing_key<'v>(
    expression: &str,
    value: &'v Value,
) -> Option<(String, impl Iterator<Item = &'v str> + use<'v>)> {
    let mut at = value;
    let first = expression.split('|').next()?;
    for step in steps(simple_path(first)?) {
        at = match (step, at) {
            (Step::Key(key), Value::Object(entries)) => match entries.get(&key) {
                Some(value) => value,
                None => return Some((key, entries.keys().map(String::as_str))),
            },
            (Step::Index(index), Value::Array(items)) => items.get(index)?,
            _ => return None,
        };
    }
    None
}

fn steps(path: &str) -> Vec<Step> {
    let Some(pattern) = STEP.as_ref() else {
        return Vec::new();
    };
    pattern
        .captures_iter(path)
        .filter_map(|step| {
            let key = step
                .get(1)
                .or_else(|| step.get(2))
                .map(|key| Step::Key(key.as_str().to_owned()));
            key.or_else(|| step.get(3)?.as_str().parse().ok().map(Step::Index))
        })
        .collect()
}

fn remove(value: &mut Value, steps: &[Step]) {
    match (steps, value) {
        ([Step::Key(key)], Value::Object(entries)) => {
            entries.shift_remove(key);
        }
        ([Step::Index(index)], Value::Array(items)) if *index < items.len() => {
            items.remove(*index);
        }
        ([Step::Key(key), rest @ ..], Value::Object(entries)) => {
            if let Some(value) = entries.get_mut(key) {
                remove(value, rest);
            }
        }
        ([Step::Index(index), rest @ ..], Value::Array(items)) => {
            if let Some(value) = items.get_mut(*index) {
                remove(value, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn golden(name: &str) -> Vec<Value> {
        let golden: Value = serde_json::from_str(include_str!(
            "../../tests/fixtures/vectors/port-golden.json"
        ))
        .unwrap();
        golden[name].as_array().unwrap().clone()
    }

    #[test]
    fn the_source_of_a_list_is_found_as_in_ocean() {
        for case in golden("items_to_parse_delete_path") {
            let expression = case["expr"].as_str().unwrap();
            assert_eq!(
                simple_path(expression),
                case["delete_path"].as_str(),
                "{expression}"
            );
        }
    }

    #[test]
    fn items_expand_as_in_ocean() {
        for case in golden("items_to_parse_expand") {
            let config = json!({
                "itemsToParse": case["itemsToParse"],
                "itemsToParseName": case["itemsToParseName"],
                "itemsToParseTopLevelTransform": case["itemsToParseTopLevelTransform"],
            });
            let mut reader = Reader::default();
            let port = reader.root(&config).unwrap();
            let items = Items::read(&mut reader, &port).unwrap();
            let expanded = items.expand(&Input::new(&case["item"])).unwrap_or_default();
            let batches = case["batches"].as_array().unwrap().iter();
            let wanted: Vec<Value> = batches
                .flat_map(|batch| batch.as_array().unwrap().clone())
                .collect();
            assert_eq!(expanded, wanted, "{case}");
        }
    }

    #[test]
    fn steps_of_a_path_are_removed() {
        let mut value = json!({"a": [{"b-c": 1, "d": 2}, 3]});
        remove(&mut value, &steps(r#".a[0]["b-c"]"#));
        assert_eq!(value, json!({"a": [{"d": 2}, 3]}));
        remove(&mut value, &steps(".a[7].x"));
        remove(&mut value, &steps(".nope.x"));
        assert_eq!(value, json!({"a": [{"d": 2}, 3]}));
        remove(&mut value, &steps(".a[1]"));
        assert_eq!(value, json!({"a": [{"d": 2}]}));
    }
}
