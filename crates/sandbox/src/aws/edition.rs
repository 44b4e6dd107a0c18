//! What a later edition of the function would leave behind: the same documents and messages, in shapes that the present one
//! does not know.
//!
//! A stand-in: it is the present edition behind a veil. Each shape it writes bears the next version and is garbled, and
//! of what it reads only its own is legible, or, of messages, the present edition's, too. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// By how much the later edition's versions are higher.
const NEWER: u64 = 1;

/// With which it garbles bodies.
const VEIL: u8 = 0x5a;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Edition {
    #[default]
    Present,
    Later,
}

impl Edition {
    /// A message as this edition sends it. Only the version is known to others.
    pub(super) fn writes_message(self, body: &str) -> String {
        match (self, parsed(body)) {
            (Edition::Later, Some((version, message))) => {
                json!({"version": version + NEWER, "later": message}).to_string()
            }
            _ => body.to_owned(),
        }
    }

    /// A message as it seems to this edition: a later one understands what earlier ones have sent.
    pub(super) fn reads_message(self, body: &str) -> String {
        match (self, parsed(body)) {
            (Edition::Later, Some((_, message))) if message["later"].is_object() => {
                message["later"].to_string()
            }
            _ => body.to_owned(),
        }
    }

    /// What the table is asked, as this edition would ask it.
    pub(super) fn asks(self, mut body: Value) -> Value {
        if self == Edition::Later {
            veil_all(&mut body, &|version| version + NEWER);
        }
        body
    }

    /// What the table answers, as it seems to this edition.
    pub(super) fn is_answered(self, mut body: Value) -> Value {
        if self == Edition::Later {
            veil_all(&mut body, &|version| version.saturating_sub(NEWER));
        }
        body
    }
}

fn parsed(body: &str) -> Option<(u64, Value)> {
    let message: Value = serde_json::from_str(body).ok()?;
    Some((message["version"].as_u64()?, message))
}

/// Changes every item in `value`: its version, and its body, which garbled twice is what it was.
fn veil_all(value: &mut Value, version: &dyn Fn(u64) -> u64) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|it| veil_all(it, version)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "shape" => change_number(field, version),
                    "body" => garble(field),
                    _ => veil_all(field, version),
                }
            }
        }
        _ => {}
    }
}

fn change_number(field: &mut Value, change: &dyn Fn(u64) -> u64) {
    let number = field["N"].as_str().and_then(|number| number.parse().ok());
    if let Some(number) = number {
        field["N"] = change(number).to_string().into();
    }
}

fn garble(field: &mut Value) {
    let bytes = field["B"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok());
    if let Some(mut bytes) = bytes {
        bytes.iter_mut().for_each(|byte| *byte ^= VEIL);
        field["B"] = STANDARD.encode(bytes).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_edition_reads_its_own_documents_and_no_others() {
        let item = json!({"Item": {"pk": {"S": "run"}, "shape": {"N": "3"}, "body": {"B": STANDARD.encode("{}")}}});
        let later = Edition::Later;
        let written = later.asks(item.clone());
        assert_eq!(written["Item"]["shape"]["N"], "4");
        assert_ne!(written["Item"]["body"], item["Item"]["body"]);
        assert_eq!(later.is_answered(written), item);
        assert_eq!(later.is_answered(item.clone())["Item"]["shape"]["N"], "2");
        assert_eq!(Edition::Present.is_answered(item.clone()), item);
    }

    #[test]
    fn a_later_edition_reads_its_own_messages_and_those_of_before() {
        let (sent, later) = (r#"{"version":2,"look":"projects"}"#, Edition::Later);
        let written = later.writes_message(sent);
        assert_eq!(parsed(&written).map(|(version, _)| version), Some(3));
        assert_eq!(later.reads_message(&written), sent);
        assert_eq!(later.reads_message(sent), sent);
        assert_eq!(Edition::Present.reads_message(&written), written);
        assert_eq!(later.writes_message("no JSON"), "no JSON");
    }
}
