//! Values as text: `tojson`, and what error messages show.

use std::fmt;

use super::{Text, Val};
use crate::number;

impl Val {
    /// JSON text as `tojson` prints it.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, usize::MAX);
        out
    }

    /// Appends JSON text, and stops soon after `limit` bytes.
    fn write(&self, out: &mut String, limit: usize) {
        if limit < out.len() {
            return;
        }
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Num(value) => out.push_str(&number::print(*value)),
            Self::Literal(literal) => out.push_str(&literal.text),
            Self::Str(text) => write_string(text.as_str(), out),
            Self::Arr(array) => {
                out.push('[');
                for (index, item) in array.items.iter().enumerate() {
                    if 0 < index {
                        out.push(',');
                    }
                    item.write(out, limit);
                }
                out.push(']');
            }
            Self::Obj(object) => {
                out.push('{');
                for (index, (key, item)) in object.entries.iter().enumerate() {
                    if 0 < index {
                        out.push(',');
                    }
                    write_string(key.as_str(), out);
                    out.push(':');
                    item.write(out, limit);
                }
                out.push('}');
            }
        }
    }

    /// `tostring`: a string as it is, anything else as JSON text.
    pub(crate) fn to_plain_text(&self) -> Text {
        match self {
            Self::Str(text) => text.clone(),
            other => other.to_text().into(),
        }
    }

    /// Type and a short excerpt, for error messages: 29 bytes at most, as jq cuts it.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, MESSAGE_EXCERPT);
        if MESSAGE_EXCERPT < text.len() {
            let end = match self {
                Self::Str(_) => "...\"",
                Self::Arr(_) => "...]",
                Self::Obj(_) => "...}",
                _ => "...",
            };
            text.truncate(text.floor_char_boundary(MESSAGE_EXCERPT - end.len()));
            text.push_str(end);
        }
        format!("{} ({text})", self.type_name())
    }

    /// JSON text of at most `limit` characters.
    pub(crate) fn excerpt(&self, limit: usize) -> String {
        let mut text = String::new();
        self.write(&mut text, limit);
        if text.chars().count() <= limit {
            return text;
        }
        let mut short: String = text.chars().take(limit).collect();
        short.push_str("...");
        short
    }
}

/// Bytes of a value that an error message may show.
const MESSAGE_EXCERPT: usize = 29;

/// JSON text, shortened: jaq shows values in its own error messages.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.excerpt(MESSAGE_EXCERPT))
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => out.push(char),
        }
    }
    out.push('"');
}
