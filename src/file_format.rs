//! What a text file means by its name: a `.json` or `.yml` file means the value that it holds, any other its text.
//!
//! What does not parse means its text, as in Ocean. Says where that, or a number that JSON has no place for, came in.

use serde_json::Value;

use crate::{lenient_json, yaml};

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedFile {
    pub value: Value,
    /// What its author may not have meant.
    pub remark: Option<String>,
}

/// What the file at `path` with this `text` means. Several YAML documents are a list of them.
pub fn parse(path: &str, text: String) -> ParsedFile {
    let name = path.to_ascii_lowercase();
    let parsed = if is_json(path) {
        json(&text).map_err(|error| format!("it is no JSON, so it stays text: {error}"))
    } else if name.ends_with(".yml") || name.ends_with(".yaml") {
        match yaml::values(&text) {
            Ok(documents) => Ok((joined(documents), None)),
            Err(error) => Err(format!("it is no YAML, so it stays text: {error}")),
        }
    } else {
        return ParsedFile {
            value: Value::String(text),
            remark: None,
        };
    };
    match parsed {
        Ok((value, remark)) => ParsedFile { value, remark },
        Err(reason) => ParsedFile {
            value: Value::String(text),
            remark: Some(reason),
        },
    }
}

pub fn is_json(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".json")
}

/// The value of a JSON text, and what was replaced in it: NaN, infinities and numbers beyond them are null, as they are
/// in YAML; half a surrogate pair is U+FFFD.
pub fn json(text: &str) -> Result<(Value, Option<String>), serde_json::Error> {
    lenient_json::from_slice(text.as_bytes())
        .map(|value| (value, None))
        .or_else(|error| {
            let (repaired, count) = without_infinities(text);
            if count == 0 {
                return Err(error);
            }
            let value = lenient_json::from_slice(repaired.as_bytes()).map_err(|_| error)?;
            let remark =
                format!("{count} of its numbers are too large or none (NaN): they are null");
            Ok((value, Some(remark)))
        })
}

/// One value, or a list of several. What stands after the last separator may be nothing.
fn joined(mut documents: Vec<Value>) -> Value {
    if 1 < documents.len() && documents.last() == Some(&Value::Null) {
        documents.pop();
    }
    match documents.len() {
        0 | 1 => documents.pop().unwrap_or_default(),
        _ => Value::Array(documents),
    }
}

/// `text` with null for every number outside of strings that is none or beyond the largest, and how many there are.
fn without_infinities(text: &str) -> (String, usize) {
    let is_of_word = |one: char| one.is_ascii_alphanumeric() || matches!(one, '+' | '-' | '.');
    let mut out = String::with_capacity(text.len());
    let mut count = 0;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => length_of_string(rest),
            _ if is_of_word(next) => rest.find(|one| !is_of_word(one)).unwrap_or(rest.len()),
            _ => next.len_utf8(),
        };
        let (word, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let is_none = matches!(word, "NaN" | "Infinity" | "-Infinity");
        let starts_as_number = word
            .trim_start_matches('-')
            .starts_with(|one: char| one.is_ascii_digit());
        let is_beyond =
            || starts_as_number && word.parse::<f64>().is_ok_and(|number| number.is_infinite());
        if is_none || is_beyond() {
            out.push_str("null");
            count += 1;
        } else {
            out.push_str(word);
        }
        rest = after;
    }
    (out, count)
}

/// Bytes of the string that `text` begins with, quotes included.
fn length_of_string(text: &str) -> usize {
    let mut is_escaped = true;
    for (at, one) in text.char_indices() {
        match one {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_parsed_by_their_names() {
        for (path, text, value) in [
            ("a.json", "{\"a\": [1, 2.5]}", json!({"a": [1, 2.5]})),
            ("a.JSON", "[]", json!([])),
            (
                "a.json",
                r#"{"a": "\ud83d", "b": 1}"#,
                json!({"a": "\u{fffd}", "b": 1}),
            ),
            (
                "port.yml",
                "a: 1\nb: [x, 'y']\n",
                json!({"a": 1, "b": ["x", "y"]}),
            ),
            (
                "many.yaml",
                "a: 1\n---\na: 2\n",
                json!([{"a": 1}, {"a": 2}]),
            ),
            ("many.yaml", "a: 1\n---\n", json!({"a": 1})),
            ("none.yaml", "# nothing\n", Value::Null),
            (
                "keys.yml",
                "1: a\nfalse: b\nnull: c\n",
                json!({"1": "a", "false": "b", "null": "c"}),
            ),
            ("README.md", "# Hi\n", json!("# Hi\n")),
            ("Makefile", "all:\n", json!("all:\n")),
            ("json", "[]", json!("[]")),
        ] {
            let parsed = parse(path, text.to_owned());
            assert_eq!(
                (parsed.value, parsed.remark),
                (value, None),
                "{path}: {text}"
            );
        }
    }

    #[test]
    fn what_does_not_parse_stays_text_and_is_said() {
        for (path, text) in [
            ("a.json", "{oops"),
            ("a.json", "{\"a\": NaN"),
            ("a.json", "{\"a\": nan}"),
            ("a.json", ""),
            ("a.yml", "a: [1\n"),
            ("a.yaml", "a: !Ref Thing\n"),
        ] {
            let parsed = parse(path, text.to_owned());
            assert_eq!(parsed.value, json!(text), "{path}");
            assert!(
                parsed
                    .remark
                    .is_some_and(|remark| remark.contains("stays text")),
                "{path}: {text}"
            );
        }
    }

    #[test]
    fn numbers_that_json_lacks_are_null_and_said() {
        let text = r#"{"a": NaN, "b": [Infinity, -Infinity,1e400,-2E+999 ], "c": "NaN \" 1e400", "d": 1e-400, "é": 1.5}"#;
        let parsed = parse("metrics.json", text.to_owned());
        let wanted = json!({
            "a": null, "b": [null, null, null, null], "c": "NaN \" 1e400", "d": 0.0, "é": 1.5,
        });
        assert_eq!(parsed.value, wanted);
        assert_eq!(
            parsed.remark.as_deref(),
            Some("5 of its numbers are too large or none (NaN): they are null")
        );
    }
}
