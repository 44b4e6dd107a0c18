//! Folders and files of a tree, whoever has named them: how Bitbucket's REST API shows them. Pure.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use crate::bitbucket::{GitFile, Mode, Node};

/// Longest file that stands for one in large file storage (Git LFS specification: shorter than 1,024 bytes).
const LONGEST_POINTER: usize = 1_024;

/// How such a file begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What links encode in a path (URL standard, path percent-encode set), with what would end it.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// What only a listing tells for certain: how Bitbucket writes paths that need escaping, and what it guesses.
pub(super) const LISTED_ONLY: [&[&str]; 4] = [
    &["metadata", "mimetype"],
    &["metadata", "escaped_path"],
    &["metadata", "links"],
    &["folder", "links"],
];

/// Something in a tree.
#[derive(Clone, Debug)]
pub(super) enum TreeEntry {
    /// As REST has listed it.
    Listed(Value),
    /// As git has it.
    Git { path: String, node: Node },
}

/// What selectors tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    /// Links and submodules, too, as REST has it.
    File,
}

impl TreeEntry {
    pub(super) fn path(&self) -> &str {
        match self {
            TreeEntry::Listed(entry) => listed_path(entry),
            TreeEntry::Git { path, .. } => path,
        }
    }

    /// `None` for what is neither.
    pub(super) fn kind(&self) -> Option<EntryKind> {
        match self {
            TreeEntry::Listed(entry) => listed_kind(entry),
            TreeEntry::Git { node, .. } => Some(kind_of(*node)),
        }
    }
}

/// Where a listed entry lies.
pub(super) fn listed_path(entry: &Value) -> &str {
    let path = entry.get("path").and_then(Value::as_str);
    path.unwrap_or_default()
}

pub(super) fn listed_kind(entry: &Value) -> Option<EntryKind> {
    match entry.get("type").and_then(Value::as_str) {
        Some("commit_directory") => Some(EntryKind::Folder),
        Some("commit_file") => Some(EntryKind::File),
        _ => None,
    }
}

pub(super) fn kind_of(node: Node) -> EntryKind {
    match node.mode {
        Mode::Folder => EntryKind::Folder,
        Mode::File | Mode::Executable | Mode::Link | Mode::Submodule => EntryKind::File,
    }
}

/// Whether a file says that what it should hold lies in large file storage.
pub(super) fn is_pointer(file: &GitFile) -> bool {
    let content = file.content.as_deref().unwrap_or_default();
    file.size < LONGEST_POINTER && content.starts_with(POINTER)
}

/// What REST would have listed for `node` at `path` in `commit` of `repository`, a raw object; with its content where it
/// was read. See [`LISTED_ONLY`].
pub(super) fn as_listed(
    repository: &Value,
    commit: &str,
    (path, node): (&str, Node),
    file: Option<&GitFile>,
) -> Value {
    let link = |name: &str| {
        let link = repository.pointer(&format!("/links/{name}/href"));
        link.and_then(Value::as_str).unwrap_or_default()
    };
    let (api, html) = (link("self"), link("html"));
    let href = |address: String| json!({"href": address});
    let commit_object = json!({
        "hash": commit,
        "links": {
            "self": href(format!("{api}/commit/{commit}")),
            "html": href(format!("{html}/commits/{commit}")),
        },
        "type": "commit",
    });
    let escaped = utf8_percent_encode(path, ENCODED).to_string();
    if kind_of(node) == EntryKind::Folder {
        let this = format!("{api}/src/{commit}/{escaped}/");
        let meta = format!("{this}?format=meta");
        return json!({
            "path": path,
            "commit": commit_object,
            "type": "commit_directory",
            "links": {"self": href(this), "meta": href(meta)},
        });
    }
    let this = format!("{api}/src/{commit}/{escaped}");
    let meta = format!("{this}?format=meta");
    json!({
        "path": path,
        "commit": commit_object,
        "type": "commit_file",
        "links": {
            "self": href(this),
            "meta": href(meta),
            "history": href(format!("{api}/filehistory/{commit}/{escaped}")),
        },
        "attributes": attributes(node, file),
        "escaped_path": escaped,
        "size": file.map(|file| file.size),
        "mimetype": null,
    })
}

fn attributes(node: Node, file: Option<&GitFile>) -> Vec<&'static str> {
    let known = [
        (node.mode == Mode::Link, "link"),
        (node.mode == Mode::Executable, "executable"),
        (node.mode == Mode::Submodule, "subrepository"),
        (file.is_some_and(|file| file.is_binary), "binary"),
        (file.is_some_and(is_pointer), "lfs"),
    ];
    let known = known.into_iter();
    known.filter_map(|(is, name)| is.then_some(name)).collect()
}
