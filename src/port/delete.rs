//! Deleting entities. Whose they are and whether they should go is decided by the caller.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use super::client::PortClient;
use super::error::Error;
use super::order::{Node, levels};
use super::outcome::{DeleteOutcome, DeleteReport, Postponed, Refusal};
use super::upsert::{OUTAGE, WriteEvent, outage};
use crate::class::Class;
use crate::deadline::Deadline;
use crate::entity::EntityKey;

/// Entities per call (Port API, delete multiple entities: 1 to 100).
const MAX_BULK_DELETE: usize = 100;

#[derive(Clone, Debug)]
pub struct DeleteOptions {
    /// What requires an entity goes along with it.
    pub dependents: bool,
    pub event: WriteEvent,
}

impl PortClient {
    /// Deletes the entities under `keys`.
    ///
    /// With [`dependents`](DeleteOptions::dependents) Port also deletes what requires them, in a chain and whoever owns it. Without it,
    /// dependents among `keys` go first, and an entity that others still require is refused. Each key has exactly one
    /// outcome; a call that fails as a whole is repeated key by key, and an outage stops the rest, as with
    /// [`upsert`](PortClient::upsert).
    pub async fn delete(
        &self,
        keys: &[EntityKey],
        options: &DeleteOptions,
        deadline: &Deadline,
    ) -> DeleteReport {
        if let Some(stand_in) = &self.stand_in {
            return stand_in.delete(self, keys, options, deadline).await;
        }
        let mut run = Run {
            client: self,
            keys,
            options,
            deadline,
            outcomes: vec![DeleteOutcome::Later(Postponed::unsent(None)); keys.len()],
            along: BTreeSet::new(),
            required: Vec::new(),
            later_in_a_row: 0,
            stopped: None,
        };
        for (blueprint, indices) in run.groups().await {
            for chunk in indices.chunks(MAX_BULK_DELETE) {
                run.delete_chunk(blueprint, chunk).await;
            }
        }
        run.delete_required().await;
        DeleteReport {
            outcomes: run.outcomes,
            along: run.along.into_iter().collect(),
            stopped: run.stopped,
        }
    }
}

/// One call of [`PortClient::delete`].
struct Run<'a> {
    client: &'a PortClient,
    keys: &'a [EntityKey],
    options: &'a DeleteOptions,
    deadline: &'a Deadline,
    outcomes: Vec<DeleteOutcome>,
    along: BTreeSet<String>,
    /// Keys that something else still required when they were tried.
    required: Vec<usize>,
    /// Single keys that have to wait, since anything else was answered.
    later_in_a_row: usize,
    stopped: Option<Error>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    deleted_entities: Vec<String>,
}

impl<'a> Run<'a> {
    /// Positions by blueprint, those blueprints first whose relations point at the others.
    async fn groups(&self) -> Vec<(&'a str, Vec<usize>)> {
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        let mut place: HashMap<&str, usize> = HashMap::new();
        for (index, key) in self.keys.iter().enumerate() {
            let at = *place.entry(&key.blueprint).or_insert(groups.len());
            match groups.get_mut(at) {
                Some((_, indices)) => indices.push(index),
                None => groups.push((&key.blueprint, vec![index])),
            }
        }
        if self.options.dependents || groups.len() < 2 {
            return groups;
        }
        let mut relations = Vec::new();
        for (blueprint, _) in &groups {
            let blueprint = self.client.blueprint(blueprint, self.deadline).await;
            // Without it the order is a guess, which the second round for required entities makes up for.
            relations.push(blueprint.unwrap_or_default());
        }
        let nodes: Vec<Node<'_>> = groups
            .iter()
            .zip(&relations)
            .map(|((name, _), blueprint)| Node {
                name,
                targets: blueprint
                    .relations
                    .values()
                    .map(|it| it.target.as_str())
                    .collect(),
            })
            .collect();
        let mut ordered: Vec<(&str, Vec<usize>)> = Vec::new();
        for position in levels(&nodes).concat().into_iter().rev() {
            if let Some((name, indices)) = groups.get_mut(position) {
                ordered.push((name, std::mem::take(indices)));
            }
        }
        ordered
    }

