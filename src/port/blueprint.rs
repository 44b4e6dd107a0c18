//! What Ferry reads of a blueprint: its property names and where its relations point. Read once, kept for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::call::Call;
use super::client::{PortClient, locked};
use super::error::Error;
use crate::deadline::{Deadline, later};

/// Blueprints change by hand, a few times a month.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Names that entities of a blueprint may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blueprint {
    /// Those that can be written; calculated, mirrored and aggregated ones are not among them.
    pub properties: BTreeSet<String>,
    /// Relation to the blueprint it points at.
    pub relations: BTreeMap<String, String>,
}

pub(super) struct Cached {
    until: Timestamp,
    blueprint: Arc<Blueprint>,
}

impl PortClient {
    /// A blueprint as it was within the last ten minutes; [`Error::NotFound`] is never cached.
    pub async fn blueprint(
        &self,
        identifier: &str,
        deadline: &Deadline,
    ) -> Result<Arc<Blueprint>, Error> {
        let now = self.now();
        if let Some(cached) = locked(&self.inner.blueprints).get(identifier)
            && now < cached.until
        {
            return Ok(Arc::clone(&cached.blueprint));
        }
        self.fresh_blueprint(identifier, deadline).await
    }

    /// A blueprint as it is now.
    pub(super) async fn fresh_blueprint(
        &self,
        identifier: &str,
        deadline: &Deadline,
    ) -> Result<Arc<Blueprint>, Error> {
        let call = Call::get(["blueprints", identifier]);
        let answer: Wire = self
            .call_json(call, deadline)
            .await
            .map_err(|error| error.with_missing(|| format!("blueprint `{identifier}`")))?;
        let blueprint = Arc::new(Blueprint::from(answer.blueprint));
        let cached = Cached {
            until: later(self.now(), KEPT_FOR),
            blueprint: Arc::clone(&blueprint),
        };
        locked(&self.inner.blueprints).insert(identifier.to_owned(), cached);
        Ok(blueprint)
    }

    /// Which blueprint each relation of `blueprint` points at; as fresh as [`blueprint`](PortClient::blueprint).
    pub async fn relation_targets(
        &self,
        blueprint: &str,
        deadline: &Deadline,
    ) -> Result<BTreeMap<String, String>, Error> {
        Ok(self.blueprint(blueprint, deadline).await?.relations.clone())
    }
}

#[derive(Deserialize)]
struct Wire {
    blueprint: WireBlueprint,
}

#[derive(Deserialize)]
struct WireBlueprint {
    #[serde(default)]
    schema: WireSchema,
    #[serde(default)]
    relations: BTreeMap<String, WireRelation>,
}

#[derive(Default, Deserialize)]
struct WireSchema {
    #[serde(default)]
    properties: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct WireRelation {
    target: Option<String>,
}

impl From<WireBlueprint> for Blueprint {
    fn from(wire: WireBlueprint) -> Blueprint {
        let target = |(name, relation): (String, WireRelation)| Some((name, relation.target?));
        Blueprint {
            properties: wire.schema.properties.into_keys().collect(),
            relations: wire.relations.into_iter().filter_map(target).collect(),
        }
    }
}
