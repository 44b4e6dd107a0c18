//! One bulk call: what fits in, what it looks like, and what its answer says about each entity.
//!
//! Pure. Which batches are sent, and what follows from a refusal, is `upsert`'s.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{Error, shortened};
use crate::entity::{Entity, EntityKey, Identifier};
use crate::http::Answer;

/// Entities per call (Port API, create multiple entities: 1 to 20).
pub(super) const MAX_BULK: usize = 20;

/// Bytes per body: 1 MiB for all routes of the Port API, less a margin for what is in between.
pub(super) const MAX_BODY_BYTES: usize = (1 << 20) - 1024;

const OPENING: &[u8] = br#"{"entities":["#;
const CLOSING: &[u8] = b"]}";

/// An entity that was not written, or not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedEntity {
    /// `None` when the identifier is a search query.
    pub key: Option<EntityKey>,
    /// Position in what the caller passed.
    pub index: usize,
    /// Of the entity if Port named one, else of the call. `None`: there was no answer, or nothing was sent.
    pub status: Option<u16>,
    /// Port's error code, or empty.
    pub code: String,
    pub message: String,
    /// Nothing is wrong with the entity: the same call may succeed later.
    pub retryable: bool,
}

impl fmt::Display for FailedEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedEntity {
            key,
            index,
            status,
            code,
            message,
            retryable: _,
        } = self;
        match key {
            Some(key) => write!(f, "{key}")?,
            None => write!(f, "the entity found by search ({index})")?,
        }
        if let Some(status) = status {
            write!(f, ": HTTP {status}")?;
        }
        let parts = [code, message].into_iter().filter(|part| !part.is_empty());
        parts.into_iter().try_for_each(|part| write!(f, ": {part}"))
    }
}

impl FailedEntity {
    /// Whether a relation leads to an entity that does not exist (yet).
    pub fn lacks_target(&self) -> bool {
        lacks_target(self.status, &self.code)
    }
}

/// Port API, create entities in bulk: a missing relation target is told per entity, as a 404.
pub(super) fn lacks_target(status: Option<u16>, code: &str) -> bool {
    status == Some(404) && code == "not_found"
}

/// What became of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done {
        /// Port says that it had the entity before.
        known: bool,
    },
    Failed(Failure),
}

/// Why one entity failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: Option<u16>,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retryable: bool,
}

impl Fate {
    /// What holds until there is an answer.
    pub(super) fn unsent() -> Fate {
        Fate::Failed(Failure {
            status: None,
            code: String::new(),
            message: "not sent".into(),
            retryable: true,
        })
    }
}

/// An entity as it goes over the wire.
pub(super) struct Item {
    pub(super) index: usize,
    json: Vec<u8>,
}

/// What a bulk call was answered.
pub(super) struct BulkAnswer {
    /// One for each entity of the call, in its order.
    pub(super) fates: Vec<Fate>,
    pub(super) max_bulk: Option<usize>,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Failure {
        let (code, message) = match error {
            Error::Refused { code, message, .. } => (code.clone(), message.clone()),
            Error::NotFound { .. } => ("not_found".to_owned(), error.to_string()),
            _ => (String::new(), error.to_string()),
        };
        Failure {
            status: error.status(),
            code,
            message,
            retryable: error.is_retryable(),
        }
    }

    /// For what was not sent because of `error`.
    pub(super) fn unsent(error: &Error) -> Failure {
        Failure {
            status: None,
            code: String::new(),
            message: format!("not sent: {error}"),
            retryable: true,
        }
    }

    pub(super) fn named(self, index: usize, key: Option<EntityKey>) -> FailedEntity {
        let Failure {
            status,
            code,
            message,
            retryable,
        } = self;
        FailedEntity {
            key,
            index,
            status,
            code,
            message,
            retryable,
        }
    }
}

