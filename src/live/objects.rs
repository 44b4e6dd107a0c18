//! Which items a look at an object is about: of every source that shows the object, and no others.
//!
//! Reads and maps through the [`Looker`]; commits nothing. What is too large for one look, and what one source alone
//! could not give, is handed back as looks of their own.

use super::Wanted;
use super::projects::projects;
use super::repository::{of_partition, of_repository};
use crate::bitbucket;
use crate::extract::Group;
use crate::failure::{Class, Failure};
use crate::identity::{ItemId, ItemRef, RepositoryId};
use crate::look::Look;
use crate::store::documents::Entry;
use crate::sync::look::{Bound, Looker, Selection};
use crate::sync::plan::{Seen, Sight};
use crate::telemetry::chain;

/// What a look has come to.
#[derive(Default)]
pub(super) struct Looked {
    pub seen: Vec<Seen>,
    /// To be looked at on their own.
    pub follow: Vec<Look>,
    /// Why the look is to be taken again all the same, once the rest is committed.
    pub failed: Option<Failure>,
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
    pub(super) fn take(
        &mut self,
        looked: Result<Looked, Failure>,
        otherwise: impl FnOnce() -> Look,
    ) -> Result<(), Failure> {
        match looked {
            Ok(looked) => {
                if let Some(failure) = &looked.failed {
                    tracing::warn!(error = chain(failure), "a part could not be read");
                    self.follow.push(otherwise());
                }
                self.extend(looked);
            }
            Err(failure)
                if failure.class() == Class::Part || matches!(failure, Failure::Unread(_)) =>
            {
                tracing::warn!(error = chain(&failure), "a part could not be read");
                self.follow.push(otherwise());
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

/// A partition that was looked at as a whole. Files that could not be read cost the items that hold them, and the others
/// are committed.
impl From<Seen> for Looked {
    fn from(seen: Seen) -> Looked {
        let lost = seen.lost_files().into_iter().next().cloned();
        Looked {
            failed: lost.map(|file| Failure::Unread(Some(file))),
            ..vec![seen].into()
        }
    }
}

impl From<Vec<Seen>> for Looked {
    fn from(seen: Vec<Seen>) -> Looked {
        Looked {
            seen,
            ..Looked::default()
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
            Selection::Selected(_) => {}
            Selection::NotSelected => return Ok(gone(before)),
            Selection::Invisible => return invisible(repository, gone(before)),
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
pub(super) fn read(seen: Seen) -> Result<Seen, Failure> {
    match seen.is_unread() {
        true => Err(Failure::Unread(seen.lost_files().first().copied().cloned())),
        false => Ok(seen),
    }
}

/// What is left of items whose repository Bitbucket does not show, though no event says that it has gone: rights may
/// have been taken away. Nothing is deleted for that; a run asks again, and is bounded by the threshold.
pub(super) fn invisible(repository: &RepositoryId, seen: Vec<Seen>) -> Result<Vec<Seen>, Failure> {
    if seen.iter().any(|seen| claims(&seen.before)) {
        return Err(Failure::Invisible {
            repository: repository.clone(),
        });
    }
    Ok(seen)
}

pub(super) fn claims(entry: &Option<Entry>) -> bool {
    entry.as_ref().is_some_and(|entry| !entry.claims.is_empty())
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
