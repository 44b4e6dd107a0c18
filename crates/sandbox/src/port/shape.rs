//! What Port's request schema says of one entity, before any blueprint is asked.

use serde_json::Value;

use super::refusal::Refusal;
use super::value;

/// What the request schema says about one entity, before any blueprint is asked.
pub(super) fn check(item: &Value) -> Result<(), Refusal> {
    let Some(item) = item.as_object() else {
        return Err(Refusal::invalid("an entity must be an object"));
    };
    if !item.contains_key("identifier") {
        return Err(Refusal::invalid("an entity needs an identifier"));
    }
    for (name, value) in item {
        let fits = match name.as_str() {
            "identifier" => is_reference(value),
            "title" | "icon" => value.is_string() || value.is_null(),
            "blueprint" => value.is_string(),
            "team" => value.is_null() || is_text_or_texts(value) || is_query(value),
            "properties" => value.is_object(),
            "relations" => value
                .as_object()
                .is_some_and(|relations| relations.values().all(is_relation)),
            _ => false,
        };
        if !fits {
            return Err(Refusal::invalid(format!(
                "body/{name} does not match the schema: {value}"
            )));
        }
    }
    Ok(())
}

fn is_reference(value: &Value) -> bool {
    value.as_str().is_some_and(value::is_entity_identifier) || is_query(value)
}

fn is_relation(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(targets) => targets
            .iter()
            .all(|target| target.as_str().is_some_and(value::is_entity_identifier)),
        value => is_reference(value),
    }
}

fn is_text_or_texts(value: &Value) -> bool {
    value.is_string()
        || value
            .as_array()
            .is_some_and(|texts| texts.iter().all(Value::is_string))
}

fn is_query(value: &Value) -> bool {
    value.get("combinator").is_some() && value.get("rules").is_some()
}
