//! Writing entities: groups, batches, what a refusal costs, and the second try.
//!
//! The routes are idempotent, so everything here may be repeated by the caller at will.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use super::batch::{self, FailedEntity, Failure, Fate, Item, lacks_target};
use super::client::{Call, PortClient, locked};
use super::error::{Error, TraceId};
use super::order::{Node, levels};
use crate::deadline::Deadline;
use crate::entity::{Entity, Identifier};

/// Bulk calls of one batch under way at once.
const CONCURRENT_CALLS: usize = 4;

/// Single entities in a row that Port answers with a 500 before it is taken to be down.
const TOLERATED_DEFECTS: usize = 3;

#[derive(Clone, Debug)]
pub struct UpsertOptions {
    /// Fields that an entity does not name keep their value; otherwise they are cleared.
    pub merge: bool,
    /// Relation targets that do not exist are created, empty.
    pub create_missing_related: bool,
    pub event: WriteEvent,
}

/// What Port shows as the cause of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteEvent {
    Resync {
        /// The event id of the run.
        id: String,
    },
    Live,
}

/// What became of the entities of one [`upsert`](PortClient::upsert): each one is written or failed.
#[derive(Debug, Default)]
pub struct UpsertReport {
    pub written: usize,
    /// Positions of those written that Port says it had before.
    pub known: Vec<usize>,
    /// In the order of the call.
    pub failed: Vec<FailedEntity>,
    /// Why entities were left unsent, if any were. They are among the failed, and retryable.
    pub stopped: Option<Error>,
}

impl PortClient {
    /// Writes `entities`, in their order where two have the same key, blueprint after blueprint otherwise.
    ///
    /// An entity that Port refuses costs only itself. An error that would meet every call (credentials, rate limit,
    /// outage, time) stops the rest; it is returned as an error when nothing at all was written or refused before,
    /// and in [`stopped`](UpsertReport::stopped) otherwise. Entities whose relation targets were missing are tried
    /// again at the end, whole and targets first, unless Port creates the targets; targets in a later call are the
    /// caller's concern.
    pub async fn upsert(
        &self,
        entities: &[Entity],
        options: &UpsertOptions,
        deadline: &Deadline,
    ) -> Result<UpsertReport, Error> {
        if let Some(rehearsal) = &self.rehearsal {
            locked(rehearsal).written.extend_from_slice(entities);
            return Ok(UpsertReport {
                written: entities.len(),
                ..UpsertReport::default()
            });
        }
        let run = Run {
            client: self,
            entities,
            options,
            deadline,
            stopped: Mutex::default(),
            missing: Mutex::default(),
            defects: AtomicUsize::new(0),
        };
        let mut fates = vec![Fate::unsent(); entities.len()];
        run.write((0..entities.len()).collect(), &mut fates).await;
        for level in run.second_try(&fates) {
            run.write(level, &mut fates).await;
        }
        let stopped = run
            .stopped
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        report(entities, fates, stopped)
    }
}

/// One call of [`PortClient::upsert`].
struct Run<'a> {
    client: &'a PortClient,
    entities: &'a [Entity],
    options: &'a UpsertOptions,
    deadline: &'a Deadline,
    /// The error that would meet every further call.
    stopped: Mutex<Option<Error>>,
    /// Blueprints that do not exist, and how that shows.
    missing: Mutex<HashMap<String, Failure>>,
    /// Single entities answered with a 500 since the last success.
    defects: AtomicUsize,
}

