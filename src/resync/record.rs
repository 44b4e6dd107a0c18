//! The records of a run's partitions, and what live events have done while they were read.
//!
//! Whatever is read is older than what live events find out later: they win.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;

use super::slice::{Slice, Step};
use crate::entity::EntityKey;
use crate::extract::{Group, Repository};
use crate::failure::{Failure, chain};
use crate::partition::{self, Record, WORKSPACE};
use crate::pipeline::{Produced, Target};
use crate::refresh::{Overtaken, Refresh, Strays, doubtful_since};
use crate::state::{Document, Expected, StateError};

/// How often a partition is looked at again because live events keep coming in between.
const ATTEMPTS: usize = 5;

/// Between the note of a deletion and the deletion there is no more than this.
const AT_WORK: Duration = Duration::from_secs(3_600);

/// Partitions read once more at the end of a run. More than a handful means that the workspace was turned inside out
/// meanwhile.
const MOST_RESTORED: usize = 100;

impl Slice<'_> {
    /// Stores what a partition that was read from `since` on stands for. Items that live events have looked at
    /// meanwhile are looked at again: what was read of them is older than what those have written. What live events have
    /// written in this run and is gone again goes at once.
    pub(super) async fn record(
        &self,
        group: &Group,
        repository: Option<&Repository>,
        mut items: Vec<(String, Produced)>,
        since: Timestamp,
    ) -> Result<(), Failure> {
        let (store, source) = (&self.app.store, group.source.id());
        let uuid = repository.map_or(WORKSPACE, |repository| &repository.uuid);
        let mut strays = Strays::default();
        for _ in 0..ATTEMPTS {
            let known = partition::load(store, &source, uuid).await?;
            let before = match known {
                Some(known) if self.is_touched(&known.value) => known,
                known => match self.record_untouched(&source, uuid, items, known).await? {
                    None => return Ok(()),
                    Some(unrecorded) => {
                        items = unrecorded;
                        continue;
                    }
                },
            };
            self.lease.keep(store, &self.app.clock).await?;
            let overtaken = Overtaken {
                before: &before.value,
                expected: Expected::Version(before.version),
                record: self.record_of(items.clone(), Some(&before.value)),
                items: &before.value.touched_since(since),
            };
            match self
                .look_again(group, uuid, Some(overtaken), &mut strays)
                .await
            {
                Err(Failure::State(StateError::Conflict { .. })) => {}
                Err(Failure::Bitbucket(error)) => {
                    return match self.partition_failed(group, repository, error)? {
                        Step::Paused(failure) => Err(failure),
                        Step::Done => Ok(()),
                    };
                }
                saved => return saved,
            }
        }
        Err(StateError::Conflict {
            key: format!("{source} of {uuid}"),
        }
        .into())
    }

    /// Stores what `repository` stands for: its record was `known` before it was read from `since` on.
    pub(super) async fn record_read(
        &self,
        group: &Group,
        repository: &Repository,
        items: Vec<(String, Produced)>,
        (known, since): (Option<Document<Record>>, Timestamp),
    ) -> Result<(), Failure> {
        let source = group.source.id();
        match self
            .record_untouched(&source, &repository.uuid, items, known)
            .await?
        {
            None => Ok(()),
            Some(items) => self.record(group, Some(repository), items, since).await,
        }
    }

    /// Stores what the partition stands for, of which `known` was the record before it was read, if no live event has
    /// been there since the run began. Otherwise `items` come back, for [`record`](Slice::record).
    async fn record_untouched(
        &self,
        source: &str,
        repository: &str,
        items: Vec<(String, Produced)>,
        known: Option<Document<Record>>,
    ) -> Result<Option<Vec<(String, Produced)>>, Failure> {
        let expected = Expected::unchanged(known.as_ref());
        let before = known.map(|known| known.value);
        if before
            .as_ref()
            .is_some_and(|before| self.is_touched(before))
        {
            return Ok(Some(items));
        }
        let store = &self.app.store;
        self.lease.keep(store, &self.app.clock).await?;
        let record = self.record_of(items.clone(), before.as_ref());
        match partition::save(store, source, repository, &record, expected).await {
            Ok(_) => Ok(None),
            Err(StateError::Conflict { .. }) => Ok(Some(items)),
            Err(error) => Err(error.into()),
        }
    }

    fn record_of(&self, items: Vec<(String, Produced)>, before: Option<&Record>) -> Record {
        Record::of_run(&self.run().id, items, before)
    }

    /// Whether live events have been there since the run began. Its end spares what was written since then, as live
    /// events do.
    fn is_touched(&self, record: &Record) -> bool {
        !record.touched_since(self.run().started_at).is_empty()
    }

    /// At what live events have overtaken, or else at all of the partition.
    async fn look_again(
        &self,
        group: &Group,
        repository: &str,
        overtaken: Option<Overtaken<'_>>,
        strays: &mut Strays,
    ) -> Result<(), Failure> {
        let (app, session) = (self.app, self.session);
        let refresh = Refresh::new(app, session, self.mapping, self.groups, &self.deadline);
        let mut refresh = refresh.after(std::mem::take(strays));
        match overtaken {
            Some(overtaken) => {
                Box::pin(refresh.overtaken(group, repository, overtaken)).await?;
            }
            None => Box::pin(refresh.partition(group, repository)).await?,
        }
        let committed = refresh.commit().await;
        refresh.log_problems();
        self.run().counts += refresh.counts;
        *strays = refresh.into_strays();
        committed
    }

    /// Brings back what live events have deleted while this run had written, but not recorded it.
    pub(super) async fn restore(&self) -> Result<(), Failure> {
        let (store, begun) = (&self.app.store, self.run().started_at);
        let moment = begun.checked_sub(AT_WORK).unwrap_or(Timestamp::MIN);
        let doubtful = doubtful_since(store, moment).await?;
        if doubtful.is_empty() {
            return Ok(());
        }
        let holders = self.holders(&doubtful).await?;
        if MOST_RESTORED < holders.len() {
            let left = holders.len() - MOST_RESTORED;
            tracing::warn!(left, "partitions left to the next resync");
        }
        for (source, repository) in holders.into_iter().take(MOST_RESTORED) {
            let group = self.groups.iter().find(|group| group.source.id() == source);
            if let Some(group) = group {
                self.restore_partition(group, &repository).await?;
            }
        }
        Ok(())
    }

    /// Partitions that stand for one of `keys`, or point at one that Port does not have: source and repository.
    async fn holders(
        &self,
        keys: &BTreeSet<EntityKey>,
    ) -> Result<BTreeSet<(String, String)>, Failure> {
        let identifiers: BTreeSet<&str> = keys.iter().map(|key| key.identifier.as_str()).collect();
        let (mut holders, mut pointing) = (BTreeSet::new(), Vec::new());
        for group in self.groups {
            let source = group.source.id();
            partition::list(&self.app.store, &source, |repository, record| {
                let place = (source.clone(), repository.to_owned());
                let targets = record.targets();
                let targets: BTreeSet<Target> = targets
                    .filter(|target| identifiers.contains(target.identifier.as_str()))
                    .cloned()
                    .collect();
                if record.keys().any(|key| keys.contains(key)) {
                    holders.insert(place);
                } else if !targets.is_empty() {
                    pointing.push((place, targets));
                }
                ControlFlow::Continue(())
            })
            .await?;
        }
        if pointing.is_empty() {
            return Ok(holders);
        }
        let all: Vec<EntityKey> = keys.iter().cloned().collect();
        let there = self.session.port.owned_among(&all, &self.deadline).await?;
        let missing = keys - &there.into_iter().collect();
        for (place, targets) in pointing {
            if !self.resolve(&targets).await?.is_disjoint(&missing) {
                holders.insert(place);
            }
        }
        Ok(holders)
    }

    async fn restore_partition(&self, group: &Group, uuid: &str) -> Result<(), Failure> {
        let mut strays = Strays::default();
        for _ in 0..ATTEMPTS {
            match self.look_again(group, uuid, None, &mut strays).await {
                Err(Failure::State(StateError::Conflict { .. })) => {}
                Err(failure) if !failure.is_retryable() && !failure.is_unauthorized() => {
                    let (kind, error) = (group.source.name(), chain(&failure));
                    tracing::warn!(kind, repository = uuid, error, "partition not read again");
                    return Ok(());
                }
                looked => return looked,
            }
        }
        Ok(())
    }
}
