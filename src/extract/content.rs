//! What a file holds, as a mapping sees it. Pure.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Map, Value};

/// Largest file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// A text in a parsed file that begins so stands for the content of another file.
const FILE_PREFIX: &str = "file://";

/// Why a file that a selector matches is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Binary,
    Gone,
    LargeFileStorage,
    Submodule,
    SymbolicLink,
    TooLarge,
}

impl Skip {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Skip::Binary => "binary",
            Skip::Gone => "gone meanwhile",
            Skip::LargeFileStorage => "in large file storage (LFS)",
            Skip::Submodule => "a submodule",
            Skip::SymbolicLink => "a symbolic link",
            Skip::TooLarge => "larger than 1 MiB",
        }
    }
}

/// Why the file of this tree entry is not worth asking for (Bitbucket REST API, source: `attributes`, `size`).
pub(super) fn unreadable(entry: &Value) -> Option<Skip> {
    let attributes = entry.get("attributes").and_then(Value::as_array);
    let has = |name: &str| attributes.is_some_and(|all| all.iter().any(|one| one == name));
    let size = entry.get("size").and_then(Value::as_u64);
    [
        (has("link"), Skip::SymbolicLink),
        (has("subrepository"), Skip::Submodule),
        (has("lfs"), Skip::LargeFileStorage),
        (has("binary"), Skip::Binary),
        (
            size.is_some_and(|size| MAX_FILE_BYTES < size),
            Skip::TooLarge,
        ),
    ]
    .into_iter()
    .find_map(|(is, skip)| is.then_some(skip))
}

/// The text of a file without its byte order mark, with replacements for what is not UTF-8; `None` for binary data.
pub(super) fn text(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) {
        return None;
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Some(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The value of a JSON or YAML file (several YAML documents are a list of them); the text of any other, and of one
/// that does not parse.
pub(super) fn parse(path: &str, text: String) -> Value {
    let extension = path
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
        .to_ascii_lowercase();
    let parsed = match extension.as_str() {
        "json" => serde_json::from_str(&text).ok(),
        "yml" | "yaml" => parse_yaml(&text),
        _ => None,
    };
    parsed.unwrap_or(Value::String(text))
}

fn parse_yaml(text: &str) -> Option<Value> {
    let mut documents = Vec::new();
    for document in yaml_serde::Deserializer::from_str(text) {
        documents.push(to_json(yaml_serde::Value::deserialize(document).ok()?));
    }
    // What stands after the last separator may be nothing.
    if 1 < documents.len() && documents.last() == Some(&Value::Null) {
        documents.pop();
    }
    Some(if documents.len() == 1 {
        documents.remove(0)
    } else {
        Value::Array(documents)
    })
}

/// Keys become text, tags are dropped, numbers that JSON lacks are null.
fn to_json(value: yaml_serde::Value) -> Value {
    use yaml_serde::Value as Yaml;
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => number.as_f64().map_or(Value::Null, Value::from),
        },
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => items.into_iter().map(to_json).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.into_iter().map(|(key, value)| {
                let key = match to_json(key) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                (key, to_json(value))
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Yaml::Tagged(tagged) => to_json(tagged.value),
    }
}

/// `path` as seen from the folder `base`: `./` and `../` count, and nothing leaves the repository.
pub(super) fn resolve(base: &str, path: &str) -> String {
    let mut segments: Vec<&str> = base
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments.join("/")
}

/// Where a `file://` value in a file of `folder` points: relative if it says so, else from the root.
pub(super) fn resolve_reference(folder: &str, reference: &str) -> String {
    let path = reference.strip_prefix(FILE_PREFIX).unwrap_or(reference);
    let relative = path.starts_with("./") || path.starts_with("../");
    resolve(if relative { folder } else { "" }, path)
}

/// Reports each `file://` text in `value`.
pub(super) fn references(value: &Value, report: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) if text.starts_with(FILE_PREFIX) => report(text),
        Value::Array(items) => items.iter().for_each(|item| references(item, report)),
        Value::Object(entries) => entries.values().for_each(|value| references(value, report)),
        _ => {}
    }
}

/// Puts the texts in the place of their references.
pub(super) fn fill(value: &mut Value, texts: &BTreeMap<String, Option<String>>) {
    match value {
        Value::String(text) => {
            if let Some(found) = texts.get(text) {
                *value = found.clone().map_or(Value::Null, Value::String);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, texts)),
        Value::Object(entries) => entries.values_mut().for_each(|value| fill(value, texts)),
        _ => {}
    }
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
            ("a.json", "{oops", json!("{oops")),
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
            (
                "keys.yml",
                "1: a\ntrue: b\nnull: c\n",
                json!({"1": "a", "true": "b", "null": "c"}),
            ),
            ("tags.yml", "a: !Ref Thing\n", json!({"a": "Thing"})),
            ("bad.yml", "a: [1\n", json!("a: [1\n")),
            ("README.md", "# Hi\n", json!("# Hi\n")),
            ("Makefile", "all:\n", json!("all:\n")),
        ] {
            assert_eq!(parse(path, text.to_owned()), value, "{path}: {text}");
        }
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..20 {
            let items = vec![format!("*a{}", level - 1); 10].join(",");
            text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert_eq!(parse("bomb.yml", text.clone()), Value::String(text));
    }

    #[test]
    fn texts_are_what_is_no_binary() {
        assert_eq!(text(b"\xef\xbb\xbfa".to_vec()).as_deref(), Some("a"));
        assert_eq!(
            text(b"Z\xfcrich".to_vec()).as_deref(),
            Some("Z\u{fffd}rich")
        );
        assert_eq!(text(b"a\0b".to_vec()), None);
    }

    #[test]
    fn entries_tell_what_cannot_be_read() {
        let entry =
            |attributes: &[&str], size: u64| json!({"attributes": attributes, "size": size});
        assert_eq!(unreadable(&entry(&[], 10)), None);
        assert_eq!(unreadable(&entry(&["executable"], 10)), None);
        assert_eq!(unreadable(&entry(&["link"], 10)), Some(Skip::SymbolicLink));
        assert_eq!(
            unreadable(&entry(&["binary", "lfs"], 10)),
            Some(Skip::LargeFileStorage)
        );
        assert_eq!(unreadable(&entry(&[], 5 << 20)), Some(Skip::TooLarge));
        assert_eq!(unreadable(&json!({})), None);
    }

    #[test]
    fn paths_are_resolved_inside_the_repository() {
        assert_eq!(resolve("apps/web", "README.md"), "apps/web/README.md");
        assert_eq!(resolve("apps/web", "../docs/a.md"), "apps/docs/a.md");
        assert_eq!(resolve("a", "../../../etc/passwd"), "etc/passwd");
        assert_eq!(
            resolve_reference("apps/web", "file://docs/a.md"),
            "docs/a.md"
        );
        assert_eq!(
            resolve_reference("apps/web", "file://./a.md"),
            "apps/web/a.md"
        );
        assert_eq!(resolve_reference("apps/web", "file://../a.md"), "apps/a.md");
    }

    #[test]
    fn references_become_contents() {
        let mut value = json!({"a": ["file://x", "file://y"], "b": "plain"});
        let mut found = Vec::new();
        references(&value, &mut |reference| found.push(reference.to_owned()));
        assert_eq!(found, ["file://x", "file://y"]);
        let texts = BTreeMap::from([
            ("file://x".to_owned(), Some("X".to_owned())),
            ("file://y".to_owned(), None),
        ]);
        fill(&mut value, &texts);
        assert_eq!(value, json!({"a": ["X", null], "b": "plain"}));
    }
}
