//! Looking: records first, then Bitbucket, then the mapping. Nothing is written.
//!
//! A look gives items as they are now, each with what was recorded of it before Bitbucket was asked: that tells the
//! commit whether somebody else was faster. What a list does not show is never taken for gone here; only what was asked
//! for by its own id is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde_json::Value;

use super::blueprints::Blueprints;
use super::image::Image;
use super::mapper::Mapper;
use super::origin::Resolved;
use super::plan::{Seen, Sight};
use super::sources::Sources;
use crate::bitbucket::{self, BitbucketClient};
use crate::deadline::Deadline;
use crate::extract::{self, Batch, Group, Source};
use crate::failure::Failure;
use crate::identity::{ItemId, ItemRef, PartitionId, Place, RepositoryId, SourceId};
use crate::mapping::RepositoryFilter;
use crate::port::PortClient;
use crate::store::documents::{Entry, Record, place_of, record, record_prefix, records};
use crate::store::{Found, Store, StoreError};

/// What looking works with.
pub struct Looker<'a> {
    pub store: &'a Store,
    pub bitbucket: &'a BitbucketClient,
    pub port: &'a PortClient,
    pub sources: &'a Sources,
    pub mapper: &'a Mapper,
    /// When to stop.
    pub deadline: &'a Deadline,
}

/// Pull requests asked for in one request.
pub const NUMBERS_AT_ONCE: usize = 50;

/// Without a state in the query, a list shows open pull requests only (Bitbucket REST API, pull requests).
const ANY_STATE: &str =
    r#"state="OPEN" OR state="MERGED" OR state="DECLINED" OR state="SUPERSEDED""#;

/// What an event says of a pull request that is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bound {
    /// Bitbucket's answer has to be this recent.
    pub at: Option<Timestamp>,
    /// A list of the open ones is not expected to show it.
    pub closed: bool,
}

/// What a repository is to a filter.
pub enum Selection {
    Selected(Value),
    /// It is there, and the filter does not select it.
    NotSelected,
    /// Bitbucket does not show it at all.
    Invisible,
}

