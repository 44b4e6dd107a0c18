//! Files: directory listings, raw contents, and the difference of two trees.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Call;
use crate::bitbucket::fields;
use crate::bitbucket::page::{Pages, Rules, list, parameters_among};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::{Commit, File, FileKind, Repository, State, Tree};
use crate::server::{Request, Response};

const ENTRIES: Rules = Rules {
    pages: Pages::Opaque,
    queryable: &["path", "type", "size", "attributes", "mimetype"],
    parameters: &["max_depth", "format"],
    ..Rules::PLAIN
};

const DIFFSTAT: Rules = Rules {
    default: 500,
    cap: 500,
    parameters: &["path", "renames", "topic", "merge", "from_pullrequest_id"],
    ..Rules::PLAIN
};

/// Below `/repositories/{workspace}/{repository}/src`.
pub(super) fn answer(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    segments: &[&str],
) -> Result<Response, Response> {
    let (revision, path) = match segments {
        [] => {
            let head = repository
                .head()
                .ok_or_else(|| refuse(404, "Resource not found"))?;
            let target = format!("{}/src/{head}/", state.repository_url(repository));
            return Ok(Response::empty(302).with_header("location", target));
        }
        [revision, path @ ..] => (revision, path),
    };
    // A name with a slash, encoded or not, does not resolve here.
    let commit = Some(revision)
        .filter(|revision| !revision.contains('/'))
        .and_then(|revision| repository.resolve(revision))
        .ok_or_else(|| refuse(404, "Commit not found"))?;
    // `/src/{commit}` without the slash after it leads nowhere.
    if path.is_empty() {
        return Err(refuse(404, "Resource not found"));
    }
    let joined = path.join("/");
    if let Some(file) = commit.tree.get(&joined) {
        return file_at(call, state, repository, commit, &joined, file);
    }
    let directory = joined.trim_end_matches('/');
    let mut entries = entries(&commit.tree, directory);
    if entries.is_empty() && !directory.is_empty() {
        let message = format!("No such file or directory: {joined}");
        return Err(refuse(404, &message));
    }
    if call.request.query("format") == Some("meta") {
        let entry = state.entry_json(repository, &commit.hash, directory, None);
        return single_entry(call, entry);
    }
    let depth = match call.request.query("max_depth") {
        None => 1,
        Some(text) => text
            .parse()
            .ok()
            .filter(|depth| 0 < *depth)
            .ok_or_else(|| refuse(400, "Invalid max_depth"))?,
    };
    entries.retain(|entry| entry.depth <= depth);
    if call.quirks.listing_limit < entries.len() {
        return Err(timed_out());
    }
    // Breadth first, directories before files.
    entries.sort_by_key(|entry| (entry.depth, entry.file.is_some(), entry.path));
    list(call.request, call.quirks, &ENTRIES, entries, |entry| {
        state.entry_json(repository, &commit.hash, entry.path, entry.file)
    })
}

/// Below `/repositories/{workspace}/{repository}/diffstat`: what the first revision has and the second lacks.
pub(super) fn diffstat(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    spec: &str,
) -> Result<Response, Response> {
    let request = call.request;
    if request.query("topic").is_some() && request.query("merge").is_some() {
        return Err(refuse(400, "topic and merge exclude each other"));
    }
    let find = |revision: &str| {
        repository
            .resolve(revision)
            .ok_or_else(|| refuse(404, &format!("Commit {revision} not found")))
    };
    let (new, old) = match spec.split_once("..") {
        Some((new, old)) => (find(new)?, Some(find(old)?)),
        None => {
            let new = find(spec)?;
            let parent = new.parents.first();
            (new, parent.and_then(|hash| repository.resolve(hash)))
        }
    };
    let old = match old {
        // Only this is the exact difference. All else compares with what both build on, so that files which only the
        // old side has do not show up as removed.
        Some(old) if request.query("topic") != Some("false") && spec.contains("..") => Some(
            repository
                .merge_base(&new.hash, &old.hash)
                .ok_or_else(|| refuse(400, "no common ancestor"))?,
        ),
        old => old,
    };
    let renames = request.query("renames") != Some("false");
    let mut changes = changes(old.map(|commit| &commit.tree), &new.tree, renames);
    let wanted: Vec<&str> = request.query_all("path").collect();
    if !wanted.is_empty() {
        changes.retain(|change| {
            [change.old, change.new]
                .into_iter()
                .flatten()
                .any(|(path, _)| wanted.iter().any(|wanted| is_under(path, wanted)))
        });
    }
    if call.quirks.diff_limit < changes.len() {
        return Err(timed_out());
    }
    let side = |commit: Option<&Commit>, side: Option<(&str, &File)>| match (commit, side) {
        (Some(commit), Some((path, _))) => state.diff_side(repository, &commit.hash, path),
        _ => Value::Null,
    };
    list(request, call.quirks, &DIFFSTAT, changes, |change| {
        let (added, removed) = change.lines();
        json!({
            "type": "diffstat",
            "lines_added": added,
            "lines_removed": removed,
            "status": change.status(),
            "old": side(old, change.old),
            "new": side(Some(new), change.new),
        })
    })
}

/// Whether the request reads a file's content, which has an allowance of its own.
pub(super) fn is_raw_file(request: &Request, segments: &[&str]) -> bool {
    matches!(segments, ["repositories", _, _, "src", _, .., last] if !last.is_empty())
        && request.query("format").is_none()
}

