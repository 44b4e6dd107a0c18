//! The blueprints of the entities at hand, as Port has them: what they may hold, and where their relations lead.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::deadline::Deadline;
use crate::entity::Entity;
use crate::port::{self, Blueprint, LeftOut, PortClient, Relation};

/// Blueprints by their identifiers. One that Port does not have holds nothing back: Port refuses its entities anyway.
#[derive(Clone, Debug, Default)]
pub struct Blueprints {
    known: BTreeMap<String, Arc<Blueprint>>,
}

impl Blueprints {
    /// Asks Port about `identifiers`, as far as nothing is known of the last minutes.
    pub async fn of(
        port: &PortClient,
        identifiers: BTreeSet<&str>,
        deadline: &Deadline,
    ) -> Result<Blueprints, port::Error> {
        let mut blueprints = Blueprints::default();
        for identifier in identifiers {
            match port.blueprint(identifier, deadline).await {
                Ok(blueprint) => blueprints.insert(identifier, blueprint),
                Err(port::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(blueprints)
    }

    /// The same for `entities`. Where one of them seems not to fit, its blueprint is one of the last minute: somebody may
    /// just have mended it.
    pub async fn for_entities<'e>(
        port: &PortClient,
        entities: impl Iterator<Item = &'e Entity> + Clone,
        deadline: &Deadline,
    ) -> Result<Blueprints, port::Error> {
        let identifiers = entities.clone().map(|entity| entity.blueprint.as_str());
        let mut blueprints = Blueprints::of(port, identifiers.collect(), deadline).await?;
        let doubtful: BTreeSet<&str> = entities
            .filter(|entity| !blueprints.fits(entity))
            .map(|entity| entity.blueprint.as_str())
            .collect();
        for identifier in doubtful {
            match port.recent_blueprint(identifier, deadline).await {
                Ok(blueprint) => blueprints.insert(identifier, blueprint),
                Err(port::Error::NotFound { .. }) => {
                    blueprints.known.remove(identifier);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(blueprints)
    }

    /// Blueprints of which an entity takes along one of those `kept` when it goes, because that requires it, directly or
    /// through others.
    pub async fn required_by(
        port: &PortClient,
        kept: BTreeSet<&str>,
        deadline: &Deadline,
    ) -> Result<BTreeSet<String>, port::Error> {
        let mut required: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = kept.into_iter().map(str::to_owned).collect();
        while let Some(identifier) = open.pop() {
            let blueprints = Blueprints::of(port, [identifier.as_str()].into(), deadline).await?;
            let relations = blueprints.relations(&identifier);
            for relation in relations.filter(|relation| relation.required) {
                if required.insert(relation.target.clone()) {
                    open.push(relation.target.clone());
                }
            }
        }
        Ok(required)
    }

    pub fn insert(&mut self, identifier: &str, blueprint: Arc<Blueprint>) {
        self.known.insert(identifier.to_owned(), blueprint);
    }

    /// A digest of what those of `identifiers` say of their entities; `None` where one is not known. Stable across processes
    /// of one build.
    pub fn digest<'b>(&self, identifiers: impl IntoIterator<Item = &'b str>) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        for identifier in identifiers {
            let blueprint = self.known.get(identifier)?;
            (identifier, format!("{blueprint:?}")).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Leaves out of `entity` what Port would refuse.
    pub fn fit(&self, entity: &mut Entity) -> Vec<LeftOut> {
        let blueprint = self.known.get(&entity.blueprint);
        port::fit(entity, blueprint.map(Arc::as_ref))
    }

    fn fits(&self, entity: &Entity) -> bool {
        let blueprint = self.known.get(&entity.blueprint);
        blueprint.is_none_or(|blueprint| port::fits(entity, Some(blueprint)))
    }

    /// The blueprint that `relation` of `blueprint` points at.
    pub fn target(&self, blueprint: &str, relation: &str) -> Option<&str> {
        let relation = self.known.get(blueprint)?.relations.get(relation)?;
        Some(relation.target.as_str())
    }

    /// Blueprints that `blueprint` points at.
    pub fn targets(&self, blueprint: &str) -> impl Iterator<Item = &str> {
        self.relations(blueprint)
            .map(|relation| relation.target.as_str())
    }

    fn relations(&self, blueprint: &str) -> impl Iterator<Item = &Relation> {
        let known = self.known.get(blueprint);
        known
            .into_iter()
            .flat_map(|blueprint| blueprint.relations.values())
    }
}