impl Looker<'_> {
    /// Everything that is recorded of `partition`.
    pub async fn entries(
        &self,
        partition: &PartitionId,
    ) -> Result<BTreeMap<ItemId, Entry>, Failure> {
        let mut entries = BTreeMap::new();
        let prefix = record_prefix(partition);
        each_record(self.store, &partition.source, &prefix, |_, record| {
            entries.extend(record.items);
        })
        .await?;
        Ok(entries)
    }

    /// What is recorded of partitions of `source` that are looked at as a whole, by repository.
    pub async fn whole_entries(
        &self,
        source: &SourceId,
    ) -> Result<BTreeMap<RepositoryId, Entry>, Failure> {
        let mut entries = BTreeMap::new();
        each_record(self.store, source, "", |place, mut record| {
            let entry = record.items.remove(&ItemId::Whole);
            entries.extend(place.partition.repository.zip(entry));
        })
        .await?;
        Ok(entries)
    }

    /// What is recorded of `item`.
    pub async fn entry(&self, item: &ItemRef) -> Result<Option<Entry>, Failure> {
        Ok(self
            .entries_of(std::slice::from_ref(item))
            .await?
            .remove(item))
    }

    /// A repository with the files that go along.
    pub async fn with_files(&self, group: &Group, raw: Value) -> Result<Value, bitbucket::Error> {
        extract::with_files(self.bitbucket, group, raw, self.deadline).await
    }

    /// What is recorded of each of `items`.
    async fn entries_of(&self, items: &[ItemRef]) -> Result<BTreeMap<ItemRef, Entry>, Failure> {
        let places: BTreeSet<_> = items.iter().map(ItemRef::place).collect();
        let keys: Vec<_> = places.iter().map(record).collect();
        let found = self.store.load_all(&keys).await?;
        let mut entries = BTreeMap::new();
        for (place, found) in places.iter().zip(found) {
            for (item, entry) in found.value.unwrap_or_default().items {
                entries.insert(place.partition.item(item), entry);
            }
        }
        entries.retain(|item, _| items.contains(item));
        Ok(entries)
    }

    /// Asks what the repository is to `filter`, and if it is not selected, whether it is there.
    pub async fn standing(
        &self,
        filter: &RepositoryFilter,
        repository: &RepositoryId,
    ) -> Result<Selection, Failure> {
        let (bitbucket, deadline) = (self.bitbucket, self.deadline);
        if let Some(raw) = extract::repository(bitbucket, filter, repository, deadline).await? {
            return Ok(Selection::Selected(raw));
        }
        if filter.selects() {
            let all = RepositoryFilter::default();
            if (extract::repository(bitbucket, &all, repository, deadline).await?).is_some() {
                return Ok(Selection::NotSelected);
            }
        }
        match bitbucket
            .is_repository_there(repository.as_str(), deadline)
            .await?
        {
            // The list lags.
            true => Err(Failure::Outdated),
            false => Ok(Selection::Invisible),
        }
    }

    /// The pull requests `ids`, asked for by their numbers. The repository is taken for selected.
    ///
    /// An answer that is older than `bound` is [`Failure::Outdated`].
    pub async fn pull_requests(
        &self,
        group: &Group,
        repository: &RepositoryId,
        ids: &[u64],
        bound: Bound,
    ) -> Result<Vec<Seen>, Failure> {
        let partition = group.partition(Some(repository));
        let items: Vec<ItemRef> = ids
            .iter()
            .map(|id| partition.item(ItemId::Number(*id)))
            .collect();
        let before = self.entries_of(&items).await?;
        self.numbered(group, repository, (ids, before), bound).await
    }

    /// The same with what is recorded of them at hand, read before this.
    pub async fn numbered(
        &self,
        group: &Group,
        repository: &RepositoryId,
        (ids, mut before): (&[u64], BTreeMap<ItemRef, Entry>),
        bound: Bound,
    ) -> Result<Vec<Seen>, Failure> {
        let partition = group.partition(Some(repository));
        let mut seen = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(NUMBERS_AT_ONCE) {
            let mut found =
                extract::pull_requests(self.bitbucket, group, repository, chunk, self.deadline)
                    .await?;
            for id in chunk {
                let item = partition.item(ItemId::Number(*id));
                let mut answer = found.remove(id);
                if let (None, Some(at)) = (&answer, bound.at)
                    && !(bound.closed && lists_open(group))
                {
                    // It may be selected by now, and not be seen yet.
                    self.is_known(repository, *id, at).await?;
                    let ids = [*id];
                    let asked = extract::pull_requests(
                        self.bitbucket,
                        group,
                        repository,
                        &ids,
                        self.deadline,
                    );
                    answer = asked.await?.remove(id);
                }
                let sight = match (answer, bound.at) {
                    (None, _) => Sight::Gone,
                    (Some(Ok(raw)), at) => {
                        is_recent(&raw, at)?;
                        self.present(group, &raw).await?
                    }
                    (Some(Err(unread)), _) => self.lost(group, &unread.file),
                };
                seen.push(Seen {
                    before: before.remove(&item),
                    item,
                    sight,
                });
            }
        }
        Ok(seen)
    }

    /// Pull requests of `repository` that are not `known`, of a list through which nothing slips, asked for by their
    /// numbers. An error says that nobody can tell.
    pub async fn overlooked(
        &self,
        group: &Group,
        repository: &RepositoryId,
        known: impl Fn(u64) -> bool,
    ) -> Result<Vec<Seen>, Failure> {
        let Source::PullRequests { query, .. } = &group.source else {
            return Ok(Vec::new());
        };
        let mut overlooked = BTreeSet::new();
        let mut pages = self
            .bitbucket
            .pull_requests_by_key(repository.as_str(), Some(query));
        while let Some(values) = pages.next(self.deadline).await? {
            let numbers = values.iter().filter_map(bitbucket::number_of);
            overlooked.extend(numbers.filter(|number| !known(*number)));
        }
        let overlooked: Vec<u64> = overlooked.into_iter().collect();
        self.pull_requests(group, repository, &overlooked, Bound::default())
            .await
    }

    /// Whether Bitbucket shows the pull request, whatever selects it, in a state no older than `bound`.
    async fn is_known(
        &self,
        repository: &RepositoryId,
        id: u64,
        bound: Timestamp,
    ) -> Result<(), Failure> {
        let any = Group::of_nobody(Source::PullRequests {
            repositories: RepositoryFilter::default(),
            query: ANY_STATE.to_owned(),
        });
        let ids = [id];
        let asked = extract::pull_requests(self.bitbucket, &any, repository, &ids, self.deadline);
        match asked.await?.remove(&id) {
            Some(Ok(raw)) => is_recent(&raw, Some(bound)),
            _ => Err(Failure::Outdated),
        }
    }

    /// The raw items of a page of a list of pull requests, of which `entries` says what is recorded.
    pub async fn listed(
        &self,
        group: &Group,
        repository: &RepositoryId,
        batch: &Batch,
        entries: &BTreeMap<ItemId, Entry>,
    ) -> Result<Vec<Seen>, Failure> {
        let partition = group.partition(Some(repository));
        let mut seen: Vec<Seen> = Vec::with_capacity(batch.items.len());
        for raw in &batch.items {
            let Some(id) = group.source.item(raw) else {
                continue;
            };
            let item = partition.item(id);
            // A list that shifts shows some twice.
            if seen.iter().any(|seen| seen.item == item) {
                continue;
            }
            seen.push(Seen {
                item,
                before: entries.get(&id).cloned(),
                sight: self.present(group, raw).await?,
            });
        }
        for unread in &batch.unread {
            let Some(id) = group.source.item(&unread.raw) else {
                continue;
            };
            seen.push(Seen {
                item: partition.item(id),
                before: entries.get(&id).cloned(),
                sight: self.lost(group, &unread.file),
            });
        }
        Ok(seen)
    }

    /// A repository as its own item, of which `before` was recorded when it was asked for.
    pub async fn repository(
        &self,
        group: &Group,
        (repository, raw): (&RepositoryId, Result<Value, bitbucket::Error>),
        before: Option<Entry>,
    ) -> Result<Seen, Failure> {
        let sight = match raw {
            Ok(raw) => self.listed_repository(group, raw).await?,
            Err(error) => self.unread(group, error)?,
        };
        Ok(Seen {
            item: group.partition(Some(repository)).item(ItemId::Whole),
            before,
            sight,
        })
    }

    /// Every item of `partition` that is recorded, as gone: its repository is. The partition as a whole is among them,
    /// recorded or not, so that whoever has read it before is refused.
    pub async fn gone(&self, partition: &PartitionId) -> Result<Vec<Seen>, Failure> {
        let mut entries = self.entries(partition).await?;
        let whole = entries.remove(&ItemId::Whole);
        let others = entries.into_iter().map(|(item, entry)| (item, Some(entry)));
        let all = others.chain([(ItemId::Whole, whole)]);
        let seen = all.map(|(item, before)| Seen {
            item: partition.item(item),
            before,
            sight: Sight::Gone,
        });
        Ok(seen.collect())
    }

    async fn present(&self, group: &Group, raw: &Value) -> Result<Sight, Failure> {
        let mut image = Image {
            made: self.mapper.map(&group.resources, raw, ""),
            basis: None,
        };
        self.resolve(&mut image).await?;
        Ok(Sight::Present(image))
    }

    pub(super) async fn resolve(&self, image: &mut Image) -> Result<Resolved, Failure> {
        let entities = image.all_entities();
        let blueprints = Blueprints::for_entities(self.port, entities, self.deadline).await?;
        let (left_out, twins) = (image.resolve(&blueprints), image.twins());
        let resolved = Resolved {
            schemas: blueprints.digest(image.blueprints()),
            is_clean: left_out.is_empty() && twins.is_empty(),
        };
        self.mapper.left_out(left_out);
        self.mapper.twins(twins);
        Ok(resolved)
    }
}

