//! What the simulated organisation holds: entities with their owner and times, and everything clients told it.
//!
//! Knows nothing of routes. The rules for changing entities live in `upsert` and `delete`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::blueprint::{self, Blueprint};
use super::ingest::Ingest;
use super::integration::Organization;
use super::refusal::Refusal;
use crate::clock::{Clock, millis};
use crate::server::Request;

/// An entity as Port keeps it. Unset properties and relations are absent.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntity {
    pub blueprint: String,
    pub identifier: String,
    pub title: Option<String>,
    pub icon: Option<String>,
    pub team: Vec<String>,
    pub properties: BTreeMap<String, Value>,
    /// An identifier, or a list of them where the relation is `many`.
    pub relations: BTreeMap<String, Value>,
    /// The whole user agent of the last writer, which is how Port tells owners apart.
    pub datasource: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Blueprint and identifier.
pub(super) type Key = (String, String);

/// One change that a client asked for, in order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub kind: WriteKind,
    pub blueprint: String,
    pub identifier: String,
    /// The user agent that asked for it.
    pub writer: String,
    /// The resync that it belongs to, if the request names one.
    pub resync: Option<String>,
}

/// An entity that a client asked to write or to delete, and that stayed as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedWrite {
    pub blueprint: String,
    /// The identifier, or the search query in its place.
    pub identifier: String,
    pub is_deletion: bool,
    pub message: String,
}

/// Who asks for a change, and why.
#[derive(Clone, Copy)]
pub(super) struct Cause<'a> {
    pub(super) writer: &'a str,
    resync: Option<&'a str>,
}

impl<'a> Cause<'a> {
    /// As the headers and the query of `request` say (Port API, `ocean_info_event_type` and `ocean_info_resync_id`).
    pub(super) fn of(request: &'a Request) -> Result<Cause<'a>, Refusal> {
        let origin = request.query("ocean_info_event_type");
        if origin.is_some_and(|origin| !["http_request", "resync", "start"].contains(&origin)) {
            return Err(Refusal::invalid("unknown ocean_info_event_type"));
        }
        let resync = request.query("ocean_info_resync_id");
        if resync.is_some() && origin != Some("resync") {
            return Err(Refusal::invalid(
                "ocean_info_resync_id needs the event type resync",
            ));
        }
        Ok(Cause {
            writer: request.header("user-agent").unwrap_or_default(),
            resync,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    Created,
    Updated,
    /// An upsert that left the entity as it was.
    Unchanged,
    /// Created empty, as the missing target of a relation.
    Stub,
    Deleted,
    /// Deleted because an entity that its required relation points at was.
    DeletedDependent,
}

impl WriteKind {
    pub fn is_delete(self) -> bool {
        matches!(self, WriteKind::Deleted | WriteKind::DeletedDependent)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            WriteKind::Created => "create",
            WriteKind::Updated => "update",
            WriteKind::Unchanged => "rewrite",
            WriteKind::Stub => "stub",
            WriteKind::Deleted => "delete",
            WriteKind::DeletedDependent => "delete dependent",
        };
        write!(f, "{verb} {} {}", self.blueprint, self.identifier)
    }
}

/// Where Port's behaviour is unknown, or differs between organisations.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// A malformed entity (identifier pattern, wrong JSON type) fails the whole bulk call with 422. Otherwise only its own index.
    /// Unknown for the real Port; true is the worse case for a client.
    pub malformed_fails_batch: bool,
    /// An upsert that changes nothing still moves `$updatedAt`.
    pub rewriting_moves_updated_at: bool,
    /// Items in one bulk upsert; reported as `maxBulkSize`.
    pub max_bulk_size: usize,
    /// Caps every page, so that a few entities already need paging.
    pub page_size: usize,
    /// Life of a new token in seconds.
    pub token_seconds: i64,
    /// The answer to a bulk deletion names what went along with it.
    pub names_dependents: bool,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            malformed_fails_batch: true,
            rewriting_moves_updated_at: true,
            max_bulk_size: 20,
            page_size: usize::MAX,
            token_seconds: 3 * 60 * 60,
            names_dependents: false,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) behaviour: Behaviour,
    pub(super) credentials: Credentials,
    pub(super) blueprints: BTreeMap<String, Blueprint>,
    pub(super) entities: BTreeMap<Key, StoredEntity>,
    pub(super) writes: Vec<Write>,
    /// Entities that were not written or not deleted, as they were asked for alone or in a call that took others.
    pub(super) refused: Vec<RefusedWrite>,
    pub(super) organization: Organization,
    pub(super) ingest: Ingest,
    /// Requests that matched no route.
    pub(super) unknown: BTreeSet<String>,
    pub(super) answers: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
    /// The one active token and the end of its life.
    pub(super) token: Option<(String, Timestamp)>,
    pub(super) issued: u64,
}

impl State {
    pub(super) fn new() -> State {
        State {
            clock: Clock::default(),
            behaviour: Behaviour::default(),
            credentials: Credentials {
                id: "test-client".to_owned(),
                secret: "test-secret".to_owned(),
                token: None,
                issued: 0,
            },
            blueprints: blueprint::built_in(),
            entities: BTreeMap::new(),
            writes: Vec::new(),
            refused: Vec::new(),
            organization: Organization::default(),
            ingest: Ingest::default(),
            unknown: BTreeSet::new(),
            answers: 0,
        }
    }

