//! Files: directory listings, raw contents, and the difference of two trees.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Call;
use crate::bitbucket::fields;
use crate::bitbucket::page::{Pages, Rules, list, parameters_among};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::{Commit, File, FileKind, Repository, State};
use crate::server::{Request, Response};

const ENTRIES: Rules = Rules {
    pages: Pages::Opaque,
    queryable: &["path", "type", "size", "attributes", "mimetype"],
    parameters: &["max_depth", "format"],
    ..Rules::PLAIN
};

/// Below `/repositories/{workspace}/{repository}/src`.
pub(super) fn answer(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    segments: &[&str],
) -> Result<Response, Response> {
    let [revision, path @ ..] = segments else {
        return Err(refuse(404, "Resource not found"));
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
