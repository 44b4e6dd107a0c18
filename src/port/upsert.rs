//! Writing entities: in which order and batches, and what a failure costs.
//!
//! Each entity is tried once; the routes are idempotent, so the caller may send any again. How patient a single call is
//! depends on the client ([`once`](PortClient::once)).

use std::collections::{HashMap, HashSet};
use std::slice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use super::batch::{self, Item, Told};
use super::call::Call;
use super::client::PortClient;
use super::error::{Error, TraceId};
use super::order::{Node, levels};
use super::outcome::{Postponed, Refusal, UpsertOutcome, Upserted};
use crate::class::Class;
use crate::deadline::Deadline;
use crate::entity::{Entity, Identifier};
use crate::locked::locked;

/// Bulk calls under way at once.
const CONCURRENT_CALLS: usize = 8;

/// Single entities in a row that have to wait before Port is taken to be down: one may be the entity's own doing.
pub(super) const OUTAGE: usize = 2;

#[derive(Clone, Debug)]
pub struct UpsertOptions {
    /// Fields that an entity does not name keep their value; otherwise they are cleared.
    pub merge: bool,
    /// Relation targets that do not exist are created, empty.
    pub create_missing_related: bool,
    pub event: WriteEvent,
}

/// What Port shows as the cause of a write or a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteEvent {
    Resync {
        /// The event id of the run.
        id: String,
    },
    Live,
}

impl PortClient {
    /// Writes `entities`: those with the same key in their order, and otherwise what relations lead to first.
    ///
    /// Each has exactly one outcome. A call that fails as a whole is repeated entity by entity, so that a bad one costs
    /// no neighbour. An outage (two single entities in a row, a 429, refused credentials, no time) stops the rest; a
    /// blueprint that does not exist is told at each of its entities.
    pub async fn upsert(
        &self,
        entities: &[Entity],
        options: &UpsertOptions,
        deadline: &Deadline,
    ) -> Upserted {
        if let Some(stand_in) = &self.stand_in {
            return stand_in.upsert(self, entities, options, deadline).await;
        }
        let run = Run {
            client: self,
            entities,
            options,
            deadline,
            stopped: Mutex::default(),
            closed: Mutex::default(),
            later_in_a_row: AtomicUsize::new(0),
        };
        let mut outcomes = vec![UpsertOutcome::Later(Postponed::unsent(None)); entities.len()];
        for wave in waves(entities) {
            for level in in_levels(entities, wave) {
                run.write(level, &mut outcomes).await;
            }
        }
        for (entity, outcome) in entities.iter().zip(&outcomes) {
            if let UpsertOutcome::Refused(_) = outcome {
                self.forget_blueprint(&entity.blueprint);
            }
        }
        let stopped = run
            .stopped
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        Upserted { outcomes, stopped }
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
    /// Blueprints that do not exist or may not be written to, and how that shows.
    closed: Mutex<HashMap<String, Refusal>>,
    /// Single entities that have to wait, since anything else was answered.
    later_in_a_row: AtomicUsize,
}

/// What the failure of a whole call means for its entities.
enum Verdict {
    /// All of them alike.
    All(UpsertOutcome),
    /// That of a single one; several are to be asked for one by one.
    Each(UpsertOutcome),
}

impl<'a> Run<'a> {
    /// Sends the entities at `indices`, in any order, and records what becomes of them.
    async fn write(&self, indices: Vec<usize>, outcomes: &mut [UpsertOutcome]) {
        let mut groups: Vec<(&str, Vec<Item>)> = Vec::new();
        for index in indices {
            let Some(entity) = self.entities.get(index) else {
                continue;
            };
            let item = Item::new(index, entity);
            if item.is_too_large() {
                record(outcomes, index, UpsertOutcome::Refused(too_large()));
                continue;
            }
            let blueprint = entity.blueprint.as_str();
            match groups.iter_mut().find(|(known, _)| *known == blueprint) {
                Some((_, group)) => group.push(item),
                None => groups.push((blueprint, vec![item])),
            }
        }
        let (mut pending, mut blueprint, mut rest) = (groups.as_slice(), "", &[][..]);
        let calls = std::iter::from_fn(|| {
            while rest.is_empty() {
                let ((next, items), after) = pending.split_first()?;
                (pending, blueprint, rest) = (after, *next, items.as_slice());
            }
            // Asked anew for each batch: an answer may have lowered it.
            let max_bulk = self.client.inner.max_bulk.load(Ordering::Relaxed);
            let (batch, after) = rest.split_at_checked(batch::next_batch(rest, max_bulk))?;
            rest = after;
            Some(self.send(blueprint, batch))
        });
        let mut sent = stream::iter(calls).buffer_unordered(CONCURRENT_CALLS);
        while let Some(results) = sent.next().await {
            for (index, outcome) in results {
                record(outcomes, index, outcome);
            }
        }
    }

