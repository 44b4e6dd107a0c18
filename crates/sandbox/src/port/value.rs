//! Which texts are identifiers, and which JSON values fit a property's schema (Port's documented limits of values).

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use regex::Regex;
use serde_json::Value;

use super::refusal::Refusal;

/// Letters of any script, digits and a few signs; no blank.
static ENTITY: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r"^[\p{L}0-9@_.+:\\/='-]+$"));
static BLUEPRINT: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r"^[\p{L}0-9@_.+:\\/-]+$"));
static PROPERTY: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z0-9@_=-]+$"));

const TYPES: [&str; 5] = ["string", "number", "boolean", "object", "array"];

pub(super) fn is_entity_identifier(text: &str) -> bool {
    matches(&ENTITY, text, 1000) && !matches!(text, "." | "..")
}

pub(super) fn is_blueprint_identifier(text: &str) -> bool {
    matches(&BLUEPRINT, text, 100) && !matches!(text, "." | "..")
}

pub(super) fn is_property_name(text: &str) -> bool {
    matches(&PROPERTY, text, 100)
}

/// The length is counted here: as a bound in the pattern it would multiply the table of all letters.
fn matches(
    pattern: &LazyLock<Result<Regex, regex::Error>>,
    text: &str,
    max_characters: usize,
) -> bool {
    let fits = pattern.as_ref().is_ok_and(|pattern| pattern.is_match(text));
    fits && text.chars().count() <= max_characters
}

/// Checks the definition of a property in a blueprint.
pub(super) fn check_schema(name: &str, schema: &Value) -> Result<(), Refusal> {
    let kind = schema["type"].as_str().unwrap_or_default();
    if !TYPES.contains(&kind) {
        return Err(Refusal::invalid(format!(
            "property {name:?} has type {kind:?}, must be one of {TYPES:?}"
        )));
    }
    if schema["title"].as_str().unwrap_or_default().chars().count() > 100 {
        return Err(Refusal::invalid(format!(
            "the title of property {name:?} is longer than 100 characters"
        )));
    }
    Ok(())
}

/// Checks a value, which is not null, against the definition of its property.
pub(super) fn check(name: &str, schema: &Value, value: &Value) -> Result<(), Refusal> {
    let kind = schema["type"].as_str().unwrap_or_default();
    let fits = match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        _ => false,
    };
    if !fits {
        return Err(Refusal::mismatch(format!(
            "property {name:?} must be of type {kind}"
        )));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(Refusal::mismatch(format!(
            "property {name:?} must be one of {}",
            schema["enum"]
        )));
    }
    if let (Some(format), Some(text)) = (schema["format"].as_str(), value.as_str())
        && !has_format(format, text)
    {
        return Err(Refusal::mismatch(format!(
            "property {name:?} must have format {format}"
        )));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        return Err(Refusal::mismatch(format!(
            "property {name:?} must match pattern {pattern}"
        )));
    }
    check_bounds(name, schema, value)?;
    if let (Some(elements), true) = (value.as_array(), schema["items"]["type"].is_string()) {
        for element in elements {
            check(name, &schema["items"], element)?;
        }
    }
    Ok(())
}

/// How long, how many, how much (JSON Schema).
fn check_bounds(name: &str, schema: &Value, value: &Value) -> Result<(), Refusal> {
    let size = match value {
        Value::String(text) => Some(("minLength", "maxLength", text.chars().count() as f64)),
        Value::Array(elements) => Some(("minItems", "maxItems", elements.len() as f64)),
        Value::Number(number) => number.as_f64().map(|it| ("minimum", "maximum", it)),
        _ => None,
    };
    let Some((least, most, size)) = size else {
        return Ok(());
    };
    let is_below = schema[least].as_f64().is_some_and(|least| size < least);
    let is_above = schema[most].as_f64().is_some_and(|most| most < size);
    if is_below || is_above {
        return Err(Refusal::mismatch(format!(
            "property {name:?} is not within {least} and {most}"
        )));
    }
    Ok(())
}

/// Looser than Port where its exact rule is unknown: what is refused here is surely refused there.
fn has_format(format: &str, text: &str) -> bool {
    let blank = text.contains(char::is_whitespace);
    match format {
        "date-time" | "timer" => {
            text.parse::<Timestamp>().is_ok() || (text.len() == 10 && text.parse::<Date>().is_ok())
        }
        "url" => {
            !blank
                && text
                    .split_once(':')
                    .is_some_and(|(scheme, _)| is_scheme(scheme))
        }
        "email" | "idn-email" => !blank && text.contains('@'),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn identifiers_follow_ports_pattern() {
        for good in [
            "api", "a/b", "PROJ-1", "x@y.z", "ö", "日本", "a=b", "a\\b", "it's",
        ] {
            assert!(is_entity_identifier(good), "{good}");
        }
        let long = "a".repeat(1001);
        for bad in [
            "",
            "a b",
            "a#b",
            ".",
            "..",
            "a{b}",
            "a,b",
            "x\n",
            "a~b",
            "नि",
            long.as_str(),
        ] {
            assert!(!is_entity_identifier(bad), "{bad}");
        }
    }

    #[test]
    fn values_must_fit_their_type_format_and_enum() {
        let check = |schema: Value, value: Value| check("p", &schema, &value).is_ok();
        assert!(check(json!({"type": "string"}), json!("x")));
        assert!(!check(json!({"type": "string"}), json!(1)));
        assert!(!check(json!({"type": "number"}), json!("1")));
        assert!(check(
            json!({"type": "string", "enum": ["OPEN"]}),
            json!("OPEN")
        ));
        assert!(!check(
            json!({"type": "string", "enum": ["OPEN"]}),
            json!("open")
        ));
        let date = json!({"type": "string", "format": "date-time"});
        assert!(check(
            date.clone(),
            json!("2026-08-20T10:00:00.123456+00:00")
        ));
        assert!(check(date.clone(), json!("2026-08-20")));
        assert!(!check(date, json!("yesterday")));
        let url = json!({"type": "string", "format": "url"});
        assert!(check(url.clone(), json!("https://example.com/a")));
        assert!(!check(url, json!("example.com")));
        let list = json!({"type": "array", "items": {"type": "string"}});
        assert!(check(list.clone(), json!(["a"])));
        assert!(!check(list, json!([null])));
    }
}
