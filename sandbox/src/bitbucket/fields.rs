//! Partial responses: the `fields` parameter (`+values.reviewers`, `-values.*.links`, `next,values.uuid`).
//!
//! Works on whole JSON answers and knows no endpoint; what an endpoint hides unless asked is an argument.

use serde_json::{Map, Value};

/// Applies `fields` to a full answer. `hidden` are the dotted paths that only `fields` shows.
pub(super) fn select(mut answer: Value, fields: Option<&str>, hidden: &[&str]) -> Value {
    let Some(fields) = fields else {
        for path in hidden {
            remove(&mut answer, path);
        }
        return answer;
    };
    let mut mask = Mask {
        only_named: false,
        named: Vec::new(),
        removed: Vec::new(),
        hidden: hidden.iter().map(|path| split(path)).collect(),
    };
    for item in fields.split(',') {
        // A `+` that was not percent-encoded arrives as a space, and then means: only this.
        let item = item.trim();
        if let Some(path) = item.strip_prefix('+') {
            mask.named.push(split(path));
        } else if let Some(path) = item.strip_prefix('-') {
            if path == "*" {
                mask.only_named = true;
            } else {
                mask.removed.push(split(path));
            }
        } else if !item.is_empty() {
            mask.only_named = true;
            mask.named.push(split(item));
        }
    }
    mask.apply(&mut Vec::new(), answer)
        .unwrap_or_else(|| Value::Object(Map::new()))
}

/// Takes away what a dotted path leads to, in every element of the lists on the way.
fn remove(value: &mut Value, path: &str) {
    match (value, path.split_once('.')) {
        (Value::Array(items), _) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Object(object), Some((name, rest))) => {
            if let Some(member) = object.get_mut(name) {
                remove(member, rest);
            }
        }
        (Value::Object(object), None) => {
            // Keeps the order of the others.
            object.shift_remove(path);
        }
        _ => {}
    }
}

type Path = Vec<String>;

struct Mask {
    /// Only what is named, instead of the default set.
    only_named: bool,
    named: Vec<Path>,
    removed: Vec<Path>,
    hidden: Vec<Path>,
}

impl Mask {
    /// What remains of `value` at `path`; None when nothing does. Lists have no path segment of their own.
    fn apply(&self, path: &mut Path, value: Value) -> Option<Value> {
        if self.includes(path) && !leads(&self.removed, path) && !leads(&self.hidden, path) {
            return Some(value);
        }
        match value {
            Value::Object(object) if !object.is_empty() => {
                let mut kept = Map::new();
                for (name, member) in object {
                    path.push(name.clone());
                    if let Some(member) = self.apply(path, member) {
                        kept.insert(name, member);
                    }
                    path.pop();
                }
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(items) if !items.is_empty() => Some(Value::Array(
                items
                    .into_iter()
                    .filter_map(|item| self.apply(path, item))
                    .collect(),
            ))
            .filter(|items| {
                self.includes(path) || items.as_array().is_some_and(|items| !items.is_empty())
            }),
            // `mainbranch.name` of an empty repository shows `mainbranch: null`.
            Value::Null | Value::Array(_) if leads(&self.named, path) => Some(value),
            value => self.includes(path).then_some(value),
        }
    }

    fn includes(&self, path: &[String]) -> bool {
        let named = longest(&self.named, path);
        let base = named.is_some()
            || (!self.only_named && (path.is_empty() || longest(&self.hidden, path).is_none()));
        // The more precise of two contradicting wishes wins.
        base && longest(&self.removed, path)
            .is_none_or(|removed| named.is_some_and(|named| removed < named))
    }
}

/// Whether a pattern continues below `path`.
fn leads(patterns: &[Path], path: &[String]) -> bool {
    patterns.iter().any(|pattern| {
        path.len() < pattern.len()
            && std::iter::zip(pattern, path).all(|(name, segment)| covers(name, segment))
    })
}

/// The length of the longest pattern that is a prefix of `path`.
fn longest(patterns: &[Path], path: &[String]) -> Option<usize> {
    patterns
        .iter()
        .filter(|pattern| {
            pattern.len() <= path.len()
                && std::iter::zip(*pattern, path).all(|(name, segment)| covers(name, segment))
        })
        .map(Vec::len)
        .max()
}

fn covers(name: &str, segment: &str) -> bool {
    name == "*" || name == segment
}

fn split(path: &str) -> Path {
    path.split('.').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page() -> Value {
        json!({
            "values": [
                {"id": 1, "links": {"self": 1}, "author": {"uuid": "a", "links": 1}, "reviewers": [{"uuid": "r", "links": 1}], "mainbranch": null},
                {"id": 2, "links": {"self": 2}, "author": null, "reviewers": [], "mainbranch": {"name": "main"}},
            ],
            "next": "n",
            "size": 2,
        })
    }

    fn selected(fields: &str) -> Value {
        select(page(), Some(fields), &["values.reviewers"])
    }

    #[test]
    fn without_fields_only_the_hidden_is_missing() {
        let answer = select(page(), None, &["values.reviewers"]);
        let mut expected = page();
        for value in expected["values"].as_array_mut().unwrap() {
            value.as_object_mut().unwrap().remove("reviewers");
        }
        assert_eq!(answer, expected);
    }

    #[test]
    fn plus_adds_to_the_default() {
        assert_eq!(selected("+values.reviewers"), page());
        let answer = selected("+values.reviewers.uuid");
        assert_eq!(answer["values"][0]["reviewers"], json!([{"uuid": "r"}]));
        assert_eq!(answer["values"][1]["reviewers"], json!([]));
        assert_eq!(answer["next"], "n");
    }

    #[test]
    fn minus_takes_away_at_any_depth() {
        let answer = selected("-values.links,-values.*.links");
        assert_eq!(
            answer["values"][0],
            json!({"id": 1, "author": {"uuid": "a"}, "mainbranch": null})
        );
    }

    #[test]
    fn bare_names_are_all_there_is() {
        assert_eq!(
            selected("values.id,values.mainbranch.name"),
            json!({"values": [{"id": 1, "mainbranch": null}, {"id": 2, "mainbranch": {"name": "main"}}]})
        );
        assert_eq!(
            selected("next,values.reviewers.uuid"),
            json!({"values": [{"reviewers": [{"uuid": "r"}]}, {"reviewers": []}], "next": "n"})
        );
        assert_eq!(selected("-*,+size"), json!({"size": 2}));
    }

    #[test]
    fn an_unencoded_plus_is_no_plus() {
        assert_eq!(
            selected(" values.id"),
            json!({"values": [{"id": 1}, {"id": 2}]})
        );
    }

    #[test]
    fn an_empty_page_stays_a_page() {
        let page = json!({"values": [], "size": 0});
        assert_eq!(
            select(page, Some("next,values.id"), &[]),
            json!({"values": []})
        );
    }
}
