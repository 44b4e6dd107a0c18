//! Which items a look at an object is about: of every source that shows the object, and no others.
//!
//! Reads and maps through the [`Looker`]; commits nothing. What is too large for one look, and what one source alone
//! could not give, is handed back as looks of their own.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Wanted;
use crate::bitbucket;
use crate::extract::{self, Group, Source};
use crate::failure::{Class, Failure};
use crate::identity::{ItemId, ItemRef, PartitionId, Repository, RepositoryId};
use crate::look::{Look, News, Progress};
use crate::mapping::Kind;
use crate::sync::look::{Bound, Looker, NUMBERS_AT_ONCE, Standing};
use crate::sync::plan::{Seen, Sight};
use crate::sync::reading::Reading;
use crate::telemetry::chain;

/// Pages of one list that a look reads; the rest is a look of its own.
const PAGES_AT_ONCE: usize = 8;

/// Pull requests that one look asks for by number when a list has not shown them; a run asks for the others.
const MOST_NUMBERS: usize = 10 * NUMBERS_AT_ONCE;

/// What a look has come to.
#[derive(Default)]
pub(super) struct Looked {
    pub seen: Vec<Seen>,
    /// To be looked at on their own.
    pub follow: Vec<Look>,
}

pub(super) async fn look_at(looker: &Looker<'_>, wanted: &Wanted) -> Result<Looked, Failure> {
    match &wanted.look {
        Look::PullRequest {
            repository,
            id,
            closed,
        } => {
            let bound = Bound {
                at: wanted.not_older_than,
                closed: *closed,
            };
            pull_request(looker, repository, *id, bound).await
        }
        Look::Repository { repository, news } => of_repository(looker, repository, news).await,
        Look::Projects { keys, cursor } => projects(looker, keys, cursor.as_deref()).await,
        Look::Item { item } => of_item(looker, item).await.map(doubted),
        Look::Partition {
            partition,
            progress,
        } => of_partition(looker, partition, progress.clone()).await,
    }
}

impl Looked {
    fn extend(&mut self, other: Looked) {
        self.seen.extend(other.seen);
        self.follow.extend(other.follow);
    }

