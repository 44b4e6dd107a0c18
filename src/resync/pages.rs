//! The pages of a run's lists of repositories, in memory while they are worked on: which partitions are done, how far the
//! others are, what lists have not shown.
//!
//! They are stored when the slice ends and now and then in between. What a death loses is read again, which changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::identity::Repository;
use crate::identity::{RepositoryId, SourceId};
use crate::locked::locked;
use crate::look::{Numbers, Progress};
use crate::store::basis::PageContents;
use crate::store::documents::Stamp;
use crate::store::run::{RepositoryPage, page};
use crate::store::{DocumentBatch, Store, StoreError};

/// A partition's place in a run: which repository of which page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) list: String,
    pub(super) page: u64,
    pub(super) position: u64,
}

/// The last commits of partitions, by source and repository.
pub(super) type Stamps = BTreeMap<SourceId, BTreeMap<RepositoryId, Stamp>>;

/// What items show of repositories, as digests, by source and position on their page.
pub(super) type Carried = BTreeMap<SourceId, BTreeMap<u64, u64>>;

#[derive(Default)]
pub(super) struct RunPages {
    pages: Mutex<BTreeMap<(String, u64), Page>>,
}

#[derive(Default)]
struct Page {
    page: RepositoryPage,
    /// Whether it is not what is stored.
    is_dirty: bool,
}

/// What is known of a partition when its turn comes.
pub(super) enum State {
    Done,
    /// To be read from its beginning, or from where it was left.
    Open(Option<Progress>),
}

impl RunPages {
    /// Takes up what earlier slices of the run `id` have stored of `list`, as far as it is not at hand. False where a page
    /// is lost: then none is taken up, and the list has to be taken anew.
    pub(super) async fn load(
        &self,
        store: &Store,
        id: &str,
        (list, pages): (&str, u64),
    ) -> Result<bool, StoreError> {
        let known = |number: u64| (list.to_owned(), number);
        let unknown: Vec<u64> = {
            let all = locked(&self.pages);
            (0..pages)
                .filter(|number| !all.contains_key(&known(*number)))
                .collect()
        };
        let keys: Vec<_> = unknown.iter().map(|number| page(list, *number)).collect();
        let found = store.load_all(&keys).await?;
        let own = found
            .into_iter()
            .map(|found| found.value.filter(|page| page.run == id));
        let own: Option<Vec<RepositoryPage>> = own.collect();
        let mut all = locked(&self.pages);
        let Some(own) = own else {
            all.retain(|(other, _), _| other != list);
            return Ok(false);
        };
        for (number, page) in unknown.into_iter().zip(own) {
            let is_dirty = false;
            all.insert(known(number), Page { page, is_dirty });
        }
        Ok(true)
    }

    /// Adds a page; returns the spots of its repositories. `stamps`: the last commits of their partitions;
    /// `carried`: what items show of them.
    pub(super) fn add(
        &self,
        (list, number): (&str, u64),
        repositories: Vec<Repository>,
        (stamps, carried): (&Stamps, Carried),
    ) -> Vec<Spot> {
        let count = u64::try_from(repositories.len()).unwrap_or(u64::MAX);
        let mut page = RepositoryPage {
            repositories,
            contents: PageContents {
                carried,
                ..PageContents::default()
            },
            ..RepositoryPage::default()
        };
        for (source, of_source) in stamps {
            let known = (0..)
                .zip(&page.repositories)
                .filter_map(|(position, repository)| {
                    Some((position, *of_source.get(&repository.uuid)?))
                });
            page.stamps.insert(source.clone(), known.collect());
        }
        let page = Page {
            page,
            is_dirty: true,
        };
        locked(&self.pages).insert((list.to_owned(), number), page);
        let spot = |position| Spot {
            list: list.to_owned(),
            page: number,
            position,
        };
        (0..count).map(spot).collect()
    }

