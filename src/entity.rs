//! What Ferry writes to Port: entities and their keys.
//!
//! Owns the vocabulary both sides share. Knows nothing about JSON on the wire (`port` converts), about jq or
//! about Bitbucket.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

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
    let is_plain = |c: char| c.is_ascii_alphanumeric() || r"@_.+:\/=-'".contains(c);
    let allowed = |c: char| is_plain(c) || !c.is_ascii() && is_letter(c);
    !matches!(text, "" | "." | "..")
        && text.chars().all(allowed)
        && text.chars().count() <= MAX_IDENTIFIER_CHARS
}

/// A letter as Unicode's general category has it. [`char::is_alphabetic`] takes marks and letter numbers along, which
/// Port's pattern does not.
fn is_letter(c: char) -> bool {
    static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}$").ok());
    let mut bytes = [0; 4];
    let text: &str = c.encode_utf8(&mut bytes);
    LETTER.as_ref().is_some_and(|letter| letter.is_match(text))
}

/// The identifier that `value` is to Port: JSON servers of its kind coerce to what their schema asks for, a number to
/// text and a list of one to its element. `None` where Port would refuse it.
pub fn identifier_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => text_of(number),
        Value::Array(elements) => match elements.as_slice() {
            [Value::String(text)] => text.clone(),
            [Value::Number(number)] => text_of(number),
            _ => return None,
        },
        Value::Null | Value::Bool(_) | Value::Object(_) => return None,
    };
    is_valid_identifier(&text).then_some(text)
}

/// Whole numbers without a fraction, as JavaScript writes them.
fn text_of(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.to_string(),
        _ => number.to_string(),
    }
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
            // Alphabetic, and no letters: a vowel sign, a Roman numeral, a circled letter.
            "नि",
            "Ⅳ",
            "ⓐ",
            &"x".repeat(1001),
        ] {
            assert!(!is_valid_identifier(bad), "{bad}");
        }
    }

    #[test]
    fn numbers_and_lists_of_one_are_identifiers() {
        use serde_json::json;
        for (value, expected) in [
            (json!(12), Some("12")),
            (json!(12.0), Some("12")),
            (json!(-1.5), Some("-1.5")),
            (
                json!(12_345_678_901_234_567_890_u64),
                Some("12345678901234567890"),
            ),
            (json!(["a"]), Some("a")),
            (json!([7]), Some("7")),
            (json!(["a", "b"]), None),
            (json!(["a b"]), None),
            (json!([["a"]]), None),
            (json!(true), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            assert_eq!(identifier_of(&value).as_deref(), expected, "{value}");
        }
    }
}
