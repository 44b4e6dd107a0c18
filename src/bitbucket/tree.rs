//! The tree of a repository at a commit: every entry once, however the listing has to be cut up; or those that Bitbucket
//! picks out itself, where it does.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::client::BitbucketClient;
use super::error::Error;
use crate::class::Class;
use crate::deadline::{Deadline, later};
use crate::locked::locked;

/// Levels asked for at once where all are wanted. Deeper folders are listed one by one.
const LEVELS_AT_ONCE: usize = 12;

/// Levels asked for where Bitbucket picks entries out and all levels are wanted. It takes ten thousand, and shows what lies
/// as deep.
const ALL_LEVELS: usize = 10_000;

/// How long it holds that a server picks out all that it should.
const PROVEN_FOR: Duration = Duration::from_secs(24 * 3600);

/// How long a server is not asked that has failed to.
const REFUSED_FOR: Duration = Duration::from_secs(3600);

/// What is wanted of a tree.
pub struct TreeWish<'a> {
    /// Levels; `None` for all.
    pub depth: Option<usize>,
    /// What all that is wanted satisfies, in Bitbucket's language of queries, where that is less than everything.
    pub query: Option<String>,
    /// Whether an entry is wanted.
    pub keep: &'a (dyn Fn(&Value) -> bool + Sync),
}

/// Whether Bitbucket can be believed when it picks entries out itself. A server that takes the query and shows but a few levels,
/// as some do, would seem to have lost the files below: so it has to show first what a walk has found.
#[derive(Default)]
pub(super) struct TreeQueries {
    belief: Mutex<Belief>,
}

#[derive(Clone, Copy, Default)]
enum Belief {
    #[default]
    Unproven,
    ProvenUntil(Timestamp),
    RefusedUntil(Timestamp),
}

/// Lists the entries of a commit that `wish` is about, in Bitbucket's order.
///
/// Bitbucket gives up on a listing that is too large (HTTP 555): then it is read without the query, and folder by folder, level
/// by level, where that is too much as well.
pub async fn list_tree(
    client: &BitbucketClient,
    repository_uuid: &str,
    commit: &str,
    wish: &TreeWish<'_>,
    deadline: &Deadline,
) -> Result<Vec<Value>, Error> {
    let place = (repository_uuid, commit);
    let query = wish.query.as_deref();
    let (now, queries) = (
        client.shared.http.clock().now(),
        &client.shared.tree_queries,
    );
    match query.map(|query| (query, queries.belief(now))) {
        Some((query, Belief::ProvenUntil(_))) => {
            match pick(client, place, query, wish, deadline).await {
                Err(error) if queries.fail(&error, now) => {}
                picked => return picked,
            }
        }
        Some((query, Belief::Unproven)) => {
            let walked = walk(client, place, wish, deadline).await?;
            if walked.iter().any(|entry| path_of(entry).contains('/')) {
                let picked = pick(client, place, query, wish, deadline).await;
                queries.compare(&walked, picked, now);
            }
            return Ok(walked);
        }
        Some((_, Belief::RefusedUntil(_))) | None => {}
    }
    walk(client, place, wish, deadline).await
}

impl TreeQueries {
    fn belief(&self, now: Timestamp) -> Belief {
        let belief = *locked(&self.belief);
        match belief {
            Belief::ProvenUntil(until) | Belief::RefusedUntil(until) if until <= now => {
                Belief::Unproven
            }
            belief => belief,
        }
    }

    /// Takes in why nothing was picked out; says whether the same may be had without a query.
    fn fail(&self, error: &Error, now: Timestamp) -> bool {
        match error {
            // Too much for this repository.
            Error::TooLarge { .. } => true,
            Error::Refused { .. } | Error::Unavailable { .. } | Error::Unexpected { .. } => {
                *locked(&self.belief) = Belief::RefusedUntil(later(now, REFUSED_FOR));
                true
            }
            error => error.class() == Class::Part,
        }
    }