    /// Every repository of `list`, in the order of its pages.
    pub(super) fn repositories(&self, list: &str) -> Vec<(Spot, Repository)> {
        let pages = locked(&self.pages);
        let pages = pages.iter().filter(|((known, _), _)| known == list);
        pages
            .flat_map(|((list, number), page)| {
                (0..)
                    .zip(&page.page.repositories)
                    .map(move |(position, repository)| {
                        let spot = Spot {
                            list: list.clone(),
                            page: *number,
                            position,
                        };
                        (spot, repository.clone())
                    })
            })
            .collect()
    }

    pub(super) fn listed(&self, list: &str) -> BTreeSet<RepositoryId> {
        let repositories = self.repositories(list).into_iter();
        repositories
            .map(|(_, repository)| repository.uuid)
            .collect()
    }

    /// How people know a repository that was listed.
    pub(super) fn name(&self, repository: &RepositoryId) -> Option<String> {
        let pages = locked(&self.pages);
        let mut all = pages.values().flat_map(|page| &page.page.repositories);
        let found = all.find(|listed| listed.uuid == *repository)?;
        Some(found.full_name.clone())
    }

    /// The last commit of the partition of `source` when the repository was listed.
    pub(super) fn stamp(&self, spot: &Spot, source: &SourceId) -> Option<Stamp> {
        let pages = locked(&self.pages);
        let page = pages.get(&(spot.list.clone(), spot.page))?;
        page.page.stamps.get(source)?.get(&spot.position).copied()
    }

    /// What items of `source` show of the repository, as it was listed.
    pub(super) fn carried(&self, spot: &Spot, source: &SourceId) -> Option<u64> {
        let pages = locked(&self.pages);
        let page = pages.get(&(spot.list.clone(), spot.page))?;
        page.page
            .contents
            .carried
            .get(source)?
            .get(&spot.position)
            .copied()
    }

    /// Whether the repository is the one of its page that is audited in this `turn`. Where a page has fewer, some turns are
    /// nobody's.
    pub(super) fn is_audited(&self, spot: &Spot, turn: u64) -> bool {
        let pages = locked(&self.pages);
        let page = pages.get(&(spot.list.clone(), spot.page));
        let repositories = page.map(|page| page.page.repositories.as_slice());
        let repositories = repositories.unwrap_or_default();
        let own = usize::try_from(spot.position).ok();
        let own = own.and_then(|at| repositories.get(at));
        // In an order of their own: lists come in another one each time.
        let before = own.map(|own| repositories.iter().filter(|it| it.uuid < own.uuid).count());
        before.and_then(|before| u64::try_from(before).ok()) == Some(turn)
    }

    /// Whether nothing of `source` is left to be read of the repositories of `list`.
    pub(super) fn is_read(&self, list: &str, source: &SourceId) -> bool {
        let pages = locked(&self.pages);
        let mut pages = pages.iter().filter(|((known, _), _)| known == list);
        pages.all(|(_, page)| {
            let done = page.page.done.get(source);
            let mut positions = (0..).zip(&page.page.repositories).map(|(at, _)| at);
            positions.all(|at| done.is_some_and(|done| done.contains(at)))
        })
    }

    /// The partition is done: it was taken over unread.
    pub(super) fn take_over(&self, spot: &Spot, source: &SourceId) {
        self.done(spot, source, Vec::new());
        self.change(spot, |page| {
            let taken = page.contents.taken_over.entry(source.clone()).or_default();
            taken.insert(spot.position);
        });
    }

    /// What was taken over is to be read after all. False where there is nothing.
    pub(super) fn reopen(&self) -> bool {
        let mut has_any = false;
        for known in locked(&self.pages).values_mut() {
            for (source, taken) in std::mem::take(&mut known.page.contents.taken_over) {
                has_any = true;
                known.is_dirty = true;
                let positions = (0..).zip(&known.page.repositories).map(|(at, _)| at);
                let done = known.page.done.entry(source).or_default();
                let mut left = Numbers::default();
                for at in positions.filter(|at| done.contains(*at) && !taken.contains(at)) {
                    left.insert(at);
                }
                *done = left;
            }
        }
        has_any
    }

