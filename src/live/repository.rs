//! A look at a repository: the repository itself, and what of all that it holds the news may have changed.

use serde_json::Value;

use super::objects::{Looked, invisible, read};
use super::projects::new_project;
use crate::bitbucket;
use crate::extract::{Group, Source};
use crate::failure::Failure;
use crate::identity::{ItemId, PartitionId, Repository, RepositoryId};
use crate::look::{Look, News, Progress};
use crate::mapping::Kind;
use crate::sync::look::{Bound, Looker, NUMBERS_AT_ONCE, Selection};
use crate::sync::plan::Seen;
use crate::sync::reading::Reading;

/// Pages of one list that a look reads; the rest is a look of its own.
const PAGES_AT_ONCE: usize = 8;

/// Pull requests that one look asks for by number when a list has not shown them; a run asks for the others.
const MOST_NUMBERS: usize = 10 * NUMBERS_AT_ONCE;

pub(super) async fn of_repository(
    looker: &Looker<'_>,
    repository: &RepositoryId,
    news: &News,
) -> Result<Looked, Failure> {
    let mut looked = Looked::default();
    for (filter, groups) in looker.sources.by_filter() {
        let own = groups
            .iter()
            .find(|group| matches!(group.source, Source::Repositories(_)));
        let item = own.map(|group| group.partition(Some(repository)).item(ItemId::Whole));
        let before = match &item {
            Some(item) => looker.entry(item).await?,
            None => None,
        };
        match looker.standing(filter, repository).await? {
            Selection::Selected(raw) => {
                let Some(now) = Repository::of(&raw) else {
                    continue;
                };
                looked.follow.extend(new_project(looker, &raw, news).await?);
                if let Some(group) = own {
                    let raw = with_files(looker, group, raw.clone()).await;
                    let lost = raw.as_ref().err();
                    let seen = match lost.and_then(|error| looker.lost_file(group, error)) {
                        Some(file) => Err(Failure::Unread(Some(file))),
                        None => looker.repository(group, (repository, raw), before).await,
                    };
                    let partition = group.partition(Some(repository));
                    let seen = seen.and_then(read).map(|seen| vec![seen].into());
                    looked.take(seen, || Look::Partition {
                        partition,
                        progress: None,
                    })?;
                }
                for group in groups.iter().filter(|group| concerns(group, &now, news)) {
                    let partition = group.partition(Some(repository));
                    let found = contents(looker, group, &now, None).await;
                    looked.take(found, || Look::Partition {
                        partition,
                        progress: None,
                    })?;
                }
            }
            _ => {
                let seen = gone(looker, &groups, repository, news.left).await?;
                looked.seen.extend(seen);
            }
        }
    }
    Ok(looked)
}

/// Everything recorded of a repository that a filter does not select. It is asked for once more after the records are
/// read: somebody may have committed it in between.
async fn gone(
    looker: &Looker<'_>,
    groups: &[&Group],
    repository: &RepositoryId,
    is_explained: bool,
) -> Result<Vec<Seen>, Failure> {
    let mut seen = Vec::new();
    for group in groups {
        seen.extend(looker.gone(&group.partition(Some(repository))).await?);
    }
    let filter = groups.first().and_then(|group| group.source.repositories());
    let Some(filter) = filter else {
        return Ok(seen);
    };
    match looker.standing(filter, repository).await? {
        Selection::Selected(_) => Err(Failure::Overtaken),
        Selection::NotSelected => Ok(seen),
        Selection::Invisible if is_explained => Ok(seen),
        Selection::Invisible => invisible(repository, seen),
    }
}