/// The media service, which large files redirect to. It takes no credentials of the API.
pub(super) fn media(state: &State, request: &Request, etag: &str) -> Response {
    if request.header("authorization").is_some() {
        return Response::text(400, "Only one authentication mechanism is allowed");
    }
    let found = state
        .repositories
        .iter()
        .flat_map(|repository| repository.commits.values())
        .flat_map(|commit| commit.tree.values())
        .find(|file| file.kind == FileKind::Lfs && self::etag(file) == etag);
    match found {
        Some(file) => Response::bytes(200, "application/octet-stream", file.content.to_vec()),
        None => Response::text(404, "Not found"),
    }
}

fn file_at(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    commit: &Commit,
    path: &str,
    file: &File,
) -> Result<Response, Response> {
    parameters_among(call.request, &["format", "fields"])?;
    match call.request.query("format") {
        Some("meta") => {
            let entry = state.entry_json(repository, &commit.hash, path, Some(file));
            return single_entry(call, entry);
        }
        Some(other) => return Err(refuse(400, &format!("Invalid format {other}"))),
        None => {}
    }
    if file.kind == FileKind::Lfs {
        // Another host than the API's, so that a client drops its credentials.
        let host = call.request.base.replace("127.0.0.1", "localhost");
        let target = format!("{host}/media/{}", etag(file));
        return Ok(Response::empty(301).with_header("location", target));
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok(
        Response::bytes(200, content_type(path, file), file.content.to_vec())
            .with_header(
                "content-disposition",
                format!("attachment; filename=\"{}\"", name.escape_default()),
            )
            .with_header("etag", format!("\"{}\"", etag(file))),
    )
}

fn single_entry(call: &Call<'_>, entry: Value) -> Result<Response, Response> {
    parameters_among(call.request, &["format", "fields"])?;
    let entry = fields::select(entry, call.request.query("fields"), &[]);
    Ok(Response::json(200, &entry))
}

struct Entry<'t> {
    path: &'t str,
    /// 1 for what lies directly in the directory.
    depth: usize,
    /// None for a directory.
    file: Option<&'t File>,
}

/// Everything below a directory, at any depth.
fn entries<'t>(tree: &'t BTreeMap<String, File>, directory: &str) -> Vec<Entry<'t>> {
    let mut entries = Vec::new();
    let mut directories = BTreeSet::new();
    for (path, file) in tree {
        let inner = match directory {
            "" => Some(path.as_str()),
            directory => path
                .strip_prefix(directory)
                .and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(inner) = inner else { continue };
        let start = path.len() - inner.len();
        for (depth, (offset, _)) in inner.match_indices('/').enumerate() {
            if let Some(parent) = path.get(..start + offset)
                && directories.insert(parent)
            {
                entries.push(Entry {
                    path: parent,
                    depth: depth + 1,
                    file: None,
                });
            }
        }
        entries.push(Entry {
            path,
            depth: inner.matches('/').count() + 1,
            file: Some(file),
        });
    }
    entries
}

/// One file that differs; the old or the new side may be missing, not both.
struct Change<'t> {
    old: Option<(&'t str, &'t File)>,
    new: Option<(&'t str, &'t File)>,
}

fn changes<'t>(old: Option<&'t Tree>, new: &'t Tree, renames: bool) -> Vec<Change<'t>> {
    let mut changes: Vec<Change<'_>> = Vec::new();
    for (path, file) in new.iter() {
        let before = old.and_then(|tree| tree.get(path));
        if before != Some(file) {
            changes.push(Change {
                old: before.map(|before| (path.as_str(), before)),
                new: Some((path, file)),
            });
        }
    }
    let old_files = old.into_iter().flat_map(|tree| tree.iter());
    for (path, file) in old_files.filter(|(path, _)| !new.contains_key(*path)) {
        let renamed = changes.iter_mut().find(|change| {
            renames && change.old.is_none() && change.new.is_some_and(|(_, new)| new == file)
        });
        match renamed {
            Some(change) => change.old = Some((path, file)),
            None => changes.push(Change {
                old: Some((path, file)),
                new: None,
            }),
        }
    }
    changes.sort_by_key(|change| change.new.or(change.old).map(|(path, _)| path));
    changes
}

impl Change<'_> {
    fn status(&self) -> &'static str {
        match (self.old, self.new) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some((old, _)), Some((new, _))) if old != new => "renamed",
            _ => "modified",
        }
    }

    /// Lines added and removed, as a difference of two bags of lines.
    fn lines(&self) -> (usize, usize) {
        let mut counts: BTreeMap<&[u8], i64> = BTreeMap::new();
        for (side, step) in [(self.old, -1), (self.new, 1)] {
            let content = side.map_or(&[][..], |(_, file)| &file.content);
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                *counts.entry(line).or_default() += step;
            }
        }
        let sum = |sign: i64| {
            let counts = counts.values().map(|count| (count * sign).max(0));
            usize::try_from(counts.sum::<i64>()).unwrap_or_default()
        };
        (sum(1), sum(-1))
    }
}

fn is_under(path: &str, wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches('/');
    path.strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn content_type(path: &str, file: &File) -> &'static str {
    match path.rsplit('.').next() {
        Some("json") => "application/json",
        Some("md") => "text/markdown",
        Some("yml" | "yaml") => "application/yaml",
        Some("png") => "image/png",
        Some("rs" | "txt") => "text/plain",
        _ if file.kind == FileKind::Binary => "application/octet-stream",
        _ => "text/plain",
    }
}

/// The same for equal files anywhere.
fn etag(file: &File) -> String {
    let digest = Sha256::digest(&file.content);
    hex::encode(digest.get(..16).unwrap_or_default())
}

/// Bitbucket's own status for work that took too long.
fn timed_out() -> Response {
    refuse(555, "The request took too long to process")
}
