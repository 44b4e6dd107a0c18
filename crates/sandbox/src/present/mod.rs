//! Catalogues for people: what changed between two states, and what one state holds. Returns texts, prints nothing.

mod changes;
mod table;

pub use self::changes::{Change, FieldChange, changes, fields, render_changes, totals};
pub use self::table::{TableOptions, render_table};

use serde_json::Value;

/// Whether a text carries ANSI colours. They go to terminals only, which the caller has to find out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Plain,
    Ansi,
}

/// Meaning, not colour; the codes are in [`Style::paint`].
#[derive(Clone, Copy)]
enum Tone {
    Created,
    Updated,
    Deleted,
    Heading,
    Faint,
}

impl Style {
    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Created => "32",
            Tone::Updated => "33",
            Tone::Deleted => "31",
            Tone::Heading => "1",
            Tone::Faint => "2",
        };
        match self {
            Style::Ansi if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }
}

/// A value in one line of at most `width` characters. Control characters, which could steer a terminal, become blanks.
fn one_line(value: &Value, width: usize) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .map(|item| one_line(item, width))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    shorten(&text, width)
}

fn shorten(text: &str, width: usize) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= width {
        return text;
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// `text` with blanks up to `width` characters. Colours come after: they have no width.
fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

#[cfg(test)]
mod fixture {
    use serde_json::Value;

    use crate::port::StoredEntity;

    pub(super) fn entity(blueprint: &str, body: Value) -> StoredEntity {
        let time = "2026-08-20T10:00:00Z".parse().unwrap();
        let fields = |name: &str| {
            let fields = body[name].as_object().cloned().unwrap_or_default();
            fields.into_iter().collect()
        };
        StoredEntity {
            blueprint: blueprint.to_owned(),
            identifier: body["identifier"].as_str().unwrap().to_owned(),
            title: body["title"].as_str().map(str::to_owned),
            icon: None,
            team: Vec::new(),
            properties: fields("properties"),
            relations: fields("relations"),
            datasource: "x".to_owned(),
            created_at: time,
            updated_at: time,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_fit_one_line() {
        assert_eq!(one_line(&json!("a\nb\u{1b}[31m"), 20), "a b [31m");
        assert_eq!(one_line(&json!("größer als"), 6), "größe…");
        assert_eq!(one_line(&json!(["a", 1, null]), 20), "a, 1,");
        assert_eq!(one_line(&json!({"a": true}), 20), r#"{"a":true}"#);
    }

    #[test]
    fn colour_is_only_there_when_asked_for() {
        assert_eq!(Style::Plain.paint(Tone::Created, "x"), "x");
        assert_eq!(
            Style::Ansi.paint(Tone::Created, "x"),
            "\u{1b}[32mx\u{1b}[0m"
        );
        assert_eq!(Style::Ansi.paint(Tone::Created, ""), "");
    }
}