impl Run<'_> {
    /// Sends the entities at `indices` and records what becomes of them.
    async fn write(&self, indices: Vec<usize>, fates: &mut [Fate]) {
        for wave in self.waves(indices) {
            self.write_wave(wave, fates).await;
        }
    }

    async fn write_wave(&self, indices: Vec<usize>, fates: &mut [Fate]) {
        for (blueprint, indices) in self.by_blueprint(indices) {
            let mut items = Vec::with_capacity(indices.len());
            for index in indices {
                let Some(entity) = self.entities.get(index) else {
                    continue;
                };
                let item = Item::new(index, entity);
                if item.is_too_large() {
                    record(fates, index, Fate::Failed(too_large()));
                } else {
                    items.push(item);
                }
            }
            let mut rest = items.as_slice();
            let calls = std::iter::from_fn(|| {
                // Asked anew for each batch: an answer may have lowered it.
                let max_bulk = self.client.inner.max_bulk.load(Ordering::Relaxed);
                let (batch, after) = rest.split_at_checked(batch::next_batch(rest, max_bulk))?;
                rest = after;
                (!batch.is_empty()).then(|| self.send(blueprint, batch))
            });
            let mut sent = stream::iter(calls).buffered(CONCURRENT_CALLS);
            while let Some(results) = sent.next().await {
                for (index, fate) in results {
                    record(fates, index, fate);
                }
            }
        }
    }

    /// Entities with the same key in different waves, in their order; within a wave the order does not matter.
    fn waves(&self, indices: Vec<usize>) -> Vec<Vec<usize>> {
        let mut waves: Vec<Vec<usize>> = Vec::new();
        let mut occurrences: HashMap<(&str, String), usize> = HashMap::new();
        for index in indices {
            let Some(entity) = self.entities.get(index) else {
                continue;
            };
            let occurrence = occurrences.entry(address(entity)).or_insert(0);
            match waves.get_mut(*occurrence) {
                Some(wave) => wave.push(index),
                None => waves.push(vec![index]),
            }
            *occurrence += 1;
        }
        waves
    }

    /// Groups in the order in which their blueprints first occur.
    fn by_blueprint(&self, indices: Vec<usize>) -> Vec<(&str, Vec<usize>)> {
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for index in indices {
            let Some(entity) = self.entities.get(index) else {
                continue;
            };
            match groups
                .iter_mut()
                .find(|(blueprint, _)| *blueprint == entity.blueprint)
            {
                Some((_, group)) => group.push(index),
                None => groups.push((&entity.blueprint, vec![index])),
            }
        }
        groups
    }

    /// Sends one batch, in ever smaller parts where Port refuses it as a whole: a bad identifier, for one, offends
    /// against the schema of the request and takes its neighbours along.
    async fn send(&self, blueprint: &str, batch: &[Item]) -> Vec<(usize, Fate)> {
        let mut fates = Vec::with_capacity(batch.len());
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let failure = match self.unsendable(blueprint) {
                Some(failure) => failure,
                None => match self.bulk(blueprint, part).await {
                    Ok(answered) => {
                        self.defects.store(0, Ordering::Relaxed);
                        fates.extend(part.iter().map(|item| item.index).zip(answered));
                        continue;
                    }
                    Err(error) => match self.judge(blueprint, part.len(), error).await {
                        Verdict::Split => {
                            let (first, second) = part.split_at(part.len() / 2);
                            parts.extend([second, first]);
                            continue;
                        }
                        Verdict::Fail(failure) => failure,
                    },
                },
            };
            let failed = |item: &Item| (item.index, Fate::Failed(failure.clone()));
            fates.extend(part.iter().map(failed));
        }
        fates
    }

    /// Why nothing more is to be sent, at all or for this blueprint.
    fn unsendable(&self, blueprint: &str) -> Option<Failure> {
        if let Some(error) = &*locked(&self.stopped) {
            return Some(Failure::unsent(error));
        }
        locked(&self.missing).get(blueprint).cloned()
    }

    async fn bulk(&self, blueprint: &str, part: &[Item]) -> Result<Vec<Fate>, Error> {
        let UpsertOptions {
            merge,
            create_missing_related,
            event,
        } = self.options;
        let route = ["blueprints", blueprint, "entities", "bulk"];
        let call = Call::new(reqwest::Method::POST, route)
            .bytes(batch::body(part))
            .query("upsert", true)
            .query("merge", merge)
            .query("create_missing_related_entities", create_missing_related)
            .query("validation_only", false);
        let call = match event {
            WriteEvent::Resync { id } => call
                .query("ocean_info_event_type", "resync")
                .query("ocean_info_resync_id", id),
            WriteEvent::Live => call.query("ocean_info_event_type", "http_request"),
        };
        let call = call.exporter().repeatable();
        let request = call.shown();
        // Never closed.
        let _permit = self.client.inner.writes.acquire().await;
        let answer = self.client.call(call, self.deadline).await?;
        let bulk = batch::read(&answer, part.len()).map_err(|source| Error::Unexpected {
            request,
            trace_id: TraceId::of(&answer),
            source,
        })?;
        if let Some(max_bulk) = bulk.max_bulk {
            self.client
                .inner
                .max_bulk
                .fetch_min(max_bulk, Ordering::Relaxed);
        }
        Ok(bulk.fates)
    }

    /// What a refusal of a whole call of `count` entities means.
    async fn judge(&self, blueprint: &str, count: usize, error: Error) -> Verdict {
        if error.ends_all() {
            return Verdict::Fail(self.stop(error));
        }
        match error {
            Error::NotFound { .. } => {
                // On this route a missing relation is told per entity, so it is about the blueprint; a gateway may
                // think otherwise.
                match self.client.fresh_blueprint(blueprint, self.deadline).await {
                    Ok(_) if 1 < count => Verdict::Split,
                    Ok(_) => Verdict::Fail(Failure::of(&error)),
                    Err(missing @ Error::NotFound { .. }) => {
                        let failure = Failure::of(&missing);
                        locked(&self.missing).insert(blueprint.to_owned(), failure.clone());
                        Verdict::Fail(failure)
                    }
                    Err(error) if error.ends_all() => Verdict::Fail(self.stop(error)),
                    Err(error) => Verdict::Fail(Failure::of(&error)),
                }
            }
            Error::Refused { .. } | Error::Unavailable { .. } if 1 < count => Verdict::Split,
            Error::Unavailable { .. } => {
                let failure = Failure::of(&error);
                if TOLERATED_DEFECTS <= self.defects.fetch_add(1, Ordering::Relaxed) + 1 {
                    self.stop(error);
                }
                Verdict::Fail(failure)
            }
            error => Verdict::Fail(Failure::of(&error)),
        }
    }

    /// Ends the run and returns what that means for the entities at hand.
    fn stop(&self, error: Error) -> Failure {
        let failure = Failure {
            retryable: true,
            ..Failure::of(&error)
        };
        locked(&self.stopped).get_or_insert(error);
        failure
    }

    /// Which entities deserve another try, in levels: those whose relation targets may exist by now, and those that
    /// met a defect.
    fn second_try(&self, fates: &[Fate]) -> Vec<Vec<usize>> {
        if locked(&self.stopped).is_some() {
            return Vec::new();
        }
        let missing = locked(&self.missing);
        let again = |(index, fate): (usize, &Fate)| {
            let Fate::Failed(failure) = fate else {
                return None;
            };
            let entity = self.entities.get(index)?;
            let unmet =
                lacks_target(failure.status, &failure.code) && !self.options.create_missing_related;
            let wanted = (unmet || failure.retryable) && !missing.contains_key(&entity.blueprint);
            wanted.then_some((index, entity))
        };
        let candidates: Vec<(usize, &Entity)> =
            fates.iter().enumerate().filter_map(again).collect();
        let nodes: Vec<Node<'_>> = candidates
            .iter()
            .map(|(_, entity)| Node {
                name: match &entity.identifier {
                    Identifier::Text(text) => text,
                    Identifier::Search(_) => "",
                },
                targets: targets(entity),
            })
            .collect();
        let index_of = |position: usize| candidates.get(position).map(|(index, _)| *index);
        let mut tries: Vec<Vec<usize>> = levels(&nodes)
            .into_iter()
            .map(|level| level.into_iter().filter_map(index_of).collect())
            .collect();
        // What came later under the same key has the last word again.
        let mut first: HashMap<(&str, String), usize> = HashMap::new();
        for (index, entity) in &candidates {
            first.entry(address(entity)).or_insert(*index);
        }
        let overtaken = |index: &usize| {
            let entity = self.entities.get(*index);
            let first = entity.and_then(|entity| first.get(&address(entity)));
            matches!(fates.get(*index), Some(Fate::Done { .. }))
                && first.is_some_and(|first| first < index)
        };
        if !candidates.is_empty() {
            tries.push((0..self.entities.len()).filter(overtaken).collect());
        }
        tries
    }
}