    async fn delete_chunk(&mut self, blueprint: &str, chunk: &[usize]) {
        if let Some(error) = &self.stopped {
            let postponed = Postponed::unsent(Some(error));
            return self.record_all(chunk, &DeleteOutcome::Later(postponed));
        }
        let identifiers: Vec<&str> = chunk.iter().filter_map(|at| self.identifier(*at)).collect();
        let route = ["blueprints", blueprint, "bulk", "entities", "delete"];
        let call = Call::post(route, &json!({ "entities": identifiers }))
            .query("delete_dependents", self.options.dependents)
            .caused_by(&self.options.event)
            .exporter()
            .repeatable();
        match self.client.call_json(call, self.deadline).await {
            Ok(wire) => self.record_deleted(chunk, wire),
            Err(error) if error.meets_every_call() => self.stop(chunk, error),
            Err(Error::NotFound { .. }) => {
                match self.client.fresh_blueprint(blueprint, self.deadline).await {
                    Err(Error::NotFound { .. }) => {
                        self.record_all(chunk, &DeleteOutcome::WasAbsent);
                    }
                    Err(error) if error.meets_every_call() => self.stop(chunk, error),
                    _ => self.delete_singly(chunk).await,
                }
            }
            // Without `delete_dependents` one entity that is still required fails the whole call.
            Err(_) => self.delete_singly(chunk).await,
        }
    }

    /// What the answer does not list was not there.
    fn record_deleted(&mut self, chunk: &[usize], wire: Wire) {
        self.later_in_a_row = 0;
        let mut deleted: BTreeSet<String> = wire.deleted_entities.into_iter().collect();
        for index in chunk {
            let identifier = self.identifier(*index).unwrap_or_default();
            let outcome = if deleted.remove(identifier) {
                DeleteOutcome::Deleted
            } else {
                DeleteOutcome::WasAbsent
            };
            self.record_all(&[*index], &outcome);
        }
        self.along.extend(deleted);
    }

    async fn delete_singly(&mut self, indices: &[usize]) {
        for index in indices {
            if let Some(error) = &self.stopped {
                let postponed = Postponed::unsent(Some(error));
                self.record_all(&[*index], &DeleteOutcome::Later(postponed));
                continue;
            }
            let Some(key) = self.keys.get(*index) else {
                continue;
            };
            let route = ["blueprints", &key.blueprint, "entities", &key.identifier];
            let call = Call::new(reqwest::Method::DELETE, route)
                .query("delete_dependents", self.options.dependents)
                .caused_by(&self.options.event)
                .exporter();
            let outcome = match self.client.call(call, self.deadline).await {
                Ok(()) => DeleteOutcome::Deleted,
                Err(Error::NotFound { .. }) => DeleteOutcome::WasAbsent,
                Err(error) if error.meets_every_call() => {
                    self.stop(&[*index], error);
                    continue;
                }
                Err(error) => self.judge(*index, &error),
            };
            self.record_all(&[*index], &outcome);
        }
    }

    /// What the failure of a call about one key means.
    fn judge(&mut self, index: usize, error: &Error) -> DeleteOutcome {
        if error.class() == Class::Part {
            self.later_in_a_row = 0;
            let refusal = Refusal::of(error);
            let by_dependents = is_required(&refusal.code);
            if by_dependents {
                self.required.push(index);
            }
            return DeleteOutcome::Refused {
                by_dependents,
                refusal,
            };
        }
        let postponed = Postponed::of(error);
        self.later_in_a_row += 1;
        if OUTAGE <= self.later_in_a_row {
            self.stopped = Some(outage("deleting entities".into(), &postponed));
        }
        DeleteOutcome::Later(postponed)
    }

    /// Tries what was still required again, for as long as that deletes anything.
    async fn delete_required(&mut self) {
        loop {
            let required = std::mem::take(&mut self.required);
            if required.is_empty() || self.stopped.is_some() {
                return;
            }
            self.delete_singly(&required).await;
            if self.required.len() == required.len() {
                return;
            }
        }
    }

    fn identifier(&self, index: usize) -> Option<&'a str> {
        self.keys.get(index).map(|key| key.identifier.as_str())
    }

    fn stop(&mut self, indices: &[usize], error: Error) {
        let postponed = Postponed::of(&error);
        self.record_all(indices, &DeleteOutcome::Later(postponed));
        self.stopped.get_or_insert(error);
    }

    fn record_all(&mut self, indices: &[usize], outcome: &DeleteOutcome) {
        for index in indices {
            if let Some(slot) = self.outcomes.get_mut(*index) {
                *slot = outcome.clone();
            }
        }
    }
}

fn is_required(code: &str) -> bool {
    matches!(code, "has_dependents" | "required_relation")
}