    pub(super) fn blueprint(&self, identifier: &str) -> Result<&Blueprint, Refusal> {
        self.blueprints.get(identifier).ok_or_else(|| {
            Refusal::not_found(format!(
                "Blueprint with identifier \"{identifier}\" was not found"
            ))
        })
    }

    pub(super) fn entity(
        &self,
        blueprint: &str,
        identifier: &str,
    ) -> Result<&StoredEntity, Refusal> {
        self.entities
            .get(&(blueprint.to_owned(), identifier.to_owned()))
            .ok_or_else(|| no_entity(blueprint, identifier))
    }

    pub(super) fn entities_of<'a>(
        &'a self,
        blueprint: &'a str,
    ) -> impl Iterator<Item = &'a StoredEntity> {
        self.entities
            .values()
            .filter(move |entity| entity.blueprint == blueprint)
    }

    /// An entity, named by `reference`, stays as it was.
    pub(super) fn refuse(
        &mut self,
        blueprint: &str,
        reference: &Value,
        refusal: &Refusal,
        is_deletion: bool,
    ) {
        let identifier = reference.as_str().map(str::to_owned);
        self.refused.push(RefusedWrite {
            blueprint: blueprint.to_owned(),
            identifier: identifier.unwrap_or_else(|| reference.to_string()),
            is_deletion,
            message: refusal.message.clone(),
        });
    }

    pub(super) fn record(&mut self, kind: WriteKind, entity: &Key, cause: Cause<'_>) {
        self.writes.push(Write {
            kind,
            blueprint: entity.0.clone(),
            identifier: entity.1.clone(),
            writer: cause.writer.to_owned(),
            resync: cause.resync.map(str::to_owned),
        });
    }
}

pub(super) fn no_entity(blueprint: &str, identifier: &str) -> Refusal {
    Refusal::not_found(format!(
        "Entity with identifier \"{identifier}\" was not found in blueprint \"{blueprint}\""
    ))
}

impl StoredEntity {
    pub(super) fn new(key: &Key, datasource: &str, now: Timestamp) -> StoredEntity {
        StoredEntity {
            blueprint: key.0.clone(),
            identifier: key.1.clone(),
            title: None,
            icon: None,
            team: Vec::new(),
            properties: BTreeMap::new(),
            relations: BTreeMap::new(),
            datasource: datasource.to_owned(),
            created_at: now,
            updated_at: now,
        }
    }

    pub(super) fn key(&self) -> Key {
        (self.blueprint.clone(), self.identifier.clone())
    }

    /// The identifiers that one relation points at.
    pub fn targets(&self, relation: &str) -> Vec<&str> {
        match self.relations.get(relation) {
            Some(Value::String(target)) => vec![target],
            Some(Value::Array(targets)) => targets.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// What people compare: neither times nor owner.
    pub(super) fn content(&self) -> Value {
        let mut content = Map::new();
        if let Some(title) = &self.title {
            content.insert("title".to_owned(), json!(title));
        }
        if let Some(icon) = &self.icon {
            content.insert("icon".to_owned(), json!(icon));
        }
        if !self.team.is_empty() {
            content.insert("team".to_owned(), json!(self.team));
        }
        if !self.properties.is_empty() {
            content.insert("properties".to_owned(), json!(self.properties));
        }
        if !self.relations.is_empty() {
            content.insert("relations".to_owned(), json!(self.relations));
        }
        Value::Object(content)
    }

    /// The entity in an answer: every property and relation of the blueprint is there, null (or an empty list) when unset.
    pub(super) fn render(&self, blueprint: Option<&Blueprint>) -> Value {
        let mut properties = Map::new();
        let mut relations = Map::new();
        if let Some(blueprint) = blueprint {
            for name in blueprint.properties().keys() {
                properties.insert(name.clone(), Value::Null);
            }
            for (name, relation) in blueprint.relations() {
                let unset = if relation.many {
                    json!([])
                } else {
                    Value::Null
                };
                relations.insert(name, unset);
            }
        }
        properties.extend(self.properties.clone());
        relations.extend(self.relations.clone());
        json!({
            "identifier": self.identifier,
            "title": self.title,
            "icon": self.icon,
            "blueprint": self.blueprint,
            "team": self.team,
            "properties": properties,
            "relations": relations,
            "createdAt": millis(self.created_at),
            "updatedAt": millis(self.updated_at),
        })
    }
}
