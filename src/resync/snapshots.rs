//! What Port holds of ours, blueprint by blueprint, read once for each slice.
//!
//! A run writes an entity only where Port or the record differs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::slice::locked;
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey};
use crate::port::{self, PortClient, Snapshot, digest};
use crate::store::documents::{Claim, Entry, Held};
use crate::sync::plan::{Seen, Sight, claims};
use crate::sync::sources::Sources;

#[derive(Default)]
pub(super) struct Snapshots {
    /// `None` inside: Port has no such blueprint.
    by_blueprint: std::sync::Mutex<HashMap<String, Arc<Option<Snapshot>>>>,
    /// Held while one is read, so that each is read once.
    reading: tokio::sync::Mutex<()>,
}

impl Snapshots {
    /// Reads what Port holds of the blueprints of `seen`, as far as that was not read before.
    pub(super) async fn prepare(
        &self,
        port: &PortClient,
        sources: &Sources,
        seen: &[Seen],
        deadline: &Deadline,
    ) -> Result<(), port::Error> {
        let mut blueprints = BTreeSet::new();
        for seen in seen {
            if let Sight::Present(image) = &seen.sight {
                blueprints.extend(image.blueprints());
            }
        }
        for blueprint in blueprints {
            if locked(&self.by_blueprint).contains_key(blueprint) {
                continue;
            }
            let _reading = self.reading.lock().await;
            if locked(&self.by_blueprint).contains_key(blueprint) {
                continue;
            }
            let fields = sources.written_fields(blueprint);
            let snapshot = match port.snapshot(blueprint, &fields, deadline).await {
                Ok(snapshot) => Some(snapshot),
                // Writing will say so for each entity.
                Err(port::Error::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
            locked(&self.by_blueprint).insert(blueprint.to_owned(), Arc::new(snapshot));
        }
        Ok(())
    }

    /// Whether Port holds something else, or the record says that something else was written since.
    pub(super) fn differs(&self, entity: &Entity, held: Option<&Held>, merges: bool) -> bool {
        if held.is_some_and(|held| held.written != Some(digest(entity))) {
            return true;
        }
        let snapshot = locked(&self.by_blueprint).get(&entity.blueprint).cloned();
        match snapshot.as_deref() {
            Some(Some(snapshot)) if merges => snapshot.changed_by_merge(entity),
            Some(Some(snapshot)) => snapshot.differs(entity),
            Some(None) | None => true,
        }
    }

    /// Whether a commit of `seen` would change anything.
    pub(super) fn is_changed(&self, sources: &Sources, seen: &Seen) -> bool {
        let image = match (&seen.sight, &seen.before) {
            (Sight::Gone, before) => {
                return before
                    .as_ref()
                    .is_some_and(|entry| !entry.claims.is_empty());
            }
            (Sight::Present(image), Some(entry)) => {
                if !entry.sure || is_unmet(entry) {
                    return true;
                }
                image
            }
            (Sight::Present(image), None) => image,
        };
        if image.searched().next().is_some() {
            return true;
        }
        let now = claims(image, seen.before.as_ref(), sources.creates_targets());
        let before = seen.before.as_ref().map(|entry| entry.claims.as_slice());
        if !same(&now, before.unwrap_or_default()) {
            return true;
        }
        let entities = image.entities(sources.merges());
        let held: BTreeMap<&EntityKey, &Held> = before
            .into_iter()
            .flatten()
            .flat_map(|claim| claim.content.iter().map(|held| (&held.key, held)))
            .collect();
        entities.into_iter().any(|(key, entity)| {
            let Some(held) = held.get(&key).filter(|held| held.written.is_some()) else {
                // Somebody else writes it.
                return false;
            };
            let entity = sources.strip(entity, &held.below);
            entity.is_some_and(|entity| self.differs(&entity, Some(held), sources.merges()))
        })
    }
}

impl Snapshots {
    /// Entities of an unchanged item that another item writes and of which Port holds something else.
    pub(super) fn not_held(&self, sources: &Sources, seen: &Seen) -> Vec<Entity> {
        let (Sight::Present(image), Some(entry)) = (&seen.sight, &seen.before) else {
            return Vec::new();
        };
        let content = entry.claims.iter().flat_map(|claim| &claim.content);
        let by_others: BTreeSet<&EntityKey> = content
            .filter(|held| held.written.is_none())
            .map(|held| &held.key)
            .collect();
        if by_others.is_empty() {
            return Vec::new();
        }
        let entities = image.entities(sources.merges()).into_iter();
        entities
            .filter(|(key, _)| by_others.contains(key))
            .map(|(_, entity)| entity)
            .filter(|entity| self.differs(entity, None, sources.merges()))
            .collect()
    }
}

/// Whether Port did not take all of it the last time.
fn is_unmet(entry: &Entry) -> bool {
    let mut content = entry.claims.iter().flat_map(|claim| &claim.content);
    content.any(|held| held.waits || held.refused)
}

/// Whether both claim the same entities and lead to the same ones.
fn same(one: &[Claim], other: &[Claim]) -> bool {
    let is_in = |claim: &Claim, all: &[Claim]| {
        let mut all = all.iter().filter(|other| other.is_of(claim));
        all.any(|other| keys(other) == keys(claim) && other.targets == claim.targets)
    };
    one.len() == other.len() && one.iter().all(|claim| is_in(claim, other))
}

fn keys(claim: &Claim) -> BTreeSet<&EntityKey> {
    claim.content.iter().map(|held| &held.key).collect()
}
