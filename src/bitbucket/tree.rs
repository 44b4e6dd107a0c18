//! The tree of a repository at a commit: every entry once, however the listing has to be cut up.

use std::collections::VecDeque;

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
        let before = (kept.len(), pending.len());
        while let Err(error) = folder
            .list(
                client,
                repository_uuid,
                commit,
                levels,
                &mut |entry, below| {
                    pending.extend(below);
                    if keep(&entry) {
                        kept.push(entry);
                    }
                },
                deadline,
            )
            .await
        {
            kept.truncate(before.0);
            pending.truncate(before.1);
            match error {
                Error::TooLarge { .. } if 1 < levels => levels = 1,
                error => return Err(error),
            }
        }
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
    /// Hands over each entry, and with it the folder to be listed because it lies at the edge of this listing.
    async fn list(
        &self,
        client: &BitbucketClient,
        repository_uuid: &str,
        commit: &str,
        levels: usize,
        take: &mut (dyn FnMut(Value, Option<Folder>) + Send),
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let mut pages = client.directory(repository_uuid, commit, &self.path, levels);
        while let Some(entries) = pages.next(deadline).await? {
            for entry in entries {
                let below = self.below(&entry, levels);
                take(entry, below);
            }
        }
        Ok(())
    }

    fn below(&self, entry: &Value, levels: usize) -> Option<Folder> {
        let path = entry.get("path")?.as_str()?;
        if entry.get("type")?.as_str()? != "commit_directory" {
            return None;
        }
        let relative = path
            .strip_prefix(self.path.as_str())?
            .trim_start_matches('/');
        let at = relative.split('/').count();
        let left = match self.left {
            Some(left) => Some(left.checked_sub(at).filter(|left| 0 < *left)?),
            None => None,
        };
        (at == levels).then(|| Folder {
            path: path.to_owned(),
            left,
        })
    }
}