    /// Takes in what was picked out where it is known what there is.
    fn compare(&self, walked: &[Value], picked: Result<Vec<Value>, Error>, now: Timestamp) {
        let paths = |entries: &[Value]| -> BTreeSet<String> {
            let paths = entries.iter().map(path_of);
            paths.map(str::to_owned).collect()
        };
        match picked {
            Ok(picked) if paths(&picked) == paths(walked) => {
                *locked(&self.belief) = Belief::ProvenUntil(later(now, PROVEN_FOR));
            }
            Ok(_) => *locked(&self.belief) = Belief::RefusedUntil(later(now, REFUSED_FOR)),
            Err(error) => {
                self.fail(&error, now);
            }
        }
    }
}

fn path_of(entry: &Value) -> &str {
    let path = entry.get("path").and_then(Value::as_str);
    path.unwrap_or_default()
}

/// Asks Bitbucket for what is wanted.
async fn pick(
    client: &BitbucketClient,
    (repository_uuid, commit): (&str, &str),
    query: &str,
    wish: &TreeWish<'_>,
    deadline: &Deadline,
) -> Result<Vec<Value>, Error> {
    let levels = wish.depth.unwrap_or(ALL_LEVELS);
    let mut pages = client.picked(repository_uuid, commit, levels, query);
    let mut kept = Vec::new();
    while let Some(entries) = pages.next(deadline).await? {
        kept.extend(entries.into_iter().filter(|entry| (wish.keep)(entry)));
    }
    Ok(kept)
}

/// Lists everything, and keeps what is wanted.
async fn walk(
    client: &BitbucketClient,
    (repository_uuid, commit): (&str, &str),
    wish: &TreeWish<'_>,
    deadline: &Deadline,
) -> Result<Vec<Value>, Error> {
    let TreeWish { depth, keep, .. } = wish;
    let mut kept = Vec::new();
    let mut pending = VecDeque::from([Folder {
        path: String::new(),
        left: *depth,
    }]);
    while let Some(folder) = pending.pop_front() {
        let mut levels = folder
            .left
            .map_or(LEVELS_AT_ONCE, |left| left.min(LEVELS_AT_ONCE));
        // What was kept of a listing that fails half-way is listed again.
        let before = kept.len();
        let below = loop {
            let mut take = |entry: Value| {
                if keep(&entry) {
                    kept.push(entry);
                }
            };
            let listed = folder.list(client, repository_uuid, commit, levels, &mut take, deadline);
            match listed.await {
                Ok(below) => break below,
                Err(Error::TooLarge { .. }) if 1 < levels => levels = 1,
                Err(error) => return Err(error),
            }
            kept.truncate(before);
        };
        pending.extend(below);
    }
    Ok(kept)
}

struct Folder {
    /// Empty for the root.
    path: String,
    /// Levels below it that are wanted; `None` for all.
    left: Option<usize>,
}

impl Folder {
    /// Hands over each entry; returns the folders below whose content is still to be listed.
    ///
    /// Git has no empty folders, so those are the ones without an entry in the listing: the ones at its edge, and every
    /// one where a server does not go as deep as it was asked to.
    async fn list(
        &self,
        client: &BitbucketClient,
        repository_uuid: &str,
        commit: &str,
        levels: usize,
        take: &mut (dyn FnMut(Value) + Send),
        deadline: &Deadline,
    ) -> Result<Vec<Folder>, Error> {
        let mut pages = client.directory(repository_uuid, commit, &self.path, levels);
        let mut folders = Vec::new();
        let mut with_entries = HashSet::new();
        while let Some(entries) = pages.next(deadline).await? {
            for entry in entries {
                let path = entry
                    .get("path")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                if let Some((parent, _)) = path.rsplit_once('/')
                    && !with_entries.contains(parent)
                {
                    with_entries.insert(parent.to_owned());
                }
                if entry.get("type").and_then(Value::as_str) == Some("commit_directory") {
                    folders.push(path.to_owned());
                }
                take(entry);
            }
        }
        folders.retain(|path| !with_entries.contains(path) && *path != self.path);
        Ok(folders
            .into_iter()
            .filter_map(|path| self.below(path))
            .collect())
    }

    /// The folder at `path`, unless what is in it lies too deep to be wanted.
    fn below(&self, path: String) -> Option<Folder> {
        let relative = path
            .strip_prefix(self.path.as_str())?
            .trim_start_matches('/');
        let at = relative.split('/').count();
        let left = match self.left {
            Some(left) => Some(left.checked_sub(at).filter(|left| 0 < *left)?),
            None => None,
        };
        Some(Folder { path, left })
    }
}