/// Reads the records of `source` whose names begin with `prefix`, in the order of their names.
pub async fn each_record(
    store: &Store,
    source: &SourceId,
    prefix: &str,
    mut take: impl FnMut(Place, Record),
) -> Result<(), StoreError> {
    let each = |name: &str, found: Found<Record>| {
        if let Some(place) = place_of(source, name) {
            take(place, found.value.unwrap_or_default());
        }
        ControlFlow::Continue(())
    };
    store.list(&records(source), prefix, each).await
}

/// Whether an answer is at least as new as the event that made us ask.
fn is_recent(raw: &Value, bound: Option<Timestamp>) -> Result<(), Failure> {
    let updated_on = raw.get("updated_on").and_then(Value::as_str);
    let updated_on = updated_on.and_then(|text| text.parse::<Timestamp>().ok());
    match (updated_on, bound) {
        (Some(updated_on), Some(bound)) if updated_on < bound => Err(Failure::Outdated),
        _ => Ok(()),
    }
}

/// Whether the source lists nothing but open pull requests, as the default mapping does.
fn lists_open(group: &Group) -> bool {
    let Source::PullRequests { query, .. } = &group.source else {
        return false;
    };
    let plain: String = query.chars().filter(|one| !one.is_whitespace()).collect();
    plain == r#"state="OPEN""#
}
