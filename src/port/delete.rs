//! Deleting entities. Whose they are and whether they should go is decided by the caller.

use std::collections::HashMap;

use serde_json::json;

use super::batch::{FailedEntity, Failure, Fate};
use super::client::{Call, PortClient};
use super::error::Error;
use super::order::{Node, levels};
use crate::deadline::Deadline;
use crate::entity::EntityKey;

/// Entities per call (Port API, delete multiple entities: 1 to 100).
const MAX_BULK_DELETE: usize = 100;

/// What became of the keys of one [`delete`](PortClient::delete).
#[derive(Debug, Default)]
pub struct DeleteReport {
    /// No longer in Port, including those that were not there in the first place.
    pub deleted: usize,
    /// In the order of the call.
    pub failed: Vec<FailedEntity>,
    /// Why keys were left unsent, if any were. They are among the failed, and retryable.
    pub stopped: Option<Error>,
}

impl PortClient {
    /// Deletes the entities under `keys`; those that do not exist count as deleted.
    ///
    /// With `delete_dependents` Port also deletes what requires them, in a chain and whoever owns it. Without it,
    /// dependents among `keys` go first, and an entity that others still require is reported as failed. Errors are
    /// returned as by [`upsert`](PortClient::upsert).
    pub async fn delete(
        &self,
        keys: &[EntityKey],
        delete_dependents: bool,
        deadline: &Deadline,
    ) -> Result<DeleteReport, Error> {
        if let Some(rehearsal) = &self.rehearsal {
            super::client::locked(rehearsal)
                .deleted
                .extend_from_slice(keys);
            return Ok(DeleteReport {
                deleted: keys.len(),
                ..DeleteReport::default()
            });
        }
        let mut run = Run {
            client: self,
            keys,
            delete_dependents,
            deadline,
            fates: vec![Fate::unsent(); keys.len()],
            required: Vec::new(),
            stopped: None,
        };
        for (blueprint, indices) in run.groups().await {
            for chunk in indices.chunks(MAX_BULK_DELETE) {
                run.delete_chunk(blueprint, chunk).await;
            }
        }
        run.delete_required().await;
        run.report()
    }
}

/// One call of [`PortClient::delete`].
struct Run<'a> {
    client: &'a PortClient,
    keys: &'a [EntityKey],
    delete_dependents: bool,
    deadline: &'a Deadline,
    fates: Vec<Fate>,
    /// Keys that something else still required when they were tried.
    required: Vec<usize>,
    stopped: Option<Error>,
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
        if self.delete_dependents || groups.len() < 2 {
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
                targets: blueprint.relations.values().map(String::as_str).collect(),
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
            let failure = Failure::unsent(error);
            return self.record_all(chunk, &Fate::Failed(failure));
        }
        let identifiers: Vec<&str> = chunk.iter().filter_map(|at| self.identifier(*at)).collect();
        let route = ["blueprints", blueprint, "bulk", "entities", "delete"];
        let call = Call::post(route, &json!({ "entities": identifiers }))
            .query("delete_dependents", self.delete_dependents)
            .exporter()
            .repeatable();
        match self.client.call(call, self.deadline).await {
            // What the answer does not list was not there.
            Ok(_) => self.record_all(chunk, &Fate::Done { known: true }),
            Err(Error::NotFound { .. }) => {
                match self.client.fresh_blueprint(blueprint, self.deadline).await {
                    Err(Error::NotFound { .. }) => {
                        self.record_all(chunk, &Fate::Done { known: true })
                    }
                    Ok(_) => self.delete_singly(chunk).await,
                    Err(error) => self.fail(chunk, error),
                }
            }
            // Without `delete_dependents` one entity that is still required fails the whole call.
            Err(Error::Refused { .. }) => self.delete_singly(chunk).await,
            Err(error) => self.fail(chunk, error),
        }
    }

    async fn delete_singly(&mut self, indices: &[usize]) {
        for index in indices {
            if let Some(error) = &self.stopped {
                let failure = Failure::unsent(error);
                self.record_all(&[*index], &Fate::Failed(failure));
                continue;
            }
            let Some(key) = self.keys.get(*index) else {
                continue;
            };
            let route = ["blueprints", &key.blueprint, "entities", &key.identifier];
            let call = Call::new(reqwest::Method::DELETE, route)
                .query("delete_dependents", self.delete_dependents)
                .exporter();
            match self.client.call(call, self.deadline).await {
                Ok(_) | Err(Error::NotFound { .. }) => {
                    self.record_all(&[*index], &Fate::Done { known: true })
                }
                Err(error) => {
                    if matches!(&error, Error::Refused { code, .. } if is_required(code)) {
                        self.required.push(*index);
                    }
                    self.fail(&[*index], error);
                }
            }
        }
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

    fn fail(&mut self, indices: &[usize], error: Error) {
        let ends_all = error.ends_all();
        let mut failure = Failure::of(&error);
        failure.retryable |= ends_all;
        self.record_all(indices, &Fate::Failed(failure));
        if ends_all {
            self.stopped.get_or_insert(error);
        }
    }

    fn record_all(&mut self, indices: &[usize], fate: &Fate) {
        for index in indices {
            if let Some(slot) = self.fates.get_mut(*index) {
                *slot = fate.clone();
            }
        }
    }

    fn report(self) -> Result<DeleteReport, Error> {
        let mut report = DeleteReport::default();
        for (index, (key, fate)) in self.keys.iter().zip(self.fates).enumerate() {
            match fate {
                Fate::Failed(failure) => {
                    report.failed.push(failure.named(index, Some(key.clone())));
                }
                Fate::Done { .. } => report.deleted += 1,
            }
        }
        match self.stopped {
            Some(error)
                if report.deleted == 0 && report.failed.iter().all(|failed| failed.retryable) =>
            {
                Err(error)
            }
            stopped => Ok(DeleteReport { stopped, ..report }),
        }
    }
}

fn is_required(code: &str) -> bool {
    matches!(code, "has_dependents" | "required_relation")
}
