//! What Port holds of ours, blueprint by blueprint, read once for each slice.
//!
//! A run writes an entity only where Port or the record differs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::class::Class;
use crate::deadline::Deadline;
use crate::entity::{Entity, EntityKey};
use crate::locked::locked;
use crate::port::{self, PortClient, ShownFields, Snapshot, digest};
use crate::store::documents::{Claim, Entry, Held};
use crate::sync::origin::RememberedEntity;
use crate::sync::plan::{Seen, Sight, claims};
use crate::sync::sources::Sources;
use crate::telemetry::chain;

#[derive(Default)]
pub(super) struct Snapshots {
    by_blueprint: std::sync::Mutex<HashMap<String, Arc<Holdings>>>,
    /// Held while one is read, so that each is read once.
    reading: tokio::sync::Mutex<()>,
}

/// What is known of a blueprint's entities in Port.
enum Holdings {
    Known(Snapshot),
    /// Port has no such blueprint: writing will say so for each entity.
    NoBlueprint,
    /// Port does not say: the records alone tell what has changed.
    Untold,
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
        self.prepare_for(port, sources, blueprints, deadline).await
    }

    /// Reads what Port holds of `blueprints`, as far as that was not read before.
    pub(super) async fn prepare_for(
        &self,
        port: &PortClient,
        sources: &Sources,
        blueprints: BTreeSet<&str>,
        deadline: &Deadline,
    ) -> Result<(), port::Error> {
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
                Ok(snapshot) => Holdings::Known(snapshot),
                Err(port::Error::NotFound { .. }) => Holdings::NoBlueprint,
                Err(error) if costs_the_comparison(&error) => {
                    let error = chain(&error);
                    tracing::warn!(blueprint, error, "Port does not say what it holds");
                    Holdings::Untold
                }
                Err(error) => return Err(error),
            };
            locked(&self.by_blueprint).insert(blueprint.to_owned(), Arc::new(snapshot));
        }
        Ok(())
    }

    /// Whether Port shows all of `entities`, each with those fields, as they were written. False where it does not tell.
    pub(super) fn show(
        &self,
        entities: &[RememberedEntity],
        fields: &BTreeMap<&str, ShownFields>,
    ) -> bool {
        let known = locked(&self.by_blueprint);
        entities.iter().all(|entity| {
            let holdings = known.get(&*entity.blueprint).map(Arc::as_ref);
            match (holdings, fields.get(&*entity.blueprint)) {
                (Some(Holdings::Known(snapshot)), Some(fields)) => {
                    snapshot.shows(entity.identifier, fields, entity.shown)
                }
                _ => false,
            }
        })
    }

    /// Whether Port holds something else, or the record says that something else was written since.
    pub(super) fn differs(&self, entity: &Entity, held: Option<&Held>, merges: bool) -> bool {
        if held.is_some_and(|held| held.written != Some(digest(entity))) {
            return true;
        }
        let snapshot = locked(&self.by_blueprint).get(&entity.blueprint).cloned();
        match snapshot.as_deref() {
            Some(Holdings::Known(snapshot)) if merges => snapshot.changed_by_merge(entity),
            Some(Holdings::Known(snapshot)) => snapshot.differs(entity),
            Some(Holdings::Untold) => held.is_none(),
            Some(Holdings::NoBlueprint) | None => true,
        }
    }

    /// Whether a commit of `seen` would change anything.
    pub(super) fn is_changed(&self, sources: &Sources, seen: &Seen) -> bool {
        let image = match (&seen.sight, &seen.before) {
            (Sight::Gone, before) => {
                let says = |entry: &Entry| !entry.claims.is_empty() || entry.basis.is_some();
                return before.as_ref().is_some_and(says);
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
        // Records are kept of how things were read, too.
        let known = seen.before.as_ref().and_then(|entry| entry.basis.as_ref());
        if image.basis.is_some() && image.basis.as_ref() != known {
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

/// Whether a search that failed so is given up for its blueprint, rather than the run.
fn costs_the_comparison(error: &port::Error) -> bool {
    error.class() == Class::Part || matches!(error, port::Error::Unexpected { .. })
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
