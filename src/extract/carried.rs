//! What items of a group show of their repository, as far as expressions may read it.
//!
//! Owns where the repository stands in an item of each kind. Two repositories with the same digest are the same to every
//! expression of the group; fields that no expression reads, such as the time of the last push, do not count.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Group, Source};
use crate::identity::Repository;
use crate::locked::locked;

/// Levels of a repository's object whose fields are told apart; what lies deeper counts as a whole.
const LEVELS: usize = 4;

/// Which fields of a repository the expressions of a group may read, by path. Asking an expression means parsing it.
#[derive(Clone, Default)]
pub(super) struct CarriedFields(Arc<Mutex<BTreeMap<String, bool>>>);

impl Group {
    /// Whether an item may show what its repository holds at `path`.
    pub fn shows(&self, path: &[&str]) -> bool {
        // No field's name holds it.
        let name = path.join("\0");
        if let Some(known) = locked(&self.carried.0).get(&name) {
            return *known;
        }
        let places: &[&[&str]] = match &self.source {
            Source::Repositories(_) => &[&[]],
            Source::Trees(_) => &[&["repo"], &["metadata", "commit", "repository"]],
            Source::Parts { .. } => &[&["repo"]],
            Source::PullRequests { .. }
            | Source::Projects
            | Source::Workspace
            | Source::Members => &[],
        };
        let shown = places.iter().any(|place| {
            let path = [*place, path].concat();
            let mut resources = self.resources.iter();
            resources.any(|resource| resource.reads(&path))
        });
        locked(&self.carried.0).insert(name, shown);
        shown
    }

    /// Whether an item may show the head of its repository's main branch.
    pub fn shows_head(&self) -> bool {
        self.shows(&["mainbranch", "target"])
    }

    /// A digest of what items may show of the repository `raw`. Stable across processes of one build.
    pub fn carried(&self, raw: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.add_shown(raw, &mut Vec::new(), &mut hasher);
        hasher.finish()
    }

    fn add_shown<'v>(&self, value: &'v Value, path: &mut Vec<&'v str>, hasher: &mut DefaultHasher) {
        let Value::Object(fields) = value else {
            return sorted(value).to_string().hash(hasher);
        };
        if path.len() == LEVELS {
            return sorted(value).to_string().hash(hasher);
        }
        let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in fields {
            path.push(name);
            if self.shows(path) {
                (path.len(), name).hash(hasher);
                self.add_shown(value, path, hasher);
            }
            path.pop();
        }
    }
}

fn sorted(value: &Value) -> Value {
    let mut value = value.clone();
    value.sort_all_objects();
    value
}

/// A digest of the names by which selectors pick a repository out.
pub fn names_digest(repository: &Repository) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&repository.full_name, &repository.name).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::extract::groups;
    use crate::mapping::Mapping;

    /// The only group of a mapping with one property.
    fn group(kind: &str, expression: &str) -> Group {
        let selector = match kind {
            "file" => json!({"query": "true", "files": {"path": "**/a.yml"}}),
            _ => json!({"query": "true"}),
        };
        let config = json!({"resources": [{"kind": kind, "selector": selector, "port": {"entity": {"mappings": {
            "identifier": "\"one\"", "blueprint": "\"b\"", "properties": {"p": expression},
        }}}}]});
        let mapping = Mapping::from_config(&config).unwrap();
        groups(&mapping).remove(0)
    }

    fn repository() -> Value {
        json!({
            "slug": "a", "updated_on": "2026-01-01", "size": 1,
            "mainbranch": {"name": "main", "target": {"hash": "0"}},
            "links": {"html": {"href": "x"}, "self": {"href": "y"}},
            "project": {"key": "P", "name": "Project"},
        })
    }

    #[test]
    fn only_what_an_expression_may_read_counts() {
        for (kind, expression, counts, ignored) in [
            ("file", ".repo.slug", "/slug", "/updated_on"),
            (
                "file",
                ".repo.mainbranch.name",
                "/mainbranch/name",
                "/mainbranch/target/hash",
            ),
            ("file", ".metadata.commit.repository.size", "/size", "/slug"),
            ("file", ".repo.project.key", "/project/key", "/project/name"),
            (
                "repository",
                ".links.html.href",
                "/links/html/href",
                "/links/self/href",
            ),
            (
                "repository",
                ".mainbranch.target.hash",
                "/mainbranch/target/hash",
                "/size",
            ),
        ] {
            let group = group(kind, expression);
            let changed = |pointer: &str| {
                let mut other = repository();
                *other.pointer_mut(pointer).unwrap() = json!("changed");
                group.carried(&other) != group.carried(&repository())
            };
            assert!(changed(counts), "{expression}");
            assert!(!changed(ignored), "{expression}");
        }
    }

    #[test]
    fn where_nobody_can_tell_what_is_read_everything_counts() {
        for expression in [".repo", ".", ".repo | to_entries", ".repo[.branch]"] {
            let group = group("file", expression);
            let mut other = repository();
            other["size"] = json!(2);
            assert_ne!(
                group.carried(&other),
                group.carried(&repository()),
                "{expression}"
            );
            assert!(group.shows_head(), "{expression}");
        }
        assert!(!group("file", ".repo.slug").shows_head());
    }

    #[test]
    fn the_order_of_fields_does_not_count() {
        let group = group("file", ".repo");
        let one = json!({"a": {"b": 1, "c": [{"d": 1, "e": 2}]}, "f": 1});
        let other = json!({"f": 1, "a": {"c": [{"e": 2, "d": 1}], "b": 1}});
        assert_eq!(group.carried(&one), group.carried(&other));
    }
}