impl Item {
    pub(super) fn new(index: usize, entity: &Entity) -> Item {
        Item {
            index,
            json: wire(entity).to_string().into_bytes(),
        }
    }

    /// Whether not even a call of its own has room for it.
    pub(super) fn is_too_large(&self) -> bool {
        MAX_BODY_BYTES < OPENING.len() + self.json.len() + CLOSING.len()
    }
}

/// How many of `items` go into the next call: at least one.
pub(super) fn next_batch(items: &[Item], max_bulk: usize) -> usize {
    let mut size = OPENING.len() + CLOSING.len();
    let fitting = items.iter().take(max_bulk).take_while(|item| {
        size += item.json.len() + 1;
        size <= MAX_BODY_BYTES
    });
    fitting.count().max(1).min(items.len())
}

pub(super) fn body(items: &[Item]) -> Vec<u8> {
    let mut body = OPENING.to_vec();
    for (position, item) in items.iter().enumerate() {
        if 0 < position {
            body.push(b',');
        }
        body.extend_from_slice(&item.json);
    }
    body.extend_from_slice(CLOSING);
    body
}

/// Only what the mapping named is sent: to Port, absent and null are different things. The blueprint is in the
/// address.
fn wire(entity: &Entity) -> Value {
    let Entity {
        blueprint: _,
        identifier,
        title,
        icon,
        team,
        properties,
        relations,
    } = entity;
    let identifier = match identifier {
        Identifier::Text(text) => Value::from(text.as_str()),
        Identifier::Search(query) => query.clone(),
    };
    let optional = [
        ("title", title.clone()),
        ("icon", icon.clone()),
        ("team", team.clone()),
        ("properties", properties.clone().map(Value::Object)),
        ("relations", relations.clone().map(Value::Object)),
    ];
    let mut wire = Map::new();
    wire.insert("identifier".into(), identifier);
    for (name, value) in optional {
        if let Some(value) = value {
            wire.insert(name.into(), value);
        }
    }
    Value::Object(wire)
}

/// Reads a 2xx answer to `count` entities. Results are paired by index only: the identifier in an error may be the
/// word `unknown`.
pub(super) fn read(answer: &Answer, count: usize) -> anyhow::Result<BulkAnswer> {
    let wire: Wire = answer.json()?;
    let mut failures: HashMap<usize, Failure> = HashMap::new();
    let mut unplaced = None;
    for error in wire.errors {
        let failure = Failure {
            status: error.status_code,
            code: error.error.unwrap_or_default(),
            message: shortened(&error.message.unwrap_or_default()),
            retryable: error.status_code.is_some_and(is_transient),
        };
        match error.index {
            Some(index) if index < count => {
                failures.insert(index, failure);
            }
            _ => unplaced = Some(failure),
        }
    }
    let written: HashMap<usize, bool> = wire
        .entities
        .iter()
        .filter_map(|entity| Some((entity.index?, entity.created == Some(false))))
        .collect();
    let fate = |index: usize| match (failures.remove(&index), &unplaced) {
        (Some(failure), _) => Fate::Failed(failure),
        // An error that names no entity costs every one that is not known to be written.
        (None, Some(failure)) if !written.contains_key(&index) => Fate::Failed(failure.clone()),
        _ => Fate::Done {
            known: written.get(&index).copied().unwrap_or(false),
        },
    };
    let fates = (0..count).map(fate).collect();
    Ok(BulkAnswer {
        fates,
        max_bulk: wire.max_bulk_size.filter(|size| 0 < *size),
    })
}

/// Of a single entity: worth another try without any change.
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    entities: Vec<WireWritten>,
    #[serde(default)]
    errors: Vec<WireError>,
    max_bulk_size: Option<usize>,
}

#[derive(Deserialize)]
struct WireWritten {
    index: Option<usize>,
    created: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireError {
    index: Option<usize>,
    status_code: Option<u16>,
    error: Option<String>,
    message: Option<String>,
}
