//! The end of a run: what lists have not shown is looked at by id, what nobody claims is adopted, and the run is told.
//!
//! A list's silence proves nothing. What the records name and the lists did not show is asked for; only then it goes,
//! through a commit like everything else, and only as much as the threshold allows.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::journal::Phase;
use super::slice::{RunPart, Slice, Step};
use crate::deadline::later;
use crate::entity::EntityKey;
use crate::extract::filter_id;
use crate::failure::Failure;
use crate::identity::{ItemId, RepositoryId, SourceId};
use crate::locked::locked;
use crate::store::Revision;
use crate::store::documents::{Entry, Key, Record, record};
use crate::store::run::{ANY, recorded_sources};
use crate::sync::commit::sections;
use crate::sync::look::{Bound, each_record};
use crate::sync::plan::{Kept, Seen, Sight};
use crate::sync::settle::TOMBSTONE_LIFETIME;
use crate::sync::tally;
use crate::telemetry::chain;

/// Items that one run asks for by their ids; the next one goes on with the rest.
pub(super) const MOST_ASKED: usize = 5_000;

/// What the records say at the end of a run.
#[derive(Default)]
struct Scan {
    /// Every entity that is claimed or led to, as digests: there may be hundreds of thousands.
    named: HashSet<u64>,
    /// Repositories that claim something and were not listed, by the id of their list.
    unlisted: BTreeMap<String, BTreeSet<RepositoryId>>,
    /// Records that have said nothing for long.
    empty: Vec<Key<Record>>,
}

