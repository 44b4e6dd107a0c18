//! Who takes writes in Port's place, seen by the client: it knows no more of a rehearsal than this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Rehearsal;
use super::stage::Changed;
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey};
use crate::locked::locked;
use crate::port::blueprint::Blueprint;
use crate::port::client::PortClient;
use crate::port::delete::DeleteOptions;
use crate::port::outcome::{DeleteOutcome, DeleteReport, Postponed, UpsertOutcome, Upserted};
use crate::port::upsert::UpsertOptions;

/// Takes writes in Port's place, and knows what Port would say afterwards. Only [`PortClient::rehearsing`] names who does
/// so: a program that never rehearses does not carry it.
pub(in crate::port) trait StandIn: Send + Sync {
    fn upsert<'a>(
        &'a self,
        port: &'a PortClient,
        entities: &'a [Entity],
        options: &'a UpsertOptions,
        deadline: &'a Deadline,
    ) -> BoxFuture<'a, Upserted>;

    fn delete<'a>(
        &'a self,
        port: &'a PortClient,
        keys: &'a [EntityKey],
        options: &'a DeleteOptions,
        deadline: &'a Deadline,
    ) -> BoxFuture<'a, DeleteReport>;

    /// A blueprint that Port does not have yet.
    fn blueprint(&self, identifier: &str) -> Option<Arc<Blueprint>>;

    /// What would be ours of what is `owned` in Port, and what else.
    fn owned(&self, owned: Vec<EntityKey>) -> Vec<EntityKey>;

    /// Whether `key` would be there; `None`: as Port says.
    fn exists(&self, key: &EntityKey) -> Option<bool>;

    /// What of `blueprint` would be other than Port says, by identifiers.
    fn changed(&self, blueprint: &str) -> BTreeMap<String, Changed>;
}

impl StandIn for Rehearsal {
    fn upsert<'a>(
        &'a self,
        port: &'a PortClient,
        entities: &'a [Entity],
        options: &'a UpsertOptions,
        deadline: &'a Deadline,
    ) -> BoxFuture<'a, Upserted> {
        Box::pin(async move {
            match self.write(port, entities, options, deadline).await {
                Ok(outcomes) => Upserted {
                    outcomes,
                    stopped: None,
                },
                Err(error) => {
                    let later = UpsertOutcome::Later(Postponed::unsent(Some(&error)));
                    Upserted {
                        outcomes: vec![later; entities.len()],
                        stopped: Some(error),
                    }
                }
            }
        })
    }

    fn delete<'a>(
        &'a self,
        port: &'a PortClient,
        keys: &'a [EntityKey],
        options: &'a DeleteOptions,
        deadline: &'a Deadline,
    ) -> BoxFuture<'a, DeleteReport> {
        Box::pin(async move {
            let (outcomes, stopped) = match self.remove(port, keys, options, deadline).await {
                Ok(outcomes) => (outcomes, None),
                Err(error) => {
                    let later = DeleteOutcome::Later(Postponed::unsent(Some(&error)));
                    (vec![later; keys.len()], Some(error))
                }
            };
            DeleteReport {
                outcomes,
                along: Vec::new(),
                stopped,
            }
        })
    }

    fn blueprint(&self, identifier: &str) -> Option<Arc<Blueprint>> {
        locked(&self.0).promised.get(identifier).cloned()
    }

    fn owned(&self, mut owned: Vec<EntityKey>) -> Vec<EntityKey> {
        let stage = locked(&self.0);
        owned.retain(|key| stage.is_ours(key) != Some(false));
        let known: BTreeSet<&EntityKey> = owned.iter().collect();
        let more = stage.would_be_ours().filter(|key| !known.contains(key));
        let more: Vec<EntityKey> = more.cloned().collect();
        owned.extend(more);
        owned
    }

    fn exists(&self, key: &EntityKey) -> Option<bool> {
        locked(&self.0).exists(key)
    }

    fn changed(&self, blueprint: &str) -> BTreeMap<String, Changed> {
        locked(&self.0).changed(blueprint)
    }
}
