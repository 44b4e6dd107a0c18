//! Reports as one page of HTML that needs nothing else: no network, no other file.
//!
//! The page's script shows what the data say, text as text. Who reports what is not known here.

use serde_json::{Value, json};

use super::mapping_text::MappingText;

const PAGE: &str = include_str!("page.html");

/// What a page shows besides entities and the mapping; the plan and the outcome of a resync have it in common.
pub(crate) struct Head {
    pub(crate) title: &'static str,
    pub(crate) subject: String,
    pub(crate) headline: String,
    pub(crate) tone: Tone,
    pub(crate) tiles: Vec<(usize, &'static str, Tone)>,
    pub(crate) notes: Vec<String>,
    pub(crate) problems: Vec<String>,
    pub(crate) unread: Vec<String>,
    pub(crate) tables: Vec<Sheet>,
}

/// A table; the first column is text.
pub(crate) struct Sheet {
    pub(crate) heading: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Plain,
    Good,
    Doubt,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Good => "good",
            Tone::Doubt => "doubt",
            Tone::Bad => "bad",
        }
    }
}

/// The page for `head`, with entities where there are any, and the mapping that was followed, unless that is null.
pub(crate) fn page(head: &Head, blueprints: Vec<Value>, mapping: &Value) -> String {
    let mut text = match mapping {
        Value::Null => MappingText::default(),
        mapping => MappingText::of(mapping),
    };
    let problems: Vec<Value> = head
        .problems
        .iter()
        .map(|problem| match text.mark(problem) {
            Some((place, line, rest)) => json!({"place": place, "line": line, "text": rest}),
            None => json!({"text": problem}),
        })
        .collect();
    let tiles = head.tiles.iter();
    let tables = head.tables.iter();
    let data = json!({
        "title": head.title,
        "subject": head.subject,
        "headline": head.headline,
        "tone": head.tone.class(),
        "tiles": tiles.map(|(value, label, tone)| json!([value, label, tone.class()])).collect::<Vec<_>>(),
        "notes": head.notes,
        "problems": problems,
        "unread": head.unread,
        "tables": tables
            .map(|table| json!({"heading": table.heading, "columns": table.columns, "rows": table.rows}))
            .collect::<Vec<_>>(),
        "blueprints": blueprints,
        "mapping": text.into_lines(),
    });
    // Within a script nothing but its end is markup; what begins one is written as JSON allows as well.
    let data = data.to_string().replace('<', "\\u003c");
    PAGE.replacen("{{data}}", &data, 1)
}