    /// Sends one batch, and one by one what that leaves open.
    async fn send(&self, blueprint: &str, batch: &[Item]) -> Vec<(usize, UpsertOutcome)> {
        if let [single] = batch {
            return vec![(single.index, self.send_alone(blueprint, single).await)];
        }
        let all = |outcome: &UpsertOutcome| {
            let each = |item: &Item| (item.index, outcome.clone());
            batch.iter().map(each).collect()
        };
        if let Some(outcome) = self.unsendable(blueprint) {
            return all(&outcome);
        }
        let told = match self.bulk(blueprint, batch).await {
            Ok(told) => {
                self.later_in_a_row.store(0, Ordering::Relaxed);
                told
            }
            Err(error) => match self.judge(blueprint, error).await {
                Verdict::All(outcome) => return all(&outcome),
                Verdict::Each(outcome) => {
                    let alone = |_: &Item| Told::Alone(outcome.clone());
                    batch.iter().map(alone).collect()
                }
            },
        };
        let mut outcomes = Vec::with_capacity(batch.len());
        for (item, told) in batch.iter().zip(told) {
            let outcome = match told {
                Told::Settled(outcome) => outcome,
                Told::Alone(_) => self.send_alone(blueprint, item).await,
            };
            outcomes.push((item.index, outcome));
        }
        self.note_forbidden(blueprint, &outcomes);
        outcomes
    }

    /// Where not one of a batch may be written, asking for the others of the blueprint one by one would tell the same.
    fn note_forbidden(&self, blueprint: &str, outcomes: &[(usize, UpsertOutcome)]) {
        let forbidden = |outcome: &UpsertOutcome| match outcome {
            UpsertOutcome::Refused(refusal) if refusal.status == 403 => Some(refusal.clone()),
            _ => None,
        };
        let refusals: Option<Vec<Refusal>> = outcomes
            .iter()
            .map(|(_, outcome)| forbidden(outcome))
            .collect();
        if let Some(refusal) = refusals.and_then(|refusals| refusals.into_iter().next()) {
            locked(&self.closed).insert(blueprint.to_owned(), refusal);
        }
    }

    async fn send_alone(&self, blueprint: &str, item: &Item) -> UpsertOutcome {
        if let Some(outcome) = self.unsendable(blueprint) {
            return outcome;
        }
        let outcome = match self.bulk(blueprint, slice::from_ref(item)).await {
            Ok(told) => told.into_iter().next().map(Told::outcome),
            Err(error) => match self.judge(blueprint, error).await {
                Verdict::All(outcome) | Verdict::Each(outcome) => Some(outcome),
            },
        };
        let outcome = outcome.unwrap_or_else(|| UpsertOutcome::Later(Postponed::unsent(None)));
        let UpsertOutcome::Later(postponed) = &outcome else {
            self.later_in_a_row.store(0, Ordering::Relaxed);
            return outcome;
        };
        let before = self.later_in_a_row.fetch_add(1, Ordering::Relaxed);
        if OUTAGE <= before + 1 || postponed.status == Some(429) {
            let request = format!("writing entities of `{blueprint}`");
            locked(&self.stopped).get_or_insert_with(|| outage(request, postponed));
        }
        outcome
    }

    /// What becomes of entities that are not to be sent, because of all or of their blueprint.
    fn unsendable(&self, blueprint: &str) -> Option<UpsertOutcome> {
        if let Some(error) = &*locked(&self.stopped) {
            return Some(UpsertOutcome::Later(Postponed::unsent(Some(error))));
        }
        let missing = locked(&self.closed).get(blueprint).cloned();
        missing.map(UpsertOutcome::Refused)
    }

