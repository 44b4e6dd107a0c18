//! The tree of a repository at a commit: every entry once, however the listing has to be cut up.

use std::collections::{HashSet, VecDeque};

use serde_json::Value;

use super::client::BitbucketClient;
use super::error::Error;
use crate::deadline::Deadline;

/// Levels asked for at once where all are wanted. Deeper folders are listed one by one.
const LEVELS_AT_ONCE: usize = 12;

/// Lists the entries of a commit down to `depth` levels (all without it) and keeps those that `keep` wants, in
/// Bitbucket's order.
///
/// Bitbucket gives up on a listing that is too large (HTTP 555): then the same folder is listed level by level.
pub async fn list_tree(
    client: &BitbucketClient,
    repository_uuid: &str,
    commit: &str,
    depth: Option<usize>,
    keep: &(dyn Fn(&Value) -> bool + Sync),
    deadline: &Deadline,
) -> Result<Vec<Value>, Error> {
    let mut kept = Vec::new();
    let mut pending = VecDeque::from([Folder {
        path: String::new(),
        left: depth,
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
