//! Raw items page by page, each with the files that go along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::included::{Completed, IncludedFiles};
use super::part::PartListing;
use super::tree::TreeListing;
use super::{Batch, Group, Origin, Source};
use crate::bitbucket::{self, BitbucketClient, Pages, Shown};
use crate::deadline::Deadline;
use crate::failure::Class;
use crate::identity::Repository;

/// A listing in progress.
pub struct Listing<'a> {
    bitbucket: &'a BitbucketClient,
    group: &'a Group,
    included: Option<IncludedFiles<'a>>,
    feed: Feed<'a>,
}

enum Feed<'a> {
    Pages(Box<Pages>),
    Tree(Box<TreeListing<'a>>),
    Part(Box<PartListing<'a>>),
    Workspace,
    /// There is nothing to list.
    Nothing,
}

/// A page of a list of repositories.
pub struct Page<'a> {
    pub batch: Batch,
    /// Where the next one is; `None` after the last.
    pub cursor: Option<String>,
    /// What the list has shown, this page included.
    pub shown: Shown,
    /// Its place in memory, for as long as it is there.
    _room: Option<SemaphorePermit<'a>>,
}

impl<'a> Listing<'a> {
    /// Lists `group`'s items: of `repository` where the source is one per repository, else of the workspace.
    pub fn open(
        bitbucket: &'a BitbucketClient,
        group: &'a Group,
        repository: Option<&Repository>,
    ) -> Listing<'a> {
        let uuid = repository
            .map(|repository| repository.uuid.as_str())
            .unwrap_or_default();
        let feed = match &group.source {
            Source::Projects => Feed::Pages(Box::new(bitbucket.projects())),
            Source::Repositories(filter) => Feed::Pages(Box::new(
                bitbucket.repositories(filter.role.as_deref(), filter.query.as_deref()),
            )),
            Source::PullRequests { query, .. } => {
                Feed::Pages(Box::new(bitbucket.pull_requests(uuid, Some(query))))
            }
            Source::Workspace => Feed::Workspace,
            Source::Members => Feed::Pages(Box::new(bitbucket.members())),
            Source::Parts { part, .. } => repository.map_or(Feed::Nothing, |repository| {
                let listing = PartListing::new(bitbucket, group, part, repository);
                Feed::Part(Box::new(listing))
            }),
            Source::Trees(_) => repository.map_or(Feed::Nothing, |repository| {
                let tree = TreeListing::new(bitbucket, group, repository.clone());
                Feed::Tree(Box::new(tree))
            }),
        };
        Listing {
            bitbucket,
            group,
            included: IncludedFiles::of(bitbucket, group),
            feed,
        }
    }

    /// Whether the list ended at a bound of its selector, and not where Bitbucket's own does.
    pub fn is_cut(&self) -> bool {
        matches!(&self.feed, Feed::Part(part) if part.is_cut())
    }

    /// What this reading has shown of the list.
    pub fn shown(&self) -> Shown {
        match &self.feed {
            Feed::Pages(pages) => pages.shown(),
            Feed::Part(part) => part.shown(),
            // A tree is of one commit.
            Feed::Tree(_) | Feed::Workspace | Feed::Nothing => Shown::WHOLE,
        }
    }

    /// The commit that all of it was read at, once it is read, if it was the head of the main branch.
    pub fn origin(&self) -> Option<&Origin> {
        match &self.feed {
            Feed::Tree(tree) => tree.origin(),
            Feed::Pages(_) | Feed::Part(_) | Feed::Workspace | Feed::Nothing => None,
        }
    }

    /// Address of the page that comes next, where it can be gone on with later.
    pub fn cursor(&self) -> Option<&str> {
        match &self.feed {
            Feed::Pages(pages) => pages.cursor(),
            Feed::Tree(_) | Feed::Part(_) | Feed::Workspace | Feed::Nothing => None,
        }
    }

    /// Goes on at `cursor`, which an earlier listing of the same has given.
    pub fn resume(&mut self, cursor: &str) {
        if let Feed::Pages(pages) = &mut self.feed {
            **pages = Pages::resume(self.bitbucket.clone(), cursor);
        }
    }

    /// The next page; `None` after the last one.
    pub async fn next(&mut self, deadline: &Deadline) -> Result<Option<Batch>, bitbucket::Error> {
        let pages = match &mut self.feed {
            Feed::Pages(pages) => pages,
            Feed::Tree(tree) => return tree.next(deadline).await,
            Feed::Part(part) => return part.next(deadline).await,
            Feed::Workspace => {
                let workspace = self.bitbucket.workspace(deadline).await?;
                self.feed = Feed::Nothing;
                return Ok(Some(Batch {
                    items: vec![workspace],
                    ..Batch::of(self.group)
                }));
            }
            Feed::Nothing => return Ok(None),
        };
        let Some(items) = pages.next(deadline).await? else {
            return Ok(None);
        };
        let mut batch = Batch::of(self.group);
        let Some(included) = &self.included else {
            batch.items = items;
            return Ok(Some(batch));
        };
        let completed = stream::iter(items)
            .map(|item| included.add_to(item, deadline))
            .buffered(self.bitbucket.files_at_once());
        let mut completed = std::pin::pin!(completed);
        while let Some(item) = completed.next().await {
            batch.take(self.group, item)?;
        }
        Ok(Some(batch))
    }
}

