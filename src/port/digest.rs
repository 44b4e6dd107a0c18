//! What an entity says, as numbers: equal ones say the same.
//!
//! The hash is `SipHash` with fixed keys, as the standard library of one build has it. Digests compare across processes
//! of one build; another build may hash otherwise, and then everything differs once.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value};

use super::snapshot::MappedFields;
use crate::entity::Entity;

/// What an entity says, as one number: title, icon, team, properties and relations.
///
/// They count as [`Snapshot`](super::Snapshot) compares them (teams in any order, keys in any order, null title and team
/// as none). Blueprint and identifier are not in it.
///
/// Stable across processes of one build. Two different entities share a digest once in 2⁶⁴.
pub fn digest(entity: &Entity) -> u64 {
    let Entity {
        blueprint: _,
        identifier: _,
        title,
        icon,
        team,
        properties,
        relations,
    } = entity;
    let fields = digests(
        title.as_ref(),
        team.as_ref(),
        properties.as_ref(),
        relations.as_ref(),
        None,
    );
    let icon = icon.as_ref().map_or(NULL, hash_of_value);
    let fields: Vec<(u64, u64)> = fields
        .iter()
        .map(|digest| (digest.field, digest.value))
        .collect();
    hash_of(&(icon, fields))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest {
    pub(super) field: u64,
    pub(super) value: u64,
}

/// The value part of a digest of null.
pub(super) const NULL: u64 = 0;

/// Digests of an entity, sorted by field. A null title or team is the same as none.
pub(super) fn digests(
    title: Option<&Value>,
    team: Option<&Value>,
    properties: Option<&Map<String, Value>>,
    relations: Option<&Map<String, Value>>,
    only: Option<&MappedFields>,
) -> Vec<Digest> {
    let mut digests = Vec::new();
    let mut push = |section: u8, name: &str, value: u64| {
        let field = hash_of(&(section, name));
        digests.push(Digest { field, value });
    };
    if let Some(title) = title.filter(|title| !title.is_null()) {
        push(0, "title", hash_of_value(title));
    }
    if let Some(team) = team.filter(|team| !team.is_null()) {
        push(0, "team", hash_of_team(team));
    }
    for (section, values, names) in [
        (1, properties, only.map(|only| &only.properties)),
        (2, relations, only.map(|only| &only.relations)),
    ] {
        for (name, value) in values.into_iter().flatten() {
            if names.is_none_or(|names| names.contains(name)) {
                push(section, name, hash_of_value(value));
            }
        }
    }
    digests.sort_unstable();
    digests
}

pub(super) fn find(digests: &[Digest], field: u64) -> Option<u64> {
    let at = digests
        .binary_search_by_key(&field, |digest| digest.field)
        .ok()?;
    digests.get(at).map(|digest| digest.value)
}

pub(super) fn hash_of(value: &(impl std::hash::Hash + ?Sized)) -> u64 {
    // Its keys are fixed, so digests compare across processes of one build.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn hash_of_value(value: &Value) -> u64 {
    if value.is_null() {
        return NULL;
    }
    let mut hasher = DefaultHasher::new();
    add_value(value, &mut hasher);
    hasher.finish().max(1)
}

fn hash_of_team(team: &Value) -> u64 {
    let Value::Array(names) = team else {
        return hash_of_value(team);
    };
    let mut names: Vec<u64> = names.iter().map(hash_of_value).collect();
    names.sort_unstable();
    hash_of(&("team", names)).max(1)
}

/// As JSON with sorted keys would be: the order in lists counts, that of keys does not, and 1 is not 1.0.
fn add_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(number) => (2_u8, number.to_string()).hash(hasher),
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(values) => {
            (4_u8, values.len()).hash(hasher);
            for value in values {
                add_value(value, hasher);
            }
        }
        Value::Object(values) => {
            (5_u8, values.len()).hash(hasher);
            let mut pairs: Vec<_> = values.iter().collect();
            pairs.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in pairs {
                name.hash(hasher);
                add_value(value, hasher);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::entity::Identifier;

    /// The entity `x` of the blueprint `b`, with these fields.
    pub(in crate::port) fn entity(fields: &Value) -> Entity {
        let field = |name: &str| fields.get(name).cloned();
        let object = |name: &str| fields.get(name).and_then(Value::as_object).cloned();
        Entity {
            blueprint: "b".into(),
            identifier: Identifier::Text("x".into()),
            title: field("title"),
            icon: field("icon"),
            team: field("team"),
            properties: object("properties"),
            relations: object("relations"),
        }
    }

    #[test]
    fn each_field_counts_and_no_order_of_keys_does() {
        let same = [
            json!({ "title": "t", "icon": "Git", "team": ["a", "b"], "properties": { "a": 1, "b": { "c": 1, "d": 2 } }, "relations": { "r": "x" } }),
            json!({ "relations": { "r": "x" }, "properties": { "b": { "d": 2, "c": 1 }, "a": 1 }, "team": ["b", "a"], "icon": "Git", "title": "t" }),
        ];
        let known = digest(&entity(&same[0]));
        assert_eq!(known, digest(&entity(&same[1])));
        for (pointer, value) in [
            ("/title", json!("u")),
            ("/icon", json!("Jira")),
            ("/icon", Value::Null),
            ("/team", json!(["a"])),
            ("/properties/a", json!(1.0)),
            ("/properties/a", Value::Null),
            ("/properties/b/c", json!("1")),
            ("/relations/r", json!(["x"])),
        ] {
            let mut other = same[0].clone();
            *other.pointer_mut(pointer).unwrap() = value;
            assert_ne!(known, digest(&entity(&other)), "{pointer}");
        }
    }

    /// The same number in every process: nothing random is in it.
    #[test]
    fn the_digest_of_an_empty_entity_is_what_it_was() {
        let empty: &[(u64, u64)] = &[];
        let mut hasher = DefaultHasher::new();
        (NULL, empty.to_vec()).hash(&mut hasher);
        assert_eq!(digest(&entity(&json!({}))), hasher.finish());
    }
}
