//! What Ferry writes to Port: entities and their keys.
//!
//! Owns the vocabulary both sides share. Knows nothing about JSON on the wire (`port` converts), about jq or
//! about Bitbucket.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One entity as a mapping produced it.
///
/// Only what the mapping names is present: `None` and absent keys mean "not mapped", which Port keeps as it is
/// when merging; [`Value::Null`] means "mapped to nothing", which clears the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    pub blueprint: String,
    pub identifier: Identifier,
    pub title: Option<Value>,
    pub icon: Option<Value>,
    /// A name, a list of names, null, or a search query.
    pub team: Option<Value>,
    /// `None` when the mapping has no `properties` at all.
    pub properties: Option<Map<String, Value>>,
    /// Values are identifiers, lists of them, null, or search queries.
    pub relations: Option<Map<String, Value>>,
}

impl Entity {
    /// The key under which Port stores this entity, unless Port itself has to search for it.
    pub fn key(&self) -> Option<EntityKey> {
        match &self.identifier {
            Identifier::Text(identifier) => Some(EntityKey::new(&self.blueprint, identifier)),
            Identifier::Search(_) => None,
        }
    }
}

/// How an entity is addressed.
#[derive(Clone, Debug, PartialEq)]
pub enum Identifier {
    Text(String),
    /// A search query that Port resolves to exactly one existing entity; it never creates one.
    Search(Value),
}

/// Blueprint and identifier: unique in a catalogue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityKey {
    pub blueprint: String,
    pub identifier: String,
}

impl EntityKey {
    pub fn new(blueprint: impl Into<String>, identifier: impl Into<String>) -> EntityKey {
        EntityKey {
            blueprint: blueprint.into(),
            identifier: identifier.into(),
        }
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.blueprint, self.identifier)
    }
}

impl fmt::Debug for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Longest identifier Port takes, in characters.
const MAX_IDENTIFIER_CHARS: usize = 1000;

/// Whether Port accepts `text` as an entity identifier (Port API reference, entity `identifier`: letters of any
/// script, digits and `@_.+:\/=-'`, 1 to 1000 characters, not `.` or `..`).
pub fn is_valid_identifier(text: &str) -> bool {
    let allowed = |c: char| c.is_alphabetic() || c.is_ascii_digit() || r"@_.+:\/=-'".contains(c);
    !matches!(text, "" | "." | "..")
        && text.chars().all(allowed)
        && text.chars().count() <= MAX_IDENTIFIER_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_checked_as_port_does() {
        for good in [
            "payments-api",
            "Zürich",
            "名前",
            "a/b@c:1.2+x=_",
            r"a\b",
            "o'hara",
            "...",
            &"x".repeat(1000),
        ] {
            assert!(is_valid_identifier(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a#1",
            "{uuid}",
            "a,b",
            "a(b)",
            "50%",
            "a?b",
            "~me",
            &"x".repeat(1001),
        ] {
            assert!(!is_valid_identifier(bad), "{bad}");
        }
    }
}
