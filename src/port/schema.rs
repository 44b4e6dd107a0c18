//! What a blueprint lets its properties hold, and in which way a value does not fit.
//!
//! Pure. Judges only what Port surely refuses: of formats and rules that are not written down exactly Port has the word.

use std::fmt;

use jiff::civil::Date;
use regex::Regex;
use serde_json::{Map, Value};

/// What one property may hold (Port API, blueprint: `schema.properties`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Property {
    /// `None`: of a type that is not known here, so anything may be right.
    kind: Option<PropertyType>,
    format: Option<String>,
    /// The only values it takes, where the blueprint lists them.
    allowed: Option<Vec<Value>>,
    bounds: Bounds,
    pattern: Option<Pattern>,
    /// Of the elements of a list.
    items: Option<Box<Property>>,
}

/// What a text has to match in some part of it (JSON Schema, `pattern`: a regular expression as JavaScript has it).
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    /// `None`: it may mean something else there than here, so Port has the word.
    regex: Option<Regex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PropertyType {
    String,
    Number,
    Boolean,
    Object,
    Array,
}

/// JSON Schema's rules about how much; `None`: no such rule.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bounds {
    /// In characters.
    length: Range<u64>,
    /// In elements.
    items: Range<u64>,
    value: Range<f64>,
}

/// From and to, both included.
#[derive(Clone, Debug, Default, PartialEq)]
struct Range<T>(Option<T>, Option<T>);

/// In which way Port would refuse a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    NoSuchProperty,
    NoSuchRelation,
    Type(PropertyType),
    /// One of the kinds of text that Port tells apart: `url`, `email`.
    Format(String),
    NotAllowed,
    OutOfBounds,
    Pattern(String),
    /// Null among the elements of a list: nothing with a value is left out.
    Null,
    NoIdentifier,
    Several,
    InheritedTeam,
    NoTeam,
    NoText,
    TooLarge,
}

impl Misfit {
    /// Whether something is missing in Port because of it.
    pub fn is_loss(&self) -> bool {
        *self != Misfit::Null
    }

    /// What to do about it, in the mapping or the blueprint.
    pub fn remedy(&self) -> &'static str {
        match self {
            Misfit::NoSuchProperty | Misfit::NoSuchRelation => {
                "add it to the blueprint, or take it out of the mapping"
            }
            Misfit::Type(PropertyType::String) => {
                "make it a text, such as with tostring, or join(\", \") for a list"
            }
            Misfit::Type(PropertyType::Number) => "make it a number, such as with tonumber",
            Misfit::Type(PropertyType::Boolean) => "make it true or false, such as with == \"yes\"",
            Misfit::Type(PropertyType::Object) => "make it a map, such as {name: .name}",
            Misfit::Type(PropertyType::Array) => "make it a list, such as [.name]",
            Misfit::Format(_) => "give null for what is none, or change the property's format",
            Misfit::NotAllowed => "map it to one of them, or add it to the blueprint's enum",
            Misfit::Pattern(_) => "make it match, such as with gsub, or change the pattern",
            Misfit::OutOfBounds => "keep it within them, or change the blueprint's bounds",
            Misfit::Null => "leave it out, with map(select(. != null))",
            Misfit::NoIdentifier => "replace other characters, with gsub",
            Misfit::Several => "take one, such as with first, or let the relation hold many",
            Misfit::InheritedTeam => "take team out of the mapping",
            Misfit::NoTeam => "give the name of a team, or a list of names",
            Misfit::NoText => "make it a text, such as with tostring",
            Misfit::TooLarge => "cut it, such as with .[:10000], or take it out",
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::NoSuchProperty => f.write_str("the blueprint has no such property"),
            Misfit::NoSuchRelation => f.write_str("the blueprint has no such relation"),
            Misfit::Type(kind) => write!(f, "not of the type {kind}"),
            Misfit::Format(format) => write!(f, "not of the format {format}"),
            Misfit::NotAllowed => f.write_str("none of the values that the blueprint lists"),
            Misfit::Pattern(pattern) => write!(f, "it does not match the blueprint's pattern {pattern}"),
            Misfit::OutOfBounds => f.write_str("shorter, longer, less or more than the blueprint allows"),
            Misfit::Null => f.write_str("null in a list"),
            Misfit::NoIdentifier => f.write_str(
                "no identifier that Port takes: letters, digits and @_.+:\\/=-' are allowed, at most 1000",
            ),
            Misfit::Several => f.write_str("several entities, where the blueprint allows one"),
            Misfit::InheritedTeam => f.write_str("the blueprint inherits its team"),
            Misfit::NoTeam => f.write_str("neither a team nor a list of teams"),
            Misfit::NoText => f.write_str("no text"),
            Misfit::TooLarge => f.write_str("with it the entity is larger than the 1 MiB that Port takes"),
        }
    }
}

impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PropertyType::String => "string",
            PropertyType::Number => "number",
            PropertyType::Boolean => "boolean",
            PropertyType::Object => "object",
            PropertyType::Array => "array",
        })
    }
}

impl PropertyType {
    fn of(name: &str) -> Option<PropertyType> {
        let all = [
            PropertyType::String,
            PropertyType::Number,
            PropertyType::Boolean,
            PropertyType::Object,
            PropertyType::Array,
        ];
        all.into_iter().find(|kind| kind.to_string() == name)
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            PropertyType::String => value.is_string(),
            PropertyType::Number => value.is_number(),
            PropertyType::Boolean => value.is_boolean(),
            PropertyType::Object => value.is_object(),
            PropertyType::Array => value.is_array(),
        }
    }
}

impl Property {
    /// Reads a definition. What has an unexpected shape is taken for absent: it allows everything.
    pub(super) fn of(definition: &Value) -> Property {
        let text = |name: &str| definition.get(name).and_then(Value::as_str);
        let count = |name: &str| definition.get(name).and_then(Value::as_u64);
        let number = |name: &str| definition.get(name).and_then(Value::as_f64);
        let allowed = definition.get("enum").and_then(Value::as_array);
        let items = definition.get("items").filter(|items| items.is_object());
        Property {
            kind: text("type").and_then(PropertyType::of),
            format: text("format").map(str::to_owned),
            allowed: allowed.cloned(),
            bounds: Bounds {
                length: Range(count("minLength"), count("maxLength")),
                items: Range(count("minItems"), count("maxItems")),
                value: Range(number("minimum"), number("maximum")),
            },
            pattern: text("pattern").map(Pattern::of),
            items: items.map(|items| Box::new(Property::of(items))),
        }
    }

    /// Why `value`, which is not null, is refused as a whole, whatever becomes of its elements.
    pub(super) fn misfit(&self, value: &Value) -> Option<Misfit> {
        if let Some(kind) = self.kind
            && !kind.takes(value)
        {
            return Some(Misfit::Type(kind));
        }
        if let Some(allowed) = &self.allowed
            && !value.is_array()
            && !allowed.contains(value)
        {
            return Some(Misfit::NotAllowed);
        }
        if let (Some(format), Some(text)) = (&self.format, value.as_str())
            && !may_have_format(format, text)
        {
            return Some(Misfit::Format(format.clone()));
        }
        if let (Some(pattern), Some(text)) = (&self.pattern, value.as_str())
            && !pattern.may_match(text)
        {
            return Some(Misfit::Pattern(pattern.text.clone()));
        }
        (!self.bounds.hold(value)).then_some(Misfit::OutOfBounds)
    }

    /// Why the list `elements` cannot have `element`.
    pub(super) fn misfit_in_list(&self, element: &Value) -> Option<Misfit> {
        let items = self.items.as_ref()?;
        match (items.kind, element) {
            (None, Value::Null) => None,
            (Some(_), Value::Null) => Some(Misfit::Null),
            (_, element) => items.misfit(element),
        }
    }
}

/// Classes that take in other signs here than in JavaScript, where they know ASCII only: what is not in one of them here
/// may be in it there.
const OTHER_CLASSES: [&str; 5] = ["\\W", "\\D", "\\S", "\\B", "\\b"];

impl Pattern {
    fn of(text: &str) -> Pattern {
        let is_doubtful = OTHER_CLASSES.iter().any(|class| text.contains(class))
            || text.contains("[^") && text.contains('\\');
        let regex = (!is_doubtful).then(|| Regex::new(text).ok()).flatten();
        Pattern {
            text: text.to_owned(),
            regex,
        }
    }