    async fn bulk(&self, blueprint: &str, items: &[Item]) -> Result<Vec<Told>, Error> {
        let UpsertOptions {
            merge,
            create_missing_related,
            event,
        } = self.options;
        let route = ["blueprints", blueprint, "entities", "bulk"];
        let call = Call::new(reqwest::Method::POST, route)
            .bytes(batch::body(items))
            .query("upsert", true)
            .query("merge", merge)
            .query("create_missing_related_entities", create_missing_related)
            .query("validation_only", false)
            .caused_by(event)
            .exporter()
            .repeatable();
        let own = self.client.own_secrets();
        let read = |answer: &_| batch::read(answer, items, own);
        let answer = self.client.call_reading(call, self.deadline, read).await?;
        if let Some(max_bulk) = answer.max_bulk {
            let known = &self.client.inner.max_bulk;
            known.fetch_min(max_bulk, Ordering::Relaxed);
        }
        Ok(answer.told)
    }

    async fn judge(&self, blueprint: &str, error: Error) -> Verdict {
        if error.meets_every_call() {
            return Verdict::All(self.stop(error));
        }
        if let Error::NotFound { .. } = error {
            // On this route a missing relation is told per entity, so it is about the blueprint; a gateway may think
            // otherwise.
            return match self.client.fresh_blueprint(blueprint, self.deadline).await {
                Ok(_) => Verdict::Each(UpsertOutcome::Refused(Refusal::of(&error))),
                Err(missing @ Error::NotFound { .. }) => {
                    let refusal = Refusal::of(&missing);
                    locked(&self.closed).insert(blueprint.to_owned(), refusal.clone());
                    Verdict::All(UpsertOutcome::Refused(refusal))
                }
                Err(error) if error.meets_every_call() => Verdict::All(self.stop(error)),
                Err(error) => Verdict::All(UpsertOutcome::Later(Postponed::of(&error))),
            };
        }
        Verdict::Each(match error.class() {
            Class::Part => UpsertOutcome::Refused(Refusal::of(&error)),
            _ => UpsertOutcome::Later(Postponed::of(&error)),
        })
    }

    /// Ends the run and returns what that means for the entities at hand.
    fn stop(&self, error: Error) -> UpsertOutcome {
        let outcome = UpsertOutcome::Later(Postponed::of(&error));
        locked(&self.stopped).get_or_insert(error);
        outcome
    }
}

/// What a run of postponed entities says about Port.
pub(super) fn outage(request: String, postponed: &Postponed) -> Error {
    let trace_id = TraceId::default();
    match postponed.status {
        Some(429) => Error::RateLimited {
            request,
            retry_after: postponed.wait,
            trace_id,
        },
        status => Error::Unavailable {
            request,
            status,
            trace_id,
            source: None,
        },
    }
}

/// Positions in waves: entities with the same key come in different ones, in their order.
pub(super) fn waves(entities: &[Entity]) -> Vec<Vec<usize>> {
    let mut waves: Vec<Vec<usize>> = Vec::new();
    let mut occurrences: HashMap<(&str, String), usize> = HashMap::new();
    for (index, entity) in entities.iter().enumerate() {
        let occurrence = occurrences.entry(address(entity)).or_insert(0);
        match waves.get_mut(*occurrence) {
            Some(wave) => wave.push(index),
            None => waves.push(vec![index]),
        }
        *occurrence += 1;
    }
    waves
}

/// The positions of a wave in levels, so that each entity comes after those that its relations lead to.
pub(super) fn in_levels(entities: &[Entity], wave: Vec<usize>) -> Vec<Vec<usize>> {
    let nodes: Vec<Node<'_>> = wave
        .iter()
        .filter_map(|&index| entities.get(index))
        .map(|entity| Node {
            name: match &entity.identifier {
                Identifier::Text(text) => text,
                Identifier::Search(_) => "",
            },
            targets: targets(entity),
        })
        .collect();
    let index_of = |position: usize| wave.get(position).copied();
    let levels = levels(&nodes).into_iter();
    levels
        .map(|level| level.into_iter().filter_map(index_of).collect())
        .collect()
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

pub(super) fn too_large() -> Refusal {
    Refusal {
        status: 413,
        code: String::new(),
        message:
            "the entity is larger than the 1 MiB that Port takes; map fewer or shorter properties"
                .into(),
    }
}

fn record(outcomes: &mut [UpsertOutcome], index: usize, outcome: UpsertOutcome) {
    if let Some(slot) = outcomes.get_mut(index) {
        *slot = outcome;
    }
}
