//! One bulk call: what fits in, what it looks like, and what its answer says about each entity.
//!
//! Pure. Which batches are sent, and what follows from a refusal, is `upsert`'s.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::shortened;
use super::fit::most_bytes;
use super::outcome::{Postponed, Refusal, UpsertOutcome};
use crate::class::Class;
use crate::entity::{Entity, Identifier};
use crate::http::Answer;

/// Entities per call (Port API, create multiple entities: 1 to 20).
pub(super) const MAX_BULK: usize = 20;

/// Bytes per body: 1 MiB for all routes of the Port API, less a margin for what is in between.
pub(super) const MAX_BODY_BYTES: usize = (1 << 20) - 1024;

const OPENING: &[u8] = br#"{"entities":["#;
const CLOSING: &[u8] = b"]}";

/// An entity as it goes over the wire.
pub(super) struct Item {
    pub(super) index: usize,
    json: Vec<u8>,
    /// `None` when it is a search query.
    identifier: Option<String>,
    /// Whether it names relation targets at all.
    is_related: bool,
}

/// What a bulk call was answered.
pub(super) struct BulkAnswer {
    /// One for each entity of the call, in its order.
    pub(super) told: Vec<Told>,
    pub(super) max_bulk: Option<usize>,
}

/// What an answer says about one entity.
pub(super) enum Told {
    Settled(UpsertOutcome),
    /// An outage that may be this entity's own doing or a neighbour's: alone, it shows.
    Alone(UpsertOutcome),
}

impl Item {
    pub(super) fn new(index: usize, entity: &Entity) -> Item {
        let mut relations = entity.relations.iter().flat_map(Map::values);
        Item {
            index,
            json: wire(entity).to_string().into_bytes(),
            identifier: match &entity.identifier {
                Identifier::Text(text) => Some(text.clone()),
                Identifier::Search(_) => None,
            },
            is_related: relations.any(|value| !value.is_null()),
        }
    }

    /// Whether not even a call of its own has room for it.
    pub(super) fn is_too_large(&self) -> bool {
        MAX_BODY_BYTES < OPENING.len() + self.json.len() + CLOSING.len()
    }
}

/// Whether not even a call of its own has room for `entity`. Counts exactly only where that may be so.
pub(super) fn is_too_large(entity: &Entity) -> bool {
    let Entity {
        blueprint: _,
        identifier: _,
        title,
        icon,
        team,
        properties,
        relations,
    } = entity;
    let head = [title, icon, team].into_iter().flatten().map(most_bytes);
    let fields = [properties, relations].into_iter().flatten().flatten();
    let fields = fields.map(|(name, value)| most_bytes(value) + 6 * name.len() + 8);
    // An identifier has at most 1000 characters; a search query is short.
    let rest = (1 << 16) + OPENING.len() + CLOSING.len();
    let most = head.sum::<usize>() + fields.sum::<usize>() + rest;
    MAX_BODY_BYTES < most && Item::new(0, entity).is_too_large()
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

/// Reads a 2xx answer to `items`. Results are paired by index only: the identifier in an error may be the word
/// `unknown`.
pub(super) fn read(answer: &Answer, items: &[Item]) -> anyhow::Result<BulkAnswer> {
    let wire: Wire = answer.json()?;
    let mut errors: HashMap<usize, WireError> = HashMap::new();
    let mut unplaced = None;
    for error in wire.errors {
        match error.index.filter(|index| *index < items.len()) {
            Some(index) => {
                errors.insert(index, error);
            }
            None => unplaced = Some(error),
        }
    }
    let written = wire.entities.into_iter();
    let mut written: HashMap<usize, WireWritten> = written
        .filter_map(|entity| Some((entity.index?, entity)))
        .collect();
    let told = |(index, item): (usize, &Item)| match (errors.remove(&index), written.remove(&index))
    {
        (Some(error), _) => error.told(item),
        (None, Some(written)) => Told::Settled(UpsertOutcome::Written {
            created: written.created,
            identifier: item.identifier.clone().or(written.found()),
        }),
        // An error that names no entity is about any that is not known to be written.
        (None, None) => match &unplaced {
            Some(error) => Told::Alone(error.told(item).outcome()),
            None => Told::Settled(UpsertOutcome::Later(Postponed {
                class: Class::Later,
                status: Some(answer.status.as_u16()),
                message: "Port's answer does not mention it".into(),
                wait: None,
            })),
        },
    };
    let told = items.iter().enumerate().map(told).collect();
    Ok(BulkAnswer {
        told,
        max_bulk: wire.max_bulk_size.filter(|size| 0 < *size),
    })
}

impl Told {
    pub(super) fn outcome(self) -> UpsertOutcome {
        match self {
            Told::Settled(outcome) | Told::Alone(outcome) => outcome,
        }
    }
}

impl WireWritten {
    /// The identifier that Port found.
    fn found(self) -> Option<String> {
        self.identifier
            .filter(|identifier| !matches!(identifier.as_str(), "" | "unknown"))
    }
}

impl WireError {
    fn told(&self, item: &Item) -> Told {
        let code = self.error.clone().unwrap_or_default();
        let message = shortened(self.message.as_deref().unwrap_or_default());
        match self.status_code {
            Some(status) if Class::of_status(status) == Class::Later => {
                Told::Alone(UpsertOutcome::Later(Postponed {
                    class: Class::Later,
                    status: Some(status),
                    message: format!("{code}: {message}"),
                    wait: None,
                }))
            }
            status => {
                let refusal = Refusal {
                    status: status.unwrap_or(422),
                    code,
                    message,
                };
                // Port API, create entities in bulk: a missing relation target is told per entity, as a 404. A search
                // query that finds nothing looks the same.
                let lacks_target =
                    item.is_related && refusal.status == 404 && refusal.code == "not_found";
                Told::Settled(if lacks_target {
                    UpsertOutcome::LacksTarget(refusal)
                } else {
                    UpsertOutcome::Refused(refusal)
                })
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    /// Port sends it always; without it, this is somebody else's answer.
    entities: Vec<WireWritten>,
    #[serde(default)]
    errors: Vec<WireError>,
    max_bulk_size: Option<usize>,
}

#[derive(Deserialize)]
struct WireWritten {
    index: Option<usize>,
    created: Option<bool>,
    identifier: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireError {
    index: Option<usize>,
    status_code: Option<u16>,
    error: Option<String>,
    message: Option<String>,
}
