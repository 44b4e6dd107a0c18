//! Files that go along with repositories and pull requests, as `__includedFiles`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::content::Skip;
use super::tree::GitContents;
use super::unread::{Tolerance, Unread};
use super::{FILES_AT_ONCE, Group, INCLUDED_FILES, Source, content};
use crate::bitbucket::{self, BitbucketClient};
use crate::deadline::Deadline;
use crate::failure::UnreadFile;
use crate::identity::{Repository, RepositoryId};
use crate::locked::locked;

/// Reads the files that a group includes, those of one branch once.
pub(super) struct IncludedFiles<'a> {
    bitbucket: &'a BitbucketClient,
    paths: &'a [String],
    of_pull_requests: bool,
    /// By repository and branch. Only pull requests share a branch.
    read: Mutex<HashMap<(RepositoryId, String), Arc<Files>>>,
    tolerance: Tolerance,
}

/// An item with its files. One whose files cannot be read is unread if it is a pull request; else that is the error, with
/// the repository that it is about, where that is known.
pub(super) type Completed = Result<Result<Value, Unread>, (Option<Repository>, bitbucket::Error)>;

type Files = OnceCell<Result<Map<String, Value>, Arc<UnreadFile>>>;

impl<'a> IncludedFiles<'a> {
    /// `None` where items carry no files, or get them elsewhere.
    pub(super) fn of(
        bitbucket: &'a BitbucketClient,
        group: &'a Group,
    ) -> Option<IncludedFiles<'a>> {
        let of_pull_requests = match group.source {
            Source::Repositories(_) => false,
            Source::PullRequests { .. } => true,
            _ => return None,
        };
        (!group.included_files.is_empty()).then(|| IncludedFiles {
            bitbucket,
            paths: &group.included_files,
            of_pull_requests,
            read: Mutex::default(),
            tolerance: Tolerance::default(),
        })
    }

    /// `raw` with its files, a missing one as null: from a repository's default branch, or from the branch that a pull
    /// request goes to.
    pub(super) async fn add_to(&self, mut raw: Value, deadline: &Deadline) -> Completed {
        let repository = if self.of_pull_requests {
            destination(&raw)
        } else {
            Repository::of(&raw)
        };
        let files = match &repository {
            Some(repository) => self
                .files(repository, deadline)
                .await
                .map_err(|error| (Some(repository.clone()), error))?,
            None => Ok(self.nothing()),
        };
        let files = match files {
            Ok(files) => files,
            Err(file) => return Ok(Err(Unread { raw, file })),
        };
        if let Value::Object(item) = &mut raw {
            item.insert(INCLUDED_FILES.to_owned(), Value::Object(files));
        }
        Ok(Ok(raw))
    }

    async fn files(
        &self,
        repository: &Repository,
        deadline: &Deadline,
    ) -> Result<Result<Map<String, Value>, Arc<UnreadFile>>, bitbucket::Error> {
        let Some(branch) = &repository.main_branch else {
            return Ok(Ok(self.nothing()));
        };
        if !self.of_pull_requests {
            return self.read(repository, branch, deadline).await.map(Ok);
        }
        let cell = {
            let mut read = locked(&self.read);
            let key = (repository.uuid.clone(), branch.clone());
            Arc::clone(read.entry(key).or_default())
        };
        let read = || async {
            let read = self.read(repository, branch, deadline).await;
            self.tolerance.judge(&self.paths.join(", "), read)
        };
        cell.get_or_try_init(read).await.cloned()
    }

    fn nothing(&self) -> Map<String, Value> {
        let paths = self.paths.iter();
        paths.map(|path| (path.clone(), Value::Null)).collect()
    }

    async fn read(
        &self,
        repository: &Repository,
        branch: &str,
        deadline: &Deadline,
    ) -> Result<Map<String, Value>, bitbucket::Error> {
        // All at one commit. A branch may move between two files, and its name may look like a path (BCLOUD-9969).
        let uuid = repository.uuid.as_str();
        let commit = match repository.head_of(branch) {
            Some(head) => head.to_owned(),
            None => match self.bitbucket.branch_head(uuid, branch, deadline).await? {
                Some(head) => head,
                None => return Ok(self.nothing()),
            },
        };
        let full_name = &repository.full_name;
        let places: Vec<String> = self
            .paths
            .iter()
            .map(|path| content::included("", path))
            .collect();
        let over_git =
            GitContents::of_paths(self.bitbucket, full_name, (&commit, &places), deadline).await;
        stream::iter(self.paths.iter().zip(&places))
            .map(|(path, place)| {
                let known = over_git.as_ref().and_then(|git| git.text(&commit, place));
                let place = (repository.uuid.as_str(), commit.as_str(), place.as_str());
                async move {
                    let text = match known {
                        Some(text) => text,
                        None => self.text(place, deadline).await?,
                    };
                    if matches!(text, Err(Skip::TooLarge)) {
                        tracing::warn!(
                            repository = full_name,
                            path,
                            "an included file is too large: it is null"
                        );
                    }
                    Ok((path.clone(), text.map_or(Value::Null, Value::String)))
                }
            })
            .buffered(FILES_AT_ONCE)
            .try_collect()
            .await
    }

    /// The text of a file over REST, or why there is none.
    async fn text(
        &self,
        (uuid, revision, place): (&str, &str, &str),
        deadline: &Deadline,
    ) -> Result<Result<String, Skip>, bitbucket::Error> {
        match self.bitbucket.file(uuid, revision, place, deadline).await {
            Ok(Some(bytes)) => Ok(content::text(bytes).ok_or(Skip::Binary)),
            Ok(None) => Ok(Err(Skip::Gone)),
            Err(bitbucket::Error::TooLarge { .. }) => Ok(Err(Skip::TooLarge)),
            Err(error) => Err(error),
        }
    }
}

/// Where a pull request goes to: the repository, with that branch for its main one.
fn destination(pull_request: &Value) -> Option<Repository> {
    let destination = pull_request.get("destination")?;
    let branch = destination.pointer("/branch/name").and_then(Value::as_str);
    Some(Repository {
        main_branch: branch.map(str::to_owned),
        head: None,
        ..Repository::of(destination.get("repository")?)?
    })
}