    pub(super) fn state(&self, spot: &Spot, source: &SourceId) -> State {
        let pages = locked(&self.pages);
        let Some(page) = pages.get(&(spot.list.clone(), spot.page)) else {
            return State::Open(None);
        };
        let done = page.page.done.get(source);
        if done.is_some_and(|done| done.contains(spot.position)) {
            return State::Done;
        }
        let progress = page.page.progress.get(source);
        State::Open(
            progress
                .and_then(|progress| progress.get(&spot.position))
                .cloned(),
        )
    }

    /// The partition is done, or has failed for this run.
    pub(super) fn done(&self, spot: &Spot, source: &SourceId, missing: Vec<u64>) {
        self.change(spot, |page| {
            page.done
                .entry(source.clone())
                .or_default()
                .insert(spot.position);
            if let Some(progress) = page.progress.get_mut(source) {
                progress.remove(&spot.position);
            }
            if !missing.is_empty() {
                let of_source = page.missing.entry(source.clone()).or_default();
                of_source.insert(spot.position, missing);
            }
        });
    }

    /// The list of the partition had several pages, and nothing but its count says that it has overlooked nothing.
    pub(super) fn leave_open(&self, spot: &Spot, source: &SourceId) {
        self.change(spot, |page| {
            let open = page.open.entry(source.clone()).or_default();
            open.insert(spot.position);
        });
    }

    /// The list of the partition was read by key.
    pub(super) fn close(&self, spot: &Spot, source: &SourceId) {
        self.change(spot, |page| {
            if let Some(open) = page.open.get_mut(source) {
                open.remove(&spot.position);
            }
        });
    }

    /// Partitions of `source` whose list is left open.
    pub(super) fn open(&self, list: &str, source: &SourceId) -> Vec<(Spot, Repository)> {
        let mut all = self.repositories(list);
        let pages = locked(&self.pages);
        all.retain(|(spot, _)| {
            let page = pages.get(&(spot.list.clone(), spot.page));
            let open = page.and_then(|page| page.page.open.get(source));
            open.is_some_and(|open| open.contains(&spot.position))
        });
        all
    }

    /// What was read of the partition so far is committed.
    pub(super) fn advance(&self, spot: &Spot, source: &SourceId, progress: Progress) {
        self.change(spot, |page| {
            let of_source = page.progress.entry(source.clone()).or_default();
            of_source.insert(spot.position, progress);
        });
    }

    fn change(&self, spot: &Spot, change: impl FnOnce(&mut RepositoryPage)) {
        if let Some(page) = locked(&self.pages).get_mut(&(spot.list.clone(), spot.page)) {
            change(&mut page.page);
            page.is_dirty = true;
        }
    }

    /// Numbers that records name and lists have not shown, by source and repository.
    pub(super) fn missing(&self) -> Vec<(SourceId, RepositoryId, Vec<u64>)> {
        let pages = locked(&self.pages);
        let mut missing = Vec::new();
        for Page { page, .. } in pages.values() {
            for (source, by_position) in &page.missing {
                for (position, numbers) in by_position {
                    let at = usize::try_from(*position).ok();
                    let repository = at.and_then(|at| page.repositories.get(at));
                    missing.extend(repository.map(|repository| {
                        (source.clone(), repository.uuid.clone(), numbers.clone())
                    }));
                }
            }
        }
        missing
    }

    /// Stores what has changed, for the run `id`.
    pub(super) async fn save(&self, store: &Store, id: &str) -> Result<(), StoreError> {
        let mut batch = DocumentBatch::new();
        {
            let mut pages = locked(&self.pages);
            for ((list, number), known) in pages.iter_mut().filter(|(_, page)| page.is_dirty) {
                id.clone_into(&mut known.page.run);
                batch.put(&page(list, *number), &known.page)?;
                known.is_dirty = false;
            }
        }
        store.write(batch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_of_another_run_is_as_if_it_were_not_there() {
        let store = Store::memory();
        let stored = RunPages::default();
        let nothing = (&Stamps::new(), Carried::new());
        stored.add(("all", 0), Vec::new(), nothing);
        stored.save(&store, "one").await.unwrap();
        for (run, is_there) in [("one", true), ("other", false)] {
            let loaded = RunPages::default().load(&store, run, ("all", 1)).await;
            assert_eq!(loaded.unwrap(), is_there, "{run}");
        }
    }
}
