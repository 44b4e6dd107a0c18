//! Where relations lead, as the blueprints in Port say.

use std::collections::{BTreeMap, BTreeSet};

use crate::deadline::Deadline;
use crate::port::{self, PortClient};

/// Which blueprint each relation of a blueprint points at.
#[derive(Clone, Debug, Default)]
pub struct Relations {
    by_blueprint: BTreeMap<String, BTreeMap<String, String>>,
}

impl Relations {
    /// Asks Port about `blueprints`. One that does not exist has no relations: Port refuses its entities anyway.
    pub async fn of(
        port: &PortClient,
        blueprints: BTreeSet<&str>,
        deadline: &Deadline,
    ) -> Result<Relations, port::Error> {
        let mut relations = Relations::default();
        for blueprint in blueprints {
            let targets = match port.relation_targets(blueprint, deadline).await {
                Err(port::Error::NotFound { .. }) => BTreeMap::new(),
                targets => targets?,
            };
            relations.insert(blueprint, targets);
        }
        Ok(relations)
    }

    pub fn insert(&mut self, blueprint: &str, targets: BTreeMap<String, String>) {
        self.by_blueprint.insert(blueprint.to_owned(), targets);
    }

    pub fn target(&self, blueprint: &str, relation: &str) -> Option<&str> {
        let target = self.by_blueprint.get(blueprint)?.get(relation)?;
        Some(target.as_str())
    }

    /// Blueprints that `blueprint` points at.
    pub fn targets(&self, blueprint: &str) -> impl Iterator<Item = &str> {
        let targets = self.by_blueprint.get(blueprint);
        targets
            .into_iter()
            .flat_map(|targets| targets.values().map(String::as_str))
    }
}
