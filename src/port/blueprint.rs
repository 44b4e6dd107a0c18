//! What Ferry reads of a blueprint: what its entities may hold, and where its relations point. Read once, kept for a
//! while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::Call;
use super::client::PortClient;
use super::error::Error;
use super::schema::{Property, properties};
use crate::deadline::{Deadline, later};
use crate::locked::locked;

/// Blueprints change by hand, a few times a month.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// How long a blueprint is believed where a value would be left out on its word.
const RECENT: Duration = Duration::from_secs(60);

/// What entities of a blueprint may hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blueprint {
    /// Those that can be written; calculated, mirrored and aggregated ones are not among them. `None`: Port does not say.
    pub properties: Option<BTreeMap<String, Property>>,
    /// Properties that each entity has to have.
    pub required: BTreeSet<String>,
    pub relations: BTreeMap<String, Relation>,
    /// Port takes no team then.
    pub inherits_team: bool,
}

/// Where a relation points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// A blueprint.
    pub target: String,
    /// It holds a list.
    pub many: bool,
    /// An entity goes along with its target.
    pub required: bool,
}

impl Blueprint {
    /// Of a body as it is sent to Port; one that cannot be read allows everything.
    pub(super) fn of_definition(definition: Map<String, Value>) -> Blueprint {
        let wire: Result<WireBlueprint, _> = serde_json::from_value(definition.into());
        wire.map(Blueprint::from).unwrap_or_default()
    }

    /// Whether entities may hold the property `name`, as far as Port says.
    pub fn may_have(&self, name: &str) -> bool {
        let properties = self.properties.as_ref();
        properties.is_none_or(|properties| properties.contains_key(name))
    }
}

pub(super) struct Cached {
    read_at: Timestamp,
    blueprint: Arc<Blueprint>,
}

impl PortClient {
    /// A blueprint as it was within the last ten minutes; [`Error::NotFound`] is never cached.
    pub async fn blueprint(
        &self,
        identifier: &str,
        deadline: &Deadline,
    ) -> Result<Arc<Blueprint>, Error> {
        self.blueprint_within(KEPT_FOR, identifier, deadline).await
    }

    /// A blueprint as it was within the last minute.
    pub async fn recent_blueprint(
        &self,
        identifier: &str,
        deadline: &Deadline,
    ) -> Result<Arc<Blueprint>, Error> {
        self.blueprint_within(RECENT, identifier, deadline).await
    }

    async fn blueprint_within(
        &self,
        age: Duration,
        identifier: &str,
        deadline: &Deadline,
    ) -> Result<Arc<Blueprint>, Error> {
        let now = self.now();
        if let Some(cached) = locked(&self.inner.blueprints).get(identifier)
            && now < later(cached.read_at, age)
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
        if let Some(blueprint) = self.promised_blueprint(identifier) {
            return Ok(blueprint);
        }
        let read_at = self.now();
        let call = Call::get(["blueprints", identifier]);
        let answer: Wire = self
            .call_json(call, deadline)
            .await
            .map_err(|error| error.with_missing(|| format!("blueprint `{identifier}`")))?;
        let blueprint = Arc::new(Blueprint::from(answer.blueprint));
        let cached = Cached {
            read_at,
            blueprint: Arc::clone(&blueprint),
        };
        locked(&self.inner.blueprints).insert(identifier.to_owned(), cached);
        Ok(blueprint)
    }

    /// One that there would be by now.
    fn promised_blueprint(&self, identifier: &str) -> Option<Arc<Blueprint>> {
        self.stand_in.as_ref()?.blueprint(identifier)
    }

    /// All blueprints of the organisation, as they are now, by their identifiers.
    pub(super) async fn all_blueprints(
        &self,
        deadline: &Deadline,
    ) -> Result<Vec<(String, Blueprint)>, Error> {
        #[derive(Deserialize)]
        struct All {
            blueprints: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            identifier: String,
            #[serde(flatten)]
            blueprint: WireBlueprint,
        }
        let all: All = self.call_json(Call::get(["blueprints"]), deadline).await?;
        let all = all.blueprints.into_iter();
        Ok(all
            .map(|it| (it.identifier, Blueprint::from(it.blueprint)))
            .collect())
    }

    /// Port has refused something that this blueprint seemed to allow: it may have changed.
    pub(super) fn forget_blueprint(&self, identifier: &str) {
        locked(&self.inner.blueprints).remove(identifier);
    }
}

#[derive(Deserialize)]
struct Wire {
    blueprint: WireBlueprint,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBlueprint {
    schema: Option<WireSchema>,
    #[serde(default)]
    relations: BTreeMap<String, WireRelation>,
    #[serde(default)]
    ownership: Value,
    team_inheritance: Option<Value>,
}

#[derive(Deserialize)]
struct WireSchema {
    properties: Option<Map<String, Value>>,
    /// Names; what has another shape requires nothing.
    #[serde(default)]
    required: Value,
}

#[derive(Deserialize)]
struct WireRelation {
    target: Option<String>,
    #[serde(default)]
    many: bool,
    #[serde(default)]
    required: bool,
}

impl From<WireBlueprint> for Blueprint {
    fn from(wire: WireBlueprint) -> Blueprint {
        let relation = |(name, relation): (String, WireRelation)| {
            let WireRelation {
                target,
                many,
                required,
            } = relation;
            let target = target?;
            let relation = Relation {
                target,
                many,
                required,
            };
            Some((name, relation))
        };
        let schema = wire.schema;
        let required = schema.as_ref().map(|schema| &schema.required);
        let required = required.and_then(Value::as_array).into_iter().flatten();
        let required = required
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let definitions = schema.and_then(|schema| schema.properties);
        Blueprint {
            required,
            properties: definitions.map(|definitions| properties(&definitions).collect()),
            relations: wire.relations.into_iter().filter_map(relation).collect(),
            inherits_team: wire.team_inheritance.is_some()
                || wire.ownership.get("type") == Some(&Value::from("Inherited")),
        }
    }
}