    /// Takes in what one source has given. One that cannot be read for a reason of its own is left to a look of its own,
    /// so that it costs the others nothing.
    fn take(
        &mut self,
        looked: Result<Looked, Failure>,
        otherwise: impl FnOnce() -> Look,
    ) -> Result<(), Failure> {
        match looked {
            Ok(looked) => self.extend(looked),
            Err(failure) if failure.class() == Class::Part => {
                tracing::warn!(error = chain(&failure), "a part could not be read");
                self.follow.push(otherwise());
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

impl From<Vec<Seen>> for Looked {
    fn from(seen: Vec<Seen>) -> Looked {
        Looked {
            seen,
            follow: Vec::new(),
        }
    }
}

async fn pull_request(
    looker: &Looker<'_>,
    repository: &RepositoryId,
    id: u64,
    bound: Bound,
) -> Result<Looked, Failure> {
    let mut looked = Looked::default();
    for group in looker
        .sources
        .groups()
        .iter()
        .filter(|group| group.source.is_numbered())
    {
        let found = numbered(looker, group, repository, id, bound).await;
        looked.take(found.map(Looked::from), || Look::Item {
            item: group.partition(Some(repository)).item(ItemId::Number(id)),
        })?;
    }
    Ok(looked)
}

async fn numbered(
    looker: &Looker<'_>,
    group: &Group,
    repository: &RepositoryId,
    id: u64,
    bound: Bound,
) -> Result<Vec<Seen>, Failure> {
    let item = group.partition(Some(repository)).item(ItemId::Number(id));
    let before = looker.entry(&item).await?;
    let gone = |before| {
        vec![Seen {
            item: item.clone(),
            before,
            sight: Sight::Gone,
        }]
    };
    if let Some(filter) = group
        .source
        .repositories()
        .filter(|filter| filter.selects())
    {
        match looker.standing(filter, repository).await? {
            Standing::Selected(_) => {}
            Standing::NotSelected => return Ok(gone(before)),
            Standing::Invisible => return invisible(repository, gone(before)),
        }
    }
    let recorded = before.clone().map(|entry| (item.clone(), entry));
    let asked = (&[id][..], recorded.into_iter().collect());
    let found = looker.numbered(group, repository, asked, bound).await;
    match found {
        // Its repository is not to be found; where nothing is claimed, nothing can be lost.
        Err(Failure::Bitbucket(bitbucket::Error::NotFound { .. })) if !claims(&before) => {
            Ok(gone(before))
        }
        found => found?.into_iter().map(read).collect(),
    }
}

/// A look at one object is taken again where a part of it could not be read. A run leaves that to the next one.
fn read(seen: Seen) -> Result<Seen, Failure> {
    match seen.is_unread() {
        true => Err(Failure::Unread),
        false => Ok(seen),
    }
}

/// What is left of items whose repository Bitbucket does not show, though no event says that it has gone: rights may
/// have been taken away. Nothing is deleted for that; a run asks again, and is bounded by the threshold.
fn invisible(repository: &RepositoryId, seen: Vec<Seen>) -> Result<Vec<Seen>, Failure> {
    if seen.iter().any(|seen| claims(&seen.before)) {
        return Err(Failure::Invisible {
            repository: repository.clone(),
        });
    }
    Ok(seen)
}

fn claims(entry: &Option<crate::store::documents::Entry>) -> bool {
    entry.as_ref().is_some_and(|entry| !entry.claims.is_empty())
}

async fn of_repository(
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
            Standing::Selected(raw) => {
                let Some(now) = Repository::of(&raw) else {
                    continue;
                };
                looked.follow.extend(new_project(looker, &raw, news).await?);
                if let Some(group) = own {
                    let raw = looker.with_files(group, raw.clone()).await;
                    let seen = looker.repository(group, (repository, raw), before).await;
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
        Standing::Selected(_) => Err(Failure::Overtaken),
        Standing::NotSelected => Ok(seen),
        Standing::Invisible if is_explained => Ok(seen),
        Standing::Invisible => invisible(repository, seen),
    }
}

/// A project that no record names comes with its first repository.
async fn new_project(
    looker: &Looker<'_>,
    raw: &Value,
    news: &News,
) -> Result<Option<Look>, Failure> {
    let key = raw.pointer("/project/key").and_then(Value::as_str);
    let group = looker
        .sources
        .groups()
        .iter()
        .find(|group| group.source == Source::Projects);
    let (Some(group), Some(key), true) = (group, key, news.all) else {
        return Ok(None);
    };
    let item = group.partition(None).item(ItemId::Whole);
    let entry = looker.entry(&item).await?;
    let is_known = entry
        .iter()
        .flat_map(|entry| &entry.claims)
        .any(|claim| claim.member == key);
    Ok((!is_known).then_some(Look::Projects {
        keys: BTreeSet::new(),
        cursor: None,
    }))
}

/// Whether news about a repository may change what `group` shows of it. Its own item is looked at anyway.
fn concerns(group: &Group, repository: &Repository, news: &News) -> bool {
    let reads = |path: &[&str]| group.resources.iter().any(|resource| resource.reads(path));
    let is_pushed = !news.pushed.is_empty();
    // The repository goes along with what lies in it, and a push moves these fields of it.
    let moves = || is_pushed && (reads(&["repo", "updated_on"]) || reads(&["repo", "size"]));
    let shows_project = || news.project && reads(&["repo", "project"]);
    match &group.source {
        Source::PullRequests { .. } => news.all,
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
        return Ok(vec![looker.whole(group, Some(repository)).await?].into());
    }
    let mut reading = Reading::open(looker, group, repository, progress).await?;
    let mut seen = Vec::new();
    for _ in 0..PAGES_AT_ONCE {
        let Some(page) = reading.next().await? else {
            let missing = reading.missing();
            let asked = missing.get(..MOST_NUMBERS).unwrap_or(&missing);
            let found = looker.pull_requests(group, &repository.uuid, asked, Bound::default());
            seen.extend(found.await?);
            return Ok(seen.into());
        };
        seen.extend(page);
    }
    Ok(Looked {
        seen,
        follow: vec![Look::Partition {
            partition: group.partition(Some(&repository.uuid)),
            progress: Some(reading.progress().clone()),
        }],
    })
}

/// An item that was woken, or given up, is written again whatever is recorded of it: another may have written its entities
/// since.
fn doubted(mut looked: Looked) -> Looked {
    for entry in looked
        .seen
        .iter_mut()
        .filter_map(|seen| seen.before.as_mut())
    {
        entry.sure = false;
    }
    looked
}

async fn of_item(looker: &Looker<'_>, item: &ItemRef) -> Result<Looked, Failure> {
    let ItemRef { partition, item } = item;
    match (
        item,
        looker.sources.group(&partition.source),
        &partition.repository,
    ) {
        (ItemId::Number(id), Some(group), Some(repository)) => {
            let seen = numbered(looker, group, repository, *id, Bound::default()).await?;
            Ok(seen.into())
        }
        _ => of_partition(looker, partition, None).await,
    }
}

/// A partition of a source that has left the mapping is nobody's any more: the next run sees to it.
async fn of_partition(
    looker: &Looker<'_>,
    partition: &PartitionId,
    progress: Option<Progress>,
) -> Result<Looked, Failure> {
    let Some(group) = looker.sources.group(&partition.source) else {
        return Ok(Looked::default());
    };
    let (Some(filter), Some(repository)) = (group.source.repositories(), &partition.repository)
    else {
        return Ok(vec![looker.whole(group, None).await?].into());
    };
    let before = looker.entry(&partition.item(ItemId::Whole)).await?;
    match looker.standing(filter, repository).await? {
        Standing::Selected(raw) if matches!(group.source, Source::Repositories(_)) => {
            let raw = looker.with_files(group, raw).await;
            let seen = looker.repository(group, (repository, raw), before).await;
            Ok(vec![read(seen?)?].into())
        }
        Standing::Selected(raw) => match Repository::of(&raw) {
            Some(now) => contents(looker, group, &now, progress).await,
            None => Ok(Looked::default()),
        },
        _ => Ok(gone(looker, &[group], repository, false).await?.into()),
    }
}

/// All projects; and where one has changed, the repositories that show it, a page at a time.
async fn projects(
    looker: &Looker<'_>,
    keys: &BTreeSet<String>,
    cursor: Option<&str>,
) -> Result<Looked, Failure> {
    let mut looked = Looked::default();
    let groups = looker.sources.groups();
    if cursor.is_none() {
        for group in groups
            .iter()
            .filter(|group| group.source == Source::Projects)
        {
            looked.seen.push(looker.whole(group, None).await?);
        }
    }
    let shows = |group: &Group| {
        let path: &[&str] = match &group.source {
            Source::Repositories(_) => &["project"],
            Source::Trees(_) | Source::Parts { .. } => &["repo", "project"],
            _ => return false,
        };
        group.resources.iter().any(|resource| resource.reads(path))
    };
    let Some(key) = keys.first().filter(|_| groups.iter().any(shows)) else {
        return Ok(looked);
    };
    let found = extract::repositories_of_project(looker.bitbucket, key, cursor, looker.deadline);
    let (repositories, next) = found.await?;
    let repositories: BTreeSet<RepositoryId> = repositories.into_iter().collect();
    looked
        .follow
        .extend(repositories.into_iter().map(|repository| Look::Repository {
            repository,
            news: News {
                project: true,
                ..News::default()
            },
        }));
    let mut left = keys.clone();
    if next.is_none() {
        left.remove(key);
    }
    if !left.is_empty() {
        looked.follow.push(Look::Projects {
            keys: left,
            cursor: next,
        });
    }
    Ok(looked)
}