impl Slice<'_> {
    /// Everything that follows when the lists are read.
    pub(super) async fn finish(&self) -> Result<Step, Failure> {
        if self.sources().groups().is_empty() {
            // An empty mapping asks for nothing, deletions included.
            return Ok(Step::Done);
        }
        self.fail_distrusted();
        // Before the records are read: whoever writes an entity has recorded it before.
        let owned = self.session.port.owned(None, &self.deadline).await?;
        self.guard.owns(owned.len());
        let scan = self.scan().await?;
        self.store().remove_all(&scan.empty).await?;
        let mut seen = match self.numbers().await {
            Ok(seen) => seen,
            Err(failure) => return paused(failure),
        };
        match self.repositories(&scan.unlisted).await {
            Ok(gone) => seen.extend(gone),
            Err(failure) => return paused(failure),
        }
        let left = self.left_sources().await?;
        seen.extend(left.iter().flat_map(|(_, seen)| seen.iter().cloned()));
        if let Step::Paused(failure) = self.commit_missing(seen).await? {
            return Ok(Step::Paused(failure));
        }
        self.forget_sources(left.into_iter().map(|(source, _)| source).collect())
            .await?;
        if let Step::Paused(failure) = self.adopt(&owned, &scan.named).await? {
            return Ok(Step::Paused(failure));
        }
        let gone = locked(&self.gone).clone();
        let left = owned.iter().filter(|key| !gone.contains(&digest_of(key)));
        self.run().owned = left.count();
        Ok(Step::Done)
    }

    async fn scan(&self) -> Result<Scan, Failure> {
        let mut scan = Scan::default();
        let now = self.app.clock.now();
        let (vanished, begun) = {
            let run = self.run();
            (run.vanished.clone(), run.started_at)
        };
        for group in self.sources().groups() {
            let list = group.source.repositories().map(filter_id);
            let listed = list
                .as_ref()
                .map(|list| &self.pages.listed(list) - &vanished);
            let complete = list.as_ref().is_none_or(|list| self.is_complete(list));
            each_record(self.store(), &group.id, "", |place, found| {
                let items = found.items;
                let is_old = items.values().all(|entry| {
                    let since = entry.empty_since;
                    since.is_some_and(|since| later(since, TOMBSTONE_LIFETIME) <= now)
                });
                if is_old {
                    scan.empty.push(record(&place));
                }
                // A live look has found it gone after it was listed.
                let whole = items
                    .get(&ItemId::Whole)
                    .and_then(|entry| entry.empty_since);
                let has_left = group.source.is_numbered() && whole.is_some_and(|at| begun <= at);
                let has_basis = items.values().any(|entry| entry.basis.is_some());
                let claims = items.values().flat_map(|entry| &entry.claims);
                let mut claims = claims.peekable();
                let repository = place.partition.repository;
                if let (Some(repository), Some(list), Some(listed), true) =
                    (repository, &list, &listed, complete)
                    && (has_left
                        || (claims.peek().is_some() || has_basis) && !listed.contains(&repository))
                {
                    let unlisted = scan.unlisted.entry(list.clone()).or_default();
                    unlisted.insert(repository);
                }
                for claim in claims {
                    let content = claim.content.iter().map(|held| &held.key);
                    scan.named
                        .extend(content.chain(&claim.targets).map(digest_of));
                }
            })
            .await?;
        }
        Ok(scan)
    }

    pub(super) fn is_complete(&self, list: &str) -> bool {
        let run = self.run();
        let list = run.lists.get(list);
        list.is_some_and(|list| list.is_complete && list.failed.is_none())
    }

    /// Pull requests that records name and lists have not shown.
    async fn numbers(&self) -> Result<Vec<Seen>, Failure> {
        let looker = self.looker();
        let mut seen: Vec<Seen> = Vec::new();
        for (source, repository, numbers) in self.pages.missing() {
            let Some(group) = self.sources().group(&source) else {
                continue;
            };
            let room = MOST_ASKED.saturating_sub(seen.len());
            let asked = numbers.get(..room).unwrap_or(&numbers);
            self.keep().await?;
            match looker
                .pull_requests(group, &repository, asked, Bound::default())
                .await
            {
                Ok(found) => {
                    let part = RunPart::of(group.partition(Some(&repository)));
                    self.tell_losses(&part, &found);
                    seen.extend(found);
                }
                Err(failure) if failure.meets_everything() => return Err(failure),
                Err(failure) => {
                    let part = RunPart::of(group.partition(Some(&repository)));
                    self.give_up(&part, true, &chain(&failure));
                }
            }
        }
        Ok(seen)
    }

    /// What sources claim that have left the mapping. What may have taken its place and could not be read, mapped or
    /// written keeps it, as it keeps what would be adopted.
    async fn left_sources(&self) -> Result<Vec<(SourceId, Vec<Seen>)>, Failure> {
        let known = self
            .store()
            .load(&recorded_sources())
            .await?
            .value
            .unwrap_or_default();
        let unsound = self.run().unsound.clone();
        let is_replaced = |entry: &Entry| {
            let held = entry.claims.iter().flat_map(|claim| &claim.content);
            let mut blueprints = held.map(|held| &held.key.blueprint);
            !unsound.contains(ANY) && blueprints.all(|blueprint| !unsound.contains(blueprint))
        };
        let mut left = Vec::new();
        for source in known.0 {
            if self.sources().group(&source).is_some() {
                continue;
            }
            let mut seen = Vec::new();
            each_record(self.store(), &source, "", |place, found| {
                let gone = found
                    .items
                    .into_iter()
                    .filter(|(_, entry)| !entry.claims.is_empty() && is_replaced(entry));
                seen.extend(gone.map(|(item, entry)| Seen {
                    item: place.partition.item(item),
                    before: Some(entry),
                    sight: Sight::Gone,
                }));
            })
            .await?;
            left.push((source, seen));
        }
        Ok(left)
    }

    /// Forgets sources that claim nothing any more.
    async fn forget_sources(&self, sources: Vec<SourceId>) -> Result<(), Failure> {
        let store = self.store();
        for source in sources {
            let mut claims = false;
            let mut keys = Vec::new();
            each_record(store, &source, "", |place, found| {
                claims |= found.items.values().any(|entry| !entry.claims.is_empty());
                keys.push(record(&place));
            })
            .await?;
            // A guard has kept some of it: the next run decides again.
            if claims {
                continue;
            }
            store.remove_all(&keys).await?;
            let key = recorded_sources();
            let mut known = store.load(&key).await?.value.unwrap_or_default();
            known.0.remove(&source);
            store.save(&key, &known, Revision::ANYTHING).await?;
        }
        Ok(())
    }

    /// Commits what was asked for by id. Where more would go than the threshold allows, nothing goes.
    pub(super) async fn commit_missing(&self, seen: Vec<Seen>) -> Result<Step, Failure> {
        let (gone, present): (Vec<Seen>, Vec<Seen>) = seen
            .into_iter()
            .partition(|seen| matches!(seen.sight, Sight::Gone));
        let going: BTreeSet<&EntityKey> = gone
            .iter()
            .flat_map(|seen| &seen.before)
            .flat_map(|entry| &entry.claims)
            .flat_map(|claim| claim.content.iter().map(|held| &held.key))
            .collect();
        let mut all = present;
        if going.len() <= self.guard.left() {
            all.extend(gone);
        } else {
            self.keep_stale(going.len(), Kept::Threshold);
        }
        let sources = self.sources();
        let port = &self.session.port;
        self.snapshots
            .prepare(port, sources, &all, &self.deadline)
            .await?;
        let (changed, unchanged): (Vec<Seen>, Vec<Seen>) = all
            .into_iter()
            .partition(|seen| self.snapshots.is_changed(sources, seen));
        self.run().count(tally::unchanged(&unchanged));
        for section in sections(changed) {
            self.keep().await?;
            match self.commit(section).await {
                Ok(left) => {
                    for (item, later) in &left.later {
                        let reason = format!("looked at, and not written: {}", later.reason);
                        self.give_up(&RunPart::of(item.partition.clone()), true, &reason);
                    }
                    self.look_again(&left).await?;
                }
                Err(failure) => return paused(failure),
            }
        }
        Ok(Step::Done)
    }

    /// Says that stale entities stay, and why.
    pub(super) fn keep_stale(&self, stale: usize, kept: Kept) {
        let reason = match kept {
            Kept::Threshold => {
                let settings = self.sources().mapping().settings();
                let threshold = settings.entity_deletion_threshold;
                let left = self.guard.left();
                format!("{kept} ({threshold}): it leaves {left} to this run")
            }
            kept => kept.to_string(),
        };
        tracing::warn!(stale, reason, "stale entities kept");
        let line = format!("{stale} stale entities kept: {reason}");
        self.journal.warn(Phase::Delete, line.as_str());
        let mut run = self.run();
        run.counts.kept += stale;
        run.withheld += if kept.is_loss() { stale } else { 0 };
        run.kept.insert(line);
    }
}

/// A failure of the moment pauses the run, any other ends it.
pub(super) fn paused(failure: Failure) -> Result<Step, Failure> {
    match failure {
        Failure::MappingChanged => Err(failure),
        failure if failure.is_retryable() => Ok(Step::Paused(failure)),
        failure => Err(failure),
    }
}

pub(super) fn digest_of(key: &EntityKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
