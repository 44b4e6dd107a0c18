//! A section's writes and deletions in Port, and what became of each.
//!
//! Nothing is repeated here and nothing waits: this happens under the pen. Decides nothing about entities.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::blueprints::Blueprints;
use super::plan::{Plan, Seen};
use super::settle::{Fate, Results};
use super::sources::Sources;
use crate::counts::Counts;
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey};
use crate::failure::Later;
use crate::identity::ItemRef;
use crate::port::{
    self, DeleteOptions, DeleteOutcome, PortClient, Postponed, UpsertOptions, UpsertOutcome,
    WriteEvent,
};
use crate::telemetry::chain;

/// The least that Port is left alone when it asks for that.
const A_MOMENT: Duration = Duration::from_secs(1);

/// What Port has answered to a section.
#[derive(Default)]
pub struct Answered {
    pub results: Results,
    pub counts: Counts,
    /// Entities that Port refused.
    pub refusals: Vec<RefusedEntity>,
    /// Entities that wait for what a relation of theirs leads to.
    pub waiting: Vec<RefusedEntity>,
    /// Why Port was not asked for all of it: an outage, no time.
    pub stopped: Option<Later>,
    /// Entities that Port has deleted: they were there, and ours.
    pub deleted: BTreeSet<EntityKey>,
    /// Identifiers that Port deleted along with others.
    pub along: BTreeSet<String>,
    /// Entities to be deleted of which Port does not say that they are ours.
    pub unconfirmed: BTreeSet<EntityKey>,
    /// Why writes have to be made later, by their positions.
    writes_later: BTreeMap<usize, Later>,
    /// Why deletions have to be made later.
    deletes_later: Option<Later>,
}

/// An entity that Port does not take, or does not give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEntity {
    pub blueprint: String,
    /// Blueprint, and identifier unless a search query stands for it.
    pub entity: String,
    pub reason: String,
}

impl fmt::Display for RefusedEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.entity, self.reason)
    }
}

impl Later {
    fn of(postponed: &Postponed) -> Later {
        Later {
            reason: postponed.to_string(),
            wait: postponed.wait,
        }
    }
}

/// Writes `entities`, each on its own account.
pub(super) async fn write(
    port: &PortClient,
    entities: &[Entity],
    options: &UpsertOptions,
    deadline: &Deadline,
) -> Answered {
    let mut answered = Answered::default();
    if entities.is_empty() {
        return answered;
    }
    let upserted = port.upsert(entities, options, deadline).await;
    answered.stopped = upserted.stopped.as_ref().map(stopped);
    for (position, (entity, outcome)) in entities.iter().zip(upserted.outcomes).enumerate() {
        let refusal = |reason: String| RefusedEntity {
            blueprint: entity.blueprint.clone(),
            entity: shown(entity),
            reason,
        };
        let fate = match outcome {
            UpsertOutcome::Written { .. } => {
                answered.counts.written += 1;
                Fate::Done
            }
            UpsertOutcome::Refused(reason) => {
                answered.counts.refused += 1;
                answered.refusals.push(refusal(reason.to_string()));
                Fate::Refused
            }
            UpsertOutcome::LacksTarget(reason) => {
                answered.counts.waiting += 1;
                answered.waiting.push(refusal(reason.to_string()));
                Fate::LacksTarget
            }
            UpsertOutcome::Later(postponed) => {
                answered
                    .writes_later
                    .insert(position, Later::of(&postponed));
                Fate::Later
            }
        };
        answered.results.writes.push(fate);
    }
    answered
}

/// What ended a section early. Where only its time was over, it may go on at once; where Port has had too much, not before
/// a second has passed, whatever its answer says.
fn stopped(error: &port::Error) -> Later {
    let wait = match error {
        port::Error::OutOfTime { .. } => Some(Duration::ZERO),
        error => error.wait().map(|wait| wait.max(A_MOMENT)),
    };
    Later {
        reason: chain(error),
        wait,
    }
}

fn shown(entity: &Entity) -> String {
    entity.key().map_or_else(
        || format!("{} (found by a search)", entity.blueprint),
        |key| key.to_string(),
    )
}

