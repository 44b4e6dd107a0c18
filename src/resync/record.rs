//! The records of a run's partitions, and what live events have done while they were read.
//!
//! Whatever is read is older than what live events find out later: they win.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;

use super::slice::{Slice, Step};
use crate::entity::EntityKey;
use crate::extract::{Group, Repository};
use crate::failure::{Failure, chain};
use crate::partition::{self, Record, WHOLE, WORKSPACE};
use crate::pipeline::{Produced, Target};
use crate::refresh::{Overtaken, Refresh, Strays, doubtful_since};
use crate::state::{Expected, StateError};

/// How often a partition is looked at again because live events keep coming in between.
const ATTEMPTS: usize = 5;

/// Between the note of a deletion and the deletion there is no more than this.
const AT_WORK: Duration = Duration::from_secs(3_600);

/// Partitions read once more at the end of a run. More than a handful means that the workspace was turned inside out
/// meanwhile.
const MOST_RESTORED: usize = 100;

/// What was recorded of a source when this slice began with it.
pub(super) struct Recorded {
    /// What live events have done since then is not in it.
    since: Timestamp,
    /// By repository.
    before: HashMap<String, Before>,
}

#[derive(Clone, Copy)]
struct Before {
    version: u64,
    /// This run has been here.
    is_of_run: bool,
    /// Live events have, since the run began ..
    is_touched: bool,
    /// .. and have looked at all of it.
    is_touched_whole: bool,
}

impl Recorded {
    /// Whether this run has read `repository` before.
    pub(super) fn is_of_run(&self, repository: &str) -> bool {
        let before = self.before.get(repository);
        before.is_some_and(|before| before.is_of_run)
    }

    /// Whether live events have looked at all of `repository` since the run began.
    pub(super) fn is_touched_whole(&self, repository: &str) -> bool {
        let before = self.before.get(repository);
        before.is_some_and(|before| before.is_touched_whole)
    }
}

impl Slice<'_> {
    /// Stores what a partition that was read from `since` on stands for. Items that live events have looked at
    /// meanwhile are looked at again: what was read of them is older than what those have written. What live events have
    /// written in this run and is gone again goes at once.
    pub(super) async fn record(
        &self,
        group: &Group,
        repository: Option<&Repository>,
        items: Vec<(String, Produced)>,
        since: Timestamp,
    ) -> Result<(), Failure> {
        let (store, source) = (&self.app.store, group.source.id());
        let uuid = repository.map_or(WORKSPACE, |repository| &repository.uuid);
        let mut strays = Strays::default();
        for _ in 0..ATTEMPTS {
            let known = partition::load(store, &source, uuid).await?;
            self.lease.keep(store, &self.app.clock).await?;
            let expected = Expected::unchanged(known.as_ref());
            let before = known.map(|known| known.value);
            let record = self.record_of(items.clone(), before.as_ref());
            // The end of the run spares what was written since it began, as live events do.
            let begun = self.run().started_at;
            let touched = before.filter(|before| !before.touched_since(begun).is_empty());
            let saved = match touched {
                None => {
                    let saved = partition::save(store, &source, uuid, &record, expected).await;
                    saved.map(|_| ()).map_err(Failure::from)
                }
                Some(before) => {
                    let overtaken = Overtaken {
                        before: &before,
                        expected,
                        record,
                        items: &before.touched_since(since),
                    };
                    self.look_again(group, uuid, Some(overtaken), &mut strays)
                        .await
                }
            };
            match saved {
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

    /// What is recorded of `source`.
    pub(super) async fn recorded(&self, source: &str) -> Result<Recorded, StateError> {
        let (run, begun) = {
            let run = self.run();
            (run.id.clone(), run.started_at)
        };
        let mut recorded = Recorded {
            since: self.app.clock.now(),
            before: HashMap::new(),
        };
        partition::list(&self.app.store, source, |repository, found| {
            let touched = found.value.touched_since(begun);
            let before = Before {
                version: found.version,
                is_of_run: found.value.run == run,
                is_touched: !touched.is_empty(),
                is_touched_whole: touched.contains(WHOLE),
            };
            recorded.before.insert(repository.to_owned(), before);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(recorded)
    }

    /// Stores what `repository` stands for, of which `recorded` says what was there before it was read.
    pub(super) async fn record_read(
        &self,
        group: &Group,
        repository: &Repository,
        items: Vec<(String, Produced)>,
        recorded: &Recorded,
    ) -> Result<(), Failure> {
        let (store, source, uuid) = (&self.app.store, group.source.id(), &repository.uuid);
        let expected = match recorded.before.get(uuid) {
            None => Some(Expected::Absent),
            // What is not read anew has to be taken over.
            Some(before)
                if before.is_touched || items.iter().any(|(_, item)| 0 < item.failures) =>
            {
                None
            }
            Some(before) => Some(Expected::Version(before.version)),
        };
        if let Some(expected) = expected {
            self.lease.keep(store, &self.app.clock).await?;
            let record = self.record_of(items.clone(), None);
            match partition::save(store, &source, uuid, &record, expected).await {
                Err(StateError::Conflict { .. }) => {}
                saved => return Ok(saved.map(|_| ())?),
            }
        }
        let since = recorded.since;
        self.record(group, Some(repository), items, since).await
    }

    fn record_of(&self, items: Vec<(String, Produced)>, before: Option<&Record>) -> Record {
        Record::of_run(&self.run().id, items, before)
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
            partition::list(&self.app.store, &source, |repository, found| {
                let record = found.value;
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