/// The list of repositories that `group` is about, from `cursor` on where there is one.
///
/// Files are read in the order of the list, those of the next page when a page has no more to begin with. A page that
/// finds no `room` waits until another one is dropped. A repository that `wants_files` does not hold of comes without. A repository whose files could not be read costs its page nothing,
/// whatever the reason; where that meets everything, no more files are asked for.
pub fn repository_pages<'a>(
    bitbucket: &'a BitbucketClient,
    (group, wants_files): (&'a Group, &'a (dyn Fn(&Value) -> bool + Sync)),
    cursor: Option<&str>,
    room: &'a Semaphore,
    deadline: &'a Deadline,
) -> impl Stream<Item = Result<Page<'a>, bitbucket::Error>> {
    let pages = listed(bitbucket, group, cursor);
    let read = stream::try_unfold(pages, async move |mut pages| {
        // Never closed.
        let room = room.acquire().await.ok();
        let items = pages.next(deadline).await?;
        let cursor = pages.cursor().map(str::to_owned);
        let shown = pages.shown();
        Ok(items.map(|items| {
            (
                (
                    items,
                    End {
                        cursor,
                        shown,
                        room,
                    },
                ),
                pages,
            )
        }))
    });
    let pieces = read.flat_map(|page| stream::iter(pieces(page)));
    let included = Arc::new((IncludedFiles::of(bitbucket, group), AtomicBool::new(false)));
    let completed = pieces
        .map(move |piece| {
            let included = Arc::clone(&included);
            async move {
                let (included, is_over) = included.as_ref();
                Ok(match (piece?, included) {
                    (Piece::Item(item), Some(_)) if !wants_files(&item) => {
                        Piece::Item(Ok(Ok(item)))
                    }
                    (Piece::Item(item), Some(_)) if is_over.load(Ordering::Relaxed) => {
                        Piece::Item(Err((Repository::of(&item), bitbucket::Error::OutOfTime)))
                    }
                    (Piece::Item(item), Some(included)) => {
                        let item = included.add_to(item, deadline).await;
                        if let Err((_, error)) = &item {
                            // Where the allowance for contents is used up, nothing is asked for.
                            let is_down =
                                error.meets_every_request() && !error.meets_contents_alone();
                            is_over.fetch_or(is_down, Ordering::Relaxed);
                        }
                        Piece::Item(item)
                    }
                    (Piece::Item(item), None) => Piece::Item(Ok(Ok(item))),
                    (Piece::End(end), _) => Piece::End(end),
                })
            }
        })
        .buffered(bitbucket.files_at_once());
    stream::try_unfold(Box::pin(completed), async move |mut completed| {
        let page = next_page(group, &mut completed).await?;
        Ok(page.map(|page| (page, completed)))
    })
}

/// Gathers the items of one page.
async fn next_page<'a>(
    group: &Group,
    completed: &mut (impl Stream<Item = Result<Piece<'a, Completed>, bitbucket::Error>> + Unpin),
) -> Result<Option<Page<'a>>, bitbucket::Error> {
    let mut batch = Batch::of(group);
    while let Some(piece) = completed.next().await {
        match piece? {
            Piece::Item(Err((Some(repository), error))) => {
                batch.failed.push((repository, error));
            }
            Piece::Item(item) => batch.take(group, item)?,
            Piece::End(End {
                cursor,
                shown,
                room: _room,
            }) => {
                return Ok(Some(Page {
                    batch,
                    cursor,
                    shown,
                    _room,
                }));
            }
        }
    }
    Ok(None)
}

/// The items of a page, and its end.
fn pieces<'a>(
    page: Result<Listed<'a>, bitbucket::Error>,
) -> Vec<Result<Piece<'a, Value>, bitbucket::Error>> {
    let (items, end) = match page {
        Ok(page) => page,
        Err(error) => return vec![Err(error)],
    };
    let items = items.into_iter().map(|item| Ok(Piece::Item(item)));
    items.chain([Ok(Piece::End(end))]).collect()
}

/// Items of a page, and its end.
type Listed<'a> = (Vec<Value>, End<'a>);

/// Where a list goes on after a page, what it has shown, and the room that the page takes.
struct End<'a> {
    cursor: Option<String>,
    shown: Shown,
    room: Option<SemaphorePermit<'a>>,
}

/// The list of the repositories that the filter of `group` selects, from `cursor` on.
fn listed(bitbucket: &BitbucketClient, group: &Group, cursor: Option<&str>) -> Pages {
    let filter = group.source.repositories();
    match cursor {
        Some(cursor) => Pages::resume(bitbucket.clone(), cursor),
        None => bitbucket.repositories(
            filter.and_then(|filter| filter.role.as_deref()),
            filter.and_then(|filter| filter.query.as_deref()),
        ),
    }
}

/// Of a list that is completed item by item.
enum Piece<'a, T> {
    Item(T),
    /// Of a page.
    End(End<'a>),
}

impl Batch {
    fn of(group: &Group) -> Batch {
        Batch {
            resources: group.resources.clone(),
            ..Batch::default()
        }
    }

    /// Takes an item with the files that go along. Each repository is a partition of its own, which may fail alone.
    fn take(&mut self, group: &Group, item: Completed) -> Result<(), bitbucket::Error> {
        let is_of_repositories = matches!(group.source, Source::Repositories(_));
        match item {
            Ok(Ok(item)) => self.items.push(item),
            Ok(Err(unread)) => self.unread.push(unread),
            Err((_, error)) if error.class() != Class::Part => return Err(error),
            Err((Some(repository), error)) if is_of_repositories => {
                self.failed.push((repository, error));
            }
            Err((_, error)) => return Err(error),
        }
        Ok(())
    }
}
