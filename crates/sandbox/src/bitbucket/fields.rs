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
    let mut only_named = false;
    let (mut named, mut removed) = (Vec::new(), Vec::new());
    for item in fields.split(',') {
        // A `+` that was not percent-encoded arrives as a space, and then means: only this.
        let item = item.trim();
        if let Some(path) = item.strip_prefix('+') {
            named.push(path);
        } else if let Some(path) = item.strip_prefix('-') {
            if path == "*" {
                only_named = true;
            } else {
                removed.push(path);
            }
        } else if !item.is_empty() {
            only_named = true;
            named.push(item);
        }
    }
    let mask = Mask {
        only_named,
        named: Wishes::new(named),
        removed: Wishes::new(removed),
        hidden: Wishes::new(hidden.to_vec()),
    };
    mask.apply(answer)
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

/// What the wishes say of one place in the answer, and of what is below it.
struct Mask<'a> {
    /// Only what is named, instead of the default set.
    only_named: bool,
    named: Wishes<'a>,
    removed: Wishes<'a>,
    hidden: Wishes<'a>,
}

/// Dotted paths, as far as they agree with the way to a place.
struct Wishes<'a> {
    /// How many segments that way has.
    depth: usize,
    /// How many segments the longest path has that ends on that way.
    ended: Option<usize>,
    /// What is left of the paths that lead further.
    leading: Vec<&'a str>,
}

impl Mask<'_> {
    /// What remains of `value` at this place; None when nothing does. Lists have no path segment of their own.
    fn apply(&self, value: Value) -> Option<Value> {
        let included = self.includes();
        if included && !self.removed.lead() && !self.hidden.lead() {
            return Some(value);
        }
        if !included && !self.named.lead() {
            return None;
        }
        match value {
            Value::Object(object) if !object.is_empty() => {
                let mut kept = Map::new();
                for (name, member) in object {
                    if let Some(member) = self.below(&name).apply(member) {
                        kept.insert(name, member);
                    }
                }
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(items) if !items.is_empty() => {
                let items = items.into_iter().filter_map(|item| self.apply(item));
                let items: Vec<Value> = items.collect();
                (included || !items.is_empty()).then_some(Value::Array(items))
            }
            // `mainbranch.name` of an empty repository shows `mainbranch: null`.
            Value::Null | Value::Array(_) if self.named.lead() => Some(value),
            value => included.then_some(value),
        }
    }

    fn includes(&self) -> bool {
        let named = self.named.ended;
        let by_default = !self.only_named && self.hidden.ended.is_none();
        // The more precise of two contradicting wishes wins.
        (named.is_some() || by_default)
            && self
                .removed
                .ended
                .is_none_or(|removed| named.is_some_and(|named| removed < named))
    }

    fn below(&self, name: &str) -> Mask<'_> {
        Mask {
            only_named: self.only_named,
            named: self.named.below(name),
            removed: self.removed.below(name),
            hidden: self.hidden.below(name),
        }
    }
}

impl<'a> Wishes<'a> {
    fn new(paths: Vec<&'a str>) -> Wishes<'a> {
        Wishes {
            depth: 0,
            ended: None,
            leading: paths,
        }
    }

    /// Whether any leads further than this place.
    fn lead(&self) -> bool {
        !self.leading.is_empty()
    }

    fn below(&self, name: &str) -> Wishes<'a> {
        let mut below = Wishes {
            depth: self.depth + 1,
            ended: self.ended,
            leading: Vec::new(),
        };
        for path in &self.leading {
            let (segment, rest) = match path.split_once('.') {
                Some((segment, rest)) => (segment, Some(rest)),
                None => (*path, None),
            };
            if segment == "*" || segment == name {
                match rest {
                    Some(rest) => below.leading.push(rest),
                    None => below.ended = Some(below.depth),
                }
            }
        }
        below
    }
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
