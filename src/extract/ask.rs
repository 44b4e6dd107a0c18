//! Raw items asked for by their ids, in the shape in which a list shows them.
//!
//! A filter that names the id answers for the item: what it does not give is not selected, or is not there. Knows
//! nothing of what follows from that.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::included::IncludedFiles;
use super::unread::Unread;
use super::{Group, Source};
use crate::bitbucket::{self, BitbucketClient, Pages};
use crate::deadline::Deadline;
use crate::identity::{Repository, RepositoryId};
use crate::mapping::RepositoryFilter;

/// An item by its id, or which file of it could not be read.
pub type Asked<Id> = BTreeMap<Id, Result<Value, Unread>>;

/// Those of `uuids` that `filter` selects, as the list of repositories shows them.
pub async fn repositories(
    bitbucket: &BitbucketClient,
    filter: &RepositoryFilter,
    uuids: &[RepositoryId],
    deadline: &Deadline,
) -> Result<Vec<Value>, bitbucket::Error> {
    let RepositoryFilter { role, query } = filter;
    let uuids: Vec<&str> = uuids.iter().map(RepositoryId::as_str).collect();
    bitbucket
        .repositories_among(role.as_deref(), query.as_deref(), &uuids, deadline)
        .await
}

/// The repository, if `filter` selects it.
pub async fn repository(
    bitbucket: &BitbucketClient,
    filter: &RepositoryFilter,
    uuid: &RepositoryId,
    deadline: &Deadline,
) -> Result<Option<Value>, bitbucket::Error> {
    let found = repositories(bitbucket, filter, std::slice::from_ref(uuid), deadline).await?;
    let mut found = found.into_iter();
    Ok(found.find(|raw| Repository::of(raw).is_some_and(|one| one.uuid == *uuid)))
}

/// `raw`, a repository or a pull request, with the files that `group` wants beside it.
pub async fn with_files(
    bitbucket: &BitbucketClient,
    group: &Group,
    raw: Value,
    deadline: &Deadline,
) -> Result<Value, bitbucket::Error> {
    match IncludedFiles::of(bitbucket, group) {
        Some(included) => {
            let added = included.add_to(raw, deadline).await;
            let added = added.map_err(|(_, error)| error)?;
            // Only pull requests are ever unread: a repository comes with what its files have failed for.
            Ok(added.unwrap_or_else(|unread| unread.raw))
        }
        None => Ok(raw),
    }
}

/// `raw`, a repository, with the head of its main branch where items of `group` may show that and `raw` does not: not
/// every server gives it along.
pub async fn completed(
    bitbucket: &BitbucketClient,
    group: &Group,
    raw: Value,
    deadline: &Deadline,
) -> Result<Value, bitbucket::Error> {
    let is_without = raw
        .pointer("/mainbranch/name")
        .is_some_and(Value::is_string)
        && raw.pointer("/mainbranch/target").is_none();
    match is_without && group.shows_head() {
        true => bitbucket.with_head(raw, deadline).await,
        false => Ok(raw),
    }
}

/// Those of the pull requests `ids` of `repository` that `group` selects. The repository itself is taken for selected.
pub async fn pull_requests(
    bitbucket: &BitbucketClient,
    group: &Group,
    repository: &RepositoryId,
    ids: &[u64],
    deadline: &Deadline,
) -> Result<Asked<u64>, bitbucket::Error> {
    let Source::PullRequests { query, .. } = &group.source else {
        return Ok(Asked::new());
    };
    let found = bitbucket
        .pull_requests_among(repository.as_str(), query, ids, deadline)
        .await?;
    let included = IncludedFiles::of(bitbucket, group);
    let completed = stream::iter(found)
        .map(async |raw| {
            let id = bitbucket::number_of(&raw)?;
            let raw = match &included {
                Some(included) => included.add_to(raw, deadline).await,
                None => Ok(Ok(raw)),
            };
            Some(raw.map(|raw| (id, raw)).map_err(|(_, error)| error))
        })
        .buffered(bitbucket.files_at_once());
    completed.filter_map(std::future::ready).try_collect().await
}

/// Whether a member of a partition that a list did not show is there all the same.
pub enum Hidden {
    /// It is not there any more.
    Gone,
    /// It is there, and the bounds of the list leave it out.
    LeftOut,
    /// The list should have shown it.
    Overlooked(Value),
}

/// Asks for `member` of `group` by its own id, after a list that `is_cut` or went to its end did not show it.
pub async fn member(
    bitbucket: &BitbucketClient,
    group: &Group,
    repository: Option<&Repository>,
    (member, is_cut): (&str, bool),
    deadline: &Deadline,
) -> Result<Hidden, bitbucket::Error> {
    let found = match (&group.source, repository) {
        (Source::Projects, _) => bitbucket.project(member, deadline).await?,
        (Source::Members, _) => bitbucket.member(member, deadline).await?,
        (Source::Parts { part, .. }, Some(repository)) => {
            return super::part::hidden(
                bitbucket,
                (group, part),
                repository,
                (member, is_cut),
                deadline,
            )
            .await;
        }
        // A tree at a commit is complete, and the others have no members.
        (
            Source::Trees(_)
            | Source::Repositories(_)
            | Source::PullRequests { .. }
            | Source::Workspace
            | Source::Parts { .. },
            _,
        ) => None,
    };
    Ok(found.map_or(Hidden::Gone, Hidden::Overlooked))
}

/// A page of the repositories of the project `key`, and where the next page begins.
pub async fn repositories_of_project(
    bitbucket: &BitbucketClient,
    key: &str,
    cursor: Option<&str>,
    deadline: &Deadline,
) -> Result<(Vec<RepositoryId>, Option<String>), bitbucket::Error> {
    let query = format!("project.key={}", bitbucket::quoted(key));
    let mut pages = match cursor {
        Some(cursor) => Pages::resume(bitbucket.clone(), cursor),
        None => bitbucket.repositories(None, Some(&query)),
    };
    let found = pages.next(deadline).await?.unwrap_or_default();
    let repositories = found.iter().filter_map(Repository::of);
    let repositories = repositories.map(|repository| repository.uuid).collect();
    Ok((repositories, pages.cursor().map(str::to_owned)))
}
