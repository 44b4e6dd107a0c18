//! Git over HTTPS, protocol version 2, as far as commits without history and single objects are concerned.
//!
//! `objects` knows what commits consist of, `pack` writes it down. Strict as the rest of the service: what git's own server would
//! not understand, or would answer with a whole history, is refused.

mod objects;
mod pack;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;

pub(in crate::bitbucket) use objects::hash;
use objects::{Found, Id, Object, ObjectKind};

use super::settings::{Credential, Hidden, Quirks};
use super::state::{Repository, State};
use crate::server::{Request, Response};

/// Most bytes that one packet of a side band holds.
const BAND: usize = 65_515;

/// A request for a repository's objects, when it is one: `/{workspace}/{slug}.git/..`
pub(super) fn answer(
    request: &Request,
    credential: &Credential,
    quirks: &Quirks,
    state: &State,
    segments: &[&str],
) -> Response {
    if quirks.without_git {
        return Response::text(404, "Not found");
    }
    let [workspace, name, action @ ..] = segments else {
        return Response::text(404, "Not found");
    };
    let slug = name.strip_suffix(".git").unwrap_or(name);
    let found = state.repositories.iter().find(|it| it.slug == slug);
    let Some(repository) = found.filter(|_| *workspace == state.slug) else {
        return Response::text(404, "Repository not found");
    };
    match credential.hidden.get(&repository.uuid) {
        Some(Hidden::NotFound) => return Response::text(404, "Repository not found"),
        Some(Hidden::Forbidden) => return Response::text(403, "Forbidden"),
        None => {}
    }
    if credential.requires("repository").is_err() {
        return Response::text(403, "Forbidden");
    }
    if request.header("git-protocol") != Some("version=2") {
        return Response::text(400, "only version 2 is spoken here");
    }
    match (request.method.clone(), action) {
        (Method::GET, ["info", "refs"]) if request.query("service") == Some("git-upload-pack") => {
            Response::bytes(
                200,
                "application/x-git-upload-pack-advertisement",
                advertised(quirks),
            )
        }
        (Method::POST, ["git-upload-pack"]) => {
            let kind = request.header("content-type");
            if kind != Some("application/x-git-upload-pack-request") {
                return Response::text(415, "Unsupported media type");
            }
            let answer = fetched(repository, quirks, &request.body);
            let answer = answer.unwrap_or_else(|error| line(&format!("ERR {error}")));
            Response::bytes(200, "application/x-git-upload-pack-result", answer)
        }
        _ => Response::text(404, "Not found"),
    }
}

fn advertised(quirks: &Quirks) -> Vec<u8> {
    let fetch = match quirks.git_without_filters {
        true => "fetch=shallow wait-for-done",
        false => "fetch=shallow wait-for-done filter",
    };
    let lines = [
        "version 2",
        "agent=git/2.47.0",
        "ls-refs=unborn",
        fetch,
        "server-option",
        "object-format=sha1",
    ];
    let mut answer = line("# service=git-upload-pack\n");
    answer.extend_from_slice(b"0000");
    answer.extend(lines.iter().flat_map(|text| line(&format!("{text}\n"))));
    answer.extend_from_slice(b"0000");
    answer
}

fn line(text: &str) -> Vec<u8> {
    packet(text.as_bytes())
}

fn packet(content: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", content.len() + 4).into_bytes();
    packet.extend_from_slice(content);
    packet
}

/// What a fetch asks for.
#[derive(Default)]
struct Wish {
    wanted: BTreeSet<String>,
    without_files: bool,
    without_history: bool,
    by_offset: bool,
    done: bool,
}

impl Wish {
    fn read(body: &[u8], quirks: &Quirks) -> Result<Wish, String> {
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let mut lines = Vec::new();
        let mut rest = text;
        while let Some((length, after)) = rest.split_at_checked(4) {
            let length = usize::from_str_radix(length, 16).map_err(|error| error.to_string())?;
            let (content, after) = after
                .split_at_checked(length.saturating_sub(4))
                .ok_or("a packet that ends too early")?;
            lines.push(if length < 4 {
                "0001"
            } else {
                content.trim_end()
            });
            rest = after;
        }
        let ["command=fetch", "0001", arguments @ .., "0001"] = lines.as_slice() else {
            return Err(format!("unexpected request {lines:?}"));
        };
        let mut wish = Wish::default();
        for argument in arguments {
            match argument.split_once(' ').unwrap_or((argument, "")) {
                ("want", id) => {
                    wish.wanted.insert(id.to_owned());
                }
                ("filter", "blob:none") if !quirks.git_without_filters => wish.without_files = true,
                ("deepen", "1") => wish.without_history = true,
                ("ofs-delta", "") => wish.by_offset = true,
                ("no-progress", "") => {}
                ("done", "") => wish.done = true,
                _ => return Err(format!("unexpected line: '{argument}'")),
            }
        }
        match wish.done && !wish.wanted.is_empty() {
            true => Ok(wish),
            false => Err("negotiation is not simulated".to_owned()),
        }
    }
}

fn fetched(repository: &Repository, quirks: &Quirks, body: &[u8]) -> Result<Vec<u8>, String> {
    let wish = Wish::read(body, quirks)?;
    let mut sent: BTreeMap<Id, Object> = BTreeMap::new();
    let mut missing = wish.wanted.clone();
    for hash in &wish.wanted {
        let Some(commit) = repository.commits.get(hash) else {
            continue;
        };
        if !wish.without_history {
            return Err("a whole history is too much".to_owned());
        }
        missing.remove(hash);
        let objects = Found::of(commit).all.into_iter();
        let is_file = |object: &Object| object.kind == ObjectKind::Blob;
        sent.extend(objects.filter(|(_, object)| !(wish.without_files && is_file(object))));
    }
    for commit in repository.commits.values() {
        if missing.is_empty() {
            break;
        }
        let objects = Found::of(commit).all.into_iter();
        sent.extend(objects.filter(|(id, _)| missing.remove(&hex::encode(id))));
    }
    if let Some(id) = missing.first() {
        return Err(format!("upload-pack: not our ref {id}"));
    }
    let mut sent: Vec<(Id, Object)> = sent.into_iter().collect();
    // What resembles each other stands side by side.
    sent.sort_by(|(_, one), (_, other)| {
        (one.kind as u8, &one.content).cmp(&(other.kind as u8, &other.content))
    });
    let pack = pack::pack(&sent, wish.by_offset).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    if wish.without_history {
        answer.extend(line("shallow-info\n"));
        let commits = wish.wanted.iter();
        answer.extend(commits.flat_map(|hash| line(&format!("shallow {hash}\n"))));
        answer.extend_from_slice(b"0001");
    }
    answer.extend(line("packfile\n"));
    answer.extend(packet(b"\x02Compressing objects\r"));
    for piece in pack.chunks(BAND) {
        answer.extend(packet(&[b"\x01", piece].concat()));
    }
    answer.extend_from_slice(b"0000");
    Ok(answer)
}
