//! What a file holds, as a mapping sees it. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// Largest file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// A text in a parsed file that begins so stands for the content of another file.
const FILE_PREFIX: &str = "file://";

/// What the values of one file may stand for, in bytes: as much as Port takes, and some.
const MAX_FILLED_BYTES: usize = 4 << 20;

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

/// The text of a file without its byte-order mark, which may say that it is UTF-16, with replacements for what is no
/// character; `None` for binary data.
pub(super) fn text(bytes: Vec<u8>) -> Option<String> {
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    };
    if text.contains('\0') {
        return None;
    }
    Some(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|bytes| unit(*bytes));
    let characters = char::decode_utf16(units);
    characters
        .map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
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

/// Where the file lies that an item of `folder` includes as `path`: in the repository's root, or in the folder if it says
/// so.
pub(super) fn included(folder: &str, path: &str) -> String {
    let is_relative = path.starts_with("./") || path.starts_with("../");
    resolve(if is_relative { folder } else { "" }, path)
}

/// Where the file may lie that a `file://` value in a file of `folder` means, the likelier place first: beside that file,
/// or in the root. A reference that says which of them it means has one place.
pub(super) fn referenced(folder: &str, reference: &str) -> Vec<String> {
    let path = reference.strip_prefix(FILE_PREFIX).unwrap_or(reference);
    let (beside, in_root) = (resolve(folder, path), resolve("", path));
    if path.starts_with("./") || path.starts_with("../") || beside == in_root {
        vec![beside]
    } else if path.starts_with('/') {
        vec![in_root]
    } else {
        vec![beside, in_root]
    }
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

/// Puts contents in the place of their references.
pub(super) struct Filling<'a> {
    contents: &'a BTreeMap<String, Value>,
    /// Bytes that may still be put in: one content may have any number of references.
    left: usize,
    is_over: bool,
}

impl<'a> Filling<'a> {
    pub(super) fn new(contents: &'a BTreeMap<String, Value>) -> Filling<'a> {
        Filling {
            contents,
            left: MAX_FILLED_BYTES,
            is_over: false,
        }
    }

    pub(super) fn fill(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let Some(content) = self.contents.get(text) else {
                    return;
                };
                let size = size(content);
                let fits = size <= self.left;
                self.is_over |= !fits;
                *value = match fits {
                    true => content.clone(),
                    false => Value::Null,
                };
                self.left = self.left.saturating_sub(size);
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(item)),
            Value::Object(entries) => entries.values_mut().for_each(|value| self.fill(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Whether some references became null because there was too much to put in.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

/// Bytes that `value` takes, roughly.
fn size(value: &Value) -> usize {
    const EACH: usize = 16;
    EACH + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(entries) => {
            let entries = entries.iter();
            entries.map(|(key, value)| key.len() + size(value)).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_what_is_no_binary() {
        assert_eq!(text(b"\xef\xbb\xbfa".to_vec()).as_deref(), Some("a"));
        assert_eq!(
            text(b"Z\xfcrich".to_vec()).as_deref(),
            Some("Z\u{fffd}rich")
        );
        assert_eq!(text(b"a\0b".to_vec()), None);
        assert_eq!(text(b"\xff\xfea\0\xfc\0".to_vec()).as_deref(), Some("aü"));
        assert_eq!(
            text(b"\xfe\xff\0a\xd8\x3d".to_vec()).as_deref(),
            Some("a\u{fffd}")
        );
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
        assert_eq!(included("apps/web", "docs/a.md"), "docs/a.md");
        assert_eq!(included("apps/web", "./docs/a.md"), "apps/web/docs/a.md");
        assert_eq!(included("apps/web", "../a.md"), "apps/a.md");
        for (reference, places) in [
            ("file://docs/a.md", &["apps/web/docs/a.md", "docs/a.md"][..]),
            ("file:///docs/a.md", &["docs/a.md"]),
            ("file://./a.md", &["apps/web/a.md"]),
            ("file://../a.md", &["apps/a.md"]),
        ] {
            assert_eq!(referenced("apps/web", reference), places, "{reference}");
        }
        assert_eq!(referenced("", "file://a.md"), ["a.md"]);
    }

    #[test]
    fn references_become_contents() {
        let mut value = json!({"a": ["file://x", "file://y"], "b": "plain"});
        let mut found = Vec::new();
        references(&value, &mut |reference| found.push(reference.to_owned()));
        assert_eq!(found, ["file://x", "file://y"]);
        let contents = BTreeMap::from([
            ("file://x".to_owned(), json!({"x": [1]})),
            ("file://y".to_owned(), Value::Null),
        ]);
        let mut filling = Filling::new(&contents);
        filling.fill(&mut value);
        assert_eq!(value, json!({"a": [{"x": [1]}, null], "b": "plain"}));
        assert!(!filling.is_over());
    }

    #[test]
    fn references_cannot_explode() {
        let contents = BTreeMap::from([("file://x".to_owned(), json!("x".repeat(1 << 20)))]);
        let mut value = json!(vec!["file://x"; 1_000]);
        let mut filling = Filling::new(&contents);
        filling.fill(&mut value);
        assert!(filling.is_over());
        let items = value.as_array().unwrap();
        let filled = items.iter().filter(|item| item.is_string()).count();
        assert_eq!((filled, items.len()), (3, 1_000));
    }
}
