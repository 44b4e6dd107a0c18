//! The texts of one repository's files, each read once however many items hold it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;

use super::super::content::{self, Skip};
use super::super::unread::Tolerance;
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
        }
    }

    /// The text of the file at `path`, as it was at `commit`, or why there is none to show.
    pub(super) async fn load(
        &self,
        commit: &str,
        path: &str,
        deadline: &Deadline,
    ) -> Result<Result<String, NoText>, bitbucket::Error> {
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