    fn may_match(&self, text: &str) -> bool {
        let regex = self.regex.as_ref();
        regex.is_none_or(|regex| regex.is_match(text))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Bounds {
    fn hold(&self, value: &Value) -> bool {
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match value {
            Value::String(text) => {
                let is_unbound = self.length == Range::default();
                is_unbound || self.length.holds(&whole(text.chars().count()))
            }
            Value::Array(elements) => self.items.holds(&whole(elements.len())),
            Value::Number(number) => number.as_f64().is_none_or(|value| self.value.holds(&value)),
            Value::Null | Value::Bool(_) | Value::Object(_) => true,
        }
    }
}

impl<T: PartialOrd> Range<T> {
    fn holds(&self, value: &T) -> bool {
        let Range(from, to) = self;
        from.as_ref().is_none_or(|from| from <= value) && to.as_ref().is_none_or(|to| value <= to)
    }
}

/// False where `text` surely has not the format (Port API, property formats), true where it may have.
fn may_have_format(format: &str, text: &str) -> bool {
    let has_blank = || text.contains(char::is_whitespace);
    match format {
        "date-time" | "timer" => {
            let date: String = text.chars().take("2026-01-01".len()).collect();
            date.parse::<Date>().is_ok()
        }
        "url" => !has_blank() && text.split_once(':').is_some_and(|(it, _)| is_scheme(it)),
        "email" | "idn-email" => !has_blank() && text.contains('@'),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    }
}

fn is_scheme(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(allowed)
}

/// The properties of a blueprint's `schema`.
pub(super) fn properties(
    definitions: &Map<String, Value>,
) -> impl Iterator<Item = (String, Property)> {
    let definitions = definitions.iter();
    definitions.map(|(name, definition)| (name.clone(), Property::of(definition)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_is_judged_where_it_means_the_same_here() {
        let lower = json!({"type": "string", "pattern": "^[a-z-]+$"});
        assert_eq!(misfit(&lower, &json!("web-api")), None);
        let refused = Some(Misfit::Pattern("^[a-z-]+$".into()));
        assert_eq!(misfit(&lower, &json!("Api")), refused);
        let part = json!({"type": "string", "pattern": "[0-9]"});
        assert_eq!(misfit(&part, &json!("a1b")), None);
        // JavaScript's classes know ASCII only; what cannot be read here may be something there.
        for doubtful in [r"^\W+$", r"^(?!x).*$", "(", r"^[^\d]+$"] {
            let definition = json!({"type": "string", "pattern": doubtful});
            assert_eq!(misfit(&definition, &json!("٣ö")), None, "{doubtful}");
        }
    }

    fn misfit(definition: &Value, value: &Value) -> Option<Misfit> {
        Property::of(definition).misfit(value)
    }

    #[test]
    fn values_are_judged_by_their_type() {
        for (kind, good, bad) in [
            ("string", json!(""), json!(1)),
            ("number", json!(1.5), json!("1")),
            ("boolean", json!(false), json!("false")),
            ("object", json!({}), json!([])),
            ("array", json!([]), json!({})),
        ] {
            let definition = json!({ "type": kind });
            assert_eq!(misfit(&definition, &good), None, "{kind}");
            let expected = PropertyType::of(kind).map(Misfit::Type);
            assert_eq!(misfit(&definition, &bad), expected, "{kind}");
        }
        assert_eq!(misfit(&json!({"type": "colour"}), &json!(1)), None);
        assert_eq!(misfit(&json!("nonsense"), &json!(1)), None);
    }

    #[test]
    fn values_are_judged_by_their_format_list_and_bounds() {
        let text = |more: Value| {
            let mut definition = json!({"type": "string"});
            definition
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            definition
        };
        for (definition, good, bad) in [
            (text(json!({"format": "url"})), "https://a.b/c", "a.b/c"),
            (
                text(json!({"format": "url"})),
                "mailto:a@b.c",
                "https://a b",
            ),
            (text(json!({"format": "email"})), "a@b", "a"),
            (
                text(json!({"format": "date-time"})),
                "2026-08-20T10:00:00.1Z",
                "yesterday",
            ),
            (
                text(json!({"format": "date-time"})),
                "2026-08-20",
                "2026-13-20T10:00:00Z",
            ),
            (text(json!({"format": "ipv4"})), "127.0.0.1", "::1"),
            (text(json!({"format": "ipv6"})), "::1", "127.0.0.1"),
            (text(json!({"format": "markdown"})), "anything", "\u{0}"),
            (text(json!({"enum": ["OPEN"]})), "OPEN", "open"),
            (text(json!({"maxLength": 2})), "öö", "ööö"),
            (text(json!({"minLength": 1})), "a", ""),
        ] {
            assert_eq!(
                misfit(&definition, &json!(good)),
                None,
                "{definition} {good}"
            );
            let is_bad = misfit(&definition, &json!(bad)).is_some();
            assert_eq!(
                is_bad,
                definition["format"] != "markdown",
                "{definition} {bad}"
            );
        }
        let percent = json!({"type": "number", "minimum": 0, "maximum": 100});
        assert_eq!(misfit(&percent, &json!(100)), None);
        assert_eq!(misfit(&percent, &json!(100.5)), Some(Misfit::OutOfBounds));
    }
}