/// Deletes those of `keys` that Port says are ours. What requires them goes along where the mapping says so, except
/// entities of a resource that keeps its own: what those require stays.
pub(super) async fn delete(
    port: &PortClient,
    keys: &BTreeSet<EntityKey>,
    (sources, event): (&Sources, &WriteEvent),
    answered: &mut Answered,
    deadline: &Deadline,
) {
    if keys.is_empty() {
        return;
    }
    let all: Vec<EntityKey> = keys.iter().cloned().collect();
    let owned = match port.owned_among(&all, deadline).await {
        Ok(owned) => owned,
        Err(error) => {
            answered.deletes_later = Some(stopped(&error));
            answered.stopped.get_or_insert(stopped(&error));
            let later = all.into_iter().map(|key| (key, Fate::Later));
            answered.results.deletes.extend(later);
            return;
        }
    };
    // What is not ours is not our business any more.
    answered.unconfirmed = keys.clone();
    answered.unconfirmed.retain(|key| !owned.contains(key));
    let done = all.into_iter().map(|key| (key, Fate::Done));
    answered.results.deletes.extend(done);
    if owned.is_empty() {
        return;
    }
    let alone = needed(port, sources, deadline).await;
    let (alone, along): (Vec<EntityKey>, Vec<EntityKey>) =
        owned.into_iter().partition(|key| alone.contains(key));
    let dependents = sources.mapping().settings().delete_dependent_entities;
    for (keys, dependents) in [(along, dependents), (alone, false)] {
        if keys.is_empty() {
            continue;
        }
        let event = event.clone();
        let options = DeleteOptions { dependents, event };
        let deleted = port.delete(&keys, &options, deadline).await;
        answered.take_deleted(keys, deleted);
    }
}

/// Those of `keys` that are in Port; none where Port does not say.
pub(super) async fn present(
    port: &PortClient,
    keys: BTreeSet<EntityKey>,
    deadline: &Deadline,
) -> Vec<EntityKey> {
    if keys.is_empty() {
        return Vec::new();
    }
    let keys: Vec<EntityKey> = keys.into_iter().collect();
    match port.present(&keys, deadline).await {
        Ok(present) => present.into_keys().collect(),
        Err(error) => {
            tracing::warn!(error = chain(&error), "Port does not say what is left");
            Vec::new()
        }
    }
}

/// What entities need that are kept.
enum Needed {
    Of(BTreeSet<String>),
    /// It cannot be said of which blueprints.
    Any,
}

impl Needed {
    fn contains(&self, key: &EntityKey) -> bool {
        match self {
            Needed::Of(blueprints) => blueprints.contains(&key.blueprint),
            Needed::Any => true,
        }
    }
}

/// Which blueprints' entities are not to take along what requires them.
async fn needed(port: &PortClient, sources: &Sources, deadline: &Deadline) -> Needed {
    let kept: Option<BTreeSet<&str>> = sources.keeping().collect();
    let Some(kept) = kept else {
        return Needed::Any;
    };
    match Blueprints::required_by(port, kept, deadline).await {
        Ok(blueprints) => Needed::Of(blueprints),
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "nothing goes along with what is deleted"
            );
            Needed::Any
        }
    }
}

impl Answered {
    fn take_deleted(&mut self, keys: Vec<EntityKey>, deleted: port::DeleteReport) {
        self.along.extend(deleted.along);
        if let Some(error) = &deleted.stopped {
            self.stopped.get_or_insert(stopped(error));
        }
        for (key, outcome) in keys.into_iter().zip(deleted.outcomes) {
            let deletion = self.deletion(&key, outcome);
            self.results.deletes.insert(key, deletion);
        }
    }

    fn deletion(&mut self, key: &EntityKey, outcome: DeleteOutcome) -> Fate {
        match outcome {
            DeleteOutcome::Deleted => {
                self.counts.deleted += 1;
                self.deleted.insert(key.clone());
                Fate::Done
            }
            DeleteOutcome::WasAbsent => Fate::Done,
            DeleteOutcome::Refused { refusal, .. } => {
                self.counts.undeleted += 1;
                self.refusals.push(RefusedEntity {
                    blueprint: key.blueprint.clone(),
                    entity: key.to_string(),
                    reason: format!("not deleted: {refusal}"),
                });
                Fate::Refused
            }
            DeleteOutcome::Later(postponed) => {
                self.deletes_later.get_or_insert(Later::of(&postponed));
                Fate::Later
            }
        }
    }

    /// Deletions that have to be made later count as not made: no item stands for them, so only the next run sees to them.
    pub(super) fn refuse_what_is_later(&mut self) {
        let Some(later) = &self.deletes_later else {
            return;
        };
        let deletes = self.results.deletes.iter();
        let left = deletes.filter(|(_, deletion)| **deletion == Fate::Later);
        for (key, _) in left {
            self.counts.undeleted += 1;
            self.refusals.push(RefusedEntity {
                blueprint: key.blueprint.clone(),
                entity: key.to_string(),
                reason: format!("not deleted: {}", later.reason),
            });
        }
    }

    /// Why `item` is to be committed later.
    pub(super) fn reason(&self, plan: &Plan, seen: &[Seen], item: &ItemRef) -> Later {
        let position = seen.iter().position(|seen| seen.item == *item);
        let writes = plan.writes.iter().enumerate();
        let own = writes
            .filter(|(_, write)| Some(write.seen) == position)
            .find_map(|(at, _)| self.writes_later.get(&at));
        let reason = own.or(self.deletes_later.as_ref());
        reason.cloned().unwrap_or_default()
    }
}