/// A partition of a source that has left the mapping is nobody's any more: the next run sees to it.
pub(super) async fn of_partition(
    looker: &Looker<'_>,
    partition: &PartitionId,
    progress: Option<Progress>,
) -> Result<Looked, Failure> {
    let Some(group) = looker.sources.group(&partition.source) else {
        return Ok(Looked::default());
    };
    let (Some(filter), Some(repository)) = (group.source.repositories(), &partition.repository)
    else {
        return Ok(looker.whole(group, None).await?.into());
    };
    let before = looker.entry(&partition.item(ItemId::Whole)).await?;
    match looker.standing(filter, repository).await? {
        Selection::Selected(raw) if matches!(group.source, Source::Repositories(_)) => {
            let raw = with_files(looker, group, raw).await;
            let seen = looker.repository(group, (repository, raw), before).await;
            Ok(vec![read(seen?)?].into())
        }
        Selection::Selected(raw) => match Repository::of(&raw) {
            Some(now) => contents(looker, group, &now, progress).await,
            None => Ok(Looked::default()),
        },
        _ => Ok(gone(looker, &[group], repository, false).await?.into()),
    }
}

/// `raw` with its files, read at the head that the main branch itself has: a list may not have heard of the push yet.
async fn with_files(
    looker: &Looker<'_>,
    group: &Group,
    raw: Value,
) -> Result<Value, bitbucket::Error> {
    let raw = match group.included_files.is_empty() {
        true => raw,
        false => Box::pin(looker.bitbucket.with_head(raw, looker.deadline)).await?,
    };
    looker.with_files(group, raw).await
}

/// Whether news about a repository may change what `group` shows of it. Its own item is looked at anyway.
fn concerns(group: &Group, repository: &Repository, news: &News) -> bool {
    let is_pushed = !news.pushed.is_empty();
    // The repository goes along with what lies in it, and a push moves these fields of it.
    let moved: [&[&str]; 3] = [&["updated_on"], &["size"], &["mainbranch", "target"]];
    let moves = || is_pushed && moved.iter().any(|field| group.shows(field));
    let shows_project = || news.project && group.shows(&["project"]);
    match &group.source {
        // Their files are those of the branches that they go to.
        Source::PullRequests { .. } => news.all || is_pushed && !group.included_files.is_empty(),
        Source::Trees(_) => {
            let mut pushed = news.pushed.iter();
            news.all
                || news.changed
                || pushed.any(|branch| group.reads_branch(repository, branch))
                || moves()
                || shows_project()
        }
        Source::Parts { part, .. } => {
            let is_ref = matches!(part.kind, Kind::Branch | Kind::Tag);
            news.all || news.changed || is_pushed && is_ref || moves() || shows_project()
        }
        Source::Repositories(_) | Source::Projects | Source::Workspace | Source::Members => false,
    }
}

/// What `group` shows of a repository that its filter selects.
async fn contents(
    looker: &Looker<'_>,
    group: &Group,
    repository: &Repository,
    progress: Option<Progress>,
) -> Result<Looked, Failure> {
    if !group.source.is_numbered() {
        // Its head was asked for before the record is read: somebody may have committed a newer one since.
        let repository = repository.without_head();
        return Ok(looker.whole(group, Some(&repository)).await?.into());
    }
    let mut reading = Reading::open(looker, group, repository, progress).await?;
    let mut seen = Vec::new();
    for _ in 0..PAGES_AT_ONCE {
        let Some(page) = reading.next().await? else {
            let missing = match reading.nameless() {
                0 => reading.missing(),
                // They may be any of the missing; the next run tells of them.
                nameless => {
                    tracing::warn!(%repository.uuid, nameless, "pull requests without a number");
                    Vec::new()
                }
            };
            let asked = missing.get(..MOST_NUMBERS).unwrap_or(&missing);
            let found = looker.pull_requests(group, &repository.uuid, asked, Bound::default());
            seen.extend(found.await?);
            return Ok(Looked {
                follow: again(&seen),
                seen,
                failed: None,
            });
        };
        seen.extend(page);
    }
    let rest = Look::Partition {
        partition: group.partition(Some(&repository.uuid)),
        progress: Some(reading.progress().clone()),
    };
    let mut follow = again(&seen);
    follow.push(rest);
    Ok(Looked {
        seen,
        follow,
        failed: None,
    })
}

/// Pull requests that could not be read whole are looked at on their own.
fn again(seen: &[Seen]) -> Vec<Look> {
    let unread = seen.iter().filter(|seen| seen.is_unread());
    let items = unread.map(|seen| seen.item.clone());
    items.map(|item| Look::Item { item }).collect()
}
