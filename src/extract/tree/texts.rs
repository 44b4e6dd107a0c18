//! The texts of one repository's files, each read once however many items hold it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;

use super::super::content::{self, Skip};
use super::super::unread::Tolerance;
use super::git::GitContents;
use crate::bitbucket::{self, BitbucketClient};
use crate::deadline::Deadline;
use crate::failure::UnreadFile;
use crate::identity::RepositoryId;
use crate::locked::locked;

/// Bytes of files kept between batches, in case another item holds the same file.
const MAX_KEPT_BYTES: usize = 4 << 20;

pub(super) struct Texts<'a> {
    bitbucket: &'a BitbucketClient,
    repository: RepositoryId,
    /// By commit and path.
    read: Mutex<HashMap<(String, String), Arc<Text>>>,
    tolerance: Tolerance,
    git: Option<GitContents>,
}

type Text = OnceCell<Result<String, NoText>>;

/// Why there is no text of a file.
#[derive(Clone)]
pub(super) enum NoText {
    Skip(Skip),
    Unread(Arc<UnreadFile>),
}

impl<'a> Texts<'a> {
    pub(super) fn new(bitbucket: &'a BitbucketClient, repository: RepositoryId) -> Texts<'a> {
        Texts {
            bitbucket,
            repository,
            read: Mutex::default(),
            tolerance: Tolerance::default(),
            git: None,
        }
    }

    /// From now on asks REST only for what `contents` does not hold.
    pub(super) fn take_from(&mut self, contents: GitContents) {
        self.git = Some(contents);
    }

    /// What was read over git.
    pub(super) fn git(&self) -> Option<&GitContents> {
        self.git.as_ref()
    }

    /// The text of the file at `path`, as it was at `commit`, or why there is none to show.
    pub(super) async fn load(
        &self,
        commit: &str,
        path: &str,
        deadline: &Deadline,
    ) -> Result<Result<String, NoText>, bitbucket::Error> {
        let known = self.git.as_ref().and_then(|git| git.text(commit, path));
        if let Some(text) = known {
            return Ok(text.map_err(NoText::Skip));
        }
        let cell = {
            let mut read = locked(&self.read);
            let key = (commit.to_owned(), path.to_owned());
            Arc::clone(read.entry(key).or_default())
        };
        let read = || async {
            let uuid = self.repository.as_str();
            let read = match self.bitbucket.file(uuid, commit, path, deadline).await {
                Ok(Some(bytes)) => Ok(content::text(bytes).ok_or(Skip::Binary)),
                Ok(None) => Ok(Err(Skip::Gone)),
                Err(bitbucket::Error::TooLarge { .. }) => Ok(Err(Skip::TooLarge)),
                Err(error) => Err(error),
            };
            Ok(match self.tolerance.judge(path, read)? {
                Ok(text) => text.map_err(NoText::Skip),
                Err(file) => Err(NoText::Unread(file)),
            })
        };
        cell.get_or_try_init(read).await.cloned()
    }

    /// Forgets the texts when they are many.
    pub(super) fn make_room(&self) {
        let mut read = locked(&self.read);
        let length = |cell: &Arc<Text>| match cell.get() {
            Some(Ok(text)) => text.len(),
            _ => 0,
        };
        if MAX_KEPT_BYTES < read.values().map(length).sum() {
            read.clear();
        }
    }
}