enum Verdict {
    Split,
    Fail(Failure),
}

/// Blueprint and identifier, or the query that stands for it.
fn address(entity: &Entity) -> (&str, String) {
    let identifier = match &entity.identifier {
        Identifier::Text(text) => text.clone(),
        Identifier::Search(query) => query.to_string(),
    };
    (&entity.blueprint, identifier)
}

/// Identifiers that the relations of `entity` name.
fn targets(entity: &Entity) -> Vec<&str> {
    let mut targets = HashSet::new();
    for value in entity.relations.iter().flat_map(serde_json::Map::values) {
        match value {
            Value::String(target) => {
                targets.insert(target.as_str());
            }
            Value::Array(many) => targets.extend(many.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    targets.into_iter().collect()
}

fn too_large() -> Failure {
    Failure {
        status: Some(413),
        code: String::new(),
        message:
            "the entity is larger than the 1 MiB that Port takes; map fewer or shorter properties"
                .into(),
        retryable: false,
    }
}

fn record(fates: &mut [Fate], index: usize, fate: Fate) {
    if let Some(slot) = fates.get_mut(index) {
        *slot = fate;
    }
}

fn report(
    entities: &[Entity],
    fates: Vec<Fate>,
    stopped: Option<Error>,
) -> Result<UpsertReport, Error> {
    let mut report = UpsertReport::default();
    for (index, (entity, fate)) in entities.iter().zip(fates).enumerate() {
        match fate {
            Fate::Failed(failure) => report.failed.push(failure.named(index, entity.key())),
            Fate::Done { known } => {
                report.written += 1;
                report.known.extend(known.then_some(index));
            }
        }
    }
    match stopped {
        Some(error)
            if report.written == 0 && report.failed.iter().all(|failed| failed.retryable) =>
        {
            Err(error)
        }
        stopped => Ok(UpsertReport { stopped, ..report }),
    }
}
